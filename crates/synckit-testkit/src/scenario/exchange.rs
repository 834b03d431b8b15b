//! Replicas that recorded offline sync with a hub.

use super::ground::{assert_agree, record_notes, settle, sync_all};
use super::world::{Hub, Log};
use super::{Cell, Ended, ScenarioResult};
use crate::check::Created;

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    two_replicas_agree_after_two_syncs_each(cell).await?;
    unequal_replicas_and_a_hub_with_events(cell).await?;
    two_syncs_at_once_queue_up(cell).await
}

async fn two_replicas_agree_after_two_syncs_each(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (to_a, to_b) = (hub.manager(&a).await?, hub.manager(&b).await?);
    record_notes(&to_a, "from a", 100, 10, &mut created).await?;
    record_notes(&to_b, "from b", 100, 10, &mut created).await?;
    sync_all(&[&to_a, &to_b], 2).await?;
    assert_agree(&[&hub.log, &a, &b], &created).await;
    Ok(Ended::Well)
}

async fn unequal_replicas_and_a_hub_with_events(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let elsewhere = Log::make(&cell.replica, "elsewhere").await?;
    let other = hub.manager(&elsewhere).await?;
    record_notes(&other, "from elsewhere", 50, 7, &mut created).await?;
    other.sync().await?;

    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (to_a, to_b) = (hub.manager(&a).await?, hub.manager(&b).await?);
    record_notes(&to_a, "from a", 100, 10, &mut created).await?;
    record_notes(&to_b, "from b", 150, 10, &mut created).await?;
    for round in 0..3 {
        to_a.sync().await?;
        record_notes(&to_a, &format!("a in round {round}"), 10, 4, &mut created).await?;
        to_b.sync().await?;
        record_notes(&to_b, &format!("b in round {round}"), 5, 4, &mut created).await?;
    }
    sync_all(&[&to_a, &to_b], 2).await?;
    settle(&[&to_a, &to_b, &other]).await?;
    assert_agree(&[&hub.log, &a, &b, &elsewhere], &created).await;
    Ok(Ended::Well)
}

async fn two_syncs_at_once_queue_up(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let a = Log::make(&cell.replica, "a").await?;
    let manager = hub.manager(&a).await?;
    record_notes(&manager, "from a", 100, 10, &mut created).await?;
    let (one, two) = tokio::join!(manager.sync(), manager.sync());
    let pushed = [one?.pushed, two?.pushed];
    assert_eq!(pushed.iter().sum::<usize>(), 100);
    assert!(pushed.contains(&0), "the second had nothing left to do: {pushed:?}");
    Ok(Ended::Well)
}
