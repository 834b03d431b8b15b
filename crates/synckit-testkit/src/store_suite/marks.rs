//! What is stored with each event: the mark of its commit, and where it came from.

use synckit_core::{Event, EventStore, Facts, LogHead, Mark, Needs, Plan, Planner, Query, Result, Step};
use synckit_plan::{Entropy, Receive, Record};

use super::{contents, ids, log_of, named, open, receive, receiving, record, record_of, scan};
use crate::case::{CaseResult, skip};
use crate::fixture::StoreFixture;
use crate::plans::Fixed;
use crate::samples::{Author, event_id, new_event, node, store_id};

/// Returns randomness that gives this mark.
pub(super) fn drawing(mark: u64) -> Entropy {
    let mut bytes = [7; Entropy::BYTES];
    bytes[..8].copy_from_slice(&mark.to_be_bytes());
    Entropy::from_bytes(bytes)
}

fn receiving_with(entropy: Entropy, source: u8, events: &[Event]) -> Receive {
    let mut receiving = receiving(source, events);
    receiving.entropy = entropy;
    receiving
}

/// Marks that a store is likely to truncate or to round: all 64 bits count.
const TRICKY: [u64; 6] = [0, 1, (1 << 53) + 1, i64::MAX as u64, 1 << 63, u64::MAX];

/// Makes one commit of two events, recorded or received, for each of the marks.
async fn with_tricky_marks(store: &impl EventStore) -> Result<()> {
    let mut far = Author::new("far");
    for (at, mark) in TRICKY.into_iter().enumerate() {
        let entropy = drawing(mark);
        if at % 2 == 0 {
            let events = ["a", "b"].map(|part| named(new_event("x", &format!("{at}-{part}")))).to_vec();
            store.commit(Record { entropy, ..record_of(node("n"), events) }).await?;
        } else {
            let events = far.write_many("y", 2);
            store.commit(receiving_with(entropy, 1, &events)).await?;
        }
    }
    Ok(())
}

/// All events that one commit appends have its mark, exact to the bit, also those it derives; a repetition changes
/// none.
pub async fn a_commit_gives_one_mark_to_what_it_appends<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    with_tricky_marks(&store).await?;
    let marks: Vec<u64> = log_of(&store).await?.iter().map(|stored| stored.mark.0).collect();
    assert_eq!(marks, TRICKY.into_iter().flat_map(|mark| [mark, mark]).collect::<Vec<_>>());
    // A fork: the event comes with another that is derived from it here.
    let event = Author::new("peer").write("z");
    receive(&store, 2, std::slice::from_ref(&event)).await?;
    let before = log_of(&store).await?;
    let fork = Event { id: event_id("a fork"), ..event.clone() };
    store.commit(receiving_with(drawing(77), 2, &[fork, event])).await?;
    let log = log_of(&store).await?;
    let marks: Vec<Mark> = log.iter().map(|stored| stored.mark).collect();
    assert_eq!(marks[..13], before.iter().map(|stored| stored.mark).collect::<Vec<_>>());
    assert_eq!(marks[13..], [Mark(77), Mark(77)]);
    Ok(())
}

/// Facts include the marks at the positions that are asked for; none at 0 and beyond the end.
pub async fn asking_tells_the_marks_at_places<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    with_tricky_marks(&store).await?;
    let places = vec![0, 12, 1, 3, 5, 7, 9, 11, 12, 13, i64::MAX as u64, 1 << 63, u64::MAX];
    let facts = store.facts(Needs { places, ..Needs::default() }).await?;
    let mut found: Vec<(u64, u64)> = facts.places.into_iter().map(|(at, mark)| (at, mark.0)).collect();
    found.sort_unstable();
    let expected = (1..).step_by(2).zip(TRICKY).chain([(12, u64::MAX)]);
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert!(store.facts(Needs::default()).await?.places.is_empty());
    Ok(())
}

