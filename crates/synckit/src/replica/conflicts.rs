//! What people do with conflicts: list them, inspect them, settle them, and ask why.

use serde::Serialize;
use synckit_core::{
    AggregateId, Error, ErrorKind, Event, EventId, EventStore, Note, NoteQuery, Position, RefusedCode, Result,
};
use synckit_plan::{Conflict, Current, Heads, History, Ruling, StoreExt, notes};

use crate::blocking::blocking;
use crate::bound::Bound;
use crate::explain::{Audit, Explanation};
use crate::observe::Notice;
use crate::replica::Replica;
use crate::report::ConflictReport;

/// A conflict that has not been settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenConflict {
    /// The aggregate.
    pub aggregate: AggregateId,
    /// When it was found here, in Unix milliseconds.
    pub found_at: u64,
}

impl<S: EventStore> Replica<S> {
    /// Returns the unsettled conflicts, by aggregate. They stay on record until they are settled, even across restarts.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a note cannot be read.
    pub async fn conflicts(&self) -> Result<Vec<OpenConflict>> {
        let notes = self.store().notes_under(notes::CONFLICTS).await?;
        notes.iter().map(open_conflict).collect()
    }

    /// Hands the listed conflicts to the resolver without a sync, for a hub that others push to: those that it has not
    /// left before, or that have changed since. Each sync does this too.
    ///
    /// # Errors
    /// Those of the store. What was settled before the error is durable.
    pub async fn settle_listed(&self) -> Result<ConflictReport> {
        let mut report = ConflictReport::default();
        self.settle_all(&mut report, &self.settings().observers).await.1?;
        Ok(report)
    }

    /// Returns the conflict of an aggregate, with its base and all sides; `None` if there is none.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a resolution cannot be read.
    pub async fn conflict(&self, aggregate: &AggregateId) -> Result<Option<Conflict>> {
        let events = self.store().events_of(aggregate).await?;
        let upcasters = self.settings().upcasters.clone();
        blocking(move || Ok(Conflict::in_history(events)?.map(|conflict| upcasters.conflict(&conflict))))
            .await
    }

    /// Returns the conflict that this resolution settled, so that it can be [settled](Replica::settle) differently. The
    /// resolution must be on top of its aggregate: what was recorded on top of it has seen the decision and builds on
    /// it.
    ///
    /// # Errors
    /// Those of the store; `NotFound` when no such resolution is on top of the aggregate, or a filter left out what it
    /// settled.
    pub async fn settled_conflict(&self, aggregate: &AggregateId, resolution: &EventId) -> Result<Conflict> {
        let heads = self.heads(aggregate).await?;
        let events = self.store().events_of(aggregate).await?;
        let absent = |message: &str| {
            Error::new(ErrorKind::NotFound, message)
                .with("aggregate", aggregate)
                .with("resolution", resolution)
        };
        let top = events.iter().find(|event| event.id == *resolution && event.is_resolution());
        let Some(top) = top.filter(|event| heads.contains(&event.id)).cloned() else {
            return Err(absent("no such resolution is at the top of the aggregate; record an event instead"));
        };
        let upcasters = self.settings().upcasters.clone();
        let conflict = blocking(move || {
            Ok(Conflict::decided_by(&top, &events)?.map(|conflict| upcasters.conflict(&conflict)))
        });
        conflict.await?.ok_or_else(|| absent("what it settled is not held here"))
    }

    /// Settles a conflict by a person's decision, whatever resolvers decided. This can be done on any replica; if
    /// several people settle one conflict differently, all replicas end with one of the decisions. Returns the
    /// resolution, which is durable.
    ///
    /// Events that arrived at the aggregate since the caller looked stay in conflict with the decision.
    ///
    /// # Errors
    /// `Invalid` when the answer is to leave it for review, keeps an event that no side stands for, or merges into
    /// another aggregate; `TooLarge` when the merged event is too large; `Conflict` when a side is no longer in the log,
    /// because a backup was restored; and those of the store. Nothing has changed
    /// then.
    pub async fn settle(&self, conflict: &Conflict, decision: impl Into<Ruling>, by: &str) -> Result<Event> {
        let decision = self.settings().upcasters.label_merge(decision.into())?;
        let resolution = conflict.override_with(decision, by)?;
        let resolution = resolution.ok_or_else(|| {
            Error::invalid(
                "settling a conflict keeps a side, keeps all or merges; it cannot leave it for review",
            )
        })?;
        let sides = conflict.branches.iter().map(|branch| branch.head.id.clone()).collect();
        let receive = Bound::to_events(sides, self.receive(None, vec![resolution.clone()])?);
        let received = self.store().commit(receive).await?.ok_or_else(|| {
            let message = "a side of the conflict is no longer in the log, which was restored from a backup; look again";
            Error::new(ErrorKind::Conflict, message)
                .with("aggregate", &conflict.aggregate_id)
                .at("engine", "settle")
        })?;
        if let Some(refused) = received.refused.into_iter().next() {
            let kind = match refused.code {
                RefusedCode::TooLarge => ErrorKind::TooLarge,
                _ => ErrorKind::Invalid,
            };
            return Err(Error::new(kind, refused.message)
                .with("aggregate", &conflict.aggregate_id)
                .at("engine", "settle"));
        }
        let aggregate = &conflict.aggregate_id;
        self.settings().observers.notify(Notice::ConflictSettled { aggregate, resolution: &resolution });
        Ok(resolution)
    }

