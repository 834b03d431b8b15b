//! Events from a peer. Each is new, already held, or refused with a reason; none stops the others.

use std::collections::BTreeSet;

use synckit_core::{
    AggregateId, Cursor, Dot, Error, ErrorKind, Event, Facts, Former, Identity, Limits, Needs, NodeId, Note,
    Placed, Plan, Planner, Position, Refused, RefusedCode, Renewal, Result, Step, StoreId,
};

use crate::Entropy;
use crate::conflict::Resolution;
use crate::forks::Forks;
use crate::ledger::{self, Ledger};
use crate::notes::{self, RefusedNote};
use crate::on_record::OnRecord;
use crate::restamp::Restamp;

mod batch;
mod lookups;

use batch::Batch;
use lookups::Stage;

/// Stores events from elsewhere, together with the checkpoint that they advance.
#[derive(Clone, Debug)]
pub struct Receive {
    /// The store they came from; `None` for a resolution derived here, which is not checked again.
    pub source: Option<StoreId>,
    /// The events, in the order of the log they came from.
    pub events: Vec<Event>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// The limits on an event.
    pub limits: Limits,
    /// Whether refused events are kept in the notebook, so that the checkpoint may pass them.
    pub keep_refused: bool,
    /// Notes written in the same commit: the checkpoint.
    pub notes: Vec<Note>,
    /// The place on record for the source, before and after this commit.
    pub on_record: Option<OnRecord>,
    /// Keys deleted in the same commit, unless it also puts them.
    pub delete: Vec<String>,
    /// The name the replica authors under, as far as the caller knows. If it is missing or wrong, there may be one more
    /// lookup.
    pub author: Option<NodeId>,
    /// Randomness for this commit.
    pub entropy: Entropy,
    stage: Stage,
    /// Dots that may name two events.
    doubtful: Vec<Dot>,
    /// The position of the last local event that comes back.
    returned: Option<Position>,
}

/// The result of receiving events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The number of new events.
    pub accepted: usize,
    /// The number of events that were already held.
    pub duplicates: usize,
    /// The events that were not stored, and why, in the order given.
    pub refused: Vec<Refused>,
    /// Copies of events that are held, but whose rows are damaged. [`Mend`](crate::Mend) takes them.
    pub copies: Vec<Event>,
    /// Where the new events are in the log.
    pub placed: Option<Placed>,
    /// The aggregates that came into conflict through this commit.
    pub conflicts: Vec<AggregateId>,
    /// The fresh name that this replica authors under from now on, if it took one. It does when an unknown event under
    /// its name shows that its log was restored from a backup, or that another device writes under its name.
    pub renewed: Option<NodeId>,
    /// Whether an event shows that a copy of this store, or another device with the same name, is in use.
    pub copy_seen: bool,
    /// The last position of the log.
    pub head: Position,
}

impl Planner for Receive {
    type Outcome = Received;

