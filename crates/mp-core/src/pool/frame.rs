//! Many items in one byte string: a little-endian `u32` (length, and one bit that marks a failure) before each.
//!
//! Boundaries that do not depend on decoding let one undecodable item fail alone.

/// The bit of the prefix that says "this is a failure, not a value".
const FAILED: u32 = 1 << 31;
const PREFIX: usize = size_of::<u32>();

/// The longest item in bytes.
const MAX_LEN: usize = (FAILED - 1) as usize;

/// An item of a byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Value(&'a [u8]),
    Failure(&'a [u8]),
}

/// Appends what `write` appends as one item, a failure where it says so; on an error `out` is as before.
pub(super) fn push<E: ToString>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<Kind, E>,
) -> Result<(), String> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    let written = write(out);
    let len = out.len() - start - PREFIX;
    match written {
        Ok(_) if len > MAX_LEN => {
            out.truncate(start);
            Err(format!("{len} bytes are more than one item can have ({MAX_LEN})"))
        }
        Ok(kind) => {
            let prefix = len as u32 | if kind == Kind::Failure { FAILED } else { 0 };
            out[start..start + PREFIX].copy_from_slice(&prefix.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error.to_string())
        }
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    Failure,
}

/// Takes the first item off `bytes`; `None` where they end, or end within it.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<Frame<'a>> {
    let (prefix, rest) = bytes.split_first_chunk()?;
    let prefix = u32::from_le_bytes(*prefix);
    let (item, rest) = rest.split_at_checked((prefix & !FAILED) as usize)?;
    *bytes = rest;
    Some(if prefix & FAILED == 0 { Frame::Value(item) } else { Frame::Failure(item) })
}

/// Takes `count` items off `bytes` without looking at them.
pub(super) fn skip(bytes: &mut &[u8], count: u32) {
    for _ in 0..count {
        take(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(out: &mut Vec<u8>, bytes: &[u8], kind: Kind) {
        push(out, |out| {
            out.extend_from_slice(bytes);
            Ok::<_, &str>(kind)
        })
        .unwrap();
    }

    #[test]
    fn items_come_back_in_order() {
        let mut out = Vec::new();
        append(&mut out, b"one", Kind::Value);
        append(&mut out, b"", Kind::Failure);
        let mut bytes = &out[..];
        assert_eq!(take(&mut bytes), Some(Frame::Value(b"one")));
        assert_eq!(take(&mut bytes), Some(Frame::Failure(b"")));
        assert_eq!(take(&mut bytes), None);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let mut out = vec![7];
        let half_way = push(&mut out, |out| {
            out.push(1);
            Err("half-way")
        });
        assert_eq!(half_way, Err("half-way".to_owned()));
        assert_eq!(out, [7]);
    }

    #[test]
    fn a_cut_item_is_none() {
        let mut out = Vec::new();
        append(&mut out, b"three", Kind::Value);
        assert_eq!(take(&mut &out[..6]), None);
        assert_eq!(take(&mut &out[..2]), None);
    }
}
