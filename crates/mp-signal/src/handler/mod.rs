//! Handlers that are async-signal-safe by construction: each sets a flag, writes a byte or writes a record, nothing else.
//!
//! | type | what its handler does | use it to |
//! |---|---|---|
//! | [`Flag`] | sets an atomic flag | ask in a loop whether to stop |
//! | [`Wake`] | writes a byte into your pipe or socket | wake a `poll` that waits for other things too (self-pipe) |
//! | [`Signals`] | writes who, why and which value into its own pipe | receive signals one after another, in any thread |
//!
//! They work on [`signal-hook`](https://docs.rs/signal-hook): any number of them share a signal, and a handler that was
//! installed before the first one is called before them. System calls go on after a handler (`SA_RESTART`), except those
//! that `signal(7)` lists as never restarted, `poll(2)` among them. Unlike with `signal-hook` alone, the signal is as it
//! was before (deadly, or ignored) once the last of them is dropped. So a program that registers handlers for the same
//! signal with `signal-hook` itself, or tokio, registers those *first*.
//!
//! No handler of this crate can be registered for `SIGKILL` and `SIGSTOP`, which nobody can catch, nor for `SIGSEGV`,
//! `SIGILL` and `SIGFPE`: returning from a handler of those executes the faulty instruction again, for ever.
//!
//! A forked child (without `execve(2)`) has the same handlers. Its signals are not reported to its parent, and not by
//! default deadly to it: see [`reset_for_child`](crate::reset_for_child).

mod flag;
mod registration;
mod signals;
mod wake;

pub(crate) use self::signals::Inbox;
pub use self::{flag::Flag, signals::Signals, wake::Wake};