    fn needs(&mut self) -> Needs {
        let mut aggregates: Vec<_> = self.events.iter().map(|event| &event.aggregate_id).collect();
        aggregates.sort_unstable();
        aggregates.dedup();
        let origins = self.events.iter().filter_map(Event::author).chain(&self.author);
        let origins: BTreeSet<_> = origins.collect();
        let mut keys = Vec::with_capacity(aggregates.len() + origins.len() + 3);
        keys.extend(aggregates.into_iter().map(notes::heads));
        keys.extend([Note::NODE.to_owned(), notes::CONFLICT_COUNT.to_owned()]);
        keys.extend(origins.into_iter().map(notes::origin));
        keys.extend(self.on_record.as_ref().map(|record| record.key.clone()));
        keys.extend(self.on_record.as_ref().and_then(OnRecord::turn));
        let overridden = self.events.iter().filter_map(Resolution::overridden);
        let ids = self.events.iter().map(|event| event.id.clone()).chain(overridden).collect();
        let under = self.on_record.as_ref().and_then(OnRecord::of_caller).into_iter().collect();
        let known = self.on_record.iter().flat_map(|record| &record.known);
        let places = known.map(Cursor::position).collect();
        Needs { ids, notes: keys, under, places, ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<Received>> {
        while let Some(needs) = self.next_needs(facts)? {
            if needs != Needs::default() {
                return Ok(Step::Fetch(needs));
            }
        }
        if self.source == Some(facts.head.store) {
            let message =
                "the events come from this very store: a database was copied, or a replica syncs with itself";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        if let Some(on_record) = &self.on_record {
            on_record.check(facts)?;
        }
        let mut events = std::mem::take(&mut self.events);
        let mut ledger = Ledger::open(facts, events.len())?;
        let mut forks = Forks::of(facts)?;
        let mut received = Received::default();
        let mut batch = Batch::of(&events);
        for event in &events {
            let verdict = self.judge(&mut ledger, facts, &mut batch, event)?;
            batch.judged(event, matches!(verdict, Verdict::New { .. }));
            match verdict {
                Verdict::New { place } => {
                    let taken = event.author().is_some_and(|author| ledger.identity.writes_as(author));
                    let own = event.clock.counter(&ledger.identity.author);
                    if taken || ledger.lacks_own(own)? {
                        ledger.renew(Renewal::SetBack, self.now, &self.entropy);
                    }
                    if shows_copy(&ledger.identity, event) {
                        received.copy_seen = true;
                        ledger.identity.copy_seen = Some(self.now);
                    }
                    ledger.add_at(place, event)?;
                    forks.add(event)?;
                    received.accepted += 1;
                }
                Verdict::Duplicate => {
                    received.copies.extend(facts.damaged.contains_key(&event.id).then(|| event.clone()));
                    received.duplicates += 1;
                }
                Verdict::Restamped => {
                    forks.meet(&event.id, event)?;
                    received.duplicates += 1;
                }
                Verdict::Refused(code, message) => {
                    let id = event.id.to_string();
                    if self.keep_refused {
                        self.notes.push(self.refused_note(event, code, &message)?);
                    }
                    received.refused.push(Refused { id, code, message });
                }
            }
        }
        let mut new = batch.new.into_iter();
        events.retain(|_| new.next().unwrap_or_default());
        let mut plan = Plan { append: events, source: self.source, ..Plan::default() };
        forks.settle(&mut ledger, &mut plan)?;
        let at = |after: usize| facts.head.position + after as Position;
        received.head = at(plan.appends());
        received.conflicts = ledger.new_conflicts();
        received.placed = (!plan.append.is_empty()).then(|| {
            let secret = &ledger.identity.secret;
            let upto = secret.cursor(ledger.store(), at(plan.append.len()), self.entropy.mark());
            Placed { after: facts.head.position, upto }
        });
        received.renewed = (ledger.store() != facts.head.store).then(|| ledger.identity.author.clone());
        let mut notes = std::mem::take(&mut self.notes);
        if let Some(upto) = self.returned
            && upto > notes::handed(facts)?
        {
            notes.push(ledger::put(notes::HANDED.to_owned(), upto.to_string()));
        }
        if received.accepted > 0 {
            notes.extend(self.on_record.as_ref().and_then(|record| record.end_turn(facts, &self.entropy)));
        }
        if let Some(on_record) = self.on_record.take().filter(|_| received.refused.is_empty()) {
            notes.extend(on_record.put(facts, self.now, &mut plan)?);
        }
        let mut plan = ledger.finish(self.now, &self.entropy, plan, notes)?;
        self.delete.retain(|key| plan.put.binary_search_by(|note| note.key.cmp(key)).is_err());
        plan.delete.append(&mut self.delete);
        Ok(Step::Write(plan, received))
    }
}

impl Receive {
    /// Creates a planner for events from a peer, without notes.
    ///
    /// ```
    /// use synckit_core::{Limits, NodeId, Secret, StoreId};
    /// use synckit_plan::{Entropy, Receive};
    /// use synckit_store::MemoryLog;
    ///
    /// # fn main() -> synckit_core::Result<()> {
    /// let (here, peer) = (StoreId::from_bytes([1; 16]), StoreId::from_bytes([2; 16]));
    /// let mut log = MemoryLog::new(NodeId::new("till-1")?, here, Secret::from_bytes([3; 16]))?;
    /// let entropy = Entropy::from_bytes([4; 32]);
    /// let received = log.commit(Receive::new(Some(peer), Vec::new(), 1_000, Limits::default(), entropy))?;
    /// assert_eq!((received.accepted, received.head), (0, 0));
    /// # Ok(()) }
    /// ```
    pub fn new(
        source: Option<StoreId>,
        events: Vec<Event>,
        now: u64,
        limits: Limits,
        entropy: Entropy,
    ) -> Self {
        Receive {
            source,
            events,
            now,
            limits,
            keep_refused: false,
            notes: Vec::new(),
            on_record: None,
            delete: Vec::new(),
            author: None,
            entropy,
            stage: Stage::default(),
            doubtful: Vec::new(),
            returned: None,
        }
    }

    fn judge(
        &self,
        ledger: &mut Ledger<'_>,
        facts: &Facts,
        batch: &mut Batch<'_>,
        event: &Event,
    ) -> Result<Verdict> {
        let refused = |code, message: String| Ok(Verdict::Refused(code, message));
        let known = match batch.named(&event.id) {
            Some(earlier) => Some((earlier.digest(), earlier.content_digest())),
            None => facts.held.get(&event.id).map(|held| (held.digest, held.content)),
        };
        if let Some((digest, content)) = known {
            return match () {
                () if digest == event.digest() => Ok(Verdict::Duplicate),
                () if content == event.content_digest() && !event.is_derived() => Ok(Verdict::Restamped),
                () => refused(
                    RefusedCode::IdTaken,
                    "the id already names an event with other content".to_owned(),
                ),
            };
        }
        if facts.damaged.contains_key(&event.id) {
            // It is held, although its row cannot be compared.
            return Ok(Verdict::Duplicate);
        }
        if event.size() > self.limits.event_bytes {
            let limit = self.limits.event_bytes;
            return refused(
                RefusedCode::TooLarge,
                format!("the event has {} bytes; at most {limit} are allowed", event.size()),
            );
        }
        let checked = event.check_stamp().and_then(|()| match &event.dot {
            Some(_) if has_plain_type(event) => Ok(()),
            Some(_) => Err(Error::invalid("an event with a dot has a type reserved for resolutions")),
            // A derived local event was created a moment ago.
            None if self.source.is_none() => Ok(()),
            None if event.is_restamp() => Restamp::check(event),
            None => Resolution::check(event),
        });
        if let Err(error) = checked.and_then(|()| check_overridden(facts, batch, event)) {
            return refused(RefusedCode::Invalid, error.to_string());
        }
        Ok(Verdict::New { place: ledger.place(&event.aggregate_id)? })
    }

    fn refused_note(&self, event: &Event, code: RefusedCode, message: &str) -> Result<Note> {
        let peer = self.source.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "an event derived here was refused").with("reason", message)
        })?;
        let text = serde_json::to_string(event).map_err(|error| {
            Error::new(ErrorKind::Internal, "an event has no JSON form").with_source(error)
        })?;
        let refused = RefusedNote {
            id: event.id.to_string(),
            peer,
            code,
            message: message.to_owned(),
            position: None,
            again: false,
            event: Some(text),
        };
        Note::json(notes::refused_here(peer, event.id.as_str()), &refused)
    }
}

