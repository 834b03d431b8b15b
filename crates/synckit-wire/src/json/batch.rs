//! Arrays of events: counted while they are read, and each event parsed separately.
//!
//! A message with events is scanned once to find where each event ends, and each event once more to parse it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use synckit_core::{Cursor, Event, RefusedCode, Result, Unreadable};

use crate::checks::{Side, brief, check_length, too_many};
use crate::limits::WireLimits;

/// The maximum number of fields in a message with events, including unknown ones, which are ignored.
const MOST_FIELDS: usize = 64;

/// Reads a message with events. Returns the texts of the events, at most as many as a batch may have and none if the
/// field is absent, and the other fields.
pub(super) fn split<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    limits: &WireLimits,
    side: Side,
) -> Result<(Option<Vec<&'a RawValue>>, T)> {
    check_length(bytes, limits.decoded_bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|error| side.unreadable(&error.to_string()))?;
    let most = limits.limits.batch_events;
    let mut exceeded = false;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Split { most, exceeded: &mut exceeded }.deserialize(&mut json);
    if exceeded {
        return Err(too_many("events", most));
    }
    let read = read.and_then(|(events, rest)| {
        json.end()?;
        Ok((events, T::deserialize(MapDeserializer::new(rest.into_iter()))?))
    });
    read.map_err(|error: serde_json::Error| side.unreadable(&error.to_string()))
}

struct Split<'x> {
    most: usize,
    exceeded: &'x mut bool,
}

type Fields<'a> = (Option<Vec<&'a RawValue>>, Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> DeserializeSeed<'de> for Split<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Split<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let (mut events, mut rest) = (None, Vec::new());
        while let Some(Key(key)) = map.next_key()? {
            if key == "events" {
                let items = Bounded { most: self.most, exceeded: &mut *self.exceeded, items: PhantomData };
                if events.replace(map.next_value_seed(items)?).is_some() {
                    return Err(A::Error::duplicate_field("events"));
                }
            } else if rest.len() == MOST_FIELDS {
                return Err(A::Error::custom("it has too many fields"));
            } else {
                rest.push((key, map.next_value()?));
            }
        }
        Ok((events, rest))
    }
}

/// A key, borrowed unless it contains escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads an array of at most `most` items. Stops at the first item beyond that.
pub(super) fn bounded<'a, T: Deserialize<'a>>(
    array: &'a RawValue,
    what: &str,
    most: usize,
    side: Side,
) -> Result<Vec<T>> {
    let mut exceeded = false;
    let seed = Bounded { most, exceeded: &mut exceeded, items: PhantomData };
    let read = seed.deserialize(&mut serde_json::Deserializer::from_str(array.get()));
    if exceeded {
        return Err(too_many(what, most));
    }
    read.map_err(|error| side.unreadable(&error.to_string()))
}

/// Reads the places that a caller knows, which may be absent.
pub(super) fn bounded_places(known: Option<&RawValue>) -> Result<Vec<Cursor>> {
    let read = |known| bounded(known, "known places", WireLimits::KNOWN_PLACES, Side::Request);
    Ok(known.map(read).transpose()?.unwrap_or_default())
}

/// Reads a JSON array of at most `most` items, each kept as text: only the end of each item is parsed.
///
/// For adapters that read arrays of another form than synckit's messages.
///
/// ```
/// let items = synckit_wire::items(br#"[{"n":1.0}, 2]"#, 10)?;
/// assert_eq!(items, [r#"{"n":1.0}"#, "2"]);
/// assert!(synckit_wire::items(b"[1,2,3]", 2).is_err());
/// # Ok::<(), synckit_core::Error>(())
/// ```
///
/// # Errors
/// `Invalid` when this is not a JSON array, `TooLarge` when it has more items.
pub fn items(text: &[u8], most: usize) -> Result<Vec<&str>> {
    let array: &RawValue =
        serde_json::from_slice(text).map_err(|error| Side::Request.unreadable(&error.to_string()))?;
    let items: Vec<&RawValue> = bounded(array, "items", most, Side::Request)?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

struct Bounded<'x, T> {
    most: usize,
    exceeded: &'x mut bool,
    items: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Bounded<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {} items", self.most)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            if items.len() == self.most {
                *self.exceeded = true;
                return Err(serde::de::Error::custom("too many items"));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// Reads one event of a batch.
pub(super) fn read_event(raw: &RawValue, limits: &WireLimits) -> Result<Event, Unreadable> {
    let text = raw.get();
    let bad = |id: String, code, message: String| Unreadable { id, code, message, text: text.to_owned() };
    let too_large = |id: String| {
        bad(
            id,
            RefusedCode::TooLarge,
            format!("the event is larger than the {} bytes allowed", limits.limits.event_bytes),
        )
    };
    if text.len() > limits.event_text_bytes() {
        return Err(too_large(id_of(text)));
    }
    let event: Event = serde_json::from_str(text).map_err(|error| {
        bad(
            id_of(text),
            RefusedCode::Invalid,
            format!("the event cannot be read: {}", brief(&error.to_string())),
        )
    })?;
    if event.size() > limits.limits.event_bytes {
        return Err(too_large(event.id.to_string()));
    }
    Ok(event)
}

/// Returns the id of something that is not an event, as far as it has one: at most 255 bytes of it.
fn id_of(text: &str) -> String {
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    serde_json::from_str::<Form<'_>>(text).map(|form| brief(&form.id).to_owned()).unwrap_or_default()
}

/// Appends an array of events, and after them the texts that could not be read as events.
///
/// A text is passed on as received, so that the receiver can set it aside too. If it is not even JSON, it is passed on
/// as a string.
pub(super) fn put_events(out: &mut Vec<u8>, events: &[Event], unreadable: &[Unreadable]) {
    out.reserve(events.iter().map(|event| event.size() + 256).sum());
    out.push(b'[');
    let mut first = true;
    let mut comma = |out: &mut Vec<u8>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
    };
    for event in events {
        comma(out);
        super::write_event(event, out);
    }
    for Unreadable { text, .. } in unreadable {
        comma(out);
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => out.extend_from_slice(raw.get().as_bytes()),
            Err(_) => super::put(out, text),
        }
    }
    out.push(b']');
}
