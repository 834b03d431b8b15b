//! What lies between a client and a server: proxies, firewalls and damaged rows. None of it judges an event.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, HeaderValue};
use synckit::transport::RefusedCode;
use synckit::{ErrorKind, EventStore, Limits, NewEvent};
use synckit_remote::{ClientConfig, ServerConfig};

use super::Wire;
use super::front::{Front, Verdict};
use super::hub::{Hub, builder, manager, notes, record, store};

/// How messages are packed, in HTTP and in gRPC.
const ENCODINGS: [HeaderName; 2] = [http::header::CONTENT_ENCODING, HeaderName::from_static("grpc-encoding")];

fn pushes(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with("/push")
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A proxy refuses every push: the queue stays, and everything arrives once it is repaired.
pub async fn a_proxy_that_refuses_pushes_loses_nothing<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let here = store("a");
    let manager = manager::<W>(&here, front.url());
    manager.sync().await.unwrap();
    let mut recorded = 0;
    for status in [400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 421, 422, 426, 428, 429, 431] {
        manager.replica().record(notes(recorded..recorded + 200)).await.unwrap();
        recorded += 200;
        front.rule(move |parts, _| match pushes(parts.uri.path()) {
            true => Verdict::Answer(status),
            false => Verdict::Pass,
        });
        front.requests();
        let failed = manager.sync().await.expect_err("nothing gets through");
        let text = failed.error.to_string();
        assert!(failed.error.is_in_transit(), "{text}");
        assert!(text.contains(&format!("status: {status}")) && text.contains("text/html"), "{text}");
        assert!(text.contains("Blocked by the gateway"), "{text}");
        assert!(front.requests() <= 24, "{status}");
        assert_eq!((failed.report.refused_count, failed.report.held_back_count), (0, 0), "{status}");
        assert!(manager.replica().refused().await.unwrap().is_empty());
        front.heal();
        let report = manager.sync().await.unwrap();
        // A few may have gone with the hello, which is not refused.
        let pushed = failed.report.pushed + report.pushed;
        assert_eq!((pushed, report.refused_count), (200, 0), "{status}");
    }
    hub.agrees_with(&here).await;
}

/// A proxy refuses everything: the error says who answered.
pub async fn a_proxy_that_refuses_everything_is_named<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let manager = manager::<W>(&store("a"), front.url());
    manager.replica().record(notes(0..5)).await.unwrap();
    for status in [200, 302, 400, 403, 451, 498, 500, 502, 503, 504, 511] {
        front.rule(move |_, _| Verdict::Answer(status));
        let failed = manager.sync().await.expect_err("nothing gets through");
        let text = failed.error.to_string();
        assert!(failed.error.is_in_transit() && text.contains(&format!("status: {status}")), "{text}");
        assert!(text.contains("Blocked by the gateway"), "{text}");
    }
    front.heal();
    assert_eq!(manager.sync().await.unwrap().pushed, 5);
}

/// A proxy removes the header that says how bodies are packed.
pub async fn a_proxy_that_strips_the_encoding_is_passed_unpacked<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    front.rule(|parts, _| {
        ENCODINGS.iter().for_each(|name| drop(parts.headers.remove(name)));
        Verdict::Pass
    });
    let here = store("a");
    let manager = manager::<W>(&here, front.url());
    for round in 0..2 {
        manager.replica().record(notes(round * 300..round * 300 + 300)).await.unwrap();
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.refused_count), (300, 0));
    }
    hub.agrees_with(&here).await;
}

/// A proxy does not take packed bodies.
pub async fn a_proxy_that_takes_no_packed_bodies_is_passed_unpacked<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    front.rule(|parts, _| match ENCODINGS.iter().any(|name| parts.headers.contains_key(name)) {
        true => Verdict::Answer(415),
        false => Verdict::Pass,
    });
    let here = store("a");
    let manager = manager::<W>(&here, front.url());
    manager.replica().record(notes(0..300)).await.unwrap();
    assert_eq!(manager.sync().await.unwrap().pushed, 300);
    hub.agrees_with(&here).await;
}

/// A bit flips in the header that says how a body is packed, so that the server does not know the encoding.
pub async fn a_damaged_encoding_header_costs_one_call<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let here = store("a");
    let manager = manager::<W>(&here, front.url());
    manager.sync().await.unwrap();
    manager.replica().record(notes(0..300)).await.unwrap();
    let flipped = AtomicBool::new(false);
    front.rule(move |parts, _| {
        for name in &ENCODINGS {
            if parts.headers.contains_key(name) && !flipped.swap(true, Ordering::Relaxed) {
                parts.headers.insert(name, HeaderValue::from_static("zsud"));
            }
        }
        Verdict::Pass
    });
    front.requests();
    let report = manager.sync().await.unwrap();
    assert_eq!((report.pushed, report.refused_count), (300, 0));
    assert_eq!(front.requests(), 3, "hello, and a push twice");
    hub.agrees_with(&here).await;
}

