//! The calls.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    cell::UnsafeCell,
    io,
    mem::{self, MaybeUninit},
    net::SocketAddrV4,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::libc::{self, c_int, c_long};

// What nix's libc does not declare.
unsafe extern "C" {
    fn sem_clockwait(
        sem: *mut libc::sem_t,
        clock: libc::clockid_t,
        deadline: *const libc::timespec,
    ) -> c_int;
    fn sigqueue(pid: libc::pid_t, signal: c_int, value: libc::sigval) -> c_int;
}

/// The length that a call tells.
#[inline]
fn len(value: isize) -> usize {
    usize::try_from(value).unwrap_or_else(|_| failed())
}

#[inline]
fn done(value: c_int) {
    if value == -1 {
        failed();
    }
}

#[cold]
fn failed() -> ! {
    panic!("{}", io::Error::last_os_error())
}

/// Whether a call that had to wait said so: -1, `EAGAIN`.
///
/// # Panics
///
/// Where it did not.
#[inline]
pub fn refused(value: isize) {
    failed_with(value, libc::EAGAIN);
}

/// Whether a call failed with this number.
///
/// # Panics
///
/// Where it did not.
#[inline]
pub fn failed_with(value: isize, number: c_int) {
    assert_eq!(value, -1, "it has to wait");
    assert_eq!(io::Error::last_os_error().raw_os_error(), Some(number));
}

/// `write(2)`.
#[inline]
pub fn write(fd: &impl AsFd, bytes: &[u8]) -> usize {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length are those of `bytes`.
    len(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
}

/// `read(2)`, and what it returns.
#[inline]
pub fn read(fd: &impl AsFd, buffer: &mut [u8]) -> isize {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length are those of `buffer`.
    unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
}

/// `RWF_NOSIGNAL` of `linux/fs.h`.
pub const RWF_NOSIGNAL: c_int = 0x100;

/// `pwritev2(2)` of one part at no position, and what it returns.
#[inline]
pub fn pwritev2(fd: &impl AsFd, bytes: &[u8], flags: c_int) -> isize {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: `part` is `bytes`, which are only read.
    unsafe { libc::pwritev2(fd.as_fd().as_raw_fd(), &raw const part, 1, -1, flags) }
}

/// `preadv2(2)` of one part at no position, and what it returns.
#[inline]
pub fn preadv2(fd: &impl AsFd, buffer: &mut [u8], flags: c_int) -> isize {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `part` is `buffer`, which is valid for writes.
    unsafe { libc::preadv2(fd.as_fd().as_raw_fd(), &raw const part, 1, -1, flags) }
}

/// `clock_gettime(2)` of the monotonic clock, as for a deadline.
#[inline]
pub fn clock() {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    done(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) });
}

/// `poll(2)` until something can be read, for at most a second.
#[inline]
pub fn poll(fd: &impl AsFd) {
    let mut fd = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `fd` is one of them.
    done(unsafe { libc::poll(&raw mut fd, 1, 1000) });
}

/// `mq_send(3)`.
#[inline]
pub fn mq_send(queue: &impl AsFd, bytes: &[u8]) {
    let queue = queue.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length are those of `bytes`.
    done(unsafe { libc::mq_send(queue, bytes.as_ptr().cast(), bytes.len(), 0) });
}

/// `mq_receive(3)`.
#[inline]
pub fn mq_receive(queue: &impl AsFd, buffer: &mut [u8]) -> isize {
    let queue = queue.as_fd().as_raw_fd();
    let mut priority = 0;
    // SAFETY: the pointer and the length are those of `buffer`, and `priority` is valid for writes.
    unsafe { libc::mq_receive(queue, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut priority) }
}

/// A time that has passed: who waits until then does not wait.
const LONG_AGO: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// `mq_timedsend(3)` without waiting.
#[inline]
pub fn mq_timedsend(queue: &impl AsFd, bytes: &[u8]) {
    let (queue, until) = (queue.as_fd().as_raw_fd(), LONG_AGO);
    let (start, count) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: the pointer and the length are those of `bytes`, and `until` is valid for reads.
    done(unsafe { libc::mq_timedsend(queue, start, count, 0, &raw const until) });
}

/// `mq_timedreceive(3)` without waiting, and what it returns.
#[inline]
pub fn mq_timedreceive(queue: &impl AsFd, buffer: &mut [u8]) -> isize {
    let (queue, until) = (queue.as_fd().as_raw_fd(), LONG_AGO);
    let (start, count, mut priority) = (buffer.as_mut_ptr().cast(), buffer.len(), 0);
    // SAFETY: the pointer and the length are those of `buffer`, and the others are valid for writes and for reads.
    unsafe { libc::mq_timedreceive(queue, start, count, &raw mut priority, &raw const until) }
}