/// Returns the head of the log that it plans with.
#[derive(Clone, Debug)]
struct Look;

impl Planner for Look {
    type Outcome = LogHead;

    fn needs(&mut self) -> Needs {
        Needs::default()
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<LogHead>> {
        Ok(Step::Write(Plan::default(), facts.head))
    }
}

/// However the head is asked for, it has the mark of the last event: also for a plan that follows another in the same
/// commit, and after a plan that changes marks and appends nothing.
pub async fn the_head_has_the_mark_of_the_last_event<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let check = async || -> Result<Option<Mark>> {
        let (log, head) = (log_of(&store).await?, store.head().await?);
        let mark = log.last().map(|last| last.mark);
        assert_eq!((head.position, head.mark), (log.len() as u64, mark));
        assert_eq!(store.facts(Needs::default()).await?.head, head);
        assert_eq!(store.commit(Look).await?, head);
        Ok(mark)
    };
    assert_eq!(check().await?, None);
    with_tricky_marks(&store).await?;
    assert_eq!(check().await?, Some(Mark(u64::MAX)));
    let first = log_of(&store).await?.remove(0).event;
    let changed =
        |remark| Plan { replace: vec![(1, first.clone())], remark, mark: Mark(5), ..Plan::default() };
    store.commit(Fixed(changed(None))).await?;
    assert_eq!(check().await?, Some(Mark(u64::MAX)));
    store.commit(Fixed(changed(Some(2)))).await?;
    assert_eq!(check().await?, Some(Mark(5)));
    let event = |id| named(new_event("x", id));
    let write = |id| store.commit(Record { entropy: drawing(9), ..record_of(node("n"), vec![event(id)]) });
    let last = |head: LogHead| (head.position, head.mark);
    let (one, between, two, end) =
        tokio::join!(write("1"), store.commit(Look), write("2"), store.commit(Look));
    assert_eq!((one?.head, two?.head), (13, 14));
    assert_eq!((last(between?), last(end?)), ((13, Some(Mark(9))), (14, Some(Mark(9)))));
    check().await?;
    Ok(())
}

/// After closing and opening, every event has the same mark as before.
pub async fn marks_survive_closing<F: StoreFixture>(fixture: &F) -> CaseResult {
    if !fixture.survives_reopen() {
        return skip("marks_survive_closing", "this log does not outlive its store");
    }
    let store = open(fixture).await?;
    with_tricky_marks(&store).await?;
    let before = contents(&store).await?;
    store.close().await?;
    drop(store);
    let store = open(fixture).await?;
    assert_eq!(contents(&store).await?, before);
    for after in [1, 6, 12] {
        let page = store.read(Query::after(after).at_most(1, usize::MAX)).await?;
        let facts = store.facts(Needs { places: vec![after, page.scanned_to], ..Needs::default() }).await?;
        assert_eq!(page.from, facts.places.get(&after).copied());
        assert_eq!(page.upto, facts.places.get(&page.scanned_to).copied());
        assert_eq!(page.from, Some(Mark(TRICKY[(after as usize - 1) / 2])));
    }
    Ok(())
}

/// What is derived here from events of a peer did not come from there: a reader that leaves out their source gets it.
pub async fn what_is_derived_here_has_no_source<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let event = Author::new("far").write("x");
    let fork = Event { id: event_id("fork"), ..event.clone() };
    receive(&store, 1, &[event, fork]).await?;
    record(&store, vec![new_event("x", "own")]).await?;
    let log = log_of(&store).await?;
    let sources: Vec<_> = log.iter().map(|stored| stored.source).collect();
    assert_eq!(sources, [Some(store_id(1)), Some(store_id(1)), None, None]);
    assert!(log[2].event.is_restamp());
    let others = scan(&store, Query::after(0).except_source(Some(store_id(1)))).await?;
    assert_eq!(ids(&others), [log[2].event.id.as_str(), "own"]);
    Ok(())
}
