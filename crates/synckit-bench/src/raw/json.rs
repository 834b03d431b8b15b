//! A page as serde writes and reads it, with nothing checked and the payload left as text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use synckit::Event;

use crate::measure::Measured;

/// A page of plain events.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) events: Vec<Plain>,
    pub(crate) next: usize,
    pub(crate) more: bool,
}

/// An event whose fields are the plain JSON types.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plain {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) data: Box<RawValue>,
    pub(crate) metadata: Box<RawValue>,
    pub(crate) dot: (String, u64),
    pub(crate) clock: Vec<(String, u64)>,
    pub(crate) time: String,
}

impl Plain {
    pub(crate) fn of(event: &Event) -> Measured<Plain> {
        let dot = event.dot.as_ref().ok_or("a sample without a dot")?;
        Ok(Plain {
            id: event.id.to_string(),
            event_type: event.event_type.to_string(),
            aggregate_id: event.aggregate_id.to_string(),
            data: RawValue::from_string(event.data.as_json().unwrap_or("null").to_owned())?,
            metadata: RawValue::from_string(event.metadata.as_json().to_owned())?,
            dot: (dot.node.to_string(), dot.counter),
            clock: event.clock.iter().map(|(node, counter)| (node.to_string(), counter)).collect(),
            time: event.time.to_string(),
        })
    }
}

/// Returns a page of these events.
pub(crate) fn page(events: &[Event]) -> Measured<Page> {
    let events = events.iter().map(Plain::of).collect::<Measured<_>>()?;
    Ok(Page { events, next: 0, more: true })
}
