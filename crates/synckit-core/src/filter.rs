//! Filters: which events a sync covers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{AggregateId, EventType};

/// The events that a sync covers, selected by type, aggregate and metadata.
///
/// Criteria of different kinds must all match; of several criteria of one kind, one must match. An empty filter passes
/// everything. Resolutions have neither type nor metadata of their own and are matched by their aggregate alone, so
/// that a decision travels with what it decides.
///
/// ```
/// use synckit_core::Filter;
/// # fn main() -> synckit_core::Result<()> {
/// let filter = Filter::new().with_type("NoteEdited")?.with_aggregate_prefix("note-")?;
/// assert_ne!(filter.fingerprint(), Filter::new().fingerprint());
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Filter(Form);

/// A filter whose criteria have not been counted yet.
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

impl Filter {
    /// The maximum number of criteria in one filter.
    pub const MAX_CRITERIA: usize = 1_000;

    /// Creates a filter that passes everything.
    pub fn new() -> Self {
        Filter::default()
    }

    /// Passes events of this type. Types added by several calls are alternatives.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` for a bad name, or for more than 1,000 criteria.
    pub fn with_type(mut self, event_type: impl AsRef<str>) -> Result<Self> {
        self.0.types.insert(EventType::new(event_type)?);
        self.checked()
    }

    /// Passes events of this aggregate. Aggregates added by several calls are alternatives.
    ///
    /// # Errors
    /// Same as [`Filter::with_type`].
    pub fn with_aggregate(mut self, aggregate: impl AsRef<str>) -> Result<Self> {
        self.0.aggregates.insert(AggregateId::new(aggregate)?);
        self.checked()
    }

    /// Passes events whose aggregate id has this prefix. Prefixes and ids added by several calls are alternatives.
    ///
    /// # Errors
    /// Same as [`Filter::with_type`].
    pub fn with_aggregate_prefix(mut self, prefix: impl AsRef<str>) -> Result<Self> {
        self.0.aggregate_prefixes.insert(AggregateId::new(prefix)?);
        self.checked()
    }

    /// Passes events whose metadata field equals this text: the content of a string, or the JSON text of anything else.
    /// Several values of one field are alternatives.
    ///
    /// # Errors
    /// Same as [`Filter::with_type`].
    pub fn with_metadata(mut self, field: impl Into<String>, value: impl Into<String>) -> Result<Self> {
        self.0.metadata.entry(field.into()).or_default().insert(value.into());
        self.checked()
    }

    /// Returns whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.0 == Form::default()
    }

    /// Returns whether this event passes.
    pub fn matches(&self, event: &Event) -> bool {
        self.0.matches(event)
    }

    /// Returns a name for this filter that is the same in every process: `all`, or 16 hex digits. Checkpoints are
    /// stored under it.
    pub fn fingerprint(&self) -> String {
        if self.is_empty() {
            return "all".to_owned();
        }
        let form = serde_json::to_vec(&self.0).unwrap_or_default();
        let hash = Sha256::new_with_prefix((form.len() as u64).to_be_bytes()).chain_update(form);
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn checked(self) -> Result<Self> {
        let form = &self.0;
        let values: usize = form.metadata.values().map(BTreeSet::len).sum();
        let count = form.types.len() + form.aggregates.len() + form.aggregate_prefixes.len() + values;
        if count > Self::MAX_CRITERIA {
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
        Filter(form).checked()
    }
}

impl From<Filter> for Form {
    fn from(filter: Filter) -> Form {
        filter.0
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
