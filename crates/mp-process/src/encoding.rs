//! Values as bytes: postcard's format.

mod deserializer;
mod fault;
mod parts;
mod serializer;
mod sys;

use std::{error, fmt, io};

use mp_os::transfer;
use serde::{Deserialize, Serialize};

pub use self::parts::{decode_parts, encode_parts};
use self::{
    deserializer::Deserializer,
    fault::{Cause, Fault},
    serializer::Serializer,
};

/// Appends the bytes of `value` to `out`; on an error `out` is as before.
///
/// Handles inside `value` (files, queues, locks) need an enclosing [`transfer::collect`](mp_os::transfer::collect).
///
/// # Errors
///
/// What the [`Serialize`] implementation refuses, and sequences whose length is not known beforehand.
///
/// # Examples
///
/// ```
/// let mut bytes = Vec::new();
/// mp_process::encode(&("four", 4u8), &mut bytes)?;
/// let (text, number): (String, u8) = mp_process::decode(&bytes)?;
/// assert_eq!((text.as_str(), number), ("four", 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = out.len();
    value.serialize(&mut Serializer::new(out)).map_err(|error| {
        out.truncate(len);
        EncodeError::new(error)
    })
}

/// [`encode`], but for bytes at the end that are in one piece in `value`: they are the result, and need not be copied.
///
/// All of a `Vec<u8>`, a `String`, a `[u8]` or a `str` but its length is such a piece, and nothing of another type is.
///
/// # Errors
///
/// As for [`encode`].
///
/// # Examples
///
/// ```
/// let (message, mut head) = (String::from("as it is"), Vec::new());
/// let tail = mp_process::encode_head(&message, &mut head)?;
/// assert_eq!(tail, b"as it is");
/// let whole = [&head, tail].concat();
/// assert_eq!(mp_process::decode::<String>(&whole)?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn encode_head<'a, T: Serialize + ?Sized>(
    value: &'a T,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], EncodeError> {
    match sys::contents_of(value) {
        Some(contents) => encode(&contents.len(), out).map(|()| contents),
        None => encode(value, out).map(|()| &[][..]),
    }
}

/// The value whose bytes are `bytes`, all of them. It may borrow from them, as `&[u8]` and `&str` do.
///
/// # Errors
///
/// Where the bytes are not those of a `T`, or there are more of them, or a handle's descriptor did not come along.
#[inline]
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = take(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError(Reason::Left(rest.len()))) }
}

/// Decodes one `T` from the front of `bytes` and advances it.
#[inline]
pub(crate) fn take<'de, T: Deserialize<'de>>(bytes: &mut &'de [u8]) -> Result<T, DecodeError> {
    let mut deserializer = Deserializer::new(bytes);
    let value = T::deserialize(&mut deserializer).map_err(DecodeError::new)?;
    *bytes = deserializer.rest();
    Ok(value)
}

/// Why a value has no bytes: its [`Serialize`] implementation refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    fault: Fault,
    /// The code of the operating system's error, where that is why.
    os: Option<i32>,
}

impl EncodeError {
    #[cold]
    fn new(fault: Fault) -> Self {
        // Serde passes on the text only. What failed before, and was no reason to refuse the value, has another one.
        let failure = transfer::take_failure();
        let is_cause = |failure: &io::Error| match fault.cause() {
            Cause::Refused(reason) => reason.ends_with(&failure.to_string()),
            Cause::Format(_) => false,
        };
        let os = failure.filter(is_cause).and_then(|failure| failure.raw_os_error());
        Self { fault, os }
    }

    /// The error of the operating system where a handle in the value could not be duplicated.
    pub fn io_error(&self) -> Option<io::Error> {
        self.os.map(io::Error::from_raw_os_error)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault.cause() {
            Cause::Refused(reason) => {
                write!(f, "the value, or a handle in it, refused to be serialized: {reason}")
            }
            Cause::Format(postcard::Error::SerializeSeqLengthUnknown) => {
                f.write_str("a sequence in the value does not know its length")
            }
            Cause::Format(error) => write!(f, "the value could not be serialized: {error}"),
        }
    }
}

impl error::Error for EncodeError {}

/// Why bytes are not those of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Bytes(Fault),
    /// So many bytes were left over.
    Left(usize),
}

impl DecodeError {
    #[cold]
    fn new(fault: Fault) -> Self {
        Self(Reason::Bytes(fault))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match &self.0 {
            Reason::Bytes(fault) => fault,
            Reason::Left(count) => {
                return write!(f, "the value ends {count} bytes before the message does");
            }
        };
        match fault.cause() {
            Cause::Format(postcard::Error::DeserializeUnexpectedEnd) => {
                f.write_str("the bytes end before the value does")
            }
            Cause::Format(error) => write!(f, "the bytes are not those of the type: {error}"),
            Cause::Refused(reason) => write!(f, "the type refused the bytes: {reason}"),
        }
    }
}

