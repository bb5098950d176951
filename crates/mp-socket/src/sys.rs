//! The system calls of this crate that nix does not cover, or covers with heap allocations.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them. Control messages are parsed only after the kernel wrote them, and each
//! descriptor in them is owned from that moment on.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use mp_os::{cvt, retry};
use nix::{libc, sys::socket::SockaddrLike};

/// `SCM_MAX_FD` of the kernel: the most descriptors of one message.
pub(crate) const MAX_FDS: usize = 253;

/// `SCM_PIDFD` of `linux/socket.h`: comes with every message where somebody set `SO_PASSPIDFD`.
const SCM_PIDFD: libc::c_int = 0x04;

/// Room for the most descriptors, and for the credentials, pidfd and timestamp that a foreign option may add.
const CONTROL_LEN: usize = space(MAX_FDS * mem::size_of::<RawFd>())
    + space(mem::size_of::<libc::ucred>())
    + space(mem::size_of::<RawFd>())
    + space(mem::size_of::<libc::timespec>());

const fn space(payload: usize) -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_SPACE(payload as libc::c_uint) as usize }
}

/// A control buffer on the stack, aligned as `cmsghdr` wants it.
#[repr(C, align(8))]
struct Control(MaybeUninit<[u8; CONTROL_LEN]>);

/// What `recvmsg(2)` told beside the bytes; `A` is the type of the sender's address, `()` where nobody asks.
pub(crate) struct Arrival<A> {
    /// The bytes received; with `MSG_TRUNC` those of the whole message, also where the buffer was shorter.
    pub(crate) len: usize,
    /// `MSG_TRUNC`, `MSG_CTRUNC`.
    pub(crate) flags: libc::c_int,
    pub(crate) fds: Vec<OwnedFd>,
    /// Where it came from, if that has a name.
    pub(crate) from: Option<A>,
}

fn header(parts: *const libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zeroes is a valid `msghdr`: null pointers and zero lengths.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = parts.cast_mut();
    header.msg_iovlen = count as _;
    header
}

/// `sendmsg(2)` with at most [`MAX_FDS`] descriptors, retried after signals, never raising `SIGPIPE`.
///
/// One part without descriptors goes by `sendto(2)`, for which the kernel has less to fetch.
#[inline]
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    to: Option<&dyn SockaddrLike>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: libc::c_int,
) -> io::Result<usize> {
    match (parts, fds) {
        ([bytes], []) => sendto(socket, to, bytes, flags),
        _ => sendmsg(socket, to, parts, fds, flags),
    }
}

#[inline]
fn sendto(
    socket: BorrowedFd<'_>,
    to: Option<&dyn SockaddrLike>,
    bytes: &[u8],
    flags: libc::c_int,
) -> io::Result<usize> {
    let (name, name_len) = to.map_or((ptr::null(), 0), |to| (to.as_ptr(), to.len()));
    let (fd, start, flags) =
        (socket.as_raw_fd(), bytes.as_ptr().cast(), flags | libc::MSG_NOSIGNAL);
    let sent = retry(|| {
        // SAFETY: the pointer and the length are those of `bytes`, the others null and zero or those of `to`.
        cvt(unsafe { libc::sendto(fd, start, bytes.len(), flags, name, name_len) })
    })?;
    Ok(sent.unsigned_abs())
}

fn sendmsg(
    socket: BorrowedFd<'_>,
    to: Option<&dyn SockaddrLike>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: libc::c_int,
) -> io::Result<usize> {
    // `IoSlice` has the layout of `iovec`, as std guarantees.
    let mut header = header(parts.as_ptr().cast(), parts.len().min(libc::UIO_MAXIOV as usize));
    if let Some(to) = to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
    }
    let mut control = Control(MaybeUninit::uninit());
    if !fds.is_empty() {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = space(mem::size_of_val(fds)) as _;
        put_fds(&header, fds);
    }
    let sent = retry(|| {
        let flags = flags | libc::MSG_NOSIGNAL;
        // SAFETY: `header` points to `to`, `parts` and `control`, which outlive the call and are only read.
        cvt(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) })
    })?;
    Ok(sent.unsigned_abs())
}

/// Writes `fds` as the one control message of `header`, whose control buffer has room for them.
fn put_fds(header: &libc::msghdr, fds: &[BorrowedFd<'_>]) {
    // SAFETY: `header` is valid, and its control buffer is longer than a `cmsghdr`.
    let control = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: all zeroes is a valid `cmsghdr`.
    let mut value: libc::cmsghdr = unsafe { mem::zeroed() };
    // SAFETY: arithmetic only.
    value.cmsg_len = unsafe { libc::CMSG_LEN(mem::size_of_val(fds) as libc::c_uint) } as _;
    value.cmsg_level = libc::SOL_SOCKET;
    value.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: the control buffer is aligned for a `cmsghdr` and has room for it.
    unsafe { control.write(value) };
    // SAFETY: `control` is a header with room for its data behind it.
    let data = unsafe { libc::CMSG_DATA(control) };
    // SAFETY: that room is for `fds`, and `BorrowedFd` has the layout of `RawFd`, as std guarantees.
    unsafe { data.copy_from_nonoverlapping(fds.as_ptr().cast(), mem::size_of_val(fds)) };
}

/// `recvmsg(2)`, retried after signals; descriptors that come are close-on-exec.
///
/// Without `take_fds` no control buffer is given: the kernel closes descriptors that come and says `MSG_CTRUNC`.
#[inline]
pub(crate) fn recvmsg<A: SockaddrLike>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take_fds: bool,
    flags: libc::c_int,
) -> io::Result<Arrival<A>> {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut header = header(&raw const part, 1);
    // SAFETY: all zeroes is a valid `sockaddr_storage`, of no family.
    let mut name: libc::sockaddr_storage = unsafe { mem::zeroed() };
    if mem::size_of::<A>() > 0 {
        header.msg_name = (&raw mut name).cast();
        header.msg_namelen = mem::size_of_val(&name) as libc::socklen_t;
    }
    let mut control = Control(MaybeUninit::uninit());
    if take_fds {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_LEN as _;
    }
    let len = retry(|| {
        let flags = flags | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: `header` points to `name`, `buffer` and `control`, which outlive the call and are valid for writes.
        cvt(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) })
    })?;
    let fds = if take_fds { take_rights(&header) } else { Vec::new() };
    // The kernel counts a NUL that does not fit into the address of a Unix socket.
    let name_len = header.msg_namelen.min(mem::size_of::<A>() as libc::socklen_t);
    // SAFETY: `name` is initialized and larger than any address, `name_len` at most the size of one of this type.
    let from = unsafe { A::from_raw((&raw const name).cast(), Some(name_len)) };
    Ok(Arrival { len: len.unsigned_abs(), flags: header.msg_flags, fds, from })
}

