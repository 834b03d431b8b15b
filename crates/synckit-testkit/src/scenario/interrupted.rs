//! Repeated pushes, lost answers, and crashes of either side in the middle of a sync.

use synckit::{RetryPolicy, SyncManager};
use synckit_core::{Caller, EventStore, Filter, PushRequest, Transport};

use super::ground::{assert_agree, holds, record_notes, settle};
use super::world::{Hub, Log};
use super::{Cell, Ended, ScenarioResult};
use crate::check::{self, Created};
use crate::fault::{Call, Fault, FaultPlan, FaultyStore, FaultyTransport};
use crate::rng::Rng;
use crate::samples::node;

/// The number of syncs that are broken off.
const BROKEN: usize = 12;

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    the_same_push_twice(cell).await?;
    a_lost_answer(cell).await?;
    crashes_in_the_middle(cell).await
}

async fn the_same_push_twice(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let a = Log::make(&cell.replica, "a").await?;
    let events = record_notes(&hub.manager(&a).await?, "from a", 50, 5, &mut created).await?;
    let caller = Caller { node: node("a"), store: a.store.head().await?.store };
    let request = PushRequest {
        caller,
        filter: Filter::new().fingerprint(),
        events,
        from: None,
        upto: None,
        known: Vec::new(),
    };
    let transport = hub.connect().await?;
    let first = transport.push(request.clone()).await?;
    let second = transport.push(request).await?;
    assert_eq!((first.accepted, first.duplicates), (50, 0));
    assert_eq!((second.accepted, second.duplicates), (0, 50));
    assert_agree(&[&hub.log, &a], &created).await;
    Ok(Ended::Well)
}

async fn a_lost_answer(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let a = Log::make(&cell.replica, "a").await?;
    let plan = FaultPlan::new();
    plan.nth(Call::Push, 1, Fault::LOSE_ANSWER);
    let faulty = FaultyTransport::new(hub.connect().await?, plan);
    let manager = SyncManager::builder(a.store.clone(), faulty).with_retry(RetryPolicy::never()).build();
    record_notes(&manager, "from a", 50, 5, &mut created).await?;
    let failed = manager.sync().await.expect_err("the answer was lost");
    assert!(failed.is_retryable(), "{failed}");
    assert_eq!(hub.log.store.head().await?.position, 50, "the hub had committed");
    let next = manager.sync().await?;
    assert_eq!((next.pushed, next.duplicates), (0, 0), "the hub had it on record: {next:?}");
    assert_agree(&[&hub.log, &a], &created).await;
    Ok(Ended::Well)
}

/// The point where a sync breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Replica,
    Hub,
    Wire,
}

async fn crashes_in_the_middle(cell: &Cell) -> ScenarioResult {
    let (mut rng, mut hub, mut created) = (Rng::new(cell.seed), Hub::start(cell).await?, Created::new());
    let mut replicas = [Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?];
    let mut broken = 0;
    for attempt in 0..10 * BROKEN {
        if broken == BROKEN {
            break;
        }
        let replica = &mut replicas[attempt % 2];
        let before = format!("{} before attempt {attempt}", replica.name);
        record_notes(&hub.manager(replica).await?, &before, 12, 5, &mut created).await?;

        let at = [At::Replica, At::Hub, At::Wire][rng.below(3)];
        let (store, wire) = (FaultPlan::new(), FaultPlan::new());
        let after = rng.chance(50);
        let crash = if after { Fault::CrashAfter } else { Fault::Crash };
        match at {
            At::Replica => store.nth_of_all(1 + rng.below(10) as u64, crash),
            At::Hub => hub.plan.nth_of_all(1 + rng.below(10) as u64, crash),
            At::Wire => wire.nth_of_all(1 + rng.below(6) as u64, crash),
        }
        let manager = SyncManager::builder(
            FaultyStore::new(replica.store.clone(), store),
            FaultyTransport::new(hub.connect().await?, wire),
        )
        .with_retry(RetryPolicy::never())
        .with_batch_size(4)
        .build();
        let result = manager.sync().await;
        drop(manager);
        hub.plan.heal();
        broken += usize::from(result.is_err());
        match at {
            At::Replica => replica.reopen().await?,
            At::Hub => hub.restart().await?,
            At::Wire => {}
        }
        holds(check::honest(replica.name.as_str(), &replica.store, &hub.log.store, &Filter::new()).await);
    }
    assert_eq!(broken, BROKEN, "too few syncs were broken off");
    let [a, b] = &replicas;
    settle(&[&hub.manager(a).await?, &hub.manager(b).await?]).await?;
    assert_agree(&[&hub.log, a, b], &created).await;
    Ok(Ended::Well)
}
