//! A store behind a pointer.

use std::any::Any;

use crate::boxed::{Boxed, boxed};
use crate::cursor::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{BoxPlanner, EventStore, Facts, LogHead, Needs, Note, NoteQuery, Page, Planner, Query};

boxed! {
    /// Any [`EventStore`], chosen at run time. Clones share the store.
    ///
    /// ```
    /// use synckit_core::{BoxStore, EventStore};
    ///
    /// /// Puts two kinds of stores into one list.
    /// fn both(first: impl EventStore, second: impl EventStore) -> [BoxStore; 2] {
    ///     [BoxStore::new(first), BoxStore::new(second)]
    /// }
    /// ```
    BoxStore: EventStore, DynStore: DynCommit {
        async fn facts(needs: Needs) -> Facts;
        async fn read(query: Query) -> Page;
        async fn notes(query: NoteQuery) -> Vec<Note>;
        async fn head() -> LogHead;
        async fn moved(after: Position) -> Position;
        async fn close() -> ();
    }
    {
        async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
            let outcome = self.0.commit_boxed(BoxPlanner::new(planner)).await?;
            let other = |_| Error::new(ErrorKind::Internal, "the store returned the outcome of another planner");
            Ok(*outcome.downcast().map_err(other)?)
        }
    }
}

trait DynCommit {
    fn commit_boxed(&self, planner: BoxPlanner) -> Boxed<'_, Box<dyn Any + Send>>;
}

impl<S: EventStore> DynCommit for S {
    fn commit_boxed(&self, planner: BoxPlanner) -> Boxed<'_, Box<dyn Any + Send>> {
        Box::pin(self.commit(planner))
    }
}
