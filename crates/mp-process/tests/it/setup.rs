//! What a builder asks for, the child has.

use std::{
    env, fs,
    io::{self, Read, Write},
};

use mp_os::transfer::Fd;
use mp_process::{Builder, Limit, ProcessError, SpawnError, StartMethod};
use mp_testkit::isolated;

use crate::{each_method, failure, warm_up};

#[test]
fn streams_beside_handles() {
    fn task(mut last: Fd<io::PipeWriter>) {
        let input = io::read_to_string(io::stdin()).unwrap();
        println!("out {input}");
        eprintln!("err {input}");
        write!(last, "handle {input}").unwrap();
    }
    isolated(|| {
        each_method(|builder| {
            let (input, mut ours) = io::pipe().unwrap();
            let (out, out_writer) = io::pipe().unwrap();
            let (err, err_writer) = io::pipe().unwrap();
            let (handle, handle_writer) = io::pipe().unwrap();
            let builder = builder.clone().stdin(input).stdout(out_writer).stderr(err_writer);
            let child = builder.spawn(task, handle_writer.into()).unwrap();
            drop(builder);
            ours.write_all(b"x").unwrap();
            drop(ours);
            assert_eq!(io::read_to_string(out).unwrap(), "out x\n");
            assert_eq!(io::read_to_string(err).unwrap(), "err x\n");
            assert_eq!(io::read_to_string(handle).unwrap(), "handle x");
            child.join().unwrap();
        });
    });
}

#[test]
fn environment_directory_and_limits() {
    fn task(_: ()) -> (Option<String>, Option<String>, String, String, String) {
        (
            env::var("MP_SET").ok(),
            env::var("PATH").ok(),
            env::current_dir().unwrap().to_string_lossy().into_owned(),
            fs::read_to_string("/proc/self/limits").unwrap(),
            fs::read_to_string("/proc/self/stat").unwrap(),
        )
    }
    isolated(|| {
        each_method(|builder| {
            let builder = builder.clone().env("MP_SET", "first").env("MP_SET", "value");
            let builder = builder.env_remove("PATH").current_dir("/proc").nice(7).process_group(0);
            let builder = builder.limit(Limit::OpenFiles, 77).processors([0]);
            let child = builder.spawn(task, ()).unwrap();
            let pid = child.pid();
            let (set, removed, directory, limits, stat) = child.join().unwrap();
            assert_eq!((set.as_deref(), removed), (Some("value"), None));
            assert_eq!(directory, "/proc");
            let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
            assert_eq!(files.split_whitespace().nth(3), Some("77"), "{files}");
            let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
            assert_eq!((fields[3], fields[17]), (pid.to_string().as_str(), "7"), "{stat}");
            // Only that one had it.
            let others = Builder::new().spawn(|()| env::var("MP_SET").is_ok(), ()).unwrap();
            assert!(!others.join().unwrap());
        });
    });
}

#[test]
fn what_cannot_be_had_is_told() {
    isolated(|| {
        each_method(|builder| {
            let nowhere = builder.clone().current_dir("/nowhere");
            let error = failure(nowhere.spawn(|()| (), ()).unwrap());
            assert!(matches!(error, ProcessError::Os(_)), "{error:?}");
            assert!(error.to_string().contains("failed to enter directory `/nowhere`"), "{error}");
            for (name, value) in [("", "x"), ("a=b", "x"), ("a", "\0")] {
                let error = builder.clone().env(name, value).spawn(|()| (), ()).unwrap_err();
                assert!(matches!(error, SpawnError::Os(_)), "{error:?}");
            }
        });
    });
}

#[test]
fn a_fork_has_them_too() {
    fn task(_: ()) -> bool {
        let (mut reader, writer) = io::pipe().unwrap();
        let builder = Builder::new().start_method(StartMethod::Fork);
        let builder = builder.stdout(writer).env("MP_SET", "value").current_dir("/");
        let child = builder.spawn(
            |()| {
                println!(
                    "{} {}",
                    env::var("MP_SET").unwrap(),
                    env::current_dir().unwrap().display()
                );
            },
            (),
        );
        drop(builder);
        let mut output = String::new();
        reader.read_to_string(&mut output).unwrap();
        child.unwrap().join().unwrap();
        output == "value /\n" && env::var("MP_SET").is_err()
    }
    isolated(|| {
        warm_up();
        assert!(mp_process::spawn(task, ()).unwrap().join().unwrap());
    });
}
