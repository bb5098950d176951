//! Connections and what waits for many, as Python's tests of them have it: see `docs/conformance-python/connection.md`.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    net::UdpSocket,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    thread,
    time::{Duration, Instant},
};

use mp_core::{
    Connection, Error, Fd, Process, Queue, RecvError, RecvOnly, SendError, SendOnly, Source,
    StartMethod, one_way_pipe, pipe, try_wait, wait, wait_deadline, wait_timeout,
};
use mp_testkit::{fork_child, isolated};
use serde::{Serialize, de::DeserializeOwned};

use crate::{LONG, METHODS, warm_up};

/// Runs `test` with a way to start processes by each method.
fn each_method(test: impl Fn(&Start)) {
    // By copying, in a process that has one thread. Its children have copies of all its ends, as in Python, so that they
    // cannot wait for it to drop one.
    let one_thread = fork_child(|| {
        test(&Start(StartMethod::Fork));
        0
    });
    assert!(one_thread.wait().success());
    warm_up();
    METHODS.iter().for_each(|&method| test(&Start(method)));
}

struct Start(StartMethod);

impl Start {
    fn spawn<A, R>(&self, function: fn(A) -> R, argument: A) -> Process<R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        Process::builder().start_method(self.0).spawn(function, argument).unwrap()
    }
}

/// A child that has `argument` until it is killed.
fn holder<A: Serialize + DeserializeOwned + 'static>(start: &Start, argument: A) -> Process<()> {
    start.spawn(|_: A| mp_testkit::wait_for_kill(), argument)
}

#[test]
fn an_echo_of_values_and_bytes() {
    isolated(|| {
        each_method(|start| {
            let (ours, theirs) = pipe().unwrap();
            let echo = |peer: Connection| {
                loop {
                    let message = peer.recv_bytes().unwrap();
                    peer.send_bytes(&message).unwrap();
                    if message == b"the last" {
                        return;
                    }
                }
            };
            let child = start.spawn(echo, theirs);
            let list = vec![1, 2, 3];
            ours.send(&list).unwrap();
            assert_eq!(ours.recv::<Vec<i32>>().unwrap(), list);
            ours.send_bytes(b"hello world").unwrap();
            assert_eq!(ours.recv_bytes().unwrap(), b"hello world");

            let mut buffer = [0; 30];
            ours.send_bytes(b"abcd").unwrap();
            assert_eq!(ours.recv_bytes_into(&mut buffer[3..]).unwrap(), 4);
            assert_eq!(&buffer[..8], b"\0\0\0abcd\0");
            ours.send_bytes(&[7; 31]).unwrap();
            match ours.recv_bytes_into(&mut buffer) {
                Err(RecvError::TooLong(message)) => assert_eq!(message, [7; 31]),
                other => panic!("{other:?}"),
            }

            assert!(!ours.poll().unwrap());
            ours.send(&()).unwrap();
            assert!(ours.poll_timeout(LONG).unwrap());
            ours.recv::<()>().unwrap();

            let huge = vec![b'X'; 16 << 20];
            ours.send_bytes(&huge).unwrap();
            assert!(ours.recv_bytes().unwrap() == huge);
            ours.send_bytes(b"").unwrap();
            assert_eq!(ours.recv_bytes().unwrap(), b"");
            ours.send_bytes(b"the last").unwrap();
            assert_eq!(ours.recv_bytes().unwrap(), b"the last");
            assert!(matches!(ours.recv_bytes(), Err(RecvError::Closed)));
            child.join().unwrap();
        });
    });
}

#[test]
fn the_copy_of_the_parent_may_be_closed_at_once() {
    isolated(|| {
        each_method(|start| {
            let (ours, theirs) = pipe().unwrap();
            let spare = theirs.try_clone().unwrap();
            let child = start.spawn(|peer: Connection| peer.send(&"hello").unwrap(), theirs);
            drop(spare);
            assert_eq!(ours.recv::<String>().unwrap(), "hello");
            child.join().unwrap();
            assert!(matches!(ours.recv::<String>(), Err(RecvError::Closed)));
            assert!(matches!(ours.send(&1), Err(SendError::Closed)));
        });
    });
}

#[test]
fn open_files_travel_whatever_their_number() {
    isolated(|| {
        each_method(|start| {
            let (ours, theirs) = pipe().unwrap();
            let write = |peer: Connection| {
                while let Ok(file) = peer.recv::<Fd<File>>() {
                    file.into_inner().write_all(b"bar").unwrap();
                    peer.send(&()).unwrap();
                }
            };
            let child = start.spawn(write, theirs);
            // Descriptors above 256, which some old interfaces cannot have.
            let many: Vec<_> = (0..260).map(|_| File::open("/dev/null").unwrap()).collect();
            let mut file = tempfile::tempfile().unwrap();
            assert!(file.as_raw_fd() > 256);
            drop(many);
            ours.send(&Fd::new(file.try_clone().unwrap())).unwrap();
            ours.recv::<()>().unwrap();
            let mut text = String::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "bar");

            // Nobody who sends a number only can pass it off as a file.
            ours.send(&0_u32).unwrap();
            assert!(matches!(ours.recv::<()>(), Err(RecvError::Closed)), "it gave up");
            child.join().unwrap();
        });
    });
}

