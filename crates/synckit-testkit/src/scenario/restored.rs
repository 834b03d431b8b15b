//! A hub and replicas that come back from older copies.

use super::ground::{assert_agree, assert_cheap, record_notes, recorded, settle};
use super::world::{Backup, Hub, Log};
use super::{Cell, Ended, ScenarioResult};
use crate::check::Created;
use synckit_core::Renewal;

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    a_wiped_hub(cell).await?;
    for story in [a_restored_hub(cell).await?, a_restored_replica(cell).await?] {
        if story != Ended::Well {
            return Ok(story);
        }
    }
    a_restored_replica_that_recorded_nothing(cell).await
}

fn no_backup(of: &str) -> Ended {
    Ended::Skipped(format!("the fixture of the {of}'s store makes no copies"))
}

async fn back_up_hub(hub: &mut Hub) -> Result<Option<Backup>, crate::Failure> {
    hub.stop().await?;
    let backup = hub.log.back_up().await?;
    hub.start_again().await?;
    Ok(backup)
}

async fn restore_hub(hub: &mut Hub, backup: Backup) -> Result<(), crate::Failure> {
    hub.stop().await?;
    hub.log.restore(backup).await?;
    hub.start_again().await?;
    Ok(())
}

async fn a_wiped_hub(cell: &Cell) -> ScenarioResult {
    let (mut hub, mut created) = (Hub::start(cell).await?, Created::new());
    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (to_a, to_b) = (hub.manager(&a).await?, hub.manager(&b).await?);
    record_notes(&to_a, "from a", 100, 10, &mut created).await?;
    record_notes(&to_b, "from b", 100, 10, &mut created).await?;
    settle(&[&to_a, &to_b]).await?;

    hub.stop().await?;
    hub.log = Log::make(&cell.hub, "hub").await?;
    hub.start_again().await?;
    assert_eq!(recorded(&hub.log).await, 0);
    // One replica is enough: it also gives back what came from the other.
    to_a.sync().await?;
    assert_agree(&[&hub.log, &a, &b], &created).await;
    Ok(Ended::Well)
}

async fn a_restored_hub(cell: &Cell) -> ScenarioResult {
    let (mut hub, mut created) = (Hub::start(cell).await?, Created::new());
    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (to_a, to_b) = (hub.manager(&a).await?, hub.manager(&b).await?);
    record_notes(&to_a, "before", 100, 10, &mut created).await?;
    settle(&[&to_a, &to_b]).await?;
    let Some(backup) = back_up_hub(&mut hub).await? else { return Ok(no_backup("hub")) };

    record_notes(&to_a, "a after", 50, 10, &mut created).await?;
    record_notes(&to_b, "b after", 70, 10, &mut created).await?;
    settle(&[&to_a, &to_b]).await?;
    restore_hub(&mut hub, backup).await?;
    assert_eq!(recorded(&hub.log).await, 100, "the hub was set back");

    let report = to_a.sync().await?;
    assert!(report.recovery.peer_was_reset, "{report:?}");
    to_b.sync().await?;
    assert_agree(&[&hub.log, &a, &b], &created).await;
    // The next sync offers nothing again.
    let after = to_a.sync().await?;
    assert!(!after.recovery.peer_was_reset, "{after:?}");
    assert_cheap(&after);
    Ok(Ended::Well)
}

async fn a_restored_replica(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let (mut a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let to_b = hub.manager(&b).await?;
    record_notes(&hub.manager(&a).await?, "before", 100, 10, &mut created).await?;
    settle(&[&hub.manager(&a).await?, &to_b]).await?;
    let Some(backup) = a.back_up().await? else { return Ok(no_backup("replica")) };

    record_notes(&hub.manager(&a).await?, "lost", 30, 10, &mut created).await?;
    settle(&[&hub.manager(&a).await?, &to_b]).await?;
    a.restore(backup).await?;

    // It does not know that it was set back, and continues: the dots a:101 to a:120 are used twice.
    let to_a = hub.manager(&a).await?;
    record_notes(&to_a, "since", 20, 10, &mut created).await?;
    let report = to_a.sync().await?;
    assert_eq!(report.recovery.renewed, Some(Renewal::SetBack), "{report:?}");
    assert_eq!(report.recovery.renumbered, 20, "{report:?}");
    let name = report.recovery.renamed_to.as_ref().expect("it has a fresh name");
    assert!(name.chosen() == "a" && name.as_str() != "a", "{name}");
    assert_eq!(report.refused_count, 0, "{report:?}");
    settle(&[&to_a, &to_b]).await?;
    assert_agree(&[&hub.log, &a, &b], &created).await;
    let next = to_a.sync().await?;
    assert_eq!(next.recovery.renewed, None, "{next:?}");
    assert_cheap(&next);
    Ok(Ended::Well)
}

async fn a_restored_replica_that_recorded_nothing(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let mut a = Log::make(&cell.replica, "a").await?;
    let Some(backup) = a.back_up().await? else { return Ok(no_backup("replica")) };
    let to_a = hub.manager(&a).await?;
    record_notes(&to_a, "lost", 30, 10, &mut created).await?;
    to_a.sync().await?;
    a.restore(backup).await?;

    let to_a = hub.manager(&a).await?;
    to_a.sync().await?;
    assert_agree(&[&hub.log, &a], &created).await;
    // New events get dots that nobody has used.
    record_notes(&to_a, "new", 5, 2, &mut created).await?;
    to_a.sync().await?;
    assert_agree(&[&hub.log, &a], &created).await;
    Ok(Ended::Well)
}
