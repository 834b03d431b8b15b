//! Conflicts, and what is true now, as this program would have written them.

use std::borrow::Cow;
use std::sync::Arc;

use synckit_core::{ErrorKind, Event, Result};
use synckit_plan::{Answer, Branch, Conflict, ConflictResolver, Current, Fingerprint, Ruling};

use crate::upcast::Upcasters;

impl Upcasters {
    /// Returns what is true now, with events as this program would have written them.
    pub(crate) fn current(&self, current: Current) -> Current {
        match current {
            Current::Nothing => Current::Nothing,
            Current::One(event) => Current::One(self.shared(&event)),
            Current::Several(events) => Current::Several(self.all(&events)),
            Current::InConflict(conflict) => Current::InConflict(Box::new(self.conflict(&conflict))),
        }
    }

    /// Returns a conflict, with events as this program would have written them. A decision on it is the same.
    pub(crate) fn conflict(&self, conflict: &Conflict) -> Conflict {
        let branch = |Branch { head, stands_for, shows, events }: &Branch| Branch {
            head: self.shared(head),
            stands_for: self.shared(stands_for),
            shows: self.all(shows),
            events: self.all(events),
        };
        Conflict {
            aggregate_id: conflict.aggregate_id.clone(),
            base: self.all(&conflict.base),
            whole: conflict.whole,
            branches: conflict.branches.iter().map(branch).collect(),
            settled_by: conflict.settled_by.as_ref().map(|event| self.shared(event)),
        }
    }

    /// Returns whether a newer program has written something that this conflict shows.
    fn is_behind(&self, conflict: &Conflict) -> bool {
        let newer =
            |event: &Arc<Event>| self.read(event).is_err_and(|error| error.kind() == ErrorKind::Unsupported);
        conflict.base.iter().chain(conflict.branches.iter().flat_map(|branch| &branch.shows)).any(newer)
    }

    fn all(&self, events: &[Arc<Event>]) -> Vec<Arc<Event>> {
        events.iter().map(|event| self.shared(event)).collect()
    }

    fn shared(&self, event: &Arc<Event>) -> Arc<Event> {
        match self.read(event) {
            Ok(Cow::Owned(read)) => Arc::new(read),
            _ => event.clone(),
        }
    }
}

/// A resolver that gets events as this program would have written them.
pub(crate) struct Reading {
    pub(crate) resolver: Arc<dyn ConflictResolver>,
    pub(crate) upcasters: Arc<Upcasters>,
}

impl ConflictResolver for Reading {
    fn name(&self) -> &str {
        self.resolver.name()
    }

    /// One that can read more is another resolver.
    fn fingerprint(&self) -> Fingerprint {
        match self.resolver.fingerprint() {
            Fingerprint::Lasting(text) if !self.upcasters.0.is_empty() => {
                Fingerprint::Lasting(format!("{text} {:?}", self.upcasters))
            }
            fingerprint => fingerprint,
        }
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        let ruling = self.resolver.resolve(&self.upcasters.conflict(conflict))?;
        if matches!(ruling.answer, Answer::Merge(_)) && self.upcasters.is_behind(conflict) {
            return Ok(
                Ruling::from(Answer::Review).because("a newer program has to merge what it has written")
            );
        }
        self.upcasters.label_merge(ruling)
    }
}
