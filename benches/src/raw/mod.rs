//! The system calls that the crates of this workspace wrap, made as a program in C would make them: each with its simplest
//! arguments, and no more looked at than that it succeeded.

mod sys;

pub use self::sys::{
    Message, Semaphore, flock, mq_receive, mq_send, msgrcv, msgsnd, poll, read, record_lock, recv,
    recv_fd, recvfrom, refused, semop, send, send_fd, sendto, signal, take_signal, write,
};
