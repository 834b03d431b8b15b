//! Conflicts wait for a resolver until it has looked at them, and not longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use synckit::{
    BoxTransport, Conflict, ConflictResolver, Endpoint, ErrorKind, EventStore, FieldMerge, LastWriteWins,
    ManualReview, Replica, Result, RuleResolver, Rules, SyncManager,
    conflict::{Answer, Clash, Closure, Condition, Fingerprint, Rule, SharedResolver},
    observe::Notice,
    plan::{Asked, Entropy, notes},
    store::{Cursor, Facts, Needs, Note, NoteQuery, StoreExt},
};
use synckit_memory::MemoryStore;

use super::{agree, edit, edited_apart, id, manager};

/// A resolver that counts the conflicts it is asked about, and gives the same answer to each.
fn counting(answer: Answer) -> (SharedResolver, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = Closure::new("counting", move |_: &Conflict| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(answer.clone())
    });
    (SharedResolver::new(resolver), asked)
}

fn with(
    store: &MemoryStore,
    hub: &MemoryStore,
    resolver: impl ConflictResolver + 'static,
) -> SyncManager<MemoryStore, BoxTransport> {
    let replica = Replica::builder(store.clone()).with_resolver(resolver).build();
    SyncManager::new(replica, BoxTransport::new(Endpoint::new(hub.clone())))
}

#[tokio::test]
async fn a_conflict_left_for_a_person_is_handed_to_another_resolver_and_not_again_to_the_same() {
    let (_, b, hub) = edited_apart(3).await;
    let (resolver, asked) = counting(Answer::Review);
    let same = with(&b, &hub, resolver.clone());
    for round in 0..3 {
        let report = same.sync().await.unwrap();
        assert_eq!((report.conflicts.left, asked.load(Ordering::Relaxed)), (3, 3), "sync {round}");
        assert_eq!(report.conflicts.open.len(), if round == 0 { 3 } else { 0 });
    }
    // Nobody knows whether a closure of the same name decides alike in another replica.
    with(&b, &hub, resolver.clone()).sync().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 6);
    // A built-in resolver does.
    for _ in 0..2 {
        assert_eq!(with(&b, &hub, ManualReview).sync().await.unwrap().conflicts.left, 3);
    }
    let left = Arc::new(AtomicUsize::new(0));
    let count = left.clone();
    let replica =
        Replica::builder(b.clone()).with_resolver(ManualReview).with_observer(move |notice: &Notice<'_>| {
            count.fetch_add(usize::from(matches!(notice, Notice::ConflictLeft { .. })), Ordering::Relaxed);
        });
    SyncManager::new(replica.build(), Endpoint::new(hub.clone())).sync().await.unwrap();
    assert_eq!(left.load(Ordering::Relaxed), 0, "it has left them in another replica");
    let report = with(&b, &hub, LastWriteWins).sync().await.unwrap();
    assert_eq!((report.conflicts.settled, report.conflicts.left), (3, 0));
    agree(&[&b], &hub).await;
}