/// Checks that the decision which an event overrides is in the log or came before it. It always did if the decision is
/// genuine: whoever decided held it, and logs keep its order.
fn check_overridden(facts: &Facts, batch: &mut Batch<'_>, event: &Event) -> Result<()> {
    let Some(id) = Resolution::overridden(event) else { return Ok(()) };
    let stored = || {
        let (held, history) = (facts.held.get(&id)?, facts.histories.get(&event.aggregate_id)?);
        let at = history.binary_search_by_key(&held.position, |stored| stored.position).ok()?;
        Some(&history[at].event)
    };
    let decision = batch
        .named(&id)
        .or_else(stored)
        .filter(|decision| decision.is_resolution() && decision.aggregate_id == event.aggregate_id);
    match decision {
        Some(_) => Ok(()),
        None => {
            let message = "a decision overrides one that is not held here; it can be stored after that one";
            Err(Error::invalid(message).with("event", &event.id).with("overrides", id))
        }
    }
}

/// Returns whether the type of an event is not one of those of resolutions and restamps.
pub(crate) fn has_plain_type(event: &Event) -> bool {
    !event.event_type.as_str().starts_with("synckit.")
}

enum Verdict {
    /// It is stored; its aggregate has this index in the ledger.
    New {
        place: usize,
    },
    Duplicate,
    /// It is held under another stamp.
    Restamped,
    Refused(RefusedCode, String),
}

/// Returns whether an event was authored by a copy of this store, or by another device with the same name: under one of
/// its names, after it had given that name up.
fn shows_copy(identity: &Identity, event: &Event) -> bool {
    const MINUTE: u64 = 60_000;
    let Some(author) = event.author().filter(|author| **author != identity.author) else { return false };
    let later = |former: &Former| event.time.millis() > former.at.saturating_add(MINUTE);
    author.chosen() == identity.node.as_str() && identity.former.last().is_none_or(later)
}
