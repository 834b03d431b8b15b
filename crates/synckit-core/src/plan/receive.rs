//! Events from a peer: each is new, held already, or refused with its reason; none stops the rest.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::clock::{Dot, VectorClock};
use crate::conflict::Resolution;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, author};
use crate::ids::{AggregateId, EventId, NodeId, StoreId};
use crate::limits::Limits;
use crate::notes::{self, Aside, Note};
use crate::plan::ledger::{self, Ledger};
use crate::plan::{Outcome, Step};
use crate::store::{Facts, Needs};
use crate::transport::{Placed, RefusalCode, Refused};
use crate::version::Position;

/// Stores events from elsewhere, together with the checkpoint that they bring forward.
#[derive(Clone, Debug)]
pub struct Receive {
    /// The store they came from; `None` for a resolution derived here, which is not checked again.
    pub source: Option<StoreId>,
    /// The events, in the order of the log they came from.
    pub events: Vec<Event>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// What an event may be at most.
    pub limits: Limits,
    /// Whether refused events are kept in the notebook, so that the checkpoint may pass them.
    pub set_aside: bool,
    /// Notes written in the same commit: the checkpoint.
    pub notes: Vec<Note>,
    /// Notes written in the same commit unless an event was refused.
    pub notes_if_complete: Vec<Note>,
    /// Keys deleted in the same commit, unless it puts them again.
    pub delete: Vec<String>,
}

/// What became of received events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How many were new.
    pub accepted: usize,
    /// How many were held already.
    pub duplicates: usize,
    /// Those that were not stored, and why.
    pub refused: Vec<Refused>,
    /// Where the new ones stand.
    pub placed: Option<Placed>,
    /// The aggregates that came into conflict by it.
    pub conflicts: Vec<AggregateId>,
    /// The new name this replica authors under: an event of its own, or one it had adopted, that it did not hold has
    /// shown that it was restored from an older copy.
    pub renamed: Option<NodeId>,
}

impl Receive {
    /// Stores these events from a peer, without notes.
    pub fn new(source: Option<StoreId>, events: Vec<Event>, now: u64, limits: Limits) -> Self {
        Receive {
            source,
            events,
            now,
            limits,
            set_aside: false,
            notes: Vec::new(),
            notes_if_complete: Vec::new(),
            delete: Vec::new(),
        }
    }

    pub(super) fn needs(&self) -> Needs {
        let mut aggregates: Vec<_> = self.events.iter().map(|event| &event.aggregate_id).collect();
        aggregates.sort_unstable();
        aggregates.dedup();
        let origins: BTreeSet<_> = self.events.iter().filter_map(author).collect();
        let mut keys = Vec::with_capacity(aggregates.len() + origins.len() + 2);
        keys.extend(aggregates.into_iter().map(notes::heads));
        keys.push(notes::NODE.to_owned());
        keys.extend(origins.into_iter().map(notes::origin));
        keys.push(notes::TIME.to_owned());
        let ids = self.events.iter().map(|event| event.id.clone()).collect();
        Needs { ids, notes: keys, ..Needs::default() }
    }

    pub(super) fn plan(&mut self, facts: &Facts, may_ask: bool) -> Result<Step> {
        let dots = if may_ask { self.doubtful_dots(facts)? } else { Vec::new() };
        if !dots.is_empty() {
            return Ok(Step::Fetch(Needs { dots, ..Needs::default() }));
        }
        let successor = ledger::identity(facts)?.renamed();
        let mut events = std::mem::take(&mut self.events);
        let mut ledger = Ledger::open(facts, events.len())?;
        let mut received = Received::default();
        let mut batch = Batch::of(&events);
        for (index, event) in events.iter().enumerate() {
            let verdict = self.judge(&mut ledger, facts, &mut batch, event)?;
            batch.judged(event, matches!(verdict, Verdict::New { .. }));
            match verdict {
                Verdict::New { place } => {
                    if author(event).is_some_and(|author| ledger.identity.writes_as(author)) {
                        ledger.identity = successor.clone();
                        received.renamed = Some(successor.author.clone());
                    }
                    ledger.add_at(place, event)?;
                    received.accepted += 1;
                }
                Verdict::Duplicate => received.duplicates += 1,
                Verdict::Refused(code, message) => {
                    let id = event.id.to_string();
                    if self.set_aside {
                        self.notes.push(self.aside(event, code, &message)?);
                    }
                    received.refused.push(Refused { index, id, code, message });
                }
            }
        }
        let mut new = batch.new.into_iter();
        events.retain(|_| new.next().unwrap_or_default());
        received.conflicts = ledger.new_conflicts();
        received.placed = events.last().map(|last| {
            let position = facts.head.position + received.accepted as Position;
            let upto = Cursor::at(facts.head.store, position, last.id.clone());
            Placed { after: facts.head.position, upto }
        });
        let mut notes = std::mem::take(&mut self.notes);
        if received.refused.is_empty() {
            notes.append(&mut self.notes_if_complete);
        }
        let mut plan = ledger.finish(self.now, events, self.source, notes)?;
        self.delete.retain(|key| plan.put.binary_search_by(|note| note.key.cmp(key)).is_err());
        plan.delete.append(&mut self.delete);
        Ok(Step::Write(plan, Outcome::Received(received)))
    }

