//! What a batch of events has brought so far.

use std::collections::HashMap;

use synckit_core::{Event, EventId};

/// What a batch has brought so far. As long as ids arrive in ascending order, as one author makes them, no lookup is
/// needed and no table is built.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    events: &'a [Event],
    /// For each event judged so far, whether it is new.
    pub(super) new: Vec<bool>,
    /// The greatest id of a new event.
    last: Option<&'a EventId>,
    /// New events by id.
    ids: Option<HashMap<&'a EventId, &'a Event>>,
}

impl<'a> Batch<'a> {
    pub(super) fn of(events: &'a [Event]) -> Self {
        Batch { events, new: Vec::with_capacity(events.len()), last: None, ids: None }
    }

    pub(super) fn judged(&mut self, event: &'a Event, new: bool) {
        self.new.push(new);
        if !new {
            return;
        }
        self.last = self.last.max(Some(&event.id));
        if let Some(ids) = &mut self.ids {
            ids.insert(&event.id, event);
        }
    }

    /// Returns the new event with this id.
    pub(super) fn named(&mut self, id: &EventId) -> Option<&'a Event> {
        if self.last < Some(id) {
            return None;
        }
        let Batch { events, new, ids, .. } = self;
        let ids = ids.get_or_insert_with(|| {
            let mut ids = HashMap::with_capacity(events.len());
            ids.extend(new_of(events, new).map(|event| (&event.id, event)));
            ids
        });
        ids.get(id).copied()
    }
}

/// Iterates over the events judged so far that are new.
fn new_of<'a>(events: &'a [Event], new: &[bool]) -> impl Iterator<Item = &'a Event> {
    events.iter().zip(new).filter(|(_, new)| **new).map(|(event, _)| event)
}
