//! Kinds of errors that are kept, futures that are dropped, closing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use synckit_core::{
    ErrorKind, EventStore, HelloRequest, MissingRequest, PROTOCOL_VERSION, Traffic, Transport,
};
use synckit_plan::StoreExt;

use super::{caller, connect, held, pulling, pushing, soon};
use crate::case::{CaseResult, skip};
use crate::fault::{Call, Fault, drop_at};
use crate::fixture::TransportFixture;
use crate::samples::{Author, event_id};

fn hello() -> HelloRequest {
    HelloRequest {
        protocol: PROTOCOL_VERSION,
        caller: caller(1),
        filter: "all".to_owned(),
        known: Vec::new(),
        ahead: None,
    }
}

fn missing() -> MissingRequest {
    MissingRequest { caller: caller(1), ids: vec![event_id("e")], known: Vec::new() }
}

/// Whatever kind of error the hub's store returns, the caller gets the same kind, from every call.
pub async fn the_kind_of_every_error_survives<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let event = Author::new("node-1").write("x");
    for kind in ErrorKind::ALL {
        hub.plan.nth(Call::Facts, 1, Fault::Fail(kind));
        let hello = hub.wire.hello(hello()).await.err().map(|error| error.kind());
        hub.plan.nth(Call::Read, 1, Fault::Fail(kind));
        let pull = hub.wire.pull(pulling(1, None)).await.err().map(|error| error.kind());
        hub.plan.nth(Call::Commit, 1, Fault::Fail(kind));
        let push = hub.wire.push(pushing(1, std::slice::from_ref(&event))).await.err();
        let push = push.map(|error| error.kind());
        hub.plan.nth(Call::Facts, 1, Fault::Fail(kind));
        let missing = hub.wire.missing(missing()).await.err().map(|error| error.kind());
        hub.plan.nth(Call::Read, 1, Fault::Fail(kind));
        let subscribe = hub.wire.subscribe(pulling(1, None)).await.err().map(|error| error.kind());
        assert_eq!([hello, pull, push, missing, subscribe], [Some(kind); 5]);
    }
    Ok(())
}

/// The time after which the peer wants the next try reaches this side, if the transport carries it; never another
/// time.
pub async fn the_time_of_the_next_try_survives<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let delay = Duration::from_secs(7);
    hub.plan.nth(Call::Read, 1, Fault::Busy(delay));
    let pull = hub.wire.pull(pulling(1, None)).await.err();
    hub.plan.nth(Call::Commit, 1, Fault::Busy(delay));
    let push = hub.wire.push(pushing(1, &[Author::new("node-1").write("x")])).await.err();
    for error in [pull, push] {
        let error = error.expect("the hub is busy");
        assert_eq!((error.kind(), error.retry_after().unwrap_or(delay)), (ErrorKind::Busy, delay));
    }
    Ok(())
}

/// The connection can be used after an error of one call.
pub async fn the_hub_goes_on_after_an_error<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    for round in 0..10 {
        hub.plan.nth(Call::Commit, 1, Fault::Fail(ErrorKind::Busy));
        let request = pushing(1, &[author.write("x")]);
        assert!(hub.wire.push(request.clone()).await.is_err());
        assert_eq!(hub.wire.push(request).await?.accepted, 1);
        assert_eq!(hub.wire.hello(hello()).await?.head, round + 1);
    }
    Ok(())
}

/// A push dropped at any of its awaits is stored as a whole or not at all, and can be sent again.
pub async fn a_dropped_push_is_whole_or_absent<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    let mut expected = Vec::new();
    for polls in 0.. {
        let request = pushing(1, &author.write_many("x", 5));
        let ended = drop_at(polls, hub.wire.push(request.clone())).await.transpose()?;
        let ids: Vec<_> = request.events.iter().map(|event| event.id.clone()).collect();
        let absent = hub.store.not_held(ids.clone()).await?.len();
        assert!(absent == 0 || absent == 5, "{absent} of five events are missing");
        assert!(ended.is_none() || absent == 0, "what was answered is there");
        let again = hub.wire.push(request).await?;
        assert_eq!((again.accepted + again.duplicates, again.refused), (5, Vec::new()));
        expected.extend(ids);
        assert_eq!(held(&hub.store).await?, expected);
        if ended.is_some() {
            break;
        }
    }
    Ok(())
}

/// Calls dropped at any of their awaits leave the transport working.
pub async fn dropped_calls_do_no_harm<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    hub.wire.push(pushing(2, &Author::new("node-2").write_many("x", 100))).await?;
    for polls in 0.. {
        let hello_ended = drop_at(polls, hub.wire.hello(hello())).await.transpose()?;
        let pull = drop_at(polls, hub.wire.pull(pulling(1, None))).await.transpose()?;
        let missing = drop_at(polls, hub.wire.missing(missing())).await.transpose()?;
        let page = drop_at(polls, async {
            let mut pages = hub.wire.subscribe(pulling(1, None)).await?;
            pages.next().await.expect("a subscription does not end by itself")
        });
        let page = page.await.transpose()?;
        assert_eq!(hub.wire.pull(pulling(1, None)).await?.events.len(), 100);
        if hello_ended.is_some() && pull.is_some() && missing.is_some() && page.is_some() {
            break;
        }
    }
    Ok(())
}

