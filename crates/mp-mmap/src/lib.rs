//! Memory that other processes may write, mapped and used without `unsafe`.
//!
//! A `&[u8]` promises that nobody changes the bytes, which no shared mapping can keep. So a [`Mapping`] hands out copies
//! and atomics, bounds-checked, and never a reference to plain bytes.
//!
//! ```
//! use mp_mmap::Mapping;
//! use std::{fs::File, sync::atomic::Ordering};
//!
//! # let path = std::env::temp_dir().join(format!("mp-mmap-tour-{}", std::process::id()));
//! let file = File::options().read(true).write(true).create_new(true).open(&path)?;
//! file.set_len(4096)?;
//! let mapping = Mapping::map(&file)?;
//!
//! mapping.copy_in(8, b"hello")?;
//! mapping.atomic_u32(0).unwrap().store(5, Ordering::Release);
//!
//! let mut text = [0; 5];
//! mapping.copy_out(8, &mut text)?;
//! assert_eq!(&text, b"hello");
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Mapping`], [`ReadMapping`] | pages that can be read and written, or only read |
//! | [`MapOptions`] | which part of a file, shared, private or anonymous, populated, of [huge pages](HugePage) |
//! | [`Memory`], [`ReadMemory`] | what can be done with bytes that others may write, whoever mapped them; a [`Part`] of them |
//! | [`Slice`], [`Atomic`] | plain values in a row; the atomics that memory can hold |
//! | [`Advice`] | what the kernel may expect of pages |
//! | [`OutOfBounds`], [`GuardedError`] | the range is not inside the memory; a copy that met the end of a truncated file |
//!
//! # Truncation
//!
//! Whoever may write a file may truncate it, and an access to a page beyond its end is then met with `SIGBUS`, which kills the
//! process. Where such peers exist there are two ways out: memory whose size is sealed (a memfd, see the crate `mp-shm`), or
//! [copies by the kernel](ReadMemory::copy_out_guarded), which are an error then. This crate installs no signal handler.
//!
//! # What a mapping does not do
//!
//! * It hands out no `&[u8]`, `&mut [u8]` or `&T`. A crate that needs one has to prove that nobody writes.
//! * Copies are not atomic: bytes that others write meanwhile come out as any mixture of old and new. Use an atomic to say
//!   when they are complete, or a lock. Bytes used as an atomic should be used as nothing else.
//! * No pages without access, none that can be executed, none at a given address.
//! * The shared memory of [`Mapping::anonymous`] reaches forked children only.
//!
//! # What is left when a process is killed
//!
//! | killed by `SIGKILL` | what the others see |
//! |---|---|
//! | while it has pages mapped | the same bytes as before; the file gets them in time |
//! | in the middle of a copy | any part of the copy |
//! | before or after the store of an atomic | the old value or the new one |
//! | while it is flushing | the same; only a power cut can tell the difference |
//! | while it has pages locked | they are unlocked |

#![deny(unsafe_code)]

mod atomic;
mod guard;
mod mapping;
mod memory;
mod options;
mod pages;
mod slice;
mod sys;

pub use crate::{
    atomic::Atomic,
    guard::GuardedError,
    mapping::{Mapping, ReadMapping},
    memory::{Memory, OutOfBounds, Part, ReadMemory},
    options::{HugePage, MapOptions},
    pages::Advice,
    slice::Slice,
};
pub use mp_os::{Error, Result};
