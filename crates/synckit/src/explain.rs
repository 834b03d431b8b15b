//! Why an event stands or not, and all decisions that were made.

use std::io;

use serde::Serialize;
use synckit_core::{
    AggregateId, Dot, Error, ErrorKind, Event, EventId, EventStore, Needs, Position, Query, Result, Timestamp,
};
use synckit_plan::{Decision, Entry, History, Kept, Resolution, Standing};

/// Why an event stands or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The id of the event.
    pub event: EventId,
    /// Its aggregate.
    pub aggregate: AggregateId,
    /// The author, and the author's counter for this event; `None` for a resolution.
    pub dot: Option<Dot>,
    /// The hybrid logical time.
    pub time: Timestamp,
    /// Whether it stands.
    pub stands: bool,
    /// The latest events that its author had seen. Everything before them was seen too.
    pub on_top_of: Vec<EventId>,
    /// The number of events of the aggregate that its author had seen.
    pub seen: usize,
    /// The events that had not seen it, and that its author had not seen.
    pub concurrent_with: Vec<EventId>,
    /// The decision that superseded it, or that made it stand against concurrent events. For a resolution, its own
    /// decision.
    pub decided: Option<AuditEntry>,
    /// All of this in one sentence.
    pub because: String,
}

impl Explanation {
    /// Explains an event by the history of its aggregate.
    ///
    /// # Errors
    /// `NotFound` when the history does not hold the event, `Corrupt` when a resolution cannot be read.
    pub fn of(history: &History, id: &EventId) -> Result<Explanation> {
        let entries = history.entries();
        let entry = entries.iter().find(|entry| entry.event.id == *id);
        let entry = entry.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the history does not hold this event").with("event", id)
        })?;
        let event = &entry.event;
        let others = || entries.iter().map(|entry| &entry.event).filter(|other| other.id != *id);
        let seen: Vec<&Event> = others().filter(|other| event.has_seen(other)).collect();
        // Most often the last ones have seen the others.
        let on_top_of = seen.iter().filter(|one| !seen.iter().rev().any(|other| other.has_seen(one)));
        let concurrent = others().filter(|other| !event.has_seen(other) && !other.has_seen(event));
        let concurrent: Vec<&Event> = concurrent.collect();
        let decided = decision_on(entries, entry, &concurrent)?;
        let concurrent_with: Vec<EventId> = concurrent.iter().map(|other| other.id.clone()).collect();
        Ok(Explanation {
            event: event.id.clone(),
            aggregate: event.aggregate_id.clone(),
            dot: event.dot.clone(),
            time: event.time,
            stands: entry.standing == Standing::Live,
            on_top_of: on_top_of.map(|event| event.id.clone()).collect(),
            seen: seen.len(),
            because: because(entry, &concurrent_with, decided.as_ref()),
            concurrent_with,
            decided,
        })
    }
}

/// Returns the resolution that says most about an entry.
fn decision_on(entries: &[Entry], entry: &Entry, concurrent: &[&Event]) -> Result<Option<AuditEntry>> {
    let by = match &entry.standing {
        Standing::Superseded { by } => entries.iter().find(|entry| entry.event.id == *by),
        _ if entry.event.is_resolution() => Some(entry),
        // The first decision that settled it against a concurrent event.
        _ if !concurrent.is_empty() => {
            let covers = |other: &&Entry| {
                let covers_one = || concurrent.iter().any(|one| other.event.has_seen(one));
                other.event.is_resolution() && other.event.has_seen(&entry.event) && covers_one()
            };
            entries.iter().find(covers)
        }
        _ => None,
    };
    let named = |dot: &Dot| {
        let named = entries.iter().find(|entry| entry.event.dot.as_ref() == Some(dot));
        named.map(|entry| entry.event.id.clone())
    };
    by.map(|entry| AuditEntry::of(&entry.event, None, named)).transpose()
}

fn because(entry: &Entry, concurrent: &[EventId], decided: Option<&AuditEntry>) -> String {
    let decision = decided.map(AuditEntry::to_string);
    match (&entry.standing, decision) {
        (Standing::Superseded { .. }, Some(decision)) => format!("it does not stand: {decision}"),
        (Standing::Superseded { by }, None) => format!("it does not stand: {by} has superseded it"),
        (Standing::Resolution, decision) => {
            format!("it says which events stand: {}", decision.unwrap_or_default())
        }
        (Standing::Live, Some(decision)) => format!("it stands: {decision}"),
        (Standing::Live, None) if concurrent.is_empty() => {
            "it stands: nothing was recorded concurrently".to_owned()
        }
        (Standing::Live, None) => {
            "it stands beside the events it is concurrent with: nobody has decided, or somebody recorded on top of all"
                .to_owned()
        }
    }
}

