//! Copies of a process that has one thread. A test has two, so each is run in a child.

use std::io::Write;

use mp_os::transfer::Fd;
use mp_process::{Builder, Child, ProcessError, Signal, SpawnError, StartMethod, fork};
use mp_testkit::isolated;

use crate::{failure, wait_for_kill, warm_up};

/// Runs `body` in a process with one thread, and expects it to say that all is well.
fn single_threaded(body: fn(()) -> bool) {
    warm_up();
    assert!(mp_process::spawn(body, ()).unwrap().join().unwrap());
}

#[test]
fn captures_and_results() {
    isolated(|| {
        single_threaded(|()| {
            let captured = String::from("captured");
            let child = fork(|| captured.len()).unwrap();
            let big = fork(|| "7".repeat(10 << 20)).unwrap();
            child.join().unwrap() == 8 && big.join().unwrap().len() == 10 << 20
        });
    });
}

#[test]
fn the_builder_forks_too() {
    isolated(|| {
        single_threaded(|()| {
            let builder = Builder::new().name("copy").start_method(StartMethod::Fork);
            let child = builder.spawn(|n: u32| n + 1, 1).unwrap();
            child.name() == "copy" && child.join().unwrap() == 2
        });
    });
}

#[test]
fn all_ends() {
    isolated(|| {
        single_threaded(|()| {
            let text = "captured".to_owned();
            let panicked = fork(|| panic!("{text}")).unwrap();
            let ProcessError::Panicked(panic) = failure::<()>(panicked) else { return false };
            assert_eq!(panic.message, "captured");
            assert!(panic.location.is_some());

            #[expect(clippy::exit, reason = "what is tested")]
            let exited: Child<()> = fork(|| std::process::exit(3)).unwrap();
            assert!(matches!(failure(exited), ProcessError::Exited(3)));

            let killed: Child<()> = fork(|| wait_for_kill(())).unwrap();
            killed.kill().unwrap();
            assert!(matches!(failure(killed), ProcessError::Signaled { signal: Signal::KILL, .. }));
            true
        });
    });
}

#[test]
fn after_the_fork_server_was_used() {
    isolated(|| {
        single_threaded(|()| {
            // From here on there is the thread of this crate, which a fork may ignore.
            assert_eq!(mp_process::spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
            for n in 0..20_u32 {
                let child = fork(move || {
                    // The copy has no such thread, and starts its own.
                    mp_process::spawn(|n: u32| n + 1, n).unwrap().join().unwrap()
                });
                assert_eq!(child.unwrap().join().unwrap(), n + 1);
            }
            true
        });
    });
}

#[test]
fn a_second_thread_is_refused() {
    isolated(|| {
        single_threaded(|()| {
            std::thread::scope(|scope| {
                let (release, held) = std::sync::mpsc::channel::<()>();
                scope.spawn(move || held.recv().unwrap_err());
                let refused = fork(|| ());
                drop(release);
                matches!(refused, Err(SpawnError::MultiThreaded(2)))
            })
        });
    });
}

#[test]
fn unchecked_it_is_the_callers_word() {
    isolated(|| {
        warm_up();
        #[expect(unsafe_code, reason = "what is tested")]
        // SAFETY: the other thread of the test waits and holds nothing that the task uses.
        let child = unsafe { mp_process::fork_unchecked(|| 7) }.unwrap();
        assert_eq!(child.join().unwrap(), 7);
    });
}

#[test]
fn buffered_output_is_written_once() {
    isolated(|| {
        single_threaded(|()| {
            let (reader, writer) = std::io::pipe().unwrap();
            nix::unistd::dup2_stdout(&writer).unwrap();
            drop(writer);
            print!("before ");
            fork(|| print!("child ")).unwrap().join().unwrap();
            print!("after");
            std::io::stdout().flush().unwrap();
            nix::unistd::dup2_stdout(std::io::stderr()).unwrap();
            std::io::read_to_string(reader).unwrap() == "before child after"
        });
    });
}

#[test]
fn handles_come_back() {
    isolated(|| {
        single_threaded(|()| {
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            let child = fork(|| Fd::new(reader.try_clone().unwrap())).unwrap();
            let copy: Fd<std::io::PipeReader> = child.join().unwrap();
            writer.write_all(b"x").unwrap();
            drop((writer, copy));
            let mut byte = [0];
            std::io::Read::read(&mut reader, &mut byte).unwrap() == 1
        });
    });
}
