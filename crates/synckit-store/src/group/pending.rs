//! What a group is about to write, on top of what was read of the log.

use std::collections::{BTreeMap, HashMap, HashSet};

use synckit_core::{
    AggregateId, Dot, Event, EventId, Facts, Held, LogHead, Mark, Needs, Note, Plan, Position, Result,
    StoreId, StoredEvent,
};

/// What a group is about to write, on top of what was read of the log, for stores that write a whole group at once.
///
/// Each job is planned on what is in the log and on what those before it append, put and delete. Plans that replace
/// events or change marks are not taken: they are committed by themselves.
///
/// ```
/// use synckit_core::{Facts, LogHead, Needs, Note, Plan, StoreId};
/// use synckit_store::group::Pending;
/// # fn main() -> synckit_core::Result<()> {
/// let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
/// let mut pending = Pending::new(head);
/// let needs = Needs { notes: vec!["k".to_owned()], ..Needs::default() };
/// let missing = pending.missing(&needs).expect("nothing is known yet");
/// // Here it is read from the log.
/// pending.learn(&missing, Facts::at(head));
/// assert_eq!(pending.facts(&needs).note("k"), None);
/// let put = vec![Note { key: "k".to_owned(), value: vec![1] }];
/// pending.add(Plan { put, ..Plan::default() })?;
/// assert_eq!(pending.facts(&needs).note("k"), Some(&[1][..]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Pending {
    /// Where the log ends once everything is written.
    head: LogHead,
    /// Where it ends now.
    first: Position,
    /// What was read, and what was asked for, whether or not it was found.
    below: Facts,
    asked: Asked,
    rows: Vec<(Event, Mark, Option<StoreId>)>,
    ids: HashMap<EventId, usize>,
    dots: HashMap<Dot, usize>,
    /// Notes to put; `None` for those to delete.
    notes: BTreeMap<String, Option<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Asked {
    ids: HashSet<EventId>,
    dots: HashSet<Dot>,
    notes: HashSet<String>,
    under: HashSet<String>,
    places: HashSet<Position>,
    histories: HashSet<AggregateId>,
}

