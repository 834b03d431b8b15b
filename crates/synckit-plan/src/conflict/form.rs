//! The JSON form of the events a resolution names: `["a",1]`, `["a",1,{"b":2}]`, `{"id":"r-1","clock":{"a":1}}`.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use synckit_core::{Dot, EventId, VectorClock};

use crate::conflict::resolution::Kept;
use crate::conflict::side::Side;

fn put<S: Serializer>(serializer: S, dot: &Dot, clock: Option<&VectorClock>) -> Result<S::Ok, S::Error> {
    let mut array = serializer.serialize_seq(Some(2 + usize::from(clock.is_some())))?;
    array.serialize_element(&dot.node)?;
    array.serialize_element(&dot.counter)?;
    if let Some(clock) = clock {
        array.serialize_element(clock)?;
    }
    array.end()
}

fn take<'de, A: SeqAccess<'de>>(mut array: A) -> Result<(Dot, Option<VectorClock>), A::Error> {
    let missing = |place: usize| A::Error::invalid_length(place, &"a node, a counter and perhaps a clock");
    let node = array.next_element()?.ok_or_else(|| missing(0))?;
    let counter = array.next_element()?.ok_or_else(|| missing(1))?;
    let clock: Option<VectorClock> = array.next_element()?;
    if clock.as_ref().is_some_and(VectorClock::is_empty) {
        return Err(A::Error::custom("an empty clock is left out"));
    }
    if clock.is_some() && array.next_element::<IgnoredAny>()?.is_some() {
        return Err(missing(4));
    }
    Ok((Dot { node, counter }, clock))
}

impl Serialize for Side {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        put(serializer, &self.dot, Some(&self.above).filter(|above| !above.is_empty()))
    }
}

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Side;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of a node, a counter and perhaps a clock")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Side, A::Error> {
                let (dot, above) = take(array)?;
                Ok(Side { dot, above: above.unwrap_or_default() })
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

/// Reads sides, at most as many as a clock can have nodes.
pub(super) fn sides<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Side>, D::Error> {
    struct Sides;
    impl<'de> Visitor<'de> for Sides {
        type Value = Vec<Side>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of sides")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<Side>, A::Error> {
            let mut sides = Vec::new();
            while let Some(side) = array.next_element()? {
                if sides.len() == VectorClock::MAX_NODES {
                    return Err(A::Error::custom("there are more sides than nodes in a clock"));
                }
                sides.push(side);
            }
            Ok(sides)
        }
    }
    deserializer.deserialize_seq(Sides)
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    id: EventId,
    clock: VectorClock,
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Kept::Side(dot) => put(serializer, dot, None),
            Kept::Seen(dot, clock) => put(serializer, dot, Some(clock)),
            Kept::Resolution(id, clock) => {
                Earlier { id: id.clone(), clock: clock.clone() }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArrayOrObject;
        impl<'de> Visitor<'de> for ArrayOrObject {
            type Value = Kept;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of a node, a counter and perhaps a clock, or an id and a clock")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Kept, A::Error> {
                Ok(match take(array)? {
                    (dot, None) => Kept::Side(dot),
                    (dot, Some(clock)) => Kept::Seen(dot, clock),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Kept, A::Error> {
                let Earlier { id, clock } = Earlier::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Kept::Resolution(id, clock))
            }
        }
        deserializer.deserialize_any(ArrayOrObject)
    }
}
