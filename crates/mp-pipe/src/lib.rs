//! Pipes.

#![deny(unsafe_code)]

mod end;
mod fifo;
mod packet;
mod pipe;
mod reader;
mod rendezvous;
mod splice;
mod sys;
#[cfg(feature = "serde")]
mod transfer;
mod writer;

pub use mp_os::{
    Deadline, Error, Result, TimeoutError, TryError,
    frame::{ByteSink, ByteSource, Framed},
};

pub use crate::{
    fifo::Fifo,
    packet::{PacketReader, PacketWriter},
    pipe::{PIPE_BUF, packets, pipe},
    reader::PipeReader,
    writer::PipeWriter,
};
