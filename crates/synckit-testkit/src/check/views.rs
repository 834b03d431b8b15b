//! A view that is kept shows what the log says.

use std::collections::{BTreeMap, BTreeSet};

use synckit::Replica;
use synckit::view::{Row, View, ViewHandle};
use synckit_core::{AggregateId, Event, EventId, EventStore, StoredEvent};
use synckit_plan::History;

use super::{Checked, failed};

/// Shows the events that stand, in order, and lists each of them in a row.
struct Trail;

impl View for Trail {
    type State = Vec<EventId>;

    fn name(&self) -> &str {
        "trail"
    }

    fn apply(&self, trail: &mut Vec<EventId>, event: &Event) {
        trail.push(event.id.clone());
    }

    fn rows(&self, aggregate: &AggregateId, trail: &Vec<EventId>) -> Vec<Row> {
        trail.iter().map(|id| Row::new(id.as_str(), aggregate.as_str())).collect()
    }
}

/// Takes what is new into the view.
pub(crate) async fn catch_up(store: &(impl EventStore + Clone)) -> synckit_core::Result<()> {
    trail(store)?.catch_up(|_, _| {}).await
}

fn trail<S: EventStore + Clone>(
    store: &S,
) -> synckit_core::Result<ViewHandle<S, impl View<State = Vec<EventId>>>> {
    Replica::new(store.clone()).with_view(Trail)
}

/// Checks that the view shows the events that stand, of each aggregate, and their rows.
pub(crate) async fn are_right(name: &str, store: &(impl EventStore + Clone), log: &[StoredEvent]) -> Checked {
    let mut aggregates: BTreeMap<&AggregateId, Vec<Event>> = BTreeMap::new();
    for StoredEvent { event, .. } in log {
        aggregates.entry(&event.aggregate_id).or_default().push(event.clone());
    }
    let view = trail(store).map_err(failed)?;
    let mut rows = BTreeSet::new();
    for (aggregate, events) in aggregates {
        let history = History::of(events).map_err(failed)?;
        let stands: Vec<EventId> = history.live().map(|event| event.id.clone()).collect();
        let shown = view.get(aggregate).await.map_err(failed)?.unwrap_or_default();
        if shown != stands {
            return Err(format!("the view of {name} shows {shown:?} of {aggregate}; {stands:?} stand"));
        }
        rows.extend(stands.into_iter().map(|id| (id.to_string(), aggregate.clone())));
    }
    let found = view.rows("", None, usize::MAX).await.map_err(failed)?;
    let found: BTreeSet<(String, AggregateId)> =
        found.into_iter().map(|(aggregate, row)| (row.key, aggregate)).collect();
    if found != rows {
        return Err(format!("the view of {name} has rows {found:?}; {rows:?} stand"));
    }
    Ok(())
}
