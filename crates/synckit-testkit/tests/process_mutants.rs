//! Tests the cases that need two processes: a correct store in a file, and stores that are broken in ways that only
//! another process notices.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard};

use synckit_core::{
    Error, EventStore, Facts, LogHead, Needs, NodeId, Note, NoteQuery, Page, Plan, Planner, Position, Query,
    Result, Secret, StoreId,
};
use synckit_store::MemoryLog;
use synckit_testkit::store_suite::process;
use synckit_testkit::{CaseResult, StoreFixture, run};
use tempfile::TempDir;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mutation {
    Nothing,
    /// Writes to the file when the next commit comes.
    AnswersBeforeItIsDurable,
    /// Writes the notes of a commit at once, and its events when the next one comes.
    CommitsTheCheckpointFirst,
    /// The reverse.
    CommitsTheCheckpointLast,
    /// Writes two plans of three.
    LosesCommits,
    /// Never looks at what the other process has written.
    WritesAlone,
}

const ALL: [Mutation; 6] = [
    Mutation::Nothing,
    Mutation::AnswersBeforeItIsDurable,
    Mutation::CommitsTheCheckpointFirst,
    Mutation::CommitsTheCheckpointLast,
    Mutation::LosesCommits,
    Mutation::WritesAlone,
];

/// A log in a file of plans, one per line, which several processes share by its lock.
struct Journal {
    state: Mutex<State>,
    mutation: Mutation,
}

struct State {
    log: MemoryLog,
    file: File,
    /// How much of the file `log` has read.
    seen: u64,
    /// What the broken store has not written yet.
    late: Plan,
    commits: usize,
}

impl Journal {
    fn open(path: &str, mutation: Mutation, node: &NodeId) -> Result<Self> {
        let options = File::options().read(true).append(true).create(true).open(path);
        let file = options.map_err(|error| Error::corrupt("no file").with_source(error))?;
        let state = State { log: MemoryLog::default(), file, seen: 0, late: Plan::default(), commits: 0 };
        let journal = Journal { state: Mutex::new(state), mutation };
        journal.with(|state| {
            if state.log.head().is_err() {
                let (id, secret) = (StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16]));
                let put = Note::of_new_store(node.clone(), id, secret)?.into();
                state.write(Plan { put, ..Plan::default() })?;
            }
            Ok(())
        })?;
        Ok(journal)
    }

    /// Works on the log that all processes share.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.locked();
        let failed = |error| Error::corrupt("the file failed").with_source(error);
        state.file.lock().map_err(failed)?;
        let first = state.seen == 0;
        if first || self.mutation != Mutation::WritesAlone {
            state.catch_up()?;
        }
        let done = work(&mut state);
        state.file.unlock().map_err(failed)?;
        done
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no case panics while it holds the lock")
    }
}

impl State {
    /// Reads what was written since; a line that was cut short by a kill is not a plan.
    fn catch_up(&mut self) -> Result<()> {
        let failed = |error: std::io::Error| Error::corrupt("the file failed").with_source(error);
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(self.seen)).map_err(failed)?;
        self.file.read_to_string(&mut text).map_err(failed)?;
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            self.seen += line.len() as u64;
            if let Ok(plan) = serde_json::from_str(line) {
                self.log.apply(plan)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, plan: Plan) -> Result<()> {
        self.append(&plan)?;
        self.log.apply(plan)
    }

    fn append(&mut self, plan: &Plan) -> Result<()> {
        // A line that was cut short ends here.
        let end = if self.file.metadata().is_ok_and(|file| file.len() > self.seen) { "\n" } else { "" };
        let line = format!("{end}{}\n", serde_json::to_string(plan).expect("a plan has a JSON form"));
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::corrupt("the file failed").with_source(error))?;
        self.seen = self.file.metadata().map_or(self.seen, |file| file.len());
        Ok(())
    }
}

