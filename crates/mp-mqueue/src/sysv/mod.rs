//! System V message queues (`sysvipc(7)`): found by key or identifier, with typed messages.
//!
//! ```
//! use mp_mqueue::sysv::{Key, MessageQueue, Select};
//! use std::time::Duration;
//!
//! let mail = MessageQueue::create_new(Key::PRIVATE)?;
//! let reader = MessageQueue::from_id(mail.id())?; // Usually in another process.
//!
//! mail.send(b"for everybody", 1)?;
//! mail.send(b"for 7", 7)?;
//!
//! let mut buffer = [0; 64];
//! assert_eq!(reader.recv(&mut buffer, Select::kind(7))?.bytes, b"for 7");
//! assert_eq!(reader.try_recv(&mut buffer, Select::FIRST)?.bytes, b"for everybody");
//! assert!(reader.recv_timeout(&mut buffer, Select::FIRST, Duration::from_millis(1)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod limits;
mod list;
mod options;
mod queue;
mod select;
mod stat;
mod sys;

pub use mp_os::sysv::{Key, Listed, Permissions, TimeoutError, TryError, WaitError};

pub use self::{
    limits::Limits,
    list::list,
    options::{CreateOptions, OpenOptions},
    queue::{Message, MessageQueue},
    select::Select,
    stat::Stat,
};