/// A close that nobody waits for closes the transport or does not; the hub still serves others.
pub async fn a_dropped_close_is_whole_or_absent<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    hub.wire.hello(hello()).await?;
    for polls in 0.. {
        if drop_at(polls, hub.wire.close()).await.transpose()?.is_some() {
            break;
        }
        let answer = hub.wire.hello(hello()).await.map(|answer| answer.head);
        assert!(matches!(answer.map_err(|error| error.kind()), Ok(0) | Err(ErrorKind::Closed)));
    }
    let closed = hub.wire.hello(hello()).await.map(drop).map_err(|error| error.kind());
    assert_eq!(closed, Err(ErrorKind::Closed));
    // A hub still serves others, unless it is itself the transport that was closed.
    let hub = hub.endpoint.hello(hello()).await.map(|answer| answer.head).map_err(|error| error.kind());
    assert!(matches!(hub, Ok(0) | Err(ErrorKind::Closed)), "{hub:?}");
    Ok(())
}

/// The counted traffic only grows; a transport that sends nothing over a network reports zero.
pub async fn traffic_only_grows<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let (mut author, mut before) = (Author::new("node-1"), hub.wire.traffic());
    for _ in 0..5 {
        hub.wire.push(pushing(1, &[author.write("x")])).await?;
        let now = hub.wire.traffic();
        let grows = now.sent > before.sent && now.received > before.received;
        assert!(grows || now == Traffic::default(), "{now:?} after {before:?}");
        before = now;
    }
    Ok(())
}

/// Simultaneous calls do not mix up their answers.
pub async fn many_calls_at_once<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let wire = Arc::new(hub.wire);
    let tasks: Vec<_> = (1..=16)
        .map(|byte| {
            let wire = wire.clone();
            tokio::spawn(async move {
                let mut author = Author::new(&format!("node-{byte}"));
                for round in 0..5 {
                    let events = author.write_many(&format!("x-{byte}"), usize::from(byte));
                    let answer = wire.push(pushing(byte, &events)).await?;
                    assert_eq!(answer.accepted, usize::from(byte));
                    let hello = HelloRequest { caller: caller(byte), ..hello() };
                    assert_eq!(wire.hello(hello).await?.counter, u64::from(byte) * (round + 1));
                    let page = wire.pull(pulling(byte, None)).await?;
                    assert!(
                        page.events
                            .iter()
                            .all(|event| event.dot.as_ref().is_some_and(|dot| dot.node != *author.node()))
                    );
                }
                Ok::<(), synckit_core::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends")?;
    }
    assert_eq!(hub.store.head().await?.position, 5 * (1..=16).sum::<u64>());
    Ok(())
}

/// Two clients of one hub at once: each gets its own answers and what the other pushed, counts its own bytes, and
/// still works after the other is closed.
pub async fn two_clients_at_once<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let Some(second) = fixture.connect_again().await? else {
        return skip("two_clients_at_once", "the fixture connects one client only");
    };
    let (first, mut pages) = (&hub.wire, Vec::new());
    for (byte, wire) in [(1, first), (2, &second)] {
        pages.push(wire.subscribe(pulling(byte, None)).await?);
    }
    let (mut one, mut two) = (Author::new("node-1"), Author::new("node-2"));
    let (mut from_one, mut from_two) = (Vec::new(), Vec::new());
    for round in 1..=10 {
        let (events, others) = (one.write_many("x", 3), two.write_many("y", 2));
        let (push, push_two) = (pushing(1, &events), pushing(2, &others));
        let answers = futures_util::future::join(first.push(push), second.push(push_two)).await;
        assert_eq!((answers.0?.accepted, answers.1?.accepted), (3, 2));
        let hellos = [(1, first), (2, &second)]
            .map(|(byte, wire)| wire.hello(HelloRequest { caller: caller(byte), ..hello() }));
        let [of_one, of_two] = futures_util::future::join_all(hellos).await.try_into().expect("two answers");
        assert_eq!((of_one?.counter, of_two?.counter), (3 * round, 2 * round));
        from_one.extend(events);
        from_two.extend(others);
    }
    for (pages, expected) in pages.iter_mut().zip([&from_two, &from_one]) {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.extend(soon(pages.next()).await.expect("the stream never ends")?.events);
        }
        assert!(seen == *expected, "each gets what the other pushed, once and in order");
    }
    let before = second.traffic();
    first.close().await?;
    assert_eq!(second.traffic(), before, "the bytes of one are not those of the other");
    let events = two.write_many("y", 1);
    assert_eq!(second.push(pushing(2, &events)).await?.accepted, 1);
    assert_eq!(first.push(pushing(1, &[])).await.err().map(|error| error.kind()), Some(ErrorKind::Closed));
    Ok(())
}

/// After closing, every call returns `Closed`; closing twice has no other effect than closing once.
pub async fn a_closed_transport_says_so<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    hub.wire.hello(hello()).await?;
    hub.wire.close().await?;
    hub.wire.close().await?;
    let kinds = [
        hub.wire.hello(hello()).await.map(drop),
        hub.wire.pull(pulling(1, None)).await.map(drop),
        hub.wire.push(pushing(1, &[Author::new("node-1").write("x")])).await.map(drop),
        hub.wire.missing(missing()).await.map(drop),
        hub.wire.subscribe(pulling(1, None)).await.map(drop),
    ];
    for kind in kinds {
        assert_eq!(kind.map_err(|error| error.kind()), Err(ErrorKind::Closed));
    }
    Ok(())
}
