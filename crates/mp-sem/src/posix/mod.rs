//! POSIX semaphores (`sem_overview(7)`): a counter in shared memory, named or without a name.
//!
//! ```
//! use mp_sem::posix::{CreateOptions, Semaphore};
//! use std::time::Duration;
//!
//! let name = format!("/mp-doc-tour-{}", std::process::id());
//! let downloads = CreateOptions::new().create_new(&name, 2)?;
//! let same = Semaphore::open(&name)?; // Usually in another process.
//!
//! let first = downloads.acquire()?;
//! let second = same.acquire_timeout(Duration::from_secs(1))?;
//! assert!(downloads.try_acquire().is_err(), "both permits are taken");
//! drop(first);
//! assert_eq!(downloads.value()?, 1);
//! # drop(second);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod options;
mod permit;
mod semaphore;
mod sys;

pub use self::{
    options::CreateOptions,
    permit::Permit,
    semaphore::{MAX_VALUE, Semaphore},
};
