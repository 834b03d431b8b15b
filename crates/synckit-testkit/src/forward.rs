//! [`forward!`](crate::forward): the methods that a wrapper leaves as they are.

/// Writes methods of a store or a transport that call the same method of this field.
///
/// ```
/// use synckit_core::{EventStore, NodeId, Page, Query, Result};
/// use synckit_memory::MemoryStore;
///
/// /// A store whose pages hold one event.
/// struct OneByOne {
///     inner: MemoryStore,
/// }
///
/// impl EventStore for OneByOne {
///     synckit_testkit::forward!(inner: commit, facts, notes, head, moved, close);
///
///     async fn read(&self, query: Query) -> Result<Page> {
///         self.inner.read(Query { max_events: 1, ..query }).await
///     }
/// }
/// # fn main() -> Result<()> {
/// let _store = OneByOne { inner: MemoryStore::new(NodeId::new("a")?)? };
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! forward {
    ($to:tt: $($method:ident),+ $(,)?) => {
        $($crate::__forward!($method $to);)+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __forward {
    (commit $to:tt) => {
        async fn commit<P: $crate::__core::Planner>(&self, planner: P) -> $crate::__core::Result<P::Outcome> {
            self.$to.commit(planner).await
        }
    };
    (facts $to:tt) => { $crate::__forward!(facts(Needs) -> Facts, $to); };
    (read $to:tt) => { $crate::__forward!(read(Query) -> Page, $to); };
    (moved $to:tt) => { $crate::__forward!(moved(Position) -> Position, $to); };
    (head $to:tt) => {
        async fn head(&self) -> $crate::__core::Result<$crate::__core::LogHead> {
            self.$to.head().await
        }
    };
    (notes $to:tt) => {
        async fn notes(
            &self,
            query: $crate::__core::NoteQuery,
        ) -> $crate::__core::Result<Vec<$crate::__core::Note>> {
            self.$to.notes(query).await
        }
    };
    (hello $to:tt) => { $crate::__forward!(hello(HelloRequest) -> HelloResponse, $to); };
    (pull $to:tt) => { $crate::__forward!(pull(PullRequest) -> PullResponse, $to); };
    (push $to:tt) => { $crate::__forward!(push(PushRequest) -> PushResponse, $to); };
    (missing $to:tt) => { $crate::__forward!(missing(MissingRequest) -> MissingResponse, $to); };
    (subscribe $to:tt) => { $crate::__forward!(subscribe(PullRequest) -> PageStream, $to); };
    (traffic $to:tt) => {
        fn traffic(&self) -> $crate::__core::Traffic {
            self.$to.traffic()
        }
    };
    (close $to:tt) => {
        async fn close(&self) -> $crate::__core::Result<()> {
            self.$to.close().await
        }
    };
    ($method:ident($request:ident) -> $response:ident, $to:tt) => {
        async fn $method(
            &self,
            request: $crate::__core::$request,
        ) -> $crate::__core::Result<$crate::__core::$response> {
            self.$to.$method(request).await
        }
    };
}
