//! Events of older programs, read as those of this one.
//!
//! The log keeps every event as its author wrote it. Here is the only place where it is read in another form, for whoever
//! reads its data: views, histories, what is true now, and resolvers. Ids, stamps and what stands do not depend on it.

// - this file: the form of one event
// - `reading.rs`: conflicts, and what is true now, in that form; a resolver that gets them so

mod reading;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use synckit_core::{Data, Error, ErrorKind, Event, EventType, Metadata, NewEvent, Result};
use synckit_plan::{Answer, Decision, RESOLUTION_TYPE, Resolution, Ruling};

pub(crate) use reading::Reading;

type Upcast = Arc<dyn Fn(Data) -> Result<Data> + Send + Sync>;

/// The steps from one version of an event type to the next.
#[derive(Clone, Default)]
pub(crate) struct Upcasters(HashMap<EventType, BTreeMap<u32, Upcast>>);

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: BTreeMap<&EventType, u32> = self.0.keys().map(|of| (of, self.latest(of))).collect();
        f.debug_map().entries(versions).finish()
    }
}

/// The field of the metadata that says in which version of its type the data of an event is. Absent means 1.
pub const SCHEMA: &str = "schema";

impl Upcasters {
    /// Adds the step from a version of a type to the next.
    pub(crate) fn add(&mut self, event_type: EventType, from: u32, upcast: Upcast) {
        self.0.entry(event_type).or_default().insert(from, upcast);
    }

    /// Returns the version in which this program writes a type: that to which the last step leads.
    fn latest(&self, event_type: &EventType) -> u32 {
        let last = self.0.get(event_type).and_then(|steps| steps.keys().next_back());
        last.map_or(1, |from| from.saturating_add(1))
    }

    /// Says in the metadata of an event in which version it is, unless it says so already or the version is the first.
    pub(crate) fn label(&self, new: NewEvent) -> Result<NewEvent> {
        let latest = self.latest(&new.event_type);
        if latest == 1 || new.metadata.field(SCHEMA).is_some() {
            return Ok(new);
        }
        let metadata = in_version(&new.metadata, latest)?;
        Ok(new.with_metadata(metadata))
    }

    /// Says so of the event that a decision merges into.
    pub(crate) fn label_merge(&self, ruling: Ruling) -> Result<Ruling> {
        Ok(match ruling.answer {
            Answer::Merge(content) => Ruling { answer: Answer::Merge(self.label(content)?), ..ruling },
            _ => ruling,
        })
    }

    /// Returns an event as this program would have written it. In a resolution, that is the event that it merges into.
    ///
    /// # Errors
    /// `Unsupported` for one of a newer program; `Invalid` when it does not say its version in a number, or no steps lead
    /// from there; `Corrupt` for a resolution that cannot be read; those of a step.
    pub(crate) fn read<'e>(&self, event: &'e Event) -> Result<Cow<'e, Event>> {
        let read = match event.event_type.as_str() {
            // Without steps, there is nothing to change.
            RESOLUTION_TYPE if self.0.is_empty() => None,
            RESOLUTION_TYPE => self.of_merge(event)?.map(|data| (data, event.metadata.clone())),
            _ => self.latest_form(&event.event_type, &event.data, &event.metadata)?,
        };
        Ok(match read {
            None => Cow::Borrowed(event),
            Some((data, metadata)) => Cow::Owned(Event { data, metadata, ..event.clone() }),
        })
    }

    /// Returns an event as this program would have written it, or as it is if it cannot be read.
    pub(crate) fn shown(&self, event: Event) -> Event {
        let read = match self.read(&event) {
            Ok(Cow::Owned(read)) => Some(read),
            _ => None,
        };
        read.unwrap_or(event)
    }

    /// Returns the data of a resolution that merges into an event of an older program.
    fn of_merge(&self, event: &Event) -> Result<Option<Data>> {
        let mut resolution = Resolution::read(event)?;
        let Decision::Merge(content) = &mut resolution.decision else { return Ok(None) };
        let read = self.latest_form(&content.event_type, &content.data, &content.metadata)?;
        let Some((data, metadata)) = read else { return Ok(None) };
        (content.data, content.metadata) = (data, metadata);
        Data::of(&resolution).map(Some)
    }

    /// Returns data and metadata in the latest version of the type; `None` if they are in it.
    fn latest_form(
        &self,
        event_type: &EventType,
        data: &Data,
        metadata: &Metadata,
    ) -> Result<Option<(Data, Metadata)>> {
        let (latest, mut version) = (self.latest(event_type), version(metadata)?);
        if version == latest {
            return Ok(None);
        }
        if version > latest {
            let message = format!("an event has version {version} of its type; this program knows {latest}");
            return Err(Error::new(ErrorKind::Unsupported, message).with("type", event_type));
        }
        let mut data = data.clone();
        while version < latest {
            let step = self.0.get(event_type).and_then(|steps| steps.get(&version)).ok_or_else(|| {
                let message = format!("no upcaster leads from version {version} of the type; add one");
                Error::invalid(message).with("type", event_type)
            })?;
            data = step(data).map_err(|error| error.with("type", event_type))?;
            version += 1;
        }
        Ok(Some((data, in_version(metadata, latest)?)))
    }
}

