//! A way that does one kind of harm for a while, and then heals: nothing is lost, nothing is set aside, all are equal.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use synckit::stay::Live;
use synckit::{EventStore, NewEvent, SyncError, SyncManager, SyncReport, store::Query};
use synckit_memory::MemoryStore;
use synckit_remote::{ClientConfig, Timeouts};

use super::Wire;
use super::front::{Front, Verdict};
use super::hub::{Hub, Manager, builder, store};
use super::link::{Harm, Link};
use crate::rng::Rng;

/// The number of kinds of harm.
pub const KINDS: u64 = 24;

/// The seeds of a run, if `SYNCKIT_SEEDS` names no other number.
const SEEDS: u64 = 250;

/// How often each replica syncs while there is harm.
const ROUNDS: usize = 6;

/// Statuses by which proxies refuse requests.
const REFUSALS: [u16; 18] =
    [400, 401, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 421, 426, 429, 451];

/// How messages are packed, in HTTP and in gRPC.
const ENCODINGS: [HeaderName; 2] = [CONTENT_ENCODING, HeaderName::from_static("grpc-encoding")];

/// Three replicas sync with a hub, each time with new events and conflicts, or are live and record all the time, over a
/// way that does harm; then it heals.
/// `SYNCKIT_SEEDS` runs this number of seeds, `SYNCKIT_SEED` runs one.
pub async fn every_seed_of_harm_loses_nothing<W: Wire>() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (first, seeds) = match number("SYNCKIT_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("SYNCKIT_SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    // Much of the time of a seed is spent on waiting for what does not come.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds)
                {
                    super::run(harm_of_seed::<W>(seed));
                }
            });
        }
    });
}

/// Runs one seed.
///
/// # Panics
/// If a promise does not hold, with the seed.
async fn harm_of_seed<W: Wire>(seed: u64) {
    let mut rng = Rng::new(seed);
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let link = Link::start::<W>(front.address(), Harm::None).await;
    let stores = ["a", "b", "c"].map(store);
    // Every second turn through all kinds, the replicas are live.
    let is_live = seed / KINDS % 2 == 1;
    let managers = stores.each_ref().map(|store| quick::<W>(store, &link, is_live));
    let lives: Vec<Live> =
        managers.iter().filter(|_| is_live).map(|manager| manager.live().unwrap()).collect();
    let start = rng.below(ROUNDS / 2);
    let mut recorded = 0;
    for round in 0..ROUNDS {
        if round == start {
            begin(seed, &mut rng, &link, &front);
        }
        for (name, manager) in managers.iter().enumerate() {
            let count = 1 + rng.below(40);
            let events = (0..count).map(|number| edit(name, recorded + number));
            manager.replica().record(events).await.unwrap();
            recorded += count;
        }
        if is_live {
            tokio::time::sleep(Duration::from_millis(150)).await;
            continue;
        }
        let [a, b, c] = managers.each_ref().map(SyncManager::sync);
        let (a, b, c) = tokio::join!(a, b, c);
        [a, b, c].into_iter().for_each(|result| nothing_is_refused(seed, result));
    }
    link.set(Harm::None);
    front.heal();
    for live in lives {
        live.nudge();
        let status = live.synced_within(Duration::from_secs(30)).await;
        let status = status.unwrap_or_else(|error| panic!("seed {seed}: it does not heal: {error}"));
        assert_eq!((status.kept_back, status.refused_here), (0, 0), "seed {seed}: {status:?}");
        live.stop().await;
    }
    for _ in 0..2 {
        for manager in &managers {
            until_synced::<W>(seed, manager).await;
        }
    }
    for (store, manager) in stores.iter().zip(&managers) {
        hub.agrees_with(store).await;
        assert!(manager.replica().refused().await.unwrap().is_empty(), "seed {seed}");
        let report = manager.sync().await.unwrap();
        assert_eq!(
            (report.pulled, report.pushed, report.held_back_count),
            (0, 0, 0),
            "seed {seed}: {report:?}"
        );
    }
    let held = Query::after(0).at_most(usize::MAX, usize::MAX);
    let events = hub.store.read(held).await.unwrap().events;
    let plain = events.iter().filter(|stored| stored.event.dot.is_some()).count();
    assert_eq!(plain, recorded, "seed {seed}: nothing is lost, and nothing is there twice");
}

