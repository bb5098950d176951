//! Byte sequences, recognized among values of any type.
//!
//! # Safety
//!
//! A value is taken for one of another type only where [`typeid::of`] says that both are one type but for lifetimes. `Vec<u8>` has
//! none, and a reference is given none that is longer than the borrow which it came by.

#![allow(unsafe_code, reason = "generic code finds out what its types are")]

use std::{
    mem::{self, ManuallyDrop},
    ptr,
};

/// The bytes of `sequence` if it is a `&[u8]` or a `&Vec<u8>`.
#[inline]
pub(super) fn bytes_of<I>(sequence: &I) -> Option<&[u8]> {
    if typeid::of::<I>() == typeid::of::<&[u8]>() {
        // SAFETY: `I` is a `&[u8]`, which lives for as long as it is borrowed here.
        Some(unsafe { *ptr::from_ref(sequence).cast::<&[u8]>() })
    } else if typeid::of::<I>() == typeid::of::<&Vec<u8>>() {
        // SAFETY: `I` is a `&Vec<u8>`, which lives for as long as it is borrowed here.
        Some(unsafe { *ptr::from_ref(sequence).cast::<&Vec<u8>>() })
    } else {
        None
    }
}

/// What is in `value` if it is a `Vec<u8>` or a `String`, which postcard writes alike.
#[inline]
pub(super) fn contents_of<T>(value: &T) -> Option<&[u8]> {
    if typeid::of::<T>() == typeid::of::<Vec<u8>>() {
        // SAFETY: `T` is `Vec<u8>`, which is borrowed for as long as the result.
        Some(unsafe { &*ptr::from_ref(value).cast::<Vec<u8>>() })
    } else if typeid::of::<T>() == typeid::of::<String>() {
        // SAFETY: `T` is `String`, which is borrowed for as long as the result.
        Some(unsafe { &*ptr::from_ref(value).cast::<String>() }.as_bytes())
    } else {
        None
    }
}

/// A copy of `bytes` as a `T`, if that is `Vec<u8>`.
#[inline]
pub(super) fn vec_of<T>(bytes: &[u8]) -> Option<T> {
    (typeid::of::<T>() == typeid::of::<Vec<u8>>()).then(|| {
        let vec = ManuallyDrop::new(bytes.to_vec());
        // SAFETY: `T` is `Vec<u8>`, and the original is never dropped.
        unsafe { mem::transmute_copy::<ManuallyDrop<Vec<u8>>, T>(&vec) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_are_taken_for_bytes() {
        assert_eq!(bytes_of(&&[1_u8, 2][..]), Some(&[1, 2][..]));
        assert_eq!(bytes_of(&&vec![1_u8, 2]), Some(&[1, 2][..]));
        assert_eq!(bytes_of(&&[1_i8, 2][..]), None);
        assert_eq!(bytes_of(&[1_u8, 2]), None);
        assert_eq!(bytes_of(&vec![1_u8]), None);
        assert_eq!(contents_of(&vec![1_u8, 2]), Some(&[1, 2][..]));
        assert_eq!(contents_of(&String::from("a")), Some(&b"a"[..]));
        assert_eq!(contents_of(&vec![1_i8]), None);
        assert_eq!(contents_of(&"a"), None);
        assert_eq!(vec_of::<Vec<u8>>(&[3]), Some(vec![3]));
        assert_eq!(vec_of::<Vec<i8>>(&[3]), None);
        assert_eq!(vec_of::<Box<[u8]>>(&[3]), None);
    }
}
