use std::{fmt, str::FromStr};

use nix::libc;

use crate::{
    Error, Result,
    names::{ALIASES, REAL_TIME, Row, STANDARD},
};

/// A signal of this system: one of the 31 standard ones or a real-time one.
///
/// Always valid: zero, the numbers that the C library keeps for its threads (32 and 33 in glibc) and numbers beyond the
/// last real-time signal cannot be made. Displayed, and read back, by name.
///
/// With the feature `serde` it serializes as its number, which is the same on x86_64 and aarch64.
///
/// # Examples
///
/// ```
/// use mp_signal::Signal;
///
/// assert_eq!(Signal::new(11)?, Signal::SEGV);
/// assert_eq!(Signal::SEGV.name(), "SIGSEGV");
/// assert_eq!(Signal::SEGV.description(), "Segmentation fault");
/// assert_eq!("sigterm".parse::<Signal>()?, Signal::TERM);
/// assert_eq!(Signal::rt(3)?.to_string(), "SIGRTMIN+3");
/// assert!(Signal::new(0).is_err());
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "i32", into = "i32"))]
pub struct Signal(
    /// In `1..=31` or `SIGRTMIN..=SIGRTMAX`.
    i32,
);

/// What a signal does to a process that has neither a handler for it nor ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// The process ends, and leaves a core dump where that is enabled.
    Core,
    /// Nothing happens.
    Ignore,
    /// The process stops until `SIGCONT`.
    Stop,
    /// A stopped process goes on.
    Continue,
}

/// The standard signals.
impl Signal {
    /// Hangup: the terminal closed, or a daemon is asked to read its configuration again.
    #[doc(alias = "SIGHUP")]
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Interrupt: Ctrl-C.
    #[doc(alias = "SIGINT")]
    pub const INT: Self = Self(libc::SIGINT);
    /// Quit: Ctrl-\.
    #[doc(alias = "SIGQUIT")]
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// Illegal instruction.
    #[doc(alias = "SIGILL")]
    pub const ILL: Self = Self(libc::SIGILL);
    /// Trace or breakpoint trap.
    #[doc(alias = "SIGTRAP")]
    pub const TRAP: Self = Self(libc::SIGTRAP);
    /// Aborted: `abort(3)`.
    #[doc(alias = "SIGABRT")]
    pub const ABRT: Self = Self(libc::SIGABRT);
    /// Bus error: a mapped file was truncated, or memory is misaligned.
    #[doc(alias = "SIGBUS")]
    pub const BUS: Self = Self(libc::SIGBUS);
    /// Arithmetic exception.
    #[doc(alias = "SIGFPE")]
    pub const FPE: Self = Self(libc::SIGFPE);
    /// Killed: cannot be blocked, caught or ignored.
    #[doc(alias = "SIGKILL")]
    pub const KILL: Self = Self(libc::SIGKILL);
    /// User defined signal 1.
    #[doc(alias = "SIGUSR1")]
    pub const USR1: Self = Self(libc::SIGUSR1);
    /// Segmentation fault.
    #[doc(alias = "SIGSEGV")]
    pub const SEGV: Self = Self(libc::SIGSEGV);
    /// User defined signal 2.
    #[doc(alias = "SIGUSR2")]
    pub const USR2: Self = Self(libc::SIGUSR2);
    /// Broken pipe.
    #[doc(alias = "SIGPIPE")]
    pub const PIPE: Self = Self(libc::SIGPIPE);
    /// Alarm clock.
    #[doc(alias = "SIGALRM")]
    pub const ALRM: Self = Self(libc::SIGALRM);
    /// Terminated: the polite request to end.
    #[doc(alias = "SIGTERM")]
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Stack fault: unused.
    #[doc(alias = "SIGSTKFLT")]
    pub const STKFLT: Self = Self(libc::SIGSTKFLT);
    /// Child stopped, continued or ended.
    #[doc(alias = "SIGCHLD")]
    pub const CHLD: Self = Self(libc::SIGCHLD);
    /// Continued.
    #[doc(alias = "SIGCONT")]
    pub const CONT: Self = Self(libc::SIGCONT);
    /// Stopped: cannot be blocked, caught or ignored.
    #[doc(alias = "SIGSTOP")]
    pub const STOP: Self = Self(libc::SIGSTOP);
    /// Stopped from the terminal: Ctrl-Z.
    #[doc(alias = "SIGTSTP")]
    pub const TSTP: Self = Self(libc::SIGTSTP);
    /// Stopped: terminal input from the background.
    #[doc(alias = "SIGTTIN")]
    pub const TTIN: Self = Self(libc::SIGTTIN);
    /// Stopped: terminal output from the background.
    #[doc(alias = "SIGTTOU")]
    pub const TTOU: Self = Self(libc::SIGTTOU);
    /// Urgent condition on a socket.
    #[doc(alias = "SIGURG")]
    pub const URG: Self = Self(libc::SIGURG);
    /// CPU time limit exceeded.
    #[doc(alias = "SIGXCPU")]
    pub const XCPU: Self = Self(libc::SIGXCPU);
    /// File size limit exceeded.
    #[doc(alias = "SIGXFSZ")]
    pub const XFSZ: Self = Self(libc::SIGXFSZ);
    /// Virtual timer expired.
    #[doc(alias = "SIGVTALRM")]
    pub const VTALRM: Self = Self(libc::SIGVTALRM);
    /// Profiling timer expired.
    #[doc(alias = "SIGPROF")]
    pub const PROF: Self = Self(libc::SIGPROF);
    /// Terminal window changed.
    #[doc(alias = "SIGWINCH")]
    pub const WINCH: Self = Self(libc::SIGWINCH);
    /// I/O possible.
    #[doc(alias = "SIGIO")]
    pub const IO: Self = Self(libc::SIGIO);
    /// Power failure.
    #[doc(alias = "SIGPWR")]
    pub const PWR: Self = Self(libc::SIGPWR);
    /// Bad system call: a seccomp filter refused it.
    #[doc(alias = "SIGSYS")]
    pub const SYS: Self = Self(libc::SIGSYS);
}

