//! Pipe ends inside messages that carry descriptors.

use mp_os::transfer;
use mp_pipe::{PIPE_BUF, PacketReader, PacketWriter, PipeReader, PipeWriter};
use mp_testkit::isolated;

use crate::{Backend, for_every_backend};

for_every_backend! { travels_in_a_message }

fn travels_in_a_message(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (bytes, fds) = transfer::collect(|| postcard::to_stdvec(&(&reader, &writer)).unwrap());
    drop((reader, writer));
    let (reader, writer): (PipeReader, PipeWriter) =
        transfer::provide(fds, || postcard::from_bytes(&bytes)).unwrap();
    writer.write(b"x").unwrap();
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 1);

    let (bytes, fds) = transfer::collect(|| postcard::to_stdvec(&reader).unwrap());
    let wrong = transfer::provide(fds, || postcard::from_bytes::<PipeWriter>(&bytes));
    assert!(wrong.is_err(), "a reader is no writer");
}

#[test]
fn packet_ends_travel() {
    isolated(|| {
        let ends = mp_pipe::packets().unwrap();
        let (bytes, fds) = transfer::collect(|| postcard::to_stdvec(&ends).unwrap());
        let (reader, writer): (PacketReader, PacketWriter) =
            transfer::provide(fds, || postcard::from_bytes(&bytes)).unwrap();
        writer.send(b"a").unwrap();
        writer.send(b"b").unwrap();
        assert_eq!(reader.recv(&mut [0; PIPE_BUF]).unwrap(), Some(1));
    });
}