/// A decision on a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// The position of the resolution in the log, if it was read from a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The id of the resolution.
    pub resolution: EventId,
    /// The aggregate.
    pub aggregate: AggregateId,
    /// The hybrid logical time: one tick after the latest of the settled events.
    pub time: Timestamp,
    /// The kind of decision: `keep`, `keep_all` or `merge`.
    pub decision: &'static str,
    /// The event that was kept, if it is in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<EventId>,
    /// The dot of the event that was kept; `None` if that is an earlier resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_dot: Option<Dot>,
    /// The plain events on top of the sides.
    pub settled: Vec<Dot>,
    /// The resolver, or the person, who decided.
    pub by: String,
    /// Whether a person decided.
    pub by_person: bool,
    /// The rule that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AuditEntry {
    /// Reads the decision that a resolution carries. `named` looks up the event with a dot.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn of(
        event: &Event,
        position: Option<Position>,
        named: impl Fn(&Dot) -> Option<EventId>,
    ) -> Result<Self> {
        Ok(AuditEntry::made(event, Resolution::read(event)?, position, named))
    }

    fn made(
        event: &Event,
        resolution: Resolution,
        position: Option<Position>,
        named: impl Fn(&Dot) -> Option<EventId>,
    ) -> Self {
        let kept_dot = kept_dot(&resolution).cloned();
        let Resolution { sides, decision, by, rule, reason, round, .. } = resolution;
        let (decision, kept) = match decision {
            Decision::Keep(Kept::Resolution(id, _)) => ("keep", Some(id)),
            Decision::Keep(_) => ("keep", kept_dot.as_ref().and_then(named)),
            Decision::KeepAll => ("keep_all", None),
            Decision::Merge(_) => ("merge", None),
        };
        AuditEntry {
            position,
            resolution: event.id.clone(),
            aggregate: event.aggregate_id.clone(),
            time: event.time,
            decision,
            kept,
            kept_dot,
            settled: sides.into_iter().map(|side| side.dot).collect(),
            by,
            by_person: round > 0,
            rule,
            reason,
        }
    }
}

/// Returns the dot of the plain event that a resolution keeps.
fn kept_dot(resolution: &Resolution) -> Option<&Dot> {
    match &resolution.decision {
        Decision::Keep(Kept::Side(dot) | Kept::Seen(dot, _)) => Some(dot),
        _ => None,
    }
}

impl std::fmt::Display for AuditEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.by)?;
        if let Some(rule) = &self.rule {
            write!(f, " (rule {rule})")?;
        }
        match (self.decision, &self.kept, &self.kept_dot) {
            ("keep", Some(kept), _) => write!(f, " kept {kept}")?,
            ("keep", None, Some(dot)) => write!(f, " kept {dot}, which is not held here")?,
            ("keep_all", ..) => f.write_str(" kept all sides")?,
            _ => f.write_str(" merged all sides into one event")?,
        }
        match &self.reason {
            Some(reason) => write!(f, ", because: {reason}"),
            None => Ok(()),
        }
    }
}

/// A page of the decisions in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The decisions, in log order.
    pub entries: Vec<AuditEntry>,
    /// The position up to which the log was scanned; the next page starts there.
    pub scanned_to: Position,
    /// Whether the log continues.
    pub more: bool,
}

impl Audit {
    pub(crate) async fn of(store: &impl EventStore, after: Position, events: usize) -> Result<Audit> {
        let page = store.read(Query::after(after).at_most(events, 4 << 20)).await?;
        let mut decided = Vec::new();
        for stored in page.events.iter().filter(|stored| stored.event.is_resolution()) {
            decided.push((stored, Resolution::read(&stored.event)?));
        }
        let kept: Vec<Dot> =
            decided.iter().filter_map(|(_, resolution)| kept_dot(resolution).cloned()).collect();
        let named = match kept.is_empty() {
            true => Default::default(),
            false => store.facts(Needs { dots: kept, ..Needs::default() }).await?.dots,
        };
        let entries = decided.into_iter().map(|(stored, resolution)| {
            AuditEntry::made(&stored.event, resolution, Some(stored.position), |dot| named.get(dot).cloned())
        });
        Ok(Audit { entries: entries.collect(), scanned_to: page.scanned_to, more: page.more })
    }

    /// Writes the page as JSON lines, one decision per line.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_json_lines(&self, mut out: impl io::Write) -> io::Result<()> {
        for entry in &self.entries {
            serde_json::to_writer(&mut out, entry)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}
