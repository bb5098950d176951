//! With programs that nobody here wrote.

use std::process::Command;

use mp_mqueue::{
    posix::MessageQueue as PosixQueue,
    sysv::{Key, MessageQueue, Select, WaitError},
};
use mp_testkit::{isolated, python_with_ipc, run, unique_key, unique_name};

use crate::{SIZE, posix_options, text};

#[test]
fn posix_ipc_of_python() {
    isolated(|| {
        let queue = posix_options().create_new(unique_name("mqueue")).unwrap();
        let script = "
import posix_ipc, sys
queue = posix_ipc.MessageQueue(sys.argv[1])
assert (queue.max_messages, queue.max_message_size) == (4, 16)
assert queue.receive() == (b'from Rust', 7)
queue.send(b'low', priority=1)
queue.send(b'high', priority=31)
theirs = posix_ipc.MessageQueue(sys.argv[2], posix_ipc.O_CREX, max_messages=3, max_message_size=5)
theirs.send(b'12345')
";
        let theirs = format!("/{}", unique_name("mqueue"));
        let Some(mut python) = python_with_ipc(script) else { return };
        queue.send(b"from Rust", 7).unwrap();
        run(python.arg(queue.name().unwrap().as_str()).arg(&theirs)).unwrap();
        let mut buffer = [0; SIZE];
        for (bytes, priority) in [(&b"high"[..], 31), (b"low", 1)] {
            let message = queue.recv(&mut buffer).unwrap();
            assert_eq!((message.bytes, message.priority), (bytes, priority));
        }
        let theirs = PosixQueue::open(&theirs).unwrap();
        let attributes = theirs.attributes().unwrap();
        assert_eq!((attributes.capacity, attributes.message_size, attributes.len), (3, 5, 1));
        assert_eq!(theirs.recv(&mut buffer).unwrap().bytes, b"12345");
        PosixQueue::unlink(theirs.name().unwrap()).unwrap();
    });
}

#[test]
fn sysv_ipc_of_python() {
    isolated(|| {
        let (key, other) = (unique_key(), unique_key());
        let queue = MessageQueue::create_new(key).unwrap();
        let script = "
import sysv_ipc, sys
queue = sysv_ipc.MessageQueue(int(sys.argv[1]))
assert queue.receive(type=7) == (b'from Rust', 7)
assert queue.current_messages == 1
queue.send(b'eight', type=8)
queue.send(b'nine', type=9)
theirs = sysv_ipc.MessageQueue(int(sys.argv[2]), sysv_ipc.IPC_CREX, mode=0o600)
theirs.send(b'hello', type=3)
";
        let Some(mut python) = python_with_ipc(script) else { return };
        queue.send(b"other", 1).unwrap();
        queue.send(b"from Rust", 7).unwrap();
        run(python.arg(key.as_raw().to_string()).arg(other.as_raw().to_string())).unwrap();
        let mut buffer = [0; SIZE];
        assert_eq!(queue.recv(&mut buffer, Select::kind(9)).unwrap().bytes, b"nine");
        assert_eq!(queue.recv(&mut buffer, Select::except(1)).unwrap().kind, 8);
        let theirs = MessageQueue::open(other).unwrap();
        let message = theirs.recv(&mut buffer, Select::up_to(3)).unwrap();
        assert_eq!((message.bytes, message.kind), (&b"hello"[..], 3));
        theirs.remove().unwrap();
    });
}

#[test]
fn ipcs_and_ipcrm() {
    isolated(|| {
        let key = unique_key();
        let queue = MessageQueue::create_new(key).unwrap();
        queue.send(&text(1), 1).unwrap();
        let Some(table) = run(Command::new("ipcs").arg("-q")) else { return };
        let row = table.lines().find(|line| line.starts_with(&key.to_string())).unwrap();
        let columns: Vec<_> = row.split_whitespace().collect();
        assert_eq!(columns[1], queue.id().to_string());
        assert_eq!(columns[3..], ["600", "16", "1"]);

        run(Command::new("ipcrm").arg("-q").arg(queue.id().to_string())).unwrap();
        let mut buffer = [0; SIZE];
        assert!(matches!(queue.recv(&mut buffer, Select::FIRST), Err(WaitError::Removed)));
    });
}

#[test]
fn ipcmk() {
    isolated(|| {
        let Some(text) = run(Command::new("ipcmk").args(["-Q", "-p", "0640"])) else { return };
        let id = text.rsplit(' ').next().unwrap().trim().parse().unwrap();
        let queue = MessageQueue::from_id(id).unwrap();
        assert_ne!(queue.key(), Key::PRIVATE);
        assert_eq!(MessageQueue::open(queue.key()).unwrap().id(), id);
        assert_eq!(queue.stat().unwrap().permissions.mode, 0o640);
        queue.send(b"x", 1).unwrap();
        queue.remove().unwrap();
    });
}
