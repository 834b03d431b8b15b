//! One event: encoded by hand, and decoded into borrowed parts before anything is built from them.

use synckit_core::{Data, Event, VectorClock};

use super::fields::{Fields, Value};
use super::write::{delimited_len, fixed_len, open, put_bytes, put_fixed, put_varint, varint_len};

/// Returns the encoded length of an event, without the field around it.
fn len(event: &Event) -> usize {
    let metadata = if event.metadata.is_empty() { 0 } else { delimited_len(event.metadata.as_json().len()) };
    let dot = event.dot.as_ref();
    let dot = dot.map_or(0, |dot| delimited_len(dot_len(dot.node.as_str(), dot.counter)));
    let clock = event.clock.iter().map(|(node, counter)| delimited_len(dot_len(node.as_str(), counter)));
    delimited_len(event.id.as_str().len())
        + delimited_len(event.event_type.as_str().len())
        + delimited_len(event.aggregate_id.as_str().len())
        + delimited_len(event.data.as_bytes().len())
        + metadata
        + dot
        + clock.sum::<usize>()
        + fixed_len(event.time.to_bits())
}

fn dot_len(node: &str, counter: u64) -> usize {
    delimited_len(node.len()) + varint_len(counter)
}

/// Appends events as the fields of this tag.
pub(super) fn put_events(out: &mut Vec<u8>, tag: u32, events: &[Event]) {
    let lengths: Vec<usize> = events.iter().map(len).collect();
    out.reserve(lengths.iter().map(|length| delimited_len(*length)).sum());
    for (event, length) in events.iter().zip(lengths) {
        open(out, tag, length);
        put(out, event);
    }
}

fn put(out: &mut Vec<u8>, event: &Event) {
    put_bytes(out, 1, event.id.as_str().as_bytes());
    put_bytes(out, 2, event.event_type.as_str().as_bytes());
    put_bytes(out, 3, event.aggregate_id.as_str().as_bytes());
    put_bytes(out, if event.data.is_json() { 4 } else { 5 }, event.data.as_bytes());
    if !event.metadata.is_empty() {
        put_bytes(out, 6, event.metadata.as_json().as_bytes());
    }
    if let Some(dot) = &event.dot {
        put_dot(out, 7, dot.node.as_str(), dot.counter);
    }
    for (node, counter) in event.clock.iter() {
        put_dot(out, 8, node.as_str(), counter);
    }
    put_fixed(out, 9, event.time.to_bits());
}

fn put_dot(out: &mut Vec<u8>, tag: u32, node: &str, counter: u64) {
    open(out, tag, dot_len(node, counter));
    put_bytes(out, 1, node.as_bytes());
    put_varint(out, 2, counter);
}

