//! Open files travel in arguments and results.

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter, Read, Seek, Write},
    os::fd::AsFd,
};

use mp_os::transfer::Fd;
use mp_process::{ProcessError, SpawnError};
use mp_testkit::isolated;
use serde::{Serialize, Serializer, ser};

use crate::{each_method, failure};

#[test]
fn a_pipe_in_the_argument() {
    isolated(|| {
        each_method(|builder| {
            let (reader, writer) = io::pipe().unwrap();
            let greet = |(mut out, name): (Fd<PipeWriter>, String)| {
                write!(out, "hello {name}").unwrap();
            };
            let child = builder.spawn(greet, (writer.into(), "you".to_owned())).unwrap();
            child.join().unwrap();
            assert_eq!(io::read_to_string(reader).unwrap(), "hello you");
        });
    });
}

#[test]
fn a_file_in_the_result() {
    isolated(|| {
        each_method(|builder| {
            let task = |()| {
                let (reader, mut writer) = io::pipe().unwrap();
                writer.write_all(b"made there").unwrap();
                (Fd::new(reader), Fd::new(File::open("/proc/self/comm").unwrap()))
            };
            let child = builder.clone().name("maker").spawn(task, ()).unwrap();
            let (reader, mut file): (Fd<PipeReader>, Fd<File>) = child.join().unwrap();
            assert_eq!(io::read_to_string(reader.into_inner()).unwrap(), "made there");
            file.rewind().unwrap();
            assert!(file.read_to_end(&mut Vec::new()).is_err(), "its process is gone");
        });
    });
}

#[test]
fn many_and_too_many() {
    isolated(|| {
        let copies = |count: usize| -> Vec<Fd<File>> {
            (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
        };
        each_method(|builder| {
            let child = builder.spawn(|files: Vec<Fd<File>>| files.len(), copies(252)).unwrap();
            assert_eq!(child.join().unwrap(), 252);
            let error = builder.spawn(|files: Vec<Fd<File>>| files.len(), copies(300)).unwrap_err();
            assert!(matches!(error, SpawnError::Os(_)), "{error:?}");
            assert!(
                error.to_string().contains("300 file descriptors, of which 252 fit"),
                "{error}"
            );
            let many = |()| -> Vec<Fd<File>> {
                (0..300).map(|_| File::open("/dev/null").unwrap().into()).collect()
            };
            let error = failure(builder.spawn(many, ()).unwrap());
            assert!(matches!(error, ProcessError::Undecodable(_)), "{error:?}");
            assert!(error.to_string().contains("300 file descriptors"), "{error}");
        });
    });
}

/// Exports a descriptor and then fails.
#[derive(Debug, serde::Deserialize)]
struct HalfWay;

impl Serialize for HalfWay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        mp_os::transfer::export(io::stdin().as_fd()).map_err(ser::Error::custom)?;
        let _ = serializer;
        Err(ser::Error::custom("half-way"))
    }
}

#[test]
fn a_serializer_that_fails_leaves_nothing() {
    // The leak audit counts descriptors.
    isolated(|| {
        each_method(|builder| {
            for _ in 0..10 {
                let error = builder.spawn(|_: HalfWay| (), HalfWay).unwrap_err();
                assert!(matches!(error, SpawnError::Arguments(_)), "{error:?}");
                let error = failure(builder.spawn(|()| HalfWay, ()).unwrap());
                assert!(matches!(error, ProcessError::Undecodable(_)), "{error:?}");
            }
        });
    });
}
