//! What parent and child say to each other on the child's socket.
//!
//! Parent to child, first and only: a [`Start`]. Child to parent: [`HELLO`], then an [`Outcome`]. Between parent and
//! fork server, after `HELLO`: an empty request with the door of a new process, and a [`Reply`] with the pidfd. Through the
//! door: `HELLO`, which counts as that of the child, and its socket, on which its message lies already.

use mp_os::{Deadline, Result, TimeoutError};
use mp_socket::SeqpacketSocket;
use serde::{Deserialize, Serialize};

use crate::{
    CallOutcome, Panic, TaskKey, encoding,
    frame::{self, Frame},
    setup::Setup,
};

/// Longer messages go through a memfd.
pub(crate) const LIMIT: usize = 4095;

/// Room for any message on the stack.
pub(crate) type Buffer = [u8; LIMIT + 1];

pub(crate) const BUFFER: Buffer = [0; LIMIT + 1];

/// First bytes of a message to a child.
pub(crate) const SERVE: u8 = 1;
const TASK: u8 = 2;

/// First bytes of a message from a child.
pub(crate) const HELLO: u8 = 1;
const RETURNED: u8 = 2;
const FAILED: u8 = 3;

/// What a child is to do, in front of the bytes of the argument.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) key: TaskKey,
    /// What `top` is to show, and a NUL.
    pub(crate) command: [u8; COMMAND],
    pub(crate) setup: Setup,
}

/// The length of a thread's name in bytes, with its NUL.
const COMMAND: usize = 16;

impl Task {
    pub(crate) fn new(key: TaskKey, name: &str, setup: Setup) -> Self {
        let mut command = [0; COMMAND];
        for (place, byte) in command[..COMMAND - 1].iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        Self { key, command, setup }
    }

    /// The message without the argument, which is to be appended.
    pub(crate) fn message(&self) -> Result<Vec<u8>, crate::EncodeError> {
        let mut message = vec![TASK];
        encoding::encode(self, &mut message)?;
        Ok(message)
    }

    /// The task and the bytes of its argument.
    pub(crate) fn parse(message: &[u8]) -> Option<(Self, &[u8])> {
        let (&TASK, task) = message.split_first()? else { return None };
        postcard::take_from_bytes(task).ok()
    }
}

/// How a task ended, other than by returning.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    Panicked(Panic),
    ArgumentUndecodable(String),
    ResultUnencodable(String),
    /// There is no such task here.
    Refused(String),
}

impl Failure {
    /// The message that says so.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut message = vec![FAILED];
        // Strings and options of strings cannot refuse.
        let _ = encoding::encode(self, &mut message);
        message
    }
}

/// The message of a result, to which its bytes are to be appended.
pub(crate) fn returned() -> Vec<u8> {
    vec![RETURNED]
}

/// The message of what `outcome` is; `message` is [`returned`], with the result behind it.
pub(crate) fn outcome(message: Vec<u8>, outcome: CallOutcome) -> Vec<u8> {
    match outcome {
        CallOutcome::Returned => message,
        CallOutcome::Panicked(panic) => Failure::Panicked(panic).message(),
        CallOutcome::ArgumentUndecodable(reason) => Failure::ArgumentUndecodable(reason).message(),
        CallOutcome::ResultUnencodable(reason) => Failure::ResultUnencodable(reason).message(),
    }
}

/// What a child says.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// It has come to its entry, as the process of this id.
    Hello(u32),
    /// The bytes of the result.
    Returned(&'a [u8]),
    Failed(Failure),
}

pub(crate) fn hello(pid: u32) -> [u8; 5] {
    let [a, b, c, d] = pid.to_ne_bytes();
    [HELLO, a, b, c, d]
}

pub(crate) fn parse_answer(message: &[u8]) -> Option<Answer<'_>> {
    match message.split_first()? {
        (&HELLO, pid) => Some(Answer::Hello(u32::from_ne_bytes(pid.try_into().ok()?))),
        (&RETURNED, result) => Some(Answer::Returned(result)),
        (&FAILED, failure) => Some(Answer::Failed(encoding::decode(failure).ok()?)),
        _ => None,
    }
}

/// The server's answer: the new process, or the error number of `clone(2)`.
pub(crate) type Reply = std::result::Result<u32, i32>;

pub(crate) fn reply(reply: Reply) -> [u8; 8] {
    let (pid, error) = match reply {
        Ok(pid) => (pid.to_ne_bytes(), [0; 4]),
        Err(error) => ([0; 4], error.to_ne_bytes()),
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&pid);
    bytes[4..].copy_from_slice(&error);
    bytes
}

pub(crate) fn parse_reply(message: &[u8]) -> Option<Reply> {
    let (pid, error) = message.split_first_chunk::<4>()?;
    let error = i32::from_ne_bytes(error.try_into().ok()?);
    Some(if error == 0 { Ok(u32::from_ne_bytes(*pid)) } else { Err(error) })
}

/// [`frame::recv`] of a message of this protocol.
pub(crate) fn recv<'a>(
    socket: &SeqpacketSocket,
    buffer: &'a mut Buffer,
    deadline: Deadline,
) -> Result<Option<Frame<'a>>, TimeoutError> {
    frame::recv(socket, buffer, deadline)
}
