//! A fresh id and name for a store, and fresh dots for its own events that were never handed out.

use std::collections::BTreeMap;
use std::time::Duration;

use synckit_core::{
    Dot, EventStore, Held, Limits, Needs, NodeId, Note, Renewal, Result, StoredEvent, Timestamp,
};
use synckit_plan::{Heads, Renew, Renumber, Renumbered, Restamp, StoreExt, notes};

use super::{contents, counter, log_of, open, receive, record, record_at};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, aggregate, entropy, event_id, new_event, node};

/// Makes a log of `kept` (n:1, handed out) and `moved` (n:2) on x, a foreign event on each aggregate, `alone` (n:3)
/// on y, and then renews the store.
pub(super) async fn log_to_move(store: &impl EventStore) -> Result<NodeId> {
    let mut far = Author::new("far");
    record(store, vec![new_event("x", "kept")]).await?;
    receive(store, 1, &[far.write("x"), far.write("y")]).await?;
    record(store, vec![new_event("x", "moved"), new_event("y", "alone")]).await?;
    renew(store).await
}

async fn renew(store: &impl EventStore) -> Result<NodeId> {
    let id = store.head().await?.store;
    let renew = Renew::new(id, Renewal::SetBack, NOW, entropy());
    Ok(store.commit(renew).await?.author)
}

/// Returns a plan that moves what was recorded after the first event.
pub(super) async fn from_two(store: &impl EventStore) -> Result<Renumber> {
    Ok(Renumber {
        events: BTreeMap::from([(event_id("moved"), aggregate("x")), (event_id("alone"), aggregate("y"))]),
        taken: true,
        name: None,
        last: true,
        handed: 1,
        head: store.head().await?.position,
        now: NOW,
        drift: Limits::default().drift(),
        entropy: entropy(),
    })
}

/// Id, position, source and content stay; dots, clocks, heads and counters follow the new name, which is recorded.
pub async fn events_get_dots_of_an_unused_name<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let name = log_to_move(&store).await?;
    let before = log_of(&store).await?;
    let done = store.commit(from_two(&store).await?).await?;
    assert_eq!(done, Some(Renumbered { events: 2, author: name.clone(), head: 7 }));
    let after = log_of(&store).await?;
    assert_eq!(after[..3], before[..3]);
    for (at, counter) in [(3, 1), (4, 2)] {
        let (old, new) = (&before[at], &after[at]);
        assert_eq!((new.position, new.source), (old.position, old.source));
        assert_eq!(new.mark, after[5].mark, "from here on it is another log than a copy's");
        assert_eq!(new.event.content_digest(), old.event.content_digest());
        assert_eq!(
            (new.event.dot.clone(), new.event.time),
            (Some(Dot::new(name.clone(), counter)), old.event.time)
        );
        assert!(new.event.check_stamp().is_ok());
        assert_eq!(
            after[at + 2].event,
            Restamp::event_of(&new.event, old.event.dot.as_ref().expect("it has one"))?
        );
    }
    let clock: Vec<_> = after[3].event.clock.iter().map(|(node, counter)| (node.as_str(), counter)).collect();
    assert_eq!(clock, [("far", 1), ("n", 1), (name.as_str(), 1)]);
    assert_eq!(after[4].event.clock.counter(&node("n")), 0);
    check_notebook(&store, &name, &after).await?;
    let next = record(&store, vec![new_event("x", "next")]).await?.events.remove(0);
    assert_eq!(next.dot, Some(Dot::new(name, 3)));
    assert!(next.has_seen(&after[3].event));
    Ok(())
}