    /// Returns the events of an aggregate that no other has seen, which [`record_if`](Replica::record_if) can expect.
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when the note cannot be read.
    pub async fn heads(&self, aggregate: &AggregateId) -> Result<Vec<EventId>> {
        let Some(note) = self.store().note(notes::heads(aggregate)).await? else { return Ok(Vec::new()) };
        Ok(Heads::decode(&note.value)?.iter().map(|head| head.id.clone()).collect())
    }

    /// Returns the history of an aggregate in canonical order, each event with its standing. Events of older programs are
    /// [in the form of this one](crate::ReplicaBuilder::with_upcaster).
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a resolution cannot be read.
    pub async fn history(&self, aggregate: &AggregateId) -> Result<History> {
        let events = self.store().events_of(aggregate).await?;
        let upcasters = self.settings().upcasters.clone();
        blocking(move || History::of(events.into_iter().map(|event| upcasters.shown(event)).collect())).await
    }

    /// Returns what is true of an aggregate now: one event, several side by side, or the sides of a conflict.
    ///
    /// ```
    /// use synckit::conflict::Current;
    /// use synckit::{AggregateId, EventStore, Replica, Result};
    ///
    /// async fn show(replica: &Replica<impl EventStore>, note: &AggregateId) -> Result<String> {
    ///     Ok(match replica.current(note).await? {
    ///         Current::InConflict(conflict) => format!("{} sides: please choose", conflict.branches.len()),
    ///         current => current.events().iter().filter_map(|event| event.data.as_json()).collect(),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a resolution cannot be read.
    pub async fn current(&self, aggregate: &AggregateId) -> Result<Current> {
        let events = self.store().events_of(aggregate).await?;
        let upcasters = self.settings().upcasters.clone();
        blocking(move || Ok(upcasters.current(Current::of(events)?))).await
    }

    /// Returns the aggregates of which there are events, in the order of their bytes: at most `limit` whose ids begin with
    /// `prefix` and come after `after`. They come from an index; the log is not read.
    ///
    /// ```
    /// use synckit::{AggregateId, EventStore, Replica, Result};
    ///
    /// /// Returns all notes, a thousand at a time.
    /// async fn notes(replica: &Replica<impl EventStore>) -> Result<Vec<AggregateId>> {
    ///     let mut all: Vec<AggregateId> = Vec::new();
    ///     loop {
    ///         let page = replica.aggregates("note-", all.last(), 1_000).await?;
    ///         if page.is_empty() {
    ///             return Ok(all);
    ///         }
    ///         all.extend(page);
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of the store, `Corrupt` when a note cannot be read.
    pub async fn aggregates(
        &self,
        prefix: &str,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>> {
        let after = after.map_or_else(String::new, notes::heads);
        let query = NoteQuery::Prefix { prefix: format!("{}{prefix}", notes::HEADS), after, limit };
        let found = self.store().notes(query).await?;
        found.iter().map(|note| notes::of_heads(&note.key)).collect()
    }

    /// Explains why an event stands or not: what it had seen, what it was concurrent with, and who decided. Searches
    /// the whole log for the event. If you have the history of its aggregate, [`Explanation::of`] is faster.
    ///
    /// # Errors
    /// Those of the store; `NotFound` when the event is not in the log.
    pub async fn explain(&self, event: &EventId) -> Result<Explanation> {
        let found = self.store().find(event).await?;
        let found = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no such event is in the log").with("event", event)
        })?;
        let (history, event) = (self.history(&found.event.aggregate_id).await?, event.clone());
        blocking(move || Explanation::of(&history, &event)).await
    }

    /// Returns the resolutions in the log after a position, in log order, and how far the log was scanned. Scans at
    /// most `events` events.
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