/// `struct msgbuf`.
#[repr(C)]
#[derive(Debug)]
pub struct Message<const LEN: usize> {
    kind: c_long,
    text: [u8; LEN],
}

impl<const LEN: usize> Message<LEN> {
    /// One of this kind, which is not zero.
    pub const fn of_kind(kind: c_long) -> Self {
        Self { kind, text: [7; LEN] }
    }
}

/// `msgsnd(2)`.
#[inline]
pub fn msgsnd<const LEN: usize>(id: i32, message: &Message<LEN>) {
    // SAFETY: `message` is its kind, and `LEN` bytes behind it.
    done(unsafe { libc::msgsnd(id, ptr::from_ref(message).cast(), LEN, 0) });
}

/// `msgrcv(2)` of any kind, and what it returns.
#[inline]
pub fn msgrcv<const LEN: usize>(id: i32, message: &mut Message<LEN>, flags: c_int) -> isize {
    // SAFETY: `message` is its kind, and room for `LEN` bytes behind it.
    unsafe { libc::msgrcv(id, ptr::from_mut(message).cast(), LEN, 0, flags) }
}

/// `sem_t`, between processes.
#[derive(Debug)]
pub struct Semaphore(Box<UnsafeCell<libc::sem_t>>);

impl Semaphore {
    /// `sem_init(3)`.
    pub fn new(permits: u32) -> Self {
        // SAFETY: all zeroes is a valid `sem_t`.
        let semaphore = Self(Box::new(UnsafeCell::new(unsafe { mem::zeroed() })));
        // SAFETY: the semaphore is valid for writes.
        done(unsafe { libc::sem_init(semaphore.0.get(), 1, permits) });
        semaphore
    }

    /// `sem_wait(3)`.
    #[inline]
    pub fn wait(&self) {
        // SAFETY: it was initialized.
        done(unsafe { libc::sem_wait(self.0.get()) });
    }

    /// `sem_trywait(3)`, and what it returns.
    #[inline]
    pub fn try_wait(&self) -> isize {
        // SAFETY: it was initialized.
        unsafe { libc::sem_trywait(self.0.get()) as isize }
    }

    /// `sem_clockwait(3)` for at most a second, by the monotonic clock.
    #[inline]
    pub fn wait_a_second(&self) {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for writes.
        done(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) });
        time.tv_sec += 1;
        // SAFETY: it was initialized, and `time` is valid for reads.
        done(unsafe { sem_clockwait(self.0.get(), libc::CLOCK_MONOTONIC, &raw const time) });
    }

    /// `sem_post(3)`.
    #[inline]
    pub fn post(&self) {
        // SAFETY: it was initialized.
        done(unsafe { libc::sem_post(self.0.get()) });
    }
}

/// `semop(2)` of one semaphore with `SEM_UNDO` and `flags`, and what it returns.
#[inline]
pub fn semop(id: i32, change: i16, flags: c_int) -> isize {
    let flags = libc::SEM_UNDO | flags;
    let mut op = libc::sembuf { sem_num: 0, sem_op: change, sem_flg: flags as i16 };
    // SAFETY: `op` is one of them.
    unsafe { libc::semop(id, &raw mut op, 1) as isize }
}

/// `sigqueue(3)` to this process, with a value.
#[inline]
pub fn signal(process: u32, signal: c_int) {
    let value = libc::sigval { sival_ptr: ptr::without_provenance_mut(7) };
    // SAFETY: the value is a number.
    done(unsafe { sigqueue(process.cast_signed(), signal, value) });
}

