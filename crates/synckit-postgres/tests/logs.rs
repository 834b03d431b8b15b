//! Many logs in one database, and several stores on one log.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Fixed, fresh, log, node, note, one, open, rarely, record, server};
use synckit_core::{EventStore, Needs, NodeId, Plan};
use synckit_postgres::{PostgresConfig, PostgresDatabase, PostgresStore};
use synckit_testkit::plans;
use synckit_testkit::samples::new_event;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn logs_of_one_database_are_independent() {
    let Some(server) = server("logs_of_one_database_are_independent") else { return };
    let config = PostgresConfig::new(server.url("postgres"));
    let database = PostgresDatabase::connect(config).await.expect("connects");
    let name = |number: usize| format!("many-{number:02}\u{0}é");
    let open = async |number: usize| {
        database.open(&name(number), Some(node(&format!("n{number}")))).await.expect("opens")
    };
    let mut stores: Vec<PostgresStore> = Vec::new();
    for number in 0..20 {
        stores.push(open(number).await);
    }
    let commits = stores.iter().cloned().enumerate().map(|(number, store)| {
        tokio::spawn(async move {
            for event in 0..=number {
                // The same ids in each of them.
                let author = node(&format!("n{number}"));
                store.commit(one(&author, &format!("e{event}"))).await.expect("commits");
            }
        })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.expect("ends");
    }
    let mut ids = Vec::new();
    for (number, store) in stores.iter().enumerate() {
        assert_eq!(log(store).await.len(), number + 1);
        assert_eq!(store.node(), &node(&format!("n{number}")));
        ids.push(store.head().await.expect("a head").store);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    let names = database.logs().await.expect("reads");
    assert!((0..20).all(|number| names.contains(&name(number))));
    // One is closed, and the others go on.
    stores[0].close().await.expect("closes");
    assert!(stores[0].head().await.is_err() && stores[1].head().await.is_ok());
    database.close().await;
    assert!(stores[1].head().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_write_one_log() {
    let Some(server) = server("two_stores_write_one_log") else { return };
    let url = fresh(server);
    let stores = [open(&url).await, open(&url).await];
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = stores[task % 2].clone();
            tokio::spawn(async move {
                for number in 0..10 {
                    let id = |half| format!("{task}-{number}-{half}");
                    let pair = vec![new_event("x", &id(0)), new_event("x", &id(1))];
                    store.commit(record(&node("n"), pair)).await.expect("commits");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ends");
    }
    let log = log(&stores[0]).await;
    assert_eq!(log.len(), 320);
    for (pair, first) in log.chunks(2).zip((1..).step_by(2)) {
        let counters = pair.iter().map(|stored| stored.event.dot.as_ref().expect("has a dot").counter);
        assert_eq!(counters.collect::<Vec<u64>>(), [first, first + 1], "a commit is not divided");
    }
    assert_eq!(plans::content(&stores[0]).await, plans::content(&stores[1]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_one_store_wakes_those_who_wait_at_another() {
    let Some(server) = server("a_commit_of_one_store_wakes_those_who_wait_at_another") else { return };
    let url = fresh(server);
    let (one_store, other) = (open(&url).await, PostgresStore::open(rarely(&url)).await.expect("opens"));
    for position in 0..20 {
        let (moved, committed) = tokio::join!(
            timeout(PATIENCE, other.moved(position)),
            one_store.commit(one(&node("n"), &format!("e{position}")))
        );
        committed.expect("commits");
        assert_eq!(moved.expect("is told").expect("moves"), position + 1);
    }
}

#[tokio::test]
async fn a_notice_that_is_lost_costs_a_poll() {
    let Some(server) = server("a_notice_that_is_lost_costs_a_poll") else { return };
    let url = fresh(server);
    let config = rarely(&url).with_poll_interval(Duration::from_millis(20));
    let store = PostgresStore::open(config).await.expect("opens");
    store.commit(one(&node("n"), "e1")).await.expect("commits");
    let (moved, ()) = tokio::join!(timeout(PATIENCE, store.moved(1)), async {
        // Somebody writes and tells nobody.
        let log =
            format!("SELECT log FROM synckit.logs WHERE name = '{}'", url.rsplit_once('=').expect("named").1);
        let sql = format!(
            "INSERT INTO synckit.events (log, position, size, id, aggregate, row)
                 SELECT log, 2, size, 'e2', aggregate, row FROM synckit.events WHERE log = ({log}) AND position = 1;
             UPDATE synckit.logs SET head = 2 WHERE log = ({log})"
        );
        support::sql(&server.url("postgres"), &sql).await;
    });
    assert_eq!(moved.expect("is found").expect("moves"), 2);
}

#[tokio::test]
async fn plans_that_change_the_log_go_with_others() {
    let Some(server) = server("plans_that_change_the_log_go_with_others") else { return };
    let store = open(&fresh(server)).await;
    plans::stamps_are_free_before_any_is_taken(&store).await;
    let put = |key: &str| Fixed(Plan { put: vec![note(key, "1")], ..Plan::default() });
    let [first, second] = plans::swap();
    let store = open(&fresh(server)).await;
    let waiting = plans::waiting(&store, vec![put("a"), Fixed(first), Fixed(second), put("b")]).await;
    for commit in waiting {
        commit.await.expect("commits");
    }
    assert_eq!(log(&store).await, plans::swapped());
    let needs = Needs { notes: ["a", "b", "k"].map(str::to_owned).into(), ..Needs::default() };
    assert_eq!(store.facts(needs).await.expect("reads").notes.len(), 3);
}

#[tokio::test]
async fn a_commit_that_fails_in_a_group_fails_alone() {
    let Some(server) = server("a_commit_that_fails_in_a_group_fails_alone") else { return };
    let store = open(&fresh(server)).await;
    store.commit(one(&node("n"), "there")).await.expect("commits");
    let append =
        |id: &str, counter| Fixed(Plan { append: vec![plans::event(id, counter)], ..Plan::default() });
    // The second takes an id that is in the log, whatever it was told.
    let planners = vec![append("a", 11), append("there", 12), append("b", 13)];
    let mut outcomes = Vec::new();
    for commit in plans::waiting(&store, planners).await {
        outcomes.push(commit.await.is_ok());
    }
    assert_eq!(outcomes, [true, false, true]);
    let log = log(&store).await;
    assert_eq!(log.iter().map(|stored| stored.event.id.as_str()).collect::<Vec<_>>(), ["there", "a", "b"]);
}

#[tokio::test]
async fn many_tasks_share_few_connections() {
    let Some(server) = server("many_tasks_share_few_connections") else { return };
    let config = rarely(&fresh(server)).with_max_connections(1);
    let store = Arc::new(PostgresStore::open(config).await.expect("opens"));
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.commit(one(&NodeId::new("n")?, &format!("e{task}"))).await?;
                store.head().await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ends").expect("commits and reads");
    }
    assert_eq!(log(&*store).await.len(), 64);
}
