//! Committing: in groups, each planner on its own, all or nothing.

mod support;

use std::any::Any;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::task::Poll;

use support::{Disk, content, edit, note, one, record};
use synckit_core::{
    BoxPlanner, Dot, ErrorKind, EventStore, Identity, Needs, Note, NoteQuery, Plan, Query, Renewal,
};
use synckit_plan::{Recorded, Renew};
use synckit_redb::RedbStore;
use synckit_testkit::drop_at;
use synckit_testkit::plans::{Commit, Fixed, event, stamps_are_free_before_any_is_taken, swap, waiting};
use synckit_testkit::samples::{NOW, entropy, new_event, new_json, node};

async fn open(disk: &Disk) -> RedbStore {
    support::open(disk).await.expect("opens")
}

/// The outcome of a planner that was in a box.
async fn outcome<T: 'static>(commit: Commit<Box<dyn Any + Send>>) -> T {
    *commit.await.expect("commits").downcast().expect("the outcome of this planner")
}

#[tokio::test]
async fn many_callers_wait_for_one_sync() {
    let disk = Disk::default();
    let store = open(&disk).await;
    store.commit(one("alone")).await.expect("commits");
    let before = disk.syncs();
    disk.hold_back(true);
    let commits = waiting(&store, (0..64).map(|n| one(&format!("e{n}"))).collect()).await;
    disk.hold_back(false);
    for (commit, position) in commits.into_iter().zip(2..) {
        let recorded = commit.await.expect("commits");
        // In the order in which they came, each on top of those before it.
        assert_eq!(recorded.head, position);
        assert_eq!(recorded.events[0].dot.as_ref().expect("a dot").counter, position);
        assert_eq!(recorded.events[0].clock.counter(&node("n")), position);
    }
    // At most two groups, since a first one may have been taken before all were waiting; a file that grows is synced
    // as well.
    let syncs = disk.syncs() - before;
    assert!(syncs <= 6, "{syncs} syncs for 64 commits");
    assert_eq!(content(&store).await.log.len(), 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_write_one_log() {
    let disk = Disk::default();
    let store = open(&disk).await;
    let before = disk.syncs();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let recorded = store.commit(one(&format!("{task}-{n}"))).await.expect("commits");
                    assert!(store.head().await.expect("a head").position >= recorded.head);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ends");
    }
    assert_eq!(content(&store).await.log.len(), 1_280);
    assert!(disk.syncs() - before < 1_280, "{} syncs", disk.syncs() - before);
}

#[tokio::test]
async fn a_plan_that_fails_fails_alone() {
    let disk = Disk::default();
    let store = open(&disk).await;
    disk.hold_back(true);
    let planners = vec![
        one("first"),
        one("taken"),
        record(vec![new_event("x", "never"), new_json("x", "taken", "\"other content\"")]),
        one("taken"),
        one("last"),
    ];
    let commits = waiting(&store, planners).await;
    disk.hold_back(false);
    let mut outcomes = Vec::new();
    for commit in commits {
        outcomes.push(commit.await);
    }
    let last = outcomes.remove(4).expect("commits");
    let repeated = outcomes.remove(3).expect("commits");
    let error = outcomes.remove(2).expect_err("its id is taken");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!((repeated.events.len(), repeated.duplicates.len()), (0, 1));
    assert_eq!(last.events[0].dot.as_ref().expect("a dot").counter, 3);
    let log = content(&store).await.log;
    let ids: Vec<_> = log.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(ids, ["first", "taken", "last"]);
}

#[tokio::test]
async fn all_of_a_group_fail_when_it_cannot_be_made_durable() {
    let disk = Disk::default();
    let store = open(&disk).await;
    disk.hold_back(true);
    let commits = waiting(&store, (0..8).map(|n| one(&format!("e{n}"))).collect()).await;
    disk.fail();
    disk.hold_back(false);
    for commit in commits {
        let error = commit.await.expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    store.close().await.expect("closes");
}

#[tokio::test]
async fn what_changes_nothing_is_not_synced() {
    let disk = Disk::default();
    let store = open(&disk).await;
    store.commit(one("e1")).await.expect("commits");
    let before = disk.syncs();
    assert_eq!(store.commit(one("e1")).await.expect("commits").duplicates.len(), 1);
    store.commit(record(vec![new_json("x", "e1", "1")])).await.expect_err("its id is taken");
    assert_eq!(disk.syncs(), before);
}

#[tokio::test]
async fn a_reader_does_not_wait_for_a_commit() {
    let disk = Disk::default();
    let store = open(&disk).await;
    // Room in the file: while it grows, redb holds a lock that readers take too.
    let large = note("large", &"x".repeat(1 << 20));
    store.commit(edit(vec![large], &[])).await.expect("commits");
    store.commit(edit(Vec::new(), &["large"])).await.expect("commits");
    store.commit(one("e1")).await.expect("commits");
    disk.hold_back(true);
    let mut commits = waiting(&store, vec![one("e2")]).await;
    // What is not durable is not seen.
    assert_eq!(content(&store).await.log.len(), 1);
    disk.hold_back(false);
    assert_eq!(commits.remove(0).await.expect("commits").head, 2);
    assert_eq!(content(&store).await.log.len(), 2);
}

#[tokio::test]
async fn a_dropped_future_leaves_the_store_before_or_after() {
    let store = RedbStore::in_memory(node("n")).await.expect("opens");
    for round in 0..60 {
        let polls = round % 4;
        let pair = |name: &str| {
            let id = |side: &str| format!("{name}{round}-{side}");
            record(vec![new_event("x", &id("left")), new_event("x", &id("right"))])
        };
        drop_at(polls, store.commit(pair("dropped"))).await;
        drop_at(polls, store.read(Query::after(0))).await;
        drop_at(polls, store.notes(NoteQuery::Keys(vec![Note::NODE.to_owned()]))).await;
        drop_at(polls.min(1), store.moved(u64::MAX - 1)).await;
        drop_at(polls, store.head()).await;
        store.commit(pair("kept")).await.expect("commits");
    }
    let log = content(&store).await.log;
    let held = |id: String| log.iter().any(|stored| stored.event.id.as_str() == id);
    for round in 0..60 {
        assert_eq!(held(format!("dropped{round}-left")), held(format!("dropped{round}-right")));
        assert!(held(format!("kept{round}-left")));
    }
}

#[tokio::test]
async fn closing_waits_for_the_running_commits_and_refuses_the_rest() {
    let disk = Disk::default();
    let store = open(&disk).await;
    let watcher = tokio::spawn({
        let store = store.clone();
        async move { store.moved(1_000).await }
    });
    disk.hold_back(true);
    let commits = waiting(&store, (0..300).map(|n| one(&format!("e{n}"))).collect()).await;
    let mut close = Box::pin(store.close());
    poll_fn(|context| {
        assert!(close.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    disk.hold_back(false);
    close.await.expect("closes");
    store.close().await.expect("closes again");
    let mut acknowledged = 0;
    for commit in commits {
        match commit.await {
            Ok(_) => acknowledged += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
        }
    }
    assert!(acknowledged < 300);
    assert_eq!(watcher.await.expect("ends").expect_err("is closed").kind(), ErrorKind::Closed);
    let closed = |kind| assert_eq!(kind, ErrorKind::Closed);
    closed(store.commit(one("late")).await.expect_err("is closed").kind());
    closed(store.facts(Needs::default()).await.expect_err("is closed").kind());
    closed(store.read(Query::after(0)).await.expect_err("is closed").kind());
    closed(store.notes(NoteQuery::Keys(vec![])).await.expect_err("is closed").kind());
    closed(store.head().await.expect_err("is closed").kind());
    closed(store.identity().await.expect_err("is closed").kind());
    closed(store.moved(0).await.expect_err("is closed").kind());
    let bytes = disk.cut_after(disk.syncs(), support::Kept::Nothing);
    assert_eq!(content(&open(&Disk::of(bytes)).await).await.log.len(), acknowledged);
}

#[tokio::test]
async fn the_id_that_a_commit_puts_holds_for_those_behind_it_in_the_group_and_for_every_reader() {
    let disk = Disk::default();
    let store = open(&disk).await;
    let before = store.head().await.expect("a head").store;
    store.commit(one("e1")).await.expect("commits");
    disk.hold_back(true);
    let renew = || BoxPlanner::new(Renew::new(before, Renewal::Asked, NOW, entropy()));
    let mut commits = waiting(&store, vec![renew(), BoxPlanner::new(one("e2")), renew()]).await;
    disk.hold_back(false);
    let again: Identity = outcome(commits.remove(2)).await;
    let recorded: Recorded = outcome(commits.remove(1)).await;
    let identity: Identity = outcome(commits.remove(0)).await;
    assert_eq!((again, identity.former.len(), identity.former[0].store), (identity.clone(), 1, before));
    assert_eq!(recorded.events[0].dot, Some(Dot::new(identity.author.clone(), 1)));
    let head = store.head().await.expect("a head");
    assert!(head.store != before && head.position == 2);
    assert_eq!(store.read(Query::after(0)).await.expect("reads").store, head.store);
    assert_eq!(store.facts(Needs::default()).await.expect("reads").head, head);
    store.close().await.expect("closes");
    let again = open(&Disk::of(disk.cut_after(disk.syncs(), support::Kept::Nothing))).await;
    assert_eq!(again.head().await.expect("a head"), head);
    assert_eq!(again.identity().await.expect("an identity"), identity);
}

#[tokio::test]
async fn a_page_names_the_marks_at_its_ends_and_facts_those_that_are_asked_for() {
    let disk = Disk::default();
    let store = open(&disk).await;
    store.commit(record(vec![new_event("x", "e1"), new_event("y", "e2")])).await.expect("commits");
    store.commit(one("e3")).await.expect("commits");
    let log = content(&store).await.log;
    assert!(log[0].mark == log[1].mark && log[1].mark != log[2].mark);
    let page = store.read(Query::after(1).at_most(1, usize::MAX)).await.expect("reads");
    assert_eq!((page.from, page.upto), (Some(log[0].mark), Some(log[1].mark)));
    let page = store.read(Query::after(2).of_aggregate("y".parse().expect("valid"))).await.expect("reads");
    assert_eq!((page.from, page.upto), (Some(log[1].mark), Some(log[2].mark)));
    for (after, from) in [(0, None), (4, None), (u64::MAX, None)] {
        assert_eq!(store.read(Query::after(after)).await.expect("reads").from, from);
    }
    let histories = vec!["y".parse().expect("valid"), "z".parse().expect("valid")];
    let needs = Needs { places: vec![0, 3, 4], histories, ..Needs::default() };
    let facts = store.facts(needs).await.expect("reads");
    assert_eq!(facts.places, HashMap::from([(3, log[2].mark)]));
    let (y, z) = ("y".parse().expect("valid"), "z".parse().expect("valid"));
    assert_eq!(facts.histories, HashMap::from([(y, vec![log[1].clone()]), (z, Vec::new())]));
}

#[tokio::test]
async fn a_watcher_hears_of_commits() {
    let store = RedbStore::in_memory(node("n")).await.expect("opens");
    for position in 1..=3 {
        let (moved, _) = tokio::join!(store.moved(position - 1), async {
            store.commit(one(&format!("e{position}"))).await.expect("commits")
        });
        assert_eq!(moved.expect("moves"), position);
    }
    assert_eq!(store.moved(0).await.expect("has moved"), 3);
}

#[tokio::test]
async fn restamped_events_swap_what_they_stand_under() {
    stamps_are_free_before_any_is_taken(&RedbStore::in_memory(node("n")).await.expect("opens")).await;
}

#[tokio::test]
async fn a_stamp_that_is_not_free_fails_the_whole_plan_and_no_other_of_its_group() {
    let disk = Disk::default();
    let store = open(&disk).await;
    let [first, _] = swap();
    store.commit(Fixed(first.clone())).await.expect("commits");
    disk.hold_back(true);
    let restamps = [(1, event("b", 1)), (1, event("a", 2)), (3, event("c", 3))];
    let plan = |restamp| Fixed(Plan { replace: vec![restamp], ..Plan::default() });
    let good = Fixed(Plan { put: vec![note("k", "v")], ..Plan::default() });
    let planners: Vec<_> = [good].into_iter().chain(restamps.map(plan)).collect();
    let mut commits = waiting(&store, planners).await;
    disk.hold_back(false);
    commits.remove(0).await.expect("commits");
    for commit in commits {
        assert_eq!(commit.await.expect_err("is taken, or not there").kind(), ErrorKind::Corrupt);
    }
    let content = synckit_testkit::plans::content(&store).await;
    assert!(content.log.into_iter().map(|stored| stored.event).eq(first.append));
    assert!(content.notes.contains(&note("k", "v")));
}