/// `sigwaitinfo(2)`.
#[inline]
pub fn take_signal(signal: c_int) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` is valid for writes.
    done(unsafe { libc::sigemptyset(set.as_mut_ptr()) });
    // SAFETY: `set` was initialized.
    done(unsafe { libc::sigaddset(set.as_mut_ptr(), signal) });
    let mut info = MaybeUninit::uninit();
    // SAFETY: as above, and `info` is valid for writes.
    let taken = unsafe { libc::sigwaitinfo(set.as_ptr(), info.as_mut_ptr()) };
    assert_eq!(taken, signal);
}

/// `send(2)`.
#[inline]
pub fn send(socket: &impl AsFd, bytes: &[u8]) -> usize {
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length are those of `bytes`.
    len(unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
}

/// `recv(2)`, and what it returns.
#[inline]
pub fn recv(socket: &impl AsFd, buffer: &mut [u8], flags: c_int) -> isize {
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length are those of `buffer`.
    unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), flags) }
}

/// `recvmsg(2)` without a control message, and what it returns. What was cut, or had descriptors, is told apart.
///
/// # Panics
///
/// Where something was lost.
#[inline]
pub fn recvmsg(socket: &impl AsFd, buffer: &mut [u8], flags: c_int) -> isize {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeroes is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = (&raw const part).cast_mut();
    header.msg_iovlen = 1 as _;
    let (socket, flags) = (socket.as_fd().as_raw_fd(), flags | libc::MSG_CMSG_CLOEXEC);
    // SAFETY: `header` points to `part`, and so to `buffer`, which is valid for writes.
    let len = unsafe { libc::recvmsg(socket, &raw mut header, flags) };
    assert_eq!(header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC), 0, "all has come");
    len
}

const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

/// `sendto(2)`.
#[inline]
pub fn sendto(socket: &impl AsFd, bytes: &[u8], to: SocketAddrV4) {
    let to = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
        sin_zero: [0; 8],
    };
    let socket = socket.as_fd().as_raw_fd();
    let (start, count, to) = (bytes.as_ptr().cast(), bytes.len(), (&raw const to).cast());
    // SAFETY: the pointer and the length are those of `bytes`, and `to` is an address of this length.
    len(unsafe { libc::sendto(socket, start, count, libc::MSG_NOSIGNAL, to, ADDRESS_LEN) });
}

/// `recvfrom(2)`: the port it comes from.
#[inline]
pub fn recvfrom(socket: &impl AsFd, buffer: &mut [u8]) -> u16 {
    // SAFETY: all zeroes is a valid address.
    let mut from: libc::sockaddr_in = unsafe { mem::zeroed() };
    let mut from_len = ADDRESS_LEN;
    let socket = socket.as_fd().as_raw_fd();
    let (start, count) = (buffer.as_mut_ptr().cast(), buffer.len());
    let address = (&raw mut from).cast();
    // SAFETY: the pointer and the length are those of `buffer`, and `from` is valid for writes of its length.
    len(unsafe { libc::recvfrom(socket, start, count, 0, address, &raw mut from_len) });
    u16::from_be(from.sin_port)
}

/// Room for a control message with one descriptor.
#[repr(C, align(8))]
struct Control([u8; 24]);

/// `sendmsg(2)` with a descriptor.
#[inline]
pub fn send_fd(socket: &impl AsFd, bytes: &[u8], fd: &impl AsFd) {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 24]);
    let header = header(&raw const part, &mut control);
    // SAFETY: `header` is valid, and has room for one.
    let right = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: all zeroes is a valid `cmsghdr`.
    let mut value: libc::cmsghdr = unsafe { mem::zeroed() };
    // SAFETY: arithmetic only.
    value.cmsg_len = unsafe { libc::CMSG_LEN(4) } as _;
    value.cmsg_level = libc::SOL_SOCKET;
    value.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: the control buffer is aligned for it and longer.
    unsafe { right.write(value) };
    // SAFETY: the buffer goes on behind the header.
    let data: *mut RawFd = unsafe { libc::CMSG_DATA(right) }.cast();
    // SAFETY: for four bytes.
    unsafe { data.write(fd.as_fd().as_raw_fd()) };
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: `header` points to `part` and `control`, which are only read.
    len(unsafe { libc::sendmsg(socket, &raw const header, libc::MSG_NOSIGNAL) });
}

/// `recvmsg(2)` with a descriptor.
#[inline]
pub fn recv_fd(socket: &impl AsFd, buffer: &mut [u8]) -> OwnedFd {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 24]);
    let mut header = header(&raw const part, &mut control);
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: `header` points to `part`, and so to `buffer`, and to `control`: all valid for writes.
    len(unsafe { libc::recvmsg(socket, &raw mut header, libc::MSG_CMSG_CLOEXEC) });
    // SAFETY: the kernel has filled the control buffer.
    let right = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    assert!(!right.is_null(), "a descriptor came");
    // SAFETY: a header of the kernel, with a descriptor behind it.
    let data: *const RawFd = unsafe { libc::CMSG_DATA(right) }.cast();
    // SAFETY: as above.
    let fd = unsafe { data.read() };
    // SAFETY: the kernel made it for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn header(part: *const libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: all zeroes is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = part.cast_mut();
    header.msg_iovlen = 1 as _;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    header
}

/// `flock(2)`, and what it returns.
#[inline]
pub fn flock(file: &impl AsFd, operation: c_int) -> isize {
    // SAFETY: integers only.
    unsafe { libc::flock(file.as_fd().as_raw_fd(), operation) as isize }
}

/// `fcntl(2)` with a lock of all bytes, such as `F_SETLKW` and `F_WRLCK`, and what it returns.
#[inline]
pub fn record_lock(file: &impl AsFd, command: c_int, kind: c_int) -> isize {
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: `lock` is what these commands take.
    unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw const lock) as isize }
}
