//! Every valid message is decoded to what was encoded.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use synckit_core::{
    Ahead, Caller, Cursor, Data, Dot, Event, EventId, Filter, HelloRequest, HelloResponse, Limits, Mark,
    Metadata, MissingRequest, MissingResponse, NewEvent, NodeId, Placed, PullRequest, PullResponse,
    PushRequest, PushResponse, Refused, RefusedCode, Scope, Secret, StoreId, Stored, Timestamp, VectorClock,
};
use synckit_wire::{Decode, Encode, Format, ReceivedPush, WireLimits};

fn name() -> impl Strategy<Value = String> {
    "\\PC{1,40}|[\\x00-\\x7f]{1,20}"
}

fn caller() -> impl Strategy<Value = Caller> {
    (name(), any::<[u8; 16]>()).prop_map(|(node, store)| Caller {
        node: node.parse().expect("valid"),
        store: StoreId::from_bytes(store),
    })
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (any::<[u8; 16]>(), option::of((1..u64::MAX, any::<u64>()))).prop_map(|(store, place)| {
        let secret = Secret::from_bytes(store);
        let store = StoreId::from_bytes(store);
        match place {
            Some((position, mark)) => secret.cursor(store, position, Mark(mark)),
            None => Cursor::start(store),
        }
    })
}

