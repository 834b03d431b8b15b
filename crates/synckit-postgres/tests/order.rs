//! Commit order: several processes write one log, some of which are killed; no reader misses a position or sees one twice.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{check_positions, fresh, insist, log, node, one, open, server};
use synckit_core::{EventStore, Query, StoredEvent};
use synckit_postgres::PostgresStore;
use synckit_testkit::{Rng, Second};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How many processes write, how often two of them are killed, and how many events are acknowledged in all.
const WRITERS: usize = 4;
const ROUNDS: usize = 3;
const EVENTS: usize = 400;
/// How many events a reader reads at once.
const PAGE: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_misses_or_repeats_a_position_while_writers_are_killed() {
    const TEST: &str = "no_reader_misses_or_repeats_a_position_while_writers_are_killed";
    if let Some(address) = Second::address() {
        write(&address).await;
    }
    let Some(server) = server(TEST) else { return };
    let url = fresh(server);
    let store = open(&url).await;
    let readers: Vec<_> = (0..4).map(|reader| tokio::spawn(follow(url.clone(), reader % 2 == 0))).collect();
    let mut rng = Rng::new(17);
    let start = |name: String| Second::start(TEST, &format!("{url} {name}")).expect("the test starts again");
    let mut writers: Vec<_> = (0..WRITERS).map(|writer| start(format!("w{writer}-0"))).collect();
    let mut acknowledged = BTreeSet::new();
    for round in 1..=ROUNDS {
        // Two of them are killed, at any moment of a commit, and others take their places.
        for victim in [rng.below(WRITERS), rng.below(WRITERS)] {
            for _ in 0..3 + rng.below(20) {
                acknowledged.extend(writers[victim].word().await);
            }
            writers[victim].kill().expect("it can be killed");
            while let Some(word) = writers[victim].word().await {
                acknowledged.insert(word);
            }
            writers[victim] = start(format!("w{victim}-{round}-{}", rng.next()));
        }
    }
    while acknowledged.len() < EVENTS {
        for writer in &mut writers {
            acknowledged.extend(writer.word().await);
        }
    }
    for writer in &mut writers {
        writer.kill().expect("it can be killed");
        while let Some(word) = writer.word().await {
            acknowledged.insert(word);
        }
    }
    // What a killed process had under way may still come after it.
    insist(&store, one(&node("n"), "the last")).await.expect("commits");
    let log = upto_the_last(log(&store).await);
    let ids: BTreeSet<&str> = log.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(ids.len(), log.len(), "an event is there twice");
    assert!(acknowledged.iter().all(|id| ids.contains(id.as_str())), "an acknowledged event is missing");
    for reader in readers {
        let seen = finish(reader).await;
        assert_eq!(seen, log, "a reader has seen another log");
    }
    store.close().await.expect("closes");
}

/// Writes events, each by itself, until it is killed.
async fn write(address: &str) -> ! {
    let (url, name) = address.split_once(' ').expect("two words");
    let store = open(url).await;
    for number in 0.. {
        let id = format!("{name}-{number}");
        insist(&store, one(&node("n"), &id)).await.expect("commits");
        if !Second::say(&id) {
            break;
        }
    }
    Second::done()
}

/// Reads the log from its beginning to the event `the last`, by polling or by waiting for it to grow.
async fn follow(url: String, polls: bool) -> Vec<StoredEvent> {
    let store: PostgresStore = open(&url).await;
    let (mut seen, mut after): (Vec<StoredEvent>, _) = (Vec::new(), 0);
    while !seen.iter().rev().take(PAGE).any(is_the_last) {
        if polls {
            tokio::task::yield_now().await;
        } else {
            store.moved(after).await.expect("moves");
        }
        let page = store.read(Query::after(after).at_most(PAGE, usize::MAX)).await.expect("reads");
        assert!(page.events.iter().map(|stored| stored.position).eq(after + 1..=page.scanned_to));
        after = page.scanned_to;
        seen.extend(page.events);
    }
    check_positions(&seen);
    upto_the_last(seen)
}

fn is_the_last(stored: &StoredEvent) -> bool {
    stored.event.id.as_str() == "the last"
}

/// The log without what a killed process had under way when the last event was written.
fn upto_the_last(mut log: Vec<StoredEvent>) -> Vec<StoredEvent> {
    let end = log.iter().position(is_the_last).expect("the last event is there");
    log.truncate(end + 1);
    log
}

async fn finish(reader: JoinHandle<Vec<StoredEvent>>) -> Vec<StoredEvent> {
    let seen = timeout(Duration::from_secs(60), reader).await;
    seen.expect("a reader does not hear of the end").expect("a reader fails")
}
