//! What is still there after closing a log and opening it again, and after a crash of the process.

use std::collections::BTreeSet;
use std::sync::Arc;

use synckit_core::{Dot, ErrorKind, EventStore, Needs, Note};
use synckit_plan::StoreExt;

use super::renumber::{from_two, log_to_move};
use super::{contents, log_of, open, receive, record, record_at};
use crate::case::{CaseResult, skip};
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, event_id, new_event, node, tricky_events};

const FORGETS: &str = "this log does not outlive its store";

/// Events, notes and identity are still there after closing.
pub async fn what_was_acknowledged_survives_closing<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("what_was_acknowledged_survives_closing", FORGETS);
    }
    let store = open(fixture).await?;
    record(&store, tricky_events()).await?;
    receive(&store, 1, &Author::new("far").write_many("x", 3)).await?;
    let note = |key: &str| Note { key: key.to_owned(), value: b"v".to_vec() };
    store.edit(vec![note("gone"), note("here")], Vec::new()).await?;
    store.edit(Vec::new(), vec!["gone".to_owned()]).await?;
    let (head, before) = (store.head().await?, contents(&store).await?);
    store.close().await?;
    drop(store);
    let store = open(fixture).await?;
    assert_eq!((store.head().await?, contents(&store).await?), (head, before));
    Ok(())
}

/// The same holds if nobody closed it: within one process, dropping the store is the closest to a crash.
pub async fn what_was_acknowledged_survives_a_crash<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("what_was_acknowledged_survives_a_crash", FORGETS);
    }
    for round in 0..5 {
        let store = open(fixture).await?;
        assert_eq!(store.head().await?.position, round);
        record(&store, vec![new_event("x", &format!("e{round}"))]).await?;
    }
    assert_eq!(log_of(&open(fixture).await?).await?.len(), 5);
    Ok(())
}

/// Counters and time continue where they were, even if the wall clock was set back.
pub async fn counters_and_time_go_on<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("counters_and_time_go_on", FORGETS);
    }
    let store = open(fixture).await?;
    let first = record(&store, vec![new_event("x", "1")]).await?.events.remove(0);
    receive(&store, 1, &Author::new("n").write_many("x", 2)[1..]).await?;
    let renamed = record(&store, vec![new_event("x", "2")]).await?.events.remove(0);
    store.close().await?;
    drop(store);
    let store = open(fixture).await?;
    let next = record_at(&store, NOW - 3_600_000, vec![new_event("x", "3")]).await?.events.remove(0);
    let author = store.identity().await?.author;
    assert!(author != node("n") && author.chosen() == "n");
    assert_eq!(renamed.dot, Some(Dot::new(author.clone(), 1)));
    assert_eq!(next.dot, Some(Dot::new(author, 2)));
    assert!(next.time > renamed.time && renamed.time > first.time);
    assert!(next.has_seen(&renamed) && next.has_seen(&first));
    Ok(())
}

/// Opening a log for another node is an error, and the log does not change.
pub async fn the_log_belongs_to_one_node<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("the_log_belongs_to_one_node", FORGETS);
    }
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1")]).await?;
    store.close().await?;
    drop(store);
    for other in ["m", "N", "nn", "n "] {
        let error = fixture.open(&node(other)).await.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::Conflict), "opened as {other:?}");
    }
    let store = open(fixture).await?;
    assert_eq!((store.identity().await?.node, store.head().await?.position), (node("n"), 1));
    Ok(())
}

/// A cursor of the log is known after reopening; one of another log, event or place is not.
pub async fn cursors_stay_known<F: StoreFixture>(fixture: &F) -> CaseResult {
    let mut store = open(fixture).await?;
    record(&store, vec![new_event("x", "1"), new_event("x", "2")]).await?;
    let cursors = [store.cursor_at(0).await?, store.cursor_at(1).await?, store.cursor_at(2).await?];
    if fixture.survives_reopen() {
        store.close().await?;
        drop(store);
        store = open(fixture).await?;
    }
    for cursor in &cursors {
        assert!(store.knows(cursor).await?, "{cursor}");
    }
    let (id, mark) = (store.head().await?.store, cursors[1].mark().expect("it is not the beginning"));
    let elsewhere = crate::samples::store_id(9);
    for cursor in [
        synckit_core::Cursor::at(id, 2, synckit_core::Mark(mark.0 ^ 1)),
        synckit_core::Cursor::at(id, 3, mark),
        synckit_core::Cursor::at(elsewhere, 1, mark),
        synckit_core::Cursor::start(elsewhere),
    ] {
        assert!(!store.knows(&cursor).await?, "{cursor}");
    }
    Ok(())
}

/// Dots and clocks of events that were renumbered stay as they are now.
pub async fn what_was_renumbered_survives_closing<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("what_was_renumbered_survives_closing", FORGETS);
    }
    let store = open(fixture).await?;
    let name = log_to_move(&store).await?;
    store.commit(from_two(&store).await?).await?;
    let before = contents(&store).await?;
    assert_eq!(before.log[3].event.dot, Some(Dot::new(name.clone(), 1)));
    store.close().await?;
    drop(store);
    let store = open(fixture).await?;
    assert_eq!(contents(&store).await?, before);
    let dots = vec![Dot::new(node("n"), 2), Dot::new(name.clone(), 1)];
    let facts = store.facts(Needs { dots, ..Needs::default() }).await?;
    assert_eq!(facts.dots.into_iter().collect::<Vec<_>>(), [(Dot::new(name, 1), event_id("moved"))]);
    Ok(())
}

/// Two handles on one log, as two processes have them, write at once: one order, distinct dots.
pub async fn two_handles_write_one_log<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.opens_twice() {
        return skip("two_handles_write_one_log", "this log is opened once at a time");
    }
    let handles = [Arc::new(open(fixture).await?), Arc::new(open(fixture).await?)];
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let store = handles[task % 2].clone();
            tokio::spawn(async move {
                for at in 0..25 {
                    let recorded = record(&*store, vec![new_event("x", &format!("{task}-{at}"))]).await?;
                    assert!(store.head().await?.position >= recorded.head, "a handle sees its own commit");
                }
                Ok::<(), synckit_core::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends")?;
    }
    let log = log_of(&*handles[0]).await?;
    assert_eq!(log_of(&*handles[1]).await?, log);
    let dots: BTreeSet<_> = log.iter().map(|stored| stored.event.dot.clone()).collect();
    assert_eq!((log.len(), dots.len(), log[99].position), (100, 100, 100));
    Ok(())
}
