//! Folding an aggregate whose past has changed: from its history, or from a state before what has changed.
//!
//! Beside the state of such an aggregate, its *base* is kept: the fold of its events up to one that all later ones have
//! seen. **Invariant**: what comes after a base has seen all of it, and decides only between events that have. So it is
//! later in canonical order, and which events of the base stand does not depend on it.

use std::collections::HashMap;

use synckit_core::{
    AggregateId, Event, EventId, EventStore, Note, Position, Query, Result, StoredEvent, VectorClock,
};
use synckit_plan::{Decision, Entry, Heads, History, Kept as Keeps, Resolution, Standing};

use crate::blocking::blocking;
use crate::damage::DamagedRow;
use crate::view::follow::{Step, apply};
use crate::view::kept::{Kept, Top};
use crate::view::{View, ViewHandle};

/// The fewest events that a base is made of first.
const WORTH: usize = 8;

impl<S: EventStore, V: View> ViewHandle<S, V> {
    /// Folds an aggregate again: from its base, or from the start if asked to or if the base has changed. `rows` are the
    /// keys of the rows that it had before.
    pub(super) async fn fold(
        &self,
        step: &mut Step,
        aggregate: &AggregateId,
        rows: Vec<String>,
        from_start: bool,
    ) -> Result<()> {
        let key = self.keys().base(aggregate.as_str());
        let mut base =
            if from_start { None } else { self.kept(&self.facts(vec![key.clone()]).await?, &key)? };
        let after = base.as_ref().map_or(0, |base| base.upto);
        let (mut events, mut upto) = self.events_of(step, aggregate, after).await?;
        if base.as_ref().is_some_and(|base| !carries(base, &events)) {
            base = None;
            (events, upto) = self.events_of(step, aggregate, 0).await?;
        }
        let (view, upcasters) = (self.inner.view.clone(), self.replica().settings().upcasters.clone());
        let (holds, base_key) = (base.is_some(), key.clone());
        let (kept, base) = blocking(move || {
            let at: HashMap<EventId, Position> =
                events.iter().map(|stored| (stored.event.id.clone(), stored.position)).collect();
            let history = History::of(events.into_iter().map(|stored| stored.event).collect())?;
            let cut = cut(history.entries(), &at, holds);
            let (mut heads, mut next) = (Heads::default(), None);
            let mut state = base.map(|base| base.state).unwrap_or_default();
            for (number, Entry { event, standing }) in history.entries().iter().enumerate() {
                heads.add(event);
                if *standing == Standing::Live {
                    apply(&*view, &upcasters, &mut state, &History::content(event)?);
                }
                if let Some((upto, _)) = cut.filter(|(_, last)| *last == number) {
                    let base = Kept { upto, top: Some(Top::of(event)), rows: Vec::new(), state: &state };
                    next = Some(Note::json(base_key.clone(), &base)?);
                }
            }
            let top = heads.iter().next().filter(|_| !heads.in_conflict());
            let top = top.map(|head| Top { clock: head.clock.clone(), time: head.time });
            Ok((Kept { upto, top, rows: Vec::new(), state }, next))
        })
        .await?;
        match base {
            Some(base) => step.put(base),
            None if holds => {}
            None => drop(step.delete.insert(key)),
        }
        self.keep(step, aggregate, kept, rows)
    }

    /// Reads the events of an aggregate after a position, and says up to which position. Damaged rows are passed over and
    /// noted.
    async fn events_of(
        &self,
        step: &mut Step,
        aggregate: &AggregateId,
        mut after: Position,
    ) -> Result<(Vec<StoredEvent>, Position)> {
        let (store, mut events) = (self.replica().store(), Vec::new());
        loop {
            match store.read(Query::after(after).of_aggregate(aggregate.clone())).await {
                Ok(page) => {
                    step.has_read(&page);
                    events.extend(page.events);
                    after = page.scanned_to;
                    if !page.more {
                        return Ok((events, after));
                    }
                }
                Err(error) => {
                    let row = DamagedRow::of(&error).ok_or(error)?;
                    if !step.at.gaps.contains(&row.position) {
                        step.at.gaps.push(row.position);
                    }
                    after = row.position;
                }
            }
        }
    }
}

/// Returns whether all these events come after a base.
fn carries<T>(base: &Kept<T>, events: &[StoredEvent]) -> bool {
    let Some(top) = &base.top else { return false };
    events.iter().all(|StoredEvent { event, .. }| match event.is_derived() {
        false => top.is_before(event),
        true => top.time < event.time && floor(event).is_some_and(|floor| top.clock.is_covered_by(&floor)),
    })
}

/// Returns what an event has seen; of a decision, what all events have seen that it is about. `None` for what may change
/// other events.
fn floor(event: &Event) -> Option<VectorClock> {
    if event.dot.is_some() {
        return Some(event.clock.clone());
    }
    let Resolution { base, decision, .. } = Resolution::read(event).ok()?;
    Some(match decision {
        Decision::Keep(Keeps::Seen(_, clock) | Keeps::Resolution(_, clock)) => base.meet(&clock),
        _ => base,
    })
}

/// Finds the last event that has seen all before it, and that one or more events after it have seen, and all of them. If
/// there is none, and no base holds, takes the last event of all. Returns the position up to which all up to there are in
/// the log, and its number.
fn cut(entries: &[Entry], at: &HashMap<EventId, Position>, holds: bool) -> Option<(Position, usize)> {
    let position = |event: &Event| at.get(&event.id).copied().unwrap_or(Position::MAX);
    let (mut heads, mut last) = (Heads::default(), 0);
    let mut before = Vec::with_capacity(entries.len());
    for Entry { event, .. } in entries {
        heads.add(event);
        last = position(event).max(last);
        let alone = !heads.in_conflict() && heads.contains(&event.id);
        before.push((alone, last));
    }
    let first = if holds { 0 } else { WORTH - 1 };
    let mut later: Option<(VectorClock, Position)> = None;
    for number in (first..entries.len()).rev() {
        let (event, (alone, upto)) = (&entries[number].event, before[number]);
        if let Some((seen, first)) = &later {
            let parts = alone && upto < *first && event.clock.is_covered_by(seen);
            if parts && event.time < entries[number + 1].event.time {
                return Some((upto, number));
            }
        }
        let seen = floor(event)?;
        later = Some(match later {
            Some((all, first)) => (all.meet(&seen), first.min(position(event))),
            None => (seen, position(event)),
        });
    }
    let (alone, upto) = *before.last()?;
    (alone && !holds && entries.len() >= WORTH).then(|| (upto, entries.len() - 1))
}