/// A firewall refuses requests for the content of a few events: the others arrive, and these do once it is gone.
pub async fn a_firewall_holds_back_only_what_it_refuses<W: Wire>() {
    for status in [403, 500] {
        let hub = Hub::start::<W>().await;
        let front = Front::start::<W>(hub.address).await;
        front.rule(move |_, body| match contains(body, "<script>") {
            true => Verdict::Answer(status),
            false => Verdict::Pass,
        });
        let here = store("a");
        let config = ClientConfig::new(front.url()).with_compression(false);
        let manager = builder::<W>(&here, config).build();
        let bad = |number: usize| NewEvent::new("T", format!("bad-{number}"), "a <script>").unwrap();
        let mut events: Vec<NewEvent> = notes(0..500).collect();
        for place in [17, 18, 250] {
            events[place] = bad(place);
        }
        manager.replica().record(events).await.unwrap();
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.held_back_count, report.refused_count), (497, 3, 0), "{status}");
        assert!(report.held_back[0].message.contains(&format!("status: {status}")), "{report:?}");
        assert!(front.requests() < 100, "{status}");
        // They are said at every sync, and do not stop what comes later.
        manager.replica().record(notes(500..520).chain([bad(999)])).await.unwrap();
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.held_back_count), (20, 4), "{status}");
        assert!(manager.replica().refused().await.unwrap().is_empty());
        front.heal();
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.held_back_count), (4, 0), "{status}");
        assert_eq!(manager.sync().await.unwrap().round_trips, 1, "nothing is left");
        hub.agrees_with(&here).await;
    }
}

/// A single event that a firewall refuses holds nothing up, not even itself.
pub async fn a_lone_event_that_is_refused_by_a_firewall_is_held_back<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    front.rule(|_, body| match contains(body, "<script>") {
        true => Verdict::Answer(403),
        false => Verdict::Pass,
    });
    let here = store("a");
    let config = ClientConfig::new(front.url()).with_compression(false);
    let manager = builder::<W>(&here, config).build();
    for round in 0..2 {
        // The second one would go with the hello.
        manager
            .replica()
            .record([NewEvent::new("T", "x", &*format!("{round} <script>")).unwrap()])
            .await
            .unwrap();
        assert_eq!(manager.sync().await.unwrap().held_back_count, round + 1);
    }
    front.heal();
    assert_eq!(manager.sync().await.unwrap().pushed, 2);
    hub.agrees_with(&here).await;
}

/// What was refused for a reason that may pass is offered again by itself, and counted as long as it stands.
pub async fn what_was_refused_for_its_size_is_offered_when_the_hub_takes_it<W: Wire>() {
    let strict =
        Hub::with::<W>(ServerConfig::default(), Limits { event_bytes: 1_000, ..Limits::default() }).await;
    let here = store("a");
    let manager = manager::<W>(&here, Front::start::<W>(strict.address).await.url());
    let large = NewEvent::new("T", "x", &*"large ".repeat(500)).unwrap();
    manager.replica().record(notes(0..2).chain([large])).await.unwrap();
    let report = manager.sync().await.unwrap();
    assert_eq!((report.pushed, report.refused_count), (2, 1));
    assert_eq!(report.refused[0].code, RefusedCode::TooLarge);
    let report = manager.sync().await.unwrap();
    assert_eq!((report.refused_count, report.refused_before), (0, 1));

    let endpoint = synckit::Endpoint::new(strict.store.clone());
    let roomy = synckit::SyncManager::new(here.clone(), endpoint);
    let report = roomy.sync().await.unwrap();
    assert_eq!((report.pushed, report.refused_before), (1, 0));
    strict.agrees_with(&here).await;
}

/// One row of the hub's log cannot be read: everything else is pulled, and the row too once it can be.
pub async fn a_damaged_row_is_passed_over_and_fetched_when_it_can_be_read<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let from = manager::<W>(&store("a"), front.url());
    record(from.replica(), 1_500).await;
    from.sync().await.unwrap();
    for row in [1, 700, 1_500] {
        let fresh = store(&format!("fresh-{row}"));
        let to = manager::<W>(&fresh, front.url());
        let head = hub.store.head().await.unwrap().position;
        hub.store.damage(row);
        let report = to.sync().await.unwrap();
        assert_eq!((report.pulled as u64, report.gaps.as_slice()), (head - 1, &[row][..]));
        // It is said again, and stops nothing that comes later.
        from.replica().record(notes(0..1)).await.unwrap();
        from.push().await.unwrap();
        let report = to.sync().await.unwrap();
        assert_eq!((report.pulled, report.gaps.as_slice()), (1, &[row][..]));
        hub.store.damage(0);
        let report = to.sync().await.unwrap();
        assert_eq!((report.pulled, report.gaps.len()), (1, 0));
        hub.agrees_with(&fresh).await;
        assert_eq!(to.sync().await.unwrap().round_trips, 1, "nothing is owed");
    }
}

/// A row of the local log that cannot be read is held back, and goes when it can be read.
pub async fn a_damaged_local_row_does_not_stop_a_push<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let here = crate::fault::DamagedStore::new(store("a"));
    let url = Front::start::<W>(hub.address).await.url();
    let client = synckit_remote::Client::<W::Exchange>::new(url).unwrap();
    let manager = synckit::SyncManager::new(here.clone(), client);
    manager.replica().record(notes(0..100)).await.unwrap();
    here.damage(40);
    for pushed in [99, 0] {
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.held_back_count), (pushed, 1));
        assert_eq!(report.held_back[0].position, 40);
    }
    here.damage(0);
    let report = manager.sync().await.unwrap();
    assert_eq!((report.pushed, report.held_back_count), (1, 0));
    assert_eq!(hub.store.head().await.unwrap().position, 100);
}

/// A gateway without a server behind it is waited for.
pub async fn a_gateway_that_is_down_is_tried_again_later<W: Wire>() {
    let hub = Hub::start::<W>().await;
    let front = Front::start::<W>(hub.address).await;
    let manager = manager::<W>(&store("a"), front.url());
    manager.replica().record(notes(0..200)).await.unwrap();
    front.rule(|parts, _| if pushes(parts.uri.path()) { Verdict::Answer(502) } else { Verdict::Pass });
    let failed = manager.sync().await.expect_err("broken");
    assert_eq!((failed.error.kind(), failed.is_retryable()), (ErrorKind::Unavailable, true));
    front.heal();
    assert_eq!(manager.sync().await.unwrap().pushed, 200);
}
