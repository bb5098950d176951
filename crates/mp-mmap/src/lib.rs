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
//! | [`Mapping`] | pages of a file that can be read and written |
//! | [`Memory`], [`ReadMemory`] | what can be done with bytes that others may write, whoever mapped them |
//! | [`OutOfBounds`] | the range is not inside the memory |

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
