//! The common content of all three formats, with the place of every value and key.

use crate::mistake::{Mistake, Place};

/// The maximum nesting depth of a file.
pub(crate) const MAX_DEPTH: usize = 64;

/// Where something begins, as its parser reports it. Turning a byte offset into a line requires scanning everything
/// before it, so that is done for mistakes only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    Byte(usize),
    Place(Place),
}

impl At {
    pub(crate) const START: At = At::Byte(0);

    pub(crate) fn place(self, text: &str) -> Place {
        match self {
            At::Byte(byte) => Place::of(text, byte),
            At::Place(place) => place,
        }
    }
}

/// A value, and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// A number or another value that is written without quotes, as written.
    Plain(String),
    Bool(bool),
    Null,
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
}

/// The key of a value in a table, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: At,
    pub(crate) name: String,
}

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "text",
            Value::Plain(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// A tree, or the mistakes in its syntax.
pub(crate) type Parsed = Result<Node, Vec<Mistake>>;

pub(crate) fn too_deep(at: Place) -> Vec<Mistake> {
    vec![Mistake { place: at, message: format!("this nests deeper than {MAX_DEPTH} levels") }]
}
