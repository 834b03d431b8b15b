//! A store in memory that can be broken in many ways: in what it knows when it plans, in what it writes of a plan,
//! and in what it reads.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use synckit_core::{
    Data, Edit, Error, ErrorKind, EventStore, Facts, Identity, LogHead, Mark, Needs, NodeId, Note, NoteQuery,
    Page, Plan, Planner, Planning, Position, Query, Result, Secret, Step, StoreId, StoredEvent, VectorClock,
};
use synckit_plan::{OnRecord, Pushed, Receive, Record, Renew, Renumber};
use synckit_store::MemoryLog;
use synckit_testkit::StoreFixture;
use tokio::task::yield_now;
use tokio::time::sleep;

/// How long a broken store shows only half of a commit.
const BETWEEN: Duration = Duration::from_millis(1);

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mutation {
    Nothing,
    // Mutations of what it knows when it plans.
    ForgetsADuplicate,
    ForgetsDots,
    ForgetsLatePlaces,
    CutsHistories,
    ForgetsNotesUnderAPrefix,
    MisnamesTheEndOfAPage,
    ForgetsCounters,
    ForgetsHeads,
    ForgetsWhatIsOnRecord,
    ForgetsWhatWasSeen,
    BelievesTheCaller,
    PlansBeforeItsTurn,
    // Mutations of what it makes of a planner.
    ForgetsTheLimits,
    AllowsOneByteLess,
    PutsOnRecordAlways,
    NeverSetsAside,
    ForgetsTheSource,
    // Mutations of what it writes of a plan.
    LosesTheLastEventOfABatch,
    CommitsTheCheckpointFirst,
    CommitsInTwoHalves,
    WritesAnEventTwice,
    CapsACommit,
    LosesRestamps,
    RestampsOneByOne,
    RestampsLoseTheSource,
    RestampsLeaveTheIndexOfSources,
    KeepsIds,
    KeepsMarks,
    MarksEachEvent,
    DerivesInTheNameOfTheSource,
    LosesDeletes,
    LosesTheIdentity,
    KeepsItsId,
    WritesNotesOnlyWithEvents,
    KeepsTheFirstValue,
    TrimsKeys,
    CutsLongValues,
    // Mutations of what it reads.
    SkipsAnEventBetweenPages,
    PagesNeverMoveOn,
    PagesHoldOneEventTooMany,
    PagesHoldOneEventAtLeast,
    PagesIgnoreBytes,
    StaysEmptyWhenAnEventIsTooLarge,
    ScansNoFurtherThanTheHead,
    LeavesAGap,
    IgnoresTheAggregate,
    ReadsTheFirstAggregate,
    FoldsTheAggregate,
    IgnoresTheSource,
    RereadsJson,
    LosesACharacter,
    CutsClocks,
    CutsMarks,
    PrefixesFoldCase,
    PagesOfNotesRepeatTheirFirst,
    AnswersKeysAsAsked,
    SortsNotesBackwards,
    LosesAConnection,
    ForgetsTheMarkOfTheHead,
    KeepsTheLastFacts,
    NeverWakes,
    WakesForNothing,
    // Mutations of how it is opened and closed.
    StaysOpenWhenClosed,
    EmptiesWhenClosing,
    ForgetsWhatItHeld,
    ForgetsNotesWhenReopened,
    ForgetsMarksWhenReopened,
    RemembersTheIdItWasOpenedWith,
    TakesANewIdWhenReopened,
    OpensForAnyNode,
}

use Mutation as M;

#[derive(Default)]
pub(crate) struct State {
    log: MemoryLog,
    closed: bool,
    reopened: bool,
    /// The positions of events that were restamped.
    restamped: BTreeSet<Position>,
}

pub(crate) struct Mutant {
    state: Arc<Mutex<State>>,
    mutation: Mutation,
    opened_as: StoreId,
    connections: AtomicUsize,
}

/// What a caller says about the log.
enum Caller {
    Author(Note),
    End(Position),
    Id(StoreId),
    Nothing,
}