/// `recvfrom(2)`, retried after signals: what [`recvmsg`] does where no descriptors can come, for less.
#[inline]
pub(crate) fn recvfrom<A: SockaddrLike>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<Arrival<A>> {
    let (fd, start, room) = (socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: all zeroes is a valid `sockaddr_storage`, of no family.
    let mut name: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let wanted = mem::size_of::<A>() > 0;
    let address = if wanted { (&raw mut name).cast() } else { ptr::null_mut() };
    let mut name_len = mem::size_of_val(&name) as libc::socklen_t;
    let len = retry(|| {
        // SAFETY: the pointer and the length are those of `buffer`; `address` is null or valid for writes of `name_len`.
        cvt(unsafe { libc::recvfrom(fd, start, room, flags, address, &raw mut name_len) })
    })?
    .unsigned_abs();
    let name_len = name_len.min(mem::size_of::<A>() as libc::socklen_t);
    // SAFETY: `name` is initialized and larger than any address, `name_len` at most the size of one of this type.
    let from = unsafe { A::from_raw((&raw const name).cast(), Some(name_len)) };
    // Only with `MSG_TRUNC` among `flags` is it told more than there is room for.
    let flags = if len > room { libc::MSG_TRUNC } else { 0 };
    Ok(Arrival { len, flags, fds: Vec::new(), from })
}

/// `accept4(2)`, close-on-exec: a connection and the peer's address.
pub(crate) fn accept<A: SockaddrLike>(
    listener: BorrowedFd<'_>,
) -> io::Result<(OwnedFd, Option<A>)> {
    // SAFETY: all zeroes is a valid `sockaddr_storage`, of no family.
    let mut name: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = mem::size_of_val(&name) as libc::socklen_t;
    let address = (&raw mut name).cast();
    // SAFETY: `address` is valid for writes of `len` bytes.
    let fd = cvt(unsafe {
        libc::accept4(listener.as_raw_fd(), address, &raw mut len, libc::SOCK_CLOEXEC)
    })?;
    // SAFETY: the kernel just made the descriptor, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let len = len.min(mem::size_of::<A>() as libc::socklen_t);
    // SAFETY: `name` is initialized and larger than any address, `len` at most the size of one of this type.
    let from = unsafe { A::from_raw(address, Some(len)) };
    Ok((fd, from))
}

/// Takes over the descriptor of this number.
///
/// The caller has it from a protocol by which it belongs to this process and nobody in it uses it yet.
pub(crate) fn inherit(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: integers only.
    cvt(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, as the call above has shown, and ours, by the contract of this function.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Removes a variable from the environment, of a process that has no other thread.
pub(crate) fn remove_variable(name: &str) {
    // SAFETY: the caller has made sure that no other thread can be reading the environment.
    unsafe { std::env::remove_var(name) };
}

/// Takes ownership of the descriptors in the control messages that the kernel has just written.
fn take_rights(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut rights = Vec::new();
    // SAFETY: `header` is valid; its control buffer holds `msg_controllen` bytes written by the kernel.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: the kernel wrote a whole header there.
        let control = unsafe { next.read() };
        if control.cmsg_level == libc::SOL_SOCKET {
            // SAFETY: as above.
            let data: *const RawFd = unsafe { libc::CMSG_DATA(next) }.cast();
            // SAFETY: arithmetic only.
            let payload = control.cmsg_len as usize - unsafe { libc::CMSG_LEN(0) } as usize;
            let fds = (0..payload / mem::size_of::<RawFd>()).map(|index| own_fd(data, index));
            match control.cmsg_type {
                libc::SCM_RIGHTS => rights.extend(fds),
                // Nobody here asked for it, so it is closed.
                SCM_PIDFD => fds.for_each(drop),
                _ => {}
            }
        }
        // SAFETY: `next` is a header within the control buffer of `header`.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    rights
}

/// Owns the descriptor at `index` of the payload `data`, which must be within one that the kernel has just written.
fn own_fd(data: *const RawFd, index: usize) -> OwnedFd {
    // SAFETY: within the payload, by the contract above.
    let place = unsafe { data.add(index) };
    // SAFETY: written by the kernel; the payload of a control message need not be aligned.
    let fd = unsafe { place.read_unaligned() };
    // SAFETY: the kernel made the descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// An integer option of the socket level, such as `SO_DOMAIN`.
pub(crate) fn socket_option(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` is valid for writes of `len` bytes.
    cvt(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut len,
        )
    })?;
    Ok(value)
}
