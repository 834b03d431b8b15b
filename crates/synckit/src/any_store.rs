//! A store chosen at run time, with the power to say when its log grows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use synckit_core::notes::Note;
use synckit_core::plan::{Intent, Outcome};
use synckit_core::{BoxStore, EventStore, LogHead, NoteQuery, Page, Position, Query, Result, Watch};

/// Any store that can be watched, chosen at run time. Clones share the store.
#[derive(Clone)]
pub struct AnyStore {
    store: BoxStore,
    watch: Arc<dyn DynWatch>,
}

impl AnyStore {
    /// Boxes a store whose clones share one log.
    pub fn new(store: impl EventStore + Watch + Clone) -> Self {
        AnyStore { watch: Arc::new(store.clone()), store: BoxStore::new(store) }
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyStore")
    }
}

impl EventStore for AnyStore {
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        self.store.commit(intent).await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.store.read(query).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.store.notes(query).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.store.head().await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}

impl Watch for AnyStore {
    async fn moved(&self, after: Position) -> Result<Position> {
        self.watch.moved(after).await
    }
}

/// [`Watch`] behind a pointer.
pub(crate) trait DynWatch: Send + Sync {
    fn moved(&self, after: Position) -> Pin<Box<dyn Future<Output = Result<Position>> + Send + '_>>;
}

impl<W: Watch> DynWatch for W {
    fn moved(&self, after: Position) -> Pin<Box<dyn Future<Output = Result<Position>> + Send + '_>> {
        Box::pin(Watch::moved(self, after))
    }
}
