//! Commits that follow from what was read of the log, and are made only if that log is still there.

use synckit_core::{EventId, Facts, Mark, Needs, Page, Plan, Planner, Position, Result, Step};

/// A place up to which the log was read: the position, and the mark there.
pub(crate) type Place = (Position, Option<Mark>);

/// Returns the place up to which a page was read.
pub(crate) fn read_to(page: &Page) -> Place {
    (page.scanned_to, page.upto)
}

/// A commit that is made only if the log holds these places and these events. Its outcome is `None` if it lacks one: the
/// log was restored from a backup since.
#[derive(Clone, Debug)]
pub(crate) struct Bound<P> {
    places: Vec<Place>,
    events: Vec<EventId>,
    planner: P,
}

impl<P> Bound<P> {
    pub(crate) fn to_places(places: Vec<Place>, planner: P) -> Self {
        Bound { places, events: Vec::new(), planner }
    }

    pub(crate) fn to_events(events: Vec<EventId>, planner: P) -> Self {
        Bound { places: Vec::new(), events, planner }
    }
}

impl<P: Planner> Planner for Bound<P> {
    type Outcome = Option<P::Outcome>;

    fn needs(&mut self) -> Needs {
        let mut needs = self.planner.needs();
        needs.places.extend(self.places.iter().map(|(position, _)| *position));
        needs.ids.extend(self.events.iter().cloned());
        needs
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Self::Outcome>> {
        let lacks_place = |(position, mark): &Place| facts.places.get(position).copied() != *mark;
        let lacks_event = |id: &EventId| facts.position(id).is_none();
        if self.places.iter().any(lacks_place) || self.events.iter().any(lacks_event) {
            return Ok(Step::Write(Plan::default(), None));
        }
        Ok(match self.planner.plan(facts, round)? {
            Step::Fetch(needs) => Step::Fetch(needs),
            Step::Write(plan, outcome) => Step::Write(plan, Some(outcome)),
        })
    }
}
