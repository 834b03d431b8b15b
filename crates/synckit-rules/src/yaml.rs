//! From YAML to the tree: one document, without aliases, so that a small file stays small.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::mistake::{Mistake, Place};
use crate::tree::{At, Key, MAX_DEPTH, Node, Parsed, Value, too_deep};

pub(crate) fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    for parsed in Parser::new_from_str(text) {
        let (event, span) = parsed.map_err(|error| vec![mistake(*error.marker(), error.info())])?;
        builder.take(event, span.start)?;
    }
    let empty = Node { at: At::START, value: Value::Null };
    Ok(builder.root.unwrap_or(empty))
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn mistake(marker: Marker, message: &str) -> Mistake {
    Mistake { place: place(marker), message: message.to_owned() }
}

/// A list or a table that is still open.
enum Open {
    List(Place, Vec<Node>),
    Table(Place, Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), Vec<Mistake>> {
        match event {
            Event::Alias(_) => return Err(vec![mistake(at, "aliases are not read; write it out")]),
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(vec![mistake(at, "a second document begins here; a file has one")]);
            }
            Event::Scalar(text, style, ..) => {
                let value =
                    if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text.into_owned()) };
                self.add(at, value)?;
            }
            Event::SequenceStart(..) => self.begin(at, Open::List(place(at), Vec::new()))?,
            Event::MappingStart(..) => self.begin(at, Open::Table(place(at), Vec::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => {
                let (begun, value) = match self.open.pop() {
                    Some(Open::List(begun, items)) => (begun, Value::List(items)),
                    Some(Open::Table(begun, entries, _)) => (begun, Value::Table(entries)),
                    None => {
                        return Err(vec![mistake(at, "this closes a list or a table that was not opened")]);
                    }
                };
                self.put(Node { at: At::Place(begun), value }, at)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: Marker, open: Open) -> Result<(), Vec<Mistake>> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place(at)));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, at: Marker, value: Value) -> Result<(), Vec<Mistake>> {
        self.put(Node { at: At::Place(place(at)), value }, at)
    }

    fn put(&mut self, node: Node, end: Marker) -> Result<(), Vec<Mistake>> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Table(_, entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let name = match node.value {
                        Value::Text(name) | Value::Plain(name) => name,
                        Value::Bool(value) => value.to_string(),
                        other => {
                            let message = format!("a key is text, not {}", other.kind());
                            return Err(vec![mistake(end, &message)]);
                        }
                    };
                    *key = Some(Key { at: node.at, name });
                }
            },
        }
        Ok(())
    }
}

/// Reads a scalar without quotes, by the core schema of YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.parse::<f64>().is_ok() => Value::Plain(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}
