//! A way that does one kind of harm for a while, and then heals: nothing is lost, nothing is set aside, all are equal.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use synckit::{Digest, EventStore, NewEvent, SyncError, SyncReport, store::Query};
use synckit_memory::MemoryStore;
use tokio::time::Instant;

use super::Wire;
use super::front::{Front, Verdict};
use super::hub::{Hub, manager, store};
use super::link::{Harm, Link};
use crate::rng::Rng;

/// The number of kinds of harm.
pub const KINDS: u64 = 24;

/// The seeds of a run, if `SYNCKIT_SEEDS` names no other number.
const SEEDS: u64 = 250;

/// How long the harm lasts.
const LASTS: Duration = Duration::from_mins(10);

/// The longest pause between two steps.
const PAUSE_MS: usize = 20_000;

/// The longest that it takes until all agree after the way is good again: a call that is under way is given up, and the
/// wait before the next try ends.
const SOON: Duration = Duration::from_mins(2);

/// Statuses by which proxies refuse requests.
const REFUSALS: [u16; 18] =
    [400, 401, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 421, 426, 429, 451];

/// How messages are packed, in HTTP and in gRPC.
const ENCODINGS: [HeaderName; 2] = [CONTENT_ENCODING, HeaderName::from_static("grpc-encoding")];

/// Three replicas are live with a hub and record now and then, also in conflict, over a way that does one kind of harm for
/// ten minutes; then it heals. Time is paused: it passes when nothing is under way on any socket.
/// `SYNCKIT_SEEDS` runs this number of seeds, `SYNCKIT_SEED` runs one.
pub async fn every_seed_of_harm_loses_nothing<W: Wire>() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (first, seeds) = match number("SYNCKIT_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("SYNCKIT_SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
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
    tokio::time::pause();
    let mut rng = Rng::new(seed);
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let link = Link::start::<W>(front.address(), Harm::None).await;
    let stores = ["a", "b", "c"].map(store);
    let manager = |store| manager::<W>(store, link.url());
    let managers = stores.each_ref().map(manager);
    let lives = managers.each_ref().map(|manager| manager.live().unwrap());
    let mut recorded = 0;
    let mut record = async |at: usize, count: usize| {
        let events = (0..count).map(|number| edit(at, recorded + number));
        managers[at].replica().record(events).await.unwrap();
        recorded += count;
    };
    for at in 0..managers.len() {
        record(at, rng.below(40)).await;
    }
    tokio::time::sleep(Duration::from_millis(rng.below(PAUSE_MS) as u64)).await;
    begin(seed, &mut rng, &link, &front);
    let end = Instant::now() + LASTS;
    while Instant::now() < end {
        let at = rng.below(managers.len());
        record(at, rng.below(40)).await;
        if rng.chance(20) {
            // A sync by hand beside the one that is live.
            nothing_is_refused(seed, managers[at].sync().await);
        }
        tokio::time::sleep(Duration::from_millis(rng.below(PAUSE_MS) as u64)).await;
    }
    link.set(Harm::None);
    front.heal();
    let healed = Instant::now();
    while !all_agree(&hub, &stores).await {
        assert!(healed.elapsed() < SOON, "seed {seed}: they do not agree after {:?}", healed.elapsed());
        for live in &lives {
            let status = live.synced_within(SOON).await;
            let status = status.unwrap_or_else(|error| panic!("seed {seed}: it does not heal: {error}"));
            assert_eq!((status.kept_back, status.refused_here), (0, 0), "seed {seed}: {status:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for live in lives {
        live.stop().await;
    }
    for manager in &managers {
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

async fn all_agree(hub: &Hub, stores: &[MemoryStore]) -> bool {
    let expected = Digest::of(&hub.store).await.unwrap();
    for store in stores {
        if Digest::of(store).await.unwrap() != expected {
            return false;
        }
    }
    true
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
