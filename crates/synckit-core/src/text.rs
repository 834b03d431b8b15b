//! Values that are strings in JSON, in their displayed form.

use std::fmt;

use serde::de::{Error, Visitor};

use crate::error::Result;

/// Deserialises borrowed and owned text alike, and parses it to a value.
pub(crate) struct TextVisitor<T>(pub(crate) fn(&str) -> Result<T>);

impl<T> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Serialises a type by the given expression, and deserialises it by its `FromStr`.
macro_rules! serde_as_text {
    ($name:ident, |$value:ident, $serializer:ident| $serialize:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                $serialize
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(crate::text::TextVisitor(|text| text.parse()))
            }
        }
    };
}

pub(crate) use serde_as_text;

/// Reads 32 hexadecimal digits.
pub(crate) fn hex(text: &str) -> Option<u128> {
    let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| plain)
}
