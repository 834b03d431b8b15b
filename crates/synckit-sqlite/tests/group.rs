//! Commits that wait go into one transaction: what they cost, and what one of them may do to the others.

mod support;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use support::{directory, event_id, foreign, log, node, one, receive, recorded};
use synckit_core::{
    BoxPlanner, Dot, Edit, Error, ErrorKind, Event, EventStore, Needs, Note, Plan, Renewal, Result,
};
use synckit_plan::{Recorded, Renew};
use synckit_sqlite::{SqliteConfig, SqliteStore};
use synckit_testkit::drop_at;
use synckit_testkit::plans::{
    Commit, Fixed, content, event, note, stamps_are_free_before_any_is_taken, swap, swapped, waiting,
};
use synckit_testkit::samples::{NOW, entropy, new_json};

async fn open(path: &Path) -> SqliteStore {
    let config = SqliteConfig::new(path).with_node(node("a")).with_busy_timeout(Duration::from_secs(120));
    SqliteStore::open(config).await.expect("opens")
}

/// Awaits all of them at once, as each may be the one that commits for the others.
async fn all<T: Send + 'static>(commits: Vec<Commit<T>>) -> Vec<Result<T>> {
    let tasks: Vec<_> = commits.into_iter().map(tokio::spawn).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("ends"));
    }
    outcomes
}

#[tokio::test]
async fn each_commit_of_a_group_is_on_top_of_those_before_it() {
    let (_directory, path) = directory();
    let store = open(&path).await;
    recorded(&store, one("a", "e1")).await;
    let commits = waiting(&store, (2..=66).map(|n| one("a", &format!("e{n}"))).collect()).await;
    for (outcome, position) in all(commits).await.into_iter().zip(2..) {
        let recorded = outcome.expect("commits");
        assert_eq!(recorded.head, position);
        assert_eq!(recorded.events[0].dot, Some(Dot::new(node("a"), position)));
        assert_eq!(recorded.events[0].clock.counter(&node("a")), position);
    }
    assert_eq!(content(&store).await.log.len(), 66);
    // What the group has left is known to the next commit.
    assert_eq!(recorded(&store, one("a", "last")).await.head, 67);
}

#[tokio::test]
async fn a_plan_that_fails_fails_alone() {
    let (_directory, path) = directory();
    let store = open(&path).await;
    let other = support::record(
        "a",
        vec![
            ("never".to_owned(), new_json("x", "never", "1")),
            ("taken".to_owned(), new_json("x", "taken", "\"other content\"")),
        ],
    );
    let planners = vec![
        one("a", "first"),
        one("a", "second"),
        one("a", "taken"),
        other,
        one("a", "taken"),
        one("a", "last"),
    ];
    let mut outcomes = all(waiting(&store, planners).await).await;
    assert_eq!(outcomes.remove(3).expect_err("its id is taken").kind(), ErrorKind::Conflict);
    let outcomes: Vec<Recorded> = outcomes.into_iter().collect::<Result<_>>().expect("commit");
    assert_eq!((outcomes[3].events.len(), outcomes[3].duplicates.len()), (0, 1));
    assert_eq!(outcomes[4].events[0].dot, Some(Dot::new(node("a"), 4)));
    let log = log(&store).await;
    let ids: Vec<_> = log.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(ids, ["first", "second", "taken", "last"]);
}

/// The engine finds it only when the plan is written.
#[tokio::test]
async fn a_plan_that_cannot_be_written_fails_alone() {
    let (_directory, path) = directory();
    let store = open(&path).await;
    let [first, second] = swap();
    store.commit(Fixed(first)).await.expect("commits");
    let put = |key: &str| Plan { put: vec![note(key, "v")], ..Plan::default() };
    let absent = Plan { replace: vec![(9, event("z", 9))], ..Plan::default() };
    let taken = Plan { append: vec![event("a", 7)], ..Plan::default() };
    let plans = [put("k1"), put("k2"), absent, second, taken, put("k3")];
    let outcomes = all(waiting(&store, plans.map(Fixed).into()).await).await;
    let kinds: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::kind)).collect();
    assert_eq!(kinds, [None, None, Some(ErrorKind::Corrupt), None, Some(ErrorKind::Internal), None]);
    let content = content(&store).await;
    assert_eq!(content.log, swapped());
    assert!(["k1", "k2", "k3"].iter().all(|key| content.notes.contains(&note(key, "v"))));
}

#[tokio::test]
async fn restamped_events_swap_what_they_stand_under() {
    let (_directory, path) = directory();
    stamps_are_free_before_any_is_taken(&open(&path).await).await;
    // The same in one group, behind a commit that has its turn.
    let (_directory, path) = directory();
    let store = open(&path).await;
    let nothing = Fixed(Plan { put: vec![note("n", "")], ..Plan::default() });
    let planners = [nothing].into_iter().chain(swap().map(Fixed)).collect();
    assert!(all(waiting(&store, planners).await).await.iter().all(Result::is_ok));
    assert_eq!(content(&store).await.log, swapped());
}

