//! Misbehaving resolvers affect their own conflict and nothing else.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synckit::{
    Conflict, ConflictResolver, LastWriteWins, NewEvent, Replica, SyncManager,
    conflict::{Answer, Closure, SharedResolver},
};

use super::{edited_apart, manager, store};

/// Creates a resolver that does not return for these aggregates until the sender is dropped.
fn hanging(on: &'static [&'static str]) -> (SharedResolver, Sender<()>) {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let resolver = Closure::new("hanging", move |conflict: &Conflict| {
        if on.is_empty() || on.contains(&conflict.aggregate_id.as_str()) {
            // The release is an error: nothing is ever sent.
            released.lock().unwrap().recv().unwrap_err();
        }
        LastWriteWins.resolve(conflict)
    });
    (SharedResolver::new(resolver), release)
}

#[tokio::test]
async fn a_resolver_that_takes_for_ever_costs_its_conflict_and_nothing_else() {
    let (_, b, hub) = edited_apart(5).await;
    let (resolver, release) = hanging(&["note-00002"]);
    let impatient = SyncManager::builder(
        Replica::builder(b.clone())
            .with_resolver(resolver)
            .with_resolver_timeout(Duration::from_secs(1))
            .build(),
        synckit::Endpoint::new(hub.clone()),
    )
    .build();
    let report = impatient.sync().await.unwrap();
    let conflicts = &report.conflicts;
    assert_eq!((conflicts.found, conflicts.settled, conflicts.left, conflicts.failed), (5, 4, 1, 1));
    assert_eq!(conflicts.open[0].aggregate.as_str(), "note-00002");
    assert!(conflicts.open[0].reason.as_ref().unwrap().contains("took too long"), "{conflicts:?}");
    let listed = impatient.replica().conflicts().await.unwrap();
    assert_eq!(listed.iter().map(|open| open.aggregate.as_str()).collect::<Vec<_>>(), ["note-00002"]);
    drop(release);
    assert_eq!(manager(&b, &hub).sync().await.unwrap().conflicts.settled, 1);
}

#[tokio::test]
async fn threads_that_never_end_do_not_pile_up() {
    let (_, b, hub) = edited_apart(40).await;
    let (resolver, release) = hanging(&[]);
    let impatient = SyncManager::builder(
        Replica::builder(b.clone())
            .with_resolver(resolver)
            .with_resolver_timeout(Duration::from_millis(20))
            .build(),
        synckit::Endpoint::new(hub.clone()),
    )
    .build();
    let report = impatient.sync().await.unwrap();
    let reasons = |words: &str| {
        let open = report.conflicts.open.iter();
        open.filter(|left| left.reason.as_ref().is_some_and(|reason| reason.contains(words))).count()
    };
    assert_eq!((reasons("took too long"), reasons("have never ended")), (4, 36));
    assert_eq!(report.pushed, 40, "the rest of the sync goes on");
    drop(release);
    // Once the threads have ended, the resolver is called again.
    let mut settled = 0;
    for _ in 0..1_000 {
        settled += impatient.sync().await.unwrap().conflicts.settled;
        if settled == 40 {
            return;
        }
    }
    panic!("{settled} of 40 settled after the threads were released");
}

#[tokio::test]
async fn what_a_resolver_may_not_answer_is_an_error_on_that_conflict() {
    let (_, b, hub) = edited_apart(4).await;
    let resolver = Closure::new("odd", |conflict: &Conflict| match conflict.aggregate_id.as_str() {
        "note-00000" => NewEvent::new("Edited", "elsewhere", &1).map(Answer::Merge),
        "note-00001" => Ok(Answer::Keep("no-such-event".parse()?)),
        "note-00002" => NewEvent::new("Edited", "note-00002", &"large ".repeat(100_000)).map(Answer::Merge),
        _ => Ok(Answer::KeepAll),
    });
    let odd = SyncManager::builder(
        Replica::builder(b.clone()).with_resolver(resolver).build(),
        synckit::Endpoint::new(hub.clone()),
    )
    .build();
    let report = odd.sync().await.unwrap();
    assert_eq!((report.conflicts.settled, report.conflicts.failed), (1, 3), "{:?}", report.conflicts);
    let reasons: Vec<String> =
        report.conflicts.open.iter().map(|left| left.reason.clone().unwrap_or_default()).collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("another aggregate") || reason.contains("elsewhere"))
    );
    assert!(reasons.iter().any(|reason| reason.contains("no-such-event")));
    assert!(reasons.iter().any(|reason| reason.contains("too_large")), "{reasons:?}");
    assert_eq!(odd.replica().conflicts().await.unwrap().len(), 3);
    assert_eq!(manager(&b, &hub).sync().await.unwrap().conflicts.settled, 3);
    super::agree(&[&b, &store("c")], &hub).await;
}
