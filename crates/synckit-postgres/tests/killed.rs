//! The server is killed and started again under load: nothing acknowledged is missing, nothing is there twice, and work
//! goes on by itself.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::{insist, log, node, note, one, open, retrying};
use synckit_core::{
    EventStore, Facts, Needs, Note, Plan, Planner, Position, Query, Result, Step, StoredEvent,
};
use synckit_postgres::PostgresStore;
use synckit_testkit::PostgresServer;
use tokio::time::timeout;

/// How often the server is killed.
const KILLS: usize = 8;
/// How many tasks write.
const TASKS: usize = 4;

/// Counts in the notebook; each number is given once.
#[derive(Clone)]
struct Count;

impl Planner for Count {
    type Outcome = u64;

    fn needs(&mut self) -> Needs {
        Needs { notes: vec!["count".to_owned()], ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<u64>> {
        let count = facts.note("count").map_or(Ok(0), |value| Note::read::<u64>("count", value))? + 1;
        Ok(Step::Write(Plan { put: vec![note("count", &count.to_string())], ..Plan::default() }, count))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let server = match PostgresServer::start() {
        Ok(server) => Arc::new(server),
        Err(why) => return println!("skipped: the server is killed: {why}"),
    };
    let url = server.url("postgres");
    let (first, second) = (open(&url).await, open(&url).await);
    let (ended, commits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = tokio::spawn(follow(first.clone()));
    let writers: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = if task % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(write(store, task, Arc::clone(&ended), Arc::clone(&commits)))
        })
        .collect();
    for kill in 0..KILLS {
        // It is killed in the middle of the work.
        let wanted = commits.load(Ordering::Relaxed) + 10 + kill as u64;
        retrying_until(|| commits.load(Ordering::Relaxed) >= wanted).await;
        let server = Arc::clone(&server);
        let killed = tokio::task::spawn_blocking(move || {
            server.kill();
            server.restart()
        });
        killed.await.expect("no panic").expect("the server starts again");
    }
    let wanted = commits.load(Ordering::Relaxed) + 20;
    retrying_until(|| commits.load(Ordering::Relaxed) >= wanted).await;
    ended.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut counts) = (Vec::new(), Vec::new());
    for writer in writers {
        let (ids, mine) = writer.await.expect("ends");
        acknowledged.extend(ids);
        counts.extend(mine);
    }
    insist(&first, one(&node("n"), "the last")).await.expect("commits");
    let log = log(&second).await;
    let mut ids: Vec<&str> = log.iter().map(|stored| stored.event.id.as_str()).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "an event is there twice");
    for id in &acknowledged {
        assert!(ids.binary_search(&id.as_str()).is_ok(), "{id} was acknowledged and is missing");
    }
    // What was acknowledged once is counted once; what ended with an error may be counted or not.
    counts.sort_unstable();
    assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "a number was given twice");
    let seen = timeout(Duration::from_secs(60), reader).await.expect("the reader goes on").expect("ends");
    assert_eq!(seen, log);
}

/// Records events and counts, until it is told to end. Returns what was acknowledged.
async fn write(
    store: PostgresStore,
    task: usize,
    ended: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
) -> (Vec<String>, Vec<u64>) {
    let (mut ids, mut counts) = (Vec::new(), Vec::new());
    for number in 0.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{task}-{number}");
        insist(&store, one(&node("n"), &id)).await.expect("commits");
        ids.push(id);
        // Not done again: whether an error has counted is not known.
        counts.extend(store.commit(Count).await.ok());
        commits.fetch_add(1, Ordering::Relaxed);
    }
    (ids, counts)
}

/// Follows the log to the event `the last`, whatever becomes of the server.
async fn follow(store: PostgresStore) -> Vec<StoredEvent> {
    let (mut seen, mut after): (Vec<StoredEvent>, Position) = (Vec::new(), 0);
    while seen.last().is_none_or(|stored| stored.event.id.as_str() != "the last") {
        retrying!(store.moved(after)).expect("moves");
        let page = retrying!(store.read(Query::after(after))).expect("reads");
        assert!(page.events.iter().map(|stored| stored.position).eq(after + 1..=page.scanned_to));
        after = page.scanned_to;
        seen.extend(page.events);
    }
    seen
}

async fn retrying_until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("the work goes on");
}
