//! postcard's deserializer, which copies byte vectors at once rather than byte by byte.

use std::{any::TypeId, cell::Cell};

use postcard::{Error, Result, de_flavors::Slice};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IntoDeserializer, Visitor},
};

use super::sys;

/// Deserializes from the front of a slice.
pub(super) struct Deserializer<'de>(postcard::Deserializer<'de, Slice<'de>>);

impl<'de> Deserializer<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self(postcard::Deserializer::from_bytes(bytes))
    }

    /// The bytes that are left.
    pub(super) fn finalize(self) -> Result<&'de [u8]> {
        self.0.finalize()
    }
}

/// Methods of values without parts: postcard's.
macro_rules! scalars {
    ($($method:ident)+) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.0.$method(visitor)
        }
    )+};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Error;

    scalars! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match Option::<()>::deserialize(&mut self.0)? {
            Some(()) => visitor.visit_some(self),
            None => visitor.visit_none(),
        }
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
            let bytes = <&[u8]>::deserialize(&mut self.0)?;
            return sys::vec_of(bytes).ok_or(Error::WontImplement);
        }
        let len = usize::deserialize(&mut self.0)?;
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
        let len = usize::deserialize(&mut self.0)?;
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
    type Error = Error;

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
    type Error = Error;

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
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        let index = u32::deserialize(&mut self.0)?;
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Deserializer<'de> {
    type Error = Error;

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
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Error::WontImplement)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        self.0.set(Some(typeid::of::<V>()));
        Err(Error::WontImplement)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}