impl Signal {
    /// The signal with this number.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where no signal that a program may use has the number.
    pub fn new(number: i32) -> Result<Self> {
        let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
        match number {
            1..=31 => Ok(Self(number)),
            _ if (first..=last).contains(&number) => Ok(Self(number)),
            _ => Err(refuse(
                number,
                format!("signals are 1 to 31 and, real-time, {first} to {last}"),
            )),
        }
    }

    /// `SIGRTMIN + n`—A real-time signal: these queue, in order, and carry a value; a low number is delivered first.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) beyond `SIGRTMAX`; 0 to 30 exist with glibc, 0 to 29 with musl.
    #[doc(alias = "SIGRTMIN")]
    pub fn rt(n: u32) -> Result<Self> {
        let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
        match i32::try_from(n).ok().and_then(|n| first.checked_add(n)) {
            Some(number) if number <= last => Ok(Self(number)),
            _ => {
                let object = format_args!("SIGRTMIN+{n}");
                Err(refuse(object, format!("there are {} real-time signals", last - first + 1)))
            }
        }
    }

    /// Every signal, in ascending order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).map(Self)
    }

    /// Its number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Its name, such as `SIGSEGV` or `SIGRTMIN+3`.
    #[doc(alias = "sigabbrev_np")]
    pub fn name(self) -> &'static str {
        match self.row() {
            Some(row) => row.name,
            None => REAL_TIME[self.rt_index().unwrap_or(0)],
        }
    }

    /// What it means, such as `Segmentation fault`.
    #[doc(alias("strsignal", "sigdescr_np"))]
    pub fn description(self) -> &'static str {
        self.row().map_or("Real-time signal", |row| row.description)
    }

    /// What it does where nobody said otherwise.
    pub fn default_action(self) -> DefaultAction {
        self.row().map_or(DefaultAction::Terminate, |row| row.action)
    }

    /// Whether it queues and carries a value.
    pub fn is_realtime(self) -> bool {
        self.rt_index().is_some()
    }

    /// Whether a program can block, catch, ignore or wait for it: false for `SIGKILL` and `SIGSTOP` only.
    pub const fn is_catchable(self) -> bool {
        self.0 != Self::KILL.0 && self.0 != Self::STOP.0
    }

    fn row(self) -> Option<&'static Row> {
        STANDARD.iter().find(|row| row.signal == self)
    }

    /// The distance from `SIGRTMIN` of a real-time signal.
    fn rt_index(self) -> Option<usize> {
        usize::try_from(self.0 - libc::SIGRTMIN()).ok()
    }
}

