//! The contract of a store: one durable log and a notebook, committed together.
//!
//! A store knows nothing about causality. It fetches and it persists. A [`Planner`] decides, as pure code that runs
//! *inside the store's transaction*.

// - `planner.rs`: decides what a commit writes
// - `plan.rs`: what passes between a store and a planner
// - `query.rs`: what can be read from a log
// - `note.rs`: the notebook
// - `boxed.rs`: any store behind a pointer

mod boxed;
mod note;
mod plan;
mod planner;
mod query;

use std::future::Future;

pub use boxed::BoxStore;
pub use note::Note;
pub use plan::{Facts, Held, Needs, Plan};
pub use planner::{BoxPlanner, Edit, Planner, Planning, Step};
pub use query::{LogHead, NoteQuery, Page, Query, StoredEvent};

use crate::cursor::Position;
use crate::error::Result;

/// One durable, append-only log and a notebook of keys and values.
///
/// # What an implementor must do
///
/// - [`commit`](EventStore::commit) is one transaction: it MUST read its facts, write its plan and be durable as a
///   whole before it returns, and MUST leave nothing behind when it fails. Commits of one log MUST be serialised: no
///   other commit happens between reading the facts of one and writing its plan.
/// - Positions MUST be 1, 2, 3, … in commit order, without gaps, and never move.
/// - A reader that sees a position MUST see every position before it.
/// - Dropping any future at any await MUST leave the store as it was before the call or as it is after it.
/// - Data and metadata MUST come back byte for byte.
///
/// The conformance suite of `synckit-testkit` checks all of this. `docs/writing-an-adapter.md` builds a whole store,
/// step by step. `synckit-memory` is the shortest store to read.
///
/// ```
/// use synckit_core::{EventStore, Query, Result};
///
/// /// Counts the events of a log about one aggregate, page by page.
/// async fn count(store: &impl EventStore, aggregate: &str) -> Result<usize> {
///     let (mut query, mut count) = (Query::after(0).of_aggregate(aggregate.parse()?), 0);
///     loop {
///         let page = store.read(query.clone()).await?;
///         count += page.events.len();
///         if !page.more {
///             return Ok(count);
///         }
///         query.after = page.scanned_to;
///     }
/// }
/// ```
pub trait EventStore: Send + Sync + 'static {
    /// Fetches what the planner needs, plans, persists, and returns the outcome once it is durable. This is the only
    /// write.
    ///
    /// # Errors
    /// Those of the planner and of the engine. Nothing was written, except that after `Unavailable`, `Timeout` and
    /// `Internal` the write is either whole or absent.
    fn commit<P: Planner>(&self, planner: P) -> impl Future<Output = Result<P::Outcome>> + Send;

    /// Reads facts, all from one snapshot.
    ///
    /// # Errors
    /// Those of the engine, and `Corrupt` for a row that cannot be read.
    fn facts(&self, needs: Needs) -> impl Future<Output = Result<Facts>> + Send;

    /// Reads events in log order.
    ///
    /// # Errors
    /// Those of the engine, and `Corrupt` for a row that cannot be read.
    fn read(&self, query: Query) -> impl Future<Output = Result<Page>> + Send;

    /// Reads the notebook, sorted by key. Missing keys are left out.
    ///
    /// # Errors
    /// Those of the engine.
    fn notes(&self, query: NoteQuery) -> impl Future<Output = Result<Vec<Note>>> + Send;

    /// Returns the store id, the last position and the mark there.
    ///
    /// # Errors
    /// Those of the engine.
    fn head(&self) -> impl Future<Output = Result<LogHead>> + Send;

    /// Waits until the last position is beyond this one, or the log was replaced by another, such as a backup, and
    /// returns the last position. This is only a hint: read the log to know what changed. Can be dropped at any time.
    ///
    /// # Errors
    /// `Closed` when the store is closed while waiting, and those of the engine.
    fn moved(&self, after: Position) -> impl Future<Output = Result<Position>> + Send;

    /// Closes the store; every later call fails with `Closed`. Closing it again has no effect.
    ///
    /// # Errors
    /// Those of the engine.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}
