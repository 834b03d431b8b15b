//! What a client had seen when it wrote an event: the events of the same aggregate before it in its table.

use std::collections::{HashMap, HashSet, VecDeque};

use synckit_core::{AggregateId, EventStore, Note, NoteQuery, Position, Query, Result, VectorClock};
use synckit_plan::notes::{self, Seen};

use super::Record;

/// What a client has seen of some aggregates at the events of a push.
#[derive(Default)]
pub(crate) struct Sight(HashMap<AggregateId, Trail>);

#[derive(Default)]
struct Trail {
    seen: Seen,
    /// Clocks of events that the push shows, each with its index in the push, in that order.
    shown: VecDeque<(usize, VectorClock)>,
}

impl Sight {
    /// Reads what the client had seen of these aggregates before the push, and what the push shows, by place and index.
    pub(crate) async fn read(
        record: &mut Record<'_>,
        aggregates: HashSet<AggregateId>,
        shown: &HashMap<Position, usize>,
    ) -> Result<Sight> {
        let keys = aggregates.iter().map(|aggregate| notes::seen(record.author, aggregate)).collect();
        let found = record.store.notes(NoteQuery::Keys(keys)).await?;
        let found: HashMap<&str, &Note> = found.iter().map(|note| (note.key.as_str(), note)).collect();
        let mut sight = Sight::default();
        for aggregate in aggregates {
            let note = found.get(notes::seen(record.author, &aggregate).as_str());
            let seen = note.map(|note| Seen::decode(&note.key, &note.value)).transpose()?.unwrap_or_default();
            let trail = Trail::read(record, &aggregate, seen, shown).await?;
            sight.0.insert(aggregate, trail);
        }
        Ok(sight)
    }

    /// Returns what the client had seen of an aggregate when it wrote the event at this index of the push. Indexes must
    /// not decrease from call to call.
    pub(crate) fn before(&mut self, aggregate: &AggregateId, index: usize) -> Result<Seen> {
        let Some(trail) = self.0.get_mut(aggregate) else { return Ok(Seen::default()) };
        while trail.shown.front().is_some_and(|(shown, _)| *shown < index) {
            if let Some((_, clock)) = trail.shown.pop_front() {
                drop(trail.seen.clock.merge(&clock));
            }
        }
        Ok(trail.seen.clone())
    }
}

impl Trail {
    /// Reads on from what was seen in full.
    async fn read(
        record: &mut Record<'_>,
        aggregate: &AggregateId,
        mut seen: Seen,
        shown: &HashMap<Position, usize>,
    ) -> Result<Trail> {
        let (mut later, mut after, mut all) = (Vec::new(), seen.upto, true);
        loop {
            let page = record.store.read(Query::after(after).of_aggregate(aggregate.clone())).await?;
            record.read(page.events.iter().map(|stored| stored.position)).await?;
            for stored in page.events {
                let before = record.holds(stored.position) || record.own.wrote(&stored);
                all &= before;
                if before {
                    // What has no room in one clock counts as not seen.
                    drop(seen.clock.merge(&stored.event.clock));
                } else if let Some(index) = shown.get(&stored.position) {
                    later.push((*index, stored.event.clock));
                }
                if all {
                    seen.upto = stored.position;
                }
            }
            after = page.scanned_to;
            if !page.more {
                break;
            }
        }
        if all {
            seen.upto = after;
        }
        later.sort_by_key(|(index, _)| *index);
        Ok(Trail { seen, shown: later.into() })
    }
}
