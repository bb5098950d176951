//! Faults of users' types while they are encoded or decoded, on either side.

use std::{collections::HashSet, fs::File, iter, process};

use mp_core::{Error, Fd, Limit, Pool, Process, ProcessError, SendError, TaskError, pipe};
use mp_testkit::isolated;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pool_python::each_method;

crate::methods::for_each_method! {
    a_handle_that_cannot_be_duplicated_says_why,
}

/// What goes wrong with it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Fault {
    Refuse,
    Panic,
    Exit,
    Abort,
    /// Nothing, while it is decoded in the parent.
    None,
}

impl Fault {
    fn strike(self) -> Result<(), &'static str> {
        match self {
            Self::Refuse => return Err("refused"),
            Self::Panic => panic!("a serializer that panics"),
            Self::Exit => process::exit(5),
            Self::Abort => process::abort(),
            Self::None => {}
        }
        Ok(())
    }
}

/// Strikes while it is decoded.
#[derive(Debug, Serialize)]
struct Incoming(Fault);

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fault = Fault::deserialize(deserializer)?;
        fault.strike().map_err(serde::de::Error::custom)?;
        Ok(Self(fault))
    }
}

/// Strikes while it is encoded.
#[derive(Debug, Deserialize)]
struct Outgoing(Fault);

impl Serialize for Outgoing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.strike().map_err(serde::ser::Error::custom)?;
        self.0.serialize(serializer)
    }
}

fn is_death(error: &TaskError, wanted: Fault) -> bool {
    let TaskError::WorkerDied(cause) = error else { return false };
    match **cause {
        ProcessError::Exited(5) => wanted == Fault::Exit,
        ProcessError::Signaled { .. } => wanted == Fault::Abort,
        _ => false,
    }
}

#[test]
fn k05_d01_x20_what_cannot_be_encoded_fails_alone() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            let refused = pool.submit(|_: Outgoing| (), Outgoing(Fault::Refuse)).unwrap_err();
            assert!(matches!(refused, Error::Task(TaskError::Unencodable(_))), "{refused}");
            let faults = [Fault::None, Fault::Refuse, Fault::None].map(Outgoing);
            let error = pool.map_async(|_: Outgoing| 1u8, faults).unwrap().get().unwrap_err();
            assert!(matches!(error, TaskError::Unencodable(_)), "{error}");
            assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
        });
    });
}

/// Fills its table of descriptors and then gives one to others.
fn share_a_file_too_many((): ()) -> [String; 2] {
    let (ours, _theirs) = pipe().unwrap();
    let pool = Pool::new(1).unwrap();
    let open = || File::open("/dev/null").map(Fd::new);
    let mut files: Vec<_> = iter::from_fn(|| open().ok()).collect();
    let full = open().unwrap_err();
    let Err(SendError::Encode(sent)) = ours.send(&files[0]) else { panic!("it was sent") };
    assert_eq!(sent.io_error().unwrap().raw_os_error(), full.raw_os_error());
    assert_eq!(Error::from(sent.clone()).io_kind(), Some(full.kind()));
    let submitted = pool.submit(drop::<Fd<File>>, files.pop().unwrap()).unwrap_err();
    for error in [sent.to_string(), submitted.to_string()] {
        assert!(error.ends_with(&full.to_string()), "{error}");
    }
    drop(files);
    pool.submit(drop::<Fd<File>>, open().unwrap()).unwrap().get().unwrap();
    [sent.to_string(), submitted.to_string()]
}

fn a_handle_that_cannot_be_duplicated_says_why() {
    mp_testkit::expect_orphans();
    let few = Process::builder().limit(Limit::OpenFiles, 96);
    for error in few.spawn(share_a_file_too_many, ()).unwrap().join().unwrap() {
        assert!(error.contains("failed to duplicate the file descriptor"), "{error}");
    }
}

#[test]
fn d02_faults_while_an_argument_is_decoded() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            for fault in [Fault::Refuse, Fault::Panic, Fault::Exit, Fault::Abort] {
                let error =
                    pool.submit(|_: Incoming| (), Incoming(fault)).unwrap().get().unwrap_err();
                let is_right = match fault {
                    Fault::Refuse => matches!(error, TaskError::Undecodable(_)),
                    Fault::Panic => matches!(error, TaskError::Panicked(_)),
                    fault => is_death(&error, fault),
                };
                assert!(is_right, "{fault:?}: {error}");
                assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
            }
        });
    });
}

#[test]
fn k24_d06_faults_while_a_result_is_encoded() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            let pids: HashSet<_> = pool.pids().into_iter().collect();
            for _ in 0..20 {
                let error =
                    pool.submit(|()| Outgoing(Fault::Refuse), ()).unwrap().get().unwrap_err();
                assert!(matches!(error, TaskError::Unencodable(_)), "{error}");
            }
            assert_eq!(pool.pids().into_iter().collect::<HashSet<_>>(), pids, "none is lost");
            for fault in [Fault::Panic, Fault::Exit, Fault::Abort] {
                let error = pool.submit(Outgoing, fault).unwrap().get().unwrap_err();
                let is_right = match fault {
                    Fault::Panic => matches!(error, TaskError::Panicked(_)),
                    fault => is_death(&error, fault),
                };
                assert!(is_right, "{fault:?}: {error}");
            }
            assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
        });
    });
}

#[test]
fn d08_d10_a_death_after_the_shutdown_began_with_much_data_on_its_way() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            let die = |text: String| -> String {
                if text.len() % 2 == 1 { process::abort() } else { text }
            };
            let tasks: Vec<_> =
                (0..20).map(|n| pool.submit(die, "x".repeat((1 << 20) + n)).unwrap()).collect();
            pool.shutdown(true, false).unwrap();
            for (n, task) in tasks.into_iter().enumerate() {
                match task.get() {
                    Ok(text) => assert!(n % 2 == 0 && text.len() == (1 << 20) + n),
                    Err(error) => assert!(n % 2 == 1 && is_death(&error, Fault::Abort), "{error}"),
                }
            }
        });
    });
}
