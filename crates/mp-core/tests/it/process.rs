use std::{fs::File, io::Read, time::Duration};

use mp_core::{
    Error, Fd, JoinError, Pool, Process, ProcessError, Queue, Signal, SpawnError, StartMethod,
};
use mp_testkit::isolated;

use crate::{LONG, METHODS, warm_up};

/// As it stands in the design.
mod ten_lines {
    use mp_core::{Pool, Process, Queue};

    fn greet((name, out): (String, Queue<String>)) {
        out.put(format!("hello {name}")).unwrap();
    }

    pub(super) fn main() -> mp_core::Result<()> {
        let out = Queue::bounded(16)?;
        let child = Process::spawn(greet, ("A".into(), out.clone()))?;
        println!("{}", out.get()?);
        child.join()?;

        let squares = Pool::new(4)?.map(|n: u64| n * n, 1..=8)?;
        assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64]);
        Ok(())
    }
}

#[test]
fn the_ten_line_program() {
    isolated(|| {
        warm_up();
        ten_lines::main().unwrap();
    });
}

#[test]
fn the_ten_line_program_by_every_method() {
    isolated(|| {
        warm_up();
        for method in METHODS {
            let out = Queue::bounded(16).unwrap();
            let greet =
                |(name, out): (String, Queue<String>)| out.put(format!("hello {name}")).unwrap();
            let child = Process::builder()
                .start_method(method)
                .spawn(greet, ("A".into(), out.clone()))
                .unwrap();
            assert_eq!(out.get().unwrap(), "hello A");
            child.join().unwrap();
            let pool = Pool::builder().workers(4).start_method(method).build().unwrap();
            assert_eq!(pool.map(|n: u64| n * n, 1..=8).unwrap(), [1, 4, 9, 16, 25, 36, 49, 64]);
        }
    });
}

#[test]
fn a_result_comes_home() {
    isolated(|| {
        warm_up();
        let child = Process::spawn(|text: String| text.repeat(3), "ab".into()).unwrap();
        assert_eq!(child.join().unwrap(), "ababab");
    });
}

#[test]
fn an_open_file_travels() {
    isolated(|| {
        warm_up();
        let file = Fd::new(File::open("/proc/self/stat").unwrap());
        let read = |file: Fd<File>| {
            let mut text = String::new();
            file.into_inner().read_to_string(&mut text).unwrap();
            text
        };
        let text = Process::spawn(read, file).unwrap().join().unwrap();
        assert!(
            text.starts_with(&std::process::id().to_string()),
            "the file of the parent, opened there"
        );
    });
}

#[test]
fn a_panic_comes_home() {
    isolated(|| {
        warm_up();
        for method in METHODS {
            let fail = |text: String| -> u32 { panic!("no {text} today") };
            let child = Process::builder().start_method(method).spawn(fail, "luck".into()).unwrap();
            let Err(ProcessError::Panicked(panic)) = child.join() else { panic!("it did panic") };
            assert_eq!(panic.message, "no luck today");
            assert!(panic.location.unwrap().contains("process.rs:"));
        }
    });
}

#[test]
fn an_end_without_a_result_is_named() {
    isolated(|| {
        warm_up();
        for method in METHODS {
            let start =
                |f: fn(()) -> ()| Process::builder().start_method(method).spawn(f, ()).unwrap();
            let error = start(|()| std::process::exit(3)).join().unwrap_err();
            assert!(matches!(error, ProcessError::Exited(3)), "{error}");
            let error = start(|()| std::process::abort()).join().unwrap_err();
            assert!(
                matches!(error, ProcessError::Signaled { signal: Signal::ABRT, .. }),
                "{error}"
            );
        }
    });
}

#[test]
fn exit_codes_are_as_in_python() {
    isolated(|| {
        warm_up();
        let gate = Queue::bounded(1).unwrap();
        let wait = |gate: Queue<u8>| std::process::exit(i32::from(gate.get().unwrap()));
        let child: Process<()> = Process::spawn(wait, gate.clone()).unwrap();
        assert!(child.is_alive());
        assert_eq!(child.exit_code(), None);
        assert!(!child.wait_timeout(std::time::Duration::from_millis(5)).unwrap());
        gate.put(7).unwrap();
        child.wait().unwrap();
        assert!(child.wait_deadline(std::time::Instant::now() + LONG).unwrap());
        assert_eq!(child.exit_code(), Some(7));
        assert!(!child.is_alive());
        child.terminate().unwrap();
        child.kill().unwrap();
        assert!(matches!(child.join(), Err(ProcessError::Exited(7))));

        let child: Process<()> = Process::spawn(wait, gate).unwrap();
        child.terminate().unwrap();
        assert!(matches!(child.join(), Err(ProcessError::Signaled { signal: Signal::TERM, .. })));
    });
}

#[test]
fn a_join_that_times_out_gives_the_process_back() {
    isolated(|| {
        warm_up();
        let child = Process::spawn(|()| -> () { mp_testkit::wait_for_kill() }, ()).unwrap();
        let Err(JoinError::TimedOut(child)) = child.join_timeout(Duration::from_millis(20)) else {
            panic!("it runs for ever")
        };
        let Err(JoinError::TimedOut(child)) = child.try_join() else { panic!("it runs for ever") };
        child.kill().unwrap();
        let error = child.join().unwrap_err();
        assert!(matches!(error, ProcessError::Signaled { signal: Signal::KILL, .. }), "{error}");
    });
}

#[test]
fn fork_refuses_beside_threads() {
    isolated(|| {
        // The test harness itself has two.
        match Process::fork(|| 1) {
            Err(Error::Spawn(SpawnError::MultiThreaded(threads))) => assert!(threads > 1),
            other => panic!("{other:?}"),
        }
        let forked = Process::builder().start_method(StartMethod::Fork).spawn(|()| (), ());
        assert!(forked.unwrap_err().to_string().contains("threads"));
    });
}

#[test]
fn a_forked_process_has_its_captures() {
    isolated(|| {
        warm_up();
        // In a process with one thread, as a worker is.
        let fork = |text: String| {
            let child = Process::fork(|| text.len()).unwrap();
            child.join().unwrap()
        };
        assert_eq!(Process::spawn(fork, "captured".into()).unwrap().join().unwrap(), 8);
    });
}

#[test]
fn the_process_of_the_ten_lines_by_fork() {
    isolated(|| {
        warm_up();
        let in_one_thread = |out: Queue<String>| {
            let greet =
                |(name, out): (String, Queue<String>)| out.put(format!("hello {name}")).unwrap();
            let builder = Process::builder().start_method(StartMethod::Fork);
            builder.spawn(greet, ("A".into(), out)).unwrap().join().unwrap();
        };
        let out = Queue::bounded(16).unwrap();
        Process::spawn(in_one_thread, out.clone()).unwrap().join().unwrap();
        assert_eq!(out.get().unwrap(), "hello A");
    });
}

#[test]
fn a_process_that_is_dropped_runs_on_and_is_reaped() {
    isolated(|| {
        warm_up();
        let out = Queue::bounded(1).unwrap();
        let put = |out: Queue<u32>| out.put(std::process::id()).unwrap();
        drop(Process::spawn(put, out.clone()).unwrap());
        let pid = out.get().unwrap();
        // The audit at the end of the test would see a zombie.
        assert_ne!(pid, std::process::id());
    });
}
