//! Ends of channels of the crate `ipc-channel`.

use std::{fmt::Debug, time::Duration};

use mp_core::{
    Error, Ipc, Process, ProcessBuilder, SpawnError,
    ipc_channel::{
        IpcError, TryRecvError,
        ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender, IpcSharedMemory},
    },
    pipe,
};
use mp_testkit::isolated;
use serde::{Deserialize, Serialize};

use crate::{LONG, METHODS, warm_up};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    numbers: Vec<u64>,
    /// Channels travel in messages of channels, as ever.
    reply: Option<IpcSenderOf<String>>,
}

/// An [`IpcSender`] that can be compared for the sake of the test.
#[derive(Debug, Serialize, Deserialize)]
struct IpcSenderOf<T>(IpcSender<T>);

impl<T> PartialEq for IpcSenderOf<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

type Both = (Ipc<IpcReceiver<Job>>, Ipc<IpcSender<u64>>);

/// Waits for a result that must come, however many die.
fn in_time<R: serde::de::DeserializeOwned + Debug>(child: Process<R>) -> R {
    child.join_timeout(LONG).unwrap()
}

fn each_method(test: impl Fn(&dyn Fn() -> ProcessBuilder)) {
    warm_up();
    METHODS.iter().for_each(|&method| test(&|| Process::builder().start_method(method)));
}

#[test]
fn typed_ends_of_both_kinds() {
    isolated(|| {
        each_method(|builder| {
            let work = |(jobs, sums): Both| {
                while let Ok(job) = jobs.recv() {
                    sums.send(job.numbers.iter().sum()).unwrap();
                    if let Some(reply) = job.reply {
                        reply.0.send(format!("done with {}", job.name)).unwrap();
                    }
                }
            };
            let (to_child, jobs) = ipc::channel().unwrap();
            let (sums, from_child) = ipc::channel().unwrap();
            let child = builder().spawn(work, (jobs.into(), sums.into())).unwrap();
            for n in 0..100 {
                to_child.send(Job { name: "n".into(), numbers: vec![n; 3], reply: None }).unwrap();
                assert_eq!(from_child.recv().unwrap(), 3 * n);
            }
            let (reply, replies) = ipc::channel().unwrap();
            let reply = Some(IpcSenderOf(reply));
            to_child.send(Job { name: "all".into(), numbers: vec![1; 99_999], reply }).unwrap();
            assert_eq!(from_child.recv().unwrap(), 99_999);
            assert_eq!(replies.recv().unwrap(), "done with all");
            drop(to_child);
            in_time(child);
            assert!(matches!(from_child.recv(), Err(IpcError::Disconnected)));
        });
    });
}

#[test]
fn ends_of_bytes_and_results() {
    isolated(|| {
        each_method(|builder| {
            let work = |(input, output): (Ipc<IpcBytesReceiver>, Ipc<IpcBytesSender>)| {
                output.send(&input.recv().unwrap()).unwrap();
                let (sender, receiver) = ipc::channel::<u8>().unwrap();
                sender.send(7).unwrap();
                Ipc::from(receiver)
            };
            let (to_child, input) = ipc::bytes_channel().unwrap();
            let (output, from_child) = ipc::bytes_channel().unwrap();
            let child = builder().spawn(work, (input.into(), output.into())).unwrap();
            let bytes = vec![3; 1 << 20];
            to_child.send(&bytes).unwrap();
            assert!(from_child.recv().unwrap() == bytes);
            let result = in_time(child);
            assert_eq!(result.recv().unwrap(), 7);
            assert!(result.recv().is_err());
        });
    });
}

#[test]
fn a_copy_of_a_sender_stays_and_messages_carry_ends() {
    isolated(|| {
        warm_up();
        let (ours, theirs) = pipe().unwrap();
        let (sender, receiver) = ipc::channel::<String>().unwrap();
        ours.send(&Ipc::from(sender.clone())).unwrap();
        let copy: Ipc<IpcSender<String>> = theirs.recv().unwrap();
        copy.send("the copy's".into()).unwrap();
        sender.send("its own".into()).unwrap();
        drop((copy, sender));
        assert_eq!(receiver.recv().unwrap(), "the copy's");
        assert_eq!(receiver.recv().unwrap(), "its own");
        assert!(matches!(receiver.recv(), Err(IpcError::Disconnected)));
    });
}

