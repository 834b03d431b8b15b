//! Futures that are dropped: polled once, twice, and so on until one completes, so that each is dropped at each of
//! its awaits.

use std::collections::BTreeSet;

use synckit_core::{Dot, Edit, ErrorKind, EventStore, Needs, Note, NoteQuery, Query};
use synckit_plan::StoreExt;

use super::commit::check_own;
use super::renumber::{from_two, log_to_move};
use super::{contents, ids, log_of, named, open, receive, receiving, record, record_of};
use crate::case::CaseResult;
use crate::fault::drop_at;
use crate::fixture::StoreFixture;
use crate::samples::{Author, event_id, new_event, node};

/// A record dropped at any of its awaits is there as a whole or not at all, and the next one works.
pub async fn a_dropped_record_is_whole_or_absent<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let (mut answered, mut rounds) = (Vec::new(), 0);
    for polls in 0.. {
        let batch: Vec<String> = (0..3).map(|part| format!("{polls}-{part}")).collect();
        let events = batch.iter().map(|id| named(new_event("x", id))).collect();
        let intent = record_of(node("n"), events);
        let ended = drop_at(polls, store.commit(intent)).await.transpose()?.is_some();
        let next = format!("{polls}-next");
        record(&store, vec![new_event("x", &next)]).await?;
        answered.push(next);
        if ended {
            answered.extend(batch);
            rounds = polls;
            break;
        }
    }
    // A record that nobody waits for may still be made, before or after the next.
    let log = log_of(&store).await?;
    check_own(&log, log.len() as u64);
    let ids = ids(&log);
    assert!(answered.iter().all(|id| ids.contains(&id.as_str())), "what was answered is there");
    for round in 0..=rounds {
        let batch = [0, 1, 2].map(|part| format!("{round}-{part}"));
        let there = ids.iter().position(|id| *id == batch[0]);
        match there {
            Some(at) => assert_eq!(ids[at..at + 3], batch.each_ref().map(String::as_str)),
            None => assert!(!batch.iter().any(|id| ids.contains(&id.as_str())), "a part of {batch:?}"),
        }
    }
    Ok(())
}

/// The same holds for a receive: its checkpoint is there exactly if its events are.
pub async fn a_dropped_receive_is_whole_or_absent<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    for polls in 0.. {
        let events = far.write_many("x", 3);
        let (key, mut receiving) = (format!("checkpoint-{polls}"), receiving(1, &events));
        receiving.notes.push(Note { key: key.clone(), value: b"here".to_vec() });
        let ended = drop_at(polls, store.commit(receiving)).await.transpose()?.is_some();
        record(&store, vec![new_event("y", &format!("next-{polls}"))]).await?;
        let asked = events.iter().map(|event| event.id.clone()).collect();
        let facts = store.facts(Needs { ids: asked, notes: vec![key.clone()], ..Needs::default() }).await?;
        let found = (facts.held.len(), facts.notes.contains_key(&key));
        assert!(found == (3, true) || (found == (0, false) && !ended), "half of a receive: {found:?}");
        let again = receive(&store, 1, &events).await?;
        assert_eq!(again.accepted + again.duplicates, 3);
        if ended {
            break;
        }
    }
    let log = log_of(&store).await?;
    assert!((1..).zip(&log).all(|(at, stored)| stored.position == at));
    let ids: BTreeSet<&str> = ids(&log).into_iter().collect();
    assert_eq!(ids.len(), log.len());
    Ok(())
}

/// Reads dropped at any of their awaits leave the store working, even if it has few connections.
pub async fn dropped_reads_do_no_harm<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, (0..50).map(|at| new_event("x", &format!("e{at}"))).collect()).await?;
    let prefix = || NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: 10 };
    for polls in 0.. {
        let read = drop_at(polls, store.read(Query::after(0))).await.transpose()?;
        let notes = drop_at(polls, store.notes(prefix())).await.transpose()?;
        let head = drop_at(polls, store.head()).await.transpose()?;
        let asked = drop_at(polls, store.facts(Needs { ids: vec![event_id("e1")], ..Needs::default() }));
        let asked = asked.await.transpose()?;
        assert_eq!(store.head().await?.position, 50);
        if read.is_some() && notes.is_some() && head.is_some() && asked.is_some() {
            break;
        }
    }
    record(&store, vec![new_event("x", "last")]).await?;
    assert_eq!(log_of(&store).await?.len(), 51);
    Ok(())
}

/// An edit puts and deletes all of its notes or none.
pub async fn a_dropped_edit_is_whole_or_absent<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let note = |key: &str, value: usize| Note { key: key.to_owned(), value: value.to_string().into_bytes() };
    for polls in 0.. {
        store.edit(vec![note("old", polls)], vec!["a".to_owned(), "b".to_owned()]).await?;
        let edit = Edit { put: vec![note("a", polls), note("b", polls)], delete: vec!["old".to_owned()] };
        let ended = drop_at(polls, store.commit(edit)).await.transpose()?;
        store.edit(vec![note("next", polls)], Vec::new()).await?;
        let keys = ["a", "b", "old"].map(str::to_owned).into();
        let notes = store.notes(NoteQuery::Keys(keys)).await?;
        let whole = match notes.as_slice() {
            [a, b] => a.value == b.value && (&*a.key, &*b.key) == ("a", "b"),
            [old] => old.key == "old" && ended.is_none(),
            _ => false,
        };
        assert!(whole, "half of an edit: {notes:?}");
        if ended.is_some() {
            break;
        }
    }
    Ok(())
}

/// Renumbering moves all of its events or none; after it was dropped, it can be done again.
pub async fn a_dropped_renumber_is_whole_or_absent<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let name = log_to_move(&store).await?;
    let dots: Vec<Dot> = [1, 2].map(|counter| Dot::new(name.clone(), counter)).into();
    for polls in 0.. {
        let renumber = from_two(&store).await?;
        if !store.identity().await?.suspect {
            break;
        }
        let ended = drop_at(polls, store.commit(renumber)).await.transpose()?;
        let facts = store
            .facts(Needs { dots: dots.clone(), notes: vec![Note::NODE.to_owned()], ..Needs::default() })
            .await?;
        let moved = !Note::read_identity(facts.note(Note::NODE))?.suspect;
        assert_eq!(facts.dots.len(), if moved { 2 } else { 0 }, "half of the events were moved");
        assert!(ended.is_none() || moved, "what was answered is there");
    }
    let event = record(&store, vec![new_event("x", "next")]).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(name, 3)));
    Ok(())
}

/// A close that nobody waits for closes the store or does not; the contents do not change.
pub async fn a_dropped_close_leaves_the_log_whole<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, (0..5).map(|at| new_event("x", &format!("e{at}"))).collect()).await?;
    let before = contents(&store).await?;
    for polls in 0.. {
        if drop_at(polls, store.close()).await.transpose()?.is_some() {
            break;
        }
        match contents(&store).await {
            Ok(now) => assert_eq!(now, before),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
    }
    let closed = store.head().await.map_err(|error| error.kind());
    assert_eq!(closed, Err(ErrorKind::Closed));
    drop(store);
    if fixture.survives_reopen() {
        assert_eq!(contents(&open(fixture).await?).await?, before);
    }
    Ok(())
}
