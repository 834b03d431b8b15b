//! A replica without a store: the planning over plain maps, so that a case takes a millisecond.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use synckit::{
    AggregateId, Conflict, ConflictResolver, Dot, Event, EventId, History, Limits, NewEvent, NodeId, StoreId,
    conflict::{Answer, Heads, Resolution, Standing},
    plan::{Entropy, Receive, Record, notes},
    store::{
        Facts, Held, Identity, LogHead, Mark, Needs, Note, Plan, Planner, Planning, Secret, StoredEvent,
    },
};

pub(crate) const NOW: u64 = 1_764_000_000_000;

pub(crate) struct Replica {
    pub(crate) node: NodeId,
    pub(crate) log: Vec<Event>,
    /// The number of conflicts that commits found, and of resolutions derived here.
    pub(crate) found: usize,
    pub(crate) derived: usize,
    recorded: usize,
    held: HashMap<EventId, Held>,
    dots: HashMap<Dot, EventId>,
    notes: BTreeMap<String, Vec<u8>>,
}

impl Replica {
    pub(crate) fn new(name: &str) -> Self {
        let node = NodeId::new(name).expect("a short name");
        let identity =
            Note::json(Note::NODE.to_owned(), &Identity::new(node.clone(), Secret::from_bytes([3; 16])))
                .expect("it has a JSON form");
        Replica {
            node,
            log: Vec::new(),
            found: 0,
            derived: 0,
            recorded: 0,
            held: HashMap::new(),
            dots: HashMap::new(),
            notes: BTreeMap::from([(identity.key, identity.value)]),
        }
    }

    fn commit<P: Planner>(&mut self, planner: P) -> P::Outcome {
        let planned = Planning::run(planner, |needs| Ok(self.fetch(&needs)));
        let (plan, outcome) = planned.expect("the plan can be carried out");
        self.write(plan);
        outcome
    }

    fn fetch(&self, needs: &Needs) -> Facts {
        let head =
            LogHead { store: StoreId::from_bytes([1; 16]), position: self.log.len() as u64, mark: None };
        let mut facts = Facts::at(head);
        for id in &needs.ids {
            facts.held.extend(self.held.get(id).map(|held| (id.clone(), held.clone())));
        }
        for dot in &needs.dots {
            facts.dots.extend(self.dots.get(dot).map(|id| (dot.clone(), id.clone())));
        }
        for aggregate in &needs.histories {
            let stored = |(at, event): (usize, &Event)| StoredEvent {
                position: at as u64 + 1,
                mark: Mark::default(),
                source: None,
                event: event.clone(),
            };
            let of = self.log.iter().enumerate().filter(|(_, event)| event.aggregate_id == *aggregate);
            facts.histories.insert(aggregate.clone(), of.map(stored).collect());
        }
        for key in &needs.notes {
            facts.notes.extend(self.notes.get(key).map(|value| (key.clone(), value.clone())));
        }
        facts
    }

    fn write(&mut self, plan: Plan) {
        for event in plan.append {
            self.held.insert(event.id.clone(), Held::of(self.log.len() as u64 + 1, &event));
            self.dots.extend(event.dot.clone().map(|dot| (dot, event.id.clone())));
            self.log.push(event);
        }
        for note in plan.put {
            self.notes.insert(note.key, note.value);
        }
        for key in plan.delete {
            self.notes.remove(&key);
        }
    }

    pub(crate) fn record(&mut self, event: NewEvent, skew: u64) {
        self.recorded += 1;
        let id = EventId::new(format!("{}-{}", self.node, self.recorded)).expect("a short id");
        let record = Record {
            author: self.node.clone(),
            events: vec![(id, event)],
            now: NOW + skew,
            limits: Limits::default(),
            entropy: entropy(),
            expect: Vec::new(),
        };
        self.commit(record);
    }

