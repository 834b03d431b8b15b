//! A log and its notebook in memory: what plans add up to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;

use synckit_core::{
    AggregateId, Dot, Error, EventId, Facts, Held, Identity, LogHead, Mark, Needs, NodeId, Note, NoteQuery,
    Page, Plan, Planner, Planning, Position, Query, Result, Secret, StoreId, StoredEvent,
};

use crate::PageBuilder;

/// A log and its notebook in memory, for stores that answer from there: what the plans of its commits add up to.
///
/// One made by `default` is empty, until a plan puts [`Note::of_new_store`]. It is no store by itself: whoever plans
/// and applies must let no other commit in between, and make the plan durable before it is applied.
///
/// ```
/// use synckit_core::{Edit, NodeId, Secret, StoreId};
/// use synckit_store::MemoryLog;
/// # fn main() -> synckit_core::Result<()> {
/// let (id, secret) = (StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16]));
/// let mut log = MemoryLog::new(NodeId::new("a")?, id, secret)?;
/// let (plan, ()) = log.plan(Edit { put: Vec::new(), delete: vec!["k".to_owned()] })?;
/// log.apply(plan)?;
/// assert_eq!(log.head()?.position, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct MemoryLog {
    /// **Invariant**: the event at index `i` has position `i + 1`.
    events: Vec<StoredEvent>,
    notes: BTreeMap<String, Vec<u8>>,
    by_id: HashMap<EventId, usize>,
    by_dot: HashMap<Dot, usize>,
    by_aggregate: HashMap<AggregateId, Vec<usize>>,
}

impl MemoryLog {
    /// Creates the log of a new store. Id and secret must be random.
    ///
    /// # Errors
    /// `Invalid` when the node id has a `~`.
    pub fn new(node: NodeId, id: StoreId, secret: Secret) -> Result<Self> {
        let mut log = MemoryLog::default();
        let first = Note::of_new_store(node, id, secret)?;
        log.apply(Plan { put: first.into(), ..Plan::default() })?;
        Ok(log)
    }

    /// Plans a commit and applies the plan, for a log that is kept nowhere else.
    ///
    /// # Errors
    /// As [`MemoryLog::plan`] and [`MemoryLog::apply`].
    pub fn commit<P: Planner>(&mut self, planner: P) -> Result<P::Outcome> {
        let (plan, outcome) = self.plan(planner)?;
        self.apply(plan)?;
        Ok(outcome)
    }

    /// Plans a commit.
    ///
    /// # Errors
    /// As [`Planning::run`].
    pub fn plan<P: Planner>(&self, planner: P) -> Result<(Plan, P::Outcome)> {
        Planning::run(planner, |needs| self.facts(needs))
    }

    /// Applies a plan that was made of this log as it is.
    ///
    /// # Errors
    /// `Corrupt` when the plan replaces an event that is not there. Nothing has changed then.
    pub fn apply(&mut self, plan: Plan) -> Result<()> {
        let held = |position: Position| (1..=self.events.len() as Position).contains(&position);
        if let Some((position, _)) = plan.replace.iter().find(|(position, _)| !held(*position)) {
            return Err(
                Error::corrupt("a plan changes an event that is not there").with("position", position)
            );
        }
        for (position, _) in &plan.replace {
            let old = &self.events[*position as usize - 1].event;
            self.by_id.remove(&old.id);
            old.dot.as_ref().map(|dot| self.by_dot.remove(dot));
        }
        let (mark, rows) = (plan.mark, plan.rows().map(|(event, source)| (event.clone(), source)));
        let rows: Vec<_> = rows.collect();
        for (position, event) in plan.replace {
            let at = position as usize - 1;
            self.by_id.insert(event.id.clone(), at);
            self.by_dot.extend(event.dot.clone().map(|dot| (dot, at)));
            self.events[at].event = event;
        }
        if let Some(from) = plan.remark {
            self.events
                .iter_mut()
                .skip(from.saturating_sub(1) as usize)
                .for_each(|stored| stored.mark = mark);
        }
        for (event, source) in rows {
            let at = self.events.len();
            self.by_id.insert(event.id.clone(), at);
            self.by_dot.extend(event.dot.clone().map(|dot| (dot, at)));
            self.by_aggregate.entry(event.aggregate_id.clone()).or_default().push(at);
            self.events.push(StoredEvent { position: at as Position + 1, mark, source, event });
        }
        for key in plan.delete {
            self.notes.remove(&key);
        }
        self.notes.extend(plan.put.into_iter().map(|note| (note.key, note.value)));
        Ok(())
    }

