//! Fresh dots for local events that were never handed out.
//!
//! A replica that was restored from a backup may have recorded events before it found out. Their dots name other events
//! elsewhere, and their clocks contain such dots. Before they are handed out they get dots under a fresh name, and
//! clocks that say what their author had really seen. Ids, positions and content stay the same. Events far ahead of the
//! correct time get the correct time, which is possible for the same reason: nobody knows them yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use synckit_core::{
    AggregateId, Dot, ErrorKind, Event, EventId, Facts, Identity, Needs, NodeId, Note, Plan, Planner,
    Position, Renewal, Result, Step, StoredEvent, Timestamp, VectorClock,
};

use crate::Entropy;
use crate::conflict::{Heads, Resolution};
use crate::ledger::{Ledger, put};
use crate::notes::{self, Latest};
use crate::restamp::Restamp;

/// Gives fresh dots to local events that were never handed out, in one commit. Many events take several: each has whole
/// aggregates, because clocks say nothing of other aggregates.
#[derive(Clone, Debug)]
pub struct Renumber {
    /// The events, with their aggregates.
    pub events: BTreeMap<EventId, AggregateId>,
    /// Whether their dots may be taken; if not, only their times are corrected.
    pub taken: bool,
    /// The fresh name that an earlier part took.
    pub name: Option<NodeId>,
    /// Whether this is the last part. Until then, the log counts as one whose dots may be taken.
    pub last: bool,
    /// The position up to which the log was handed out. Events derived here after it follow the renumbered events. If
    /// more was handed out since, the plan does nothing.
    pub handed: Position,
    /// The position up to which the log was read. If the log has grown since, the plan does nothing.
    pub head: Position,
    /// The correct time, in Unix milliseconds, as far as it is known.
    pub now: u64,
    /// How far ahead of that time an event may be.
    pub drift: Duration,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

/// The result of renumbering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renumbered {
    /// The number of events that got another stamp.
    pub events: usize,
    /// The name this replica authors under now.
    pub author: NodeId,
    /// The last position of the log.
    pub head: Position,
}

impl Planner for Renumber {
    type Outcome = Option<Renumbered>;

