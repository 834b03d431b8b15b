//! What is known about a client with a name: what it holds, and so what it had seen when it wrote an event.
//!
//! At every sync a client pushes everything it holds, in the order of its own table, including what it pulled. So a
//! push shows what it holds, even after an answer was lost, and an event that follows a pulled one in the push was
//! written after the pull. That an answer was sent proves nothing.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use synckit_core::{
    AggregateId, BoxStore, EventId, EventStore, Former, Identity, NodeId, Note, NoteQuery, Position, Query,
    Result, StoreId, StoredEvent, VectorClock,
};
use synckit_plan::{
    Adopt, StoreExt,
    notes::{self, Seen},
};

/// The numbers that a client with a name is given are places in this log, plus this. So they cannot be mistaken for a
/// count of the rows of its own table, which is what its pulls name. This way a client that does keep the number of the
/// last event it received is understood as well.
pub(super) const BASE: u64 = 1 << 52;

/// The most places of the log that one call looks through.
const MOST: Position = 50_000;

/// What is recorded about a client with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The place up to which it holds everything that others wrote.
    pub(super) upto: Position,
    /// The place up to which it may lack what it wrote itself, because it started over.
    pub(super) lacks_own_to: Position,
    /// The highest count of its own rows that it has named.
    pub(super) rows: u64,
    /// Whether it is known what it holds: it held nothing, or it has pushed.
    pub(super) met: bool,
}

impl Known {
    pub(super) async fn load(store: &BoxStore, author: &NodeId) -> Result<Known> {
        let found = store.notes(NoteQuery::Keys(vec![notes::client(author)])).await?;
        Ok(found.first().map(Note::parse).transpose()?.unwrap_or_default())
    }

    pub(super) fn note(&self, author: &NodeId) -> Result<Note> {
        Note::json(notes::client(author), self)
    }
}

/// How events that a client wrote itself are recognised.
pub(super) struct Own {
    /// The store id that stands for its own log.
    pub(super) source: StoreId,
    /// The store ids that stood for it while the hub's store had other ids.
    former: HashSet<StoreId>,
    /// The names it was authored under.
    names: HashSet<NodeId>,
}

impl Own {
    pub(super) async fn load(store: &BoxStore, author: &NodeId) -> Result<Own> {
        let source = Adopt::source(author, store.head().await?.store);
        Ok(Own::of(author, source, store.identity().await?))
    }

    fn of(author: &NodeId, source: StoreId, mut hub: Identity) -> Own {
        let mut own = Own { source, former: HashSet::new(), names: HashSet::from([hub.adopting(author)]) };
        for Former { store, author: name, .. } in std::mem::take(&mut hub.former) {
            hub.author = name;
            own.names.insert(hub.adopting(author));
            own.former.insert(Adopt::source(author, store));
        }
        own
    }

    /// Returns whether the client wrote this event, even if a replica brought it back to a restored hub.
    pub(super) fn wrote(&self, stored: &StoredEvent) -> bool {
        let author = stored.event.dot.as_ref().map(|dot| &dot.node);
        let came = stored.source.is_some_and(|source| source == self.source || self.former.contains(&source));
        came || author.is_some_and(|author| self.names.contains(author))
    }
}

/// A walk along the log, over what a client holds.
pub(super) struct Front<'a> {
    store: &'a BoxStore,
    own: Own,
    lacks_own_to: Position,
    /// The place up to which the client holds everything of others.
    pub(super) upto: Position,
    scanned: Position,
    next: VecDeque<(Position, EventId)>,
    /// Whether the log was read to its end, or as far as one call may.
    ended: bool,
    most: Position,
}