    /// The last position; 0 when the log is empty.
    pub fn last(&self) -> Position {
        self.events.len() as Position
    }

    /// The store id, the last position and the mark there.
    ///
    /// # Errors
    /// `Corrupt` when there is no store id.
    pub fn head(&self) -> Result<LogHead> {
        let store = Note::read_store_id(self.notes.get(Note::STORE).map(Vec::as_slice))?;
        let position = self.last();
        Ok(LogHead { store, position, mark: self.mark_at(position) })
    }

    /// Who the replica is.
    ///
    /// # Errors
    /// `Corrupt` when the notebook does not say so.
    pub fn identity(&self) -> Result<Identity> {
        Note::read_identity(self.notes.get(Note::NODE).map(Vec::as_slice))
    }

    /// A page of events, as [`EventStore::read`](synckit_core::EventStore::read) returns it.
    ///
    /// # Errors
    /// `Corrupt` when there is no store id.
    pub fn read(&self, query: &Query) -> Result<Page> {
        let head = self.head()?;
        let mut page = PageBuilder::new(query, head, self.mark_at(query.after));
        if page.has_room() {
            for stored in self.places(query).map(|at| &self.events[at]) {
                let read = |except: Option<StoreId>| {
                    Ok((except != stored.source || except.is_none()).then(|| stored.clone()))
                };
                if !page.take(stored.position, read)? {
                    break;
                }
            }
        }
        page.looked_up_to(head.position);
        page.finish(|position| Ok(self.mark_at(position)))
    }

    fn mark_at(&self, position: Position) -> Option<Mark> {
        let at = usize::try_from(position.checked_sub(1)?).ok()?;
        Some(self.events.get(at)?.mark)
    }

    /// Notes, as [`EventStore::notes`](synckit_core::EventStore::notes) returns them.
    pub fn notes(&self, query: NoteQuery) -> Vec<Note> {
        let note = |(key, value): (&String, &Vec<u8>)| Note { key: key.clone(), value: value.clone() };
        match query {
            NoteQuery::Keys(mut keys) => {
                keys.sort_unstable();
                keys.dedup();
                keys.iter().filter_map(|key| self.notes.get_key_value(key)).map(note).collect()
            }
            NoteQuery::Prefix { prefix, after, limit } => {
                let start =
                    if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix.clone()) };
                let from = self.notes.range((start, Bound::Unbounded));
                from.take_while(|(key, _)| key.starts_with(&prefix)).take(limit).map(note).collect()
            }
        }
    }

    /// Facts, as [`EventStore::facts`](synckit_core::EventStore::facts) returns them.
    ///
    /// # Errors
    /// `Corrupt` when there is no store id.
    pub fn facts(&self, needs: Needs) -> Result<Facts> {
        let mut facts = Facts::at(self.head()?);
        for id in needs.ids {
            if let Some(at) = self.by_id.get(&id) {
                facts.held.insert(id, Held::of(*at as Position + 1, &self.events[*at].event));
            }
        }
        for dot in needs.dots {
            if let Some(at) = self.by_dot.get(&dot) {
                facts.dots.insert(dot, self.events[*at].event.id.clone());
            }
        }
        for key in needs.notes {
            if let Some(value) = self.notes.get(&key) {
                facts.notes.insert(key, value.clone());
            }
        }
        for position in needs.places {
            facts.places.extend(self.mark_at(position).map(|mark| (position, mark)));
        }
        for aggregate in needs.histories {
            let places = self.by_aggregate.get(&aggregate).into_iter().flatten();
            let events = places.map(|at| self.events[*at].clone()).collect();
            facts.histories.insert(aggregate, events);
        }
        for prefix in needs.under {
            let query = NoteQuery::Prefix { prefix, after: String::new(), limit: usize::MAX };
            facts.notes.extend(self.notes(query).into_iter().map(|note| (note.key, note.value)));
        }
        Ok(facts)
    }

    /// The places a query looks at, in log order.
    fn places(&self, query: &Query) -> Box<dyn Iterator<Item = usize> + '_> {
        let first = usize::try_from(query.after).unwrap_or(usize::MAX);
        let Some(aggregates) = &query.aggregates else { return Box::new(first..self.events.len()) };
        let mut places = Vec::new();
        for all in aggregates.iter().filter_map(|aggregate| self.by_aggregate.get(aggregate)) {
            places.extend_from_slice(&all[all.partition_point(|at| *at < first)..]);
        }
        // What is sorted already, such as the places of one aggregate, takes one look.
        places.sort_unstable();
        places.dedup();
        Box::new(places.into_iter())
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("events", &self.events.len()).finish_non_exhaustive()
    }
}
