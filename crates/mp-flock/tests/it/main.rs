//! File locks across processes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod allocations;
mod conformance;
mod errors;
mod holders;
mod interop;
mod pidfile;
mod ranges;
mod traps;
mod upgrade;
