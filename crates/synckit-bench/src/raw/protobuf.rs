//! A page as prost writes and reads it from plain messages, with nothing checked but UTF-8.

use prost::Message;
use synckit::Event;

use crate::measure::Measured;

/// A page of plain events.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Page {
    #[prost(message, repeated, tag = "1")]
    pub(crate) events: Vec<Plain>,
    #[prost(uint64, tag = "2")]
    pub(crate) next: u64,
    #[prost(bool, tag = "3")]
    pub(crate) more: bool,
}

/// An event whose fields are the plain protobuf types, under the tags of `docs/synckit.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Plain {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) event_type: String,
    #[prost(string, tag = "3")]
    pub(crate) aggregate_id: String,
    #[prost(string, tag = "4")]
    pub(crate) data: String,
    #[prost(string, tag = "6")]
    pub(crate) metadata: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) dot: Option<Dot>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) clock: Vec<Dot>,
    #[prost(fixed64, tag = "9")]
    pub(crate) time: u64,
}

/// A node and its counter.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dot {
    #[prost(string, tag = "1")]
    pub(crate) node: String,
    #[prost(uint64, tag = "2")]
    pub(crate) counter: u64,
}

impl Plain {
    pub(crate) fn of(event: &Event) -> Measured<Plain> {
        let dot = event.dot.as_ref().ok_or("a sample without a dot")?;
        let entry = |(node, counter): (&synckit::NodeId, u64)| Dot { node: node.to_string(), counter };
        Ok(Plain {
            id: event.id.to_string(),
            event_type: event.event_type.to_string(),
            aggregate_id: event.aggregate_id.to_string(),
            data: event.data.as_json().unwrap_or("null").to_owned(),
            metadata: event.metadata.as_json().to_owned(),
            dot: Some(Dot { node: dot.node.to_string(), counter: dot.counter }),
            clock: event.clock.iter().map(entry).collect(),
            time: event.time.to_bits(),
        })
    }
}

/// Returns a page of these events.
pub(crate) fn page(events: &[Event]) -> Measured<Page> {
    let events = events.iter().map(Plain::of).collect::<Measured<_>>()?;
    Ok(Page { events, next: 0, more: true })
}
