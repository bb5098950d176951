//! The tasks as they are called.

mod deny_syscalls;
mod list;
