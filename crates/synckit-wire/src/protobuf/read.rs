//! A batch of events, each decoded separately.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use synckit_core::{
    Dot, Error, Event, EventId, EventType, Metadata, NodeId, RefusedCode, Result, Timestamp, Unreadable,
    VectorClock,
};

use super::event::Parts;
use super::fields::{Fields, Value};
use crate::checks::brief;
use crate::limits::WireLimits;

/// Decodes events one after the other.
pub(super) struct Reader<'a> {
    limits: &'a WireLimits,
    parts: Parts<'a>,
    nodes: Names<NodeId>,
    types: Names<EventType>,
    /// The metadata of the previous event.
    metadata: Metadata,
    /// A buffer for the clock of one event.
    clock: Vec<(NodeId, u64)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(limits: &'a WireLimits) -> Self {
        Reader {
            limits,
            parts: Parts::default(),
            nodes: Names::default(),
            types: Names::default(),
            metadata: Metadata::default(),
            clock: Vec::new(),
        }
    }

    /// Decodes one event. Its size is known before any of it is copied.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Result<Event, Unreadable> {
        let most = self.limits.limits.event_bytes;
        if let Err(why) = self.parts.read(bytes) {
            let message = format!("the event cannot be read: {}", brief(&why));
            return Err(unreadable(bytes, message));
        }
        if self.parts.size() > most {
            let message = format!("the event is larger than the {most} bytes allowed");
            let bad = |text| Unreadable { id: id_of(bytes), code: RefusedCode::TooLarge, message, text };
            return Err(bad(self.event().map_or_else(|_| raw(bytes), |event| text_of(&event))));
        }
        self.event().map_err(|error| {
            let message = format!("the event cannot be read: {}", brief(&error.to_string()));
            unreadable(bytes, message)
        })
    }

    /// Builds the event from its parts, if they form one.
    fn event(&mut self) -> Result<Event> {
        let Reader { parts, nodes, types, metadata, clock, .. } = self;
        // Many events of one author have the same metadata.
        let text = if parts.metadata.is_empty() { "{}" } else { parts.metadata };
        if text != metadata.as_json() {
            *metadata = Metadata::json(text)?;
        }
        let dot = match parts.dot {
            Some((node, counter)) => Some(Dot::new(nodes.name(node)?, counter)),
            None => None,
        };
        clock.clear();
        for (node, counter) in &parts.clock {
            clock.push((nodes.name(node)?, *counter));
        }
        Ok(Event {
            id: EventId::new(parts.id)?,
            event_type: types.name(parts.event_type)?,
            aggregate_id: parts.aggregate_id.parse()?,
            data: parts.data()?,
            metadata: metadata.clone(),
            dot,
            clock: VectorClock::from_entries(clock.drain(..))?,
            time: Timestamp::from_bits(parts.time),
        })
    }
}

/// Names that repeat within a batch, each built once. The first few are remembered.
struct Names<T>(Vec<T>);

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names(Vec::new())
    }
}

impl<T: AsRef<str> + Clone + FromStr<Err = Error>> Names<T> {
    const MOST: usize = 8;

    fn name(&mut self, text: &str) -> Result<T> {
        if let Some(known) = self.0.iter().find(|known| known.as_ref() == text) {
            return Ok(known.clone());
        }
        let name: T = text.parse()?;
        if self.0.len() < Self::MOST {
            self.0.push(name.clone());
        }
        Ok(name)
    }
}

fn unreadable(bytes: &[u8], message: String) -> Unreadable {
    Unreadable { id: id_of(bytes), code: RefusedCode::Invalid, message, text: raw(bytes) }
}

/// Returns bytes that are not an event, wrapped in a JSON object.
fn raw(bytes: &[u8]) -> String {
    #[derive(Serialize)]
    struct Form<'a> {
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        protobuf: String,
    }
    let form = Form { id: &id_of(bytes), protobuf: BASE64.encode(bytes) };
    serde_json::to_string(&form).expect("two texts have a JSON form")
}

/// Returns the JSON form, from which an event that is merely too large can be read again.
fn text_of(event: &Event) -> String {
    let mut text = Vec::new();
    crate::json::write_event(event, &mut text);
    String::from_utf8(text).expect("the JSON form of an event is UTF-8")
}

/// Returns the id of something that is not an event, as far as it has one: at most 255 bytes of it.
fn id_of(bytes: &[u8]) -> String {
    let mut id = "";
    for field in Fields(bytes).map_while(Result::ok) {
        if let (1, Value::Bytes(text)) = (field.tag, field.value) {
            id = std::str::from_utf8(text).unwrap_or_default();
        }
    }
    brief(id).to_owned()
}
