//! A store that fails on purpose.

use std::sync::Arc;

use synckit_core::{
    EventStore, Facts, LogHead, Needs, Note, NoteQuery, Page, Planner, Position, Query, Result,
};

use crate::fault::line::Line;
use crate::fault::plan::{Call, FaultPlan};

/// A store whose calls get the faults of a [`FaultPlan`]. Clones share the store.
///
/// [`EventStore::moved`] has no faults: it is only a hint.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: Arc<S>,
    line: Line,
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        FaultyStore { inner: self.inner.clone(), line: self.line.clone() }
    }
}

impl<S: EventStore> FaultyStore<S> {
    /// Puts a plan in front of a store.
    pub fn new(inner: S, plan: FaultPlan) -> Self {
        FaultyStore { inner: Arc::new(inner), line: Line::new(plan, "faulty store") }
    }

    /// Returns the store behind it, which has no faults.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the plan.
    pub fn plan(&self) -> &FaultPlan {
        self.line.plan()
    }
}

impl<S: EventStore> EventStore for FaultyStore<S> {
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        let attempt = || {
            let (inner, planner) = (self.inner.clone(), planner.clone());
            Box::pin(async move { inner.commit(planner).await }) as _
        };
        self.line.pass(Call::Commit, attempt).await
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        let attempt = || {
            let (inner, needs) = (self.inner.clone(), needs.clone());
            Box::pin(async move { inner.facts(needs).await }) as _
        };
        self.line.pass(Call::Facts, attempt).await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        let attempt = || {
            let (inner, query) = (self.inner.clone(), query.clone());
            Box::pin(async move { inner.read(query).await }) as _
        };
        self.line.pass(Call::Read, attempt).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        let attempt = || {
            let (inner, query) = (self.inner.clone(), query.clone());
            Box::pin(async move { inner.notes(query).await }) as _
        };
        self.line.pass(Call::Notes, attempt).await
    }

    async fn head(&self) -> Result<LogHead> {
        let attempt = || {
            let inner = self.inner.clone();
            Box::pin(async move { inner.head().await }) as _
        };
        self.line.pass(Call::Head, attempt).await
    }

    async fn moved(&self, after: Position) -> Result<Position> {
        self.inner.moved(after).await
    }

    async fn close(&self) -> Result<()> {
        let attempt = || {
            let inner = self.inner.clone();
            Box::pin(async move { inner.close().await }) as _
        };
        self.line.pass(Call::Close, attempt).await
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::ErrorKind;
    use synckit_memory::MemoryStore;

    use synckit_plan::StoreExt;

    use super::*;
    use crate::fault::{Fault, drop_at};
    use crate::samples::node;

    fn store() -> FaultyStore<MemoryStore> {
        FaultyStore::new(MemoryStore::new(node("n")).unwrap(), FaultPlan::new())
    }

    async fn put(store: &FaultyStore<MemoryStore>, key: &str) -> Result<()> {
        store.edit(vec![Note { key: key.to_owned(), value: Vec::new() }], Vec::new()).await
    }

    async fn has(store: &FaultyStore<MemoryStore>, key: &str) -> bool {
        store.inner().note(key.to_owned()).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_commit_fails_before_or_after() {
        let store = store();
        store.plan().nth(Call::Commit, 1, Fault::Fail(ErrorKind::Busy));
        store.plan().nth(Call::Commit, 2, Fault::FailAfter(ErrorKind::Timeout));
        assert_eq!(put(&store, "x").await.unwrap_err().kind(), ErrorKind::Busy);
        assert!(!has(&store, "x").await);
        assert_eq!(put(&store, "x").await.unwrap_err().kind(), ErrorKind::Timeout);
        assert!(has(&store, "x").await);
    }

    #[tokio::test]
    async fn a_crash_stops_every_call() {
        for (fault, done) in [(Fault::Crash, false), (Fault::CrashAfter, true)] {
            let store = store();
            store.plan().nth(Call::Commit, 1, fault);
            assert_eq!(put(&store, "x").await.unwrap_err().kind(), ErrorKind::Unavailable);
            assert_eq!(has(&store, "x").await, done);
            assert!(store.head().await.is_err() && store.read(Query::after(0)).await.is_err());
            assert!(store.notes(NoteQuery::Keys(Vec::new())).await.is_err() && store.close().await.is_err());
            store.plan().heal();
            assert!(store.head().await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_hanging_commit_is_done_or_not() {
        for (fault, done) in [(Fault::Hang, false), (Fault::HangAfter, true)] {
            let store = store();
            store.plan().nth(Call::Commit, 1, fault);
            assert!(drop_at(1, put(&store, "x")).await.is_none());
            assert_eq!(has(&store, "x").await, done);
            assert!(put(&store, "x").await.is_ok());
        }
    }

    #[tokio::test]
    async fn every_method_is_forwarded_and_counted() {
        let store = store();
        put(&store, "x").await.unwrap();
        assert_eq!(store.head().await.unwrap(), store.inner().head().await.unwrap());
        assert_eq!(store.read(Query::after(0)).await.unwrap().events, []);
        assert!(store.note("x".to_owned()).await.unwrap().is_some());
        assert!(store.facts(Needs::default()).await.unwrap().notes.is_empty());
        store.close().await.unwrap();
        assert_eq!(store.inner().head().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(store.moved(0).await.unwrap_err().kind(), ErrorKind::Closed);
        for call in [Call::Commit, Call::Facts, Call::Head, Call::Read, Call::Notes, Call::Close] {
            assert_eq!(store.plan().calls(call), 1, "{call:?}");
        }
        assert!(store.plan().fired().is_empty());
    }
}
