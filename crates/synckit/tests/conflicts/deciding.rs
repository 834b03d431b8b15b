//! People: what is left for them, what they decide, and what they expect when they record.

use synckit::{
    ErrorKind, EventStore, Expect, ManualReview, NodeId, Replica, StoreId, SyncManager, Transport,
    conflict::{Answer, Decision, Kept, Resolution, Ruling},
    store::StoreExt,
    transport::{Caller, PushRequest, RefusedCode},
};
use synckit_sqlite::SqliteStore;

use super::{agree, conflict_of, edit, edited_apart, id, live, manager, store};

async fn length(store: &impl EventStore) -> u64 {
    store.head().await.unwrap().position
}

#[tokio::test]
async fn what_is_left_for_review_survives_a_restart_and_stops_nothing() {
    let (_, _, hub) = edited_apart(2).await;
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open_as(folder.path().join("c.db"), NodeId::new("c").unwrap());
    let build = |store| {
        SyncManager::builder(
            Replica::builder(store).with_resolver(ManualReview).build(),
            synckit::Endpoint::new(hub.clone()),
        )
        .build()
    };
    let before = build(open().await.unwrap());
    before.replica().record([edit("note-00000", "1"), edit("note-00001", "2")]).await.unwrap();
    let report = before.sync().await.unwrap();
    assert_eq!((report.pushed, report.pulled, report.conflicts.left), (2, 2, 2));
    assert_eq!((report.conflicts.failed, report.conflicts.open.len()), (0, 2));
    before.replica().store().close().await.unwrap();

    let after = build(open().await.unwrap());
    let listed = after.replica().conflicts().await.unwrap();
    assert_eq!((listed.len(), listed[0].aggregate.as_str()), (2, "note-00000"));
    assert!(listed[0].found_at > 0);
    let conflict = after.replica().conflict(&id("note-00000")).await.unwrap().unwrap();
    let kept = conflict.branches[0].stands_for.id.clone();
    let decision = Ruling::from(Answer::Keep(kept.clone())).because("a was right");
    after.replica().settle(&conflict, decision, "ann").await.unwrap();
    assert_eq!(after.replica().conflicts().await.unwrap().len(), 1);
    assert_eq!(after.sync().await.unwrap().pushed, 1);
    assert_eq!(live(&hub, "note-00000").await.iter().map(|event| &event.id).collect::<Vec<_>>(), [&kept]);
}

#[tokio::test]
async fn two_people_who_settle_differently_end_with_one_answer() {
    let (a, b, hub) = edited_apart(1).await;
    let review = |store: &synckit_memory::MemoryStore| {
        SyncManager::builder(
            Replica::builder(store.clone()).with_resolver(ManualReview).build(),
            synckit::Endpoint::new(hub.clone()),
        )
        .build()
    };
    review(&b).sync().await.unwrap();
    review(&a).sync().await.unwrap();
    for (side, (store, by)) in [(&a, "ann"), (&b, "bob")].into_iter().enumerate() {
        let conflict = conflict_of(store, "note-00000").await;
        let kept = conflict.branches[side].stands_for.id.clone();
        review(store).replica().settle(&conflict, Answer::Keep(kept), by).await.unwrap();
    }
    agree(&[&a, &b], &hub).await;
    assert_eq!(live(&a, "note-00000").await.len(), 1);
    assert_eq!(live(&a, "note-00000").await, live(&b, "note-00000").await);
}

