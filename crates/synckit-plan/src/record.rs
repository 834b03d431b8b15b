//! New local events: the next counters, clocks on top of the heads, and times after everything seen.

use std::collections::HashMap;

use synckit_core::{
    AggregateId, Dot, Error, ErrorKind, Event, EventId, Facts, Limits, MAX_COUNTER, Needs, NewEvent, NodeId,
    Note, Plan, Planner, Position, Renewal, Result, Step, Timestamp,
};

use crate::Entropy;
use crate::conflict::Heads;
use crate::ledger::Ledger;
use crate::notes;

/// Records new events, all or none.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name the replica authors under, as far as the caller knows. A wrong guess costs one more lookup.
    pub author: NodeId,
    /// The events and their ids. An id that is already held with the same content is a repetition and changes nothing.
    pub events: Vec<(EventId, NewEvent)>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// The limits on an event.
    pub limits: Limits,
    /// Randomness for this commit.
    pub entropy: Entropy,
    /// Conditions on aggregates; if one does not hold, nothing is recorded. Not checked when every event is a
    /// repetition.
    pub expect: Vec<Expect>,
}

/// A condition on an aggregate for events to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The aggregate is not in conflict.
    Settled(AggregateId),
    /// These are the heads of the aggregate, none for one without events: nothing has arrived since the caller looked.
    Heads(AggregateId, Vec<EventId>),
}

impl Expect {
    fn aggregate(&self) -> &AggregateId {
        match self {
            Expect::Settled(aggregate) | Expect::Heads(aggregate, _) => aggregate,
        }
    }

    fn check(&self, heads: &Heads) -> Result<()> {
        let message = match self {
            Expect::Settled(_) if heads.in_conflict() => {
                "the aggregate is in conflict; settle it first, or record on top of all sides"
            }
            Expect::Heads(_, expected)
                if heads.len() != expected.len() || !expected.iter().all(|id| heads.contains(id)) =>
            {
                "the aggregate has moved on since it was read; read it again"
            }
            _ => return Ok(()),
        };
        let there: Vec<&str> = heads.iter().map(|head| head.id.as_str()).take(8).collect();
        Err(Error::new(ErrorKind::Conflict, message)
            .with("aggregate", self.aggregate())
            .with("heads", format!("{} of {}", there.join(" "), heads.len())))
    }
}

/// The result of recording events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The new events, stamped, in the order given.
    pub events: Vec<Event>,
    /// The ids that were already held, with the same content.
    pub duplicates: Vec<EventId>,
    /// The aggregates whose conflict these events settled, because they were recorded on top of all sides. Sorted.
    pub settled: Vec<AggregateId>,
    /// The last position of the log.
    pub head: Position,
}

impl Planner for Record {
    type Outcome = Recorded;

    fn needs(&mut self) -> Needs {
        let mut keys = vec![Note::NODE.to_owned(), notes::CONFLICT_COUNT.to_owned()];
        keys.push(notes::origin(&self.author));
        keys.extend(self.events.iter().map(|(_, new)| notes::heads(&new.aggregate_id)));
        keys.extend(self.expect.iter().map(|expect| notes::heads(expect.aggregate())));
        keys.sort_unstable();
        keys.dedup();
        Needs { ids: self.events.iter().map(|(id, _)| id.clone()).collect(), notes: keys, ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<Recorded>> {
        let mut ledger = Ledger::open(facts, self.events.len())?;
        let author = ledger.identity.author.clone();
        if author != self.author {
            // The name has changed since the caller looked, so what is known of the new one is requested.
            self.author = author;
            return Ok(Step::Fetch(Needs { notes: vec![notes::origin(&self.author)], ..Needs::default() }));
        }
        if self.events.iter().any(|(id, _)| !facts.held.contains_key(id)) {
            for expect in &self.expect {
                expect.check(ledger.heads(expect.aggregate())?)?;
            }
        }
        for (_, new) in self.events.iter().filter(|(id, _)| !facts.held.contains_key(id)) {
            let counter = ledger.heads(&new.aggregate_id)?.counter(&author);
            if ledger.lacks_own(counter)? {
                // Somebody has seen an event of this name that is not in the log: the log was restored from a backup,
                // or the name is taken.
                ledger.renew(Renewal::SetBack, self.now, &self.entropy);
                self.author = ledger.identity.author.clone();
                break;
            }
        }
        let mut recorded = Recorded::default();
        let count = self.events.len();
        let mut batch = HashMap::with_capacity(count);
        for (index, (id, new)) in std::mem::take(&mut self.events).into_iter().enumerate() {
            let content = new.content_digest(&id);
            if let Some(position) = facts.damaged.get(&id) {
                let message = "this id already names an event whose row is damaged; run `synckit doctor`";
                return Err(Error::corrupt(message).with("id", id).with("position", position));
            }
            let held = facts.held.get(&id).map(|held| held.content);
            match batch.insert(id.clone(), content).or(held) {
                None => self.record(&mut ledger, id, new).map(|event| recorded.events.push(event)),
                Some(held) if held == content => {
                    recorded.duplicates.push(id);
                    Ok(())
                }
                Some(_) => {
                    let message = "this id already names an event with other content";
                    Err(Error::new(ErrorKind::Conflict, message).with("id", id))
                }
            }
            .map_err(|error| match count {
                1 => error,
                _ => error.with("event", format!("number {} of {count}", index + 1)),
            })?;
        }
        recorded.head = facts.head.position + recorded.events.len() as Position;
        recorded.settled = ledger.settled();
        let plan = Plan { append: recorded.events.clone(), ..Plan::default() };
        let plan = ledger.finish(self.now, &self.entropy, plan, [])?;
        Ok(Step::Write(plan, recorded))
    }
}

impl Record {
    fn record(&self, ledger: &mut Ledger<'_>, id: EventId, new: NewEvent) -> Result<Event> {
        if new.event_type.as_str().starts_with("synckit.") {
            return Err(Error::invalid("types that begin with `synckit.` are reserved; choose another"));
        }
        let event = self.stamp(ledger, id, new)?;
        if event.size() > self.limits.event_bytes {
            return Err(Error::too_large(format!(
                "the event has {} bytes; at most {} are allowed",
                event.size(),
                self.limits.event_bytes
            )));
        }
        event.check_stamp()?;
        ledger.add(&event)?;
        Ok(event)
    }

    fn stamp(&self, ledger: &mut Ledger<'_>, id: EventId, new: NewEvent) -> Result<Event> {
        let counter = ledger.counter(&self.author)? + 1;
        if counter > MAX_COUNTER {
            return Err(Error::too_large("this node has authored as many events as a counter can count"));
        }
        let dot = Dot::new(self.author.clone(), counter);
        let (clock, latest) = ledger.heads(&new.aggregate_id)?.on_top(&dot)?;
        let time = Timestamp::after(self.now, latest);
        Ok(new.stamped(id, Some(dot), clock, time))
    }
}