async fn check_notebook(store: &impl EventStore, name: &NodeId, log: &[StoredEvent]) -> Result<()> {
    let identity = store.identity().await?;
    assert_eq!((identity.node, &identity.author, identity.suspect), (node("n"), name, false));
    assert_eq!(counter(store, name.as_str()).await?, 2);
    let heads = store.note(notes::heads(&aggregate("x"))).await?.expect("the aggregate has heads");
    let heads = Heads::decode(&heads.value)?;
    assert_eq!(heads.iter().map(|head| &head.clock).collect::<Vec<_>>(), [&log[3].event.clock]);
    let dots = [("n", 1), ("n", 2), ("n", 3), (name.as_str(), 1), (name.as_str(), 2)];
    let dots = dots.map(|(name, counter)| Dot::new(node(name), counter));
    let moved = event_id("moved");
    let needs = Needs { ids: vec![moved.clone()], dots: dots.to_vec(), ..Needs::default() };
    let facts = store.facts(needs).await?;
    assert_eq!(facts.held[&moved], Held::of(4, &log[3].event));
    let named = dots.map(|dot| facts.dots.get(&dot).map(|id| id.to_string()));
    assert_eq!(
        named.each_ref().map(Option::as_deref),
        [Some("kept"), None, None, Some("moved"), Some("alone")]
    );
    Ok(())
}

/// If a clock was a year ahead, events that nobody else has get the right time, in order, under the same dots.
pub async fn events_far_ahead_get_the_right_time<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let year = 365 * 86_400_000;
    record(&store, vec![new_event("x", "before")]).await?;
    record_at(&store, NOW + year, vec![new_event("x", "1"), new_event("x", "2"), new_event("y", "3")])
        .await?;
    let before = log_of(&store).await?;
    let late = [("1", "x"), ("2", "x"), ("3", "y")].map(|(id, of)| (event_id(id), aggregate(of)));
    let right = async |drift| {
        let events = BTreeMap::from(late.clone());
        let head = store.head().await?.position;
        let renumber = Renumber {
            events,
            taken: false,
            name: None,
            last: true,
            handed: 1,
            head,
            now: NOW + 5,
            drift,
            entropy: entropy(),
        };
        store.commit(renumber).await
    };
    assert_eq!(right(Duration::MAX).await?.map(|done| done.events), Some(0), "nothing is too far ahead");
    assert_eq!(right(Duration::from_secs(60)).await?.map(|done| done.events), Some(3));
    let after = log_of(&store).await?;
    let times: Vec<_> = after[1..4].iter().map(|stored| stored.event.time).collect();
    let first = Timestamp::from_millis(NOW + 5);
    assert_eq!(times, [first, first.next(), first]);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((&old.event.dot, &old.event.clock), (&new.event.dot, &new.event.clock));
    }
    let next = record(&store, vec![new_event("x", "next")]).await?.events.remove(0);
    assert_eq!(next.time, first.next().next());
    Ok(())
}

/// If something was recorded or handed out since the log was read, nothing changes.
pub async fn a_log_that_moved_on_is_left_alone<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    log_to_move(&store).await?;
    let stale = from_two(&store).await?;
    record(&store, vec![new_event("x", "more")]).await?;
    let before = contents(&store).await?;
    assert_eq!(store.commit(stale).await?, None);
    assert_eq!(contents(&store).await?, before);
    let stale = from_two(&store).await?;
    let handed = Note { key: notes::HANDED.to_owned(), value: b"2".to_vec() };
    store.edit(vec![handed], Vec::new()).await?;
    let before = contents(&store).await?;
    assert_eq!(store.commit(stale).await?, None);
    assert_eq!(contents(&store).await?, before);
    Ok(())
}

/// If several callers notice the same at once, only one renews the store.
pub async fn a_renewal_is_for_the_id_it_names<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let id = store.head().await?.store;
    let name = renew(&store).await?;
    let (identity, renewed) = (store.identity().await?, store.head().await?.store);
    assert!(identity.was(id) && renewed != id && name.chosen() == "n");
    let again = Renew::new(id, Renewal::SetBack, NOW, entropy());
    assert_eq!(store.commit(again).await?, identity);
    assert_eq!(store.head().await?.store, renewed);
    Ok(())
}