#[tokio::test]
async fn a_stamp_for_an_event_that_is_not_there_is_refused() {
    let (_directory, path) = directory();
    let store = open(&path).await;
    let plan = Plan { replace: vec![(1, event("a", 1))], ..Plan::default() };
    let error = store.commit(Fixed(plan)).await.expect_err("is not there");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

/// What one commit of a group appends, puts or deletes is there for the next, by whatever it asks.
#[tokio::test]
async fn what_a_commit_of_a_group_has_written_is_found_by_those_behind_it() {
    let (_directory, path) = directory();
    let store = open(&path).await;
    let id = store.head().await.expect("a head").store;
    let fork = Event { id: event_id("fork"), ..foreign(1, "x") };
    let edit = |put, delete: &[&str]| {
        BoxPlanner::new(Edit { put, delete: delete.iter().map(|key| (*key).to_owned()).collect() })
    };
    let planners = vec![
        edit(vec![note("k", "1"), note("l", "1")], &[]),
        edit(vec![note("k", "2")], &[]),
        BoxPlanner::new(receive(vec![foreign(1, "x"), foreign(2, "x")])),
        BoxPlanner::new(receive(vec![foreign(2, "x"), foreign(3, "x")])),
        BoxPlanner::new(receive(vec![fork.clone()])),
        edit(vec![note("k", "3")], &["l"]),
        BoxPlanner::new(Renew::new(id, Renewal::Asked, NOW, entropy())),
        BoxPlanner::new(one("a", "mine")),
    ];
    let outcomes = all(waiting(&store, planners).await).await;
    assert!(
        outcomes.iter().all(Result::is_ok),
        "{:?}",
        outcomes.iter().find_map(|outcome| outcome.as_ref().err())
    );
    let content = content(&store).await;
    assert_ne!(content.store, id);
    assert_eq!(content.notes.iter().find(|note| note.key == "k"), Some(&note("k", "3")));
    assert!(content.notes.iter().all(|note| note.key != "l"));
    let ids: Vec<_> = content.log.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(
        (&ids[..4], *ids.last().expect("events")),
        (&["peer-1", "peer-2", "peer-3", "fork"][..], "mine")
    );
    // The event with the greater id has given up the dot.
    assert_eq!(content.log[3].event.dot, fork.dot);
    let identity = store.identity().await.expect("an identity");
    assert_eq!(content.log.last().and_then(|stored| stored.event.author()), Some(&identity.author));
    let seen = |n| Needs { notes: vec![Note::NODE.to_owned()], places: vec![n], ..Needs::default() };
    assert_eq!(store.facts(seen(1)).await.expect("reads").places[&1], content.log[0].mark);
}

#[tokio::test]
async fn a_dropped_commit_of_a_group_is_whole_or_absent_and_harms_no_other() {
    let (_directory, path) = directory();
    let store = open(&path).await;
    for polls in 0..24 {
        let pair = |name: &str| {
            let new = |side| (format!("{name}{polls}-{side}"), new_json("x", "any", "1"));
            support::record("a", vec![new("left"), new("right")])
        };
        let mut commits = waiting(&store, vec![pair("first"), pair("second"), pair("kept")]).await;
        // The first commits alone; the second is the one that commits for the last.
        let dropped = commits.remove(polls % 2);
        let others: Vec<_> = commits.into_iter().map(tokio::spawn).collect();
        drop_at(polls / 2, dropped).await;
        for other in others {
            other.await.expect("ends").expect("commits");
        }
    }
    let events = log(&store).await;
    let ids: HashSet<_> = events.iter().map(|stored| stored.event.id.to_string()).collect();
    assert_eq!(ids.len(), events.len());
    for polls in 0..24 {
        for name in ["first", "second", "kept"] {
            let held = |side| ids.contains(&format!("{name}{polls}-{side}"));
            assert_eq!(held("left"), held("right"), "half of {name}{polls}");
        }
        assert!(ids.contains(&format!("kept{polls}-left")));
    }
    let counters: HashSet<_> =
        events.iter().filter_map(|stored| stored.event.dot.as_ref()).map(|dot| dot.counter).collect();
    assert_eq!(counters, (1..=events.len() as u64).collect());
}

#[tokio::test]
async fn a_lock_held_elsewhere_fails_the_whole_group() {
    let (_directory, path) = directory();
    let config = SqliteConfig::new(&path).with_node(node("a")).with_busy_timeout(Duration::ZERO);
    let store = SqliteStore::open(config).await.expect("opens");
    let options = SqliteConnectOptions::new().filename(&path);
    let mut other = SqliteConnection::connect_with(&options).await.expect("connects");
    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("locks");
    let commits = || {
        let commit = |n| {
            let store = store.clone();
            Box::pin(async move { store.commit(one("a", &format!("e{n}"))).await }) as Commit<Recorded>
        };
        all((0..8).map(commit).collect())
    };
    for outcome in commits().await {
        assert_eq!(outcome.expect_err("is locked").kind(), ErrorKind::Busy);
    }
    lock.rollback().await.expect("unlocks");
    assert!(commits().await.iter().all(Result::is_ok));
    assert_eq!(content(&store).await.log.len(), 8);
}
