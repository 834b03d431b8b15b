//! Which events a sync is about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{AggregateId, EventType};

/// Which events a sync is about: by type, aggregate and metadata.
///
/// Criteria of different kinds must all hold; of one kind, one must. An empty filter passes everything.
/// Resolutions have neither type nor metadata of their own and are judged by their aggregate alone, so
/// that a decision travels with what it decides.
///
/// ```
/// use synckit_core::Filter;
/// # fn main() -> synckit_core::Result<()> {
/// let filter = Filter::new().with_type("NoteEdited")?.with_aggregate_prefix("note-")?;
/// assert_ne!(filter.fingerprint(), Filter::new().fingerprint());
/// # Ok(()) }
/// ```
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Filter {
    form: Form,
    closure: Option<Closure>,
}

/// The serialisable part.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    types: BTreeSet<EventType>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    aggregates: BTreeSet<AggregateId>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    aggregate_prefixes: BTreeSet<AggregateId>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone)]
struct Closure {
    name: String,
    matches: Arc<dyn Fn(&Event) -> bool + Send + Sync>,
}

impl Filter {
    /// The most criteria one filter can have.
    pub const MAX_CRITERIA: usize = 1_000;

    /// The filter that passes everything.
    pub fn new() -> Self {
        Filter::default()
    }

    /// Passes events of this type, among others named so.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` for a name that is none, or above 1,000 criteria.
    pub fn with_type(mut self, event_type: impl AsRef<str>) -> Result<Self> {
        self.form.types.insert(EventType::new(event_type)?);
        self.checked()
    }

    /// Passes events of this aggregate, among others named so.
    ///
    /// # Errors
    /// As [`Filter::with_type`].
    pub fn with_aggregate(mut self, aggregate: impl AsRef<str>) -> Result<Self> {
        self.form.aggregates.insert(AggregateId::new(aggregate)?);
        self.checked()
    }

    /// Passes events of aggregates whose id begins so, among others named so.
    ///
    /// # Errors
    /// As [`Filter::with_type`].
    pub fn with_aggregate_prefix(mut self, prefix: impl AsRef<str>) -> Result<Self> {
        self.form.aggregate_prefixes.insert(AggregateId::new(prefix)?);
        self.checked()
    }

    /// Passes events whose metadata field is this text: the content of a string, or the JSON text of
    /// anything else. Several values of one field are alternatives.
    ///
    /// # Errors
    /// As [`Filter::with_type`].
    pub fn with_metadata(mut self, field: impl Into<String>, value: impl Into<String>) -> Result<Self> {
        self.form.metadata.entry(field.into()).or_default().insert(value.into());
        self.checked()
    }

    /// Passes only events for which the closure is true as well.
    ///
    /// A closure cannot be sent: it is applied on this side, to what is pushed and to what was pulled. The
    /// name stands for it in the fingerprint, so change the name when the closure changes.
    ///
    /// # Errors
    /// `Invalid` when the name is empty.
    pub fn with_closure(
        mut self,
        name: impl Into<String>,
        matches: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = name.into();
        if name.is_empty() {
            return Err(Error::invalid("a closure filter needs a name, by which its checkpoints are kept"));
        }
        self.closure = Some(Closure { name, matches: Arc::new(matches) });
        Ok(self)
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.closure.is_none() && self.form == Form::default()
    }

    /// Whether this event passes.
    pub fn matches(&self, event: &Event) -> bool {
        self.form.matches(event)
            && self.closure.as_ref().is_none_or(|closure| event.is_derived() || (closure.matches)(event))
    }