#[tokio::test]
async fn a_person_overrides_a_resolver_and_a_later_decision_an_earlier_one() {
    let (a, b, hub) = edited_apart(1).await;
    // Last write wins settles it.
    manager(&b, &hub).sync().await.unwrap();
    let loser = |shown: &[synckit::Event], conflict: &synckit::Conflict| {
        let other = conflict.branches.iter().find(|branch| branch.stands_for.id != shown[0].id);
        other.unwrap().stands_for.id.clone()
    };
    let mut before = live(&b, "note-00000").await;
    for (store, by) in [(&b, "ann"), (&a, "bob"), (&b, "ann")] {
        manager(store, &hub).sync().await.unwrap();
        let person = manager(store, &hub);
        let top = person.replica().heads(&id("note-00000")).await.unwrap();
        let conflict = person.replica().settled_conflict(&id("note-00000"), &top[0]).await.unwrap();
        let other = loser(&before, &conflict);
        person.replica().settle(&conflict, Answer::Keep(other.clone()), by).await.unwrap();
        agree(&[&a, &b], &hub).await;
        before = live(&a, "note-00000").await;
        assert_eq!(
            before.iter().map(|event| &event.id).collect::<Vec<_>>(),
            [&other],
            "{by} has decided last"
        );
    }
    // An event on top has seen the decision, so there is nothing left to decide differently.
    let person = manager(&a, &hub);
    let top = person.replica().heads(&id("note-00000")).await.unwrap();
    person.replica().record([edit("note-00000", "3")]).await.unwrap();
    let error = person.replica().settled_conflict(&id("note-00000"), &top[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Somebody who may write settles what a person has settled, with the last round, as if people had decided often.
#[tokio::test]
async fn a_made_up_round_overrules_nobody() {
    let (_, b, hub) = edited_apart(1).await;
    manager(&b, &hub).sync().await.unwrap();
    let person = manager(&b, &hub);
    let decide = async |side: usize| {
        let top = person.replica().heads(&id("note-00000")).await.unwrap();
        let conflict = person.replica().settled_conflict(&id("note-00000"), &top[0]).await.unwrap();
        let kept = conflict.branches[side].stands_for.id.clone();
        let decision = person.replica().settle(&conflict, Answer::Keep(kept.clone()), "ann").await.unwrap();
        person.sync().await.unwrap();
        (decision, conflict.branches[1 - side].stands_for.dot.clone().unwrap(), kept)
    };
    let (decision, other, kept) = decide(0).await;
    let forged = |round, overrides| {
        let forged = Resolution { round, overrides, ..Resolution::read(&decision).unwrap() };
        let forged = Resolution { decision: Decision::Keep(Kept::Side(other.clone())), ..forged };
        forged.into_event(decision.aggregate_id.clone(), decision.time).unwrap()
    };
    let before_last = Some("fffe0000-0000-8000-8000-000000000000".parse().unwrap());
    let events = vec![
        forged(u16::MAX, None),
        forged(u16::MAX, Some(decision.id.clone())),
        forged(u16::MAX, before_last),
    ];
    let caller = Caller { node: NodeId::new("eve").unwrap(), store: StoreId::from_bytes([9; 16]) };
    let push =
        PushRequest { caller, filter: "all".into(), events, from: None, upto: None, known: Vec::new() };
    let pushed = synckit::Endpoint::new(hub.clone()).push(push).await.unwrap();
    assert_eq!((pushed.accepted, pushed.refused.len()), (0, 3), "{pushed:?}");
    assert!(pushed.refused.iter().all(|refused| refused.code == RefusedCode::Invalid));
    assert_eq!(live(&hub, "note-00000").await.iter().map(|event| &event.id).collect::<Vec<_>>(), [&kept]);
    // The person can still decide otherwise.
    let (_, _, kept) = decide(1).await;
    assert_eq!(live(&hub, "note-00000").await.iter().map(|event| &event.id).collect::<Vec<_>>(), [&kept]);
}

#[tokio::test]
async fn leaving_a_conflict_is_no_decision() {
    let (_, b, hub) = edited_apart(1).await;
    let push = SyncManager::builder(
        Replica::builder(b.clone()).with_resolver(ManualReview).build(),
        synckit::Endpoint::new(hub.clone()),
    );
    let person = push.build();
    person.sync().await.unwrap();
    let conflict = conflict_of(&b, "note-00000").await;
    let before = length(&b).await;
    assert_eq!(
        person.replica().settle(&conflict, Answer::Review, "ann").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let large = edit("note-00000", &format!("\"{}\"", "x".repeat(300_000)));
    let error = person.replica().settle(&conflict, Answer::Merge(large), "ann").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(length(&b).await, before);
}

#[tokio::test]
async fn recording_can_be_refused_in_conflict_or_when_the_aggregate_has_moved_on() {
    let (a, hub) = (store("a"), store("hub"));
    let person = manager(&a, &hub);
    let note = id("note");
    let seen = person.replica().heads(&note).await.unwrap();
    assert!(seen.is_empty());
    let first = vec![Expect::Heads(note.clone(), seen.clone()), Expect::Settled(note.clone())];
    person.replica().record_if([edit("note", "1")], first).await.unwrap();

    let event = edit("note", "2").with_id("mine".parse().unwrap());
    let error = person
        .replica()
        .record_if([event.clone()], vec![Expect::Heads(note.clone(), seen)])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let head = person.replica().heads(&note).await.unwrap();
    assert!(error.to_string().contains(head[0].as_str()), "{error}");
    assert_eq!(length(&a).await, 1, "nothing was recorded");
    let expect = vec![Expect::Heads(note.clone(), head)];
    person.replica().record_if([event.clone()], expect.clone()).await.unwrap();
    let again = person.replica().record_if([event], expect).await.unwrap();
    assert_eq!(again.duplicates.len(), 1, "a repetition changes nothing, whatever has come meanwhile");

    let b = store("b");
    let other = SyncManager::builder(
        Replica::builder(b.clone()).with_resolver(ManualReview).build(),
        synckit::Endpoint::new(a.clone()),
    )
    .build();
    other.replica().record([edit("note", "3")]).await.unwrap();
    other.sync().await.unwrap();
    let error = other
        .replica()
        .record_if([edit("note", "4")], vec![Expect::Settled(note.clone())])
        .await
        .unwrap_err();
    assert!(error.message().contains("in conflict") && error.to_string().contains("of 2"), "{error}");
    assert_eq!(b.not_held(vec!["mine".parse().unwrap()]).await.unwrap(), []);
    other.replica().record([edit("note", "5")]).await.unwrap();
    other.replica().record_if([edit("note", "6")], vec![Expect::Settled(note)]).await.unwrap();
}
