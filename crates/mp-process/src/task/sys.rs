//! From an offset back to a function.
//!
//! # Safety
//!
//! A [`Record`] is made only here, by [`plain`] and [`shared`], each with a function that matches its types. An address
//! is read only inside the constants of the main executable, and used as a record only if it begins with the magic number.
//! The function's address came in one key with the record's, protected by a check sum, from [`TaskKey`](super::TaskKey)'s
//! constructors, which take both of one function pointer; the build is the same, so the offsets mean the same here.

#![allow(unsafe_code, reason = "function pointers from another process of the same executable")]

use std::mem;

use serde::{Serialize, de::DeserializeOwned};

use super::{Call, MAGIC, Plain, Record, Shared, TaskError, plain_types, shared_types};
use crate::encoding;

/// The record of `fn(A) -> R`.
pub(super) fn plain<A: DeserializeOwned + 'static, R: Serialize + 'static>() -> &'static Record {
    const { &Record { magic: MAGIC, types: plain_types::<A, R>, instantiate: instantiate_plain::<A, R> } }
}

/// The record of `fn(&S, A) -> R`.
pub(super) fn shared<S, A, R>() -> &'static Record
where
    S: DeserializeOwned + Send + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    const {
        &Record {
            magic: MAGIC,
            types: shared_types::<S, A, R>,
            instantiate: instantiate_shared::<S, A, R>,
        }
    }
}

/// The record at `address`, which has room for one inside the constants of the main executable.
pub(super) fn record_at(address: usize) -> Option<&'static Record> {
    if !address.is_multiple_of(align_of::<Record>()) {
        return None;
    }
    let magic = address as *const [u64; 2];
    // SAFETY: aligned, and readable memory of the executable that nobody writes, by the contract of this function.
    if unsafe { *magic } != MAGIC {
        return None;
    }
    // SAFETY: as above; only records begin with the magic number.
    Some(unsafe { &*(address as *const Record) })
}

/// The function at `address`, whose types are those of `record`, ready to be called.
pub(super) fn instantiate(
    record: &Record,
    address: usize,
    shared: &[u8],
) -> Result<Box<dyn Call>, TaskError> {
    // SAFETY: the address is that of a function of the record's types, as the module says.
    unsafe { (record.instantiate)(address, shared) }
}

unsafe fn instantiate_plain<A: DeserializeOwned + 'static, R: Serialize + 'static>(
    address: usize,
    shared: &[u8],
) -> Result<Box<dyn Call>, TaskError> {
    encoding::decode::<()>(shared).map_err(TaskError::Shared)?;
    // SAFETY: the caller vouches that there is a function of this type.
    let function = unsafe { mem::transmute::<*const (), fn(A) -> R>(address as *const ()) };
    Ok(Box::new(Plain(function)))
}

unsafe fn instantiate_shared<S, A, R>(
    address: usize,
    shared: &[u8],
) -> Result<Box<dyn Call>, TaskError>
where
    S: DeserializeOwned + Send + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    let value = encoding::decode(shared).map_err(TaskError::Shared)?;
    // SAFETY: the caller vouches that there is a function of this type.
    let function = unsafe { mem::transmute::<*const (), fn(&S, A) -> R>(address as *const ()) };
    Ok(Box::new(Shared { value, function }))
}

/// A function pointer into a shared library, as a user could have one.
#[cfg(test)]
pub(super) fn absolute_value_of_the_c_library() -> fn(i32) -> i32 {
    // SAFETY: it is not called.
    unsafe { mem::transmute::<unsafe extern "C" fn(i32) -> i32, fn(i32) -> i32>(nix::libc::abs) }
}
