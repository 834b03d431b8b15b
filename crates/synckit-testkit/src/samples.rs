//! Nodes, stores, events and their authors, as the suites use them. All of it is deterministic.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit_core::{
    AggregateId, Cursor, Data, Dot, Event, EventId, Mark, Metadata, NewEvent, NodeId, StoreId, Timestamp,
    VectorClock,
};
use synckit_plan::Entropy;

/// The wall clock of the suites, in Unix milliseconds.
pub const NOW: u64 = 1_764_000_000_000;

/// Returns a node id.
pub fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("the suites use valid names")
}

/// Returns the store id whose bytes are all `byte`.
pub fn store_id(byte: u8) -> StoreId {
    StoreId::from_bytes([byte; 16])
}

/// Returns the randomness of one commit: different at each call, and the same in each run of a single test.
pub fn entropy() -> Entropy {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; Entropy::BYTES];
    for (at, part) in bytes.chunks_mut(8).enumerate() {
        part.copy_from_slice(&call.rotate_left(at as u32 * 7).to_be_bytes());
    }
    Entropy::from_bytes(bytes)
}

/// Returns a position in the log of the store whose bytes are all `byte`.
pub fn place(byte: u8, position: u64) -> Cursor {
    Cursor::at(store_id(byte), position, Mark(1_000 + position))
}

/// Returns an event id.
pub fn event_id(name: &str) -> EventId {
    EventId::new(name).expect("the suites use valid names")
}

/// Returns an aggregate id.
pub fn aggregate(name: &str) -> AggregateId {
    AggregateId::new(name).expect("the suites use valid names")
}

/// Returns a small event to record, of this aggregate and with this id.
pub fn new_event(of: &str, id: &str) -> NewEvent {
    let new = NewEvent::new("Noted", of, &id).expect("the suites use valid names");
    new.with_id(event_id(id))
}

/// Returns an event to record with this JSON text as data.
pub fn new_json(of: &str, id: &str, text: &str) -> NewEvent {
    let data = Data::json(text).expect("the suites use valid JSON");
    NewEvent::with_data("Noted", of, data).expect("the suites use valid names").with_id(event_id(id))
}

/// A node elsewhere that writes events and stamps them as a replica does.
#[derive(Clone, Debug)]
pub struct Author {
    node: NodeId,
    counter: u64,
    time: Timestamp,
    clocks: BTreeMap<AggregateId, VectorClock>,
}

impl Author {
    /// Creates a node that has written nothing yet.
    pub fn new(name: &str) -> Self {
        Author {
            node: node(name),
            counter: 0,
            time: Timestamp::from_millis(NOW - 60_000),
            clocks: BTreeMap::new(),
        }
    }

    /// Returns the node id.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Writes a small event of this aggregate, with the id `<node>-<counter>`.
    pub fn write(&mut self, of: &str) -> Event {
        let id = format!("{}-{}", self.node, self.counter + 1);
        self.write_this(new_event(of, &id))
    }

    /// Writes `count` events of this aggregate.
    pub fn write_many(&mut self, of: &str, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.write(of)).collect()
    }

    /// Writes this event, under its id or otherwise as [`Author::write`] does.
    pub fn write_this(&mut self, new: NewEvent) -> Event {
        self.counter += 1;
        self.time = self.time.next();
        let dot = Dot::new(self.node.clone(), self.counter);
        let clock = self.clocks.entry(new.aggregate_id.clone()).or_default();
        clock.observe(&dot).expect("the suites stay below the limit of a clock");
        let id = new.id.unwrap_or_else(|| event_id(&format!("{}-{}", self.node, self.counter)));
        Event {
            id,
            event_type: new.event_type,
            aggregate_id: new.aggregate_id,
            data: new.data,
            metadata: new.metadata,
            dot: Some(dot),
            clock: clock.clone(),
            time: self.time,
        }
    }

    /// Sees an event: events that are written from now on have seen it.
    pub fn see(&mut self, event: &Event) {
        let clock = self.clocks.entry(event.aggregate_id.clone()).or_default();
        clock.merge(&event.clock).expect("the suites stay below the limit of a clock");
        self.time = self.time.max(event.time);
    }
}

