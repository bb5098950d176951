//! Unix signals: sets, blocking, sending with a value, `signalfd`, `sigwaitinfo` and safe handlers.
//!
//! ```
//! use mp_signal::{Block, Signal, Target, queue};
//!
//! let job = Signal::rt(0)?;
//! let block = Block::new(job)?; // in `main`, before other threads start
//! for number in 1..=3 {
//!     queue(Target::this_thread(), job, number)?; // usually to another process
//! }
//! for expected in 1..=3 {
//!     let info = block.wait()?;
//!     assert_eq!(info.value().map(|value| value.as_i32()), Some(expected));
//!     assert_eq!(info.pid(), Some(std::process::id()));
//! }
//! # Ok::<(), mp_signal::Error>(())
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`Signal`], [`SignalSet`], [`DefaultAction`] | the signals, by number and name, with descriptions |
//! | [`send`], [`exists`], [`Target`] | to a process, thread, group or pidfd |
//! | [`queue`], [`Value`] | with a number along; real-time signals queue in order |
//! | [`Block`] | a thread does not take a set of signals for a while, and [waits](Block::wait) for them (`sigwaitinfo`) |
//! | [`SignalFd`] | signals as things to read, beside other descriptors |
//! | [`handler::Flag`], [`handler::Wake`], [`handler::Signals`] | handlers that cannot do anything unsafe, on `signal-hook` |
//! | [`SignalInfo`], [`Cause`] | which signal, why, from whom, with which value |
//! | [`Disposition`], [`reset_for_child`] | ignore a signal; what a forked child has to undo |
//!
//! # Which way to receive
//!
//! | | needs the mask of every thread | order kept | beside other descriptors | unread signals |
//! |---|---|---|---|---|
//! | [`Block::wait`] | yes | yes | no | stay in the kernel |
//! | [`SignalFd`] | yes | yes | yes | stay in the kernel |
//! | [`handler::Signals`] | no | for each number and thread | yes | about 2700, then once for each signal |
//! | [`handler::Wake`] | no | not told apart | yes | a byte each, while there is room |
//! | [`handler::Flag`] | no | not told apart | no | one flag |
//!
//! # What signals do not do
//!
//! * `SIGKILL` and `SIGSTOP` cannot be blocked, caught, ignored or waited for. C silently ignores the attempt; here it is an
//!   error before any call.
//! * Standard signals do not queue: of many that are sent while one is pending, the first is delivered. Count nothing
//!   with them; in particular `SIGCHLD` does not tell *how many* children ended. Use a [`PidFd`] for each.
//! * A queued signal's sender is what the sender wrote, so it proves nothing.
//! * There is no acknowledgement: [`send`] succeeds when the signal is pending, whether or not anybody ever takes it.
//!
//! And this crate does *not* offer handlers that run your code (what they may do is too little to be worth it), alternate
//! stacks, fault handlers, or timers.
//!
//! # What the kernel promises when a process is killed
//!
//! | killed with `SIGKILL` | then |
//! |---|---|
//! | the sender, after `send` or `queue` returned | the signal is pending or delivered, with the sender's number and the value |
//! | the sender, inside the call | it is sent or not, never half |
//! | the receiver | its pending signals vanish; a signal to a zombie succeeds and does nothing, then `ESRCH` |
//! | the receiver, and its number is reused | the *number* means another process; a [`PidFd`] never does |
//! | a process that holds a [`Block`], [`SignalFd`] or handler | all three are its own and go with it |
//!
//! Linux 5.10 or newer, x86_64 and aarch64.

#![deny(unsafe_code)]

mod block;
mod disposition;
mod fd;
pub mod handler;
mod info;
mod names;
mod send;
mod set;
mod signal;
mod sys;
mod wait;

pub use mp_os::{Error, PidFd, Result, TimeoutError, TryError};

pub use crate::{
    block::Block,
    disposition::{Disposition, reset_for_child},
    fd::SignalFd,
    info::{Cause, SignalInfo, Value},
    send::{Target, exists, queue, send},
    set::SignalSet,
    signal::{DefaultAction, Signal},
};