impl EventStore for Journal {
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        self.with(|state| {
            let (plan, outcome) = state.log.plan(planner)?;
            if plan == Plan::default() {
                return Ok(outcome);
            }
            state.commits += 1;
            let Plan { append, source, mark, .. } = plan.clone();
            let events = || Plan { append, source, mark, ..Plan::default() };
            let (now, later) = match self.mutation {
                Mutation::AnswersBeforeItIsDurable => (Plan::default(), plan.clone()),
                Mutation::CommitsTheCheckpointFirst => {
                    (Plan { append: Vec::new(), source: None, ..plan.clone() }, events())
                }
                Mutation::CommitsTheCheckpointLast => {
                    (events(), Plan { append: Vec::new(), source: None, ..plan.clone() })
                }
                Mutation::LosesCommits if state.commits % 3 == 0 => Default::default(),
                _ => (plan.clone(), Plan::default()),
            };
            for written in [std::mem::replace(&mut state.late, later), now] {
                if written != Plan::default() {
                    state.append(&written)?;
                }
            }
            state.log.apply(plan)?;
            Ok(outcome)
        })
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.with(|state| state.log.read(&query))
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.with(|state| Ok(state.log.notes(query)))
    }

    async fn head(&self) -> Result<LogHead> {
        self.with(|state| state.log.head())
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        self.with(|state| state.log.facts(needs))
    }

    /// No case with a broken process waits for growth.
    async fn moved(&self, _after: Position) -> Result<Position> {
        std::future::pending().await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

struct Fixture {
    directory: TempDir,
    mutation: Mutation,
}

impl StoreFixture for Fixture {
    type Store = Journal;

    async fn open(&self, node: &NodeId) -> Result<Journal> {
        Journal::open(&self.path(), self.mutation, node)
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    fn opens_twice(&self) -> bool {
        true
    }

    // The second process is broken in the same way.
    fn address(&self) -> Option<String> {
        Some(format!("{:?}:{}", self.mutation, self.path()))
    }

    async fn open_at(&self, address: &str, node: &NodeId) -> Result<Journal> {
        let (mutation, path) = address.split_once(':').expect("it was made above");
        let mutation = ALL.into_iter().find(|known| format!("{known:?}") == mutation).expect("it is known");
        Journal::open(path, mutation, node)
    }
}

impl Fixture {
    fn path(&self) -> String {
        self.directory.path().join("log").display().to_string()
    }
}

/// The maximum number of tries of a broken store. It is random where in a commit a kill falls and how two processes
/// meet: a store may pass some runs, but never this number of them.
const KILLS: usize = 100;

type Case = fn(&Fixture) -> std::pin::Pin<Box<dyn Future<Output = CaseResult> + '_>>;

fn passes(test: &'static str, mutation: Mutation, case: Case) -> bool {
    let fixture = Fixture { directory: TempDir::new().expect("a directory can be made"), mutation };
    std::thread::spawn(move || run(test, async move { case(&fixture).await })).join().is_ok()
}

macro_rules! mutants {
    ($($name:ident: $mutation:ident is caught by $case:ident;)*) => {$(
        #[test]
        fn $name() {
            let case: Case = |fixture| Box::pin(process::$case(fixture));
            let test = concat!(module_path!(), "::", stringify!($name));
            assert!(passes(test, Mutation::Nothing, case), "the case fails for a store that is right");
            let caught = (0..KILLS).any(|_| !passes(test, Mutation::$mutation, case));
            assert!(caught, "the case does not notice");
        }
    )*};
}

mutants! {
    answers_before_it_is_durable:
        AnswersBeforeItIsDurable is caught by a_killed_process_leaves_what_it_acknowledged;
    commits_the_checkpoint_first:
        CommitsTheCheckpointFirst is caught by a_killed_process_leaves_what_it_acknowledged;
    commits_the_checkpoint_last:
        CommitsTheCheckpointLast is caught by a_killed_process_leaves_what_it_acknowledged;
    loses_commits: LosesCommits is caught by a_killed_process_leaves_what_it_acknowledged;
    answers_before_a_view_is_durable:
        AnswersBeforeItIsDurable is caught by a_killed_build_of_a_view_goes_on;
    writes_alone: WritesAlone is caught by two_processes_write_one_log;
    loses_commits_of_two: LosesCommits is caught by two_processes_write_one_log;
}

/// Checks that another handle respects the lock of the journal; without that, nothing above would mean anything.
#[test]
fn the_lock_holds() {
    let directory = TempDir::new().expect("a directory can be made");
    let path = directory.path().join("log");
    let open = || File::options().append(true).create(true).open(&path).expect("it can be opened");
    let (one, two) = (open(), open());
    one.lock().expect("it can be locked");
    assert!(matches!(two.try_lock(), Err(TryLockError::WouldBlock)));
}
