//! Tests the scenarios: a correct system passes each of them, one that is broken on purpose does not.

#[path = "../../synckit-memory/tests/fixture/mod.rs"]
mod memory;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use synckit_core::{
    BoxTransport, Error, ErrorKind, EventStore, Facts, Filter, HelloRequest, HelloResponse, Needs, NodeId,
    Note, Plan, Planner, PushRequest, PushResponse, Result, Step, Transport,
};
use synckit_memory::MemoryStore;
use synckit_testkit::scenario::{self, AnyStore, AnyWire, Cell, Ended};
use synckit_testkit::{InProcess, Server, StoreFixture, WireFixture, forward};

fn right_store() -> AnyStore {
    AnyStore::new(memory::fixture)
}

fn right_wire() -> AnyWire {
    AnyWire::new(InProcess::default)
}

#[test]
fn a_system_that_is_right_passes_every_scenario() {
    for scenario in scenario::ALL {
        let cell = Cell::new(right_store(), right_store(), right_wire());
        assert_eq!(scenario.run(&cell), Ended::Well, "{}", scenario.name());
    }
}

#[test]
fn other_seeds_pass_as_well() {
    for seed in 2..12 {
        for name in ["interrupted", "faults"] {
            let cell = Cell::new(right_store(), right_store(), right_wire()).with_seed(seed);
            let scenario = scenario::named(name).expect("a scenario of this name");
            assert_eq!(scenario.run(&cell), Ended::Well, "{name} from seed {seed}");
        }
    }
}

/// Asserts that a scenario fails in this cell, with this message.
fn caught(name: &str, cell: &Cell, wanted: &str) {
    let scenario = scenario::named(name).expect("a scenario of this name");
    let panicked =
        catch_unwind(AssertUnwindSafe(|| scenario.run(cell))).expect_err("the mutant is not caught");
    let said = panicked.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panicked.downcast_ref::<&str>().map(|said| (*said).to_owned()));
    let said = said.expect("a panic has a message");
    assert!(said.contains(wanted), "{said}");
}

/// The bug of a store.
#[derive(Clone, Copy, PartialEq)]
enum StoreBug {
    LosesTheLastEventOfABatch,
    LosesTheLastCommitWhenItCrashes,
    ForgetsCheckpoints,
    MovesTheCheckpointBeforeTheEvents,
}

/// A log whose store has a bug, and the log as it was before the last commit.
struct Buggy {
    bug: StoreBug,
    now: Mutex<Option<MemoryStore>>,
    before: Arc<Mutex<Option<MemoryStore>>>,
}

fn buggy(bug: StoreBug) -> AnyStore {
    AnyStore::new(move || Buggy { bug, now: Mutex::default(), before: Arc::default() })
}

impl StoreFixture for Buggy {
    type Store = BuggyStore;

    async fn open(&self, node: &NodeId) -> Result<BuggyStore> {
        let mut now = self.now.lock().expect("no panic while it is held");
        let inner = match now.take() {
            None => MemoryStore::new(node.clone())?,
            Some(_) if self.bug == StoreBug::LosesTheLastCommitWhenItCrashes => {
                let before = self.before.lock().expect("no panic while it is held").clone();
                before.expect("something was committed").copy()
            }
            Some(closed) => closed.copy(),
        };
        *now = Some(inner.clone());
        Ok(BuggyStore { bug: self.bug, inner, before: self.before.clone() })
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    fn opens_twice(&self) -> bool {
        false
    }
}

struct BuggyStore {
    bug: StoreBug,
    inner: MemoryStore,
    before: Arc<Mutex<Option<MemoryStore>>>,
}

impl EventStore for BuggyStore {
    forward!(inner: facts, read, notes, head, moved, close);

    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        *self.before.lock().expect("no panic while it is held") = Some(self.inner.copy());
        let died = Arc::new(AtomicBool::new(false));
        let outcome = self.inner.commit(Spoiled { planner, bug: self.bug, died: died.clone() }).await?;
        match died.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the process has died in between")),
            false => Ok(outcome),
        }
    }
}

/// A plan as a store with a bug changes it.
#[derive(Clone)]
struct Spoiled<P> {
    planner: P,
    bug: StoreBug,
    /// Whether the process died after half of the plan.
    died: Arc<AtomicBool>,
}

impl<P: Planner> Planner for Spoiled<P> {
    type Outcome = P::Outcome;

