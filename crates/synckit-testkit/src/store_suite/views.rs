//! Views over the store: whatever happens, they show the events that stand.

use synckit::conflict::{Answer, Closure, SharedResolver};
use synckit::{
    Conflict, Endpoint, FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, Replica,
    SyncManager,
};
use synckit_core::{AggregateId, EventStore, NewEvent, Result};
use synckit_memory::MemoryStore;

use super::open;
use crate::case::{CaseResult, random};
use crate::fault::{Fault, FaultPlan, FaultyStore};
use crate::fixture::StoreFixture;
use crate::rng::Rng;
use crate::samples::node;
use crate::views::{Trail, difference};

/// The number of steps with each resolver.
const STEPS: usize = 16;

/// After each of many random steps, a view shows the events that stand: recording here and elsewhere, syncs in which
/// resolvers of all kinds settle, decisions of people, a backup that is restored, and a process that dies at any call of
/// the store while the view catches up.
pub async fn a_view_shows_what_stands<F: StoreFixture>(fixture: &F) -> CaseResult {
    let mut rng = random();
    let peers = ["p", "q"].map(|name| MemoryStore::new(node(name)));
    let [p, q] = peers;
    let peers = [p?, q?];
    let store = open(fixture).await?;
    let store = steps(store, &peers, &mut rng, 0).await?;
    store.close().await?;
    let backup = fixture.copy().await?;
    let store = steps(open(fixture).await?, &peers, &mut rng, 1).await?;
    store.close().await?;
    if let Some(backup) = backup {
        // The peers hold what came after the backup was made.
        steps(open(&backup).await?, &peers, &mut rng, 2).await?;
    }
    Ok(())
}

/// Takes steps with each resolver, and looks at the view after each.
async fn steps<S: EventStore>(
    store: S,
    peers: &[MemoryStore; 2],
    rng: &mut Rng,
    part: usize,
) -> Result<FaultyStore<S>> {
    let plan = FaultPlan::new();
    let store = FaultyStore::new(store, plan.clone());
    for (round, resolver) in resolvers().into_iter().enumerate() {
        let of =
            |store: &MemoryStore| Replica::builder(store.clone()).with_resolver(resolver.clone()).build();
        let [p, q] = [of(&peers[0]), of(&peers[1])];
        let replica = Replica::builder(store.clone()).with_resolver(resolver.clone()).build();
        let view = replica.with_view(Trail { version: 1 })?;
        for step in 0..STEPS {
            let aggregate = AggregateId::new(format!("x-{part}-{round}-{}", rng.below(2)))?;
            match rng.below(12) {
                0..3 => record(&replica, &aggregate, rng).await?,
                3 | 4 => record(&p, &aggregate, rng).await?,
                5 | 6 => record(&q, &aggregate, rng).await?,
                7 => decide(&replica, &aggregate, rng).await?,
                8 => decide(&p, &aggregate, rng).await?,
                9 => sync(&replica, &p).await?,
                10 => sync(&q, &replica).await?,
                _ => sync(&p, &q).await?,
            }
            let fault = if rng.chance(50) { Fault::Crash } else { Fault::CrashAfter };
            plan.nth_of_all(1 + rng.below(12) as u64, fault);
            // It dies on the way, unless there is nothing to do.
            let died = view.catch_up(|_, _| {}).await.is_err();
            assert_eq!(died, plan.is_crashed());
            plan.heal();
            let differs = difference(&view).await?;
            assert_eq!(differs, None, "after step {step} of round {round} with {resolver:?}");
        }
    }
    Ok(store)
}

fn resolvers() -> [SharedResolver; 6] {
    let joins = |conflict: &Conflict| {
        let sides = conflict.branches.iter().flat_map(|branch| &branch.shows);
        let sides: Vec<&str> = sides.map(|event| event.id.as_str()).collect();
        NewEvent::new("Joined", &conflict.aggregate_id, &sides).map(Answer::Merge)
    };
    [
        SharedResolver::new(LastWriteWins),
        SharedResolver::new(FirstWriteWins),
        SharedResolver::new(KeepAll),
        SharedResolver::new(FieldMerge::new()),
        SharedResolver::new(Closure::new("joins", joins)),
        SharedResolver::new(ManualReview),
    ]
}

async fn record<S: EventStore>(replica: &Replica<S>, of: &AggregateId, rng: &mut Rng) -> Result<()> {
    let field = ["a", "b"][rng.below(2)];
    let events =
        (0..1 + rng.below(3)).map(|value| NewEvent::new("Edited", of, &serde_json::json!({field: value})));
    replica.record(events.collect::<Result<Vec<_>>>()?).await.map(drop)
}

/// Settles an open conflict as a person does, or decides a settled one differently.
async fn decide<S: EventStore>(replica: &Replica<S>, of: &AggregateId, rng: &mut Rng) -> Result<()> {
    let conflict = match replica.conflict(of).await? {
        Some(conflict) => conflict,
        None => {
            let Some(top) = replica.heads(of).await?.into_iter().next() else { return Ok(()) };
            // The head may be an event, and no decision.
            let Ok(conflict) = replica.settled_conflict(of, &top).await else { return Ok(()) };
            conflict
        }
    };
    let answer = match rng.below(conflict.branches.len() + 2) {
        0 => Answer::KeepAll,
        1 => Answer::Merge(NewEvent::new("Decided", of, "merged")?),
        side => Answer::Keep(conflict.branches[side - 2].stands_for.id.clone()),
    };
    replica.settle(&conflict, answer, "ann").await.map(drop)
}

async fn sync<S: EventStore, T: EventStore + Clone>(replica: &Replica<S>, peer: &Replica<T>) -> Result<()> {
    let manager = SyncManager::new(replica.clone(), Endpoint::new(peer.store().clone()));
    manager.sync().await.map(drop).map_err(|failed| failed.error)
}
