//! Catching up with the log: page by page, each in one commit with the place that it reaches.

use std::collections::{BTreeMap, BTreeSet};

use synckit_core::{
    AggregateId, Event, EventStore, Facts, Needs, Note, NoteQuery, Page, Position, Result, StoredEvent,
};
use synckit_plan::StoreExt;

use crate::bound::{Bound, Place, read_to};
use crate::damage::DamagedRow;
use crate::upcast::Upcasters;
use crate::view::ahead::{Ahead, Part};
use crate::view::kept::{Advance, At, Kept, Top, check};
use crate::view::{View, ViewHandle};

/// The most notes that are deleted in one commit.
const CLEARED: usize = 1_000;

/// What one commit changes.
pub(super) struct Step {
    pub(super) at: At,
    /// The furthest place of the log that was read for it.
    read: Place,
    /// The value of the note that says up to where the view has the log.
    was: Option<Vec<u8>>,
    put: BTreeMap<String, Vec<u8>>,
    pub(super) delete: BTreeSet<String>,
}

impl Step {
    fn from(at: At, was: Option<Vec<u8>>) -> Self {
        Step { at, read: (0, None), was, put: BTreeMap::new(), delete: BTreeSet::new() }
    }

    /// Notes that the log was read up to this place.
    pub(super) fn has_read(&mut self, page: &Page) {
        if page.scanned_to > self.read.0 {
            self.read = read_to(page);
        }
    }

    pub(super) fn put(&mut self, note: Note) {
        self.put.insert(note.key, note.value);
    }
}

impl<S: EventStore, V: View> ViewHandle<S, V> {
    /// Takes everything that the log holds now into the states. Reads do so by themselves.
    ///
    /// A view that is new, or has another version than before, is built from the whole log. That takes a while, can be
    /// broken off at any time, and goes on from there. `progress` is called with the positions that were reached and that
    /// the log ends at.
    ///
    /// # Errors
    /// Those of the store; `Invalid` for rows with keys that cannot be kept; `Corrupt` when a state or a resolution cannot
    /// be read.
    pub async fn catch_up(&self, mut progress: impl FnMut(Position, Position)) -> Result<()> {
        let _one_at_a_time = self.inner.following.lock().await;
        let (mut tried, mut ahead, mut until) = (false, Ahead::of(self.replica()), Position::MAX);
        loop {
            let facts = self.facts(Vec::new()).await?;
            let (was, at) = self.at(&facts)?;
            // Whoever goes on writing keeps nobody from an answer. The log may be replaced by a shorter one.
            until = until.min(facts.head.position);
            progress(at.upto, until);
            if at.upto >= until && !at.clears && (at.gaps.is_empty() || tried) {
                return Ok(());
            }
            let mut step = Step::from(at, was);
            if step.at.clears {
                self.clear(&mut step).await?;
                self.advance(step).await?;
            } else if !step.at.gaps.is_empty() && !tried {
                tried = true;
                self.close_gaps(&mut step).await?;
                self.advance(step).await?;
            } else {
                let part = ahead.part(step.at.upto, until).await?;
                self.follow(&mut step, part).await?;
                self.advance(step).await?;
            }
        }
    }

    /// Deletes all that is kept, and builds the view again from the log. It can be broken off, and goes on with the next
    /// read.
    ///
    /// # Errors
    /// Same as [`ViewHandle::catch_up`].
    pub async fn rebuild(&self, progress: impl FnMut(Position, Position)) -> Result<()> {
        let at = At { clears: true, ..At::default() };
        self.replica().store().edit(vec![Note::json(self.keys().at.clone(), &at)?], Vec::new()).await?;
        self.catch_up(progress).await
    }

    /// Reads where the view stands and where the log ends, and these notes.
    pub(super) async fn facts(&self, mut notes: Vec<String>) -> Result<Facts> {
        notes.push(self.keys().at.clone());
        self.replica().store().facts(Needs { notes, ..Needs::default() }).await
    }

    /// Returns up to where the view has the log, also as it is noted.
    pub(super) fn at(&self, facts: &Facts) -> Result<(Option<Vec<u8>>, At)> {
        let key = &self.keys().at;
        let note = facts.note(key);
        let at = note.map(|value| Note::read(key, value)).transpose()?;
        Ok((note.map(<[u8]>::to_vec), at.unwrap_or_default()))
    }

    /// Returns the state under this key, if there is one.
    pub(super) fn kept(&self, facts: &Facts, key: &str) -> Result<Option<Kept<V::State>>> {
        facts.note(key).map(|value| Kept::read(key, value)).transpose()
    }

    /// Deletes some of what was kept before.
    async fn clear(&self, step: &mut Step) -> Result<()> {
        let (prefix, after) = (self.keys().prefix.clone(), String::new());
        let limit = CLEARED + 1;
        let found = self.replica().store().notes(NoteQuery::Prefix { prefix, after, limit }).await?;
        step.at.clears = found.len() == limit;
        step.delete.extend(found.into_iter().map(|note| note.key).filter(|key| *key != self.keys().at));
        Ok(())
    }

