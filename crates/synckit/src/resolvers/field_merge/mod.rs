//! Merges JSON objects field by field, as a three-way merge: what the sides share is the base, and each side
//! contributes what it changed.
//!
//! - this file: [`FieldMerge`], its settings, and what happens to objects that cannot be merged
//! - `clash.rs`: how to merge a field that several sides changed
//! - `three_way.rs`: the merge

mod clash;
mod three_way;

use std::collections::BTreeMap;
use std::sync::Arc;

use synckit_core::{Data, NewEvent, Result};
use synckit_plan::{Answer, Conflict, ConflictResolver, Fingerprint, Ruling};

pub use clash::Clash;

use crate::resolvers::tree::{self, Fields};
use crate::resolvers::{FieldPath, ManualReview, changes};
use three_way::Merge;

/// Merges JSON objects field by field, for events that carry the *whole* object.
///
/// A field that one side changed is taken from that side. A field that several sides changed differently is merged by
/// its [`Clash`] rule. Nested objects are merged likewise; arrays and everything else are values. Any number of sides
/// is merged at once. Values keep their original text, so that no number is ever rounded. Fields are sorted by name, so
/// that every replica writes the same bytes. The merged event has the type and the metadata of the latest side.
///
/// Sides that are not all objects of one event type go to another resolver, which is [`ManualReview`] by default. If a
/// filter left out what the sides share, the conflict is left to a replica that holds it.
///
/// ```
/// use synckit::FieldMerge;
/// use synckit::conflict::Clash;
///
/// # fn main() -> synckit::Result<()> {
/// let merge = FieldMerge::new().with_field("tags".parse()?, Clash::Union).with_clash(Clash::Latest);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FieldMerge {
    clash: Clash,
    fields: BTreeMap<FieldPath, Clash>,
    otherwise: Arc<dyn ConflictResolver>,
}

impl Default for FieldMerge {
    fn default() -> Self {
        FieldMerge { clash: Clash::Latest, fields: BTreeMap::new(), otherwise: Arc::new(ManualReview) }
    }
}

impl FieldMerge {
    /// Creates a merge in which the latest side wins clashing fields.
    pub fn new() -> Self {
        FieldMerge::default()
    }

    /// Sets how to merge fields that several sides changed. Default: [`Clash::Latest`].
    pub fn with_clash(mut self, clash: Clash) -> Self {
        self.clash = clash;
        self
    }

    /// Sets how to merge this field, and what lies within it, when several sides changed it.
    pub fn with_field(mut self, field: FieldPath, clash: Clash) -> Self {
        self.fields.insert(field, clash);
        self
    }

    /// Sets the resolver of conflicts that cannot be merged.
    pub fn with_otherwise(mut self, resolver: impl ConflictResolver + 'static) -> Self {
        self.otherwise = Arc::new(resolver);
        self
    }

    /// Returns the rule for a field: its own, or that of the closest field around it, or the default one.
    fn clash_at(&self, field: &FieldPath) -> Clash {
        let around = self.fields.iter().filter(|(path, _)| path.holds(field));
        around.max_by_key(|(path, _)| path.as_str().len()).map_or(self.clash, |(_, clash)| *clash)
    }
}

impl ConflictResolver for FieldMerge {
    fn name(&self) -> &str {
        "field-merge"
    }

    fn fingerprint(&self) -> Fingerprint {
        match self.otherwise.fingerprint() {
            Fingerprint::Lasting(otherwise) => Fingerprint::Lasting(format!("{self:?} {otherwise}")),
            passing @ Fingerprint::Passing(_) => passing,
        }
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        if !conflict.whole {
            let reason = "a filter left out here what the sides share";
            return Ok(Ruling::from(Answer::Review).because(reason));
        }
        let sides = changes::sides(conflict);
        let objects: Option<Vec<Fields<'_>>> =
            sides.iter().map(|event| event.data.as_json().and_then(tree::object)).collect();
        let (Some(objects), Some(base), Some(last)) = (objects, changes::base(conflict), sides.last()) else {
            return self.otherwise.resolve(conflict);
        };
        if sides.iter().any(|event| event.event_type != last.event_type) {
            return self.otherwise.resolve(conflict);
        }
        let mut merge = Merge::new(|field| self.clash_at(field));
        let Some(merged) = merge.objects(&FieldPath::root(), &base, &objects.iter().collect::<Vec<_>>())
        else {
            return Ok(Ruling::from(Answer::Review).because(reason(&merge.clashed)));
        };
        let mut text = String::new();
        tree::write_fields(&merged, &mut text);
        let merged = NewEvent::with_data(&last.event_type, &conflict.aggregate_id, Data::json(text)?)?
            .with_metadata(last.metadata.clone());
        let ruling = Ruling::from(Answer::Merge(merged));
        Ok(match merge.clashed.is_empty() {
            true => ruling,
            false => ruling.because(reason(&merge.clashed)),
        })
    }
}

/// Names the fields that clashed, limited in number and length because the text is written into the decision.
fn reason(clashed: &[String]) -> String {
    const FIELDS: usize = 10;
    const CHARACTERS: usize = 60;
    let mut named: Vec<String> =
        clashed.iter().take(FIELDS).map(|field| field.chars().take(CHARACTERS).collect()).collect();
    if clashed.len() > FIELDS {
        named.push(format!("and {} more", clashed.len() - FIELDS));
    }
    format!("several sides have changed {}", named.join(", "))
}

impl std::fmt::Debug for FieldMerge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FieldMerge")
            .field("clash", &self.clash)
            .field("fields", &self.fields)
            .field("otherwise", &self.otherwise.name())
            .finish()
    }
}
