//! Rows of a log that cannot be read: passed over, and named to those who need them.

use serde::Deserialize;
use synckit_core::{
    Error, ErrorKind, EventStore, Facts, Needs, Page, Position, Query, RefusedCode, Result, Unreadable,
};

/// Returns the position of the row that cannot be read, if the error is about one.
pub(crate) fn damaged_row(error: &Error) -> Option<Position> {
    let position = error.context().iter().find(|(key, _)| *key == "position");
    position.filter(|_| error.kind() == ErrorKind::Corrupt)?.1.parse().ok()
}

/// Reads a page. If its first row cannot be read, the page has no events, ends after that row, and comes with the
/// position of the row. A damaged row further on ends the page before it.
///
/// # Errors
/// Those of the store.
pub(crate) async fn read_over(store: &impl EventStore, query: Query) -> Result<(Page, Option<Position>)> {
    let (before, row) = (query.after, query.after.saturating_add(1));
    match store.read(query).await {
        Err(error) if damaged_row(&error) == Some(row) => {
            let needs = Needs { places: vec![before, row], ..Needs::default() };
            let Ok(Facts { head, places, .. }) = store.facts(needs).await else { return Err(error) };
            tracing::error!(position = row, %error, "a row of the log cannot be read and is passed over");
            let mark = |at| places.get(&at).copied();
            let empty = Page::empty(head.store, row, mark(row), row < head.position);
            Ok((Page { from: mark(before), ..empty }, Some(row)))
        }
        page => Ok((page?, None)),
    }
}

/// What takes the place of an event that the endpoint cannot read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapForm {
    unreadable: Position,
}

/// Returns the entry of a page for a row that cannot be read.
pub(crate) fn gap(position: Position) -> Unreadable {
    Unreadable {
        id: String::new(),
        code: RefusedCode::Invalid,
        message: format!("the peer cannot read position {position} of its log"),
        text: format!("{{\"unreadable\":{position}}}"),
    }
}

/// Returns the position that the peer cannot read, if the entry says so.
pub(crate) fn gap_in(entry: &Unreadable) -> Option<Position> {
    serde_json::from_str::<GapForm>(&entry.text).ok().map(|form| form.unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_from_an_event_that_cannot_be_read() {
        assert_eq!(gap_in(&gap(7)), Some(7));
        for text in ["{}", "{\"id\":\"e\"}", "{\"unreadable\":7,\"id\":\"e\"}", "not JSON"] {
            let entry = Unreadable { text: text.to_owned(), ..gap(7) };
            assert_eq!(gap_in(&entry), None, "{text}");
        }
    }
}
