use nix::libc;

use crate::{Result, Signal};

/// One delivery of a signal: which, why, from whom, with which value. `siginfo_t`.
///
/// **Who sent it is evidence, not proof.** The kernel fills in the sender of [`Cause::Kill`] and
/// [`Cause::ThreadKill`], but a [`Cause::Queue`] carries whatever `pid` and `uid` the sender wrote.
///
/// # Examples
///
/// ```
/// use mp_signal::{Block, Cause, Signal, Target, queue};
///
/// let block = Block::new([Signal::rt(0)?])?;
/// queue(Target::this_thread(), Signal::rt(0)?, 42)?;
/// let info = block.wait()?;
/// assert_eq!((info.cause(), info.pid()), (Cause::Queue, Some(std::process::id())));
/// assert_eq!(info.value().map(|value| value.as_i32()), Some(42));
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("siginfo_t", "signalfd_siginfo"))]
pub struct SignalInfo {
    signal: Signal,
    /// `si_code`, or [`LOST`].
    code: i32,
    /// Zero where unknown.
    pid: i32,
    uid: u32,
    /// `si_value`; for `SIGCHLD` it is `si_status`.
    value: usize,
}

/// Why a signal was sent. Source: `sigaction(2)`, `si_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// `kill(2)`, also by `pidfd_send_signal(2)` and to a group.
    Kill,
    /// `tgkill(2)`, `raise(3)`.
    ThreadKill,
    /// `sigqueue(3)`, with a value.
    Queue,
    /// A POSIX timer, with a value.
    Timer,
    /// `mq_notify(3)`, with a value.
    MessageQueue,
    /// Asynchronous I/O, with a value.
    AsyncIo,
    /// A child ended, stopped or went on.
    Child,
    /// The kernel: a terminal's key, a broken pipe, a limit.
    Kernel,
    /// The signal was delivered while nobody read, and there was no room to say more
    /// (see [`handler::Signals`](crate::handler::Signals)).
    Lost,
    /// Another `si_code`.
    Other(i32),
}

/// What [`queue`](crate::queue) sends along: a number of pointer size, `union sigval`.
///
/// C programs and `kill -q` send an `int`: [`as_i32`](Self::as_i32) is that; the other bytes are then arbitrary.
///
/// # Examples
///
/// ```
/// use mp_signal::Value;
///
/// assert_eq!(Value::from(-7).as_i32(), -7);
/// assert_eq!(Value::from(usize::MAX).as_usize(), usize::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "sigval")]
pub struct Value(usize);

/// The code of a delivery of which only the fact is known; the kernel uses none below -60.
const LOST: i32 = i32::MIN;

impl SignalInfo {
    /// The length of [`to_bytes`](Self::to_bytes): what a handler writes into its pipe.
    pub(crate) const LEN: usize = 24;

    pub(crate) const fn new(signal: Signal, code: i32, pid: i32, uid: u32, value: usize) -> Self {
        Self { signal, code, pid, uid, value }
    }

    pub(crate) const fn lost(signal: Signal) -> Self {
        Self::new(signal, LOST, 0, 0, 0)
    }

    /// Async-signal-safe.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.signal.as_raw().to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.code.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.pid.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.uid.to_ne_bytes());
        bytes[16..].copy_from_slice(&(self.value as u64).to_ne_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where it did not.
    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Result<Self> {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[16..]);
        Ok(Self {
            signal: Signal::new(i32::from_ne_bytes(word(0)))?,
            code: i32::from_ne_bytes(word(4)),
            pid: i32::from_ne_bytes(word(8)),
            uid: u32::from_ne_bytes(word(12)),
            value: u64::from_ne_bytes(value) as usize,
        })
    }

    /// Which signal.
    pub const fn signal(&self) -> Signal {
        self.signal
    }

    /// Why it was sent.
    pub const fn cause(&self) -> Cause {
        match self.code {
            LOST => Cause::Lost,
            libc::SI_USER => Cause::Kill,
            libc::SI_TKILL => Cause::ThreadKill,
            libc::SI_QUEUE => Cause::Queue,
            libc::SI_TIMER => Cause::Timer,
            libc::SI_MESGQ => Cause::MessageQueue,
            libc::SI_ASYNCIO | libc::SI_SIGIO => Cause::AsyncIo,
            libc::SI_KERNEL => Cause::Kernel,
            libc::CLD_EXITED..=libc::CLD_CONTINUED
                if self.signal.as_raw() == Signal::CHLD.as_raw() =>
            {
                Cause::Child
            }
            code => Cause::Other(code),
        }
    }

    /// The process that sent it, or the child that a `SIGCHLD` is about.
    ///
    /// `None` where no process did, where it is in another PID namespace, and where a `kill(2)` found the queue of
    /// pending signals full.
    pub fn pid(&self) -> Option<u32> {
        self.has_sender().then(|| self.pid.unsigned_abs())
    }

    /// The real user id of that process.
    pub fn uid(&self) -> Option<u32> {
        self.has_sender().then_some(self.uid)
    }

    /// The value that was sent along.
    pub fn value(&self) -> Option<Value> {
        use Cause::{AsyncIo, MessageQueue, Queue, Timer};
        matches!(self.cause(), Queue | Timer | MessageQueue | AsyncIo).then_some(Value(self.value))
    }

    /// Of a `SIGCHLD`, the exit code of the child or the number of the signal.
    ///
    /// Do not rely on it to reap: the signals of many children coalesce into one. A pidfd does not.
    pub fn child_status(&self) -> Option<i32> {
        (self.cause() == Cause::Child).then(|| Value(self.value).as_i32())
    }

    fn has_sender(&self) -> bool {
        use Cause::{Child, Kill, MessageQueue, Queue, ThreadKill};
        let known = matches!(self.cause(), Kill | ThreadKill | Queue | MessageQueue | Child);
        known && self.pid != 0
    }
}

impl Value {
    /// All of it: a number, or a pointer of a process that sends to itself.
    pub const fn as_usize(self) -> usize {
        self.0
    }

    /// The `int` of it, `sival_int`.
    #[doc(alias = "sival_int")]
    pub const fn as_i32(self) -> i32 {
        // The union's first bytes, which on these little-endian machines are the low ones.
        self.0 as u32 as i32
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self(value as u32 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        let info = SignalInfo::new(Signal::TERM, libc::SI_QUEUE, 77, 65534, usize::MAX - 5);
        assert_eq!(SignalInfo::from_bytes(info.to_bytes()).unwrap(), info);
    }

    #[test]
    fn an_unknown_sender_is_none() {
        let info = SignalInfo::new(Signal::TERM, libc::SI_USER, 0, 0, 9);
        assert_eq!((info.pid(), info.uid(), info.value()), (None, None, None));
        assert_eq!(SignalInfo::lost(Signal::TERM).cause(), Cause::Lost);
        let segv_code = SignalInfo::new(Signal::SEGV, libc::CLD_EXITED, 5, 5, 5);
        assert_eq!((segv_code.cause(), segv_code.pid()), (Cause::Other(1), None));
    }
}
