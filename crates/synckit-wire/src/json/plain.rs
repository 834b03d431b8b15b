//! The messages that carry no events.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use synckit_core::{
    Caller, Cursor, HelloResponse, MissingRequest, MissingResponse, Placed, PullRequest, PushResponse,
    Refused, RefusedCode, Result, Scope,
};

use super::batch::{bounded, bounded_places};
use super::{FromJson, ToJson, parse, parse_plain, put};
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

macro_rules! encode {
    ($($message:ty),*) => {$(
        impl ToJson for $message {
            fn to_json(&self) -> Vec<u8> {
                let mut out = Vec::new();
                put(&mut out, self);
                out
            }
        }
    )*};
}

encode!(HelloResponse, PullRequest, PushResponse, MissingRequest, MissingResponse);

impl FromJson for PullRequest {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let PullParts { scope, .. } = parse_plain(bytes, limits, Side::Request)?;
        // A scope without names is a string. Whatever is neither is refused below.
        let names = scope.and_then(|scope| serde_json::from_str(scope.get()).ok());
        let ScopeNames { sent, named } = names.unwrap_or_default();
        if let Some(stores) = sent {
            bounded::<IgnoredAny>(stores, "stores", Scope::MAX_STORES, Side::Request)?;
        }
        if let Some(ids) = named {
            bounded::<IgnoredAny>(ids, "ids", limits.limits.batch_events, Side::Request)?;
        }
        parse(bytes, Side::Request)
    }
}

/// The parts of a pull that are checked before it is built.
#[derive(Deserialize)]
struct PullParts<'a> {
    #[serde(default, rename = "filter")]
    _filter: FilterKeys,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
}

/// The arrays of a scope, still as text.
#[derive(Default, Deserialize)]
struct ScopeNames<'a> {
    #[serde(borrow)]
    sent: Option<&'a RawValue>,
    #[serde(borrow)]
    named: Option<&'a RawValue>,
}

/// The only part of a request whose keys the caller chooses: a map would keep the last of two equal ones.
#[derive(Default, Deserialize)]
struct FilterKeys {
    #[serde(default, rename = "metadata")]
    _metadata: UniqueKeys,
}

#[derive(Default)]
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if !keys.insert(key) {
                return Err(serde::de::Error::custom("a field of the filter's metadata is named twice"));
            }
        }
        Ok(UniqueKeys)
    }
}

impl FromJson for PushResponse {
    /// Reads the response to a push. It may name every event of a large batch, each with a reason.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes)?;
        synckit_core::json::check_depth(bytes)?;
        let PushAnswer { accepted, duplicates, refused, placed } = parse(bytes, Side::Answer)?;
        let most = limits.limits.batch_events;
        let refused: Vec<RefusedForm<'_>> = bounded(refused, "refused events", most, Side::Answer)?;
        let refused = refused.into_iter().map(|RefusedForm { id, code, message }| {
            let known: Result<_, serde::de::value::Error> =
                RefusedCode::deserialize(code.into_deserializer());
            let code = known.unwrap_or(RefusedCode::Invalid);
            Refused { id: id.into_owned(), code, message: message.into_owned() }
        });
        Ok(PushResponse { accepted, duplicates, refused: refused.collect(), placed })
    }
}

/// The parts of the response to a push, with the refused events still as text.
#[derive(Deserialize)]
struct PushAnswer<'a> {
    accepted: usize,
    duplicates: usize,
    #[serde(borrow)]
    refused: &'a RawValue,
    placed: Option<Placed>,
}

/// A refused event. An unknown code is read as `Invalid`: the event was refused, whatever the reason.
#[derive(Deserialize)]
struct RefusedForm<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// The parts of a request for missing events, with its ids still as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MissingForm<'a> {
    caller: Caller,
    #[serde(borrow)]
    ids: &'a RawValue,
    #[serde(borrow)]
    known: Option<&'a RawValue>,
}

impl FromJson for MissingRequest {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let form: MissingForm<'_> = parse_plain(bytes, limits, Side::Request)?;
        let ids = bounded(form.ids, "ids", limits.limits.batch_events, Side::Request)?;
        Ok(MissingRequest { caller: form.caller, ids, known: bounded_places(form.known)? })
    }
}

/// The parts of the response to that request.
#[derive(Deserialize)]
struct MissingAnswer<'a> {
    #[serde(borrow)]
    ids: &'a RawValue,
    place: Option<Cursor>,
}

impl FromJson for MissingResponse {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let form: MissingAnswer<'_> = parse_plain(bytes, limits, Side::Answer)?;
        let ids = bounded(form.ids, "ids", limits.limits.batch_events, Side::Answer)?;
        Ok(MissingResponse { ids, place: form.place })
    }
}
