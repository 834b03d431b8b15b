//! Events of older programs, read as those of this one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use synckit_core::{Data, Error, Event, EventType, Metadata, NewEvent, Result};

type Upcast = Arc<dyn Fn(Data) -> Result<Data> + Send + Sync>;

/// The steps from one version of an event type to the next.
#[derive(Clone, Default)]
pub(crate) struct Upcasters(HashMap<EventType, BTreeMap<u32, Upcast>>);

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
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
        let rest = new.metadata.as_json().trim_start_matches('{').trim_start();
        let comma = if rest.starts_with('}') { "" } else { "," };
        let metadata = Metadata::json(format!("{{\"{SCHEMA}\":{latest}{comma}{rest}"))?;
        Ok(new.with_metadata(metadata))
    }

    /// Returns an event as this program would have written it.
    ///
    /// # Errors
    /// `Unsupported` for one of a newer program; `Invalid` when it does not say its version in a number, or no steps lead
    /// from there; those of a step.
    pub(crate) fn read<'e>(&self, event: &'e Event) -> Result<Cow<'e, Event>> {
        let latest = self.latest(&event.event_type);
        let mut version = match event.metadata.is_empty() {
            true => 1,
            false => version(event)?,
        };
        if version == latest {
            return Ok(Cow::Borrowed(event));
        }
        if version > latest {
            let message = format!("the event has version {version} of its type; this program knows {latest}");
            return Err(Error::new(synckit_core::ErrorKind::Unsupported, message).with("event", &event.id));
        }
        let mut data = event.data.clone();
        while version < latest {
            let step =
                self.0.get(&event.event_type).and_then(|steps| steps.get(&version)).ok_or_else(|| {
                    let message = format!("no upcaster leads from version {version} of the type; add one");
                    Error::invalid(message).with("type", &event.event_type)
                })?;
            data = step(data).map_err(|error| error.with("event", &event.id))?;
            version += 1;
        }
        Ok(Cow::Owned(Event { data, ..event.clone() }))
    }
}

fn version(event: &Event) -> Result<u32> {
    let Some(version) = event.metadata.field(SCHEMA) else { return Ok(1) };
    version.parse().map_err(|error| {
        Error::invalid("the version of an event is not a number").with("event", &event.id).with_source(error)
    })
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
        for (event, data) in [
            (edited(&"a", "{}"), "\"a\""),
            (edited(&["a", "b"], "{\"schema\":2,\"by\":\"ann\"}"), "\"a+b\""),
            (edited(&"c", "{\"schema\":3}"), "\"c\""),
        ] {
            let event = stamped(event);
            let read = upcasters.read(&event).expect("reads");
            assert_eq!((read.data.as_json(), &read.metadata), (Some(data), &event.metadata));
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
            ("{\"by\":\"ann\"}", "{\"schema\":3,\"by\":\"ann\"}"),
            ("{\"schema\":2}", "{\"schema\":2}"),
        ] {
            let labelled = upcasters.label(edited(&"a", before)).expect("fits");
            assert_eq!(labelled.metadata.as_json(), after);
        }
        let other = NewEvent::new("Other", "x", &1).expect("valid");
        assert_eq!(upcasters.label(other).expect("fits").metadata.as_json(), "{}");
    }
}
