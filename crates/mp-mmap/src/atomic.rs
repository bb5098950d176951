//! Which types are atomics of memory that others write.
//!
//! # Safety
//!
//! The trait is implemented for the integers of std only: any bytes are valid values of theirs, and they are lock-free.

#![allow(unsafe_code, reason = "what memory may hold is a promise")]

use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};

/// An atomic integer of fixed size, which every process that maps the memory may use at the same time.
///
/// Not `AtomicBool`, of which others could make an invalid one.
///
/// # Safety
///
/// Any bytes are a valid value, others may write them at any time, and a load is one instruction that writes nothing.
pub unsafe trait Atomic: sealed::Sealed + Sync + 'static {
    /// The integer that it holds.
    type Value: Copy;

    /// What it holds.
    fn load(&self, order: Ordering) -> Self::Value;
}

mod sealed {
    /// Only std's atomics keep the promise of [`Atomic`](super::Atomic).
    #[expect(unnameable_types, reason = "so that nobody else can implement it")]
    pub trait Sealed {}
}

macro_rules! atomic {
    ($($atomic:ident = $value:ident),*) => {$(
        impl sealed::Sealed for $atomic {}

        // SAFETY: std's atomics of at most 8 bytes are lock-free on the platforms of this crate, and are integers.
        unsafe impl Atomic for $atomic {
            type Value = $value;

            #[inline]
            fn load(&self, order: Ordering) -> $value {
                $atomic::load(self, order)
            }
        }
    )*};
}

atomic!(AtomicU8 = u8, AtomicU16 = u16, AtomicU32 = u32, AtomicU64 = u64);
atomic!(AtomicI8 = i8, AtomicI16 = i16, AtomicI32 = i32, AtomicI64 = i64);