    fn needs(&mut self) -> Needs {
        let aggregates: BTreeSet<&AggregateId> = self.events.values().collect();
        let mut keys =
            vec![Note::NODE.to_owned(), notes::CONFLICT_COUNT.to_owned(), notes::HANDED.to_owned()];
        keys.extend(aggregates.iter().map(|aggregate| notes::heads(aggregate)));
        Needs { notes: keys, histories: aggregates.into_iter().cloned().collect(), ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Option<Renumbered>>> {
        let mut ledger = Ledger::open(facts, 0)?;
        if round == 1 {
            let notes = vec![notes::origin(&ledger.identity.author)];
            return Ok(Step::Fetch(Needs { notes, ..Needs::default() }));
        }
        if facts.head.position != self.head || notes::handed(facts)? > self.handed {
            return Ok(Step::Write(Plan::default(), None));
        }
        if self.taken {
            ledger.identity = self.with_unused_name(facts, &mut ledger)?;
        }
        let identity = ledger.identity.clone();
        let mut numbering = Numbering::of(self, facts, identity.clone(), &mut ledger)?;
        let (mut plan, mut heads, mut latest) = (Plan::default(), BTreeMap::<_, Vec<Event>>::new(), None);
        let mut stored: Vec<&StoredEvent> = facts.histories.values().flatten().collect();
        stored.sort_unstable_by_key(|stored| stored.position);
        let taken: BTreeSet<&EventId> = stored.iter().map(|stored| &stored.event.id).collect();
        for stored in &stored {
            let events = heads.entry(stored.event.aggregate_id.clone()).or_default();
            let moved = numbering.moved(stored, events)?;
            let moved = moved.filter(|event| event.id == stored.event.id || !taken.contains(&event.id));
            if let Some(event) = &moved {
                if let (Some(dot), Some(was)) = (&event.dot, &stored.event.dot) {
                    let restamp = Restamp::event_of(event, was)?;
                    plan.derived.extend(Some(restamp).filter(|restamp| !taken.contains(&restamp.id)));
                    latest = (dot.node == identity.author)
                        .then(|| Latest { counter: dot.counter, event: event.id.clone() })
                        .or(latest);
                }
                // A copy that was made before still has the old stamps: from here on its log is another one.
                plan.remark = plan.remark.or(Some(stored.position));
                plan.replace.push((stored.position, event.clone()));
            }
            events.push(moved.unwrap_or_else(|| stored.event.clone()));
        }
        for (aggregate, events) in heads {
            ledger.set_heads(&aggregate, Heads::among(events.iter()))?;
        }
        let origin = |latest: Latest| put(notes::origin(&identity.author), latest.to_string());
        let notes: Vec<Note> = latest.filter(|_| self.taken).map(origin).into_iter().collect();
        let head = facts.head.position + plan.appends() as Position;
        let done = Renumbered { events: plan.replace.len(), author: identity.author.clone(), head };
        let plan = ledger.finish(self.now, &self.entropy, plan, notes)?;
        Ok(Step::Write(plan, Some(done)))
    }
}

impl Renumber {
    /// Returns whether this is a resolution derived here that nobody was sent, so that it follows the renumbered events.
    fn follows(&self, stored: &StoredEvent) -> bool {
        stored.event.is_resolution() && stored.source.is_none() && stored.position > self.handed
    }

    /// Returns the identity with a name under which nothing has been recorded yet, and with the suspicion cleared.
    fn with_unused_name(&self, facts: &Facts, ledger: &mut Ledger<'_>) -> Result<Identity> {
        let identity = ledger.identity.clone();
        let mut unused = match ledger.counter(&identity.author)? {
            0 => identity,
            _ if self.events.is_empty() || self.name.as_ref() == Some(&identity.author) => identity,
            _ => {
                let why = identity.former.last().map_or(Renewal::SetBack, |former| former.why);
                identity.renewed(facts.head.store, why, self.now, self.entropy.suffix())
            }
        };
        unused.suspect &= !self.last;
        Ok(unused)
    }
}

/// The mapping from old dots to new ones.
struct Numbering<'a> {
    wanted: &'a Renumber,
    identity: Identity,
    /// The new counters of the moved events, by their old dots.
    counters: HashMap<Dot, u64>,
    /// For each aggregate, the old dots of moved events and the dots of local events that stay.
    own: HashMap<&'a AggregateId, (Vec<&'a Dot>, Vec<&'a Dot>)>,
    /// The new ids and clocks of resolutions, by their old ids.
    resolutions: HashMap<EventId, (EventId, VectorClock)>,
    /// The decisions that are overridden by decisions which keep their ids.
    overridden: BTreeSet<EventId>,
    /// The old dots of the events that get another stamp.
    changed: BTreeSet<Dot>,
}

impl<'a> Numbering<'a> {
    fn of(
        wanted: &'a Renumber,
        facts: &'a Facts,
        identity: Identity,
        ledger: &mut Ledger<'_>,
    ) -> Result<Self> {
        let mut next = if wanted.taken { ledger.counter(&identity.author)? } else { 0 };
        let (mut counters, mut own) = (HashMap::new(), HashMap::<_, (Vec<_>, Vec<_>)>::new());
        let mut overridden = BTreeSet::new();
        let mut stored: Vec<&StoredEvent> = facts.histories.values().flatten().collect();
        stored.sort_unstable_by_key(|stored| stored.position);
        for stored in stored.iter().rev() {
            if !wanted.follows(stored) || overridden.contains(&stored.event.id) {
                overridden.extend(Resolution::overridden(&stored.event));
            }
        }
        for StoredEvent { event, .. } in stored {
            let Some(dot) = event.dot.as_ref().filter(|dot| identity.is_own(&dot.node)) else { continue };
            let (moved, stays) = own.entry(&event.aggregate_id).or_default();
            if wanted.taken && wanted.events.contains_key(&event.id) {
                next += 1;
                counters.insert(dot.clone(), next);
                moved.push(dot);
            } else {
                stays.push(dot);
            }
        }
        let (resolutions, changed) = (HashMap::new(), BTreeSet::new());
        Ok(Numbering { wanted, identity, counters, own, resolutions, overridden, changed })
    }

