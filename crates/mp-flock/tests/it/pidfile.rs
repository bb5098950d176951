use std::{fs, os::unix::fs::symlink};

use mp_flock::{PidFile, PidFileError};
use mp_testkit::{Gate, fork_child, isolated, wait_for_kill};

#[test]
fn only_one_runs_and_it_is_told_which() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        assert_eq!(PidFile::owner(&path).unwrap(), None);
        let running = PidFile::create(&path).unwrap();
        assert_eq!(running.path(), path);
        let child = fork_child(|| match PidFile::create(&path) {
            Err(PidFileError::Running(Some(pid))) => {
                i32::from(pid == std::process::id() || PidFile::owner(&path).unwrap() != Some(pid))
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(child.wait().code(), Some(0));
        running.remove().unwrap();
        assert!(!path.exists());
    });
}

#[test]
fn a_killed_owners_file_is_taken_over() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        let gate = Gate::new();
        let owner = fork_child(|| {
            let _running = PidFile::create(&path).unwrap();
            gate.open();
            wait_for_kill()
        });
        owner.wait_at(&gate);
        let pid = owner.id();
        assert_eq!(PidFile::owner(&path).unwrap(), Some(pid));
        owner.kill();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"), "left behind");
        assert_eq!(PidFile::owner(&path).unwrap(), None);
        let _mine = PidFile::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    });
}

/// The number of a program that runs, in a file that nobody locks: stale by the lock, whatever the number.
#[test]
fn the_number_proves_nothing() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        fs::write(&path, "1\nand a longer text than any number\n").unwrap();
        assert_eq!(PidFile::owner(&path).unwrap(), None);
        let _mine = PidFile::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    });
}

#[test]
fn a_forked_childs_copy_removes_nothing() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        let mut running = Some(PidFile::create(&path).unwrap());
        let child = fork_child(|| {
            drop(running.take());
            0
        });
        assert!(child.wait().success());
        assert!(path.exists());
        assert!(matches!(PidFile::create(&path), Err(PidFileError::Running(_))));
        drop(running);
        assert!(!path.exists());
    });
}

/// Removed and made anew by somebody else: their file is not ours to remove.
#[test]
fn somebody_elses_file_at_the_path_is_left_alone() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        let mine = PidFile::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = PidFile::create(&path).unwrap();
        mine.remove().unwrap();
        assert!(path.exists());
        drop(theirs);
        assert!(!path.exists());
    });
}

#[test]
fn a_symbolic_link_and_a_missing_directory_are_refused() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (directory.path().join("x.pid"), directory.path().join("target"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &path).unwrap();
        let error = PidFile::create(&path).unwrap_err();
        assert!(
            matches!(&error, PidFileError::Os(error) if error.raw_os_error() == Some(nix::libc::ELOOP))
        );
        assert!(error.to_string().starts_with("failed to create pidfile `"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(PidFile::create(directory.path().join("no/x.pid")).is_err());
    });
}

/// Many start at once, again and again, while owners remove the file as they end: whoever wins has the file at the path, not
/// one that its owner removed between open and lock.
#[test]
fn a_race_has_one_winner() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        let run = || {
            let me = format!("{}\n", std::process::id());
            let mut wins = 0;
            while wins < 100 {
                match PidFile::create(&path) {
                    Ok(running) => {
                        assert_eq!(fs::read_to_string(&path).unwrap(), me);
                        drop(running);
                        wins += 1;
                    }
                    Err(PidFileError::Running(_)) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
            0
        };
        let runners: Vec<_> = (0..8).map(|_| fork_child(run)).collect();
        for runner in runners {
            assert!(runner.wait().success());
        }
        assert!(!path.exists());
    });
}

#[test]
fn a_fifo_keeps_nobody_waiting() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(PidFile::owner(&path).unwrap(), None);
        assert!(matches!(PidFile::create(&path), Err(PidFileError::Os(_))));
    });
}
