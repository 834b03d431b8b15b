//! What people do with conflicts: list them, look at them, settle them, and ask why.

use serde::Serialize;
use synckit_core::{
    AggregateId, Error, ErrorKind, Event, EventId, EventStore, Note, Position, RefusalCode, Result,
};
use synckit_plan::{Conflict, Heads, History, Ruling, StoreExt, notes};

use crate::explain::{Audit, Explanation};
use crate::replica::Replica;
use crate::replica::settle::ConflictNotice;
use crate::report::ConflictReport;

/// A conflict that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenConflict {
    /// The aggregate.
    pub aggregate: AggregateId,
    /// When it was found here, in Unix milliseconds.
    pub found_at: u64,
}

impl<S: EventStore> Replica<S> {
    /// The conflicts that are not settled, by aggregate. They are on record until they are, also across
    /// restarts.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a note cannot be read.
    pub async fn conflicts(&self) -> Result<Vec<OpenConflict>> {
        let notes = self.store().notes_under(notes::CONFLICTS).await?;
        notes.iter().map(open_conflict).collect()
    }

    /// Gives the listed conflicts to the resolver, without a sync: for a hub, to which others push. Each sync
    /// does it too.
    ///
    /// # Errors
    /// Those of the store. What was settled before is durable.
    pub async fn settle_listed(&self) -> Result<ConflictReport> {
        let mut report = ConflictReport::default();
        self.settle_all(&mut report).await.1?;
        Ok(report)
    }

    /// The conflict of an aggregate, with its base and all sides; `None` when it has none.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a resolution cannot be read.
    pub async fn conflict(&self, aggregate: &AggregateId) -> Result<Option<Conflict>> {
        Conflict::in_history(self.store().events_of(aggregate).await?)
    }

    /// The conflict that this resolution has settled, to be [settled](Replica::settle) otherwise. The
    /// decision has to be the one at the top of its aggregate: what was recorded on top of it has seen it and
    /// goes on from there.
    ///
    /// # Errors
    /// Those of the store; `NotFound` when the aggregate has no such resolution at its top, or a filter left
    /// out what it had settled.
    pub async fn settled_conflict(&self, aggregate: &AggregateId, resolution: &EventId) -> Result<Conflict> {
        let events = self.store().events_of(aggregate).await?;
        let absent = |message: &str| {
            Error::new(ErrorKind::NotFound, message)
                .with("aggregate", aggregate)
                .with("resolution", resolution)
        };
        let mut heads = Heads::default();
        events.iter().for_each(|event| heads.add(event));
        let top = events.iter().find(|event| event.id == *resolution && event.is_resolution());
        let Some(top) = top.filter(|event| heads.contains(&event.id)) else {
            return Err(absent("no such resolution is at the top of the aggregate; record an event instead"));
        };
        Conflict::decided_by(top, &events)?.ok_or_else(|| absent("what it settled is not held here"))
    }

    /// Settles a conflict as a person decides, whatever resolvers say of it. It can be done on any replica;
    /// where several people settle one conflict differently, all replicas end with one of the decisions.
    /// Answers the resolution, which is durable.
    ///
    /// What has come to the aggregate since the caller looked stays in conflict with the decision.
    ///
    /// # Errors
    /// `Invalid` when the answer is to leave it for review, keeps what no side stands for, or merges into
    /// another aggregate; `TooLarge` when the event is; and those of the store. Nothing has changed then.
    pub async fn settle(&self, conflict: &Conflict, decision: impl Into<Ruling>, by: &str) -> Result<Event> {
        let resolution = conflict.override_with(decision, by)?;
        let resolution = resolution.ok_or_else(|| {
            Error::invalid("to settle a conflict is to keep a side, to keep all or to merge; not to leave it")
        })?;
        let receive = self.receive(None, vec![resolution.clone()])?;
        let received = self.store().commit(receive).await?;
        if let Some(refused) = received.refused.into_iter().next() {
            let kind = match refused.code {
                RefusalCode::TooLarge => ErrorKind::TooLarge,
                _ => ErrorKind::Invalid,
            };
            return Err(Error::new(kind, refused.message)
                .with("aggregate", &conflict.aggregate_id)
                .at("engine", "settle"));
        }
        if let Some(hook) = &self.settings().conflict_hook {
            hook(&ConflictNotice::Settled { aggregate: &conflict.aggregate_id, resolution: &resolution });
        }
        Ok(resolution)
    }

    /// The events of an aggregate that no other has seen: what [`record_if`](Replica::record_if) can
    /// expect.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when the note cannot be read.
    pub async fn heads(&self, aggregate: &AggregateId) -> Result<Vec<EventId>> {
        let Some(note) = self.store().note(notes::heads(aggregate)).await? else { return Ok(Vec::new()) };
        Ok(Heads::decode(&note.value)?.iter().map(|head| head.id.clone()).collect())
    }

    /// The history of an aggregate in canonical order, each event with its standing.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a resolution cannot be read.
    pub async fn history(&self, aggregate: &AggregateId) -> Result<History> {
        self.store().history(aggregate).await
    }

    /// Why an event stands or not: what it had seen, what it was concurrent with, and who decided. Looks for
    /// the event in the whole log; with the aggregate at hand [`Explanation::of`] its history is quicker.
    ///
    /// # Errors
    /// Those of the store; `NotFound` when the event is not held.
    pub async fn explain(&self, event: &EventId) -> Result<Explanation> {
        let found = self.store().find(event).await?;
        let found = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no such event is in the log").with("event", event)
        })?;
        Explanation::of(&self.history(&found.event.aggregate_id).await?, event)
    }

    /// The resolutions in the log after a position, in the order in which they came, and how far it was
    /// looked: at most so many events of the log.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a resolution cannot be read.
    pub async fn audit(&self, after: Position, events: usize) -> Result<Audit> {
        Audit::of(self.store(), after, events).await
    }
}

fn open_conflict(note: &Note) -> Result<OpenConflict> {
    let found_at = std::str::from_utf8(&note.value).ok().and_then(|text| text.parse().ok());
    let found_at = found_at.ok_or_else(|| Error::corrupt("a note cannot be read").with("key", &note.key))?;
    Ok(OpenConflict { aggregate: AggregateId::new(&note.key[notes::CONFLICTS.len()..])?, found_at })
}
