//! The events of an aggregate, looked up as decisions name them.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use synckit_core::{Dot, Event, EventId, Result};

use crate::conflict::Kept;
use crate::restamp::Restamp;

/// The events of an aggregate without restamps, and the former dots of those that had others.
#[derive(Debug)]
pub(super) struct Events {
    all: Vec<Arc<Event>>,
    former: HashMap<Dot, EventId>,
}

impl Events {
    pub(super) fn of(events: impl IntoIterator<Item = Event>) -> Result<Self> {
        let mut found = Events { all: Vec::new(), former: HashMap::new() };
        for event in events {
            if event.is_restamp() {
                let Restamp { event, was, .. } = Restamp::read(&event)?;
                found.former.insert(was, event);
            } else {
                found.all.push(Arc::new(event));
            }
        }
        Ok(found)
    }

    /// Returns the event that a decision keeps: the one that has its dot, or had it when the decision was made.
    pub(super) fn kept(&self, kept: &Kept) -> Option<&Arc<Event>> {
        self.all.iter().find(|event| kept.is(event)).or_else(|| {
            let (Kept::Side(dot) | Kept::Seen(dot, _)) = kept else { return None };
            let id = self.former.get(dot)?;
            self.all.iter().find(|event| event.id == *id)
        })
    }
}

impl Deref for Events {
    type Target = [Arc<Event>];

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}
