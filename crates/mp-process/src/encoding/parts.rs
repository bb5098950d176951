//! Values that are mostly one large piece of bytes, which is passed on rather than copied.

use serde::{Serialize, de::DeserializeOwned};

use super::{DecodeError, EncodeError, decode, deserializer::Deserializer, encode, sys};

/// Contents of so many bytes are passed on: copying fewer costs less than a vector of their own does later.
const LARGE: usize = 64 << 10;

/// [`encode`] of a value that is given away: bytes at the end that are in one piece in it, and many, are the result, as they are.
///
/// That is all of a `Vec<u8>` or a `String` of 64 KiB or more but its length, and nothing of another value. An empty result says
/// that all bytes are in `out`.
///
/// # Errors
///
/// As for [`encode`].
///
/// # Examples
///
/// ```
/// let (large, mut head) = (vec![7u8; 1 << 20], Vec::new());
/// let address = large.as_ptr();
/// let tail = mp_process::encode_parts(large, &mut head)?;
/// assert_eq!((head.len(), tail.len()), (3, 1 << 20));
/// let large: Vec<u8> = mp_process::decode_parts(&head, tail)?;
/// assert_eq!(large.as_ptr(), address, "nothing was copied");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn encode_parts<T: Serialize>(value: T, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
    if sys::contents_of(&value).is_none_or(|contents| contents.len() < LARGE) {
        return encode(&value, out).map(|()| Vec::new());
    }
    match sys::into_contents(value) {
        Ok(contents) => encode(&contents.len(), out).map(|()| contents),
        Err(value) => encode(&value, out).map(|()| Vec::new()),
    }
}

/// The value whose bytes are `head` and then `tail`, all of them: [`decode`] where `tail` is not copied if it can be what
/// [`encode_parts`] passed on.
///
/// # Errors
///
/// As for [`decode`].
#[inline]
pub fn decode_parts<T: DeserializeOwned>(head: &[u8], tail: Vec<u8>) -> Result<T, DecodeError> {
    if tail.is_empty() { decode(head) } else { decode_with_tail(head, tail) }
}

#[cold]
fn decode_with_tail<T: DeserializeOwned>(head: &[u8], tail: Vec<u8>) -> Result<T, DecodeError> {
    let contents = if is_len(head, tail.len()) { sys::from_contents(tail) } else { Err(tail) };
    let tail = match contents {
        Ok(value) => return Ok(value),
        Err(tail) => tail,
    };
    decode(&[head, &tail].concat())
}

/// Whether `head` is `len` and nothing else.
fn is_len(head: &[u8], len: usize) -> bool {
    let mut deserializer = Deserializer::new(head);
    deserializer.len().is_ok_and(|said| said == len) && deserializer.rest().is_empty()
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn parts<T: Serialize>(value: T) -> (Vec<u8>, Vec<u8>) {
        let mut head = Vec::new();
        let tail = encode_parts(value, &mut head).unwrap();
        (head, tail)
    }

    fn comes_back<T>(value: &T, tail_len: usize)
    where
        T: Serialize + DeserializeOwned + Clone + PartialEq + Debug,
    {
        let (head, tail) = parts(value.clone());
        assert_eq!(tail.len(), tail_len);
        let mut whole = Vec::new();
        encode(value, &mut whole).unwrap();
        assert!([&head[..], &tail].concat() == whole, "the format is that of `encode`");
        assert!(decode_parts::<T>(&head, tail).as_ref() == Ok(value));
        for cut in [1, LARGE / 2, LARGE].map(|cut| cut.min(whole.len())) {
            assert!(decode_parts::<T>(&whole[..cut], whole[cut..].to_vec()).as_ref() == Ok(value));
        }
    }

    #[test]
    fn parts_are_the_bytes_of_the_value() {
        comes_back(&vec![7_u8; LARGE], LARGE);
        comes_back(&vec![7_u8; LARGE - 1], 0);
        comes_back(&"x".repeat(LARGE + 1), LARGE + 1);
        comes_back(&vec![7_u16; LARGE], 0);
        comes_back(&(vec![7_u8; LARGE], 5_u8), 0);
        comes_back(&String::from("short"), 0);
    }

    #[test]
    fn parts_that_are_no_value_are_errors() {
        let (head, tail) = parts(vec![0xff_u8; LARGE]);
        let error = decode_parts::<String>(&head, tail.clone()).unwrap_err();
        assert_eq!(error, decode::<String>(&[&head[..], &tail].concat()).unwrap_err());
        assert!(decode_parts::<Vec<u8>>(&head, tail[1..].to_vec()).is_err());
        assert!(decode_parts::<Vec<u8>>(&[], tail[1..].to_vec()).is_err());
        let (_, longer) = parts(vec![0_u8; LARGE + 1]);
        assert!(decode_parts::<Vec<u8>>(&head, longer).is_err());
    }
}
