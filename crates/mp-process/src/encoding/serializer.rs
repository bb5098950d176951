//! postcard's serializer, which copies byte sequences at once rather than byte by byte.

use std::fmt::Display;

use postcard::ser_flavors::Flavor;
use serde::ser::{self, Serialize};

use super::{fault::Fault, sys};

type Result<T> = std::result::Result<T, Fault>;

/// Serializes to the end of a vector.
pub(super) struct Serializer<'a>(postcard::Serializer<Append<'a>>);

impl<'a> Serializer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(postcard::Serializer { output: Append(out) })
    }
}

struct Append<'a>(&'a mut Vec<u8>);

impl Append<'_> {
    /// Seven bits a byte, the lowest first, and a bit that says that more follow.
    ///
    /// As many bytes as there can be are appended, and those too many taken off again: a copy of a length that the compiler
    /// knows costs a store or two, any other one a call.
    #[inline]
    fn append_varint(&mut self, value: u64) {
        if value < 1 << 7 {
            return self.0.push(value as u8);
        }
        let start = self.0.len();
        let len = (value.ilog2() / 7 + 1) as usize;
        if len <= 8 {
            let more = u64::MAX >> (64 - 8 * (len - 1)) & 0x8080_8080_8080_8080;
            self.0.extend_from_slice(&(sevens(value) | more).to_le_bytes());
        } else {
            self.append_long_varint(value);
        }
        self.0.truncate(start + len);
    }

    #[cold]
    fn append_long_varint(&mut self, mut value: u64) {
        let mut bytes = [0; MAX_VARINT];
        for byte in &mut bytes {
            *byte = value as u8 & 0x7f | if value > 0x7f { 0x80 } else { 0 };
            value >>= 7;
        }
        self.0.extend_from_slice(&bytes);
    }
}

/// The lower 56 bits of `value`, seven in each byte: halves are moved apart, and their halves, and theirs.
#[inline]
const fn sevens(value: u64) -> u64 {
    let value = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let value = value & 0x0000_3fff_0000_3fff | (value & 0x0fff_c000_0fff_c000) << 2;
    value & 0x007f_007f_007f_007f | (value & 0x3f80_3f80_3f80_3f80) << 1
}

/// The bytes of 64 bits, seven in each.
const MAX_VARINT: usize = 10;

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

/// Methods of values without parts: postcard's.
macro_rules! scalars {
    ($($method:ident($type:ty)),+ $(,)?) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<()> {
            Ok(self.0.$method(value)?)
        }
    )+};
}

/// Methods of integers, which postcard writes as their variable-length form.
macro_rules! integers {
    ($($method:ident($type:ty)),+ $(,)?) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<()> {
            // Zigzag where there is a sign, of which an unsigned number has none.
            let sign = if <$type>::MIN == 0 { 0 } else { (value >> (<$type>::BITS - 1)) as u64 };
            let doubled = if <$type>::MIN == 0 { value as u64 } else { (value as u64) << 1 };
            self.0.output.append_varint(doubled ^ sign);
            Ok(())
        }
    )+};
}

/// Methods of values with parts: what postcard writes ahead of the parts, which come to `self`.
macro_rules! compounds {
    ($($method:ident($($argument:ident: $type:ty),+)),+ $(,)?) => {$(
        #[inline]
        fn $method(self, $($argument: $type),+) -> Result<Self> {
            self.0.$method($($argument),+)?;
            Ok(self)
        }
    )+};
}

impl ser::Serializer for &mut Serializer<'_> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    scalars! {
        serialize_bool(bool), serialize_i8(i8), serialize_i128(i128), serialize_u8(u8), serialize_u128(u128),
        serialize_f32(f32), serialize_f64(f64), serialize_char(char), serialize_str(&str),
        serialize_bytes(&[u8]), serialize_unit_struct(&'static str),
    }

    integers! {
        serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
    }

    compounds! {
        serialize_seq(len: Option<usize>),
        serialize_tuple(len: usize),
        serialize_tuple_struct(name: &'static str, len: usize),
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize),
        serialize_map(len: Option<usize>),
        serialize_struct(name: &'static str, len: usize),
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize),
    }

    /// Where `Vec<T>`, `Box<[T]>` and the like come to. postcard writes bytes as it does a sequence of `u8`s.
    #[inline]
    fn collect_seq<I>(self, sequence: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        if let Some(bytes) = sys::bytes_of(&sequence) {
            return Ok(self.0.serialize_bytes(bytes)?);
        }
        let mut items = sequence.into_iter();
        let len = match items.size_hint() {
            (low, Some(high)) if low == high => Some(low),
            _ => None,
        };
        ser::Serializer::serialize_seq(&mut *self, len)?;
        items.try_for_each(|item| item.serialize(&mut *self))
    }

    #[inline]
    fn serialize_none(self) -> Result<()> {
        Ok(self.0.serialize_none()?)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        // What `Some` writes ahead of the value.
        self.0.serialize_some(&())?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<()> {
        Ok(self.0.serialize_unit()?)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<()> {
        Ok(self.0.serialize_unit_variant(name, index, variant)?)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.0.serialize_unit_variant(name, index, variant)?;
        value.serialize(self)
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<()> {
        Ok(self.0.collect_str(value)?)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of a value follow each other.
macro_rules! parts {
    ($($compound:ident: $($method:ident($($name:ident: $type:ty)?)),+;)+) => {$(
        impl ser::$compound for &mut Serializer<'_> {
            type Ok = ();
            type Error = Fault;

            $(
                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Result<()> {
                    value.serialize(&mut **self)
                }
            )+

            #[inline]
            fn end(self) -> Result<()> {
                Ok(())
            }
        }
    )+};
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(_key: &'static str);
    SerializeStructVariant: serialize_field(_key: &'static str);
}
