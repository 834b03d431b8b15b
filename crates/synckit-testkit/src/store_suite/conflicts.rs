//! Heads, and conflicts that appear and disappear.

use synckit_core::{Event, EventStore};
use synckit_plan::{Answer, Conflict, Heads, StoreExt, notes};

use super::{contents, log_of, open, receive, record, text};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, aggregate, new_event};

pub(super) async fn heads(store: &impl EventStore, of: &str) -> synckit_core::Result<Vec<String>> {
    let note = store.note(notes::heads(&aggregate(of))).await?.expect("the aggregate has heads");
    let mut ids: Vec<String> = Heads::decode(&note.value)?.iter().map(|head| head.id.to_string()).collect();
    ids.sort();
    Ok(ids)
}

async fn conflict(store: &impl EventStore, of: &str) -> synckit_core::Result<Option<String>> {
    text(store, notes::conflict(&aggregate(of))).await
}

/// Two events that have not seen each other are a conflict, noted with its time; other aggregates are not in
/// conflict.
pub async fn concurrent_events_are_a_conflict<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "own"), new_event("y", "other")]).await?;
    let mut far = Author::new("far");
    let received = receive(&store, 1, &[far.write("x"), far.write("z")]).await?;
    assert_eq!(received.conflicts, [aggregate("x")]);
    assert_eq!(conflict(&store, "x").await?, Some(NOW.to_string()));
    assert_eq!((conflict(&store, "y").await?, conflict(&store, "z").await?), (None, None));
    assert_eq!(heads(&store, "x").await?, ["far-1", "own"]);
    let received = receive(&store, 1, &[far.write("x")]).await?;
    assert_eq!((received.conflicts, heads(&store, "x").await?.len()), (Vec::new(), 2));
    Ok(())
}

/// An event recorded on top of all heads has seen them, and settles the conflict.
pub async fn recording_on_all_heads_settles_it<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let (ann, bob) = (Author::new("ann").write("x"), Author::new("bob").write("x"));
    receive(&store, 1, &[ann.clone(), bob.clone()]).await?;
    assert!(conflict(&store, "x").await?.is_some());
    let events = vec![new_event("y", "of another"), new_event("x", "settled")];
    let recorded = record(&store, events.clone()).await?;
    assert_eq!(recorded.settled, [aggregate("x")]);
    let event = &recorded.events[1];
    assert!(event.has_seen(&ann) && event.has_seen(&bob));
    assert_eq!(conflict(&store, "x").await?, None);
    assert_eq!(record(&store, events).await?.settled, []);
    assert_eq!(heads(&store, "x").await?, ["settled"]);
    Ok(())
}

/// A resolution has no dot; whether derived here or received, it is one event and settles the conflict.
pub async fn a_resolution_settles_it_and_is_one_event<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    receive(&store, 1, &[Author::new("ann").write("x"), Author::new("bob").write("x")]).await?;
    let events: Vec<Event> = log_of(&store).await?.into_iter().map(|stored| stored.event).collect();
    let conflict_now = Conflict::in_history(events.clone())?.expect("there is a conflict");
    let keep = Answer::Keep(events[0].id.clone());
    let resolution = conflict_now.settle(keep, "suite")?.expect("the answer settles it");
    let derived = synckit_plan::Receive::new(
        None,
        vec![resolution.clone()],
        NOW,
        Default::default(),
        crate::samples::entropy(),
    );
    assert_eq!(store.commit(derived).await?.accepted, 1);
    assert_eq!(conflict(&store, "x").await?, None);
    assert_eq!(heads(&store, "x").await?, [resolution.id.to_string()]);
    let before = contents(&store).await?;
    assert_eq!(receive(&store, 1, std::slice::from_ref(&resolution)).await?.duplicates, 1);
    assert_eq!(contents(&store).await?, before);
    let last = before.log.last().expect("the log has events");
    assert_eq!((&last.event, last.source), (&resolution, None));
    Ok(())
}

/// An event that arrives after an event that has seen it, as in a filtered log, is not a head.
pub async fn what_was_seen_is_no_head<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let (mut ann, mut bob) = (Author::new("ann"), Author::new("bob"));
    let first = ann.write("x");
    bob.see(&first);
    let second = bob.write("x");
    receive(&store, 1, std::slice::from_ref(&second)).await?;
    let received = receive(&store, 2, std::slice::from_ref(&first)).await?;
    assert_eq!((received.accepted, received.conflicts), (1, Vec::new()));
    assert_eq!(heads(&store, "x").await?, ["bob-1"]);
    assert_eq!(conflict(&store, "x").await?, None);
    Ok(())
}