#[test]
fn outside_a_transfer_is_an_error_and_the_end_is_whole() {
    isolated(|| {
        let (sender, receiver) = ipc::channel::<u8>().unwrap();
        let receiver = Ipc::from(receiver);
        assert!(mp_process::encode(&receiver, &mut Vec::new()).is_err());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv().unwrap(), 1);
    });
}

#[test]
fn a_dead_sender_ends_the_wait_of_a_receiver() {
    isolated(|| {
        each_method(|builder| {
            let (sender, receiver) = ipc::channel::<u8>().unwrap();
            sender.send(1).unwrap();
            let hold = |_: Ipc<IpcSender<u8>>| -> () { mp_testkit::wait_for_kill() };
            let dying = builder().spawn(hold, sender.into()).unwrap();
            let (ready, is_ready) = pipe().unwrap();
            let receive = |(receiver, ready): (Ipc<IpcReceiver<u8>>, mp_core::Connection)| {
                let first = receiver.recv().unwrap();
                let silent = matches!(
                    receiver.try_recv_timeout(Duration::from_millis(10)),
                    Err(TryRecvError::Empty)
                );
                ready.send(&()).unwrap();
                (first, silent, matches!(receiver.recv(), Err(IpcError::Disconnected)))
            };
            let waiting = builder().spawn(receive, (receiver.into(), ready)).unwrap();
            is_ready.recv::<()>().unwrap();
            dying.kill().unwrap();
            assert_eq!(in_time(waiting), (1, true, true));
            assert!(dying.join().is_err());
        });
    });
}

#[test]
fn a_dead_receiver_ends_the_wait_of_a_sender() {
    isolated(|| {
        each_method(|builder| {
            let (sender, receiver) = ipc::channel::<Vec<u8>>().unwrap();
            let hold = |_: Ipc<IpcReceiver<Vec<u8>>>| -> () { mp_testkit::wait_for_kill() };
            let dying = builder().spawn(hold, receiver.into()).unwrap();
            let (ready, is_ready) = pipe().unwrap();
            let send = |(sender, ready): (Ipc<IpcSender<Vec<u8>>>, mp_core::Connection)| {
                ready.send(&()).unwrap();
                // Until the channel is full, and then it waits.
                while sender.send(vec![7; 10_000]).is_ok() {}
            };
            let waiting = builder().spawn(send, (sender.into(), ready)).unwrap();
            is_ready.recv::<()>().unwrap();
            dying.kill().unwrap();
            in_time(waiting);
            assert!(dying.join().is_err());
        });
    });
}

#[test]
fn a_sender_killed_within_a_large_message_is_told() {
    isolated(|| {
        each_method(|builder| {
            for _ in 0..3 {
                let (sender, receiver) = ipc::bytes_channel().unwrap();
                let storm = |sender: Ipc<IpcBytesSender>| {
                    let message = vec![7; 1 << 20];
                    while sender.send(&message).is_ok() {}
                };
                let child = builder().spawn(storm, sender.into()).unwrap();
                assert!(receiver.recv().unwrap() == vec![7; 1 << 20]);
                child.kill().unwrap();
                while let Ok(message) = receiver.recv() {
                    assert!(message == vec![7; 1 << 20], "whole, or not at all");
                }
                assert!(child.join().is_err());
            }
        });
    });
}

#[test]
fn shared_memory_needs_no_reader_for_a_large_message() {
    isolated(|| {
        each_method(|builder| {
            let (sender, receiver) = ipc::channel::<IpcSharedMemory>().unwrap();
            let send = |sender: Ipc<IpcSender<IpcSharedMemory>>| {
                let large = IpcSharedMemory::from_byte(7, 8 << 20);
                // Nobody reads, and then the receiver is gone.
                while sender.send(large.clone()).is_ok() {}
            };
            let child = builder().spawn(send, sender.into()).unwrap();
            drop(receiver);
            in_time(child);
        });
    });
}

#[test]
fn a_function_that_cannot_start_gives_an_error() {
    isolated(|| {
        warm_up();
        let (sender, receiver) = ipc::channel::<u8>().unwrap();
        drop(receiver);
        // More descriptors than fit into a message.
        let copies: Vec<Ipc<_>> = (0..300).map(|_| Ipc::from(sender.clone())).collect();
        let spawned = Process::spawn(|ends: Vec<Ipc<IpcSender<u8>>>| ends.len(), copies);
        assert!(matches!(spawned, Err(Error::Spawn(SpawnError::Os(_)))), "{spawned:?}");
    });
}