/// The parts of an event, borrowed from its message.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) aggregate_id: &'a str,
    pub(super) data: Option<Payload<'a>>,
    /// Empty when it was omitted.
    pub(super) metadata: &'a str,
    pub(super) dot: Option<(&'a str, u64)>,
    pub(super) time: u64,
    /// The entries of the clock, at most as many as a clock may have.
    pub(super) clock: Vec<(&'a str, u64)>,
}

#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    Json(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Parts<'a> {
    /// Reads the parts of one event over those of another, and reuses the memory of its clock.
    ///
    /// # Errors
    /// The reason why it is not an event, in words.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Result<(), String> {
        let mut clock = std::mem::take(&mut self.clock);
        clock.clear();
        *self = Parts { clock, ..Parts::default() };
        for field in Fields(bytes) {
            let field = field.map_err(|error| error.to_string())?;
            match (field.tag, field.value) {
                (1, Value::Bytes(text)) => self.id = utf8("id", text)?,
                (2, Value::Bytes(text)) => self.event_type = utf8("type", text)?,
                (3, Value::Bytes(text)) => self.aggregate_id = utf8("aggregate_id", text)?,
                (4, Value::Bytes(text)) => self.data = Some(Payload::Json(utf8("json", text)?)),
                (5, Value::Bytes(bytes)) => self.data = Some(Payload::Bytes(bytes)),
                (6, Value::Bytes(text)) => self.metadata = utf8("metadata", text)?,
                (7, Value::Bytes(dot)) => self.dot = Some(read_dot(dot, self.dot.unwrap_or_default())?),
                (8, Value::Bytes(dot)) => {
                    if self.clock.len() == VectorClock::MAX_NODES {
                        return Err(format!("its clock has more than {} nodes", VectorClock::MAX_NODES));
                    }
                    self.clock.push(read_dot(dot, Default::default())?);
                }
                (9, Value::Fixed64(time)) => self.time = time,
                (tag @ 1..=9, _) => return Err(format!("its field {tag} has the wrong wire type")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the [`Event::size`] of the event with these parts.
    pub(super) fn size(&self) -> usize {
        let data = match self.data {
            Some(Payload::Json(text)) => text.len(),
            Some(Payload::Bytes(bytes)) => bytes.len(),
            None => 0,
        };
        let metadata = if self.metadata.is_empty() { "{}".len() } else { self.metadata.len() };
        let clock: usize = self.clock.iter().map(|(node, _)| node.len() + 8).sum();
        self.id.len() + self.event_type.len() + self.aggregate_id.len() + data + metadata + clock
    }

    /// Returns the data. If it is JSON, its syntax and depth are checked.
    pub(super) fn data(&self) -> synckit_core::Result<Data> {
        match self.data {
            Some(Payload::Json(text)) => Data::json(text),
            Some(Payload::Bytes(bytes)) => Ok(Data::bytes(bytes)),
            None => Err(synckit_core::Error::invalid("an event needs `json` or `bytes`")),
        }
    }
}

/// Reads a dot. As protobuf requires, a dot that appears twice is one message in two pieces.
fn read_dot<'a>(bytes: &'a [u8], before: (&'a str, u64)) -> Result<(&'a str, u64), String> {
    let (mut node, mut counter) = before;
    for field in Fields(bytes) {
        let field = field.map_err(|error| error.to_string())?;
        match (field.tag, field.value) {
            (1, Value::Bytes(text)) => node = utf8("node", text)?,
            (2, Value::Varint(number)) => counter = number,
            (1 | 2, _) => return Err("a dot has a field with the wrong wire type".to_owned()),
            _ => {}
        }
    }
    Ok((node, counter))
}

fn utf8<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("its {what} is not UTF-8: {error}"))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use synckit_core::{Cursor, Dot, Metadata, NewEvent, NodeId, PullResponse, Result, StoreId, Timestamp};

    use super::*;
    use crate::limits::WireLimits;
    use crate::protobuf::generated::{self as form, event::Data as Form};
    use crate::protobuf::{FromProtobuf, ToProtobuf};

    fn events() -> Result<Vec<Event>> {
        let (a, b) = (NodeId::new("a")?, NodeId::new("b")?);
        let new = NewEvent::with_data("T", "x", Data::json(r#"{"n":9007199254740993}"#)?)?;
        let plain = Event {
            id: "e-1".parse()?,
            event_type: new.event_type,
            aggregate_id: new.aggregate_id,
            data: new.data,
            metadata: Metadata::json(r#"{"who":"ann"}"#)?,
            dot: Some(Dot::new(b.clone(), 300)),
            clock: VectorClock::from_entries([(a, 1), (b, 300)])?,
            time: Timestamp::from_bits(u64::MAX - 1),
        };
        let bytes = Event { data: Data::bytes([]), metadata: Metadata::default(), ..plain.clone() };
        let resolution = Event { dot: None, time: Timestamp::ZERO, ..plain.clone() };
        Ok(vec![plain, bytes, resolution])
    }

    /// Returns what prost builds from the same event.
    fn form_of(event: &Event) -> form::Event {
        let dot = |node: &NodeId, counter| form::Dot { node: node.to_string(), counter };
        form::Event {
            id: event.id.to_string(),
            r#type: event.event_type.to_string(),
            aggregate_id: event.aggregate_id.to_string(),
            data: Some(match event.data.as_json() {
                Some(text) => Form::Json(text.to_owned()),
                None => Form::Bytes(event.data.as_bytes().to_vec()),
            }),
            metadata: if event.metadata.is_empty() { "" } else { event.metadata.as_json() }.to_owned(),
            dot: event.dot.as_ref().map(|of| dot(&of.node, of.counter)),
            clock: event.clock.iter().map(|(node, counter)| dot(node, counter)).collect(),
            time: event.time.to_bits(),
        }
    }

    #[test]
    fn events_are_written_and_read_as_prost_does() -> Result<()> {
        let next = Cursor::start(StoreId::from_bytes([7; 16]));
        let page =
            PullResponse { events: events()?, ids: Vec::new(), unreadable: Vec::new(), next, more: true };
        let form = form::PullResponse {
            events: page.events.iter().map(form_of).collect(),
            unreadable: Vec::new(),
            next: page.next.to_string(),
            more: page.more,
            ids: Vec::new(),
        };
        assert_eq!(page.to_protobuf(), form.encode_to_vec());
        let read = PullResponse::from_protobuf(&form.encode_to_vec(), &WireLimits::default())?;
        assert_eq!(read, page);
        Ok(())
    }

    #[test]
    fn a_size_is_known_before_there_is_an_event() -> Result<()> {
        for event in events()? {
            let bytes = form_of(&event).encode_to_vec();
            let mut parts = Parts::default();
            parts.read(&bytes).expect("reads");
            assert_eq!((parts.size(), bytes.len()), (event.size(), len(&event)));
        }
        Ok(())
    }

    #[test]
    fn a_message_in_two_pieces_is_one() {
        let pieces = [
            form::Event { dot: Some(form::Dot { node: "a".into(), counter: 0 }), ..Default::default() },
            form::Event { dot: Some(form::Dot { node: String::new(), counter: 7 }), ..Default::default() },
        ];
        let bytes = pieces.map(|piece| piece.encode_to_vec()).concat();
        let mut parts = Parts::default();
        parts.read(&bytes).expect("reads");
        assert_eq!(parts.dot, Some(("a", 7)));
    }
}
