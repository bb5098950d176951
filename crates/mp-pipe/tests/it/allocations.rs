//! Reading and writing allocate nothing, in any form.

use std::time::Duration;

use mp_pipe::{Framed, PIPE_BUF};
use mp_testkit::{CountingAllocator, allocates_nothing};

use crate::{Backend, for_every_backend};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_millis(1);

for_every_backend! { bytes, full, splices, frames }

fn bytes(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut buffer = [0; 64];
    allocates_nothing(|| {
        for _ in 0..100 {
            writer.write(b"message").unwrap();
            reader.read(&mut buffer).unwrap();
            writer.try_write(b"message").unwrap();
            reader.try_read(&mut buffer).unwrap();
            writer.write_message_timeout(b"message", Duration::from_secs(9)).unwrap();
            reader.read_timeout(&mut buffer, Duration::from_secs(9)).unwrap();
            assert!(reader.try_read(&mut buffer).is_err());
        }
    });
}

fn full(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut buffer = [0; PIPE_BUF];
    allocates_nothing(|| {
        while writer.try_write(&buffer).is_ok() {}
        assert!(writer.try_write_message(b"x").is_err());
        assert!(writer.write_timeout(b"x", SOON).is_err());
        while reader.try_read(&mut buffer).is_ok() {}
        assert!(reader.read_timeout(&mut buffer, SOON).is_err());
    });
}

fn splices(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (there, into) = backend.ends();
    let mut buffer = [0; 64];
    allocates_nothing(|| {
        for _ in 0..100 {
            writer.write(b"message").unwrap();
            assert_eq!(reader.tee_to(&into, 64).unwrap(), 7);
            assert_eq!(reader.splice_to(&into, 64).unwrap(), 7);
            assert_eq!(there.read(&mut buffer).unwrap(), 14);
            assert!(reader.try_splice_to(&into, 64).is_err());
            assert!(into.try_splice_from(&reader, 64).is_err());
        }
    });
}

fn frames(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (mut receiver, mut sender) = (Framed::new(reader), Framed::new(writer));
    sender.send(&[0; 1000]).unwrap();
    receiver.recv().unwrap();
    // The buffer of the first message is used again.
    allocates_nothing(|| {
        for len in 0..1000 {
            sender.send(&[1; 1000][..len]).unwrap();
            assert_eq!(receiver.recv().unwrap().map(<[u8]>::len), Some(len));
        }
    });
}

#[test]
fn packets() {
    mp_testkit::isolated(|| {
        let (reader, writer) = mp_pipe::packets().unwrap();
        let mut buffer = [0; PIPE_BUF];
        allocates_nothing(|| {
            for _ in 0..100 {
                writer.send(b"packet").unwrap();
                reader.recv_timeout(&mut buffer, Duration::from_secs(9)).unwrap();
            }
            while writer.try_send(b"packet").is_ok() {}
            assert!(writer.send_timeout(b"packet", SOON).is_err());
            while reader.try_recv(&mut buffer).is_ok() {}
            assert!(reader.recv_timeout(&mut buffer, SOON).is_err());
        });
    });
}