    /// Stores events. Only a decision whose cause the delivery left out or turned around is refused.
    pub(crate) fn receive(&mut self, events: Vec<Event>) {
        let early =
            |event: &Event| Resolution::overridden(event).is_some_and(|id| !self.held.contains_key(&id));
        let early: Vec<String> =
            events.iter().filter(|event| early(event)).map(|event| event.id.to_string()).collect();
        let receive =
            Receive::new(Some(StoreId::from_bytes([2; 16])), events, NOW, Limits::default(), entropy());
        let received = self.commit(receive);
        for refused in &received.refused {
            assert!(early.contains(&refused.id), "nothing else is refused: {refused:?}");
        }
        self.found += received.conflicts.len();
    }

    fn derive(&mut self, resolution: Event) {
        let receive = Receive::new(None, vec![resolution], NOW, Limits::default(), entropy());
        let received = self.commit(receive);
        assert_eq!(received.refused, [], "a resolution derived here is stored");
        self.derived += received.accepted;
    }

    pub(crate) fn events_of(&self, aggregate: &AggregateId) -> Vec<Event> {
        self.log.iter().filter(|event| event.aggregate_id == *aggregate).cloned().collect()
    }

    pub(crate) fn in_conflict(&self) -> Vec<AggregateId> {
        let keys = self.notes.keys().filter_map(|key| key.strip_prefix(notes::CONFLICTS));
        keys.map(|id| AggregateId::new(id).expect("a short id")).collect()
    }

    pub(crate) fn settle(&mut self, resolver: &dyn ConflictResolver) {
        for aggregate in self.in_conflict() {
            let conflict = Conflict::in_history(self.events_of(&aggregate)).expect("readable");
            let conflict = conflict.expect("it is listed because there is one");
            let ruling = resolver.resolve(&conflict).expect("it decides");
            if let Some(resolution) = conflict.settle(ruling, resolver.name()).expect("a good answer") {
                self.derive(resolution);
                let left = Conflict::in_history(self.events_of(&aggregate)).expect("readable");
                assert_eq!(left, None, "a resolution settles what it was asked about");
            }
        }
    }

    /// Settles an open conflict as a person would, or decides a settled one differently.
    pub(crate) fn decide(&mut self, aggregate: &AggregateId, choice: usize) {
        let events = self.events_of(aggregate);
        let open = Conflict::in_history(events.clone()).expect("readable");
        let mut heads = Heads::default();
        events.iter().for_each(|event| heads.add(event));
        let top = events.iter().find(|event| event.is_resolution() && heads.contains(&event.id));
        let settled = || Conflict::decided_by(top?, &events).expect("readable");
        if let Some(conflict) = open.or_else(settled) {
            let answer = match choice % (conflict.branches.len() + 1) {
                0 => Answer::KeepAll,
                side => Answer::Keep(conflict.branches[side - 1].stands_for.id.clone()),
            };
            let resolution = conflict.override_with(answer, &format!("person at {}", self.node));
            let resolution = resolution.expect("a good answer").expect("a decision");
            self.derive(resolution.clone());
            let mut heads = Heads::default();
            self.events_of(aggregate).iter().for_each(|event| heads.add(event));
            let ids: Vec<_> = heads.iter().map(|head| &head.id).collect();
            assert_eq!(ids, [&resolution.id], "the decision of a person is on top");
        }
    }

    /// Returns what an application sees: for each event whether it stands.
    pub(crate) fn view(&self) -> BTreeMap<EventId, bool> {
        let aggregates: BTreeSet<AggregateId> =
            self.log.iter().map(|event| event.aggregate_id.clone()).collect();
        let mut view = BTreeMap::new();
        for aggregate in aggregates {
            let history = History::of(self.events_of(&aggregate)).expect("readable");
            assert!(history.live().next().is_some(), "something of {aggregate} stands");
            for entry in history.entries() {
                view.insert(entry.event.id.clone(), entry.standing == Standing::Live);
            }
        }
        view
    }
}

/// Returns fixed bytes: no mark or fresh name matters here, because no log is ever copied.
pub(crate) fn entropy() -> Entropy {
    Entropy::from_bytes([5; 32])
}