impl<'a> Front<'a> {
    pub(super) async fn new(store: &'a BoxStore, author: &NodeId, known: &Known) -> Result<Front<'a>> {
        let own = Own::load(store, author).await?;
        let (upto, lacks_own_to) = (known.upto, known.lacks_own_to);
        let most = upto + MOST;
        Ok(Front { store, own, lacks_own_to, upto, scanned: upto, next: VecDeque::new(), ended: false, most })
    }

    /// Returns whether the client holds everything of others.
    pub(super) fn is_at_the_end(&self) -> bool {
        self.ended && self.next.is_empty()
    }

    /// Moves on over what is in this set.
    pub(super) async fn advance(&mut self, held: &HashSet<EventId>) -> Result<()> {
        loop {
            while let Some((position, id)) = self.next.front() {
                if !held.contains(id) {
                    return Ok(());
                }
                self.upto = *position;
                self.next.pop_front();
            }
            self.upto = self.scanned;
            if self.ended {
                return Ok(());
            }
            let query = Query::after(self.scanned);
            let all = self.scanned < self.lacks_own_to;
            let page =
                self.store.read(if all { query } else { query.except_source(Some(self.own.source)) }).await?;
            let others = page
                .events
                .into_iter()
                .filter(|stored| stored.position <= self.lacks_own_to || !self.own.wrote(stored));
            self.next.extend(others.map(|stored| (stored.position, stored.event.id)));
            self.scanned = page.scanned_to;
            self.ended = !page.more || self.scanned >= self.most;
        }
    }
}

/// What an author has seen of some aggregates, at increasing places of the log.
#[derive(Default)]
pub(super) struct Sight(HashMap<AggregateId, Trail>);

struct Trail {
    seen: Seen,
    /// Clocks of later events, by place.
    later: VecDeque<(Position, VectorClock)>,
}

impl Sight {
    /// Reads what is needed to answer for these aggregates, from the first to the last of these places: what is
    /// recorded, and what came since.
    pub(super) async fn read(
        store: &BoxStore,
        author: &NodeId,
        aggregates: HashSet<&AggregateId>,
        places: &[Position],
    ) -> Result<Sight> {
        let (from, upto) = (places.first().copied().unwrap_or(0), places.last().copied().unwrap_or(0));
        let keys = aggregates.iter().map(|aggregate| notes::seen(author, aggregate)).collect();
        let found = store.notes(NoteQuery::Keys(keys)).await?;
        let found: HashMap<&str, &Note> = found.iter().map(|note| (note.key.as_str(), note)).collect();
        let mut sight = Sight::default();
        for aggregate in aggregates {
            let note = found.get(notes::seen(author, aggregate).as_str());
            let mut seen =
                note.map(|note| Seen::decode(&note.key, &note.value)).transpose()?.unwrap_or_default();
            let mut later = VecDeque::new();
            let mut after = seen.upto;
            while after < upto {
                let page = store.read(Query::after(after).of_aggregate(aggregate.clone())).await?;
                for stored in page.events.into_iter().filter(|stored| stored.position <= upto) {
                    match stored.position <= from {
                        true => seen.clock.merge(&stored.event.clock)?,
                        false => later.push_back((stored.position, stored.event.clock)),
                    }
                }
                after = page.scanned_to;
                if !page.more {
                    break;
                }
            }
            sight.0.insert(aggregate.clone(), Trail { seen, later });
        }
        Ok(sight)
    }

    /// Returns what a client has seen of an aggregate if it holds everything up to this place. Places must not decrease
    /// from call to call.
    pub(super) fn upto(&mut self, aggregate: &AggregateId, upto: Position) -> Result<Seen> {
        let Some(trail) = self.0.get_mut(aggregate) else { return Ok(Seen::default()) };
        while trail.later.front().is_some_and(|(position, _)| *position <= upto) {
            if let Some((_, clock)) = trail.later.pop_front() {
                trail.seen.clock.merge(&clock)?;
            }
        }
        trail.seen.upto = trail.seen.upto.max(upto);
        Ok(trail.seen.clone())
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Renewal, Secret};

    use super::*;

    #[test]
    fn what_was_adopted_before_the_hub_took_another_name_is_still_the_clients_own() {
        let [ann, hub] = ["ann", "hub"].map(|name| NodeId::new(name).expect("valid"));
        let stores = [1, 2, 3].map(|byte| StoreId::from_bytes([byte; 16]));
        let identity = Identity::new(hub, Secret::from_bytes([9; 16]));
        let identity = identity.renewed(stores[0], Renewal::SetBack, 0, 1);
        let identity = identity.renewed(stores[1], Renewal::Asked, 0, 2);
        let own = Own::of(&ann, Adopt::source(&ann, stores[2]), identity);
        let names = ["ann", "ann~0000000001", "ann~0000000002"].map(|name| NodeId::new(name).expect("valid"));
        assert_eq!(own.names, HashSet::from(names));
        assert_eq!(own.former, stores[..2].iter().map(|store| Adopt::source(&ann, *store)).collect());
    }
}
