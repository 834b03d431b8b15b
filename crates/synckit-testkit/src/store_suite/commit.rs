//! One commit is one transaction, also while others write.

use std::collections::BTreeMap;
use std::sync::Arc;

use std::time::Duration;
use synckit_core::{
    Dot, Error, ErrorKind, EventStore, Facts, Held, Limits, Needs, NewEvent, Note, NoteQuery, Plan, Planner,
    Query, Step, StoredEvent,
};
use synckit_plan::{Receive, StoreExt, notes};
use tokio::time::timeout;

use super::{Contents, contents, counter, log_of, named, open, receive, record, record_of};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, entropy, event_id, new_event, node};

/// A plan that returns an error leaves no note, no event, no counter.
pub async fn a_plan_that_is_refused_changes_nothing<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1")]).await?;
    let before = contents(&store).await?;
    let bad = NewEvent::new("synckit.reserved", "x", &1)?.with_id(event_id("bad"));
    assert!(record(&store, vec![new_event("y", "2"), bad]).await.is_err());
    let mut events = Author::new("far").write_many("x", 2);
    events[1].clock = synckit_core::VectorClock::new();
    // An event that is derived here cannot be set aside: the whole commit fails.
    let mut derived = Receive::new(None, events, NOW, Limits::default(), entropy());
    derived.keep_refused = true;
    derived.notes.push(Note { key: "checkpoint".to_owned(), value: Vec::new() });
    assert!(store.commit(derived).await.is_err());
    assert_eq!(contents(&store).await?, before);
    Ok(())
}

/// Facts: what is held, where and with which digests, what dots name, what notes say, also those under a prefix, and
/// where the log ends; nothing for what is absent.
pub async fn asking_tells_what_is_there<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let own = record(&store, vec![new_event("x", "own")]).await?.events.remove(0);
    let events = Author::new("far").write_many("x", 1_500);
    receive(&store, 1, &events).await?;
    let before = contents(&store).await?;
    let mut asked: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    asked.extend([own.id.clone(), event_id("absent"), own.id.clone()]);
    let mut dots: Vec<_> = (0..=1_501).map(|counter| Dot::new(node("far"), counter)).collect();
    dots.push(Dot::new(node("n"), 1));
    let keys = vec![notes::origin(&node("far")), "absent".to_owned()];
    let facts = store.facts(Needs { ids: asked, dots, notes: keys, ..Needs::default() }).await?;
    assert_eq!(facts.held.len(), 1_501);
    assert_eq!(facts.head, store.head().await?);
    for (event, position) in [&own].into_iter().chain(&events).zip(1..) {
        assert_eq!(facts.held[&event.id], Held::of(position, event));
        assert_eq!(facts.dots[event.dot.as_ref().expect("it has a dot")], event.id);
    }
    assert_eq!(facts.dots.len(), 1_501);
    assert_eq!(facts.notes.len(), 1);
    assert_eq!(facts.notes[&notes::origin(&node("far"))], b"1500 far-1500");
    let put = [("a/", "1"), ("a/é", "2"), ("a0", "3"), ("b", "4")];
    let put = put.map(|(key, value)| Note { key: key.to_owned(), value: value.into() });
    store.edit(put.into(), Vec::new()).await?;
    let before = Contents { notes: store.notes_under("").await?, ..before };
    let under = vec!["a/".to_owned(), "zz".to_owned()];
    let facts = store.facts(Needs { under, notes: vec!["b".to_owned()], ..Needs::default() }).await?;
    let found: BTreeMap<&str, &[u8]> =
        facts.notes.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    assert_eq!(found, BTreeMap::from([("a/", &b"1"[..]), ("a/é", b"2"), ("b", b"4")]));
    let none = store.facts(Needs::default()).await?;
    assert!(none.held.is_empty() && none.dots.is_empty() && none.notes.is_empty());
    assert_eq!(contents(&store).await?, before);
    Ok(())
}

/// 16 tasks record at once: no position is skipped, no dot is given twice, and the events of each task are in its
/// order.
pub async fn concurrent_records_get_distinct_dots<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = Arc::new(open(fixture).await?);
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for at in 0..10 {
                    let new = |half| new_event("x", &format!("{task}-{at}-{half}"));
                    record(&*store, vec![new(0), new(1)]).await?;
                }
                Ok::<(), synckit_core::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends")?;
    }
    let log = log_of(&*store).await?;
    check_own(&log, 320);
    for pair in log.chunks(2) {
        let (first, second) = (pair[0].event.id.as_str(), pair[1].event.id.as_str());
        assert_eq!(first.strip_suffix("-0"), second.strip_suffix("-1"), "a commit is not divided");
    }
    assert_eq!(counter(&*store, "n").await?, 320);
    Ok(())
}

/// Checks a log of local events only: positions, counters, clocks and times rise together.
pub(super) fn check_own(log: &[StoredEvent], expected: u64) {
    assert_eq!(log.len() as u64, expected);
    for (at, stored) in (1..).zip(log) {
        assert_eq!(stored.position, at);
        assert_eq!(stored.event.dot, Some(Dot::new(node("n"), at)));
    }
    for pair in log.windows(2) {
        assert!(pair[1].event.time > pair[0].event.time, "time rises");
    }
}

/// The same events from 8 peers at once are stored only once.
pub async fn an_event_received_many_times_at_once_is_stored_once<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = Arc::new(open(fixture).await?);
    let events = Arc::new(Author::new("far").write_many("x", 50));
    let tasks: Vec<_> = (1..=8)
        .map(|source| {
            let (store, events) = (store.clone(), events.clone());
            tokio::spawn(async move { receive(&*store, source, &events).await })
        })
        .collect();
    let (mut accepted, mut duplicates) = (0, 0);
    for task in tasks {
        let received = task.await.expect("the task ends")?;
        assert_eq!(received.refused, []);
        accepted += received.accepted;
        duplicates += received.duplicates;
    }
    assert_eq!((accepted, duplicates), (50, 350));
    assert_eq!(log_of(&*store).await?.len(), 50);
    Ok(())
}

