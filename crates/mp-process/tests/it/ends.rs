//! However a process ends, the parent learns it.

use std::{fs, hint::black_box, io, time::Duration};

use mp_process::{
    AnyChild, Builder, Child, Deadline, JoinTimeoutError, Panic, ProcessError, Signal, StartMethod,
};
use mp_testkit::isolated;
use nix::libc;

use crate::{METHODS, each_method, failure, wait_for_kill, warm_up};

fn exit(code: i32) {
    #[expect(clippy::exit, reason = "what is tested")]
    std::process::exit(code)
}

#[test]
fn a_panic_with_message_and_place() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(|n: u8| assert_eq!(n, 0, "{n} is not zero"), 7).unwrap();
            let ProcessError::Panicked(Panic { message, location, .. }) = failure(child) else {
                panic!("not a panic")
            };
            assert!(message.contains("7 is not zero"), "{message}");
            assert!(location.unwrap().contains("tests/it/ends.rs:"));

            let child = builder.spawn(|()| std::panic::panic_any(3), ()).unwrap();
            child.wait_until(Deadline::never()).unwrap();
            assert_eq!(child.exit_code(), Some(101));
            let text = failure::<()>(child).to_string();
            assert!(text.ends_with(": a value that is not a string"), "{text}");
        });
    });
}

#[test]
fn a_backtrace_where_it_is_asked_for() {
    isolated(|| {
        each_method(|builder| {
            let task = |()| {
                // There is one thread, and nothing has asked for a backtrace before.
                #[expect(unsafe_code, reason = "the environment of a fresh process")]
                // SAFETY: there is one thread.
                unsafe {
                    std::env::set_var("RUST_LIB_BACKTRACE", "1");
                }
                panic!("with a backtrace")
            };
            let ProcessError::Panicked(panic) = failure::<()>(builder.spawn(task, ()).unwrap())
            else {
                panic!("not a panic")
            };
            assert!(panic.backtrace.as_ref().unwrap().contains("mp_process"), "{panic:#}");
            assert!(format!("{panic:#}").lines().count() > 3);
            assert_eq!(panic.to_string().lines().count(), 1);
        });
    });
}

#[test]
fn exit_without_a_result() {
    isolated(|| {
        each_method(|builder| {
            for code in [0, 3, 255] {
                let child = builder.spawn(exit, code).unwrap();
                assert!(child.wait_until(Deadline::never()).unwrap());
                assert_eq!(child.exit_code(), Some(code));
                assert!(matches!(failure(child), ProcessError::Exited(it) if it == code));
            }
        });
    });
}

fn abort(_: ()) {
    std::process::abort()
}

fn violate(_: ()) {
    #[expect(unsafe_code, reason = "what is tested")]
    // SAFETY: none: the process is to be killed by it.
    unsafe {
        black_box(8 as *mut u8).write_volatile(1);
    }
}

#[expect(unconditional_recursion, reason = "what is tested")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 100]);
    overflow(depth + 1) + frame[7]
}

#[test]
fn deadly_signals() {
    isolated(|| {
        each_method(|builder| {
            let signal = |child: Child<()>| match failure(child) {
                ProcessError::Signaled { signal, out_of_memory: false, .. } => signal,
                other => panic!("{other}"),
            };
            assert_eq!(signal(builder.spawn(abort, ()).unwrap()), Signal::ABRT);
            assert_eq!(signal(builder.spawn(violate, ()).unwrap()), Signal::SEGV);
            let child = builder.spawn(|()| assert_eq!(overflow(0), 0), ()).unwrap();
            assert_eq!(signal(child), Signal::SEGV);
            for (kill, expected) in [
                (AnyChild::kill as fn(&AnyChild) -> mp_process::Result<()>, Signal::KILL),
                (AnyChild::terminate, Signal::TERM),
                (|child| child.send_signal(Signal::USR1), Signal::USR1),
            ] {
                let child = builder.spawn(wait_for_kill, ()).unwrap();
                assert!(child.is_alive());
                assert_eq!(child.exit_code(), None);
                kill(&child).unwrap();
                assert!(child.wait_until(Deadline::never()).unwrap());
                assert!(!child.is_alive());
                assert_eq!(child.exit_code(), Some(-expected.as_raw()));
                // It is reaped, so nobody else can be hit.
                assert_eq!(child.kill().unwrap_err().raw_os_error(), Some(libc::ESRCH));
                assert_eq!(signal(child), expected);
            }
        });
    });
}

