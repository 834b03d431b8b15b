//! Views: what an application shows, folded from events and kept in the store.
//!
//! A [`View`] folds the events of each aggregate that stand, in canonical order, into a state. A [`ViewHandle`] keeps
//! these states in the notebook of the store, and follows the log: it notes up to which position it has the log, and
//! changes states and position in one commit. Before it answers, it catches up. So an answer is never older than the log
//! at the time of the call, whoever wrote to it: this program, another process, or a sync.
//!
//! An event that has seen everything before it is applied to the kept state. Where the past has changed, by a concurrent
//! edit, a resolution or another stamp, the aggregate is folded again: from a state that is kept of the time before that,
//! or from its history.

// - this file: the contract of a view
// - `handle.rs`: what an application asks
// - `follow.rs`: catching up with the log
// - `ahead.rs`: reading the log before the view comes to it
// - `fold.rs`: folding an aggregate again
// - `kept.rs`: what is kept in the notebook, and under which keys
// - `changes.rs`: waiting for changes

mod ahead;
mod changes;
mod fold;
mod follow;
mod handle;
mod kept;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use synckit_core::{AggregateId, Event};

pub use crate::upcast::SCHEMA;
pub use changes::{Changed, Changes};
pub use handle::ViewHandle;

/// A fold of the events of an aggregate into a state.
///
/// It must be a pure function of the events: each replica that holds the same events then shows the same. It is called
/// while others wait, so it should be quick.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use synckit::view::View;
/// use synckit::{AggregateId, Event, NewEvent, NodeId, Replica};
/// use synckit_memory::MemoryStore;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Stock {
///     items: i64,
/// }
///
/// struct InStock;
///
/// impl View for InStock {
///     type State = Stock;
///
///     fn name(&self) -> &str {
///         "in-stock"
///     }
///
///     fn apply(&self, stock: &mut Stock, event: &Event) {
///         let items: i64 = event.data.parse().unwrap_or_default();
///         match event.event_type.as_str() {
///             "Delivered" => stock.items += items,
///             "Sold" => stock.items -= items,
///             _ => {}
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit::Result<()> {
/// let replica = Replica::new(MemoryStore::new(NodeId::new("till-1")?)?);
/// let in_stock = replica.with_view(InStock)?;
/// replica.record([NewEvent::new("Delivered", "coffee", &10)?, NewEvent::new("Sold", "coffee", &3)?]).await?;
/// let stock = in_stock.get(&AggregateId::new("coffee")?).await?;
/// assert_eq!(stock.map(|stock| stock.items), Some(7));
/// # Ok(())
/// # }
/// ```
pub trait View: Send + Sync + 'static {
    /// The state of an aggregate. It is kept as JSON. Its default is the state before the first event.
    type State: Default + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Returns the name of the view: 1 to 64 letters, digits, `-`, `_` and `.` of ASCII. Views of one store have different
    /// names.
    fn name(&self) -> &str;

    /// Returns the version of the view. Give it another whenever `apply`, `rows` or the form of the state changes: what
    /// other versions keep is left alone, and this one is built from the log.
    fn version(&self) -> u32 {
        1
    }

    /// Adds an event to the state. A merge comes as the event that it merges into, with the id, clock and time of its
    /// resolution. Ignore types that are not for this view, also those that you do not know: a newer program may have
    /// written them.
    fn apply(&self, state: &mut Self::State, event: &Event);

    /// Adds an event that this program cannot read: a newer program has written it, in a version of its type beyond those
    /// that [upcasters](crate::ReplicaBuilder::with_upcaster) lead to, or an upcaster has failed. It stays in the log and
    /// is passed on. Does nothing by default; a view may note that its state is not all there is.
    fn apply_unknown(&self, state: &mut Self::State, event: &Event) {
        let _ = (state, event);
    }

    /// Returns the rows that the aggregate contributes: entries of an index over all aggregates. They replace those that
    /// it contributed before. Read them with [`ViewHandle::rows`].
    fn rows(&self, aggregate: &AggregateId, state: &Self::State) -> Vec<Row> {
        let _ = (aggregate, state);
        Vec::new()
    }
}

/// An entry of an index over all aggregates.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// What it is found by: at most 255 bytes, no control characters. Rows are sorted by the bytes of their keys.
    pub key: String,
    /// What the application wants to know when it finds it.
    pub value: Value,
}

impl Row {
    /// The maximum length of a key, in bytes.
    pub const MAX_KEY: usize = 255;

    /// Creates a row.
    ///
    /// ```
    /// use synckit::view::Row;
    ///
    /// let row = Row::new("open/2026-12-01", "milk");
    /// assert_eq!(row.value, "milk");
    /// ```
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Row { key: key.into(), value: value.into() }
    }
}