/// A reader that sees a position sees all before it, and only whole commits.
pub async fn readers_see_only_prefixes<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = Arc::new(open(fixture).await?);
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for at in 0..60 {
                let new = |part| new_event("x", &format!("{at}-{part}"));
                record(&*store, (0..5).map(new).collect()).await?;
            }
            Ok::<(), synckit_core::Error>(())
        })
    };
    let mut seen = 0;
    while seen < 300 {
        assert!(!writer.is_finished() || store.head().await?.position == 300, "the writer failed");
        let head = store.head().await?.position;
        let page = store.read(Query::after(0)).await?;
        let length = page.events.len() as u64;
        assert!(
            head >= seen && length >= head && length.is_multiple_of(5),
            "{seen}, {head}, then {length} events"
        );
        assert_eq!(page.scanned_to, length);
        assert!((1..).zip(&page.events).all(|(at, stored)| stored.position == at));
        let counter = counter(&*store, "n").await?;
        assert!(counter >= length, "the notebook is as far as the log");
        seen = length;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the task ends")?;
    Ok(())
}

/// After closing, every call returns `Closed`; closing twice has no other effect than closing once.
pub async fn a_closed_store_says_so<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1")]).await?;
    store.close().await?;
    store.close().await?;
    let events = vec![named(new_event("x", "2"))];
    let intent = record_of(node("n"), events);
    let prefix = NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: 1 };
    let kinds = [
        store.commit(intent).await.map(drop),
        store.facts(Needs::default()).await.map(drop),
        store.read(Query::after(0)).await.map(drop),
        store.notes(NoteQuery::Keys(vec!["node".to_owned()])).await.map(drop),
        store.notes(prefix).await.map(drop),
        store.head().await.map(drop),
        store.moved(0).await.map(drop),
    ];
    for kind in kinds {
        assert_eq!(kind.map_err(|error| error.kind()), Err(ErrorKind::Closed));
    }
    Ok(())
}

/// Reads a note, then the note that it names, and stores the length of that.
#[derive(Clone)]
struct Follow {
    key: String,
}

impl Planner for Follow {
    type Outcome = Option<usize>;

    fn needs(&mut self) -> Needs {
        Needs { notes: vec![self.key.clone()], ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> synckit_core::Result<Step<Option<usize>>> {
        let text = |key: &str| facts.note(key).map(|value| String::from_utf8_lossy(value).into_owned());
        let Some(next) = text(&self.key) else {
            return Err(Error::new(ErrorKind::NotFound, "there is nothing to follow"));
        };
        if round == 1 {
            return Ok(Step::Fetch(Needs { notes: vec![next], ..Needs::default() }));
        }
        let length = text(&next).map(|text| text.len());
        let value = format!("{length:?} in round {round}").into_bytes();
        let put = vec![Note { key: "followed".to_owned(), value }];
        Ok(Step::Write(Plan { put, ..Plan::default() }, length))
    }
}

/// A commit takes any planner: what it asks for in a second round is added to what it knows, and its outcome is
/// returned. A planner that fails leaves nothing.
pub async fn any_planner_asks_in_rounds_and_gets_its_own_outcome<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let note = |key: &str, value: &str| Note { key: key.to_owned(), value: value.into() };
    store.edit(vec![note("a/first", "second"), note("second", "four")], Vec::new()).await?;
    let follow = |key: &str| Follow { key: key.to_owned() };
    assert_eq!(store.commit(follow("a/first")).await?, Some(4));
    assert_eq!(super::text(&store, "followed").await?.as_deref(), Some("Some(4) in round 2"));
    assert_eq!(store.commit(follow("second")).await?, None);
    let before = contents(&store).await?;
    let failed = store.commit(follow("absent")).await.expect_err("there is nothing");
    assert_eq!(failed.kind(), ErrorKind::NotFound);
    assert_eq!(contents(&store).await?, before);
    Ok(())
}

/// How long a case waits to be woken before it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A commit that appends, and closing, wake a caller that waits for growth.
pub async fn growth_wakes_whoever_waits<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    assert_eq!(record(&store, vec![new_event("x", "1")]).await?.head, 1);
    assert_eq!(timeout(PATIENCE, store.moved(0)).await.expect("it has grown already")?, 1);
    let append = async { record(&store, vec![new_event("x", "2"), new_event("x", "3")]).await };
    let (woken, appended) = tokio::join!(biased; timeout(PATIENCE, store.moved(1)), append);
    assert_eq!((woken.expect("it is woken")?, appended?.head), (3, 3));
    let (ended, closed) = tokio::join!(biased; timeout(PATIENCE, store.moved(3)), store.close());
    closed?;
    assert_eq!(ended.expect("it ends").map_err(|error| error.kind()), Err(ErrorKind::Closed));
    Ok(())
}

/// A commit that appends nothing wakes nobody: a caller that is woken finds a longer log.
pub async fn nobody_is_woken_before_the_log_grows<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1")]).await?;
    let write = async {
        for number in 0..10 {
            let note = Note { key: format!("k{number}"), value: Vec::new() };
            store.edit(vec![note], Vec::new()).await?;
        }
        record(&store, vec![new_event("x", "2")]).await
    };
    let (woken, written) = tokio::join!(biased; timeout(PATIENCE, store.moved(1)), write);
    written?;
    assert_eq!(woken.expect("it is woken")?, 2);
    Ok(())
}