#[test]
fn errors_name_the_cause() {
    isolated(|| {
        each_method(|builder| {
            let text = failure(builder.spawn(violate, ()).unwrap()).to_string();
            assert!(text.starts_with("killed by SIGSEGV (segmentation fault)"), "{text}");
            let text = failure(builder.spawn(exit, 3).unwrap()).to_string();
            assert_eq!(text, "exited with code 3");
            let child = builder.spawn(wait_for_kill, ()).unwrap();
            child.kill().unwrap();
            assert_eq!(failure(child).to_string(), "killed by SIGKILL");
        });
    });
}

#[test]
fn joins_give_up_in_time() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(wait_for_kill, ()).unwrap();
            let Err(JoinTimeoutError::TimedOut(child)) = child.try_join() else { panic!() };
            let timeout = Duration::from_millis(20);
            let start = std::time::Instant::now();
            let Err(JoinTimeoutError::TimedOut(child)) = child.join_timeout(timeout) else {
                panic!()
            };
            assert!(start.elapsed() >= timeout);
            let Err(JoinTimeoutError::TimedOut(child)) = child.join_deadline(start) else {
                panic!()
            };
            assert!(!child.wait_until(Deadline::after(Duration::ZERO)).unwrap());
            child.kill().unwrap();
            let ended = child.join_timeout(Duration::from_secs(30));
            let Err(JoinTimeoutError::Process(ProcessError::Signaled { .. })) = ended else {
                panic!("{ended:?}")
            };
        });
    });
}

#[test]
fn a_result_outlives_a_death_after_it() {
    extern "C" fn die() {
        std::process::abort()
    }
    isolated(|| {
        each_method(|builder| {
            let task = |n: u8| {
                #[expect(unsafe_code, reason = "a handler of the C library")]
                // SAFETY: `die` has the right signature.
                unsafe {
                    libc::atexit(die);
                }
                n
            };
            assert_eq!(builder.spawn(task, 7).unwrap().join().unwrap(), 7);
        });
    });
}

#[test]
fn buffered_output_and_exit_handlers() {
    extern "C" fn last_words() {
        // The descriptor that the task left in place of its standard error.
        #[expect(unsafe_code, reason = "a handler of the C library")]
        // SAFETY: a pointer to so many bytes.
        unsafe {
            libc::write(2, c"!".as_ptr().cast(), 1);
        }
    }
    fn task(writer: mp_os::transfer::Fd<io::PipeWriter>) {
        nix::unistd::dup2_stdout(&*writer).unwrap();
        nix::unistd::dup2_stderr(&*writer).unwrap();
        #[expect(unsafe_code, reason = "a handler of the C library")]
        // SAFETY: `last_words` has the right signature.
        unsafe {
            libc::atexit(last_words);
        }
        print!("no line feed");
    }
    isolated(|| {
        warm_up();
        for method in METHODS {
            let (reader, writer) = io::pipe().unwrap();
            let builder = Builder::new().start_method(method);
            builder.spawn(task, writer.into()).unwrap().join().unwrap();
            let written = io::read_to_string(reader).unwrap();
            assert!(written.contains("no line feed"), "{method:?}: {written:?}");
            // A copy has the handlers of what it is a copy of, and runs none.
            assert_eq!(
                written.contains('!'),
                method == StartMethod::Spawn,
                "{method:?}: {written:?}"
            );
        }
    });
}

/// A memory control group that holds one process at a time; removed when dropped.
struct Group {
    path: String,
}

impl Group {
    fn new() -> Option<Self> {
        let name = mp_testkit::unique_name("oom");
        let name = name.trim_start_matches('/');
        for (path, limit) in [
            (format!("/sys/fs/cgroup/memory/{name}"), "memory.limit_in_bytes"),
            (format!("/sys/fs/cgroup/{name}"), "memory.max"),
        ] {
            if fs::create_dir(&path).is_ok() {
                let group = Self { path };
                if fs::write(format!("{}/{limit}", group.path), "33554432").is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).unwrap();
    }
}

#[test]
fn out_of_memory() {
    fn hog(group: String) {
        fs::write(format!("{group}/cgroup.procs"), "0").unwrap();
        let mut memory = vec![0_u8; 1 << 30];
        for byte in memory.iter_mut().step_by(4096) {
            *byte = black_box(1);
        }
    }
    isolated(|| {
        let Some(group) = Group::new() else {
            mp_testkit::skip("no memory control group can be made here");
            return;
        };
        each_method(|builder| {
            let child = builder.spawn(hog, group.path.clone()).unwrap();
            let error = failure(child);
            assert!(
                matches!(
                    error,
                    ProcessError::Signaled { signal: Signal::KILL, out_of_memory: true, .. }
                ),
                "{error:?}"
            );
            assert!(error.to_string().contains("out-of-memory"), "{error}");
        });
    });
}
