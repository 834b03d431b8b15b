//! Links that break, damage or delay what passes.

use synckit::EventStore;
use synckit_remote::{ClientConfig, Timeouts};

use super::Wire;
use super::front::{Front, Verdict};
use super::hub::{Hub, builder, manager, notes, record, store};
use super::link::{Harm, Link};
use crate::rng::Rng;

const EVENTS: usize = 10_000;

/// Moves the events in both directions over a link, with as many syncs as it takes, and returns the bytes that passed.
async fn moved<W: Wire>(harm: Harm) -> (u64, u64) {
    let hub = Hub::start::<W>().await;
    let (a, b) = (store("a"), store("b"));
    let link = Link::start::<W>(hub.address, harm).await;
    let from = manager::<W>(&a, link.url());
    record(from.replica(), EVENTS).await;
    synced(&from).await;
    let pushed = link.bytes();
    synced(&manager::<W>(&b, link.url())).await;
    for store in [&a, &b] {
        assert_eq!(store.head().await.unwrap().position, EVENTS as u64);
        hub.agrees_with(store).await;
    }
    (pushed, link.bytes() - pushed)
}

/// Syncs until it succeeds.
async fn synced<S: EventStore, T: synckit::Transport>(manager: &synckit::SyncManager<S, T>) {
    for _ in 0..50 {
        if manager.sync().await.is_ok() {
            return;
        }
    }
    manager.sync().await.expect("it makes no progress");
}

/// A link that cuts every connection after 20 KB moves 10,000 events, in at most three times the bytes of a good one.
pub async fn a_link_that_cuts_every_connection_after_20_kb_moves_everything<W: Wire>() {
    let good = moved::<W>(Harm::None).await;
    let bad = moved::<W>(Harm::Cut(20_000)).await;
    assert!(bad.0 <= 3 * good.0, "pushed: {} bytes, {} over a good link", bad.0, good.0);
    assert!(bad.1 <= 3 * good.1, "pulled: {} bytes, {} over a good link", bad.1, good.1);
}

/// A proxy with a limit on bodies gets each byte at most twice, and what was learned is kept for the next sync.
pub async fn a_limit_on_bodies_costs_each_byte_at_most_twice<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let (good, bad) = (store("good"), store("bad"));
    let from = manager::<W>(&good, front.url());
    record(from.replica(), 5_000).await;
    from.sync().await.unwrap();
    let once = front.bytes();
    front.rule(|_, body| if body.len() > 20_000 { Verdict::Answer(413) } else { Verdict::Pass });
    let manager = manager::<W>(&bad, front.url());
    manager.pull().await.unwrap();
    front.bytes();
    record(manager.replica(), 5_000).await;
    manager.sync().await.unwrap();
    let twice = front.bytes();
    assert!(twice <= 2 * once, "{twice} bytes, {once} without a limit");
    // Another process starts with what was learned.
    let again = builder::<W>(&bad, ClientConfig::new(front.url())).build();
    again.replica().record(notes(5_000..6_000)).await.unwrap();
    front.bytes();
    again.sync().await.unwrap();
    assert!(front.bytes() < once / 3, "the first batch is small enough");
    hub.agrees_with(&bad).await;
}

/// Wherever one bit flips, the replicas are equal after the next sync, and nothing was set aside.
pub async fn a_flipped_bit_never_leads_to_replicas_that_differ<W: Wire>() {
    let seed = std::env::var("SYNCKIT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut rng = Rng::new(seed);
    for run in 0..60 {
        let hub = Hub::start::<W>().await;
        let (a, b) = (store("a"), store("b"));
        let clean = Link::start::<W>(hub.address, Harm::None).await;
        let from = manager::<W>(&a, clean.url());
        from.replica().record(notes(0..30)).await.unwrap();
        from.sync().await.unwrap();
        // What a whole sync of the other replica takes, each way.
        let probe = store("b");
        let link = Link::start::<W>(hub.address, Harm::None).await;
        manager::<W>(&probe, link.url()).pull().await.unwrap();
        let (there, back) = link.each_way();
        let flip_back = run % 2 == 0;
        let bits = 8 * if flip_back { back } else { there + 2_000 };
        let bit = rng.below(bits as usize) as u64;
        let harm = Harm::Flip { bit, back: flip_back };
        let link = Link::start::<W>(hub.address, harm).await;
        let timeouts = Timeouts { connect_ms: 1_000, idle_ms: 1_000, ..Timeouts::default() };
        let other = builder::<W>(&b, ClientConfig::new(link.url()).with_timeouts(timeouts)).build();
        other.replica().record(notes(100..115)).await.unwrap();
        synced(&other).await;
        synced(&other).await;
        from.sync().await.unwrap();
        other.sync().await.unwrap();
        hub.agrees_with(&a).await;
        hub.agrees_with(&b).await;
        assert_eq!(hub.store.head().await.unwrap().position, 45, "{harm:?}");
        for manager in [&from, &other] {
            assert!(manager.replica().refused().await.unwrap().is_empty(), "{harm:?}");
        }
    }
}

/// A link so slow that pings time out behind a large message moves everything in small ones.
pub async fn a_link_too_slow_for_pings_moves_everything<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let link = Link::start::<W>(hub.address, Harm::Slow(2_000)).await;
    let here = store("a");
    let timeouts = Timeouts {
        keep_alive_ms: 300,
        keep_alive_timeout_ms: 600,
        idle_ms: 1_500,
        request_ms: 2_000,
        ..Timeouts::default()
    };
    let manager = builder::<W>(&here, ClientConfig::new(link.url()).with_timeouts(timeouts)).build();
    manager.replica().record(notes(0..1_000)).await.unwrap();
    synced(&manager).await;
    hub.agrees_with(&here).await;
}

/// A sync with a time limit makes progress over a slow link, because its pages fit into the time that is left.
pub async fn a_sync_with_little_time_makes_progress_on_a_slow_link<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let from = manager::<W>(&store("a"), Link::start::<W>(hub.address, Harm::None).await.url());
    from.replica().record(notes(0..1_000)).await.unwrap();
    from.sync().await.unwrap();
    let link = Link::start::<W>(hub.address, Harm::Slow(3_000)).await;
    let here = store("b");
    for _ in 0..60 {
        // Each is another process: only the store remembers.
        let limit = std::time::Duration::from_millis(1_500);
        let manager = builder::<W>(&here, ClientConfig::new(link.url())).with_sync_timeout(limit).build();
        if manager.sync().await.is_ok() {
            break;
        }
    }
    hub.agrees_with(&here).await;
}
