//! The content of an event: data and metadata.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::json;

/// The payload of an event: bytes, or JSON kept as its original text. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Data(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Json(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl Data {
    /// Creates a payload from JSON text, which is kept verbatim except for surrounding whitespace.
    ///
    /// # Errors
    /// `Invalid` when it is not JSON, `TooLarge` when it nests deeper than 100 levels.
    pub fn json(text: impl AsRef<str>) -> Result<Self> {
        Ok(Data(Repr::Json(json::checked(text.as_ref())?)))
    }

    /// Serialises a value to JSON.
    ///
    /// # Errors
    /// `Invalid` when the value has no JSON form, `TooLarge` when it nests deeper than 100 levels.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::invalid("the value has no JSON form").with_source(error))?;
        json::check_depth(text.as_bytes())?;
        Ok(Data(Repr::Json(Arc::from(text))))
    }

    /// Creates a binary payload.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Data(Repr::Bytes(bytes.into()))
    }

    /// Creates a payload from JSON text that was checked before, such as a store's own rows. It is not checked again.
    pub fn stored_json(text: impl Into<Arc<str>>) -> Self {
        Data(Repr::Json(text.into()))
    }

    /// Returns the JSON text, or `None` if this is binary.
    pub fn as_json(&self) -> Option<&str> {
        match &self.0 {
            Repr::Json(text) => Some(text),
            Repr::Bytes(_) => None,
        }
    }

    /// Returns the JSON text without copying it, or `None` if this is binary. For drivers that take shared strings.
    pub fn shared_json(&self) -> Option<Arc<str>> {
        match &self.0 {
            Repr::Json(text) => Some(Arc::clone(text)),
            Repr::Bytes(_) => None,
        }
    }

    /// Returns the raw payload: the bytes, or the bytes of the JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Json(text) => text.as_bytes(),
            Repr::Bytes(bytes) => bytes,
        }
    }

    /// Returns whether this is JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.0, Repr::Json(_))
    }

    /// Parses the JSON as a value of this type.
    ///
    /// # Errors
    /// `Invalid` when it is binary or does not match the type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let text =
            self.as_json().ok_or_else(|| Error::invalid("the data is binary; read it with as_bytes"))?;
        serde_json::from_str(text)
            .map_err(|error| Error::invalid("the data has another shape").with_source(error))
    }

    /// Returns bytes as base64, as in the JSON form of an event; `None` for JSON.
    pub fn to_base64(&self) -> Option<String> {
        match &self.0 {
            Repr::Json(_) => None,
            Repr::Bytes(bytes) => Some(BASE64.encode(bytes)),
        }
    }

    /// Creates a payload from the two optional fields of the JSON form.
    pub(crate) fn from_fields(json: Option<&RawValue>, base64: Option<&str>) -> Result<Self> {
        match (json, base64) {
            (Some(json), None) => {
                json::check_depth(json.get().as_bytes())?;
                Ok(Data::stored_json(json.get()))
            }
            (None, Some(text)) => {
                let bytes = BASE64
                    .decode(text)
                    .map_err(|error| Error::invalid("data_base64 is not base64").with_source(error))?;
                Ok(Data::bytes(bytes))
            }
            (None, None) => Err(Error::invalid("an event needs `data` or `data_base64`")),
            (Some(_), Some(_)) => Err(Error::invalid("an event has `data` or `data_base64`, not both")),
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Json(text) => f.write_str(text),
            Repr::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// A JSON object beside the data: who, from which device, with which schema. Kept as its original text; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Metadata(Arc<str>);

impl Default for Metadata {
    fn default() -> Self {
        Metadata(Arc::from("{}"))
    }
}

impl Metadata {
    /// Creates metadata from the text of a JSON object.
    ///
    /// # Errors
    /// `Invalid` when it is not a JSON object, `TooLarge` when it nests deeper than 100 levels.
    pub fn json(text: impl AsRef<str>) -> Result<Self> {
        let text = json::checked(text.as_ref())?;
        Metadata::object(&text)?;
        Ok(Metadata(text))
    }

    /// Serialises a value that becomes a JSON object.
    ///
    /// # Errors
    /// Same as [`Metadata::json`].
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::invalid("the metadata has no JSON form").with_source(error))?;
        json::check_depth(text.as_bytes())?;
        Metadata::object(&text)?;
        Ok(Metadata(Arc::from(text)))
    }

    /// Creates metadata from text that was checked before, such as a store's own rows. It is not checked again.
    pub fn stored_json(text: impl Into<Arc<str>>) -> Self {
        Metadata(text.into())
    }

    /// Creates metadata from the field of the JSON form, which is known to be JSON.
    pub(crate) fn from_field(json: &RawValue) -> Result<Self> {
        json::check_depth(json.get().as_bytes())?;
        Metadata::object(json.get())?;
        Ok(Metadata::stored_json(json.get()))
    }

    /// Returns the text of the object.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Returns the text of the object without copying it, for drivers that take shared strings.
    pub fn shared_json(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Returns whether the object has no fields.
    pub fn is_empty(&self) -> bool {
        &*self.0 == "{}"
    }

    /// Parses the metadata as a value of this type.
    ///
    /// # Errors
    /// `Invalid` when it does not match the type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0)
            .map_err(|error| Error::invalid("the metadata has another shape").with_source(error))
    }

    /// Returns a field as text: the content of a string, or the JSON text of anything else.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut fields: std::collections::BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&self.0).ok()?;
        let raw = fields.remove(name)?;
        Some(serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned()))
    }

    fn object(text: &str) -> Result<()> {
        text.starts_with('{').then_some(()).ok_or_else(|| Error::invalid("metadata is a JSON object"))
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_key_order_survive() {
        let text = r#"{"z":9007199254740993,"a":1.0}"#;
        assert_eq!(Data::json(text).expect("valid").as_json(), Some(text));
    }

    #[test]
    fn metadata_is_an_object_and_shows_fields_as_text() {
        assert!(Metadata::json("[]").is_err() && Metadata::of(&1).is_err());
        let metadata = Metadata::json(r#"{"who":"ann","n":1.0}"#).expect("valid");
        assert_eq!(metadata.field("who").as_deref(), Some("ann"));
        assert_eq!(metadata.field("n").as_deref(), Some("1.0"));
        assert_eq!(metadata.field("x"), None);
    }
}
