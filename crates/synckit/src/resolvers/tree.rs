//! JSON objects whose values keep their original text: numbers are never parsed, and nothing is reformatted.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// A JSON value: objects are parsed, and everything else stays text.
#[derive(Clone, Debug)]
pub(super) enum Tree<'a> {
    Object(Fields<'a>),
    Leaf(&'a str),
    Array(Vec<&'a str>),
}

/// The fields of an object, sorted by name, so that the output does not depend on who wrote it first.
pub(super) type Fields<'a> = BTreeMap<String, Tree<'a>>;

/// Returns the fields of a JSON object; `None` for anything else. If a name appears twice, the last one counts.
pub(super) fn object(text: &str) -> Option<Fields<'_>> {
    match Tree::parse(text) {
        Tree::Object(fields) => Some(fields),
        _ => None,
    }
}

impl<'a> Tree<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        if text.starts_with('{')
            && let Ok(fields) = serde_json::from_str::<BTreeMap<String, &'a RawValue>>(text)
        {
            let parsed = fields.into_iter().map(|(name, value)| (name, Tree::parse(value.get())));
            return Tree::Object(parsed.collect());
        }
        Tree::Leaf(text)
    }

    /// Appends the JSON text.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Tree::Leaf(text) => out.push_str(text),
            Tree::Array(items) => {
                out.push('[');
                out.push_str(&items.join(","));
                out.push(']');
            }
            Tree::Object(fields) => write_fields(fields, out),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Returns whether both have the same content. Whitespace, the order of fields and the escaping of strings do not
    /// count; numbers are compared as text.
    pub(super) fn same(&self, other: &Tree<'_>) -> bool {
        match (self, other) {
            (Tree::Object(left), Tree::Object(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|((name, one), (other, two))| name == other && one.same(two))
            }
            (Tree::Leaf(left), Tree::Leaf(right)) => same_text(left, right),
            (Tree::Array(_), _) | (_, Tree::Array(_)) => same_text(&self.text(), &other.text()),
            _ => false,
        }
    }
}

pub(super) fn write_fields(fields: &Fields<'_>, out: &mut String) {
    out.push('{');
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(name.as_str()).to_string());
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

/// Returns the elements of a JSON array, each as its text.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    if !text.starts_with('[') {
        return None;
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// Returns whether two JSON texts have the same content.
pub(super) fn same_text(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    match (left.as_bytes().first(), right.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => Tree::parse(left).same(&Tree::parse(right)),
        (Some(b'['), Some(b'[')) => match (elements(left), elements(right)) {
            (Some(left), Some(right)) => {
                left.len() == right.len() && left.iter().zip(&right).all(|(one, two)| same_text(one, two))
            }
            _ => false,
        },
        (Some(b'"'), Some(b'"')) => {
            let decoded = |text: &str| serde_json::from_str::<String>(text).ok();
            decoded(left).is_some_and(|text| Some(text) == decoded(right))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_and_not_how_it_is_written() {
        assert!(same_text(r#"{"a":1,"b":[ 1, "x" ]}"#, r#"{ "b":[1,"\u0078"], "a":1}"#));
        for (left, right) in [("1", "1.0"), ("[1,2]", "[2,1]"), (r#"{"a":null}"#, "{}"), (r#""1""#, "1")] {
            assert!(!same_text(left, right), "{left} {right}");
        }
    }

    #[test]
    fn values_keep_their_text_and_fields_are_sorted() {
        let fields =
            object(r#"{"z":9007199254740993,"a":{"y":1.0,"x":[1,  2]},"\"":"é"}"#).expect("an object");
        let text = Tree::Object(fields).text();
        assert_eq!(text, r#"{"\"":"é","a":{"x":[1,  2],"y":1.0},"z":9007199254740993}"#);
        assert!(object("[]").is_none());
    }
}
