//! Which fields each side of a conflict changed since the sides diverged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use synckit_core::{Error, Event, EventId};
use synckit_plan::Conflict;

use crate::resolvers::tree::{self, Fields, Tree};

/// A field of a JSON object at any depth: a JSON pointer such as `/address/street` (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(String);

impl FieldPath {
    /// Creates a path from a JSON pointer, or from the name of a top-level field.
    ///
    /// ```
    /// use synckit::conflict::FieldPath;
    ///
    /// assert_eq!(FieldPath::new("/address/street")?, FieldPath::root().join("address").join("street"));
    /// assert_eq!(FieldPath::new("price")?.as_str(), "/price");
    /// # Ok::<(), synckit::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Invalid` for an empty text, and for a `~` that is not part of `~0` or `~1`.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(Error::invalid("the name of a field is empty"));
        }
        if !text.starts_with('/') {
            return Ok(FieldPath::root().join(text));
        }
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        match escapes {
            true => Ok(FieldPath(text.to_owned())),
            false => Err(Error::invalid("in a JSON pointer `~` is written `~0` and `/` is written `~1`")),
        }
    }

    /// Returns the path of the object itself.
    pub const fn root() -> Self {
        FieldPath(String::new())
    }

    /// Returns the path of a field within the field that this path names.
    pub fn join(&self, name: &str) -> Self {
        FieldPath(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    /// Returns the text of the pointer.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this names the same field as the other, or one that contains the other.
    pub fn holds(&self, other: &FieldPath) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FieldPath {
    type Err = Error;

    /// Parses a path as [`FieldPath::new`] does.
    fn from_str(text: &str) -> Result<Self, Error> {
        FieldPath::new(text)
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The fields that each side of a conflict changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// One entry for each event that the branches show, in canonical order.
    pub sides: Vec<SideChanges>,
}

/// The fields that one side changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SideChanges {
    /// The event that the side shows.
    pub event: EventId,
    /// The fields, ordered by path; `None` if the event carries no JSON object.
    pub fields: Option<Vec<FieldChange>>,
}

/// A field that a side changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// The field.
    pub field: FieldPath,
    /// The JSON text in the base; `None` if the field was absent, or the base is unknown.
    pub before: Option<String>,
    /// The JSON text on this side; `None` if the field was removed.
    pub after: Option<String>,
}

impl Changes {
    /// Compares what the sides show with the base. If the base has several events, the fields on which they agree
    /// count; if there is no base, everything is a change.
    pub fn of(conflict: &Conflict) -> Self {
        let base = base(conflict).unwrap_or_default();
        let side = |event: &Event| {
            let fields = event.data.as_json().and_then(tree::object).map(|fields| {
                let mut changed = Vec::new();
                compare(&FieldPath::root(), &base, &fields, &mut changed);
                changed
            });
            SideChanges { event: event.id.clone(), fields }
        };
        Changes { sides: sides(conflict).into_iter().map(side).collect() }
    }

    /// Returns whether a side changed this field, something within it, or something that contains it.
    pub fn touch(&self, field: &FieldPath) -> bool {
        self.sides.iter().any(|side| side.touching(field).next().is_some())
    }

    /// Returns whether sides changed this field, or what lies within or around it, differently, so that a
    /// [`FieldMerge`](crate::FieldMerge) has to choose.
    pub fn clash(&self, field: &FieldPath) -> bool {
        let differ = |one: &FieldChange, two: &FieldChange| {
            let same = one.field == two.field
                && match (&one.after, &two.after) {
                    (Some(one), Some(two)) => tree::same_text(one, two),
                    (one, two) => one == two,
                };
            (one.field.holds(&two.field) || two.field.holds(&one.field)) && !same
        };
        self.sides.iter().enumerate().any(|(at, side)| {
            let others = &self.sides[at + 1..];
            side.touching(field)
                .any(|one| others.iter().any(|other| other.touching(field).any(|two| differ(one, two))))
        })
    }
}

impl SideChanges {
    fn touching<'a>(&'a self, field: &'a FieldPath) -> impl Iterator<Item = &'a FieldChange> {
        let changes = self.fields.iter().flatten();
        changes.filter(|change| field.holds(&change.field) || change.field.holds(field))
    }
}

/// Returns all events that the branches show, without duplicates, in canonical order.
pub(super) fn sides(conflict: &Conflict) -> Vec<&Event> {
    let shown = conflict.branches.iter().flat_map(|branch| &branch.shows);
    let mut sides: Vec<&Event> = shown.map(|event| &**event).collect();
    sides.sort_by(|left, right| left.canonical_cmp(right));
    sides.dedup_by(|left, right| left.id == right.id);
    sides
}

/// Returns the fields on which all events of the base agree; `None` if one of them is not a JSON object.
pub(super) fn base(conflict: &Conflict) -> Option<Fields<'_>> {
    let mut agreed: Option<Fields<'_>> = None;
    for event in &conflict.base {
        let fields = event.data.as_json().and_then(tree::object)?;
        agreed = Some(match agreed {
            None => fields,
            Some(agreed) => meet(agreed, &fields),
        });
    }
    Some(agreed.unwrap_or_default())
}

fn meet<'a>(left: Fields<'a>, right: &Fields<'a>) -> Fields<'a> {
    let mut agreed = Fields::new();
    for (name, one) in left {
        match (one, right.get(&name)) {
            (Tree::Object(one), Some(Tree::Object(two))) => agreed.insert(name, Tree::Object(meet(one, two))),
            (one, Some(two)) if one.same(two) => agreed.insert(name, one),
            _ => None,
        };
    }
    agreed
}

fn compare(at: &FieldPath, base: &Fields<'_>, side: &Fields<'_>, changed: &mut Vec<FieldChange>) {
    let mut names: Vec<&String> = base.keys().chain(side.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let field = at.join(name);
        match (base.get(name), side.get(name)) {
            (Some(Tree::Object(before)), Some(Tree::Object(after))) => {
                compare(&field, before, after, changed)
            }
            (Some(before), Some(after)) if before.same(after) => {}
            (before, after) => changed.push(FieldChange {
                field,
                before: before.map(Tree::text),
                after: after.map(Tree::text),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_pointer_or_a_name() {
        let path = |text: &str| text.parse::<FieldPath>();
        assert_eq!(path("price").expect("a name").as_str(), "/price");
        assert_eq!(path("/a~1b/c").expect("a pointer"), FieldPath::root().join("a/b").join("c"));
        assert!(path("").is_err() && path("/a~2").is_err() && path("/a~").is_err());
        assert!(path("a").expect("a name").holds(&path("/a/b").expect("a pointer")));
        assert!(!path("a").expect("a name").holds(&path("/ab").expect("a pointer")));
    }
}
