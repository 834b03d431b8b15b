//! Power cuts at every sync of a run, whatever they leave of what was not synced: P1, P2, P5.

mod support;

use std::collections::HashSet;
use std::time::Duration;

use support::{Content, Disk, Kept, content, edit, note, one, open, receive, record};
use synckit_core::{BoxPlanner, ErrorKind, EventStore, Renewal};
use synckit_plan::{Renew, Renumber};
use synckit_redb::RedbStore;
use synckit_testkit::samples::{Author, NOW, entropy, new_event, tricky_events};

/// Ways in which a power cut can leave the disk: two plain ones, and six by chance.
fn ways(seed: u64) -> impl Iterator<Item = Kept> {
    let by_chance = (0..3).flat_map(move |n| [Kept::Prefix(seed * 16 + n), Kept::Subset(seed * 16 + 8 + n)]);
    [Kept::Nothing, Kept::Everything].into_iter().chain(by_chance)
}

fn script() -> Vec<BoxPlanner> {
    let mut far = Author::new("far");
    let mut script = vec![BoxPlanner::new(record(tricky_events()))];
    for round in 0..6 {
        let id = |name: &str| format!("{name}-{round}");
        script.push(BoxPlanner::new(record(vec![new_event("x", &id("a")), new_event("y", &id("b"))])));
        // The aggregate `x` comes into conflict with the first page and is listed in the notebook.
        script.push(BoxPlanner::new(receive(far.write_many("x", 5), &format!("page {round}"))));
        let put = vec![note(&id("kept"), "1"), note("turned", &round.to_string())];
        script.push(BoxPlanner::new(edit(put, &[&format!("kept-{}", round - 1)])));
        script.push(BoxPlanner::new(one(&id("c"))));
    }
    script.push(BoxPlanner::new(receive(far.write_many("z", 300), "the last page")));
    script
}

#[tokio::test]
async fn after_a_power_cut_there_is_all_that_was_acknowledged_and_nothing_by_half() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    // After each commit: how often the disk was synced when it was acknowledged, and what the store held.
    let mut acknowledged = vec![(disk.syncs(), content(&store).await)];
    for planner in script() {
        store.commit(planner).await.expect("commits");
        acknowledged.push((disk.syncs(), content(&store).await));
    }
    let log = acknowledged[acknowledged.len() - 1].1.log.clone();
    let from = log.iter().rfind(|stored| stored.source.is_none()).expect("an own event").position;
    let last = &log[from as usize - 1].event;
    let renumber = Renumber {
        events: [(last.id.clone(), last.aggregate_id.clone())].into(),
        taken: true,
        name: None,
        last: true,
        handed: from - 1,
        head: log.len() as u64,
        now: NOW,
        drift: Duration::from_secs(60),
        entropy: entropy(),
    };
    store.commit(renumber).await.expect("commits").expect("renumbers");
    acknowledged.push((disk.syncs(), log_and_notes(&store).await));
    let id = store.head().await.expect("a head").store;
    let renew = Renew::new(id, Renewal::Asked, NOW, entropy());
    store.commit(renew).await.expect("commits");
    acknowledged.push((disk.syncs(), log_and_notes(&store).await));
    assert_ne!(acknowledged[acknowledged.len() - 1].1.store, id);
    store.close().await.expect("closes");
    assert!(acknowledged.windows(2).all(|pair| pair[0].0 < pair[1].0), "every commit is synced");

    for syncs in acknowledged[0].0..=disk.syncs() {
        let sure = acknowledged.iter().rposition(|(at, _)| *at <= syncs).expect("was created");
        for way in ways(syncs as u64) {
            let left = Disk::of(disk.cut_after(syncs, way));
            let store = open(&left).await.unwrap_or_else(|error| panic!("{syncs} syncs, {way:?}: {error}"));
            let found = log_and_notes(&store).await;
            let expected = &acknowledged[sure..acknowledged.len().min(sure + 2)];
            assert!(
                expected.iter().any(|(_, content)| *content == found),
                "{syncs} syncs, {way:?}: {} events and {} notes; acknowledged were {}",
                found.log.len(),
                found.notes.len(),
                expected[0].1.log.len(),
            );
            // It goes on where it was, and that survives the next cut.
            let next = store.commit(one("next")).await.expect("commits");
            assert_eq!(next.head, found.log.len() as u64 + 1);
            let again = open(&Disk::of(left.cut_after(left.syncs(), Kept::Nothing))).await.expect("opens");
            assert_eq!(again.head().await.expect("a head").position, next.head);
        }
    }
}

/// The content without what holds only for stores that were never renamed.
async fn log_and_notes(store: &RedbStore) -> Content {
    use synckit_core::{NoteQuery, Query};
    let head = store.head().await.expect("a head");
    let log = store.read(Query::after(0).at_most(usize::MAX, usize::MAX)).await.expect("reads").events;
    assert!(log.iter().map(|stored| stored.position).eq(1..=head.position));
    let all = NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: usize::MAX };
    Content { store: head.store, log, notes: store.notes(all).await.expect("reads") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_power_cut_while_many_write_loses_nothing_acknowledged() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    let created = disk.syncs();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let (store, disk) = (store.clone(), disk.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0..8 {
                    let ids = [format!("{task}-{n}-left"), format!("{task}-{n}-right")];
                    let pair = ids.iter().map(|id| new_event(&format!("of-{task}"), id)).collect();
                    store.commit(record(pair)).await.expect("commits");
                    acknowledged.push((disk.syncs(), ids));
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.expect("ends"));
    }
    drop(store);
    for syncs in created..=disk.syncs() {
        for way in ways(syncs as u64).take(4) {
            let store = open(&Disk::of(disk.cut_after(syncs, way))).await.expect("opens");
            let log = content(&store).await.log;
            let ids: HashSet<_> = log.iter().map(|stored| stored.event.id.as_str()).collect();
            assert_eq!(ids.len(), log.len());
            for (at, pair) in &acknowledged {
                let held = pair.each_ref().map(|id| ids.contains(id.as_str()));
                assert_eq!(held[0], held[1], "{syncs} syncs, {way:?}: half of {pair:?}");
                assert!(held[0] || *at > syncs, "{syncs} syncs, {way:?}: {pair:?} is lost");
            }
        }
    }
}

#[tokio::test]
async fn a_store_cut_short_while_it_is_created_is_empty_or_refused() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    let created = disk.syncs();
    drop(store);
    for syncs in 0..created {
        for way in ways(syncs as u64) {
            match open(&Disk::of(disk.cut_after(syncs, way))).await {
                Ok(store) => {
                    assert_eq!(content(&store).await.log, []);
                    assert_eq!(store.commit(one("first")).await.expect("commits").head, 1);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{syncs} syncs, {way:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_acknowledges_nothing() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    store.commit(one("e1")).await.expect("commits");
    let before = content(&store).await;
    disk.fail();
    for id in ["e2", "e3"] {
        let error = store.commit(one(id)).await.expect_err("fails");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        assert!(error.to_string().contains("opens it again"), "{error}");
        assert_eq!((error.component(), error.operation()), ("redb", "commit"));
    }
    drop(store);
    let store = open(&Disk::of(disk.cut_after(disk.syncs(), Kept::Nothing))).await.expect("opens");
    assert_eq!(content(&store).await, before);
}
