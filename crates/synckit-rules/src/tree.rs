//! What all three formats say, with the place of every value and key.

use crate::mistake::{Mistake, Place};

/// How deep a file may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// Where something begins, as its parser says it: to turn a byte into a line costs a look at all before it,
/// so that is done for mistakes only.
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

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// A number or anything else that is written without quotes, as it is written.
    Plain(String),
    Bool(bool),
    Null,
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
}

/// The name of a value in a table and where it stands.
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

/// A tree, and the mistakes of its syntax.
pub(crate) type Parsed = Result<Node, Vec<Mistake>>;

pub(crate) fn too_deep(at: Place) -> Vec<Mistake> {
    vec![Mistake { place: at, message: format!("this nests deeper than {MAX_DEPTH} levels") }]
}