fn data() -> impl Strategy<Value = Data> {
    let texts = prop_oneof![
        Just("null".to_owned()),
        Just("{\n  \"pretty\": [1.0, 9007199254740993, 1e400]\n}".to_owned()),
        Just("-0".to_owned()),
        ".*".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    prop_oneof![
        texts.prop_map(|text| Data::json(text).expect("valid")),
        vec(any::<u8>(), 0..100).prop_map(Data::bytes),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let clock = vec((name(), 1..u64::MAX >> 11), 1..4);
    (name(), name(), name(), data(), option::of(name()), clock, any::<bool>(), any::<u64>()).prop_map(
        |(id, event_type, aggregate, data, metadata, clock, resolution, time)| {
            let new = NewEvent::with_data(event_type, aggregate, data).expect("valid");
            let mut seen = VectorClock::new();
            for (node, counter) in &clock {
                let dot = Dot::new(NodeId::new(node).expect("valid"), *counter);
                seen.observe(&dot).expect("fits");
            }
            let node = NodeId::new(&clock[0].0).expect("valid");
            let counter = seen.counter(&node);
            let metadata = metadata.map(|text| Metadata::of(&serde_json::json!({ text: 1 })).expect("valid"));
            Event {
                id: id.parse().expect("valid"),
                event_type: new.event_type,
                aggregate_id: new.aggregate_id,
                data: new.data,
                metadata: metadata.unwrap_or_default(),
                dot: (!resolution).then(|| Dot::new(node, counter)),
                clock: seen,
                time: Timestamp::from_bits(time),
            }
        },
    )
}

fn id() -> impl Strategy<Value = EventId> {
    name().prop_map(|id| id.parse().expect("valid"))
}

fn ids() -> impl Strategy<Value = Vec<EventId>> {
    vec(id(), 0..5)
}

fn ahead() -> impl Strategy<Value = Ahead> {
    (any::<[u8; 16]>(), cursor(), option::of(id()), vec(event(), 0..3), cursor()).prop_map(
        |(store, after, latest, events, upto)| {
            let peer = StoreId::from_bytes(store);
            Ahead { peer, after, latest, events, upto }
        },
    )
}

fn stores() -> impl Strategy<Value = Vec<StoreId>> {
    vec(any::<[u8; 16]>().prop_map(StoreId::from_bytes), 0..4)
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![Just(Scope::Others), stores().prop_map(Scope::Sent), ids().prop_map(Scope::Named)]
}

fn stored() -> impl Strategy<Value = Stored> {
    (any::<usize>(), any::<usize>(), option::of((any::<u64>(), cursor()))).prop_map(
        |(accepted, duplicates, placed)| {
            let placed = placed.map(|(after, upto)| Placed { after, upto });
            Stored { accepted, duplicates, placed }
        },
    )
}

/// Decodes the message from both forms, which must give the same.
fn again<M: Encode + Decode + std::fmt::Debug>(message: &M) -> M {
    let [json, protobuf] = Format::ALL.map(|format| {
        M::decode(format, &message.encode(format), &WireLimits::default()).expect("what was sent is read")
    });
    assert_eq!(format!("{json:?}"), format!("{protobuf:?}"), "both forms say the same");
    protobuf
}

proptest! {
    #[test]
    fn hello(caller in caller(), filter in ".*", known in vec(cursor(), 0..4), protocol: u32, ahead in option::of(ahead())) {
        let request = HelloRequest { protocol, caller, filter, known, ahead };
        prop_assert_eq!(again(&request), request);
    }

    #[test]
    fn hello_answer(caller in caller(), former in stores(), head: u64, time: u64, counter: u64, id in option::of(id()), pushed in option::of(cursor()), known in vec(cursor(), 0..4), rights in option::of(".*"), stored in option::of(stored())) {
        let Caller { node, store } = caller;
        let limits = Limits::default();
        let answer = HelloResponse {
            protocol: 1, store, former, node, head, limits, time, counter, counter_event: id, known, pushed, all_held: head % 2 == 0, rights, ahead: stored,
        };
        prop_assert_eq!(again(&answer), answer);
    }

    #[test]
    fn pull(caller in caller(), cursor in option::of(cursor()), limit in option::of(0..10_000_usize), types in vec(name(), 0..4), scope in scope()) {
        let filter = types.iter().try_fold(Filter::new(), Filter::with_type).expect("valid");
        let read = again(&PullRequest { caller: caller.clone(), cursor: cursor.clone(), limit, filter: filter.clone(), scope: scope.clone(), upto: limit.map(|limit| limit as u64) });
        prop_assert_eq!((read.caller, read.cursor, read.limit, read.scope), (caller, cursor, limit, scope));
        prop_assert_eq!(read.filter.fingerprint(), filter.fingerprint());
    }

    #[test]
    fn page(events in vec(event(), 0..5), ids in ids(), next in cursor(), more: bool) {
        let page = PullResponse { events, ids, unreadable: Vec::new(), next, more };
        prop_assert_eq!(again(&page), page);
    }

    #[test]
    fn push(caller in caller(), filter in ".*", events in vec(event(), 0..5), from in option::of(cursor()), upto in option::of(cursor()), known in vec(cursor(), 0..3)) {
        let push = PushRequest { caller, filter, events, from, upto, known };
        for format in Format::ALL {
            let read = ReceivedPush::decode(format, &push.encode(format), &WireLimits::default()).expect("reads");
            prop_assert!(read.refused.is_empty());
            prop_assert_eq!(&read.request, &push);
        }
    }

    #[test]
    fn push_answer(accepted: usize, duplicates: usize, id in ".*", message in ".*") {
        let refused = vec![Refused { id, code: RefusedCode::IdTaken, message }];
        let answer = PushResponse { accepted, duplicates, refused, placed: None };
        prop_assert_eq!(again(&answer), answer);
    }

    #[test]
    fn missing(caller in caller(), ids in ids(), known in vec(cursor(), 0..3)) {
        let request = MissingRequest { caller, ids: ids.clone(), known };
        prop_assert_eq!(again(&request), request);
        let place = Some(Cursor::at(StoreId::from_bytes([7; 16]), 9, synckit_core::Mark(3)));
        let answer = MissingResponse { ids, place };
        prop_assert_eq!(again(&answer), answer);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:a-z0-9]{0,60}") {
        for (format, bytes) in Format::ALL.into_iter().flat_map(|format| [(format, &*bytes), (format, text.as_bytes())]) {
            read_anything(format, bytes);
        }
    }

    #[test]
    fn a_damaged_message_is_read_or_refused(events in vec(event(), 1..4), next in cursor(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let page = PullResponse { events, ids: Vec::new(), unreadable: Vec::new(), next, more: true };
        for format in Format::ALL {
            let mut bytes = page.encode(format);
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            read_anything(format, &bytes);
            read_anything(format, &bytes[..cut.index(bytes.len())]);
        }
    }
}

fn read_anything(format: Format, bytes: &[u8]) {
    let limits = WireLimits::default();
    let _ = HelloRequest::decode(format, bytes, &limits);
    let _ = HelloResponse::decode(format, bytes, &limits);
    let _ = PullRequest::decode(format, bytes, &limits);
    let _ = PullResponse::decode(format, bytes, &limits);
    let _ = ReceivedPush::decode(format, bytes, &limits);
    let _ = PushResponse::decode(format, bytes, &limits);
    let _ = MissingRequest::decode(format, bytes, &limits);
    let _ = MissingResponse::decode(format, bytes, &limits);
    let _ = synckit_core::Error::decode(format, bytes, &limits);
}