/// Returns the planner if it has this type.
fn of<T: 'static>(planner: &mut impl Planner) -> Option<&mut T> {
    (planner as &mut dyn Any).downcast_mut()
}

impl Mutant {
    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().expect("no case panics while it holds the lock");
        match state.closed {
            true => Err(Error::new(ErrorKind::Closed, "the store is closed")),
            false => Ok(state),
        }
    }

    /// Returns what the broken store believes it knows.
    fn facts(&self, log: &MemoryLog, needs: Needs, caller: &Caller) -> Result<Facts> {
        let mut facts = log.facts(needs)?;
        match self.mutation {
            M::ForgetsADuplicate => facts.held.clear(),
            M::ForgetsDots => facts.dots.clear(),
            M::ForgetsLatePlaces => facts.places.retain(|position, _| *position < 12),
            M::CutsHistories => facts.histories.values_mut().for_each(|history| history.truncate(1_000)),
            M::RemembersTheIdItWasOpenedWith => facts.head.store = self.opened_as,
            M::ForgetsNotesUnderAPrefix => facts.notes.retain(|key, _| !key.starts_with("a/")),
            M::ForgetsCounters => facts.notes.retain(|key, _| !key.starts_with("origin/")),
            M::ForgetsWhatWasSeen => facts.notes.retain(|key, _| !key.starts_with("seen/")),
            M::ForgetsWhatIsOnRecord => facts.notes.retain(|key, _| key != "pushed"),
            M::ForgetsHeads => facts.notes.retain(|key, _| !key.starts_with("heads/")),
            M::BelievesTheCaller => match caller {
                Caller::Author(note) => drop(facts.notes.insert(note.key.clone(), note.value.clone())),
                Caller::End(position) => facts.head.position = *position,
                Caller::Id(id) => facts.head.store = *id,
                Caller::Nothing => {}
            },
            _ => {}
        }
        Ok(facts)
    }

    fn plan<P: Planner>(&self, log: &MemoryLog, mut planner: P) -> Result<(Plan, P::Outcome)> {
        let caller = if let Some(record) = of::<Record>(&mut planner) {
            let identity = Identity::new(record.author.clone(), Secret::from_bytes([9; 16]));
            Caller::Author(Note::json(Note::NODE.to_owned(), &identity)?)
        } else if let Some(renumber) = of::<Renumber>(&mut planner) {
            Caller::End(renumber.head)
        } else if let Some(renew) = of::<Renew>(&mut planner) {
            Caller::Id(renew.store)
        } else {
            Caller::Nothing
        };
        if self.mutation == M::KeepsTheLastFacts {
            // Begins again for every round, with what the last one asked for.
            let mut needs = planner.needs();
            for round in 1.. {
                match planner.plan(&self.facts(log, needs, &caller)?, round)? {
                    Step::Fetch(more) => needs = more,
                    Step::Write(plan, outcome) => return Ok((plan, outcome)),
                }
            }
        }
        Planning::run(planner, |needs| self.facts(log, needs, &caller))
    }

    /// Changes a planner as the broken store does.
    fn misread(&self, planner: &mut impl Planner) {
        let record = of::<Record>(planner);
        match (self.mutation, record) {
            (M::ForgetsTheLimits, Some(record)) => record.limits.event_bytes = usize::MAX,
            (M::AllowsOneByteLess, Some(record)) => record.limits.event_bytes -= 1,
            _ => {}
        }
        let Some(receive) = of::<Receive>(planner) else { return };
        match self.mutation {
            M::ForgetsTheLimits => receive.limits.event_bytes = usize::MAX,
            M::AllowsOneByteLess => receive.limits.event_bytes -= 1,
            M::PutsOnRecordAlways => {
                if let Some(OnRecord { key, upto: Some(upto), .. }) = receive.on_record.take() {
                    let pushed = Pushed { place: upto, at: receive.now };
                    receive.notes.push(Note { key, value: pushed.to_string().into_bytes() });
                }
            }
            M::NeverSetsAside => receive.keep_refused = false,
            M::ForgetsTheSource => receive.source = None,
            _ => {}
        }
    }

    /// Changes a plan as the broken store writes it.
    fn spoil(&self, state: &State, plan: &mut Plan) {
        match self.mutation {
            M::LosesTheLastEventOfABatch => drop(plan.append.pop()),
            M::WritesAnEventTwice => plan.append.extend(plan.append.last().cloned()),
            M::CapsACommit => plan.append.truncate(5_000),
            M::LosesRestamps => plan.replace.clear(),
            M::KeepsMarks => plan.remark = None,
            M::KeepsIds => {
                for (position, event) in &mut plan.replace {
                    let query = Query::after(*position - 1).at_most(1, usize::MAX);
                    let held = state.log.read(&query).expect("the log is whole").events.remove(0);
                    event.id = held.event.id;
                }
            }
            M::DerivesInTheNameOfTheSource => plan.append.append(&mut plan.derived),
            M::KeepsItsId => plan.put.retain(|note| note.key != Note::STORE),
            M::LosesDeletes => plan.delete.clear(),
            M::LosesTheIdentity => plan.put.retain(|note| note.key != Note::NODE),
            M::WritesNotesOnlyWithEvents if plan.append.is_empty() && plan.replace.is_empty() => {
                plan.put.clear()
            }
            M::KeepsTheFirstValue => {
                let keys = plan.put.iter().map(|note| note.key.clone()).filter(|key| key == "k").collect();
                let held = state.log.notes(NoteQuery::Keys(keys));
                plan.put.retain(|note| held.iter().all(|held| held.key != note.key));
            }
            M::TrimsKeys => plan.put.iter_mut().for_each(|note| note.key = note.key.trim().to_owned()),
            M::CutsLongValues => plan.put.iter_mut().for_each(|note| note.value.truncate(65_535)),
            _ => {}
        }
    }

    /// Changes an event as the broken store reads it.
    fn distort(&self, stored: &mut StoredEvent, state: &State) {
        match self.mutation {
            M::RestampsLoseTheSource if state.restamped.contains(&stored.position) => stored.source = None,
            M::LeavesAGap if stored.position > 2 => stored.position += 1,
            M::MarksEachEvent => stored.mark.0 ^= stored.position,
            M::CutsMarks => stored.mark.0 &= i64::MAX as u64,
            M::ForgetsMarksWhenReopened if state.reopened => stored.mark = Mark::default(),
            M::RereadsJson => {
                if let Ok(value) = stored.event.data.parse::<serde_json::Value>() {
                    stored.event.data = Data::of(&value).expect("it was JSON");
                }
            }
            M::LosesACharacter => {
                if let Some(text) = stored.event.data.as_json() {
                    stored.event.data = Data::stored_json(text.replace('\u{fffe}', "\u{fffd}"));
                }
            }
            M::CutsClocks if stored.event.clock.len() > 500 => {
                let entries = stored.event.clock.iter().map(|(node, counter)| (node.clone(), counter));
                let entries: Vec<_> = entries.take(999).collect();
                stored.event.clock = VectorClock::from_entries(entries).expect("it is a clock");
            }
            _ => {}
        }
    }

    /// Takes a connection for a read. The broken store never gets back a connection whose read is dropped.
    async fn connect(&self) -> Result<()> {
        if self.mutation == M::LosesAConnection {
            if self.connections.fetch_add(1, Ordering::SeqCst) > 2 {
                return Err(Error::new(ErrorKind::Busy, "all connections are taken"));
            }
            yield_now().await;
            self.connections.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl EventStore for Mutant {
    async fn commit<P: Planner>(&self, mut planner: P) -> Result<P::Outcome> {
        self.misread(&mut planner);
        if self.mutation == M::CommitsTheCheckpointFirst
            && let Some(put) = of::<Receive>(&mut planner).map(|receive| std::mem::take(&mut receive.notes))
        {
            let checkpoint = Edit { put, delete: Vec::new() };
            {
                let mut state = self.open()?;
                let (plan, _) = self.plan(&state.log, checkpoint)?;
                state.log.apply(plan)?;
            }
            sleep(BETWEEN).await;
        }
        let (mut plan, outcome) = {
            let state = self.open()?;
            let (mut plan, outcome) = self.plan(&state.log, planner)?;
            self.spoil(&state, &mut plan);
            if !matches!(self.mutation, M::PlansBeforeItsTurn | M::CommitsInTwoHalves) {
                let mut state = state;
                state.restamped.extend(plan.replace.iter().map(|(position, _)| *position));
                if self.mutation == M::RestampsOneByOne {
                    for one in std::mem::take(&mut plan.replace) {
                        state.log.apply(Plan { replace: vec![one], ..Plan::default() })?;
                    }
                }
                state.log.apply(plan)?;
                return Ok(outcome);
            }
            (plan, outcome)
        };
        if self.mutation == M::CommitsInTwoHalves {
            let half = plan.append.len() / 2;
            let last = plan.put.pop();
            let rest = Plan {
                append: plan.append.split_off(half),
                source: plan.source,
                derived: std::mem::take(&mut plan.derived),
                mark: plan.mark,
                put: last.into_iter().collect(),
                ..Plan::default()
            };
            self.open()?.log.apply(std::mem::replace(&mut plan, rest))?;
        }
        sleep(BETWEEN).await;
        self.open()?.log.apply(plan)?;
        Ok(outcome)
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        self.connect().await?;
        self.facts(&self.open()?.log, needs, &Caller::Nothing)
    }

    async fn read(&self, mut query: Query) -> Result<Page> {
        self.connect().await?;
        let asked = query.clone();
        match self.mutation {
            M::SkipsAnEventBetweenPages if query.after > 0 => query.after += 1,
            M::PagesHoldOneEventTooMany => query.max_events += 1,
            M::PagesHoldOneEventAtLeast => query.max_events = query.max_events.max(1),
            M::PagesIgnoreBytes => query.max_bytes = usize::MAX,
            M::IgnoresTheAggregate | M::FoldsTheAggregate => query.aggregates = None,
            M::ReadsTheFirstAggregate => query.aggregates.iter_mut().for_each(|of| of.truncate(1)),
            M::IgnoresTheSource | M::RestampsLeaveTheIndexOfSources => query.except_source = None,
            _ => {}
        }
        let state = self.open()?;
        let mut page = state.log.read(&query)?;
        match self.mutation {
            M::MisnamesTheEndOfAPage => page.upto = page.events.last().map(|last| last.mark),
            M::PagesNeverMoveOn if page.events.is_empty() => {
                page.more = page.scanned_to > asked.after;
                page.scanned_to = asked.after;
            }
            M::RemembersTheIdItWasOpenedWith => page.store = self.opened_as,
            M::ScansNoFurtherThanTheHead => page.scanned_to = page.scanned_to.min(state.log.head()?.position),
            M::StaysEmptyWhenAnEventIsTooLarge
                if page.events.first().is_some_and(|stored| stored.event.size() > asked.max_bytes) =>
            {
                page = Page::empty(page.store, asked.after, page.from, true);
            }
            M::FoldsTheAggregate => page.events.retain(|stored| {
                let same = |of: &synckit_core::AggregateId| {
                    of.as_str().to_lowercase() == stored.event.aggregate_id.as_str().to_lowercase()
                };
                asked.aggregates.as_ref().is_none_or(|of| of.iter().any(same))
            }),
            M::RestampsLeaveTheIndexOfSources => page.events.retain(|stored| {
                let left_out = asked.except_source.is_some() && stored.source == asked.except_source;
                !left_out || state.restamped.contains(&stored.position)
            }),
            _ => {}
        }
        page.events.iter_mut().for_each(|stored| self.distort(stored, &state));
        Ok(page)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.connect().await?;
        let log = &self.open()?.log;
        let mut found = match (self.mutation, query) {
            (M::PrefixesFoldCase, NoteQuery::Prefix { prefix, after, limit }) => {
                let all = NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: 10_000 };
                let mut all = log.notes(all);
                all.retain(|note| note.key > after);
                all.retain(|note| note.key.to_lowercase().starts_with(&prefix.to_lowercase()));
                all.truncate(limit);
                all
            }
            (M::PagesOfNotesRepeatTheirFirst, NoteQuery::Prefix { prefix, after, limit }) => {
                let mut page = log.notes(NoteQuery::Prefix { prefix, after: after.clone(), limit });
                page.splice(..0, log.notes(NoteQuery::Keys(vec![after])));
                page.truncate(limit);
                page
            }
            (M::AnswersKeysAsAsked, NoteQuery::Keys(keys)) => {
                keys.into_iter().flat_map(|key| log.notes(NoteQuery::Keys(vec![key]))).collect()
            }
            (_, query) => log.notes(query),
        };
        if self.mutation == M::SortsNotesBackwards {
            found.reverse();
        }
        Ok(found)
    }

    async fn head(&self) -> Result<LogHead> {
        self.connect().await?;
        let mut head = self.open()?.log.head()?;
        if self.mutation == M::RemembersTheIdItWasOpenedWith {
            head.store = self.opened_as;
        }
        if self.mutation == M::ForgetsTheMarkOfTheHead {
            head.mark = None;
        }
        Ok(head)
    }

    async fn moved(&self, after: Position) -> Result<Position> {
        loop {
            let last = self.open()?.log.last();
            if last > after || (self.mutation == M::WakesForNothing && last == after) {
                return Ok(last);
            }
            if self.mutation == M::NeverWakes {
                std::future::pending::<()>().await;
            }
            sleep(BETWEEN).await;
        }
    }

    async fn close(&self) -> Result<()> {
        if self.mutation == M::EmptiesWhenClosing {
            self.open()?.log = MemoryLog::default();
            yield_now().await;
        }
        self.state.lock().expect("no case panics while it holds the lock").closed =
            self.mutation != M::StaysOpenWhenClosed;
        Ok(())
    }
}

/// Keeps the log of the store it has opened, as a file does.
pub(crate) struct Kept {
    pub(crate) mutation: Mutation,
    pub(crate) log: Mutex<Option<Arc<Mutex<State>>>>,
}

impl Kept {
    pub(crate) fn new(mutation: Mutation) -> Self {
        Kept { mutation, log: Mutex::new(None) }
    }

    fn first(&self, node: &NodeId) -> Result<MemoryLog> {
        MemoryLog::new(node.clone(), StoreId::from_bytes([200; 16]), Secret::from_bytes([200; 16]))
    }
}

impl StoreFixture for Kept {
    type Store = Mutant;

    async fn open(&self, node: &NodeId) -> Result<Mutant> {
        let mut kept = self.log.lock().expect("no case panics while it holds the lock");
        let state = match kept.take() {
            Some(state) if self.mutation != M::ForgetsWhatItHeld => state,
            _ => Arc::new(Mutex::new(State { log: self.first(node)?, ..State::default() })),
        };
        let opened_as = {
            let mut open = state.lock().expect("no case panics while it holds the lock");
            let reopened = std::mem::take(&mut open.closed);
            open.reopened |= reopened;
            let log = &mut open.log;
            if log.head().is_ok() && self.mutation != M::OpensForAnyNode {
                log.identity()?.expect(node).inspect_err(|_| *kept = Some(state.clone()))?;
            }
            if reopened && self.mutation == M::TakesANewIdWhenReopened {
                let put = vec![Note::of_store_id(StoreId::from_bytes([201; 16]))];
                log.apply(Plan { put, ..Plan::default() })?;
            }
            if reopened && self.mutation == M::ForgetsNotesWhenReopened {
                let prefix = "origin/".to_owned();
                let origins = log.notes(NoteQuery::Prefix { prefix, after: String::new(), limit: 100 });
                let mut delete: Vec<_> = origins.into_iter().map(|note| note.key).collect();
                delete.push("here".to_owned());
                log.apply(Plan { delete, ..Plan::default() })?;
            }
            log.head().map_or(StoreId::from_bytes([0; 16]), |head| head.store)
        };
        *kept = Some(state.clone());
        Ok(Mutant { state, mutation: self.mutation, opened_as, connections: AtomicUsize::new(0) })
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    fn opens_twice(&self) -> bool {
        true
    }
}
