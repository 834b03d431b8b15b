//! Kinds that survive the way, futures that are dropped, closing.

use std::sync::Arc;

use synckit::StoreExt;
use synckit_core::{ErrorKind, EventStore, HelloRequest, MissingRequest, PROTOCOL_VERSION, Transport};

use super::{caller, connect, held, pulling, pushing};
use crate::case::CaseResult;
use crate::fault::{Call, Fault, drop_at};
use crate::fixture::TransportFixture;
use crate::samples::{Author, event_id};

fn hello() -> HelloRequest {
    HelloRequest { protocol: PROTOCOL_VERSION, caller: caller(1), filter: "all".to_owned(), cursor: None }
}

fn missing() -> MissingRequest {
    MissingRequest { caller: caller(1), ids: vec![event_id("e")] }
}

/// Whatever kind of error the hub's store answers, the caller learns it, from every call.
pub async fn the_kind_of_every_error_survives<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let event = Author::new("node-1").write("x");
    for kind in ErrorKind::ALL {
        hub.plan.nth(Call::Head, 1, Fault::Fail(kind));
        let hello = hub.wire.hello(hello()).await.err().map(|error| error.kind());
        hub.plan.nth(Call::Head, 1, Fault::Fail(kind));
        let pull = hub.wire.pull(pulling(1, None)).await.err().map(|error| error.kind());
        hub.plan.nth(Call::Commit, 1, Fault::Fail(kind));
        let push = hub.wire.push(pushing(1, std::slice::from_ref(&event))).await.err();
        let push = push.map(|error| error.kind());
        hub.plan.nth(Call::Commit, 1, Fault::Fail(kind));
        let missing = hub.wire.missing(missing()).await.err().map(|error| error.kind());
        hub.plan.nth(Call::Head, 1, Fault::Fail(kind));
        let subscribe = hub.wire.subscribe(pulling(1, None)).await.err().map(|error| error.kind());
        assert_eq!([hello, pull, push, missing, subscribe], [Some(kind); 5]);
    }
    Ok(())
}

/// An error of one call is not the end of the way.
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

/// Calls dropped at any of their awaits leave the transport at work.
pub async fn dropped_calls_do_no_harm<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    hub.wire.push(pushing(2, &Author::new("node-2").write_many("x", 100))).await?;
    for polls in 0.. {
        let hello_ended = drop_at(polls, hub.wire.hello(hello())).await.transpose()?;
        let pull = drop_at(polls, hub.wire.pull(pulling(1, None))).await.transpose()?;
        let missing = drop_at(polls, hub.wire.missing(missing())).await.transpose()?;
        assert_eq!(hub.wire.pull(pulling(1, None)).await?.events.len(), 100);
        if hello_ended.is_some() && pull.is_some() && missing.is_some() {
            break;
        }
    }
    Ok(())
}

/// Calls at once do not mix up their answers.
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

/// After closing, every call answers `Closed`; closing twice is closing once.
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
