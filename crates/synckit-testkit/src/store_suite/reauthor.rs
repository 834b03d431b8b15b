//! Authoring again, under a fresh name, what was recorded under dots that are taken.

use std::collections::BTreeMap;

use synckit::StoreExt;
use synckit_core::plan::{Intent, Outcome, Reauthor};
use synckit_core::{Dot, EventStore, Heads, Held, Needs, Result, StoredEvent, notes};

use super::{contents, counter, log_of, open, receive, record};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, aggregate, event_id, new_event, node};

/// A log of `kept` (n:1) and `moved` (n:2) on x, a foreign event on each aggregate, `alone` (n:3) on y.
pub(super) async fn log_to_move(store: &impl EventStore) -> Result<()> {
    let mut far = Author::new("far");
    record(store, vec![new_event("x", "kept")]).await?;
    receive(store, 1, &[far.write("x"), far.write("y")]).await?;
    record(store, vec![new_event("x", "moved"), new_event("y", "alone")]).await?;
    Ok(())
}

/// Moves what was authored from the second counter on.
pub(super) async fn from_two(store: &impl EventStore) -> Result<Reauthor> {
    let moved = |stored: &StoredEvent| stored.source.is_none() && stored.event.clock.counter(&node("n")) >= 2;
    let events = log_of(store).await?.into_iter().filter(moved).collect();
    let base = BTreeMap::from([(aggregate("x"), 1)]);
    Ok(Reauthor { author: node("n"), from: 2, last: 3, events, base })
}

/// Id, position, source and content stay; dots, clocks, heads and counters follow the new name.
pub async fn events_get_the_dots_of_the_successor<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    log_to_move(&store).await?;
    let before = log_of(&store).await?;
    let outcome = store.commit(Intent::Reauthor(from_two(&store).await?)).await?;
    assert!(matches!(outcome, Outcome::Reauthored(Some(2))), "{outcome:?}");
    let after = log_of(&store).await?;
    assert_eq!(after[..3], before[..3]);
    for (at, counter) in [(3, 1), (4, 2)] {
        let (old, new) = (&before[at], &after[at]);
        assert_eq!((new.position, new.source), (old.position, old.source));
        assert_eq!(new.event.content_digest(), old.event.content_digest());
        assert_eq!(
            (new.event.dot.clone(), new.event.time),
            (Some(Dot::new(node("n~2"), counter)), old.event.time)
        );
        assert!(new.event.check_stamp().is_ok());
    }
    let clock: Vec<_> = after[3].event.clock.iter().map(|(node, counter)| (node.as_str(), counter)).collect();
    assert_eq!(clock, [("far", 1), ("n", 1), ("n~2", 1)]);
    assert_eq!(after[4].event.clock.counter(&node("n")), 0);
    check_notebook(&store, &after).await?;
    let next = record(&store, vec![new_event("x", "next")]).await?.events.remove(0);
    assert_eq!(next.dot, Some(Dot::new(node("n~2"), 3)));
    assert!(next.has_seen(&after[3].event));
    Ok(())
}

async fn check_notebook(store: &impl EventStore, log: &[StoredEvent]) -> Result<()> {
    let identity = store.identity().await?;
    assert_eq!((identity.node, identity.author, identity.generation), (node("n"), node("n~2"), 2));
    assert_eq!(counter(store, "n").await?, 1);
    assert_eq!(counter(store, "n~2").await?, 2);
    let heads = store.note(notes::heads(&aggregate("x"))).await?.expect("the aggregate has heads");
    let heads = Heads::decode(&heads.value)?;
    assert_eq!(heads.iter().map(|head| &head.clock).collect::<Vec<_>>(), [&log[3].event.clock]);
    let dots = [("n", 1), ("n", 2), ("n", 3), ("n~2", 1), ("n~2", 2)];
    let dots = dots.map(|(name, counter)| Dot::new(node(name), counter));
    let moved = event_id("moved");
    let needs = Needs { ids: vec![moved.clone()], dots: dots.to_vec(), ..Needs::default() };
    let facts = store.ask(needs).await?;
    assert_eq!(facts.held[&moved], Held::of(4, &log[3].event));
    let named = dots.map(|dot| facts.dots.get(&dot).map(|id| id.to_string()));
    assert_eq!(
        named.each_ref().map(Option::as_deref),
        [Some("kept"), None, None, Some("moved"), Some("alone")]
    );
    Ok(())
}

/// Where something was recorded since the log was read, nothing changes.
pub async fn a_log_that_moved_on_is_left_alone<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    log_to_move(&store).await?;
    let stale = from_two(&store).await?;
    record(&store, vec![new_event("x", "more")]).await?;
    let before = contents(&store).await?;
    let outcome = store.commit(Intent::Reauthor(stale)).await?;
    assert!(matches!(outcome, Outcome::Reauthored(None)), "{outcome:?}");
    assert_eq!(contents(&store).await?, before);
    Ok(())
}
