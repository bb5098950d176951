//! Many items in one byte string: a little-endian `u32` (length, and one bit that marks a failure) before each.
//!
//! Boundaries that do not depend on decoding let one undecodable item fail alone.
//!
//! The end of the last item may lie elsewhere, as its tail: a large piece of bytes that is passed on rather than copied.

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

/// Appends what `write` appends as one item, which ends with the tail that `write` gives, the result; on an error `out` is as
/// before.
#[inline]
pub(super) fn push<E: ToString>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, String> {
    let item = Item::begin(out);
    let written = write(out).map_err(|error| error.to_string());
    let pushed = written.and_then(|tail| item.end(out, tail.len(), Kind::Value).map(|()| tail));
    if pushed.is_err() {
        out.truncate(item.start);
    }
    pushed
}

/// An item at the end of a byte string, which is complete once it was [ended](Self::end).
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Where its prefix is.
    pub(super) start: usize,
}

impl Item {
    #[inline]
    pub(super) fn begin(out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        Self { start }
    }

    /// What has been appended since it [began](Self::begin) is the item, and so many bytes elsewhere, unless that is too long.
    #[inline]
    pub(super) fn end(self, out: &mut [u8], tail_len: usize, kind: Kind) -> Result<(), String> {
        let len = out.len() - self.start - PREFIX + tail_len;
        if len > MAX_LEN {
            return Err(too_long(len));
        }
        let prefix = len as u32 | if kind == Kind::Failure { FAILED } else { 0 };
        out[self.start..self.start + PREFIX].copy_from_slice(&prefix.to_le_bytes());
        Ok(())
    }

    /// Drops what has been appended since it began.
    pub(super) fn clear(self, out: &mut Vec<u8>) {
        out.truncate(self.start + PREFIX);
    }
}

#[cold]
fn too_long(len: usize) -> String {
    format!("{len} bytes are more than one item can have ({MAX_LEN})")
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    Failure,
}

/// Takes the first item off `bytes`; `None` where they end, or end within it.
#[inline]
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<Frame<'a>> {
    let (prefix, rest) = bytes.split_first_chunk()?;
    let prefix = u32::from_le_bytes(*prefix);
    let (item, rest) = rest.split_at_checked((prefix & !FAILED) as usize)?;
    *bytes = rest;
    Some(if prefix & FAILED == 0 { Frame::Value(item) } else { Frame::Failure(item) })
}

/// What is here of the only item in `bytes`, which ends with a tail of so many bytes; `None` where it does not.
pub(super) fn cut(bytes: &[u8], tail_len: usize) -> Option<&[u8]> {
    let (prefix, rest) = bytes.split_first_chunk()?;
    let len = u32::from_le_bytes(*prefix) as usize;
    (rest.len().checked_add(tail_len)? == len).then_some(rest)
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
        let item = Item::begin(out);
        out.extend_from_slice(bytes);
        item.end(out, 0, kind).unwrap();
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
    fn an_item_begins_anew() {
        let mut out = vec![7];
        let item = Item::begin(&mut out);
        out.push(1);
        item.clear(&mut out);
        item.end(&mut out, 0, Kind::Failure).unwrap();
        assert_eq!(take(&mut &out[1..]), Some(Frame::Failure(b"")));
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
    fn the_last_item_may_end_elsewhere() {
        let mut out = Vec::new();
        append(&mut out, b"one", Kind::Value);
        let tail = push(&mut out, |out| {
            out.extend_from_slice(b"tw");
            Ok::<_, &str>(b"o".to_vec())
        });
        assert_eq!(tail, Ok(b"o".to_vec()));
        let mut bytes = &out[..];
        assert_eq!(take(&mut bytes), Some(Frame::Value(b"one")));
        assert_eq!(take(&mut bytes), None);
        assert_eq!(cut(bytes, 1), Some(&b"tw"[..]));
        assert_eq!((cut(bytes, 0), cut(bytes, usize::MAX), cut(&out, 1)), (None, None, None));
    }

    #[test]
    fn a_cut_item_is_none() {
        let mut out = Vec::new();
        append(&mut out, b"three", Kind::Value);
        assert_eq!(take(&mut &out[..6]), None);
        assert_eq!(take(&mut &out[..2]), None);
    }
}
