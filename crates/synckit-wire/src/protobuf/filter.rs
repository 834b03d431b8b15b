//! A filter, by way of its parts: `synckit_core` exposes and accepts them only through serde.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synckit_core::{Error, Filter, Result};

use super::fields::{Field, Fields, Value};
use super::generated as form;
use crate::checks::Side;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Parts {
    types: Vec<String>,
    aggregates: Vec<String>,
    aggregate_prefixes: Vec<String>,
    metadata: BTreeMap<String, Vec<String>>,
}

/// Returns the form of a filter; `None` for a filter that passes everything.
pub(super) fn write(filter: &Filter) -> Option<form::Filter> {
    if filter.is_empty() {
        return None;
    }
    let parts = serde_json::to_value(filter).and_then(serde_json::from_value::<Parts>);
    let Parts { types, aggregates, aggregate_prefixes, metadata } = parts.expect("a filter has these parts");
    let metadata =
        metadata.into_iter().map(|(field, values)| form::MetadataCriterion { field, values }).collect();
    Some(form::Filter { types, aggregates, aggregate_prefixes, metadata })
}

/// Reads a filter from a form that has passed [`check`].
pub(super) fn read(form: Option<form::Filter>) -> Result<Filter> {
    let Some(form::Filter { types, aggregates, aggregate_prefixes, metadata: criteria }) = form else {
        return Ok(Filter::new());
    };
    let mut metadata = BTreeMap::new();
    for form::MetadataCriterion { field, values } in criteria {
        if metadata.insert(field, values).is_some() {
            return Err(Error::invalid("a field of the filter's metadata is named twice"));
        }
    }
    let parts = Parts { types, aggregates, aggregate_prefixes, metadata };
    serde_json::to_value(parts)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::invalid(error.to_string()))
}

/// Counts the repeated parts of a filter before any of it is built.
///
/// # Errors
/// `Invalid` when it has more criteria than a filter may have.
pub(super) fn check(request: &[u8]) -> Result<()> {
    let (mut fields, mut values) = (0, 0);
    for filter in messages(request, |tag| tag == 4) {
        for criterion in messages(filter?.1, |tag| matches!(tag, 1..=4)) {
            let (tag, criterion) = criterion?;
            fields += usize::from(tag == 4);
            values += usize::from(tag != 4);
            if tag == 4 {
                for value in messages(criterion, |tag| tag == 2) {
                    value?;
                    values += 1;
                }
            }
            if fields.max(values) > Filter::MAX_CRITERIA {
                let most = Filter::MAX_CRITERIA;
                return Err(Error::invalid(format!("the filter has more than the {most} criteria allowed")));
            }
        }
    }
    Ok(())
}

/// Iterates over the strings and messages in a message that have a wanted tag.
fn messages(bytes: &[u8], wanted: impl Fn(u32) -> bool) -> impl Iterator<Item = Result<(u32, &[u8])>> {
    Fields(bytes).filter_map(move |field| match field {
        Ok(Field { tag, value: Value::Bytes(bytes), .. }) if wanted(tag) => Some(Ok((tag, bytes))),
        Ok(_) => None,
        Err(error) => Some(Err(Side::Request.unreadable(&error.to_string()))),
    })
}
