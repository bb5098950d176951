use std::borrow::Cow;

/// Slots are multiples of this many bytes.
pub(super) const ALIGNMENT: usize = 8;

/// The longest slot whose length its format has room for: seven digits and an `s`.
const SLOT_MAX: usize = 9_999_992;

/// The format of an item, as Python's `struct` has it, with zeroes behind it.
pub(super) type Format = [u8; 8];

const INT: Format = *b"q\0\0\0\0\0\0\0";
const FLOAT: Format = *b"d\0\0\0\0\0\0\0";
const BOOL: Format = *b"xxxxxxx?";
const NONE: Format = *b"xxxxxx?x";

/// What Python makes of the value that the format gives.
mod code {
    pub(super) const AS_IT_IS: u8 = 0;
    pub(super) const STR: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const NONE: u8 = 3;
}

/// What a [`ShareableList`](crate::ShareableList) can hold.
///
/// # Examples
///
/// ```
/// use mp_core::ListItem;
///
/// let items: [ListItem; 4] = [42.into(), true.into(), "text".into(), ().into()];
/// assert_eq!(items[2], ListItem::Str("text".into()));
/// assert_ne!(ListItem::from(1), ListItem::from(1.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum ListItem {
    /// Python's `None`.
    None,
    /// `bool`.
    Bool(bool),
    /// `int`, of 64 bits.
    Int(i64),
    /// `float`.
    Float(f64),
    /// `str`.
    Str(String),
    /// `bytes`.
    Bytes(Vec<u8>),
}

impl ListItem {
    /// Its bytes; behind them the slot of a text has zeroes.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::None => Cow::Borrowed(&[0; 8]),
            Self::Bool(value) => Cow::Owned(vec![0, 0, 0, 0, 0, 0, 0, u8::from(*value)]),
            Self::Int(value) => Cow::Owned(value.to_ne_bytes().into()),
            Self::Float(value) => Cow::Owned(value.to_ne_bytes().into()),
            Self::Str(text) => Cow::Borrowed(text.as_bytes()),
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Str(_) | Self::Bytes(_))
    }

    /// The length of the slot of which it is the first item.
    pub(super) fn slot_len(&self) -> usize {
        match self {
            Self::Str(text) => (text.len() / ALIGNMENT + 1) * ALIGNMENT,
            Self::Bytes(bytes) => (bytes.len() / ALIGNMENT + 1) * ALIGNMENT,
            _ => ALIGNMENT,
        }
    }

    pub(super) fn format(&self, slot_len: usize) -> Format {
        match self {
            Self::None => NONE,
            Self::Bool(_) => BOOL,
            Self::Int(_) => INT,
            Self::Float(_) => FLOAT,
            Self::Str(_) | Self::Bytes(_) => {
                let mut format = Format::default();
                let text = format!("{slot_len}s");
                // Longer ones are refused before.
                format.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
                format
            }
        }
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => code::AS_IT_IS,
            Self::Str(_) => code::STR,
            Self::Bytes(_) => code::BYTES,
            Self::None => code::NONE,
        }
    }

    /// Why it cannot be in a slot of so many bytes, if that is so.
    pub(super) fn refusal(&self, slot_len: usize) -> Option<String> {
        let bytes = self.bytes();
        if slot_len > SLOT_MAX {
            return Some(format!("its slot would have more than {SLOT_MAX} bytes"));
        }
        if bytes.len() > slot_len {
            return Some(format!("its slot has {slot_len} bytes, and it has {}", bytes.len()));
        }
        let is_cut = self.is_text() && bytes.ends_with(b"\0");
        is_cut.then(|| "zeroes at its end are not kept".to_owned())
    }

    /// How much of a slot an item of this format takes; `None` where no item has it.
    pub(super) fn len_of(format: Format) -> Option<usize> {
        if [INT, FLOAT, BOOL, NONE].contains(&format) {
            return Some(ALIGNMENT);
        }
        let text = trimmed(&format).strip_suffix(b"s")?;
        str::from_utf8(text).ok()?.parse().ok()
    }

    /// The item that stands there as these bytes; `None` where none does.
    pub(super) fn decode(format: Format, code: u8, bytes: &[u8]) -> Option<Self> {
        let word = || bytes.first_chunk().copied();
        match (format, code) {
            (NONE, code::NONE) => Some(Self::None),
            (BOOL, code::AS_IT_IS) => Some(Self::Bool(*bytes.get(7)? != 0)),
            (INT, code::AS_IT_IS) => Some(Self::Int(i64::from_ne_bytes(word()?))),
            (FLOAT, code::AS_IT_IS) => Some(Self::Float(f64::from_ne_bytes(word()?))),
            (INT | FLOAT | BOOL | NONE, _) => None,
            (_, code::STR) => String::from_utf8(trimmed(bytes).into()).ok().map(Self::Str),
            (_, code::BYTES) => Some(Self::Bytes(trimmed(bytes).into())),
            _ => None,
        }
    }
}

/// Without the zeroes at the end.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

macro_rules! from {
    ($($variant:ident($type:ty)),+ $(,)?) => {$(
        impl From<$type> for ListItem {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

from! {
    Bool(bool), Int(i32), Int(u32), Int(i64), Float(f64), Str(&str), Str(String), Bytes(&[u8]), Bytes(Vec<u8>),
}

impl From<()> for ListItem {
    fn from((): ()) -> Self {
        Self::None
    }
}
