//! A view that is kept, compared with what the log says.

use std::collections::{BTreeMap, BTreeSet};

use synckit::Replica;
use synckit::view::{Row, View, ViewHandle};
use synckit_core::{AggregateId, Event, EventId, EventStore, Query, Result, StoredEvent};
use synckit_plan::History;

/// Shows the events that stand, in order, and lists each of them in a row.
///
/// ```
/// use synckit::{NewEvent, NodeId, Replica};
/// use synckit_memory::MemoryStore;
/// use synckit_testkit::views::{self, Trail};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit::Result<()> {
/// let replica = Replica::new(MemoryStore::new(NodeId::new("n")?)?);
/// let trail = replica.with_view(Trail { version: 1 })?;
/// replica.record([NewEvent::new("Edited", "x", "a")?]).await?;
/// assert_eq!(trail.get(&"x".parse()?).await?.map(|events| events.len()), Some(1));
/// assert_eq!(views::difference(&trail).await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Trail {
    /// The version of the view.
    pub version: u32,
}

impl View for Trail {
    type State = Vec<EventId>;

    fn name(&self) -> &str {
        "trail"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(&self, trail: &mut Vec<EventId>, event: &Event) {
        trail.push(event.id.clone());
    }

    fn rows(&self, aggregate: &AggregateId, trail: &Vec<EventId>) -> Vec<Row> {
        trail.iter().map(|id| Row::new(id.as_str(), aggregate.as_str())).collect()
    }
}

/// Compares the view with the fold of the events that stand, of each aggregate, and its rows. Returns in words where they
/// differ.
///
/// # Errors
/// Those of the store; `Corrupt` when a resolution cannot be read.
pub async fn difference<S: EventStore>(view: &ViewHandle<S, Trail>) -> Result<Option<String>> {
    let mut rows = BTreeSet::new();
    for (aggregate, events) in histories(view.replica()).await? {
        let stands: Vec<EventId> = History::of(events)?.live().map(|event| event.id.clone()).collect();
        let shown = view.get(&aggregate).await?.unwrap_or_default();
        if shown != stands {
            return Ok(Some(format!("the view shows {shown:?} of {aggregate}; {stands:?} stand")));
        }
        rows.extend(stands.into_iter().map(|id| (id.to_string(), aggregate.clone())));
    }
    let found = view.rows("", None, usize::MAX).await?;
    let found: BTreeSet<(String, AggregateId)> =
        found.into_iter().map(|(aggregate, row)| (row.key, aggregate)).collect();
    Ok((found != rows).then(|| format!("the view has rows {found:?}; {rows:?} stand")))
}

async fn histories<S: EventStore>(replica: &Replica<S>) -> Result<BTreeMap<AggregateId, Vec<Event>>> {
    let (mut histories, mut after): (BTreeMap<_, Vec<Event>>, _) = (BTreeMap::new(), 0);
    loop {
        let page = replica.store().read(Query::after(after)).await?;
        for StoredEvent { event, .. } in page.events {
            histories.entry(event.aggregate_id.clone()).or_default().push(event);
        }
        after = page.scanned_to;
        if !page.more {
            return Ok(histories);
        }
    }
}
