//! Pipes and FIFOs.

use std::{
    env,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use criterion::Criterion;
use mp_benches::raw;
use mp_pipe::{Fifo, PipeReader, PipeWriter};

use nix::libc;

use super::{A_SECOND, GROUPS, compare_calls, name, nonblocking};

pub(crate) fn pipes(criterion: &mut Criterion) {
    ends(criterion, "raw-pipe", || mp_pipe::pipe().expect("a pipe"));
}

pub(crate) fn fifos(criterion: &mut Criterion) {
    ends(criterion, "raw-fifo", || {
        let fifo = Fifo::create_new(env::temp_dir().join(name("fifo")), 0o600).expect("a FIFO");
        let reader = fifo.open_reader_timeout(Duration::ZERO).or_else(|_| fifo.listen());
        (reader.expect("an end that reads"), fifo.open_writer().expect("an end that writes"))
    });
}

fn ends(criterion: &mut Criterion, what: &str, open: fn() -> (PipeReader, PipeWriter)) {
    let (reader, writer) = open();
    let message = [7; 4096];
    let quietly = knows(&reader, &writer, 0);
    for len in [8, 4096] {
        let (message, name) = (&message[..len], format!("{what}-{len}"));
        let (mut ours, mut buffer, mut raw) = ([0; 4096], [0; 4096], [0; 4096]);
        if !GROUPS.contains(&&*name) {
            continue;
        }
        let calls = || {
            assert_eq!(raw::pwritev2(&writer, message, raw::RWF_NOSIGNAL), len as isize);
            assert_eq!(raw::read(&reader, &mut buffer), len as isize);
        };
        compare_calls(
            criterion,
            &name,
            || {
                assert_eq!(writer.write(message).unwrap(), len);
                assert_eq!(reader.read(&mut ours).unwrap(), len);
            },
            quietly.then_some(calls),
            || {
                assert_eq!(raw::write(&writer, message), len);
                assert_eq!(raw::read(&reader, &mut raw), len as isize);
            },
        );
    }
    let (raw_reader, raw_writer) = open();
    let raw_ends = (nonblocking(raw_reader), nonblocking(raw_writer));
    // Where the kernel cannot be told in one call not to wait, ours opens an end of its own that does not, as these are.
    let flags = if knows(&reader, &writer, libc::RWF_NOWAIT) { libc::RWF_NOWAIT } else { 0 };
    let (here, there) = match flags {
        0 => (raw_ends.0.as_fd(), raw_ends.1.as_fd()),
        _ => (reader.as_fd(), writer.as_fd()),
    };
    let read = |buffer: &mut [u8]| match flags {
        0 => raw::read(&here, buffer),
        _ => raw::preadv2(&here, buffer, flags),
    };
    let write = |bytes: &[u8]| raw::pwritev2(&there, bytes, flags | raw::RWF_NOSIGNAL);
    without_waiting(
        criterion,
        what,
        (&reader, &writer),
        &raw_ends,
        quietly.then_some((read, write)),
    );
}

/// Whether the kernel knows `RWF_NOSIGNAL`, with these other flags, for this pipe.
fn knows(reader: &PipeReader, writer: &PipeWriter, flags: libc::c_int) -> bool {
    raw::pwritev2(writer, &[7], flags | raw::RWF_NOSIGNAL) == 1 && raw::read(reader, &mut [0]) == 1
}

fn without_waiting(
    criterion: &mut Criterion,
    what: &str,
    (reader, writer): (&PipeReader, &PipeWriter),
    (raw_reader, raw_writer): &(OwnedFd, OwnedFd),
    calls: Option<(impl Fn(&mut [u8]) -> isize, impl Fn(&[u8]) -> isize)>,
) {
    let message = [7; 8];
    let (mut ours, mut buffer, mut raw) = ([0; 8], [0; 8], [0; 8]);
    let calls = calls.as_ref();
    compare_calls(
        criterion,
        &format!("{what}-try"),
        || {
            assert_eq!(writer.try_write(&message).unwrap(), 8);
            assert_eq!(reader.try_read(&mut ours).unwrap(), 8);
        },
        calls.map(|(read, write)| {
            || {
                assert_eq!(write(&message), 8);
                assert_eq!(read(&mut buffer), 8);
            }
        }),
        || {
            assert_eq!(raw::write(raw_writer, &message), 8);
            assert_eq!(raw::read(raw_reader, &mut raw), 8);
        },
    );
    compare_calls(
        criterion,
        &format!("{what}-busy"),
        || assert!(matches!(reader.try_read(&mut ours), Err(mp_os::TryError::WouldBlock))),
        calls.map(|(read, _)| || raw::refused(read(&mut buffer))),
        || raw::refused(raw::read(raw_reader, &mut raw)),
    );
    compare_calls(
        criterion,
        &format!("{what}-timeout"),
        || {
            assert_eq!(writer.write_timeout(&message, A_SECOND).unwrap(), 8);
            assert_eq!(reader.read_timeout(&mut ours, A_SECOND).unwrap(), 8);
        },
        calls.map(|(read, write)| {
            || {
                raw::clock();
                assert_eq!(write(&message), 8);
                raw::clock();
                assert_eq!(read(&mut buffer), 8);
            }
        }),
        || {
            assert_eq!(raw::write(writer, &message), 8);
            raw::poll(reader);
            assert_eq!(raw::read(reader, &mut raw), 8);
        },
    );
}
