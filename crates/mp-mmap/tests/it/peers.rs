//! Programs that nobody here wrote, and processes that die.

use std::os::unix::process::ExitStatusExt;

use mp_mmap::{GuardedError, Mapping};
use mp_testkit::{Gate, fork_child, isolated, python, wait_for_kill};

use crate::file_of_len;

#[test]
fn python_sees_our_bytes_and_we_see_its() {
    isolated(|| {
        let script = "
import mmap, sys
with open(sys.argv[1], 'r+b') as f, mmap.mmap(f.fileno(), 0) as m:
    print(m[4090:4099].decode())
    m[10:21] = b'from Python'
";
        let Some(mut command) = python(script) else { return };
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8192).unwrap();
        let mapping = Mapping::map(file.as_file()).unwrap();
        mapping.copy_in(4090, b"from Rust").unwrap();
        let output = command.arg(file.path()).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "from Rust\n");
        assert_eq!(mapping.read::<[u8; 11]>(10).unwrap(), *b"from Python");
    });
}

#[test]
fn a_forked_child_shares_anonymous_memory() {
    isolated(|| {
        let memory = Mapping::anonymous(100).unwrap();
        let child = fork_child(|| i32::from(memory.copy_in(50, b"child").is_err()));
        assert!(child.wait().success());
        assert_eq!(memory.read::<[u8; 5]>(50).unwrap(), *b"child");
    });
}

#[test]
fn what_a_killed_process_wrote_stays() {
    isolated(|| {
        let file = file_of_len(8192);
        let (written, mapping) = (Gate::new(), Mapping::map(&file).unwrap());
        let child = fork_child(|| {
            mapping.copy_in(4090, b"last words").unwrap();
            written.open();
            wait_for_kill()
        });
        child.wait_at(&written);
        assert_eq!(child.kill().signal(), Some(9));
        assert_eq!(Mapping::map(&file).unwrap().read::<[u8; 10]>(4090).unwrap(), *b"last words");
    });
}

#[test]
fn a_peer_that_truncates_is_reported_and_kills_only_the_unguarded() {
    isolated(|| {
        let file = file_of_len(8192);
        let mapping = Mapping::map(&file).unwrap();
        let truncates = fork_child(|| i32::from(file.set_len(0).is_err()));
        assert!(truncates.wait().success());

        let error = mapping.copy_out_guarded(0, &mut [0; 8]).unwrap_err();
        assert!(matches!(error, GuardedError::Truncated { copied: 0 }), "{error}");
        let unguarded = fork_child(|| i32::from(mapping.read::<u8>(0).is_err()));
        let signal = unguarded.wait().signal();
        assert_eq!(signal, Some(7), "SIGBUS is what the guard is for");
    });
}
