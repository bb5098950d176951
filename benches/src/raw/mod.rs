//! The system calls that the crates of this workspace wrap, made as a program in C would make them: each with its simplest
//! arguments, and no more looked at than that it succeeded; and beside them those that our crates make in their place.

mod sys;

pub use self::sys::{
    Message, RWF_NOSIGNAL, Semaphore, clock, failed_with, flock, mq_receive, mq_send,
    mq_timedreceive, mq_timedsend, msgrcv, msgsnd, poll, preadv2, pwritev2, read, record_lock,
    recv, recv_fd, recvfrom, recvmsg, refused, semop, send, send_fd, sendto, signal, take_signal,
    write,
};
