//! Arguments go in, results come out.

use std::collections::HashMap;

use mp_process::{Builder, ProcessError, SpawnError, StartMethod, TaskError};
use mp_testkit::isolated;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{each_method, failure, warm_up};

#[test]
fn smoke() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(|(a, b): (u32, u32)| a + b, (40, 2)).unwrap();
            assert_eq!(child.join().unwrap(), 42);
        });
    });
}

#[test]
fn any_size_both_ways() {
    isolated(|| {
        each_method(|builder| {
            for len in [0, 1, 4000, 4095, 4096, 70_000, 10 << 20] {
                // Text, which is copied as a whole: other sequences are coded one by one, slowly in a test build.
                let data = "0123456789abcde".repeat(len / 15 + 1)[..len].to_owned();
                let echo = builder.spawn(|data: String| data, data.clone()).unwrap();
                assert!(echo.join().unwrap() == data, "{len} bytes");
            }
        });
    });
}

#[test]
fn structured_values() {
    isolated(|| {
        each_method(|builder| {
            let words = |text: String| {
                let mut counts = HashMap::new();
                for word in text.split(' ') {
                    *counts.entry(word.to_owned()).or_insert(0_u64) += 1;
                }
                counts
            };
            let counts = builder.spawn(words, "a b a".to_owned()).unwrap().join().unwrap();
            assert_eq!(counts, HashMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        });
    });
}

#[test]
fn a_child_starts_children() {
    fn sum(depth: u32) -> u32 {
        match depth {
            0 => 0,
            _ => depth + mp_process::spawn(sum, depth - 1).unwrap().join().unwrap(),
        }
    }
    isolated(|| {
        each_method(|builder| assert_eq!(builder.spawn(sum, 3).unwrap().join().unwrap(), 6));
    });
}

#[test]
fn names() {
    isolated(|| {
        each_method(|builder| {
            let comm = |()| std::fs::read_to_string("/proc/self/comm").unwrap();
            let child = builder.clone().name("a name of 22 characters").spawn(comm, ()).unwrap();
            assert_eq!(child.name(), "a name of 22 characters");
            assert_eq!(child.join().unwrap(), "a name of 22 ch\n");
            let child = builder.spawn(comm, ()).unwrap();
            assert!(child.name().starts_with("Process-"), "{child:?}");
            assert_eq!(format!("{}\n", child.name()), child.join().unwrap());
        });
    });
}

#[test]
fn the_arguments_and_the_environment_are_the_parents() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(|()| std::env::args().collect::<Vec<_>>(), ()).unwrap();
            assert_eq!(child.join().unwrap(), std::env::args().collect::<Vec<_>>());
            let child = builder.spawn(|()| std::env::vars().collect::<Vec<_>>(), ()).unwrap();
            assert_eq!(child.join().unwrap(), std::env::vars().collect::<Vec<_>>());
        });
    });
}

/// Serializes, but nobody can read it.
#[derive(Debug, Default)]
struct Unreadable;

impl Serialize for Unreadable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("never"))
    }
}

/// Refuses to be serialized.
#[derive(Debug, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("never"))
    }
}

#[test]
fn what_cannot_be_coded_fails_that_call_only() {
    isolated(|| {
        each_method(|builder| {
            let argument = builder.spawn(|_: Unreadable| (), Unreadable).unwrap();
            assert!(matches!(failure(argument), ProcessError::ArgumentsUndecodable(_)));
            let result = builder.spawn(|()| Unreadable, ()).unwrap();
            assert!(matches!(failure(result), ProcessError::Undecodable(_)));
            let result = builder.spawn(|()| Unwritable, ()).unwrap();
            assert!(matches!(failure(result), ProcessError::Undecodable(_)));
            let error = builder.spawn(|_: (u8, Unwritable)| (), (1, Unwritable)).unwrap_err();
            assert!(matches!(error, SpawnError::Arguments(_)), "{error:?}");
            assert_eq!(builder.spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
        });
    });
}

#[test]
fn a_library_function_is_refused_and_says_what_to_do() {
    isolated(|| {
        warm_up();
        let error = SpawnError::from(TaskError::OutsideExecutable).to_string();
        assert!(error.contains("wrap it in a closure"), "{error}");
    });
}

#[test]
fn fork_needs_one_thread() {
    isolated(|| {
        let builder = Builder::new().start_method(StartMethod::Fork);
        let error = builder.spawn(|n: u8| n, 1).unwrap_err();
        assert!(matches!(error, SpawnError::MultiThreaded(2..)), "{error:?}");
        assert!(error.to_string().contains("threads"), "{error}");
    });
}