fn refuse(object: impl fmt::Display, reason: impl Into<String>) -> Error {
    Error::invalid_input("use", format!("signal `{object}`"), reason.into())
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({self})")
    }
}

/// By name or number, as `kill(1)` takes them: `SIGTERM`, `term`, `15`, `RTMIN+3`, `SIGRTMAX-1`.
impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Self::new(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        STANDARD
            .iter()
            .map(|row| (&row.name[3..], row.signal))
            .chain(ALIASES)
            .find_map(|(known, signal)| (known == name).then_some(signal))
            .or_else(|| parse_real_time(name))
            .ok_or_else(|| refuse(text.escape_debug(), "there is no signal of this name"))
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX` or `RTMAX-n`.
fn parse_real_time(name: &str) -> Option<Signal> {
    let (base, offset, sign) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(offset), _) => (libc::SIGRTMIN(), offset, '+'),
        (_, Some(offset)) => (libc::SIGRTMAX(), offset, '-'),
        _ => return None,
    };
    let distance = match offset.strip_prefix(sign) {
        Some(digits) => i32::from(digits.parse::<u8>().ok()?),
        None if offset.is_empty() => 0,
        None => return None,
    };
    let signal = Signal::new(if sign == '+' { base + distance } else { base - distance }).ok()?;
    signal.is_realtime().then_some(signal)
}

impl TryFrom<i32> for Signal {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self> {
        Self::new(number)
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for signal in Signal::all() {
            assert_eq!(signal.name().parse::<Signal>().unwrap(), signal);
            assert_eq!(signal.name()[3..].to_lowercase().parse::<Signal>().unwrap(), signal);
            assert_eq!(signal.as_raw().to_string().parse::<Signal>().unwrap(), signal);
            assert_eq!(Signal::new(signal.as_raw()).unwrap(), signal);
            assert!(!signal.description().is_empty());
        }
        let all = 31 + libc::SIGRTMAX() - libc::SIGRTMIN() + 1;
        assert_eq!(Signal::all().count(), usize::try_from(all).unwrap());
    }

    #[test]
    fn numbers_that_are_no_signals_are_refused() {
        for bad in [i32::MIN, -1, 0, 32, 33, libc::SIGRTMAX() + 1, i32::MAX] {
            let error = Signal::new(bad).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with("failed to use signal `"), "{error}");
        }
        assert!(Signal::rt(32).is_err());
        assert!(Signal::rt(u32::MAX).is_err());
    }

    #[test]
    fn names_that_are_no_signals_are_refused() {
        for bad in [
            "",
            "SIG",
            "SIGSIGTERM",
            "TERM ",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+",
            "RTMAX-99",
            "RTMIN+99",
        ] {
            assert!(bad.parse::<Signal>().is_err(), "{bad:?}");
        }
        assert_eq!("RTMAX".parse::<Signal>().unwrap().as_raw(), libc::SIGRTMAX());
        assert_eq!("SIGRTMAX-1".parse::<Signal>().unwrap().as_raw(), libc::SIGRTMAX() - 1);
        assert_eq!("SIGCLD".parse::<Signal>().unwrap(), Signal::CHLD);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serializes_as_a_number_and_is_checked_on_the_way_in() {
        let bytes = postcard::to_stdvec(&Signal::TERM).unwrap();
        assert_eq!(postcard::from_bytes::<Signal>(&bytes).unwrap(), Signal::TERM);
        assert_eq!(postcard::from_bytes::<i32>(&bytes).unwrap(), 15);
        let bad = postcard::to_stdvec(&32_i32).unwrap();
        assert!(postcard::from_bytes::<Signal>(&bad).is_err());
    }
}
