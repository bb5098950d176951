//! Programs that nobody here wrote.

use std::process::Command;

use mp_shm::{
    posix::{self, SharedMemory},
    sysv::{self, Key},
};
use mp_testkit::{isolated, python, python_with_ipc, skip, unique_name};

/// What `command` printed; `None`, having skipped, where there is no such program.
fn run(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?} failed with {}: {errors}", output.status);
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            skip(&format!("{:?} cannot be run: {error}", command.get_program()));
            None
        }
    }
}

#[test]
fn python_opens_what_we_created() {
    isolated(|| {
        let shm = SharedMemory::create_new(unique_name("python"), 100).unwrap();
        shm.memory().copy_in(10, b"from Rust").unwrap();
        let script = "
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
resource_tracker.register = lambda *_: None # before 3.13 it takes away what it only opened
shm = SharedMemory(sys.argv[1])
print(shm.size, bytes(shm.buf[10:19]).decode())
shm.buf[20:31] = b'from Python'
shm.close()
";
        let Some(mut command) = python(script) else { return };
        let Some(output) = run(command.arg(shm.name().file_name())) else { return };
        assert_eq!(output, "100 from Rust\n");
        assert_eq!(shm.memory().read::<[u8; 11]>(20).unwrap(), *b"from Python");
    });
}

#[test]
fn we_open_what_python_created() {
    isolated(|| {
        let script = "
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
resource_tracker.register = lambda *_: None # it is to outlive this process
shm = SharedMemory(sys.argv[1], create=True, size=5000)
shm.buf[4990:5000] = b'end of it.'
shm.close()
";
        let name = unique_name("python");
        let Some(mut command) = python(script) else { return };
        if run(command.arg(&name)).is_none() {
            return;
        }
        let shm = SharedMemory::open(&name).unwrap();
        assert_eq!((shm.len(), shm.is_owner()), (5000, false));
        assert_eq!(shm.memory().read::<[u8; 10]>(4990).unwrap(), *b"end of it.");
        posix::unlink(&name).unwrap();
    });
}

#[test]
fn posix_ipc_and_we_share_objects() {
    isolated(|| {
        let (ours, theirs) = (unique_name("ipc"), unique_name("ipc"));
        let shm = SharedMemory::create_new(&ours, 4096).unwrap();
        shm.memory().copy_in(0, b"from Rust").unwrap();
        let script = "
import mmap, os, posix_ipc, sys
shm = posix_ipc.SharedMemory('/' + sys.argv[1])
print(shm.size, oct(shm.mode & 0o777), os.pread(shm.fd, 9, 0).decode())
shm.close_fd()
shm = posix_ipc.SharedMemory('/' + sys.argv[2], posix_ipc.O_CREX, mode=0o640, size=8192)
with mmap.mmap(shm.fd, shm.size) as m:
    m[8180:8192] = b'from Python.'
shm.close_fd()
";
        let Some(mut command) = python_with_ipc(script) else { return };
        let Some(output) = run(command.args([&ours, &theirs])) else { return };
        assert_eq!(output, "4096 0o600 from Rust\n");
        let shm = SharedMemory::open(&theirs).unwrap();
        assert_eq!(shm.memory().read::<[u8; 12]>(8180).unwrap(), *b"from Python.");
        posix::unlink(&theirs).unwrap();
    });
}

#[test]
fn sysv_ipc_and_we_share_segments() {
    isolated(|| {
        let ours = sysv::SharedMemory::create_new(Key::PRIVATE, 4096).unwrap();
        ours.memory().copy_in(0, b"from Rust").unwrap();
        let script = "
import sys, sysv_ipc
shm = sysv_ipc.attach(int(sys.argv[1]))
print(shm.read(9).decode())
shm.detach()
shm = sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, mode=0o640, size=8192)
shm.write(b'from Python', 100)
shm.detach()
print(shm.id, shm.key)
";
        let Some(mut command) = python_with_ipc(script) else { return };
        let Some(output) = run(command.arg(ours.id().to_string())) else { return };
        let mut words = output.split_whitespace().skip(2);
        assert!(output.starts_with("from Rust\n"), "{output}");
        let id = words.next().unwrap().parse().unwrap();
        let key = Key::new(words.next().unwrap().parse().unwrap());
        let mut shm = sysv::SharedMemory::open(key).unwrap();
        assert_eq!((shm.id(), shm.len()), (id, 8192));
        assert_eq!(shm.memory().read::<[u8; 11]>(100).unwrap(), *b"from Python");
        assert_eq!(shm.stat().unwrap().permissions.mode, 0o640);
        shm.remove().unwrap();
    });
}

#[test]
fn ipcs_shows_what_we_created() {
    isolated(|| {
        let shm =
            sysv::CreateOptions::new().mode(0o640).create_new(Key::new(0x6d70), 5000).unwrap();
        let id = shm.id().to_string();
        let Some(listing) = run(Command::new("ipcs").args(["-m", "-i", &id])) else { return };
        for fact in [format!("shmid={id}"), "mode=0640".to_owned(), "bytes=5000".to_owned()] {
            assert!(listing.contains(&fact), "{fact} is not in {listing}");
        }
        assert!(listing.contains("nattch=1"), "{listing}");
    });
}

#[test]
fn ipcrm_removes_what_we_created() {
    isolated(|| {
        let shm = sysv::SharedMemory::create_new(Key::PRIVATE, 100).unwrap();
        let id = shm.id().to_string();
        if run(Command::new("ipcrm").args(["-m", &id])).is_some() {
            assert!(shm.stat().unwrap().removed);
            shm.memory().copy_in(0, b"still attached").unwrap();
        }
    });
}

#[test]
fn we_attach_what_ipcmk_created() {
    isolated(|| {
        let mut command = Command::new("ipcmk");
        let Some(output) = run(command.args(["-M", "5000", "-p", "0600"])) else { return };
        let id = output.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let mut shm = sysv::SharedMemory::open_id(id).unwrap();
        assert_eq!((shm.len(), shm.is_owner()), (5000, false));
        shm.memory().copy_in(4990, b"the end").unwrap();
        shm.remove().unwrap();
    });
}
