//! What all three formats say, with the place of every value and key.

use crate::mistake::{Mistake, Place};

/// How deep a file may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
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
    pub(crate) at: Place,
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