#[tokio::test]
async fn a_conflict_that_changes_is_handed_over_again() {
    let (a, b, hub) = edited_apart(3).await;
    let (resolver, asked) = counting(Answer::Review);
    let reviewing = with(&b, &hub, resolver);
    reviewing.sync().await.unwrap();
    // A later event on one side. Its author has not seen the other.
    let writer = with(&a, &hub, ManualReview);
    writer.replica().record([edit("note-00001", r#"{"by":"a again"}"#)]).await.unwrap();
    writer.push().await.unwrap();
    let report = reviewing.sync().await.unwrap();
    assert_eq!((report.pulled, report.conflicts.found, asked.load(Ordering::Relaxed)), (1, 0, 4));
    assert_eq!(report.conflicts.open[0].aggregate, id("note-00001"));
    assert_eq!(reviewing.sync().await.unwrap().conflicts.left, 3);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_conflict_on_which_the_resolver_fails_waits_for_the_next_sync() {
    let (_, b, hub) = edited_apart(3).await;
    let (reviewing, _) = counting(Answer::Review);
    with(&b, &hub, reviewing).sync().await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let resolver = Closure::new("failing once", move |conflict: &Conflict| {
        let first = count.fetch_add(1, Ordering::Relaxed) < 3;
        match conflict.aggregate_id.as_str() {
            "note-00001" if first => Err(synckit::Error::invalid("not today")),
            _ => Ok(Answer::Review),
        }
    });
    let failing = with(&b, &hub, resolver);
    let report = failing.sync().await.unwrap();
    assert_eq!((report.conflicts.left, report.conflicts.failed), (3, 1));
    let report = failing.sync().await.unwrap();
    assert_eq!((report.conflicts.left, report.conflicts.failed, calls.load(Ordering::Relaxed)), (3, 0, 4));
    failing.sync().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_conflict_that_changes_while_it_is_left_still_waits() {
    let (a, b, hub) = edited_apart(1).await;
    // Pulled without settling.
    let failing = Closure::new("failing", |_: &Conflict| Err::<Answer, _>(synckit::Error::invalid("no")));
    with(&b, &hub, failing).sync().await.unwrap();
    let key = notes::waiting(&id("note-00000"));
    let before = b.note(key.clone()).await.unwrap().unwrap().value;
    let event = manager(&a, &hub).replica().record([edit("note-00000", "2")]).await.unwrap().events.remove(0);
    let (source, limits) = (a.head().await.unwrap().store, synckit::Limits::default());
    let entropy = |byte| Entropy::from_bytes([byte; Entropy::BYTES]);
    let receive = synckit::plan::Receive::new(Some(source), vec![event], 1, limits, entropy(1));
    b.commit(receive).await.unwrap();
    let left = vec![(id("note-00000"), Some(before))];
    let asked = |left, byte| {
        let (failed, entropy) = ([].into(), entropy(byte));
        Asked { left, failed, resolver: None, waiting: None, since: Cursor::start(source), entropy }
    };
    assert_eq!(b.commit(asked(left, 2)).await.unwrap(), 1);
    let now = b.note(key.clone()).await.unwrap().unwrap().value;
    let left = vec![(id("note-00000"), Some(now))];
    b.commit(asked(left, 3)).await.unwrap();
    assert_eq!(b.note(key).await.unwrap(), None);
}

/// What was settled is gone, so it waits again.
#[tokio::test]
async fn a_conflict_in_a_backup_that_is_restored_while_it_is_settled_still_waits() {
    let (_, b, hub) = edited_apart(3).await;
    // Found by a push, so no resolver was asked.
    manager(&hub, &b).push().await.unwrap();
    let (backup, restored, log) = (b.copy(), AtomicBool::new(false), b.clone());
    let observer = move |notice: &Notice<'_>| {
        if matches!(notice, Notice::ConflictSettled { .. }) && !restored.swap(true, Ordering::Relaxed) {
            log.restore(&backup);
        }
    };
    let replica = Replica::builder(b.clone()).with_resolver(LastWriteWins).with_observer(observer).build();
    let settled = replica.settle_listed().await.unwrap();
    assert_eq!((settled.settled, replica.conflicts().await.unwrap().len()), (3, 3));
    assert_eq!(replica.settle_listed().await.unwrap().settled, 3);
    agree(&[&b], &hub).await;
}

/// The backup has only one of the sides, and not the one that the resolver keeps.
#[tokio::test]
async fn nothing_is_decided_in_a_log_that_is_restored_while_the_resolver_decides() {
    let (_, b, hub) = edited_apart(1).await;
    let (backup, log) = (b.copy(), b.clone());
    manager(&hub, &b).push().await.unwrap();
    let before = backup.head().await.unwrap();
    let own = backup.identity().await.unwrap().author;
    let resolver = Closure::new("restoring", move |conflict: &Conflict| {
        log.restore(&backup);
        let other = conflict.branches.iter().find(|branch| branch.head.author() != Some(&own));
        Ok(Answer::Keep(other.expect("two sides").head.id.clone()))
    });
    let replica = Replica::builder(b.clone()).with_resolver(resolver).build();
    assert_eq!(replica.settle_listed().await.unwrap().settled, 0);
    assert_eq!(b.head().await.unwrap(), before);
    with(&b, &hub, LastWriteWins).sync().await.unwrap();
    agree(&[&b], &hub).await;
}

#[tokio::test]
async fn a_person_decides_nothing_in_a_log_that_was_restored_since() {
    let (_, b, hub) = edited_apart(1).await;
    let backup = b.copy();
    manager(&hub, &b).push().await.unwrap();
    let replica = Replica::new(b.clone());
    let aggregate = replica.conflicts().await.unwrap().remove(0).aggregate;
    let conflict = replica.conflict(&aggregate).await.unwrap().expect("two sides");
    b.restore(&backup);
    let error = replica.settle(&conflict, Answer::KeepAll, "ann").await.expect_err("is another log");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(b.head().await.unwrap(), backup.head().await.unwrap());
}

#[tokio::test]
async fn rules_that_are_replaced_see_what_the_old_ones_left() {
    let (_, b, hub) = edited_apart(2).await;
    let rules = |pattern: &str, resolver: SharedResolver| {
        let when = Condition::AggregatePrefix(pattern.to_owned());
        Rules::new(ManualReview).with_rule(Rule::new("one", when, resolver))
    };
    let own = || SharedResolver::new(Closure::new("own", |_: &Conflict| Ok(Answer::KeepAll)));
    let resolver = RuleResolver::new(rules("other", own())).unwrap();
    let manager = with(&b, &hub, resolver.clone());
    for _ in 0..2 {
        assert_eq!(manager.sync().await.unwrap().conflicts.left, 2);
    }
    resolver.replace(rules("note-00001", own())).unwrap();
    let report = manager.sync().await.unwrap();
    assert_eq!((report.conflicts.settled, report.conflicts.left), (1, 1));
}

#[test]
fn rules_are_told_apart_by_what_they_say() {
    let rules = |field: &str, clash: Clash| {
        let rule = Rule::new(
            "merged",
            Condition::FieldChanged(field.parse().unwrap()),
            FieldMerge::new().with_clash(clash),
        );
        RuleResolver::new(Rules::new(LastWriteWins).with_rule(rule)).unwrap().fingerprint()
    };
    assert_eq!(rules("price", Clash::Latest), rules("price", Clash::Latest));
    assert!(matches!(rules("price", Clash::Latest), Fingerprint::Lasting(_)));
    assert_ne!(rules("price", Clash::Latest), rules("name", Clash::Latest));
    assert_ne!(rules("price", Clash::Latest), rules("price", Clash::Largest));
    let closure = Closure::new("own", |_: &Conflict| Ok(Answer::KeepAll));
    let resolver = RuleResolver::new(Rules::new(closure)).unwrap();
    let before = resolver.fingerprint();
    resolver.replace(Rules::new(Closure::new("own", |_: &Conflict| Ok(Answer::KeepAll)))).unwrap();
    assert_ne!(before, resolver.fingerprint());
}

/// A store that counts the notes it reads.
#[derive(Clone)]
struct Counted(MemoryStore, Arc<AtomicU64>);

impl EventStore for Counted {
    synckit_testkit::forward!(0: commit, read, head, moved, close);

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        let facts = self.0.facts(needs).await?;
        self.1.fetch_add(facts.notes.len() as u64, Ordering::Relaxed);
        Ok(facts)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        let notes = self.0.notes(query).await?;
        self.1.fetch_add(notes.len() as u64, Ordering::Relaxed);
        Ok(notes)
    }
}

/// Counts the notes that an idle sync and a status read after this many conflicts were left for a person.
async fn idle(conflicts: usize) -> (u64, u64) {
    let (_, b, hub) = edited_apart(conflicts).await;
    let counted = Counted(b, Arc::default());
    let replica = Replica::builder(counted.clone()).with_resolver(ManualReview).build();
    let manager = SyncManager::new(replica, Endpoint::new(hub));
    let report = manager.sync().await.unwrap();
    assert_eq!((report.conflicts.found, report.conflicts.left), (conflicts, conflicts));
    manager.sync().await.unwrap();
    let before = counted.1.load(Ordering::Relaxed);
    let report = manager.sync().await.unwrap();
    assert_eq!((report.round_trips, report.conflicts.left), (1, conflicts));
    let synced = counted.1.load(Ordering::Relaxed);
    assert_eq!(manager.replica().status().await.unwrap().conflicts, conflicts);
    (synced - before, counted.1.load(Ordering::Relaxed) - synced)
}

#[tokio::test]
async fn what_an_idle_sync_and_a_status_read_does_not_grow_with_open_conflicts() {
    assert_eq!(idle(1).await, idle(900).await);
}

#[tokio::test]
async fn conflicts_are_counted_as_they_come_and_go() {
    let (_, b, hub) = edited_apart(20).await;
    let reviewing = with(&b, &hub, ManualReview);
    reviewing.sync().await.unwrap();
    let replica = reviewing.replica();
    for number in 0..20 {
        assert_eq!(replica.status().await.unwrap().conflicts, 20 - number);
        assert_eq!(replica.conflicts().await.unwrap().len(), 20 - number);
        // An event on top of all sides settles them.
        replica.record([edit(&format!("note-{number:05}"), "{}")]).await.unwrap();
    }
    assert_eq!(replica.status().await.unwrap().conflicts, 0);
    assert!(b.notes_under(notes::WAITING_CONFLICTS).await.unwrap().is_empty());
}
