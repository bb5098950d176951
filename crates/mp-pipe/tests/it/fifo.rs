//! Named pipes: their files, and waiting for the other end.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mp_pipe::{Fifo, TimeoutError, TryError};
use mp_testkit::{Gate, flags, fork_child, isolated, once_asleep, wait_asleep, wait_for_kill};
use nix::sys::stat::{Mode, umask};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(30);

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    (directory, path)
}

fn fifo() -> (TempDir, Fifo) {
    let (directory, path) = place();
    (directory, Fifo::create_new(path, 0o600).unwrap())
}

#[test]
fn the_mode_is_exact_whatever_the_umask() {
    isolated(|| {
        umask(Mode::from_bits_truncate(0o077));
        let (_directory, path) = place();
        let _fifo = Fifo::create_new(&path, 0o622).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o622);
        let error = Fifo::create_new(&path, 0o4600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn names_that_cannot_be() {
    isolated(|| {
        let (directory, fifo) = fifo();
        let again = Fifo::create_new(fifo.path(), 0o600).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert!(again.to_string().contains("/fifo`"), "{again}");
        assert_eq!(Fifo::open(directory.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let nowhere = directory.path().join("nowhere");
        assert_eq!(Fifo::open(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
        let beyond = Fifo::create_new(nowhere.join("fifo"), 0o600).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::NotFound);
        let long = directory.path().join("x".repeat(256));
        let error = Fifo::create_new(long, 0o600).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENAMETOOLONG));
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Fifo::create_new(file.join("fifo"), 0o600).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENOTDIR));
        assert_eq!(Fifo::open(&file).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn no_permission() {
    isolated(|| {
        let (directory, path) = place();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let fifo = Fifo::create_new(&path, 0o000).unwrap();
        mp_testkit::as_ordinary_user(|| {
            let error = Fifo::create_new(directory.path().join("other"), 0o600);
            if mp_testkit::is_root() {
                // As another user than the directory's owner.
                assert_eq!(error.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            let Err(TryError::Os(error)) = fifo.try_open_reader() else { panic!() };
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
    });
}

#[test]
fn the_creator_unlinks() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let path = fifo.path().to_owned();
        drop(Fifo::open(&path).unwrap());
        assert!(path.exists(), "an opener does not");
        drop(fifo);
        assert!(!path.exists());
    });
}

#[test]
fn a_forked_child_does_not_unlink() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let mut fifo = Some(fifo);
        let path = fifo.as_ref().unwrap().path().to_owned();
        assert!(fork_child(|| i32::from(fifo.take().is_none())).wait().success());
        assert!(path.exists());
        drop(fifo);
        assert!(!path.exists());
    });
}

#[test]
fn what_replaced_the_file_is_left_alone() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let path = fifo.path().to_owned();
        fs::remove_file(&path).unwrap();
        let _other = Fifo::create_new(&path, 0o600).unwrap();
        drop(fifo);
        assert!(path.exists());
    });
}

#[test]
fn persist() {
    isolated(|| {
        let (_directory, mut fifo) = fifo();
        let path = fifo.path().to_owned();
        fifo.persist();
        drop(fifo);
        assert!(path.exists());
    });
}

#[test]
fn nobody_comes() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        assert!(matches!(fifo.try_open_reader(), Err(TryError::WouldBlock)));
        assert!(matches!(fifo.try_open_writer(), Err(TryError::WouldBlock)));
        for timeout in [Duration::from_millis(3), SOON] {
            let start = Instant::now();
            assert!(matches!(fifo.open_reader_timeout(timeout), Err(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= timeout);
            let start = Instant::now();
            assert!(matches!(fifo.open_writer_timeout(timeout), Err(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= timeout);
        }
    });
}

/// Each way to wait for a writer, and each way in which one comes.
#[test]
fn a_writer_comes_later() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        for wait in [Fifo::open_reader, timed_reader] {
            for come in [Fifo::open_writer, timed_writer] {
                let mut writer = None;
                let reader = once_asleep(|| wait(&fifo), || writer = come(&fifo).ok()).unwrap();
                assert!(matches!(reader.try_read(&mut [0; 4]), Err(TryError::WouldBlock)));
                assert_eq!(flags(&reader) & nix::libc::O_NONBLOCK, 0);
                drop(writer);
                assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
            }
        }
    });
}