    /// Folds the aggregates again whose damaged rows were mended.
    async fn close_gaps(&self, step: &mut Step) -> Result<()> {
        let mut mended = BTreeSet::new();
        for position in std::mem::take(&mut step.at.gaps) {
            match self.replica().store().stored_at(position).await {
                Ok(stored) => mended.extend(stored.map(|stored| stored.event.aggregate_id)),
                Err(error) if DamagedRow::of(&error).is_some() => step.at.gaps.push(position),
                Err(error) => return Err(error),
            }
        }
        for aggregate in mended {
            let key = self.keys().state(aggregate.as_str());
            let facts = self.facts(vec![key.clone()]).await?;
            let kept = self.kept(&facts, &key)?;
            let rows = kept.map(|kept| kept.rows).unwrap_or_default();
            self.fold(step, &aggregate, rows, true).await?;
        }
        Ok(())
    }

    /// Takes a part of the log into the states.
    async fn follow(&self, step: &mut Step, (page, damaged): Part) -> Result<()> {
        step.has_read(&page);
        step.at.upto = page.scanned_to;
        step.at.gaps.extend(damaged.map(|row| row.position));
        let mut touched: BTreeMap<AggregateId, Vec<StoredEvent>> = BTreeMap::new();
        for stored in page.events {
            touched.entry(stored.event.aggregate_id.clone()).or_default().push(stored);
        }
        let keys = touched.keys().map(|aggregate| self.keys().state(aggregate.as_str())).collect();
        let facts = self.facts(keys).await?;
        for (aggregate, events) in touched {
            let kept = self.kept(&facts, &self.keys().state(aggregate.as_str()))?;
            let (upto, rows) = kept.as_ref().map(|kept| (kept.upto, kept.rows.clone())).unwrap_or_default();
            if events.last().is_none_or(|last| last.position <= upto) {
                continue;
            }
            match self.on_top(kept, &events) {
                Some(kept) => self.keep(step, &aggregate, kept, rows)?,
                None => self.fold(step, &aggregate, rows, false).await?,
            }
        }
        Ok(())
    }

    /// Applies those of these events that are new to what is kept, if each of them has seen everything before it.
    fn on_top(&self, kept: Option<Kept<V::State>>, events: &[StoredEvent]) -> Option<Kept<V::State>> {
        let is_first = kept.is_none();
        let mut kept = kept.unwrap_or_default();
        let upto = kept.upto;
        let new = events.iter().filter(|stored| stored.position > upto);
        for (number, StoredEvent { position, event, .. }) in new.enumerate() {
            let fits = match &kept.top {
                Some(top) => top.is_before(event),
                None => is_first && number == 0 && event.dot.is_some(),
            };
            if !fits {
                return None;
            }
            apply(&*self.inner.view, &self.replica().settings().upcasters, &mut kept.state, event);
            (kept.top, kept.upto) = (Some(Top::of(event)), *position);
        }
        Some(kept)
    }

    /// Keeps a state and its rows.
    pub(super) fn keep(
        &self,
        step: &mut Step,
        aggregate: &AggregateId,
        mut kept: Kept<V::State>,
        before: Vec<String>,
    ) -> Result<()> {
        let rows = self.inner.view.rows(aggregate, &kept.state);
        check(&rows, aggregate)?;
        step.delete.extend(before.iter().map(|key| self.keys().row(key, aggregate)));
        for row in &rows {
            step.put(Note::json(self.keys().row(&row.key, aggregate), &row.value)?);
        }
        kept.rows = rows.into_iter().map(|row| row.key).collect();
        step.put(Note::json(self.keys().state(aggregate.as_str()), &kept)?);
        Ok(())
    }

    /// Commits a step, unless another handle of this view has gone on from the same place, or another log has taken the
    /// place of the one that was read.
    async fn advance(&self, step: Step) -> Result<()> {
        let Step { at, read, was, put, delete } = step;
        let delete = delete.into_iter().filter(|key| !put.contains_key(key)).collect();
        let put = put.into_iter().map(|(key, value)| Note { key, value });
        let at = Note::json(self.keys().at.clone(), &at)?;
        let planner = Advance { key: at.key.clone(), was, put: put.chain([at]).collect(), delete };
        let advance = Bound::to_places(vec![read], planner);
        if self.replica().store().commit(advance).await? != Some(true) {
            tracing::trace!(view = self.inner.view.name(), "another handle, or another log");
        }
        Ok(())
    }
}

/// Adds an event to a state, as this program would have written it.
pub(super) fn apply<V: View>(view: &V, upcasters: &Upcasters, state: &mut V::State, event: &Event) {
    match upcasters.read(event) {
        Ok(event) => view.apply(state, &event),
        Err(error) => {
            tracing::debug!(view = view.name(), event = %event.id, %error, "an event cannot be read by this program");
            view.apply_unknown(state, event);
        }
    }
}