    /// Returns the event with its new stamp, if it gets one. `before` are the events of its aggregate that precede it.
    fn moved(&mut self, stored: &StoredEvent, before: &[Event]) -> Result<Option<Event>> {
        let event = &stored.event;
        let wanted = self.wanted.events.contains_key(&event.id);
        let follows = self.wanted.follows(stored) && !self.overridden.contains(&event.id);
        if !wanted && !follows {
            return Ok(None);
        }
        if follows {
            return match self.resolution(event, before) {
                // Its clock has no room for the new name, or it names events of others by dots that are no longer there.
                Err(error) if matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Invalid) => Ok(None),
                moved => Ok(Some(moved?).filter(|moved| moved != event)),
            };
        }
        let mut moved = event.clone();
        moved.clock = self.clock(&event.aggregate_id, &event.clock)?;
        moved.dot = event.dot.as_ref().map(|dot| self.dot(dot));
        if event.time.drifts(self.wanted.now, self.wanted.drift) {
            let causes = before.iter().filter(|cause| moved.has_seen(cause)).map(|cause| cause.time);
            moved.time = Timestamp::after(self.wanted.now, causes);
        }
        if moved == *event {
            return Ok(None);
        }
        self.changed.extend(event.dot.clone());
        Ok(Some(moved))
    }

    /// Rebuilds a resolution with its renumbered sides, one tick later than the latest of them. Its id follows from
    /// that. One that names nothing that changes stays as it is: others may have decided alike.
    fn resolution(&mut self, event: &Event, before: &[Event]) -> Result<Event> {
        let aggregate = &event.aggregate_id;
        // The stamps of others stay, and so does what a resolution repeats of them.
        let moved = |dot: &Dot, clock: &VectorClock| {
            let moves = self.counters.contains_key(dot);
            moves.then(|| Ok((self.dot(dot), self.clock(aggregate, clock)?))).transpose()
        };
        let was = Resolution::read(event)?;
        let resolution = was.map_stamps(moved, |id| self.resolutions.get(id).cloned())?;
        if resolution == was && !was.sides.iter().any(|side| self.changed.contains(&side.dot)) {
            return Ok(event.clone());
        }
        let time_of = |dot: &Dot| before.iter().find(|event| event.dot.as_ref() == Some(dot));
        let times = resolution.sides.iter().map(|side| time_of(&side.dot).map(|event| event.time));
        let latest = times.collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max());
        let moved = resolution.into_event(aggregate.clone(), latest.map_or(event.time, Timestamp::next))?;
        Resolution::check(&moved)?;
        self.resolutions.insert(event.id.clone(), (moved.id.clone(), moved.clock.clone()));
        Ok(moved)
    }

    fn dot(&self, dot: &Dot) -> Dot {
        match self.counters.get(dot) {
            Some(counter) => Dot::new(self.identity.author.clone(), *counter),
            None => dot.clone(),
        }
    }

    /// Translates a clock of this aggregate to the new numbering. For local names it contains what is held.
    fn clock(&self, aggregate: &AggregateId, clock: &VectorClock) -> Result<VectorClock> {
        let Some((moved, stays)) = self.own.get(aggregate).filter(|(moved, _)| !moved.is_empty()) else {
            return Ok(clock.clone());
        };
        let mut new = VectorClock::from_entries(
            clock.iter().filter(|(node, _)| !self.identity.is_own(node)).map(|(node, n)| (node.clone(), n)),
        )?;
        for dot in moved.iter().filter(|dot| clock.has_seen(dot)) {
            new.observe(&self.dot(dot))?;
        }
        for dot in stays.iter().filter(|dot| clock.has_seen(dot)) {
            // What has no room in the clock counts as not seen.
            let _ = new.observe(dot);
        }
        Ok(new)
    }
}
