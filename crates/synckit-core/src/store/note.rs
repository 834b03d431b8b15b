//! The notebook that a store keeps beside its log.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cursor::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Identity;
use crate::ids::{NodeId, StoreId};

/// One entry of the notebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Note {
    /// The key of the store id, as text. A commit may change it.
    pub const STORE: &'static str = "store";
    /// The key of the [`Identity`], as JSON.
    pub const NODE: &'static str = "node";

    /// Makes a note with a JSON value.
    ///
    /// # Errors
    /// `Internal` when the value has no JSON form.
    pub fn json<T: Serialize>(key: String, value: &T) -> Result<Note> {
        let value = serde_json::to_vec(value)
            .map_err(|error| Error::new(ErrorKind::Internal, "a note has no JSON form").with_source(error))?;
        Ok(Note { key, value })
    }

    /// Reads a JSON value.
    ///
    /// # Errors
    /// `Corrupt`, naming the key.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        Note::read(&self.key, &self.value)
    }

    /// Reads a JSON value found under this key.
    ///
    /// # Errors
    /// `Corrupt`, naming the key.
    pub fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T> {
        serde_json::from_slice(value)
            .map_err(|error| Error::corrupt("a note cannot be read").with("key", key).with_source(error))
    }

    /// Makes the notes of a new store: its identity, and its id. Id and secret must be random.
    ///
    /// # Errors
    /// `Invalid` when the node id has a `~`.
    pub fn of_new_store(node: NodeId, id: StoreId, secret: Secret) -> Result<[Note; 2]> {
        node.check_chosen()?;
        Ok([Note::json(Note::NODE.to_owned(), &Identity::new(node, secret))?, Note::of_store_id(id)])
    }

    /// Makes the note that holds the store id.
    pub fn of_store_id(id: StoreId) -> Note {
        Note { key: Note::STORE.to_owned(), value: id.to_string().into_bytes() }
    }

    /// Reads the value found under [`Note::STORE`].
    ///
    /// # Errors
    /// `Corrupt` when it is missing or not a store id.
    pub fn read_store_id(value: Option<&[u8]>) -> Result<StoreId> {
        let id = value.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
        id.ok_or_else(|| Error::corrupt("the store id cannot be read").with("key", Note::STORE))
    }

    /// Reads the value found under [`Note::NODE`].
    ///
    /// # Errors
    /// `Corrupt` when it is missing or not an [`Identity`].
    pub fn read_identity(value: Option<&[u8]>) -> Result<Identity> {
        let value = value.ok_or_else(|| Error::corrupt("the store does not say which node it belongs to"))?;
        Note::read(Note::NODE, value)
    }
}
