//! What the workspace is compared with, made to fit the questions of [`mp_benches`].
//!
//! | item | what it is |
//! |---|---|
//! | [`link`](mod@link) | ways to send a message to another process, by one trait, that of `mp-benches` |
//! | [`thread`] | channels between threads, by one trait, and what they cost |
//! | [`python`], [`Case`] | what Python's `multiprocessing` does, measured inside Python |

#![deny(unsafe_code)]

pub mod link;
mod python;
mod sys;
pub mod thread;
mod unique;

pub use crate::python::{Case, python};
use crate::unique::unique;