    /// The dots that may name another event already: those not beyond the highest counter held of their node.
    fn doubtful_dots(&self, facts: &Facts) -> Result<Vec<Dot>> {
        let mut highest: BTreeMap<&NodeId, u64> = BTreeMap::new();
        let mut dots = Vec::new();
        for event in self.events.iter().filter(|event| !facts.held.contains_key(&event.id)) {
            let Some(dot) = &event.dot else { continue };
            let known = match highest.entry(&dot.node) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(ledger::counter(facts, &dot.node)?),
            };
            if dot.counter <= known {
                dots.push(dot.clone());
            }
        }
        Ok(dots)
    }

    fn judge(
        &self,
        ledger: &mut Ledger<'_>,
        facts: &Facts,
        batch: &mut Batch<'_>,
        event: &Event,
    ) -> Result<Verdict> {
        let refused = |code, message: String| Ok(Verdict::Refused(code, message));
        let earlier = batch.named(&event.id).map(Event::digest);
        if let Some(digest) = earlier.or(facts.held.get(&event.id).map(|held| held.digest)) {
            if digest == event.digest() {
                return Ok(Verdict::Duplicate);
            }
            return refused(
                RefusalCode::IdTaken,
                "the id already names an event with other content".to_owned(),
            );
        }
        if event.size() > self.limits.event_bytes {
            let limit = self.limits.event_bytes;
            return refused(
                RefusalCode::TooLarge,
                format!("the event has {} bytes; at most {limit} are allowed", event.size()),
            );
        }
        let checked = event.check_stamp().and_then(|()| match &event.dot {
            Some(_) => check_type(event),
            // What was derived here was made just now.
            None if self.source.is_none() => Ok(()),
            None => Resolution::check(event),
        });
        if let Err(error) = checked {
            return refused(RefusalCode::Invalid, error.to_string());
        }
        if event.time.drifts(self.now, self.limits.drift()) {
            return refused(
                RefusalCode::ClockDrift,
                format!(
                    "the event's time is {} s ahead of the clock here; check the clocks of both sides",
                    event.time.millis().saturating_sub(self.now) / 1_000
                ),
            );
        }
        let Some(dot) = &event.dot else {
            return self.fits(ledger, event);
        };
        if dot.counter > ledger.counter(&dot.node)? {
            // Beyond all that is held of the node and all that came before in this batch: it names nothing else.
            return self.fits(ledger, event);
        }
        match batch.named_by(dot).or_else(|| facts.dots.get(dot)) {
            Some(other) => refused(
                RefusalCode::ForkedOrigin,
                format!(
                    "the dot {dot} already names the event {other}: two replicas write as node {}",
                    dot.node
                ),
            ),
            None => self.fits(ledger, event),
        }
    }

    /// Whether the aggregate's clock has room for what the event had seen: else it could never be written again.
    fn fits(&self, ledger: &mut Ledger<'_>, event: &Event) -> Result<Verdict> {
        let place = ledger.place(&event.aggregate_id)?;
        let heads = ledger.heads_at(place);
        let most: usize = heads.iter().map(|head| head.clock.len()).sum();
        if most + event.clock.len() <= VectorClock::MAX_NODES {
            return Ok(Verdict::New { place });
        }
        let mut clock = heads.clock()?;
        match clock.merge(&event.clock) {
            Ok(()) => Ok(Verdict::New { place }),
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                Ok(Verdict::Refused(RefusalCode::TooLarge, error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    fn aside(&self, event: &Event, code: RefusalCode, message: &str) -> Result<Note> {
        let peer = self.source.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "an event derived here was refused").with("reason", message)
        })?;
        let mut text = Vec::new();
        event.write_json(&mut text);
        let aside = Aside {
            id: event.id.to_string(),
            peer,
            code,
            message: message.to_owned(),
            position: None,
            again: false,
            event: Some(String::from_utf8_lossy(&text).into_owned()),
        };
        Note::json(notes::aside_in(peer, event.id.as_str()), &aside)
    }
}

fn check_type(event: &Event) -> Result<()> {
    if event.event_type.as_str().starts_with("synckit.") {
        return Err(Error::invalid("an event with a dot has a type reserved for resolutions"));
    }
    Ok(())
}

enum Verdict {
    /// It is stored; its aggregate has this place in the ledger.
    New {
        place: usize,
    },
    Duplicate,
    Refused(RefusalCode, String),
}

/// What a batch has brought so far. Where ids and dots come in ascending order, as one author makes them, neither is
/// looked for, and neither table is made.
#[derive(Debug)]
struct Batch<'a> {
    events: &'a [Event],
    /// For each event that was judged whether it is new.
    new: Vec<bool>,
    /// The greatest id of a new one.
    last: Option<&'a EventId>,
    /// New events by id.
    ids: Option<HashMap<&'a EventId, &'a Event>>,
    /// New events by dot.
    dots: Option<HashMap<&'a Dot, &'a EventId>>,
}

impl<'a> Batch<'a> {
    fn of(events: &'a [Event]) -> Self {
        Batch { events, new: Vec::with_capacity(events.len()), last: None, ids: None, dots: None }
    }

    fn judged(&mut self, event: &'a Event, new: bool) {
        self.new.push(new);
        if !new {
            return;
        }
        self.last = self.last.max(Some(&event.id));
        if let Some(ids) = &mut self.ids {
            ids.insert(&event.id, event);
        }
        if let (Some(dots), Some(dot)) = (&mut self.dots, &event.dot) {
            dots.insert(dot, &event.id);
        }
    }

    /// The new event that has this id.
    fn named(&mut self, id: &EventId) -> Option<&'a Event> {
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

    /// The new event that a dot names.
    fn named_by(&mut self, dot: &Dot) -> Option<&'a EventId> {
        let Batch { events, new, dots, .. } = self;
        let named = |event: &'a Event| Some((event.dot.as_ref()?, &event.id));
        dots.get_or_insert_with(|| new_of(events, new).filter_map(named).collect()).get(dot).copied()
    }
}

/// Those of the events judged so far that are new.
fn new_of<'a>(events: &'a [Event], new: &[bool]) -> impl Iterator<Item = &'a Event> {
    events.iter().zip(new).filter(|(_, new)| **new).map(|(event, _)| event)
}
