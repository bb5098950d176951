//! Sockets between processes.

#![deny(unsafe_code)]

mod message;
mod peer;
mod seqpacket;
mod sys;
#[cfg(feature = "serde")]
mod transfer;

pub use mp_os::{Error, PidFd, Result, TimeoutError, TryError};

pub use crate::{message::Received, peer::Credentials, seqpacket::SeqpacketSocket};