/// Returns events that a store or a transport is likely to change: numbers beyond a double, key order, empty and
/// binary data, spaces, escapes, control characters, characters of four bytes.
pub fn tricky_events() -> Vec<NewEvent> {
    let texts = [
        r#"{"n":9007199254740993,"f":1.0,"e":1e2,"z":-0,"big":123456789012345678901234567890}"#,
        r#"{"z":1,"a":2,"m":{"y":[],"b":{}}}"#,
        r#"{ "blank" : [ 1 ,2,  3 ] }"#,
        r#""\u0000\u0007\u00e9\ud83d\ude00""#,
        "\"\u{7f}\u{80}é\u{2028}\u{ffff}😀\u{10ffff}\"",
        r#"{"a":1,"a":2}"#,
        "null",
        "false",
        "0.1",
        "\"\"",
        "[]",
        "{}",
    ];
    let mut events: Vec<NewEvent> =
        texts.iter().enumerate().map(|(at, text)| new_json("tricky", &format!("json-{at}"), text)).collect();
    let every_byte: Vec<u8> = (0..=255).collect();
    for (at, bytes) in [Vec::new(), vec![0], every_byte, vec![0xff; 1_000]].into_iter().enumerate() {
        let new = NewEvent::with_data("Bytes", "tricky", Data::bytes(bytes));
        events.push(new.expect("the suites use valid names").with_id(event_id(&format!("bytes-{at}"))));
    }
    let metadata = r#"{"z":9007199254740993, "a":1.0,"text":"\u0000 \"quoted\" 😀"}"#;
    let metadata = Metadata::json(metadata).expect("the suites use valid JSON");
    events.push(new_event("tricky", "metadata").with_metadata(metadata));
    events
}

/// Returns names that a store is likely to confuse or to refuse: NUL, letter case, forms of one letter, spaces,
/// patterns, quotes, separators, characters of four bytes, and the longest. No two are equal; the order is arbitrary.
pub fn tricky_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "\0",
        "a",
        "A",
        "a\0",
        "a\0b",
        "a ",
        " a",
        "a\t",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "ı",
        "i",
        "İ",
        "I",
        "%",
        "_",
        "a%",
        "a_",
        "*",
        "?",
        "[a]",
        "'",
        "\"",
        "\\",
        "''",
        "a/b",
        "a/",
        "/",
        "a.b",
        "..",
        "~",
        "~2",
        "a~2",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{feff}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10000}",
        "😀",
        "\u{10ffff}",
        "null",
        "NULL",
        "0",
        "00",
        "1e3",
        "true",
        "\n",
        "\r\n",
        "{}",
        "$1",
        ":a",
        "--",
        ";",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(255));
    names.push("é".repeat(127));
    names.push("\u{10ffff}".repeat(63));
    names
}

/// Returns every Unicode character in order, cut into texts of at most 50,000 characters.
pub fn all_characters() -> Vec<String> {
    let every: Vec<char> = ('\0'..=char::MAX).collect();
    every.chunks(50_000).map(|part| part.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_differ() {
        let mut names = tricky_names();
        assert!(names.iter().all(|name| EventId::new(name).is_ok()));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn an_author_stamps_as_a_replica_does() {
        let (mut ann, mut bob) = (Author::new("ann"), Author::new("bob"));
        let first = ann.write("x");
        bob.see(&first);
        let second = bob.write("x");
        assert!(second.has_seen(&first) && second.time > first.time);
        assert!(!first.has_seen(&second));
        assert!(second.check_stamp().is_ok());
        assert!(!ann.write("x").has_seen(&second));
    }

    #[test]
    fn every_character_is_there() {
        let characters: usize = all_characters().iter().map(|text| text.chars().count()).sum();
        assert_eq!(characters, 0x11_0000 - 0x800);
    }
}