impl error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, collections::BTreeMap, fmt::Debug};

    use serde::de::DeserializeOwned;

    use super::*;

    /// One of each kind that serde has.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kinds<'a> {
        Unit,
        New(Newtype),
        Tuple(i8, i16, i32, i64, i128),
        Struct {
            bytes: Vec<u8>,
            boxed: Option<Box<[u8]>>,
            none: Option<Vec<u8>>,
            text: Cow<'a, str>,
        },
        Nested(Vec<Vec<u8>>, BTreeMap<char, Pair>, ()),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newtype(Vec<u8>);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pair(bool, [f32; 2], f64, [u8; 3], u128);

    /// Bytes that another library writes as a sequence of numbers twice as large.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Halved(#[serde(deserialize_with = "halve")] Vec<u8>);

    fn halve<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("even numbers")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut a: A,
            ) -> Result<Vec<u8>, A::Error> {
                let mut halves = Vec::new();
                while let Some(number) = a.next_element::<u8>()? {
                    halves.push(number / 2);
                }
                Ok(halves)
            }
        }
        deserializer.deserialize_seq(Visitor)
    }

    fn as_postcard_does<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        let expected = postcard::to_stdvec(value).unwrap();
        let mut bytes = Vec::new();
        encode(value, &mut bytes).unwrap();
        assert_eq!(bytes, expected, "{value:?}");
        assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));
        for cut in 0..bytes.len() {
            assert!(decode::<T>(&bytes[..cut]).is_err(), "{value:?} of {cut} bytes");
        }
    }

    #[test]
    fn the_format_is_postcards() {
        for len in [0, 1, 127, 128, 300] {
            as_postcard_does(&vec![7_u8; len]);
            as_postcard_does(&vec![-7_i8; len]);
            as_postcard_does(&(vec![7_u8; len], "text".to_owned(), vec![300_u16; len]));
        }
        let some = Some(vec![4, 5].into());
        as_postcard_does(&[
            Kinds::Unit,
            Kinds::New(Newtype(vec![1, 2, 3])),
            Kinds::Tuple(-1, -300, 70_000, i64::MIN, i128::MAX),
            Kinds::Struct { bytes: vec![0; 200], boxed: some, none: None, text: "tèxt".into() },
            Kinds::Nested(
                vec![vec![], vec![1]],
                [('ü', Pair(true, [0.5, -1.0], f64::MIN, [1, 2, 3], u128::MAX))].into(),
                (),
            ),
        ]);
    }

    #[test]
    fn integers_of_every_length() {
        for bit in 0..64 {
            for value in [1_u64 << bit, (1 << bit) - 1, u64::MAX << bit] {
                let signed = value.cast_signed();
                as_postcard_does(&(value, value as u32, value as u16));
                as_postcard_does(&(signed, signed as i32, signed as i16));
                as_postcard_does(&(value as usize, signed as isize));
            }
        }
    }

    #[test]
    fn integers_that_are_too_long_or_cut_are_refused_as_postcard_does() {
        fn same<T: DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
            let expected = postcard::take_from_bytes::<T>(bytes).map(|(value, _)| value);
            let expected = expected.map_err(|error| DecodeError::new(error.into()));
            assert_eq!(take::<T>(&mut &*bytes), expected, "{bytes:?}");
        }
        for len in 0..12 {
            for (more, last) in [0x80, 0x81, 0xff]
                .into_iter()
                .flat_map(|more| [0, 1, 2, 3, 4, 15, 16, 127, 128, 255].map(|last| (more, last)))
            {
                let mut bytes = vec![more; len];
                bytes.push(last);
                same::<(u16, i16)>(&bytes);
                same::<u32>(&bytes);
                same::<i32>(&bytes);
                same::<u64>(&bytes);
                same::<i64>(&bytes);
                same::<usize>(&bytes);
            }
        }
    }

    #[test]
    fn only_serdes_own_visitor_is_passed_by() {
        assert_eq!(decode(&[3, 2, 4, 6]), Ok(Halved(vec![1, 2, 3])));
        assert_eq!(decode(&[3, 2, 4, 6]), Ok(Newtype(vec![2, 4, 6])));
    }

    #[test]
    fn a_length_that_lies_is_an_error() {
        let lie = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1];
        assert!(decode::<Vec<u8>>(&lie).unwrap_err().to_string().contains("end before"));
        assert!(decode::<Vec<u64>>(&lie).unwrap_err().to_string().contains("end before"));
        assert!(decode::<Vec<Vec<String>>>(&lie).is_err());
    }

    #[test]
    fn an_error_leaves_the_output_as_it_was() {
        let mut out = vec![7];
        let half_way = (1u8, "text", mp_os::transfer::Fd::new(std::io::stdin()));
        assert!(encode(&half_way, &mut out).is_err(), "no transfer scope");
        assert_eq!(out, [7]);
        encode(&300u16, &mut out).unwrap();
        assert_eq!(out, [7, 0xac, 0x02]);
    }

    #[test]
    fn whoever_refuses_is_heard() {
        #[derive(Debug, PartialEq)]
        struct Even(u8);
        impl Serialize for Even {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("odd"))
            }
        }
        impl<'de> Deserialize<'de> for Even {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = u8::deserialize(deserializer)?;
                Err(serde::de::Error::custom(format_args!("{number} is odd")))
            }
        }
        let error = encode(&(1, Some([Even(1)])), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with(": odd") && error.io_error().is_none(), "{error}");
        let error = decode::<(u8, Option<Even>)>(&[1, 1, 3]).unwrap_err();
        assert!(error.to_string().ends_with(": 3 is odd"), "{error}");
    }

    #[test]
    fn all_bytes_are_the_value() {
        assert_eq!(decode::<u16>(&[0xac, 0x02]), Ok(300));
        assert_eq!(decode::<()>(&[]), Ok(()));
        assert!(decode::<u16>(&[0xac]).unwrap_err().to_string().contains("end before"));
        assert!(decode::<u16>(&[1, 2]).unwrap_err().to_string().contains("1 bytes before"));
    }
}
