//! What each standard signal is called, means and does by default. Source: `signal(7)`; the descriptions are glibc's.

use DefaultAction::{Continue, Core, Ignore, Stop, Terminate};

use crate::{DefaultAction, Signal};

/// One standard signal.
pub(crate) struct Row {
    pub(crate) signal: Signal,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) action: DefaultAction,
}

#[rustfmt::skip]
pub(crate) const STANDARD: [Row; 31] = [
    Row { signal: Signal::HUP, name: "SIGHUP", description: "Hangup", action: Terminate },
    Row { signal: Signal::INT, name: "SIGINT", description: "Interrupt", action: Terminate },
    Row { signal: Signal::QUIT, name: "SIGQUIT", description: "Quit", action: Core },
    Row { signal: Signal::ILL, name: "SIGILL", description: "Illegal instruction", action: Core },
    Row { signal: Signal::TRAP, name: "SIGTRAP", description: "Trace/breakpoint trap", action: Core },
    Row { signal: Signal::ABRT, name: "SIGABRT", description: "Aborted", action: Core },
    Row { signal: Signal::BUS, name: "SIGBUS", description: "Bus error", action: Core },
    Row { signal: Signal::FPE, name: "SIGFPE", description: "Floating point exception", action: Core },
    Row { signal: Signal::KILL, name: "SIGKILL", description: "Killed", action: Terminate },
    Row { signal: Signal::USR1, name: "SIGUSR1", description: "User defined signal 1", action: Terminate },
    Row { signal: Signal::SEGV, name: "SIGSEGV", description: "Segmentation fault", action: Core },
    Row { signal: Signal::USR2, name: "SIGUSR2", description: "User defined signal 2", action: Terminate },
    Row { signal: Signal::PIPE, name: "SIGPIPE", description: "Broken pipe", action: Terminate },
    Row { signal: Signal::ALRM, name: "SIGALRM", description: "Alarm clock", action: Terminate },
    Row { signal: Signal::TERM, name: "SIGTERM", description: "Terminated", action: Terminate },
    Row { signal: Signal::STKFLT, name: "SIGSTKFLT", description: "Stack fault", action: Terminate },
    Row { signal: Signal::CHLD, name: "SIGCHLD", description: "Child exited", action: Ignore },
    Row { signal: Signal::CONT, name: "SIGCONT", description: "Continued", action: Continue },
    Row { signal: Signal::STOP, name: "SIGSTOP", description: "Stopped (signal)", action: Stop },
    Row { signal: Signal::TSTP, name: "SIGTSTP", description: "Stopped", action: Stop },
    Row { signal: Signal::TTIN, name: "SIGTTIN", description: "Stopped (tty input)", action: Stop },
    Row { signal: Signal::TTOU, name: "SIGTTOU", description: "Stopped (tty output)", action: Stop },
    Row { signal: Signal::URG, name: "SIGURG", description: "Urgent I/O condition", action: Ignore },
    Row { signal: Signal::XCPU, name: "SIGXCPU", description: "CPU time limit exceeded", action: Core },
    Row { signal: Signal::XFSZ, name: "SIGXFSZ", description: "File size limit exceeded", action: Core },
    Row { signal: Signal::VTALRM, name: "SIGVTALRM", description: "Virtual timer expired", action: Terminate },
    Row { signal: Signal::PROF, name: "SIGPROF", description: "Profiling timer expired", action: Terminate },
    Row { signal: Signal::WINCH, name: "SIGWINCH", description: "Window changed", action: Ignore },
    Row { signal: Signal::IO, name: "SIGIO", description: "I/O possible", action: Terminate },
    Row { signal: Signal::PWR, name: "SIGPWR", description: "Power failure", action: Terminate },
    Row { signal: Signal::SYS, name: "SIGSYS", description: "Bad system call", action: Core },
];

/// Other names of standard signals, without `SIG`.
pub(crate) const ALIASES: [(&str, Signal); 4] =
    [("CLD", Signal::CHLD), ("IOT", Signal::ABRT), ("POLL", Signal::IO), ("UNUSED", Signal::SYS)];

/// Names of real-time signals, by their distance from the lowest one.
pub(crate) const REAL_TIME: [&str; 32] = [
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+16",
    "SIGRTMIN+17",
    "SIGRTMIN+18",
    "SIGRTMIN+19",
    "SIGRTMIN+20",
    "SIGRTMIN+21",
    "SIGRTMIN+22",
    "SIGRTMIN+23",
    "SIGRTMIN+24",
    "SIGRTMIN+25",
    "SIGRTMIN+26",
    "SIGRTMIN+27",
    "SIGRTMIN+28",
    "SIGRTMIN+29",
    "SIGRTMIN+30",
    "SIGRTMIN+31",
];
