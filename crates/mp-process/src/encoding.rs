//! Values as bytes: postcard.

use std::{error, fmt};

use postcard::{Deserializer, ser_flavors::Flavor};
use serde::{Serialize, de::DeserializeOwned};

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
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = out.len();
    postcard::serialize_with_flavor(value, Append(out)).map_err(|error| {
        out.truncate(len);
        EncodeError(error)
    })
}

/// The value whose bytes are `bytes`, all of them.
///
/// # Errors
///
/// Where the bytes are not those of a `T`, or there are more of them, or a handle's descriptor did not come along.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = take(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError(Reason::Left(rest.len()))) }
}

/// Decodes one `T` from the front of `bytes` and advances it.
pub(crate) fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    let mut deserializer = Deserializer::from_bytes(bytes);
    let value = T::deserialize(&mut deserializer).map_err(DecodeError::postcard)?;
    *bytes = deserializer.finalize().map_err(DecodeError::postcard)?;
    Ok(value)
}

/// Serializes to the end of a vector.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Why a value has no bytes: its [`Serialize`] implementation refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(postcard::Error);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            postcard::Error::SerdeSerCustom => {
                f.write_str("the value, or a handle in it, refused to be serialized")
            }
            postcard::Error::SerializeSeqLengthUnknown => {
                f.write_str("a sequence in the value does not know its length")
            }
            ref error => write!(f, "the value could not be serialized: {error}"),
        }
    }
}

impl error::Error for EncodeError {}

/// Why bytes are not those of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Postcard(postcard::Error),
    /// So many bytes were left over.
    Left(usize),
}

impl DecodeError {
    fn postcard(error: postcard::Error) -> Self {
        Self(Reason::Postcard(error))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Postcard(postcard::Error::DeserializeUnexpectedEnd) => {
                f.write_str("the bytes end before the value does")
            }
            Reason::Postcard(postcard::Error::SerdeDeCustom) => {
                f.write_str("the type refused the bytes, or a file descriptor did not come along")
            }
            Reason::Postcard(ref error) => {
                write!(f, "the bytes are not those of the type: {error}")
            }
            Reason::Left(count) => {
                write!(f, "the value ends {count} bytes before the message does")
            }
        }
    }
}

impl error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn all_bytes_are_the_value() {
        assert_eq!(decode::<u16>(&[0xac, 0x02]), Ok(300));
        assert_eq!(decode::<()>(&[]), Ok(()));
        assert!(decode::<u16>(&[0xac]).unwrap_err().to_string().contains("end before"));
        assert!(decode::<u16>(&[1, 2]).unwrap_err().to_string().contains("1 bytes before"));
    }
}
