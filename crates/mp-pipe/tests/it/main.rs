//! The integration tests of mp-pipe.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]

mod allocations;
mod conformance;
mod fifo;
mod interop;
mod kills;
mod packets;
mod signals;
mod splice;
#[cfg(feature = "serde")]
mod travels;

use mp_pipe::{Fifo, PipeReader, PipeWriter};

/// A pipe by one of the two ways to make one.
trait Backend {
    fn ends(&self) -> (PipeReader, PipeWriter);
}

struct Pipe;

impl Backend for Pipe {
    fn ends(&self) -> (PipeReader, PipeWriter) {
        mp_pipe::pipe().unwrap()
    }
}

struct Named;

impl Backend for Named {
    fn ends(&self) -> (PipeReader, PipeWriter) {
        let directory = tempfile::tempdir().unwrap();
        let fifo = Fifo::create_new(directory.path().join("fifo"), 0o600).unwrap();
        // With an end of both kinds open neither of the others waits.
        let _both = fifo.listen().unwrap();
        (fifo.open_reader().unwrap(), fifo.open_writer().unwrap())
    }
}

/// Writes each function of this module as a test of every backend.
macro_rules! for_every_backend {
    ($($test:ident),+ $(,)?) => {
        mod pipe {
            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test(&crate::Pipe));
            })+
        }

        mod fifo {
            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test(&crate::Named));
            })+
        }
    };
}

use for_every_backend;

/// Fills the pipe to the last byte.
fn fill(writer: &PipeWriter) -> usize {
    let mut total = 0;
    for piece in [&[7; 4096][..], &[7]] {
        while let Ok(count) = writer.try_write(piece) {
            total += count;
        }
    }
    total
}
