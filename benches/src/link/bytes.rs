//! Byte streams of the standard library.

use std::{
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    os::unix::net::UnixStream,
};

use mp_os::transfer::Fd;
use serde::{Deserialize, Serialize};

use super::Link;

/// `pipe(2)`, as it comes: 64 KiB.
#[derive(Debug, Serialize, Deserialize)]
pub struct StdPipeLink(Fd<PipeReader>, Fd<PipeWriter>);

impl Link for StdPipeLink {
    const NAME: &'static str = "std-pipe";

    fn open(_len: usize) -> Self {
        let (reader, writer) = pipe().expect("a pipe");
        Self(reader.into(), writer.into())
    }

    fn send(&mut self, message: &[u8]) {
        self.1.write_all(message).expect("a pipe that is read");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.read_exact(message).expect("a pipe that is written");
    }
}

/// A Unix stream socket.
#[derive(Debug, Serialize, Deserialize)]
pub struct StdStreamLink(Fd<UnixStream>, Fd<UnixStream>);

impl Link for StdStreamLink {
    const NAME: &'static str = "std-unix-stream";

    fn open(_len: usize) -> Self {
        let (reader, writer) = UnixStream::pair().expect("a pair of sockets");
        Self(reader.into(), writer.into())
    }

    fn send(&mut self, message: &[u8]) {
        self.1.write_all(message).expect("a socket that is read");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.read_exact(message).expect("a socket that is written");
    }
}
