//! What one new event costs after a long history.

use synckit::Digest;

use super::ground::{assert_cheap, note, record_notes};
use super::world::{Hub, Log};
use super::{Cell, Ended, ScenarioResult};
use crate::Failure;
use crate::check::Created;

/// The number of bytes by which longer counters, positions and times may change a message.
const DIGITS: u64 = 32;

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    let (short, long) = (after(cell, 500).await?, after(cell, 5_000).await?);
    for (short, long) in short.iter().zip(&long) {
        assert_eq!(short.requests, long.requests, "P7: after 500 and after 5,000 events");
        let grown = long.sent.abs_diff(short.sent).max(long.received.abs_diff(short.received));
        assert!(grown <= DIGITS, "P7: {short:?} after 500 events, {long:?} after 5,000");
    }
    Ok(Ended::Well)
}

/// The cost of a sync.
#[derive(Debug)]
struct Price {
    requests: u64,
    sent: u64,
    received: u64,
}

/// Returns the cost of pushing one event, of pulling it, and of finding nothing new, after this history.
async fn after(cell: &Cell, history: usize) -> Result<Vec<Price>, Failure> {
    let hub = Hub::start(cell).await?;
    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (to_a, to_b) = (hub.manager(&a).await?, hub.manager(&b).await?);
    record_notes(&to_a, "history", history, 500, &mut Created::new()).await?;
    let (pushed, pulled) = (to_a.sync().await?.pushed, to_b.sync().await?.pulled);
    assert_eq!((pushed, pulled), (history, history));

    to_a.replica().record([note("one more", 1)]).await?;
    let sent = to_a.sync().await?;
    let got = to_b.sync().await?;
    assert_eq!((sent.pushed, got.pulled), (1, 1));
    let idle = to_a.sync().await?;
    assert_eq!(Digest::of(&a.store).await?, Digest::of(&b.store).await?);
    let reports = [sent, got, idle];
    reports.iter().for_each(assert_cheap);
    let price = |report: &synckit::SyncReport| Price {
        requests: report.round_trips,
        sent: report.bytes_sent,
        received: report.bytes_received,
    };
    Ok(reports.iter().map(price).collect())
}