    /// A name for this filter that is the same in every process: `all`, or 16 hex digits. Checkpoints are kept
    /// under it.
    pub fn fingerprint(&self) -> String {
        if self.is_empty() {
            return "all".to_owned();
        }
        let mut hash = Sha256::new();
        let form = serde_json::to_vec(&self.form).unwrap_or_default();
        hash.update((form.len() as u64).to_be_bytes());
        hash.update(form);
        hash.update(self.closure.as_ref().map_or("", |closure| &closure.name));
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn checked(self) -> Result<Self> {
        let form = &self.form;
        let values: usize = form.metadata.values().map(BTreeSet::len).sum();
        if form.types.len() + form.aggregates.len() + form.aggregate_prefixes.len() + values
            > Self::MAX_CRITERIA
        {
            return Err(Error::too_large(format!(
                "a filter has at most {} criteria; use a prefix or a metadata field instead",
                Self::MAX_CRITERIA
            )));
        }
        Ok(self)
    }
}

impl Form {
    fn matches(&self, event: &Event) -> bool {
        let id = &event.aggregate_id;
        let any_aggregate = self.aggregates.is_empty() && self.aggregate_prefixes.is_empty();
        let aggregate = any_aggregate
            || self.aggregates.contains(id)
            || self.aggregate_prefixes.iter().any(|prefix| id.as_str().starts_with(prefix.as_str()));
        if !aggregate || event.is_derived() {
            return aggregate;
        }
        (self.types.is_empty() || self.types.contains(&event.event_type))
            && self.metadata.iter().all(|(field, values)| {
                event.metadata.field(field).is_some_and(|value| values.contains(&value))
            })
    }
}

impl TryFrom<Form> for Filter {
    type Error = Error;

    fn try_from(form: Form) -> Result<Self> {
        Filter { form, closure: None }.checked()
    }
}

impl From<Filter> for Form {
    fn from(filter: Filter) -> Form {
        filter.form
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.closure.as_ref().map(|closure| &closure.name);
        f.debug_struct("Filter").field("form", &self.form).field("closure", &name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VectorClock;
    use crate::data::{Data, Metadata};
    use crate::event::NewEvent;
    use crate::ids::EventId;
    use crate::timestamp::Timestamp;

    fn event(event_type: &str, aggregate: &str, metadata: &str) -> Event {
        let new = NewEvent::with_data(event_type, aggregate, Data::json("1").expect("valid")).expect("valid");
        let dot = crate::clock::Dot::new(crate::ids::NodeId::new("a").expect("valid"), 1);
        new.with_metadata(Metadata::json(metadata).expect("valid")).stamped(
            EventId::new("e").expect("valid"),
            Some(dot),
            VectorClock::new(),
            Timestamp::ZERO,
        )
    }

    #[test]
    fn kinds_are_joined_by_and_and_values_by_or() -> Result<()> {
        let filter = Filter::new()
            .with_type("A")?
            .with_type("B")?
            .with_aggregate_prefix("note-")?
            .with_aggregate("x")?
            .with_metadata("tenant", "1")?;
        assert!(filter.matches(&event("A", "note-1", r#"{"tenant":"1"}"#)));
        assert!(filter.matches(&event("B", "x", r#"{"tenant":1}"#)));
        assert!(!filter.matches(&event("C", "x", r#"{"tenant":1}"#)));
        assert!(!filter.matches(&event("A", "y", r#"{"tenant":1}"#)));
        assert!(!filter.matches(&event("A", "x", "{}")));
        let mut resolution = event("other", "x", "{}");
        resolution.dot = None;
        assert!(filter.matches(&resolution));
        Ok(())
    }

    #[test]
    fn fingerprints_are_stable_and_tell_filters_apart() -> Result<()> {
        assert_eq!(Filter::new().fingerprint(), "all");
        let one = Filter::new().with_type("A")?.with_type("B")?;
        let same = Filter::new().with_type("B")?.with_type("A")?;
        assert_eq!(one.fingerprint(), same.fingerprint());
        assert_eq!(one.fingerprint(), "723ce8b200c1138d");
        let named = one.clone().with_closure("big", |event| event.size() > 100)?;
        assert_ne!(named.fingerprint(), one.fingerprint());
        assert!(Filter::new().with_closure("", |_| true).is_err());
        Ok(())
    }

    #[test]
    fn json_round_trips_and_is_limited() -> Result<()> {
        let filter = Filter::new().with_type("A")?.with_metadata("k", "v")?;
        let text = serde_json::to_string(&filter).expect("encodes");
        assert_eq!(text, r#"{"types":["A"],"metadata":{"k":["v"]}}"#);
        let back: Filter = serde_json::from_str(&text).expect("decodes");
        assert_eq!(back.fingerprint(), filter.fingerprint());
        let many: Vec<String> = (0..=Filter::MAX_CRITERIA).map(|n| format!("\"t{n}\"")).collect();
        let text = format!("{{\"types\":[{}]}}", many.join(","));
        assert!(serde_json::from_str::<Filter>(&text).is_err());
        assert!(serde_json::from_str::<Filter>(r#"{"typo":[]}"#).is_err());
        Ok(())
    }
}
