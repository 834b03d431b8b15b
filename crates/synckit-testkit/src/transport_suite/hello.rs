//! Who calls, who answers, and how far each side knows the other.

use synckit_core::{
    Ahead, Caller, Cursor, ErrorKind, EventStore, HelloRequest, Limits, Mark, PROTOCOL_VERSION, Placed,
    PushRequest, Stored, Transport,
};
use synckit_plan::StoreExt;

use super::{caller, connect, connect_with, pushing};
use crate::case::CaseResult;
use crate::fixture::TransportFixture;
use crate::samples::{Author, event_id, node, place, store_id};

fn hello(caller: Caller) -> HelloRequest {
    HelloRequest {
        protocol: PROTOCOL_VERSION,
        caller,
        filter: "all".to_owned(),
        known: Vec::new(),
        ahead: None,
    }
}

/// A hello returns protocol, store, node, head, limits and time of the hub.
pub async fn the_hub_says_who_it_is<F: TransportFixture>(fixture: &F) -> CaseResult {
    let limits = Limits { batch_events: 7, batch_bytes: 70_000, event_bytes: 7_000, drift_seconds: 700 };
    let hub = connect_with(fixture, limits).await?;
    hub.wire.push(pushing(1, &Author::new("node-1").write_many("x", 3))).await?;
    let answer = hub.wire.hello(hello(caller(2))).await?;
    let direct = hub.endpoint.hello(hello(caller(2))).await?;
    assert_eq!((answer.protocol, answer.head, answer.limits), (PROTOCOL_VERSION, 3, limits));
    assert_eq!((answer.store, answer.node), (hub.store.head().await?.store, node("hub")));
    assert_eq!((answer.counter, answer.pushed, answer.all_held), (0, None, true));
    assert!(direct.time >= answer.time && direct.time - answer.time < 600_000, "the hub's wall clock");
    Ok(())
}

/// A hello returns the highest counter of the caller's node, whoever brought its events.
pub async fn the_counter_of_the_caller_is_known<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    hub.wire.push(pushing(1, &Author::new("node-2").write_many("x", 5))).await?;
    assert_eq!(hub.wire.hello(hello(caller(1))).await?.counter, 0);
    assert_eq!(hub.wire.hello(hello(caller(2))).await?.counter, 5);
    Ok(())
}

/// A hello returns the position up to which a caller has pushed, per filter.
pub async fn what_was_pushed_is_known<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let events = Author::new("node-1").write_many("x", 2);
    let upto = place(1, 2);
    hub.wire.push(PushRequest { upto: Some(upto.clone()), ..pushing(1, &events) }).await?;
    assert_eq!(hub.wire.hello(hello(caller(1))).await?.pushed, Some(upto));
    let other = HelloRequest { filter: "0123456789abcdef".to_owned(), ..hello(caller(1)) };
    assert_eq!(hub.wire.hello(other).await?.pushed, None);
    assert_eq!(hub.wire.hello(hello(caller(2))).await?.pushed, None);
    Ok(())
}

/// A hello returns whether the hub's log holds all places that the caller knows in it.
pub async fn a_cursor_is_known_or_not<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    hub.wire.push(pushing(1, &Author::new("node-1").write_many("x", 3))).await?;
    let id = hub.store.head().await?.store;
    let mark = hub.store.cursor_at(2).await?.mark().expect("it is not the beginning");
    let cursors = [
        (hub.store.cursor_at(0).await?, true),
        (hub.store.cursor_at(2).await?, true),
        (Cursor::at(id, 2, Mark(7)), false),
        (Cursor::at(id, 4, mark), false),
        (Cursor::at(store_id(9), 2, mark), false),
        (Cursor::start(store_id(9)), false),
    ];
    let held = hub.store.cursor_at(3).await?;
    for (cursor, known) in cursors {
        for places in [vec![cursor.clone()], vec![cursor.clone(), held.clone()]] {
            let request = HelloRequest { known: places, ..hello(caller(2)) };
            assert_eq!(hub.wire.hello(request).await?.all_held, known, "{cursor}");
        }
    }
    Ok(())
}

/// Events that come with a hello are stored if everything is as the caller expects, and only then.
pub async fn events_come_with_it_where_all_is_as_expected<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    let (first, next) = (author.write_many("x", 2), author.write_many("x", 2));
    let (after, upto) = (place(1, 2), place(1, 4));
    let latest = Some(event_id("node-1-2"));
    let push = PushRequest { upto: Some(after.clone()), ..pushing(1, &first) };
    hub.wire.push(push).await?;
    let peer = hub.store.head().await?.store;
    let ahead = Ahead { peer, after: after.clone(), latest, events: next, upto: upto.clone() };
    let saying = |ahead| HelloRequest { ahead: Some(ahead), ..hello(caller(1)) };
    for wrong in [
        Ahead { peer: store_id(9), ..ahead.clone() },
        Ahead { after: place(1, 1), ..ahead.clone() },
        Ahead { after: Cursor::at(store_id(1), 2, Mark(7)), ..ahead.clone() },
        Ahead { latest: Some(event_id("node-1-1")), ..ahead.clone() },
        Ahead { latest: None, ..ahead.clone() },
    ] {
        assert_eq!(hub.wire.hello(saying(wrong)).await?.ahead, None);
    }
    let elsewhere = HelloRequest { known: vec![Cursor::at(peer, 9, Mark(7))], ..saying(ahead.clone()) };
    assert_eq!(hub.wire.hello(elsewhere).await?.ahead, None);
    assert_eq!(hub.store.head().await?.position, 2, "nothing was stored");

    let answer = hub.wire.hello(saying(ahead.clone())).await?;
    assert_eq!((answer.head, answer.counter, answer.pushed), (2, 2, Some(after)), "all else is as before");
    let placed = Some(Placed { after: 2, upto: hub.store.cursor_at(4).await? });
    assert_eq!(answer.ahead, Some(Stored { accepted: 2, duplicates: 0, placed }));
    let again = hub.wire.hello(saying(ahead)).await?;
    assert_eq!((again.head, again.counter, again.pushed, again.ahead), (4, 4, Some(upto), None));
    Ok(())
}

/// A caller of another protocol version gets an error that says so.
pub async fn another_protocol_is_unsupported<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let request = HelloRequest { protocol: PROTOCOL_VERSION + 1, ..hello(caller(1)) };
    let error = hub.wire.hello(request).await.err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::Unsupported));
    Ok(())
}

/// Two replicas of one store cannot sync; a caller with the hub's name gets an error that says so, and takes another.
pub async fn the_same_replica_on_both_sides_is_a_conflict<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let same_store = Caller { node: node("node-1"), store: hub.store.head().await?.store };
    let same_node = Caller { node: node("hub"), store: store_id(1) };
    let error = hub.wire.hello(hello(same_store.clone())).await.err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::Conflict));
    let push = PushRequest { caller: same_store, ..pushing(1, &Author::new("node-1").write_many("x", 1)) };
    let error = hub.wire.push(push).await.err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::Conflict));
    assert_eq!(hub.wire.hello(hello(same_node)).await?.node, node("hub"));
    Ok(())
}
