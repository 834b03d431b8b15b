//! Requests, answers and events for tests of transports.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use synckit_core::{
    Caller, Cursor, Data, Dot, ErrorKind, Event, EventId, HelloRequest, NewEvent, NodeId, PullRequest,
    PullResponse, PushRequest, Result, StoreId, Timestamp, VectorClock,
};

/// Returns the store id of a [`Double`](super::Double).
pub fn store() -> StoreId {
    StoreId::from_bytes([7; 16])
}

/// Returns the caller.
pub fn caller() -> Caller {
    Caller { node: NodeId::new("a").unwrap(), store: StoreId::from_bytes([1; 16]) }
}

/// Returns a hello.
pub fn hello() -> HelloRequest {
    HelloRequest { protocol: 1, caller: caller(), filter: "all".into(), known: Vec::new(), ahead: None }
}

/// Returns a pull of everything.
pub fn pull() -> PullRequest {
    PullRequest {
        caller: caller(),
        cursor: None,
        limit: None,
        filter: Default::default(),
        scope: Default::default(),
        upto: None,
    }
}

/// Returns a push of these events.
pub fn push(events: Vec<Event>) -> PushRequest {
    PushRequest { caller: caller(), filter: "all".into(), events, from: None, upto: None, known: Vec::new() }
}

/// Returns a page of these events, which is the last.
pub fn page(events: Vec<Event>) -> PullResponse {
    PullResponse {
        events,
        ids: Vec::new(),
        unreadable: Vec::new(),
        next: Cursor::start(store()),
        more: false,
    }
}

/// Returns ids as replicas make them: a minute apart, with ten bytes of noise.
pub fn ids(count: u64) -> Vec<EventId> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count)
        .map(|at| EventId::uuid_v7(1_764_000_000_000 + at * 60_000, &std::array::from_fn(|_| noise())))
        .collect()
}

/// Returns the event with this number, with this JSON as its data.
pub fn event(counter: u64, data: &str) -> Event {
    let node = NodeId::new("a").unwrap();
    let new = NewEvent::with_data("T", "x", Data::json(data).unwrap()).unwrap();
    Event {
        id: format!("e-{counter}").parse().unwrap(),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        dot: Some(Dot::new(node.clone(), counter)),
        clock: VectorClock::from_entries([(node, counter)]).unwrap(),
        time: Timestamp::from_millis(counter),
    }
}

/// Returns events of several kilobytes that compress well.
pub fn events(count: u64) -> Vec<Event> {
    let pretty = format!("{{\n  \"n\": 9007199254740993,\n  \"text\": {:?}\n}}", "words ".repeat(50));
    (1..=count).map(|counter| event(counter, &pretty)).collect()
}

/// Returns the kind of the error that the result must hold.
pub fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

/// Packs a message in each supported way, with the name of the way.
pub fn packings(message: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(message).unwrap();
    [("gzip", gzip.finish().unwrap()), ("zstd", zstd::encode_all(message, 1).unwrap())]
}

/// Packs, in each way, a message that unpacks to 1 GiB of zeros: 64 MiB, sixteen times. Both formats unpack all parts
/// that follow each other.
pub fn bombs() -> [(&'static str, Vec<u8>); 2] {
    packings(&vec![0; 64 << 20]).map(|(how, part)| (how, part.repeat(16)))
}
