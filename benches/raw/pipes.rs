//! Pipes and FIFOs.

use std::{env, time::Duration};

use criterion::Criterion;
use mp_benches::raw;
use mp_pipe::{Fifo, PipeReader, PipeWriter};

use super::{A_SECOND, GROUPS, compare, name, nonblocking};

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
    for len in [8, 4096] {
        let (message, name) = (&message[..len], format!("{what}-{len}"));
        let (mut ours, mut raw) = ([0; 4096], [0; 4096]);
        if !GROUPS.contains(&&*name) {
            continue;
        }
        compare(
            criterion,
            &name,
            || {
                assert_eq!(writer.write(message).unwrap(), len);
                assert_eq!(reader.read(&mut ours).unwrap(), len);
            },
            || {
                assert_eq!(raw::write(&writer, message), len);
                assert_eq!(raw::read(&reader, &mut raw), len as isize);
            },
        );
    }
    let (mut ours, mut raw) = ([0; 8], [0; 8]);
    let (raw_reader, raw_writer) = open();
    let (raw_reader, raw_writer) = (nonblocking(raw_reader), nonblocking(raw_writer));
    compare(
        criterion,
        &format!("{what}-try"),
        || {
            assert_eq!(writer.try_write(&message[..8]).unwrap(), 8);
            assert_eq!(reader.try_read(&mut ours).unwrap(), 8);
        },
        || {
            assert_eq!(raw::write(&raw_writer, &message[..8]), 8);
            assert_eq!(raw::read(&raw_reader, &mut raw), 8);
        },
    );
    compare(
        criterion,
        &format!("{what}-busy"),
        || assert!(matches!(reader.try_read(&mut ours), Err(mp_os::TryError::WouldBlock))),
        || raw::refused(raw::read(&raw_reader, &mut raw)),
    );
    compare(
        criterion,
        &format!("{what}-timeout"),
        || {
            assert_eq!(writer.write_timeout(&message[..8], A_SECOND).unwrap(), 8);
            assert_eq!(reader.read_timeout(&mut ours, A_SECOND).unwrap(), 8);
        },
        || {
            assert_eq!(raw::write(&writer, &message[..8]), 8);
            raw::poll(&reader);
            assert_eq!(raw::read(&reader, &mut raw), 8);
        },
    );
}
