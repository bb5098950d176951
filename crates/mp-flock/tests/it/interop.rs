//! With programs nobody here wrote: `flock(1)`, `lslocks(8)`, Python's `fcntl`.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use mp_flock::{Failed, Flock, Kind, Mode, Ofd, Posix, TryError, holders};
use mp_testkit::{isolated, skip};
use tempfile::NamedTempFile;

/// A program that says a line and goes on until its standard input is closed; `None` where it is missing.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Option<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut running = Self(child);
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Some(running)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn python(program: &str, path: &Path) -> Option<Running> {
    let program = format!(
        "import fcntl, sys\nf = open(sys.argv[1], 'r+')\n{program}\nprint('ready', flush=True)\nsys.stdin.read()"
    );
    Running::start(Command::new("python3").arg("-c").arg(program).arg(path))
}

/// Whether Python finds the lock free.
fn python_can(call: &str, path: &Path) -> bool {
    let program = format!(
        "import fcntl, sys\nf = open(sys.argv[1], 'r+')\n\
         try:\n  {call}\nexcept BlockingIOError:\n  sys.exit(3)"
    );
    let status = Command::new("python3").arg("-c").arg(program).arg(path).status().unwrap();
    match status.code() {
        Some(0) => true,
        Some(3) => false,
        other => panic!("python ended with {other:?}"),
    }
}

#[test]
fn flock_1_waits_for_us_and_we_for_it() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let lock = Flock::exclusive().lock(file.reopen().unwrap()).unwrap();
        let flock = |how: &[&str]| {
            Command::new("flock").args(how).arg(file.path()).args(["-c", "true"]).status()
        };
        let Ok(status) = flock(&["-n", "-E", "9"]) else { return skip("flock(1) is missing") };
        assert_eq!(status.code(), Some(9));
        let mut lock = lock;
        lock.downgrade().unwrap();
        assert_eq!(flock(&["-n", "-E", "9", "-s"]).unwrap().code(), Some(0));
        assert_eq!(flock(&["-n", "-E", "9", "-x"]).unwrap().code(), Some(9));
        drop(lock);
        assert_eq!(flock(&["-n", "-E", "9"]).unwrap().code(), Some(0));

        let mut holder = Command::new("flock");
        holder.arg(file.path()).args(["-c", "echo ready; cat"]);
        let holder = Running::start(&mut holder).unwrap();
        let mine = file.reopen().unwrap();
        let Err(Failed { error: TryError::WouldBlock, .. }) = Flock::shared().try_lock(&mine)
        else {
            panic!("flock(1) has it")
        };
        let found = Flock::shared().holder(&mine).unwrap().unwrap();
        assert_eq!((found.pid(), found.mode()), (Some(holder.0.id()), Mode::Exclusive));
        holder.end();
        drop(Flock::shared().try_lock(&mine).unwrap());
    });
}

#[test]
fn lslocks_shows_our_locks() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let mine = file.reopen().unwrap();
        let _flock = Flock::exclusive().lock(&mine).unwrap();
        let _posix = Posix::shared().range(3..=5).unwrap().lock(&mine).unwrap();
        let _ofd = Ofd::shared().range(9..).unwrap().lock(&mine).unwrap();
        let output = Command::new("lslocks")
            .args(["-b", "-n", "-r", "-u", "-o", "TYPE,MODE,START,END,PID,PATH"])
            .output();
        let Ok(output) = output else { return skip("lslocks(8) is missing") };
        let text = String::from_utf8(output.stdout).unwrap();
        let path = file.path().to_str().unwrap();
        let me = std::process::id().to_string();
        let mut ours: Vec<_> = text
            .lines()
            .filter(|line| line.ends_with(path))
            .map(|line| line.split_whitespace().take(5).collect::<Vec<_>>())
            .collect();
        ours.sort();
        assert_eq!(ours[0], ["FLOCK", "WRITE", "0", "0", &me], "{text}");
        assert_eq!(ours.last().unwrap(), &["POSIX", "READ", "3", "5", &me], "{text}");
        // It finds the path of a lock by its process, which the kernel does not record here; newer versions do.
        assert!(text.lines().any(|line| line.starts_with("OFDLCK READ 9 0")), "{text}");
    });
}

#[test]
fn python_flock() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let Some(holder) = python("fcntl.flock(f, fcntl.LOCK_SH)", file.path()) else {
            return skip("python3 is missing");
        };
        assert!(Flock::exclusive().try_lock(file.reopen().unwrap()).is_err());
        drop(Flock::shared().try_lock(file.reopen().unwrap()).unwrap());
        holder.end();
        let mut lock = Flock::exclusive().try_lock(file.reopen().unwrap()).unwrap();
        assert!(!python_can("fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)", file.path()));
        lock.downgrade().unwrap();
        assert!(python_can("fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)", file.path()));
    });
}

/// Python's `lockf` makes POSIX locks, which also our OFD locks respect and the other way round.
#[test]
fn python_lockf() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let Some(holder) = python("fcntl.lockf(f, fcntl.LOCK_EX, 10, 5)", file.path()) else {
            return skip("python3 is missing");
        };
        let mine = file.reopen().unwrap();
        let found = Posix::shared().holder(&mine).unwrap().unwrap();
        assert_eq!((found.kind(), found.pid()), (Kind::Posix, Some(holder.0.id())));
        assert_eq!((found.range().start(), found.range().last()), (5, Some(14)));
        assert_eq!(holders(&mine).unwrap(), [found]);
        assert!(Ofd::exclusive().range(14..20).unwrap().try_lock(&mine).is_err());
        drop(Ofd::exclusive().range(15..20).unwrap().try_lock(&mine).unwrap());
        holder.end();

        let call = "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)";
        let lock = Ofd::exclusive().range(14..).unwrap().lock(&mine).unwrap();
        assert!(!python_can(call, file.path()));
        drop(lock);
        let lock = Posix::shared().range(..6).unwrap().lock(&mine).unwrap();
        assert!(!python_can(call, file.path()));
        drop(lock);
        assert!(python_can(call, file.path()));
    });
}
