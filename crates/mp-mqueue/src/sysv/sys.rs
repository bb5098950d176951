//! The `msg*` calls.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals, for the length of one call that does
//! not keep them. An identifier that means another object or none is an error of the kernel.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io,
    mem::{self, MaybeUninit},
    ptr,
};

use mp_os::{cvt, retry};
use nix::libc::{self, c_long};

/// The longest message in bytes for which no memory is allocated: the default of `kernel.msgmax`.
const INLINE: usize = 8192;
const WORD: usize = size_of::<c_long>();

/// What the kernel reads and writes, `struct msgbuf`: a word for the type, then the bytes.
type Frame = [MaybeUninit<c_long>];

pub(super) fn get(key: i32, flags: i32) -> io::Result<i32> {
    // SAFETY: integers only.
    cvt(unsafe { libc::msgget(key, flags) })
}

/// `msgsnd(2)`; a signal handler makes it start anew.
#[inline]
pub(super) fn send(id: i32, bytes: &[u8], kind: c_long, flags: i32) -> io::Result<()> {
    with_frame(bytes.len(), |frame| {
        frame[0].write(kind);
        let text = frame[1..].as_mut_ptr().cast::<u8>();
        // SAFETY: the frame has room for `bytes` behind its first word, and is not part of them.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), text, bytes.len()) };
        let frame = frame.as_ptr().cast();
        retry(|| {
            // SAFETY: `frame` begins with the type, and that many bytes follow.
            cvt(unsafe { libc::msgsnd(id, frame, bytes.len(), flags) })
        })
        .map(drop)
    })
}

/// A message that `msgrcv(2)` took: its type, and its length, which may be more than the buffer holds of it.
pub(super) struct Received {
    pub(super) kind: c_long,
    pub(super) len: usize,
}

/// `msgrcv(2)`; a signal handler makes it start anew. With `MSG_NOERROR` a longer message is cut.
#[inline]
pub(super) fn receive(
    id: i32,
    buffer: &mut [u8],
    kind: c_long,
    flags: i32,
) -> io::Result<Received> {
    // Most messages are short, however large the buffer is: memory is allocated only once a long one is there.
    let is_long = buffer.len() >= INLINE;
    let (room, first) =
        if is_long { (INLINE, flags & !libc::MSG_NOERROR) } else { (buffer.len(), flags) };
    let mut frame = [MaybeUninit::uninit(); 1 + INLINE / WORD];
    match receive_by(&mut frame, id, &mut buffer[..room], kind, first) {
        Err(error) if is_long && error.raw_os_error() == Some(libc::E2BIG) => {
            receive_long(id, buffer, kind, flags)
        }
        result => result,
    }
}

/// [`receive`] of a message that is too long for the stack, or for the buffer.
#[cold]
fn receive_long(id: i32, buffer: &mut [u8], kind: c_long, flags: i32) -> io::Result<Received> {
    let mut frame = Box::new_uninit_slice(1 + (buffer.len() + 1).div_ceil(WORD));
    receive_by(&mut frame, id, buffer, kind, flags)
}

/// By a frame with room for a byte more than the buffer has, which tells a message that was cut from one that just fits.
#[inline]
fn receive_by(
    frame: &mut Frame,
    id: i32,
    buffer: &mut [u8],
    kind: c_long,
    flags: i32,
) -> io::Result<Received> {
    let room = buffer.len() + usize::from(flags & libc::MSG_NOERROR != 0);
    debug_assert!(room <= size_of_val(&frame[1..]), "the frame has room for it");
    let start = frame.as_mut_ptr();
    let len = retry(|| {
        // SAFETY: behind its first word the frame has `room` bytes.
        cvt(unsafe { libc::msgrcv(id, start.cast(), room, kind, flags) })
    })?
    .unsigned_abs();
    let text = frame[1..].as_ptr().cast::<u8>();
    // SAFETY: the kernel has written `len` bytes behind the first word, and the frame is not part of the buffer.
    unsafe { ptr::copy_nonoverlapping(text, buffer.as_mut_ptr(), len.min(buffer.len())) };
    // SAFETY: the kernel has written the first word.
    let kind = unsafe { frame[0].assume_init() };
    Ok(Received { kind, len })
}

/// Lends a frame with room for `len` bytes, on the stack where that is enough.
#[inline]
fn with_frame<R>(len: usize, call: impl FnOnce(&mut Frame) -> R) -> R {
    let words = 1 + len.div_ceil(WORD);
    let mut inline = [MaybeUninit::uninit(); 1 + INLINE / WORD];
    match inline.get_mut(..words) {
        Some(frame) => call(frame),
        None => call(&mut Box::new_uninit_slice(words)),
    }
}

pub(super) fn stat(id: i32) -> io::Result<libc::msqid_ds> {
    // SAFETY: all zeroes is a valid `msqid_ds`.
    let mut stat: libc::msqid_ds = unsafe { mem::zeroed() };
    // SAFETY: `stat` is valid for writes.
    cvt(unsafe { libc::msgctl(id, libc::IPC_STAT, &raw mut stat) })?;
    Ok(stat)
}

pub(super) fn set(id: i32, mut stat: libc::msqid_ds) -> io::Result<()> {
    // SAFETY: `stat` is valid for reads.
    cvt(unsafe { libc::msgctl(id, libc::IPC_SET, &raw mut stat) }).map(drop)
}

pub(super) fn remove(id: i32) -> io::Result<()> {
    // SAFETY: the pointer is not used by this command.
    cvt(unsafe { libc::msgctl(id, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
}