#[test]
fn connections_sockets_and_queues_travel_in_messages() {
    isolated(|| {
        each_method(|start| {
            let (ours, theirs) = pipe().unwrap();
            let child = start.spawn(
                |peer: Connection| {
                    let inner: Connection<SendOnly> = peer.recv().unwrap();
                    inner.send("through what came through").unwrap();
                    drop(inner);
                    let inner: Connection<RecvOnly> = peer.recv().unwrap();
                    peer.send(&inner.recv::<String>().unwrap()).unwrap();
                    let mut stream = peer.recv::<Fd<UnixStream>>().unwrap();
                    stream.write_all(b"raw").unwrap();
                    drop(stream);
                    let (queue, item): (Queue<String>, String) = peer.recv().unwrap();
                    queue.put(item).unwrap();
                },
                theirs,
            );
            let (receiver, sender) = one_way_pipe().unwrap();
            ours.send(&sender).unwrap();
            drop(sender);
            assert_eq!(receiver.recv::<String>().unwrap(), "through what came through");
            assert!(matches!(receiver.recv::<String>(), Err(RecvError::Closed)), "dropped there");

            let (receiver, sender) = one_way_pipe().unwrap();
            ours.send(&receiver).unwrap();
            sender.send("to what came through").unwrap();
            assert_eq!(ours.recv::<String>().unwrap(), "to what came through");

            let (mut stream, other) = UnixStream::pair().unwrap();
            ours.send(&Fd::new(other)).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "raw");
            let queue: Queue<String> = Queue::bounded(1).unwrap();
            ours.send(&(queue.clone(), "by a queue that came by a connection")).unwrap();
            assert_eq!(queue.get().unwrap(), "by a queue that came by a connection");
            child.join().unwrap();
        });
    });
}

#[test]
fn a_poll_elsewhere_takes_no_part_of_a_message() {
    isolated(|| {
        each_method(|start| {
            let (receiver, sender) = one_way_pipe().unwrap();
            let poll = |receiver: Connection<RecvOnly>| {
                let seen = receiver.poll_timeout(LONG).unwrap();
                (seen, receiver.poll().unwrap())
            };
            let child = start.spawn(poll, receiver.try_clone().unwrap());
            for message in [&b"first"[..], b"second"] {
                sender.send_bytes(message).unwrap();
            }
            assert_eq!(child.join().unwrap(), (true, true));
            assert_eq!(receiver.recv_bytes().unwrap(), b"first");
            assert_eq!(receiver.recv_bytes().unwrap(), b"second");
        });
    });
}

#[test]
fn wait_for_nothing() {
    isolated(|| {
        let start = Instant::now();
        assert_eq!(wait_timeout(&[], Duration::from_millis(50)).unwrap(), [0; 0]);
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert_eq!(wait_deadline(&[], start).unwrap(), [0; 0]);
        assert_eq!(try_wait(&[]).unwrap(), [0; 0]);
        assert!(
            matches!(wait(&[]), Err(Error::Os(error)) if error.to_string().contains("for ever"))
        );
    });
}

