//! The parts that messages share, and the errors in them.

use std::str::FromStr;

use synckit_core::{Caller, Cursor, Error, NodeId, Placed, RefusedCode, Result};

use super::generated as form;
use super::write::put_bytes;
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

/// Runs the reading of a request, and turns every error into `Invalid`.
pub(super) fn request<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    read().map_err(|error| Side::Request.unreadable(&error.to_string()))
}

/// Runs the reading of a response, and turns every error into `Corrupt`.
pub(super) fn answer<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    read().map_err(|error| Side::Answer.unreadable(&error.to_string()))
}

/// Checks the length of a message that carries no events.
pub(super) fn check_plain(bytes: &[u8], limits: &WireLimits) -> Result<()> {
    check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))
}

pub(super) fn caller_form(caller: &Caller) -> Option<form::Caller> {
    Some(form::Caller { node: caller.node.to_string(), store: caller.store.to_string() })
}

pub(super) fn caller(form: Option<form::Caller>) -> Result<Caller> {
    let missing = || Error::invalid("it needs a `caller`");
    let form::Caller { node, store } = form.ok_or_else(missing)?;
    Ok(Caller { node: NodeId::new(node)?, store: store.parse()? })
}

pub(super) fn cursor(text: Option<String>) -> Result<Option<Cursor>> {
    text.map(|text| text.parse()).transpose()
}

/// Appends names as the fields of this tag.
pub(super) fn put_names(out: &mut Vec<u8>, tag: u32, names: &[impl AsRef<str>]) {
    for name in names {
        put_bytes(out, tag, name.as_ref().as_bytes());
    }
}

/// Parses the names that [`split`](super::fields::split) has counted.
pub(super) fn names<T: FromStr<Err = Error>>(items: &[(u32, &[u8])], side: Side) -> Result<Vec<T>> {
    let name = |(_, bytes): &(u32, &[u8])| {
        let text = std::str::from_utf8(bytes).map_err(|error| side.unreadable(&error.to_string()))?;
        text.parse().map_err(|error: Error| side.unreadable(&error.to_string()))
    };
    items.iter().map(name).collect()
}

pub(super) fn placed_form(placed: Option<&Placed>) -> Option<form::Placed> {
    placed.map(|placed| form::Placed { after: placed.after, upto: placed.upto.to_string() })
}

pub(super) fn placed(form: Option<form::Placed>) -> Result<Option<Placed>> {
    form.map(|form| Ok(Placed { after: form.after, upto: form.upto.parse()? })).transpose()
}

pub(super) fn text(of: Option<&impl ToString>) -> Option<String> {
    of.map(ToString::to_string)
}

/// Returns the number of a code. A code without a number is written as the unspecified one.
pub(super) fn code_of(code: RefusedCode) -> form::RefusedCode {
    match code {
        RefusedCode::Invalid => form::RefusedCode::Invalid,
        RefusedCode::TooLarge => form::RefusedCode::TooLarge,
        RefusedCode::IdTaken => form::RefusedCode::IdTaken,
        RefusedCode::Denied => form::RefusedCode::Denied,
        _ => form::RefusedCode::Unspecified,
    }
}

/// Returns the code of a number. An unknown number is read as `Invalid`: the event was refused, whatever the reason.
pub(super) fn code(number: i32) -> RefusedCode {
    match form::RefusedCode::try_from(number).unwrap_or_default() {
        form::RefusedCode::Unspecified | form::RefusedCode::Invalid => RefusedCode::Invalid,
        form::RefusedCode::TooLarge => RefusedCode::TooLarge,
        form::RefusedCode::IdTaken => RefusedCode::IdTaken,
        form::RefusedCode::Denied => RefusedCode::Denied,
    }
}
