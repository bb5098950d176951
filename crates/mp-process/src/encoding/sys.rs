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
    string::FromUtf8Error,
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

/// What is in `value` if it is a `Vec<u8>`, a `String`, a `[u8]` or a `str`, which postcard writes alike.
#[inline]
pub(super) fn contents_of<T: ?Sized>(value: &T) -> Option<&[u8]> {
    if typeid::of::<T>() == typeid::of::<Vec<u8>>() {
        // SAFETY: `T` is `Vec<u8>`, which is borrowed for as long as the result.
        Some(unsafe { &*ptr::from_ref(value).cast::<Vec<u8>>() })
    } else if typeid::of::<T>() == typeid::of::<String>() {
        // SAFETY: `T` is `String`, which is borrowed for as long as the result.
        Some(unsafe { &*ptr::from_ref(value).cast::<String>() }.as_bytes())
    } else if typeid::of::<T>() == typeid::of::<[u8]>() {
        // SAFETY: `T` is `[u8]`, and the result lives no longer than the borrow.
        Some(unsafe { mem::transmute_copy::<&T, &[u8]>(&value) })
    } else if typeid::of::<T>() == typeid::of::<str>() {
        // SAFETY: `T` is `str`, and the result lives no longer than the borrow.
        Some(unsafe { mem::transmute_copy::<&T, &str>(&value) }.as_bytes())
    } else {
        None
    }
}

/// `value` as a `U`, if that is its type.
#[inline]
fn same<T, U>(value: T) -> Result<U, T> {
    if typeid::of::<T>() != typeid::of::<U>() {
        return Err(value);
    }
    let value = ManuallyDrop::new(value);
    // SAFETY: `T` is `U`, and the original is never dropped.
    Ok(unsafe { mem::transmute_copy::<ManuallyDrop<T>, U>(&value) })
}

/// What is in `value` if it is a `Vec<u8>` or a `String`, or else `value`.
#[inline]
pub(super) fn into_contents<T>(value: T) -> Result<Vec<u8>, T> {
    same::<T, Vec<u8>>(value).or_else(|value| same::<T, String>(value).map(String::into_bytes))
}

/// `contents` as a `T`, if that is `Vec<u8>`, or `String` and they are UTF-8; or else `contents`.
#[inline]
pub(super) fn from_contents<T>(contents: Vec<u8>) -> Result<T, Vec<u8>> {
    same::<Vec<u8>, T>(contents).or_else(|contents| {
        if typeid::of::<T>() != typeid::of::<String>() {
            return Err(contents);
        }
        let text = String::from_utf8(contents).map_err(FromUtf8Error::into_bytes)?;
        same::<String, T>(text).map_err(String::into_bytes)
    })
}

/// A copy of `bytes` as a `T`, if that is `Vec<u8>`.
#[inline]
pub(super) fn vec_of<T>(bytes: &[u8]) -> Option<T> {
    let is_vec = typeid::of::<T>() == typeid::of::<Vec<u8>>();
    is_vec.then(|| same(bytes.to_vec()).ok()).flatten()
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
        assert_eq!(contents_of(&[1_u8, 2][..]), Some(&[1, 2][..]));
        assert_eq!(contents_of("a"), Some(&b"a"[..]));
        assert_eq!(contents_of(&vec![1_i8]), None);
        assert_eq!(contents_of(&[1_i8][..]), None);
        assert_eq!(contents_of(&[1_u8]), None);
        assert_eq!(contents_of(&"a"), None);
        assert_eq!(into_contents(vec![1_u8]), Ok(vec![1]));
        assert_eq!(into_contents(String::from("a")), Ok(b"a".to_vec()));
        assert_eq!(into_contents(vec![1_i8]), Err(vec![1]));
        assert_eq!(from_contents(vec![1]), Ok(vec![1_u8]));
        assert_eq!(from_contents(b"a".to_vec()), Ok(String::from("a")));
        assert_eq!(from_contents::<String>(vec![0xff]), Err(vec![0xff]));
        assert_eq!(from_contents::<Box<[u8]>>(vec![1]), Err(vec![1]));
        assert_eq!(vec_of::<Vec<u8>>(&[3]), Some(vec![3]));
        assert_eq!(vec_of::<Vec<i8>>(&[3]), None);
        assert_eq!(vec_of::<Box<[u8]>>(&[3]), None);
    }
}
