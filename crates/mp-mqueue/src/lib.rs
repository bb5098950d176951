//! stub
#![deny(unsafe_code)]
pub mod posix;
pub mod sysv;
pub use mp_os::{Error, ObjectName, Result, TimeoutError, TryError};
