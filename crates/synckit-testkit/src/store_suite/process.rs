//! A second process that writes to the same log, and one that is killed while it commits or builds a view.

use std::collections::BTreeSet;

use synckit::Replica;
use synckit_core::{Event, EventId, EventStore, Note, Result, StoredEvent};

use super::commit::check_own;
use super::{ids, log_of, open, receive, receiving, record, text};
use crate::case::{CaseResult, skip, test};
use crate::fixture::StoreFixture;
use crate::process::Second;
use crate::samples::{Author, new_event, node};
use crate::views::{Trail, difference};

const ALONE: &str = "the fixture has no address by which another process finds the log";
/// The number of commits of two events that each process makes.
const COMMITS: usize = 25;
/// The number of events that a view is built from.
const EVENTS: usize = 20_000;

/// Two processes write to one log at once: one order, distinct dots, and the events of each in its order.
pub async fn two_processes_write_one_log<F: StoreFixture>(fixture: &F) -> CaseResult {
    if let Some(address) = Second::address() {
        let store = fixture.open_at(&address, &node("n")).await?;
        Second::say("open");
        write(&store, "second").await?;
        store.close().await?;
        Second::done();
    }
    if !fixture.opens_twice() {
        return skip("two_processes_write_one_log", "this log is opened once at a time");
    }
    let Some(address) = fixture.address() else {
        return skip("two_processes_write_one_log", ALONE);
    };
    // Both may find no log yet, and create it.
    let mut second = Second::start(test(), &address).expect("the test can be started again");
    let store = open(fixture).await?;
    assert_eq!(second.word().await.as_deref(), Some("open"), "the second process opens the log");
    write(&store, "first").await?;
    assert!(second.end().await.is_ok_and(|status| status.success()), "the second process failed");
    let log = log_of(&store).await?;
    check_own(&log, 4 * COMMITS as u64);
    for process in ["first", "second"] {
        let own = ids(&log).into_iter().filter(|id| id.starts_with(process));
        let expected = (0..COMMITS).flat_map(|at| [format!("{process}-{at}-0"), format!("{process}-{at}-1")]);
        assert_eq!(own.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    for pair in log.chunks(2) {
        let (first, second) = (pair[0].event.id.as_str(), pair[1].event.id.as_str());
        assert_eq!(first.strip_suffix("-0"), second.strip_suffix("-1"), "a commit is not divided");
    }
    Ok(())
}

async fn write(store: &impl EventStore, process: &str) -> Result<()> {
    for at in 0..COMMITS {
        let new = |half| new_event("x", &format!("{process}-{at}-{half}"));
        let recorded = record(store, vec![new(0), new(1)]).await?;
        assert!(store.head().await?.position >= recorded.head, "a process sees its own commit");
    }
    Ok(())
}

/// A process is killed while it commits. What it had acknowledged is there, nothing is there by half, and the next
/// process that opens the log can continue.
pub async fn a_killed_process_leaves_what_it_acknowledged<F: StoreFixture>(fixture: &F) -> CaseResult {
    if let Some(address) = Second::address() {
        let store = fixture.open_at(&address, &node("n")).await?;
        acknowledge(&store).await?;
        Second::done();
    }
    if !fixture.survives_reopen() {
        return skip("a_killed_process_leaves_what_it_acknowledged", "this log does not outlive its store");
    }
    let Some(address) = fixture.address() else {
        return skip("a_killed_process_leaves_what_it_acknowledged", ALONE);
    };
    for words in [1, 2, 5, 12] {
        let mut second = Second::start(test(), &address).expect("the test can be started again");
        let mut acknowledged = String::new();
        for _ in 0..words {
            acknowledged = second.word().await.expect("the second process commits until it is killed");
        }
        second.kill().expect("the second process can be killed");
        // Its last words are read after it is killed.
        while let Some(word) = second.word().await {
            acknowledged = word;
        }
        let store = open(fixture).await?;
        check(&store, acknowledged.parse().expect("it says numbers")).await?;
        store.close().await?;
    }
    Ok(())
}

/// Commits round by round, and sends the number of every round once it is acknowledged. Ends with the first process.
async fn acknowledge(store: &impl EventStore) -> Result<()> {
    let rounds = checkpoint(store).await?;
    let mut far = Author::new("far");
    far.write_many("x", 3 * rounds.saturating_sub(1));
    for round in rounds.max(1).. {
        let mut receiving = receiving(1, &far.write_many("x", 3));
        receiving.notes.push(Note { key: "checkpoint".to_owned(), value: round.to_string().into_bytes() });
        store.commit(receiving).await?;
        let new = |half| new_event("y", &format!("own-{round}-{half}"));
        record(store, vec![new(0), new(1)]).await?;
        if !Second::say(&round.to_string()) {
            break;
        }
    }
    Ok(())
}

/// Returns the last round whose events were received, according to its checkpoint.
async fn checkpoint(store: &impl EventStore) -> Result<usize> {
    Ok(text(store, "checkpoint").await?.map_or(0, |round| round.parse().expect("the checkpoint is a number")))
}

async fn check(store: &impl EventStore, acknowledged: usize) -> Result<()> {
    let (log, rounds) = (log_of(store).await?, checkpoint(store).await?);
    assert!(rounds >= acknowledged, "round {acknowledged} was acknowledged, the checkpoint is {rounds}");
    let positions = log.iter().map(|stored| stored.position);
    assert!(positions.eq(1..=log.len() as u64), "positions have no gaps");
    let (foreign, own): (Vec<&StoredEvent>, Vec<_>) = log.iter().partition(|stored| stored.source.is_some());
    let expected = Author::new("far").write_many("x", 3 * rounds);
    assert!(foreign.iter().map(|stored| &stored.event).eq(&expected), "events and checkpoint do not agree");
    assert!(own.len() % 2 == 0 && own.len() >= 2 * acknowledged, "{} own events are there", own.len());
    let dots: BTreeSet<_> = own.iter().map(|stored| &stored.event.dot).collect();
    assert_eq!(dots.len(), own.len(), "a dot was given twice");
    // Everything pulled again is a repetition.
    let all: Vec<Event> = log.iter().map(|stored| stored.event.clone()).collect();
    let again = receive(store, 2, &all).await?;
    assert_eq!((again.accepted, again.duplicates), (0, all.len()));
    Ok(())
}

/// A process is killed while it builds a new version of a view. Those that follow go on from there, and where a log can be
/// opened twice, the old version is read and kept meanwhile.
pub async fn a_killed_build_of_a_view_goes_on<F: StoreFixture>(fixture: &F) -> CaseResult {
    if let Some(address) = Second::address() {
        build(fixture.open_at(&address, &node("n")).await?).await?;
        Second::done();
    }
    if !fixture.survives_reopen() {
        return skip("a_killed_build_of_a_view_goes_on", "this log does not outlive its store");
    }
    let Some(address) = fixture.address() else {
        return skip("a_killed_build_of_a_view_goes_on", ALONE);
    };
    let replica = Replica::new(open(fixture).await?);
    for batch in 0..EVENTS / 1_000 {
        let new = (0..1_000).map(|at| new_event(&format!("x{}", at % 50), &format!("{batch}-{at}")));
        record(replica.store(), new.collect()).await?;
    }
    let old = replica.with_view(Trail { version: 1 })?;
    let aggregate = "x7".parse()?;
    assert_eq!(old.get(&aggregate).await?.map(|events| events.len()), Some(EVENTS / 50));
    if !fixture.opens_twice() {
        replica.store().close().await?;
    }
    let start = || Second::start(test(), &address).expect("the test can be started again");
    let mut second = start();
    assert_eq!(reached(&mut second).await, Some(0), "it begins with the log");
    let middle = reached(&mut second).await.filter(|reached| *reached > 0).expect("it stops in the middle");
    if fixture.opens_twice() {
        record(replica.store(), vec![new_event("x7", "meanwhile")]).await?;
        let shown = old.get(&aggregate).await?.expect("there are events");
        assert_eq!(shown.last().map(EventId::as_str), Some("meanwhile"));
        assert_eq!(shown.len(), EVENTS / 50 + 1);
        replica.store().close().await?;
    }
    second.kill().expect("the second process can be killed");
    let mut third = start();
    assert_eq!(reached(&mut third).await, Some(middle), "it goes on from where the second was killed");
    third.kill().expect("the third process can be killed");
    let mut fourth = start();
    assert!(reached(&mut fourth).await >= Some(middle), "what was built stays");
    assert!(fourth.end().await.is_ok_and(|status| status.success()), "the fourth process failed");
    let replica = Replica::new(open(fixture).await?);
    for version in [1, 2] {
        assert_eq!(difference(&replica.with_view(Trail { version })?).await?, None, "version {version}");
    }
    Ok(())
}

/// Builds a version of a view, and says which positions it has reached. One that has begun from the start waits in the
/// middle until it is killed.
async fn build(store: impl EventStore) -> Result<()> {
    let (view, mut first) = (Replica::new(store).with_view(Trail { version: 2 })?, None);
    view.catch_up(|reached, of| {
        Second::say(&reached.to_string());
        if *first.get_or_insert(reached) == 0 && (1..of).contains(&reached) {
            Second::wait();
        }
    })
    .await
}

async fn reached(second: &mut Second) -> Option<u64> {
    second.word().await.map(|word| word.parse().expect("it says numbers"))
}