#[test]
fn a_reader_comes_later() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        for wait in [Fifo::open_writer, timed_writer] {
            for come in [Fifo::open_reader, timed_reader] {
                let mut reader = None;
                let writer = once_asleep(|| wait(&fifo), || reader = come(&fifo).ok()).unwrap();
                assert_eq!(flags(&writer) & nix::libc::O_NONBLOCK, 0);
                writer.write(b"x").unwrap();
                assert_eq!(reader.unwrap().read(&mut [0; 4]).unwrap(), 1);
            }
        }
    });
}

fn timed_reader(fifo: &Fifo) -> mp_pipe::Result<mp_pipe::PipeReader> {
    Ok(fifo.open_reader_timeout(PATIENCE)?)
}

fn timed_writer(fifo: &Fifo) -> mp_pipe::Result<mp_pipe::PipeWriter> {
    Ok(fifo.open_writer_timeout(PATIENCE)?)
}

#[test]
fn a_writer_that_left_again_has_come() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let reader = once_asleep(
            || timed_reader(&fifo).unwrap(),
            || {
                fifo.open_writer().unwrap().write(b"left").unwrap();
            },
        );
        let mut text = String::new();
        (&reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "left");
    });
}

#[test]
fn listening_sees_no_end() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let reader = fifo.listen().unwrap();
        for _ in 0..2 {
            fifo.try_open_writer().unwrap().write(b"client").unwrap();
            assert_eq!(reader.read(&mut [0; 16]).unwrap(), 6);
            assert!(matches!(reader.try_read(&mut [0; 16]), Err(TryError::WouldBlock)));
        }
    });
}

/// A reader that is killed while it waits does not let a later writer through, and one that waits does not see it.
#[test]
fn an_opener_killed_while_it_waits() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        for open in [Fifo::open_reader, timed_reader] {
            let child = fork_child(|| i32::from(open(&fifo).is_err()));
            wait_asleep(child.id(), child.id());
            child.kill();
            assert!(matches!(fifo.open_writer_timeout(SOON), Err(TimeoutError::TimedOut)));
        }
        for open in [Fifo::open_writer, timed_writer] {
            let child = fork_child(|| i32::from(open(&fifo).is_err()));
            wait_asleep(child.id(), child.id());
            child.kill();
            assert!(matches!(fifo.open_reader_timeout(SOON), Err(TimeoutError::TimedOut)));
        }
    });
}

#[test]
fn a_writer_killed_after_opening() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let ready = Gate::new();
        let child = fork_child(|| {
            let _writer = fifo.open_writer_timeout(PATIENCE).unwrap();
            ready.open();
            wait_for_kill()
        });
        let reader = fifo.open_reader_timeout(PATIENCE).unwrap();
        child.wait_at(&ready);
        child.kill();
        assert_eq!(reader.read_timeout(&mut [0; 4], PATIENCE).unwrap(), 0);
    });
}

/// A foreign reader that blocks in `open(2)` causes no event; the writer finds it by looking.
#[test]
fn a_blocking_reader_comes_later() {
    isolated(|| {
        let (_directory, fifo) = fifo();
        let mut cat = None;
        let writer = once_asleep(
            || fifo.open_writer_timeout(PATIENCE).unwrap(),
            || {
                let child = Command::new("cat").arg(fifo.path()).stdout(Stdio::piped()).spawn();
                cat = Some(child.unwrap());
            },
        );
        writer.write(b"to a cat").unwrap();
        drop(writer);
        let output = cat.unwrap().wait_with_output().unwrap();
        assert_eq!(output.stdout, b"to a cat");
    });
}

/// Without read permission `inotify(7)` cannot watch; the writer finds its reader all the same.
#[test]
fn a_file_that_cannot_be_watched() {
    isolated(|| {
        let (directory, path) = place();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let fifo = Fifo::create_new(path, 0o622).unwrap();
        let child = fork_child(|| {
            mp_testkit::as_ordinary_user(|| {
                fifo.open_writer_timeout(PATIENCE).unwrap().write(b"x").unwrap();
            });
            0
        });
        wait_asleep(child.id(), child.id());
        assert_eq!(timed_reader(&fifo).unwrap().read(&mut [0; 4]).unwrap(), 1);
        assert!(child.wait().success());
    });
}
