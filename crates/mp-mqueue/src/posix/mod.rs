//! POSIX message queues (`mq_overview(7)`): named, with priorities, and a descriptor that can be polled.
//!
//! ```
//! use mp_mqueue::posix::{CreateOptions, MessageQueue};
//! use std::time::Duration;
//!
//! let name = format!("/mp-doc-tour-{}", std::process::id());
//! let jobs = CreateOptions::new().capacity(4).message_size(64).create_new(&name)?;
//! let worker = MessageQueue::open(&name)?; // Usually in another process.
//!
//! jobs.send(b"sweep", 1)?;
//! jobs.send(b"put out the fire", 9)?;
//!
//! let mut buffer = [0; 64];
//! assert_eq!(worker.recv(&mut buffer)?.bytes, b"put out the fire");
//! assert_eq!(worker.recv_timeout(&mut buffer, Duration::from_secs(1))?.bytes, b"sweep");
//! assert!(worker.try_recv(&mut buffer).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod limits;
mod list;
mod notify;
mod options;
mod queue;
mod sys;

pub use self::{
    limits::Limits,
    list::list,
    notify::{Notifier, Notify, NotifyError},
    options::{CreateOptions, OpenOptions},
    queue::{Attributes, MAX_PRIORITY, Message, MessageQueue},
};