#[test]
fn wait_for_writers_until_all_have_left() {
    isolated(|| {
        each_method(|start| {
            let (mut readers, mut children) = (Vec::new(), Vec::new());
            for id in 0..4_u32 {
                let (reader, writer) = one_way_pipe().unwrap();
                let write = |(writer, id): (Connection<SendOnly>, u32)| {
                    (0..10_u32).for_each(|n| writer.send(&(n, id)).unwrap());
                };
                children.push(start.spawn(write, (writer, id)));
                readers.push(reader);
            }
            let mut messages = Vec::new();
            while !readers.is_empty() {
                let sources: Vec<_> = readers.iter().map(|reader| reader as &dyn Source).collect();
                for position in wait(&sources).unwrap().into_iter().rev() {
                    match readers[position].recv::<(u32, u32)>() {
                        Ok(message) => messages.push(message),
                        Err(RecvError::Closed) => drop(readers.remove(position)),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            messages.sort_unstable();
            let expected: Vec<_> = (0..10).flat_map(|n| (0..4).map(move |id| (n, id))).collect();
            assert_eq!(messages, expected);
            children.into_iter().for_each(|child| child.join().unwrap());
        });
    });
}

#[test]
fn wait_for_raw_sockets() {
    isolated(|| {
        each_method(|start| {
            let (one, theirs) = UnixStream::pair().unwrap();
            let other = UdpSocket::bind("127.0.0.1:0").unwrap();
            let child = start.spawn(
                |(mut stream, port): (Fd<UnixStream>, u16)| {
                    stream.write_all(b"x").unwrap();
                    stream.read_exact(&mut [0]).unwrap();
                    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                    socket.send_to(b"y", ("127.0.0.1", port)).unwrap();
                },
                (theirs.into(), other.local_addr().unwrap().port()),
            );
            let sources: [&dyn Source; 2] = [&one.as_fd(), &other.as_fd()];
            assert_eq!(wait(&sources).unwrap(), [0]);
            (&one).read_exact(&mut [0]).unwrap();
            (&one).write_all(b"go").unwrap();
            assert_eq!(wait(&sources[1..]).unwrap(), [0]);
            child.join().unwrap();
        });
    });
}

#[test]
fn wait_in_time() {
    isolated(|| {
        let (left, right) = pipe().unwrap();
        let start = Instant::now();
        let timeout = Duration::from_millis(100);
        assert_eq!(wait_timeout(&[&left, &right], timeout).unwrap(), [0; 0]);
        assert!(start.elapsed() >= timeout, "never early");
        assert_eq!(wait_deadline(&[&left, &right], start).unwrap(), [0; 0], "it has passed");
        right.send(&()).unwrap();
        let start = Instant::now();
        assert_eq!(wait_timeout(&[&left, &right], LONG).unwrap(), [0]);
        assert!(start.elapsed() < LONG / 2);
        assert_eq!(wait(&[&left, &right, &left]).unwrap(), [0, 2], "twice is no harm");
    });
}

#[test]
fn wait_for_a_process_and_others_at_once() {
    isolated(|| {
        each_method(|start| {
            let (left, right) = pipe().unwrap();
            let queue = Queue::bounded(2).unwrap();
            let (ours, theirs) = pipe().unwrap();
            let child = start.spawn(|peer: Connection| peer.recv::<()>().unwrap(), theirs);
            let sources: [&dyn Source; 4] = [&left, &child, &queue, &right];
            assert_eq!(wait_timeout(&sources, Duration::from_millis(20)).unwrap(), [0; 0]);
            ours.send(&()).unwrap();
            assert_eq!(wait(&sources).unwrap(), [1]);
            left.send(&1).unwrap();
            assert_eq!(wait(&sources).unwrap(), [1, 3]);
            queue.put(1).unwrap();
            right.send(&1).unwrap();
            assert_eq!(wait(&sources).unwrap(), [0, 1, 2, 3]);
            assert_eq!(queue.get().unwrap(), 1);
            left.recv::<i32>().unwrap();
            assert_eq!(
                wait(&sources).unwrap(),
                [1, 3],
                "a queue that was emptied is ready no more"
            );
            queue.close();
            assert_eq!(wait(&sources).unwrap(), [1, 2, 3]);
            child.join().unwrap();
        });
    });
}

#[test]
fn wait_for_queues_of_many_processes() {
    isolated(|| {
        each_method(|start| {
            let queues: Vec<Queue<u32>> = (0..3).map(|_| Queue::bounded(2).unwrap()).collect();
            let put = |(queue, id): (Queue<u32>, u32)| {
                (0..100).for_each(|n| queue.put(id * 100 + n).unwrap());
                queue.close();
            };
            let children: Vec<_> = (0..)
                .zip(&queues)
                .map(|(id, queue)| start.spawn(put, (queue.clone(), id)))
                .collect();
            let (mut open, mut items) = (queues, Vec::new());
            while !open.is_empty() {
                let sources: Vec<_> = open.iter().map(|queue| queue as &dyn Source).collect();
                for position in wait_timeout(&sources, LONG).unwrap().into_iter().rev() {
                    loop {
                        match open[position].try_get() {
                            Ok(item) => items.push(item),
                            Err(mp_core::GetError::Empty) => break,
                            Err(mp_core::GetError::Closed) => {
                                drop(open.remove(position));
                                break;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }
            items.sort_unstable();
            assert_eq!(items, Vec::from_iter(0..300));
            children.into_iter().for_each(|child| child.join().unwrap());
        });
    });
}

#[test]
fn a_killed_peer_ends_every_wait() {
    isolated(|| {
        each_method(|start| {
            let (ours, theirs) = pipe().unwrap();
            let (receiver, sender) = one_way_pipe().unwrap();
            let silent: Queue<u8> = Queue::bounded(1).unwrap();
            let child = holder(start, (theirs, sender, silent.clone()));
            thread::scope(|scope| {
                // The queue has this process's handle, so nobody closes it.
                let others = scope.spawn(|| wait(&[&silent, &receiver]).unwrap());
                let process = scope.spawn(|| wait_timeout(&[&silent, &child], LONG).unwrap());
                let received = scope.spawn(|| ours.recv::<u8>());
                child.kill().unwrap();
                assert_eq!(others.join().unwrap(), [1]);
                assert_eq!(process.join().unwrap(), [1]);
                assert!(matches!(received.join().unwrap(), Err(RecvError::Closed)));
            });
            assert!(matches!(receiver.recv::<u8>(), Err(RecvError::Closed)));
            assert!(child.join().is_err());
        });
    });
}
