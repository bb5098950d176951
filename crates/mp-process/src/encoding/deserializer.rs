//! postcard's deserializer, which copies byte vectors at once rather than byte by byte.

use std::{any::TypeId, cell::Cell};

use postcard::{
    Error::{DeserializeBadVarint, DeserializeUnexpectedEnd, WontImplement},
    de_flavors::Slice,
};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IntoDeserializer, Visitor},
};

use super::{fault::Fault, sys};

type Result<T> = std::result::Result<T, Fault>;

/// Deserializes from the front of a slice.
pub(super) struct Deserializer<'de> {
    rest: &'de [u8],
}

impl<'de> Deserializer<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that are left.
    pub(super) fn rest(&self) -> &'de [u8] {
        self.rest
    }

    /// Reads what postcard reads.
    #[inline]
    fn postcard<T: Deserialize<'de>>(&mut self) -> Result<T> {
        let mut postcard = postcard::Deserializer::<Slice<'de>>::from_bytes(self.rest);
        let value = T::deserialize(&mut postcard)?;
        self.rest = postcard.finalize()?;
        Ok(value)
    }

    /// An integer of `bits` bits: seven in a byte, the lowest first, and a bit that says that more follow.
    #[inline]
    fn varint(&mut self, bits: u32) -> Result<u64> {
        let mut value = 0;
        for (at, &byte) in (0..bits.div_ceil(7)).zip(self.rest) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if 7 * at + 7 > bits && byte >> (bits - 7 * at) != 0 {
                    return Err(DeserializeBadVarint.into());
                }
                self.rest = &self.rest[at as usize + 1..];
                return Ok(value);
            }
        }
        let is_cut = self.rest.len() < bits.div_ceil(7) as usize;
        Err(if is_cut { DeserializeUnexpectedEnd } else { DeserializeBadVarint }.into())
    }

    /// A length as it stands before a sequence.
    #[inline]
    pub(super) fn len(&mut self) -> Result<usize> {
        self.varint(usize::BITS).map(|len| len as usize)
    }
}

/// Methods of values without parts, as postcard reads them.
macro_rules! scalars {
    ($($method:ident($type:ty, $visit:ident)),+ $(,)?) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(self.postcard::<$type>()?)
        }
    )+};
}

/// Methods of what the format does not say.
macro_rules! unknown {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
            Err(WontImplement.into())
        }
    )+};
}

/// Methods of integers of variable length.
macro_rules! integers {
    ($($method:ident($type:ty, $visit:ident)),+ $(,)?) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let value = self.varint(<$type>::BITS)?;
            // Zigzag where there is a sign.
            let sign = if <$type>::MIN == 0 { 0 } else { (value & 1).wrapping_neg() };
            let value = if <$type>::MIN == 0 { value } else { value >> 1 };
            visitor.$visit((value ^ sign) as $type)
        }
    )+};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Fault;

    scalars! {
        deserialize_bool(bool, visit_bool), deserialize_char(char, visit_char),
        deserialize_u8(u8, visit_u8), deserialize_i8(i8, visit_i8),
        deserialize_u128(u128, visit_u128), deserialize_i128(i128, visit_i128),
        deserialize_f32(f32, visit_f32), deserialize_f64(f64, visit_f64),
        deserialize_str(&str, visit_borrowed_str), deserialize_string(&str, visit_borrowed_str),
        deserialize_bytes(&[u8], visit_borrowed_bytes), deserialize_byte_buf(&[u8], visit_borrowed_bytes),
    }

    unknown! { deserialize_any deserialize_identifier deserialize_ignored_any }

    integers! {
        deserialize_u16(u16, visit_u16), deserialize_u32(u32, visit_u32), deserialize_u64(u64, visit_u64),
        deserialize_i16(i16, visit_i16), deserialize_i32(i32, visit_i32), deserialize_i64(i64, visit_i64),
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.postcard::<Option<()>>()? {
            Some(()) => visitor.visit_some(self),
            None => visitor.visit_none(),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    /// postcard reads a sequence of `u8`s as it does bytes.
    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if is_byte_vec_visitor::<V>() {
            let bytes = self.postcard::<&[u8]>()?;
            return sys::vec_of(bytes).ok_or_else(|| WontImplement.into());
        }
        let len = self.len()?;
        visitor.visit_seq(Parts { deserializer: self, len })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Parts { deserializer: self, len })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Parts { deserializer: self, len })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let len = self.len()?;
        visitor.visit_map(Parts { deserializer: self, len })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Parts { deserializer: self, len: fields.len() })
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What is left of a sequence, tuple, struct or map, whose parts follow each other.
struct Parts<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    len: usize,
}

impl<'de> Parts<'_, 'de> {
    #[inline]
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some(len) = self.len.checked_sub(1) else { return Ok(None) };
        self.len = len;
        seed.deserialize(&mut *self.deserializer).map(Some)
    }
}

impl<'de> de::SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.next(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.len)
    }
}

impl<'de> de::MapAccess<'de> for Parts<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(&mut *self.deserializer)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.len)
    }
}

impl<'de> de::EnumAccess<'de> for &mut Deserializer<'de> {
    type Error = Fault;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        let index = u32::deserialize(&mut *self)?;
        let variant = seed.deserialize(IntoDeserializer::<Fault>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Deserializer<'de> {
    type Error = Fault;

    #[inline]
    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Parts { deserializer: self, len })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Parts { deserializer: self, len: fields.len() })
    }
}

/// Whether `V` is the visitor of `Vec<u8>`, which makes of a sequence the vector of its bytes and nothing else. (Another visitor
/// with this result may read something else and compute it.)
#[inline]
fn is_byte_vec_visitor<V>() -> bool {
    let visitor = Cell::new(None);
    // Its type has no name outside serde, so it is asked for. That is an error, because there are no bytes.
    let asked = Vec::<u8>::deserialize(Asking(&visitor));
    asked.is_err() && visitor.get() == Some(typeid::of::<V>())
}

/// A deserializer that has nothing but finds out by which visitor a sequence is wanted.
struct Asking<'a>(&'a Cell<Option<TypeId>>);

impl<'de> de::Deserializer<'de> for Asking<'_> {
    type Error = postcard::Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> postcard::Result<V::Value> {
        Err(WontImplement)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> postcard::Result<V::Value> {
        self.0.set(Some(typeid::of::<V>()));
        Err(WontImplement)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}