fn version(metadata: &Metadata) -> Result<u32> {
    if metadata.is_empty() {
        return Ok(1);
    }
    let Some(version) = metadata.field(SCHEMA) else { return Ok(1) };
    version.parse().map_err(|error| {
        Error::invalid("the version of an event is not a number").with("version", version).with_source(error)
    })
}

/// Returns metadata that says this version.
fn in_version(metadata: &Metadata, version: u32) -> Result<Metadata> {
    let mut fields: BTreeMap<String, Box<RawValue>> = metadata.parse()?;
    let version = RawValue::from_string(version.to_string());
    let version = version.map_err(|error| Error::invalid("a number has no JSON form").with_source(error))?;
    fields.insert(SCHEMA.to_owned(), version);
    Metadata::of(&fields)
}

#[cfg(test)]
mod tests {
    use synckit_core::{EventId, Timestamp, VectorClock};

    use super::*;

    fn upcasters() -> Upcasters {
        let mut upcasters = Upcasters::default();
        let event_type = EventType::new("Edited").expect("valid");
        let wrap = |data: Data| Data::of(&[data.parse::<String>()?]);
        upcasters.add(event_type.clone(), 1, Arc::new(wrap));
        let join = |data: Data| Data::of(&data.parse::<Vec<String>>()?.join("+"));
        upcasters.add(event_type, 2, Arc::new(join));
        upcasters
    }

    fn stamped(new: NewEvent) -> Event {
        new.stamped(EventId::new("e").expect("valid"), None, VectorClock::new(), Timestamp::ZERO)
    }

    fn edited(data: &impl serde::Serialize, metadata: &str) -> NewEvent {
        let new = NewEvent::new("Edited", "x", data).expect("valid");
        new.with_metadata(Metadata::json(metadata).expect("valid"))
    }

    #[test]
    fn older_events_are_read_step_by_step_and_the_latest_as_they_are() {
        let upcasters = upcasters();
        for (event, data, metadata) in [
            (edited(&"a", "{}"), "\"a\"", "{\"schema\":3}"),
            (edited(&["a", "b"], "{\"schema\":2,\"n\":1.0}"), "\"a+b\"", "{\"n\":1.0,\"schema\":3}"),
            (edited(&"c", "{\"schema\": 3}"), "\"c\"", "{\"schema\": 3}"),
        ] {
            let event = stamped(event);
            let read = upcasters.read(&event).expect("reads");
            assert_eq!((read.data.as_json(), read.metadata.as_json()), (Some(data), metadata));
            assert_eq!(*upcasters.read(&read).expect("reads"), *read, "what was read is read as it is");
        }
        let other = stamped(NewEvent::new("Other", "x", &1).expect("valid"));
        assert_eq!(*upcasters.read(&other).expect("reads"), other);
    }

    #[test]
    fn events_of_newer_programs_and_versions_that_make_no_sense_are_errors() {
        let upcasters = upcasters();
        for (event, kind) in [
            (edited(&"a", "{\"schema\":4}"), "Unsupported"),
            (edited(&"a", "{\"schema\":\"two\"}"), "Invalid"),
            (edited(&"a", "{\"schema\":0}"), "Invalid"),
            (edited(&7, "{}"), "Invalid"),
        ] {
            let error = upcasters.read(&stamped(event)).expect_err("cannot be read");
            assert_eq!(format!("{:?}", error.kind()), kind, "{error}");
        }
    }

    #[test]
    fn new_events_say_their_version() {
        let upcasters = upcasters();
        for (before, after) in [
            ("{}", "{\"schema\":3}"),
            ("{ }", "{\"schema\":3}"),
            ("{\"by\":\"ann\"}", "{\"by\":\"ann\",\"schema\":3}"),
            ("{\"schema\":2}", "{\"schema\":2}"),
        ] {
            let labelled = upcasters.label(edited(&"a", before)).expect("fits");
            assert_eq!(labelled.metadata.as_json(), after);
        }
        let other = NewEvent::new("Other", "x", &1).expect("valid");
        assert_eq!(upcasters.label(other).expect("fits").metadata.as_json(), "{}");
    }
}
