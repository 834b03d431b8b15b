//! The decision on a conflict, as it is written into an event.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::VectorClock;
use crate::data::{Data, Metadata};
use crate::error::{Error, Result};
use crate::event::{Event, NewEvent};
use crate::ids::{AggregateId, EventId, EventType};
use crate::timestamp::Timestamp;

/// The type of every resolution event. Types that begin with `synckit.` cannot be recorded.
pub const RESOLUTION_TYPE: &str = "synckit.resolution";

/// A decision on a conflict: the JSON data of a resolution event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// The plain events on top of the branches, sorted by id: none has seen another.
    pub settles: Vec<Settled>,
    /// Which side stands.
    pub decision: Decision,
    /// The name of the resolver, or who decided.
    pub by: String,
    /// The rule that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// 0 for a resolver; a person's decision is one above those over the same heads that the person saw. The
    /// id begins with it, so that the later decision is the later in canonical order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u16,
}

fn is_zero(round: &u16) -> bool {
    *round == 0
}

/// An event that a resolution names, with its clock, so that what it had seen is known even where a filter
/// left it out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// The event.
    pub id: EventId,
    /// Its clock.
    pub clock: VectorClock,
}

impl Settled {
    /// How a resolution names this event.
    pub fn of(event: &Event) -> Self {
        Settled { id: event.id.clone(), clock: event.clock.clone() }
    }
}

/// Which side of a conflict stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This event and what it had seen.
    Keep(Settled),
    /// All sides.
    KeepAll,
    /// This content, in the place of all sides.
    Merge(NewEvent),
}

impl Resolution {
    /// The decision without the plain events that another of them has seen, the others sorted by id.
    pub(crate) fn without_seen(mut self) -> Self {
        let settles = &mut self.settles;
        settles.sort_by(|left, right| left.id.cmp(&right.id));
        settles.dedup_by(|left, right| left.id == right.id);
        let seen = |event: &Settled| {
            settles.iter().any(|other| other.id != event.id && event.clock.is_covered_by(&other.clock))
        };
        let mut seen = settles.iter().map(seen).collect::<Vec<_>>().into_iter();
        settles.retain(|_| seen.next() == Some(false));
        self
    }

    /// Reads the decision from a resolution event.
    ///
    /// # Errors
    /// `Corrupt` when the event is not a resolution.
    pub fn read(event: &Event) -> Result<Self> {
        let bad = || Error::corrupt("a resolution cannot be read").with("event", &event.id);
        if !event.is_resolution() || event.event_type.as_str() != RESOLUTION_TYPE {
            return Err(bad());
        }
        event.data.parse().map_err(|error| bad().with_source(error))
    }

    /// Reads a resolution that came from elsewhere and checks that its id is the hash of what it says.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read, `Invalid` when the id is another.
    pub fn check(event: &Event) -> Result<()> {
        let resolution = Resolution::read(event)?;
        let covered = |settled: &Settled| settled.clock.is_covered_by(&event.clock);
        if resolution.id() != event.id
            || resolution.settles.is_empty()
            || !resolution.settles.iter().all(covered)
        {
            return Err(Error::invalid("the id of a resolution is not the hash of what it says")
                .with("event", &event.id));
        }
        Ok(())
    }

    /// The id of the resolution event: a UUIDv8 of the round and the SHA-256 over the ids it settles, the
    /// decision, who decided and why. Clocks and times follow from these.
    pub fn id(&self) -> EventId {
        let mut hash = Sha256::new();
        let mut put = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        put("synckit resolution 1");
        put(&self.by);
        for why in [&self.rule, &self.reason] {
            put(why.as_ref().map_or("0", |_| "1"));
            put(why.as_deref().unwrap_or_default());
        }
        match &self.decision {
            Decision::Keep(kept) => {
                put("keep");
                put(kept.id.as_str());
            }
            Decision::KeepAll => put("keep_all"),
            Decision::Merge(content) => {
                put("merge");
                put(&serde_json::to_string(content).unwrap_or_default());
            }
        }
        self.settles.iter().for_each(|settled| put(settled.id.as_str()));
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&self.round.to_be_bytes());
        bytes[2..].copy_from_slice(&hash.finalize()[..14]);
        EventId::uuid_v8(bytes)
    }

    /// The resolution event.
    pub(crate) fn into_event(
        self,
        aggregate: AggregateId,
        clock: VectorClock,
        time: Timestamp,
    ) -> Result<Event> {
        Ok(Event {
            id: self.id(),
            event_type: EventType::new(RESOLUTION_TYPE)?,
            aggregate_id: aggregate,
            data: Data::of(&self)?,
            metadata: Metadata::default(),
            dot: None,
            clock,
            time,
        })
    }
}
