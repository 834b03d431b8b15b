//! What an application asks a view.

use std::fmt;
use std::sync::Arc;

use synckit_core::{AggregateId, EventStore, Note, NoteQuery, Result};
use synckit_plan::StoreExt;
use tokio::sync::Mutex;

use crate::replica::Replica;
use crate::view::kept::{Kept, Keys};
use crate::view::{Changes, Row, View};

/// A [`View`] over a replica. Clones share it.
///
/// Every read first [catches up](ViewHandle::catch_up), so it costs what is new in the log since the last one. Reads that
/// nothing has changed for are one call of the store.
pub struct ViewHandle<S, V> {
    pub(super) inner: Arc<Inner<S, V>>,
}

pub(super) struct Inner<S, V> {
    replica: Replica<S>,
    pub(super) view: Arc<V>,
    keys: Keys,
    /// Held while catching up.
    pub(super) following: Mutex<()>,
}

impl<S, V> Clone for ViewHandle<S, V> {
    fn clone(&self) -> Self {
        ViewHandle { inner: self.inner.clone() }
    }
}

impl<S, V: View> fmt::Debug for ViewHandle<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = &self.inner.view;
        f.debug_struct("ViewHandle")
            .field("name", &view.name())
            .field("version", &view.version())
            .finish_non_exhaustive()
    }
}

impl<S: EventStore> Replica<S> {
    /// Returns a handle to a view of this replica. It reads nothing yet.
    ///
    /// # Errors
    /// `Invalid` for a name that a view cannot have.
    pub fn with_view<V: View>(&self, view: V) -> Result<ViewHandle<S, V>> {
        let keys = Keys::of(&view)?;
        let (replica, view, following) = (self.clone(), Arc::new(view), Mutex::default());
        Ok(ViewHandle { inner: Arc::new(Inner { replica, view, keys, following }) })
    }
}

impl<S: EventStore, V: View> ViewHandle<S, V> {
    /// Returns the replica.
    pub fn replica(&self) -> &Replica<S> {
        &self.inner.replica
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// Returns the state of an aggregate; `None` if there are no events of it.
    ///
    /// # Errors
    /// Same as [`ViewHandle::catch_up`].
    pub async fn get(&self, aggregate: &AggregateId) -> Result<Option<V::State>> {
        let key = self.keys().state(aggregate.as_str());
        let mut facts = self.facts(vec![key.clone()]).await?;
        let (_, at) = self.at(&facts)?;
        if at.upto != facts.head.position || at.clears || !at.gaps.is_empty() {
            self.catch_up(|_, _| {}).await?;
            facts = self.facts(vec![key.clone()]).await?;
        }
        Ok(self.kept(&facts, &key)?.map(|kept| kept.state))
    }

    /// Returns the states of aggregates in the order of the bytes of their ids: at most `limit` whose ids have the prefix
    /// and come after `after`.
    ///
    /// # Errors
    /// Same as [`ViewHandle::catch_up`].
    pub async fn page(
        &self,
        prefix: &str,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<(AggregateId, V::State)>> {
        self.catch_up(|_, _| {}).await?;
        let after = after.map_or_else(String::new, |after| self.keys().state(after.as_str()));
        let query = NoteQuery::Prefix { prefix: self.keys().state(prefix), after, limit };
        let found = self.replica().store().notes(query).await?;
        let read =
            |Note { key, value }: Note| Ok((self.keys().of_state(&key)?, Kept::read(&key, &value)?.state));
        found.into_iter().map(read).collect()
    }

    /// Returns rows in the order of the bytes of their keys, each with its aggregate: at most `limit` whose keys have the
    /// prefix and come after `after`. Rows of several aggregates may have one key; these are in the order of the
    /// aggregates' ids.
    ///
    /// # Errors
    /// Same as [`ViewHandle::catch_up`].
    pub async fn rows(
        &self,
        prefix: &str,
        after: Option<(&str, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<(AggregateId, Row)>> {
        self.catch_up(|_, _| {}).await?;
        let after = after.map_or_else(String::new, |(key, aggregate)| self.keys().row(key, aggregate));
        let query = NoteQuery::Prefix { prefix: self.keys().rows(prefix), after, limit };
        let found = self.replica().store().notes(query).await?;
        let read = |Note { key, value }: Note| {
            let (row, aggregate) = self.keys().of_row(&key)?;
            let value: serde_json::Value = Note::read(&key, &value)?;
            Ok((aggregate, Row::new(row, value)))
        };
        found.into_iter().map(read).collect()
    }

    /// Watches for changes from now on, whoever makes them: this program, another process, or a sync.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn watch(&self) -> Result<Changes<S>> {
        Changes::from_now(self.replica().clone()).await
    }

    /// Deletes what other versions of this view have kept. Call it when no program that uses them is left.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_other_versions(&self) -> Result<()> {
        let (store, keys) = (self.replica().store(), self.keys());
        let mut after = String::new();
        loop {
            let query = NoteQuery::Prefix { prefix: keys.versions.clone(), after, limit: 1_000 };
            let found = store.notes(query).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = last.key.clone();
            let others = found.into_iter().map(|note| note.key);
            let others: Vec<String> = others.filter(|key| !key.starts_with(&keys.prefix)).collect();
            if !others.is_empty() {
                store.edit(Vec::new(), others).await?;
            }
        }
    }
}
