//! With programs nobody here wrote: `kill(1)` and Python's `signal`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use mp_signal::{Block, Cause, Signal, queue, send};
use mp_testkit::{Gate, fork_child, isolated, skip};

/// The output of a Python program, `None` where there is no `python3`.
fn python(program: &str) -> Option<String> {
    let output = Command::new("python3").args(["-c", program]).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn names_and_descriptions_are_those_of_python() {
    let program = "import signal\n\
        for s in signal.valid_signals():\n  \
            print(int(s), getattr(s, 'name', '-'), signal.strsignal(s), sep='|')";
    let Some(table) = python(program) else { return skip("python3 is missing") };
    let mut count = 0;
    for line in table.lines() {
        let [number, name, description] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let signal: Signal = number.parse().unwrap();
        count += 1;
        if name != "-" {
            assert_eq!(name.parse::<Signal>().unwrap(), signal);
        }
        if !signal.is_realtime() {
            assert_eq!(signal.description(), description);
        }
    }
    assert_eq!(count, Signal::all().count());
}

/// Name to number and back. Some versions of `kill` know 29 by its other name only, `SIGPOLL`.
#[test]
fn kill_and_we_understand_each_others_names() {
    let translate = |text: &str| {
        let output = Command::new("kill").args(["-l", text]).output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    for signal in Signal::all().filter(|signal| !signal.is_realtime()) {
        let number = signal.as_raw().to_string();
        let Some(name) = translate(&number) else { return skip("kill(1) is missing") };
        assert_eq!(name.parse::<Signal>().unwrap(), signal);
        if signal != Signal::IO {
            assert_eq!(translate(signal.name()).unwrap(), number, "{signal}");
        }
    }
}

/// `kill -q` is `sigqueue(3)` with an `int`.
#[test]
fn a_value_from_kill_arrives() {
    isolated(|| {
        let help = Command::new("kill").arg("--help").output();
        let knows_values = help.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("-q"));
        if !knows_values {
            return skip("there is no kill(1) that knows -q");
        }
        let gate = Gate::new();
        let receiver = fork_child(|| {
            let block = Block::new([Signal::rt(4).unwrap(), Signal::USR1]).unwrap();
            gate.open();
            let info = block.wait().unwrap();
            assert_eq!((info.signal(), info.cause()), (Signal::rt(4).unwrap(), Cause::Queue));
            assert_eq!(info.uid(), Some(nix::unistd::getuid().as_raw()));
            info.value().unwrap().as_i32()
        });
        receiver.wait_at(&gate);
        let number = Signal::rt(4).unwrap().as_raw().to_string();
        let receiver_number = receiver.id().to_string();
        let sent =
            Command::new("kill").args(["-s", &number, "-q", "99", "--", &receiver_number]).status();
        assert!(sent.unwrap().success());
        assert_eq!(receiver.wait().code(), Some(99));
    });
}

#[test]
fn python_receives_our_signals() {
    isolated(|| {
        let program = "import signal, sys\n\
            rt = signal.SIGRTMIN\n\
            signal.pthread_sigmask(signal.SIG_BLOCK, {rt, rt + 1, signal.SIGTERM})\n\
            print('ready', flush=True)\n\
            sys.stdin.readline()\n\
            for _ in range(4):\n  \
                i = signal.sigwaitinfo({rt, rt + 1, signal.SIGTERM})\n  \
                print(i.si_signo - rt, i.si_code, i.si_pid, flush=True)";
        let child = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return skip("python3 is missing") };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some("ready"));
        let (low, high) = (Signal::rt(0).unwrap(), Signal::rt(1).unwrap());
        queue(&child, high, 1).unwrap();
        queue(&child, low, 2).unwrap();
        queue(&child, low, 3).unwrap();
        send(&child, Signal::TERM).unwrap();
        send(&child, Signal::TERM).unwrap();
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let (me, term) = (std::process::id(), Signal::TERM.as_raw() - low.as_raw());
        let expected = [
            format!("{term} 0 {me}"),
            format!("0 -1 {me}"),
            format!("0 -1 {me}"),
            format!("1 -1 {me}"),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn python_signals_us() {
    isolated(|| {
        let gate = Gate::new();
        let receiver = fork_child(|| {
            let block = Block::new([Signal::USR2, Signal::USR1]).unwrap();
            gate.open();
            let sender = block.wait().unwrap();
            assert_eq!((sender.signal(), sender.cause()), (Signal::USR2, Cause::Kill));
            i32::from(sender.pid().is_none())
        });
        receiver.wait_at(&gate);
        let program = format!("import os, signal; os.kill({}, signal.SIGUSR2)", receiver.id());
        if python(&program).is_none() {
            return skip("python3 is missing");
        }
        assert_eq!(receiver.wait().code(), Some(0));
    });
}
