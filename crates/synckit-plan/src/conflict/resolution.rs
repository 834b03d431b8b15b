//! The decision on a conflict, as written into an event. `check.rs` says which ones are refused.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use synckit_core::{
    AggregateId, Data, Dot, Error, Event, EventId, EventType, Metadata, NewEvent, Result, Timestamp,
    VectorClock,
};

use crate::conflict::form;
use crate::conflict::side::{Side, factor};

/// The type of every resolution event. Types with the prefix `synckit.` cannot be recorded.
pub const RESOLUTION_TYPE: &str = "synckit.resolution";

/// A decision on a conflict: the JSON data of a resolution event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// What all sides had seen: the meet of their clocks.
    #[serde(default, skip_serializing_if = "VectorClock::is_empty")]
    pub base: VectorClock,
    /// The plain events on top of the branches, sorted by dot: none has seen another.
    #[serde(deserialize_with = "form::sides")]
    pub sides: Vec<Side>,
    /// Which side stands.
    pub decision: Decision,
    /// The name of the resolver, or of the person who decided.
    pub by: String,
    /// The rule that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// 0 for a resolver. For a person, one more than the decisions over the same heads that the person saw. The id
    /// begins with the round, so that the later decision is later in canonical order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u16,
    /// The decision of the round before, from round 2 on. A store refuses a decision that overrides one it does not
    /// hold, so a late round cannot be made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<EventId>,
}

fn is_zero(round: &u16) -> bool {
    *round == 0
}

/// Which side of a conflict stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This event and everything it had seen.
    Keep(Kept),
    /// All sides.
    KeepAll,
    /// This content, in place of all sides.
    Merge(NewEvent),
}

/// The event that a decision keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// One of the sides.
    Side(Dot),
    /// A plain event that a side had seen, with its clock: what an earlier resolution on top of a branch keeps.
    Seen(Dot, VectorClock),
    /// A resolution on top of a branch that keeps all sides or merges, with its clock.
    Resolution(EventId, VectorClock),
}

impl Kept {
    /// Returns whether this names the event.
    pub fn is(&self, event: &Event) -> bool {
        match self {
            Kept::Side(dot) | Kept::Seen(dot, _) => event.dot.as_ref() == Some(dot),
            Kept::Resolution(id, _) => event.is_resolution() && event.id == *id,
        }
    }
}

impl fmt::Display for Kept {
    /// Writes the dot, or the id of a resolution.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Side(dot) | Kept::Seen(dot, _) => dot.fmt(f),
            Kept::Resolution(id, _) => id.fmt(f),
        }
    }
}

impl Resolution {
    /// Creates the decision of a resolver on these sides, sorted by dot, that gives neither a rule nor a reason.
    ///
    /// ```
    /// use synckit_core::{Dot, NodeId, Timestamp, VectorClock};
    /// use synckit_plan::{Decision, Resolution, Side};
    /// # fn main() -> synckit_core::Result<()> {
    /// let side = |node: &str| Ok(Side { dot: Dot::new(NodeId::new(node)?, 1), above: VectorClock::new() });
    /// let sides = ["a", "b"].into_iter().map(side).collect::<synckit_core::Result<_>>()?;
    /// let resolution = Resolution::new(VectorClock::new(), sides, Decision::KeepAll, "example");
    /// let event = resolution.into_event("note-1".parse()?, Timestamp::from_millis(5))?;
    /// assert_eq!(event.clock.len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn new(base: VectorClock, sides: Vec<Side>, decision: Decision, by: impl Into<String>) -> Self {
        Resolution {
            base,
            sides,
            decision,
            by: by.into(),
            rule: None,
            reason: None,
            round: 0,
            overrides: None,
        }
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

    /// Returns the decision that this event overrides, if it is a resolution of round 2 or more that can be read.
    pub fn overridden(event: &Event) -> Option<EventId> {
        let late = event.is_resolution() && round_of(&event.id).is_none_or(|round| round > 1);
        late.then(|| Resolution::read(event).ok()?.overrides).flatten()
    }

    /// Returns the side with this dot.
    pub fn side(&self, dot: &Dot) -> Option<&Side> {
        let at = self.sides.binary_search_by(|side| side.dot.cmp(dot)).ok()?;
        self.sides.get(at)
    }

