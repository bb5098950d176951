//! System V semaphore sets (`sysvipc(7)`): several counters changed in one atomic step, undone when their user is killed.
//!
//! ```
//! use mp_sem::sysv::{Key, Op, SemaphoreSet};
//! use std::time::Duration;
//!
//! // Two seats and three meals.
//! let table = SemaphoreSet::create_new(Key::PRIVATE, &[2, 3])?;
//! let guest = SemaphoreSet::from_id(table.id())?; // Usually in another process.
//!
//! // Both or neither, and given back should this process be killed.
//! guest.op(&[Op::acquire(0, 1).undo(), Op::acquire(1, 2).undo()])?;
//! assert_eq!(table.values()?, [1, 1]);
//! assert!(guest.try_op(&[Op::acquire(0, 1), Op::acquire(1, 2)]).is_err());
//!
//! let seat = table.acquire_timeout(0, Duration::from_secs(1))?;
//! drop(seat);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod init;
mod limits;
mod list;
mod op;
mod options;
mod permit;
mod set;
mod stat;
mod sys;

pub use mp_os::sysv::{Key, Listed, Permissions, TimeoutError, TryError, WaitError};

pub use self::{
    limits::Limits,
    list::list,
    op::Op,
    options::{CreateOptions, OpenOptions},
    permit::Permit,
    set::{MAX_VALUE, SemaphoreSet},
    stat::Stat,
};