/// Makes a manager that gives up soon.
fn quick<W: Wire>(store: &MemoryStore, link: &Link, is_live: bool) -> Manager<W> {
    let timeouts = Timeouts {
        connect_ms: 150,
        // A subscription is idle between two heartbeats.
        idle_ms: if is_live { 6_000 } else { 150 },
        request_ms: 300,
        keep_alive_ms: 100,
        keep_alive_timeout_ms: 100,
    };
    builder::<W>(store, ClientConfig::new(link.url()).with_timeouts(timeouts))
        .with_call_timeout(Duration::from_millis(300))
        .build()
}

/// Returns an edit of one of a few notes, so that replicas are often in conflict.
fn edit(by: usize, number: usize) -> NewEvent {
    let text = format!("edit {number} by {by}: {}", "some words ".repeat(number % 40));
    NewEvent::new("NoteEdited", format!("note-{}", number % 7), &*text).unwrap()
}

fn nothing_is_refused(seed: u64, result: Result<SyncReport, SyncError>) {
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            assert!(error.error.is_in_transit() || error.error.is_retryable(), "seed {seed}: {error}");
            *error.report
        }
    };
    assert_eq!(report.refused_count, 0, "seed {seed}: {report:?}");
}

async fn until_synced<W: Wire>(seed: u64, manager: &Manager<W>) {
    for _ in 0..10 {
        if manager.sync().await.is_ok() {
            return;
        }
    }
    let failed = manager.sync().await.expect_err("it has failed ten times");
    panic!("seed {seed}: it does not heal: {failed}");
}

/// Begins the harm of a seed.
fn begin(seed: u64, rng: &mut Rng, link: &Link, front: &Front) {
    let bytes = rng.below(30_000) as u64;
    match seed % KINDS {
        0 => link.set(Harm::Cut(bytes)),
        1 => link.set(Harm::Stall(bytes)),
        2 => link.set(Harm::Reset(bytes)),
        3 => link.set(Harm::Slow(200 + rng.below(3_000))),
        4 => link.set(Harm::Flip { bit: 8 * bytes, back: rng.chance(50) }),
        5 => link.set(Harm::WrongLength),
        6 => link.set(Harm::Cut(0)),
        7 => link.set(Harm::Stall(0)),
        _ => {
            let (always, rng) = (rng.chance(40), Mutex::new(Rng::new(rng.next())));
            front.rule(move |parts, _| {
                let mut rng = rng.lock().unwrap();
                match always || rng.chance(40) {
                    true => verdict(seed % KINDS, &mut rng, &mut parts.headers),
                    false => Verdict::Pass,
                }
            });
        }
    }
}

/// Returns what a proxy does with a request.
fn verdict(kind: u64, rng: &mut Rng, headers: &mut HeaderMap) -> Verdict {
    match kind {
        8 => Verdict::Answer(REFUSALS[rng.below(REFUSALS.len())]),
        9 => Verdict::Answer(500 + rng.below(12) as u16),
        10 => Verdict::Answer(200),
        11 => Verdict::Answer(204),
        12 => Verdict::Answer([301, 302, 303, 307, 308][rng.below(5)]),
        13 => Verdict::Twice,
        14 => Verdict::Late,
        15 => Verdict::LoseAnswer,
        16 => Verdict::Swap,
        17 => Verdict::Truncate,
        18 => Verdict::Alter(strip),
        19 => Verdict::Alter(claim),
        20 => Verdict::Alter(HeaderMap::clear),
        21 => {
            strip(headers);
            Verdict::Pass
        }
        22 => {
            claim(headers);
            Verdict::Pass
        }
        _ => {
            headers.remove(ACCEPT_ENCODING);
            [Verdict::Twice, Verdict::LoseAnswer, Verdict::Swap, Verdict::Answer(503)][rng.below(4)].clone()
        }
    }
}

/// Removes what says how a body is packed.
fn strip(headers: &mut HeaderMap) {
    ENCODINGS.iter().for_each(|name| drop(headers.remove(name)));
}

/// Says of every body that it is packed.
fn claim(headers: &mut HeaderMap) {
    let name = match headers.get("content-type").is_some_and(|value| value.as_bytes().ends_with(b"grpc")) {
        true => ENCODINGS[1].clone(),
        false => CONTENT_ENCODING,
    };
    headers.insert(name, HeaderValue::from_static("gzip"));
}
