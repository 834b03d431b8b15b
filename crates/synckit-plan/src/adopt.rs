//! Events by an author that cannot stamp: the store stamps them in the author's name.
//!
//! A clock says what that author is known to have seen of the aggregate: what the caller says, joined with what was
//! known before. It never claims more, so concurrent edits are detected as such. An author has seen everything it wrote
//! itself, whatever it wrote that on top of.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use synckit_core::{
    Dot, Error, ErrorKind, Event, EventId, Facts, Limits, MAX_COUNTER, Needs, NewEvent, NodeId, Note, Plan,
    Planner, Position, Refused, RefusedCode, Renewal, Result, Step, StoreId, Timestamp, VectorClock,
};

use crate::Entropy;
use crate::ledger::Ledger;
use crate::notes::{self, Seen};

/// Stores events by an author that cannot stamp. Each is new, already held, or refused with a reason; none stops the
/// others.
#[derive(Clone, Debug)]
pub struct Adopt {
    /// The name under which they are authored. After the store took a fresh name for itself, as it does when it was
    /// restored from a backup, this name gets the same suffix.
    pub author: NodeId,
    /// The id that stands for the author's own log, so that events can be read without those that came from there: see
    /// [`Adopt::source`].
    pub source: StoreId,
    /// The events, in the order they were written.
    pub events: Vec<Adoptee>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// The limits on an event.
    pub limits: Limits,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

/// An event to adopt.
#[derive(Clone, Debug)]
pub struct Adoptee {
    /// The id of the event, which is kept.
    pub id: EventId,
    /// The content of the event.
    pub event: NewEvent,
    /// What its author is known to have seen of the aggregate when it was written.
    pub seen: Seen,
}

/// The result of adopting events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// The new events, stamped, in the order given.
    pub events: Vec<Event>,
    /// The number of events that were already held with the same content.
    pub duplicates: usize,
    /// The events that were not stored, and why, in the order given.
    pub refused: Vec<Refused>,
    /// The last position of the log.
    pub head: Position,
}

impl Planner for Adopt {
    type Outcome = Adopted;

    fn needs(&mut self) -> Needs {
        let mut keys = vec![Note::NODE.to_owned(), notes::CONFLICT_COUNT.to_owned()];
        for adoptee in &self.events {
            keys.push(notes::heads(&adoptee.event.aggregate_id));
            keys.push(notes::seen(&self.author, &adoptee.event.aggregate_id));
        }
        keys.sort_unstable();
        keys.dedup();
        let ids = self.events.iter().map(|adoptee| adoptee.id.clone()).collect();
        Needs { ids, notes: keys, ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Adopted>> {
        let mut ledger = Ledger::open(facts, self.events.len())?;
        let author = ledger.identity.adopting(&self.author);
        if round == 1 {
            return Ok(Step::Fetch(Needs { notes: vec![notes::origin(&author)], ..Needs::default() }));
        }
        if !ledger.identity.adopts.contains(&self.author) {
            // Events are known under a name that this store has not written under yet. Either it did, before it was
            // restored from a backup, or another device does. In both cases its dots are not free.
            if ledger.counter(&author)? > 0 {
                ledger.renew(Renewal::NameTaken, self.now, &self.entropy);
            }
            ledger.identity.adopts.push(self.author.clone());
        }
        let author = ledger.identity.adopting(&self.author);
        let mut adopted = Adopted::default();
        let mut batch = HashMap::new();
        let mut seen = HashMap::new();
        for adoptee in std::mem::take(&mut self.events) {
            let content = adoptee.event.content_digest(&adoptee.id);
            let held = facts.held.get(&adoptee.id).map(|held| held.content);
            match batch.get(&adoptee.id).copied().or(held) {
                Some(held) if held == content => {
                    adopted.duplicates += 1;
                    continue;
                }
                None if facts.damaged.contains_key(&adoptee.id) => {
                    adopted.duplicates += 1;
                    continue;
                }
                Some(_) => {
                    let message = "the id already names an event with other content".to_owned();
                    let id = adoptee.id.to_string();
                    adopted.refused.push(Refused { id, code: RefusedCode::IdTaken, message });
                    continue;
                }
                None => {}
            }
            let id = adoptee.id.clone();
            match self.stamp(&mut ledger, facts, &mut seen, &author, adoptee) {
                Ok(event) => {
                    batch.insert(id, content);
                    ledger.add(&event)?;
                    adopted.events.push(event);
                }
                Err(error) => {
                    let code = match error.kind() {
                        ErrorKind::TooLarge => RefusedCode::TooLarge,
                        ErrorKind::Invalid => RefusedCode::Invalid,
                        _ => return Err(error),
                    };
                    let (id, message) = (id.to_string(), error.message().to_owned());
                    adopted.refused.push(Refused { id, code, message });
                }
            }
        }
        adopted.head = facts.head.position + adopted.events.len() as Position;
        let seen = seen.into_iter().map(|(key, seen): (String, Seen)| Note { key, value: seen.encode() });
        let plan = Plan { append: adopted.events.clone(), source: Some(self.source), ..Plan::default() };
        let plan = ledger.finish(self.now, &self.entropy, plan, seen)?;
        Ok(Step::Write(plan, adopted))
    }
}

impl Adopt {
    /// Returns the id that stands for the log of an author that has none, in this store: the first 16 bytes of a
    /// SHA-256 over both.
    pub fn source(author: &NodeId, store: StoreId) -> StoreId {
        let hash = Sha256::new_with_prefix(b"synckit adopted 1");
        let hash = hash.chain_update(store.to_string()).chain_update(author.as_str()).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        StoreId::from_bytes(id)
    }

    /// Stamps the event, if it may be stored. Only then does what its author is known to have seen of the aggregate
    /// advance.
    fn stamp(
        &self,
        ledger: &mut Ledger<'_>,
        facts: &Facts,
        seen: &mut HashMap<String, Seen>,
        author: &NodeId,
        adoptee: Adoptee,
    ) -> Result<Event> {
        let Adoptee { id, event: new, seen: more } = adoptee;
        if new.event_type.as_str().starts_with("synckit.") {
            return Err(Error::invalid("types that begin with `synckit.` are reserved; choose another"));
        }
        let counter = ledger.counter(author)? + 1;
        if counter > MAX_COUNTER {
            return Err(Error::too_large("this node has authored as many events as a counter can count"));
        }
        let key = notes::seen(&self.author, &new.aggregate_id);
        let mut known = match (seen.get(&key), facts.notes.get(&key)) {
            (Some(known), _) => known.clone(),
            (None, Some(value)) => Seen::decode(&key, value)?,
            (None, None) => Seen::default(),
        };
        // What has no room in one clock counts as not seen.
        let _ = known.merge(&more);
        let dot = Dot::new(author.clone(), counter);
        if known.clock.observe(&dot).is_err() {
            known.clock = VectorClock::from_entries([(dot.node.clone(), dot.counter)])?;
        }
        let heads = ledger.heads(&new.aggregate_id)?;
        let time = Timestamp::after(self.now, heads.iter().map(|head| head.time));
        let event = new.stamped(id, Some(dot), known.clock.clone(), time);
        if event.size() > self.limits.event_bytes {
            return Err(Error::too_large(format!(
                "the event has {} bytes; at most {} are allowed",
                event.size(),
                self.limits.event_bytes
            )));
        }
        seen.insert(key, known);
        Ok(event)
    }
}
