use std::{
    os::unix::process::{CommandExt, ExitStatusExt},
    process::Command,
};

use mp_signal::{Block, Disposition, Signal, SignalSet, reset_for_child};

/// A mask of `/proc/self/status` (`SigBlk`, `SigIgn`, `SigCgt`) as a shell sees it after `prepare` in the forked child.
fn mask_in_child(field: &str, prepare: fn() -> std::io::Result<()>) -> u64 {
    let mut command = Command::new("grep");
    command.args([field, "/proc/self/status"]);
    // SAFETY: `prepare` makes async-signal-safe calls only.
    unsafe { command.pre_exec(prepare) };
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    u64::from_str_radix(text.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn ignore_usr1_and_block_all() -> std::io::Result<()> {
    Disposition::Ignore.set(Signal::USR1)?;
    Block::new(SignalSet::full())?.keep();
    Ok(())
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

#[test]
fn ignored_and_blocked_signals_survive_exec() {
    assert_ne!(mask_in_child("SigIgn", ignore_usr1_and_block_all) & bit(Signal::USR1), 0);
    let blocked = mask_in_child("SigBlk", ignore_usr1_and_block_all);
    assert_eq!(blocked.count_ones() as usize, SignalSet::full().len());
}

#[test]
fn reset_for_child_undoes_all_of_it() {
    for field in ["SigIgn", "SigBlk"] {
        let mask = mask_in_child(field, || {
            ignore_usr1_and_block_all()?;
            Disposition::Ignore.set(Signal::PIPE)?;
            reset_for_child()
        });
        // Signals 32 and 33 belong to the C library, and whoever started this test may have ignored them.
        assert_eq!(mask & !(0b11 << 31), 0, "{field}");
    }
}

#[test]
fn a_signal_pending_at_the_reset_takes_its_default_action() {
    let mut command = Command::new("true");
    let pending_then_reset = || {
        ignore_usr1_and_block_all()?;
        // SAFETY: an integer only.
        unsafe { nix::libc::raise(Signal::TERM.as_raw()) };
        reset_for_child()
    };
    // SAFETY: the calls are async-signal-safe.
    unsafe { command.pre_exec(pending_then_reset) };
    // The child dies before it can exec, so std sees its end as that of the program.
    let status = command.status().unwrap();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn what_cannot_be_set_is_refused() {
    for signal in [Signal::KILL, Signal::STOP] {
        assert!(Disposition::Ignore.set(signal).is_err());
        assert!(Disposition::Default.set(signal).is_err());
        assert_eq!(Disposition::of(signal).unwrap(), Disposition::Default);
    }
    assert!(Disposition::Handler.set(Signal::USR1).is_err());
}