impl Pending {
    /// Starts with nothing to write and nothing known, on a log that ends here.
    pub fn new(head: LogHead) -> Self {
        Pending {
            head,
            first: head.position,
            below: Facts::at(head),
            asked: Asked::default(),
            rows: Vec::new(),
            ids: HashMap::new(),
            dots: HashMap::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Returns what has to be read of the log before [`Pending::facts`] has all that is needed; `None` if nothing has.
    pub fn missing(&self, needs: &Needs) -> Option<Needs> {
        let asked = &self.asked;
        let missing = Needs {
            ids: unknown(&needs.ids, |id| asked.ids.contains(id) || self.ids.contains_key(id)),
            dots: unknown(&needs.dots, |dot| asked.dots.contains(dot) || self.dots.contains_key(dot)),
            notes: unknown(&needs.notes, |key| asked.notes.contains(key) || self.notes.contains_key(key)),
            under: unknown(&needs.under, |prefix| asked.under.contains(prefix)),
            places: unknown(&needs.places, |place| asked.places.contains(place) || *place > self.first),
            histories: unknown(&needs.histories, |aggregate| asked.histories.contains(aggregate)),
        };
        (missing != Needs::default()).then_some(missing)
    }

    /// Takes in what was asked for and what was found of it.
    pub fn learn(&mut self, needs: &Needs, facts: Facts) {
        self.asked.ids.extend(needs.ids.iter().cloned());
        self.asked.dots.extend(needs.dots.iter().cloned());
        self.asked.notes.extend(needs.notes.iter().cloned());
        self.asked.under.extend(needs.under.iter().cloned());
        self.asked.places.extend(needs.places.iter().copied());
        self.asked.histories.extend(needs.histories.iter().cloned());
        self.below.held.extend(facts.held);
        self.below.damaged.extend(facts.damaged);
        self.below.dots.extend(facts.dots);
        self.below.notes.extend(facts.notes);
        self.below.places.extend(facts.places);
        self.below.histories.extend(facts.histories);
    }

    /// Returns the facts as they will be once everything is written. Only what is not [missing](Pending::missing) counts.
    pub fn facts(&self, needs: &Needs) -> Facts {
        let mut facts = Facts::at(self.head);
        for id in &needs.ids {
            if let Some(nth) = self.ids.get(id) {
                facts.held.insert(id.clone(), Held::of(self.position(*nth), &self.rows[*nth].0));
            } else if let Some(held) = self.below.held.get(id) {
                facts.held.insert(id.clone(), held.clone());
            } else if let Some(position) = self.below.damaged.get(id) {
                facts.damaged.insert(id.clone(), *position);
            }
        }
        for dot in &needs.dots {
            let here = self.dots.get(dot).map(|nth| &self.rows[*nth].0.id);
            let id = here.or_else(|| self.below.dots.get(dot));
            facts.dots.extend(id.map(|id| (dot.clone(), id.clone())));
        }
        for key in &needs.notes {
            let value = self.notes.get(key).map_or_else(|| self.below.notes.get(key), Option::as_ref);
            facts.notes.extend(value.map(|value| (key.clone(), value.clone())));
        }
        for prefix in &needs.under {
            self.under(prefix, &mut facts.notes);
        }
        for place in &needs.places {
            let mark = match place.checked_sub(self.first + 1) {
                Some(nth) => usize::try_from(nth).ok().and_then(|nth| Some(self.rows.get(nth)?.1)),
                None => self.below.places.get(place).copied(),
            };
            facts.places.extend(mark.map(|mark| (*place, mark)));
        }
        for aggregate in &needs.histories {
            facts.histories.insert(aggregate.clone(), self.history(aggregate));
        }
        facts
    }

    /// Takes in a plan, which is about to be written after the others.
    ///
    /// # Errors
    /// `Corrupt` when the plan leaves the store without an id.
    pub fn add(&mut self, plan: Plan) -> Result<()> {
        self.head = self.head.after(&plan);
        let Plan { append, source, derived, mark, put, delete, .. } = plan;
        let derived = derived.into_iter().map(|event| (event, mark, None));
        for row in append.into_iter().map(|event| (event, mark, source)).chain(derived) {
            let nth = self.rows.len();
            self.ids.insert(row.0.id.clone(), nth);
            self.dots.extend(row.0.dot.clone().map(|dot| (dot, nth)));
            self.rows.push(row);
        }
        for Note { key, value } in put {
            if key == Note::STORE {
                self.head.store = Note::read_store_id(Some(&value))?;
            }
            self.notes.insert(key, Some(value));
        }
        for key in delete {
            if key == Note::STORE {
                Note::read_store_id(None)?;
            }
            self.notes.insert(key, None);
        }
        Ok(())
    }

    /// Where the log ends once everything is written.
    pub fn head(&self) -> LogHead {
        self.head
    }

    /// The last position before anything is written.
    pub fn first(&self) -> Position {
        self.first
    }

    /// The events to append, in order, each with its mark and its source.
    pub fn rows(&self) -> &[(Event, Mark, Option<StoreId>)] {
        &self.rows
    }

    /// The notes to put, by key; `None` for those to delete.
    pub fn notes(&self) -> &BTreeMap<String, Option<Vec<u8>>> {
        &self.notes
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.notes.is_empty()
    }

    fn position(&self, nth: usize) -> Position {
        self.first + nth as Position + 1
    }

    fn under(&self, prefix: &str, notes: &mut HashMap<String, Vec<u8>>) {
        let below = self.below.notes.iter().filter(|(key, _)| key.starts_with(prefix));
        let below = below.filter(|(key, _)| !self.notes.contains_key(*key));
        notes.extend(below.map(|(key, value)| (key.clone(), value.clone())));
        let here = self.notes.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        notes.extend(here.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
    }

    fn history(&self, aggregate: &AggregateId) -> Vec<StoredEvent> {
        let mut history = self.below.histories.get(aggregate).cloned().unwrap_or_default();
        let here = self.rows.iter().enumerate().filter(|(_, (event, ..))| event.aggregate_id == *aggregate);
        history.extend(here.map(|(nth, (event, mark, source))| StoredEvent {
            position: self.position(nth),
            mark: *mark,
            source: *source,
            event: event.clone(),
        }));
        history
    }
}

fn unknown<T: Clone>(needed: &[T], is_known: impl Fn(&T) -> bool) -> Vec<T> {
    needed.iter().filter(|one| !is_known(one)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use synckit_core::{Planner, Planning, Timestamp, VectorClock};

    use super::*;
    use crate::MemoryLog;

    fn head() -> LogHead {
        LogHead { store: StoreId::from_bytes([7; 16]), position: 3, mark: Some(Mark(3)) }
    }

    fn event(id: &str, counter: u64) -> Event {
        let node = synckit_core::NodeId::new("n").expect("valid");
        let new = synckit_core::NewEvent::new("T", "x", "1").expect("valid");
        let clock = VectorClock::from_entries([(node.clone(), counter)]).expect("valid");
        new.stamped(
            EventId::new(id).expect("valid"),
            Some(Dot::new(node, counter)),
            clock,
            Timestamp::from_millis(1),
        )
    }

    fn note(key: &str, value: u8) -> Note {
        Note { key: key.to_owned(), value: vec![value] }
    }

    fn all() -> Needs {
        Needs {
            ids: ["a", "b", "c"].map(|id| EventId::new(id).expect("valid")).into(),
            dots: (1..=3)
                .map(|counter| Dot::new(synckit_core::NodeId::new("n").expect("valid"), counter))
                .collect(),
            notes: ["p/1", "p/2", "q"].map(str::to_owned).into(),
            under: vec!["p/".to_owned()],
            places: vec![0, 3, 4, 5, 6],
            histories: vec![AggregateId::new("x").expect("valid")],
        }
    }

    #[test]
    fn what_is_to_be_written_stands_above_what_was_read() {
        let mut pending = Pending::new(head());
        assert_eq!(pending.missing(&all()).expect("all").ids.len(), 3);
        let mut facts = Facts::at(head());
        facts.notes.extend(["p/1", "p/2", "q"].map(|key| (key.to_owned(), vec![0])));
        facts.places.insert(3, Mark(3));
        pending.learn(&all(), facts);
        assert_eq!(pending.missing(&all()), None);
        let plan = Plan { append: vec![event("a", 1)], derived: vec![event("b", 2)], ..Plan::default() };
        let plan = Plan { mark: Mark(9), put: vec![note("p/3", 1)], delete: vec!["p/1".to_owned()], ..plan };
        pending.add(plan).expect("adds");
        let facts = pending.facts(&all());
        assert_eq!((facts.head.position, facts.head.mark), (5, Some(Mark(9))));
        assert_eq!((facts.held.len(), facts.dots.len(), facts.places.len()), (2, 2, 3));
        assert_eq!(facts.held[&event("b", 2).id].position, 5);
        let mut keys: Vec<_> = facts.notes.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["p/2", "p/3", "q"]);
        assert_eq!(facts.histories[&event("a", 1).aggregate_id].len(), 2);
    }

    #[test]
    fn a_plan_makes_the_same_of_it_as_of_a_log_that_has_it() {
        #[derive(Clone)]
        struct Append(Event);
        impl Planner for Append {
            type Outcome = ();
            fn needs(&mut self) -> Needs {
                Needs::default()
            }
            fn plan(&mut self, _: &Facts, _: usize) -> Result<synckit_core::Step<()>> {
                let plan = Plan { append: vec![self.0.clone()], put: vec![note("q", 4)], ..Plan::default() };
                Ok(synckit_core::Step::Write(plan, ()))
            }
        }
        let node = synckit_core::NodeId::new("n").expect("valid");
        let secret = synckit_core::Secret::from_bytes([1; 16]);
        let mut log = MemoryLog::new(node, StoreId::from_bytes([7; 16]), secret).expect("valid");
        let mut pending = Pending::new(log.head().expect("a head"));
        for (id, counter) in [("a", 1), ("b", 2)] {
            let missing = pending.missing(&all()).unwrap_or_default();
            pending.learn(&missing, log.facts(missing.clone()).expect("reads"));
            let planned = Planning::run(Append(event(id, counter)), |_| Ok(pending.facts(&all())));
            pending.add(planned.expect("plans").0).expect("adds");
        }
        for (id, counter) in [("a", 1), ("b", 2)] {
            log.commit(Append(event(id, counter))).expect("commits");
        }
        let (left, right) = (pending.facts(&all()), log.facts(all()).expect("reads"));
        assert_eq!((left.head, left.held, left.dots), (right.head, right.held, right.dots));
        let places = Needs { places: vec![1, 2, 3], ..Needs::default() };
        let places = (pending.facts(&places).places, log.facts(places).expect("reads").places);
        assert_eq!(places.0, places.1);
        assert_eq!(left.histories, right.histories);
        assert_eq!(left.notes.get("q"), right.notes.get("q"));
    }
}