    /// Returns what the sides have seen together: the clock of the resolution event.
    ///
    /// # Errors
    /// `TooLarge` above 1,000 nodes.
    pub fn clock(&self) -> Result<VectorClock> {
        let mut clock = self.base.clone();
        for side in &self.sides {
            clock.merge(&side.above)?;
            clock.observe(&side.dot)?;
        }
        Ok(clock)
    }

    /// Creates the resolution event. Its clock is what the sides have seen together, and its id is the hash of
    /// everything it says.
    ///
    /// # Errors
    /// `TooLarge` above 1,000 nodes.
    pub fn into_event(self, aggregate: AggregateId, time: Timestamp) -> Result<Event> {
        let (data, clock) = (Data::of(&self)?, self.clock()?);
        Ok(Event {
            id: id(self.round, &aggregate, time, &clock, &data),
            event_type: EventType::new(RESOLUTION_TYPE)?,
            aggregate_id: aggregate,
            data,
            metadata: Metadata::default(),
            dot: None,
            clock,
            time,
        })
    }

    /// Returns the id of an event with this content.
    pub(super) fn id_of(&self, event: &Event) -> EventId {
        id(self.round, &event.aggregate_id, event.time, &event.clock, &event.data)
    }

    /// Returns the same decision where some of the events that it names have other stamps. `event` returns the new dot
    /// and clock of a plain event with this dot and clock, and `resolution` the new id and clock of an earlier
    /// resolution; `None` for one that keeps its stamp. The sides are sorted again, and the base is recomputed from what
    /// all had seen.
    ///
    /// # Errors
    /// Those of `event`, and `TooLarge` when a side has more than 1,000 nodes.
    pub fn map_stamps(
        &self,
        event: impl Fn(&Dot, &VectorClock) -> Result<Option<(Dot, VectorClock)>>,
        resolution: impl Fn(&EventId) -> Option<(EventId, VectorClock)>,
    ) -> Result<Resolution> {
        let new = |dot: &Dot, clock: VectorClock| {
            Result::Ok(event(dot, &clock)?.unwrap_or_else(|| (dot.clone(), clock)))
        };
        let side = |at: usize| new(&self.sides[at].dot, self.sides[at].clock(&self.base)?);
        let dots = (0..self.sides.len()).map(|at| Ok(side(at)?.0)).collect::<Result<Vec<Dot>>>()?;
        let (base, sides) = factor(&dots, |at| Ok(Cow::Owned(side(at)?.1)))?;
        let decision = match &self.decision {
            Decision::Keep(Kept::Side(kept)) => {
                let at = self.sides.iter().position(|side| side.dot == *kept);
                Decision::Keep(Kept::Side(at.map_or_else(|| kept.clone(), |at| dots[at].clone())))
            }
            Decision::Keep(Kept::Seen(kept, own)) => {
                let (kept, own) = new(kept, own.clone())?;
                Decision::Keep(Kept::Seen(kept, own))
            }
            Decision::Keep(Kept::Resolution(id, own)) => {
                let (id, own) = resolution(id).unwrap_or_else(|| (id.clone(), own.clone()));
                Decision::Keep(Kept::Resolution(id, own))
            }
            decision @ (Decision::KeepAll | Decision::Merge(_)) => decision.clone(),
        };
        let (by, rule, reason) = (self.by.clone(), self.rule.clone(), self.reason.clone());
        let overrides = self.overrides.as_ref();
        let overrides = overrides.map(|id| resolution(id).map_or_else(|| id.clone(), |(id, _)| id));
        Ok(Resolution { base, sides, decision, by, rule, reason, round: self.round, overrides })
    }
}

/// Returns the round that the id of a resolution begins with.
pub(super) fn round_of(id: &EventId) -> Option<u16> {
    u16::from_str_radix(id.as_str().get(..4)?, 16).ok()
}

/// Returns the id of a resolution event: a UUIDv8 of the round and 14 bytes of the SHA-256 over everything else it
/// says, each part preceded by its length.
fn id(round: u16, aggregate: &AggregateId, time: Timestamp, clock: &VectorClock, data: &Data) -> EventId {
    let mut binary = Vec::new();
    clock.encode(&mut binary);
    let time = time.to_bits().to_be_bytes();
    let mut hash = Sha256::new();
    for part in [b"synckit resolution 2", aggregate.as_bytes(), &time, &binary, data.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&round.to_be_bytes());
    bytes[2..].copy_from_slice(&hash.finalize()[..14]);
    EventId::uuid_v8(bytes)
}
