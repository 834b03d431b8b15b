//! Writing events as JSON by hand: their data and metadata pass through as they are, without being parsed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use synckit_core::{Data, Event};

/// Appends the JSON form of an event.
pub(crate) fn write_event(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    put_string(out, event.id.as_str());
    out.extend_from_slice(b",\"type\":");
    put_string(out, event.event_type.as_str());
    out.extend_from_slice(b",\"aggregate_id\":");
    put_string(out, event.aggregate_id.as_str());
    out.push(b',');
    put_data(out, &event.data);
    if !event.metadata.is_empty() {
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(event.metadata.as_json().as_bytes());
    }
    if let Some(dot) = &event.dot {
        out.extend_from_slice(b",\"dot\":{\"node\":");
        put_string(out, dot.node.as_str());
        out.extend_from_slice(b",\"counter\":");
        put_number(out, dot.counter);
        out.push(b'}');
    }
    out.extend_from_slice(b",\"clock\":{");
    for (at, (node, counter)) in event.clock.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put_string(out, node.as_str());
        out.push(b':');
        put_number(out, counter);
    }
    out.extend_from_slice(b"},\"time\":\"");
    put_number(out, event.time.millis());
    out.push(b'-');
    put_number(out, event.time.counter().into());
    out.extend_from_slice(b"\"}");
}

/// Appends `"data":…` or, for bytes, `"data_base64":"…"`.
fn put_data(out: &mut Vec<u8>, data: &Data) {
    match data.as_json() {
        Some(text) => {
            out.extend_from_slice(b"\"data\":");
            out.extend_from_slice(text.as_bytes());
        }
        None => {
            out.extend_from_slice(b"\"data_base64\":\"");
            out.extend_from_slice(BASE64.encode(data.as_bytes()).as_bytes());
            out.push(b'"');
        }
    }
}

/// Appends a number.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends a JSON string literal.
fn put_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        let literal = serde_json::Value::from(text).to_string();
        out.extend_from_slice(literal.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Dot, EventId, Metadata, NewEvent, NodeId, Timestamp, VectorClock};

    use super::*;

    #[test]
    fn what_is_written_is_what_the_serialiser_of_events_writes() {
        let node = NodeId::new("a\"b").expect("valid");
        for data in
            [Data::json("{\"n\":9007199254740993}"), Data::json("null"), Ok(Data::bytes(vec![0, 255]))]
        {
            let new = NewEvent::with_data("T\n", "x", data.expect("valid")).expect("valid");
            let clock = VectorClock::from_entries([(node.clone(), 3)]).expect("valid");
            let dot = Some(Dot::new(node.clone(), 3));
            let id = EventId::new("e\"1").expect("valid");
            let mut event = new.stamped(id, dot, clock, Timestamp::from_millis(5));
            for metadata in ["{}", r#"{"b":1, "a":2}"#] {
                event.metadata = Metadata::json(metadata).expect("valid");
                let mut out = Vec::new();
                write_event(&event, &mut out);
                assert_eq!(
                    String::from_utf8(out).expect("text"),
                    serde_json::to_string(&event).expect("encodes")
                );
            }
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_shown() {
        for number in [0, 7, 10, 99, 1_000, 1 << 53, u64::MAX] {
            let mut out = b"n".to_vec();
            put_number(&mut out, number);
            assert_eq!(out, format!("n{number}").as_bytes());
        }
    }

    #[test]
    fn string_literals_parse_back() {
        for text in ["plain", "quo\"te", "back\\slash", "\u{0}\n\u{1f}", "é…😀"] {
            let mut out = Vec::new();
            put_string(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).expect("parses"), text);
        }
    }
}
