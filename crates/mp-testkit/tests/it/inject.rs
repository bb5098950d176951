use std::{
    convert::Infallible,
    fs::File,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command},
    sync::Mutex,
    time::Duration,
};

use mp_testkit::{
    Failure::{Interrupted, NoDescriptors},
    Fault::{Fail, Kill},
    Victim::{Operator, Standing, Started},
    fork_child, inject, isolated,
};

/// All that they have.
const ALL: usize = usize::MAX;

fn cat() -> io::Result<()> {
    let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn()?;
    drop(child.stdin.take());
    if child.wait()?.success() { Ok(()) } else { Err(io::Error::other("cat failed")) }
}

#[test]
fn a_child_is_killed_all_along() {
    isolated(|| {
        let report = inject(Started(0), Kill, 30, || {}, cat);
        println!("a cat: {report}");
        assert_eq!(report.errors, report.points, "{report}");
    });
}

#[test]
fn an_operator_is_killed_at_each_of_its_calls() {
    isolated(|| {
        let work = || -> io::Result<()> {
            let (mut reader, mut writer) = io::pipe()?;
            writer.write_all(b"x")?;
            reader.read_exact(&mut [0])
        };
        let report = inject(Operator, Kill, ALL, || {}, work);
        assert!(report.points >= 10 && report.killed == report.points, "{report}");
    });
}

#[test]
fn descriptors_run_out_at_each_call_and_for_ever() {
    isolated(|| {
        let open = || File::open("/dev/null").and_then(|file| file.try_clone()).map(drop);
        let report = inject(Operator, Fail(NoDescriptors), ALL, || {}, open);
        // One fails, then the other, then all of either kind.
        assert_eq!((report.points, report.errors, report.results), (4, 4, 0), "{report}");
    });
}

#[test]
fn interrupted_calls_are_repeated() {
    isolated(|| {
        let read = || File::open("/dev/zero").and_then(|mut file| file.read_exact(&mut [0; 8]));
        let report = inject(Operator, Fail(Interrupted), ALL, || {}, read);
        assert_eq!((report.points, report.errors, report.results), (1, 0, 1), "{report}");
    });
}

/// A process that sends back what it gets.
static SERVER: Mutex<Option<(Child, UnixStream)>> = Mutex::new(None);

fn serve() -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let output = OwnedFd::from(theirs.try_clone()?);
    let child = Command::new("cat").stdin(OwnedFd::from(theirs)).stdout(output).spawn()?;
    Ok((child, ours))
}

/// Asks the server, and starts one where there is none, or only a dead one.
fn ask() -> io::Result<()> {
    let mut server = SERVER.lock().expect("nobody panics with it");
    while let Some((child, stream)) = &mut *server {
        if stream.write_all(&[7]).and_then(|()| stream.read_exact(&mut [0])).is_ok() {
            return Ok(());
        }
        child.kill()?;
        child.wait()?;
        *server = None;
    }
    *server = Some(serve()?);
    Ok(())
}

#[test]
fn a_server_that_was_there_before_is_killed() {
    isolated(|| {
        // The second time it answers, so that it stands there waiting.
        let prepare = || (0..2).for_each(|_| ask().unwrap());
        let report = inject(Standing(0), Kill, ALL, prepare, ask);
        assert!(report.points >= 3 && report.results == report.points, "{report}");
    });
}

#[test]
#[should_panic(expected = "1 x descriptor of /proc/version, expected 0")]
fn a_leak_on_the_way_of_an_error_is_found() {
    isolated(|| {
        // Nobody else has this file open: how often /dev/null is open depends on who started the test.
        let leaks = || {
            let first = File::open("/proc/version")?;
            match File::open("/dev/zero") {
                Ok(_) => Ok(()),
                Err(error) => {
                    std::mem::forget(first);
                    Err(error)
                }
            }
        };
        inject(Operator, Fail(NoDescriptors), ALL, || {}, leaks);
    });
}

#[test]
#[should_panic(expected = "the operator ended with Exited")]
fn a_panic_on_the_way_of_an_error_is_found() {
    isolated(|| {
        let panics = || {
            drop(File::open("/dev/null").unwrap());
            Ok::<_, Infallible>(())
        };
        inject(Operator, Fail(NoDescriptors), ALL, || {}, panics);
    });
}

#[test]
#[should_panic(expected = "not over after 2s")]
fn what_outlives_its_parent_is_found() {
    isolated(|| {
        let orphan = || -> io::Result<()> {
            let child = fork_child(|| {
                // Longer than is allowed, and not for ever.
                let deadline = mp_os::Deadline::after(Duration::from_secs(4));
                mp_os::poll::wait_many(&[], deadline).unwrap();
                0
            });
            // Most of what it does.
            for _ in 0..20 {
                File::open("/dev/null")?;
            }
            child.kill();
            Ok(())
        };
        // The child is there in the middle.
        inject(Operator, Kill, 2, || {}, orphan);
    });
}
