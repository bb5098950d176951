//! A child that is led through an operation by `ptrace(2)`.

use std::panic::{self, AssertUnwindSafe};

use nix::{
    libc::c_long,
    sys::{
        ptrace::{self, Options, regset::NT_PRSTATUS},
        signal::{self, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpid},
};

use crate::sys;

/// The signals by which the child says that the operation begins and that it has ended.
const BEGIN: Signal = Signal::SIGSTOP;
const END: Signal = Signal::SIGUSR2;

/// `int3`, the bits that it takes of a word, and how far the child has come when it stops there.
#[cfg(target_arch = "x86_64")]
const BREAKPOINT: (c_long, c_long, u64) = (0xcc, 0xff, 1);
/// `brk #0`, the bits that it takes of a word, and how far the child has come when it stops there.
#[cfg(target_arch = "aarch64")]
const BREAKPOINT: (c_long, c_long, u64) = (0xd420_0000, 0xffff_ffff, 0);

/// A child that stands before an instruction, killed and reaped when it is dropped.
#[derive(Debug)]
pub(super) struct Victim {
    pid: Pid,
    /// A signal that the child was stopped for, to be delivered when it goes on.
    pending: Option<Signal>,
    reaped: bool,
}

/// Where a child has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It stands before the next instruction.
    There,
    /// The operation has returned.
    End,
}

impl Victim {
    #[track_caller]
    pub(super) fn start(operation: impl FnOnce()) -> Self {
        let Some(pid) = sys::fork().expect("a child can be forked") else {
            let traced = ptrace::traceme().and_then(|()| signal::kill(getpid(), BEGIN));
            traced.expect("a child can be traced");
            let outcome = panic::catch_unwind(AssertUnwindSafe(operation));
            // To this process alone, whose only thread gets it before the call returns.
            let ended = signal::kill(getpid(), END);
            sys::exit_now(if outcome.is_ok() && ended.is_ok() { 0 } else { 101 });
        };
        let mut victim =
            Self { pid: Pid::from_raw(pid.cast_signed()), pending: None, reaped: false };
        let stopped = victim.wait();
        assert_eq!(stopped, Some(BEGIN), "a child can be traced");
        ptrace::setoptions(victim.pid, Options::PTRACE_O_EXITKILL).expect("a tracer sets options");
        victim
    }

    /// Where the instruction lies that is the next one.
    #[track_caller]
    pub(super) fn address(&self) -> u64 {
        let registers = ptrace::getregset::<NT_PRSTATUS>(self.pid);
        let registers = registers.expect("a stopped child has registers");
        #[cfg(target_arch = "x86_64")]
        return registers.rip;
        #[cfg(target_arch = "aarch64")]
        return registers.pc;
    }

    #[track_caller]
    fn set_address(&self, address: u64) {
        let registers = ptrace::getregset::<NT_PRSTATUS>(self.pid);
        let mut registers = registers.expect("a stopped child has registers");
        #[cfg(target_arch = "x86_64")]
        {
            registers.rip = address;
        }
        #[cfg(target_arch = "aarch64")]
        {
            registers.pc = address;
        }
        ptrace::setregset::<NT_PRSTATUS>(self.pid, registers).expect("registers can be set");
    }

    /// Executes one instruction.
    #[track_caller]
    pub(super) fn step(&mut self) -> Stop {
        ptrace::step(self.pid, self.pending.take()).expect("a stopped child can be stepped");
        match self.wait() {
            Some(Signal::SIGTRAP) => Stop::There,
            Some(END) => Stop::End,
            Some(other) => {
                self.pending = Some(other);
                Stop::There
            }
            None => panic!("the operation ended its process"),
        }
    }

    /// Executes all until it comes to `address`.
    #[track_caller]
    pub(super) fn run_to(&mut self, address: u64) -> Stop {
        let (instruction, mask, advance) = BREAKPOINT;
        // The word that it lies in, which is in one page; code is in little endian everywhere.
        let (at, shift) = ((address & !7) as *mut _, 8 * (address & 7));
        let word = ptrace::read(self.pid, at).expect("code can be read");
        let with_it = word & !(mask << shift) | instruction << shift;
        ptrace::write(self.pid, at, with_it).expect("code can be written");
        let stop = self.run();
        ptrace::write(self.pid, at, word).expect("code can be written");
        if stop == Stop::There {
            assert_eq!(self.address(), address + advance, "a trap that is not ours");
            self.set_address(address);
        }
        stop
    }

    /// Executes all until it comes to a breakpoint.
    #[track_caller]
    pub(super) fn run(&mut self) -> Stop {
        loop {
            ptrace::cont(self.pid, self.pending.take()).expect("a stopped child can go on");
            match self.wait() {
                Some(Signal::SIGTRAP) => return Stop::There,
                Some(END) => return Stop::End,
                Some(other) => self.pending = Some(other),
                None => panic!("the operation ended its process"),
            }
        }
    }

    /// The signal that the child stopped for; `None` once it is dead.
    fn wait(&mut self) -> Option<Signal> {
        match waitpid(self.pid, Some(WaitPidFlag::__WALL)).expect("a child can be waited for") {
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => {
                self.reaped = true;
                None
            }
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !self.reaped {
            sys::kill(self.pid.as_raw().unsigned_abs());
            // A stop that was on its way may be reported before the death.
            while self.wait().is_some() {}
        }
    }
}