    fn needs(&mut self) -> Needs {
        self.planner.needs()
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<P::Outcome>> {
        let (mut plan, outcome) = match self.planner.plan(facts, round)? {
            Step::Write(plan, outcome) => (plan, outcome),
            fetch => return Ok(fetch),
        };
        let is_checkpoint = |note: &Note| note.key.starts_with("pull/") || note.key.starts_with("pushed/");
        match self.bug {
            StoreBug::LosesTheLastEventOfABatch if plan.source.is_some() => drop(plan.append.pop()),
            StoreBug::ForgetsCheckpoints => plan.put.retain(|note| !is_checkpoint(note)),
            StoreBug::MovesTheCheckpointBeforeTheEvents
                if plan.append.len() > 1 && plan.put.iter().any(is_checkpoint) =>
            {
                plan.put.retain(is_checkpoint);
                plan = Plan { put: plan.put, ..Plan::default() };
                self.died.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(Step::Write(plan, outcome))
    }
}

/// The bug of a transport.
#[derive(Clone, Copy, PartialEq)]
enum WireBug {
    TakesAllFiltersForOne,
    HidesWhatItKnowsOfTheCaller,
    HidesWhatItRefuses,
}

/// A connection to a hub that has a bug.
struct BuggyWire(WireBug, InProcess);

fn buggy_wire(bug: WireBug) -> AnyWire {
    AnyWire::new(move || BuggyWire(bug, InProcess::default()))
}

impl WireFixture for BuggyWire {
    type Transport = InProcess;

    async fn serve(&self, hub: BoxTransport) -> Result<Server> {
        self.1.serve(BoxTransport::new(BuggyHub(self.0, hub))).await
    }

    async fn connect(&self) -> Result<InProcess> {
        WireFixture::connect(&self.1).await
    }
}

struct BuggyHub(WireBug, BoxTransport);

impl Transport for BuggyHub {
    forward!(1: pull, missing, subscribe, traffic, close);

    async fn hello(&self, mut request: HelloRequest) -> Result<HelloResponse> {
        if self.0 == WireBug::TakesAllFiltersForOne {
            request.filter = Filter::new().fingerprint();
        }
        let answer = self.1.hello(request).await?;
        if self.0 == WireBug::HidesWhatItKnowsOfTheCaller {
            return Ok(HelloResponse {
                counter: 0,
                counter_event: None,
                pushed: None,
                known: Vec::new(),
                ..answer
            });
        }
        Ok(answer)
    }

    async fn push(&self, mut request: PushRequest) -> Result<PushResponse> {
        if self.0 == WireBug::TakesAllFiltersForOne {
            request.filter = Filter::new().fingerprint();
        }
        let mut answer = self.1.push(request).await?;
        if self.0 == WireBug::HidesWhatItRefuses {
            answer.refused.clear();
        }
        Ok(answer)
    }
}

fn on_the_hub(bug: StoreBug) -> Cell {
    Cell::new(right_store(), buggy(bug), right_wire())
}

fn on_the_replicas(bug: StoreBug) -> Cell {
    Cell::new(buggy(bug), right_store(), right_wire())
}

fn on_the_wire(bug: WireBug) -> Cell {
    Cell::new(right_store(), right_store(), buggy_wire(bug))
}

#[test]
fn exchange_catches_a_hub_that_loses_the_last_event_of_a_batch() {
    caught("exchange", &on_the_hub(StoreBug::LosesTheLastEventOfABatch), "P2: hub misses");
}

#[test]
fn exchange_catches_a_replica_that_loses_the_last_event_of_a_batch() {
    caught("exchange", &on_the_replicas(StoreBug::LosesTheLastEventOfABatch), "P2: b misses");
}

#[test]
fn interrupted_catches_a_replica_that_forgets_its_last_commit() {
    caught("interrupted", &on_the_replicas(StoreBug::LosesTheLastCommitWhenItCrashes), "P2: hub misses");
}

#[test]
fn refused_catches_a_hub_that_does_not_tell_what_it_refuses() {
    caught("refused", &on_the_wire(WireBug::HidesWhatItRefuses), "P9");
}

#[test]
fn filters_catches_a_hub_that_takes_all_filters_for_one() {
    caught("filters", &on_the_wire(WireBug::TakesAllFiltersForOne), "pushed: 0, pulled: 55");
}

#[test]
fn conflicts_catches_a_hub_that_loses_the_last_event_of_a_batch() {
    caught("conflicts", &on_the_hub(StoreBug::LosesTheLastEventOfABatch), "was not asked");
}

#[test]
fn restored_catches_a_peer_that_does_not_say_what_it_knows() {
    caught("restored", &on_the_wire(WireBug::HidesWhatItKnowsOfTheCaller), "say hello again");
}

#[test]
fn cost_catches_a_replica_that_forgets_its_checkpoints() {
    caught("cost", &on_the_replicas(StoreBug::ForgetsCheckpoints), "more than two requests");
}

#[test]
fn faults_catches_a_replica_that_loses_the_last_event_of_a_batch() {
    caught("faults", &on_the_replicas(StoreBug::LosesTheLastEventOfABatch), "seed 1: P5");
}

#[test]
fn faults_catches_a_checkpoint_that_moves_before_the_events() {
    caught("faults", &on_the_replicas(StoreBug::MovesTheCheckpointBeforeTheEvents), "seed 1: P5");
}
