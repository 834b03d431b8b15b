//! Rows of a log that cannot be read: passed over, and named to those who need them.

use serde::Deserialize;
use synckit_core::{
    Error, ErrorKind, EventId, EventStore, Facts, Needs, Page, Position, Query, RefusedCode, Result,
    Unreadable,
};
use synckit_plan::Mend;

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedRow {
    pub(crate) position: Position,
    /// What may be the id of its event.
    pub(crate) id: Option<EventId>,
}

impl DamagedRow {
    /// Returns the row that cannot be read, if the error is about one.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        let named = |key| error.context().iter().find(|(named, _)| *named == key).map(|(_, value)| value);
        let position = named("position").filter(|_| error.kind() == ErrorKind::Corrupt)?.parse().ok()?;
        Some(DamagedRow { position, id: named("event").and_then(|id| id.parse().ok()) })
    }

    /// Returns the id of its event, if this store knows the row under what may be the id.
    pub(crate) async fn event_in(&self, store: &impl EventStore) -> Result<Option<EventId>> {
        let Some(id) = &self.id else { return Ok(None) };
        let facts = store.facts(Needs { ids: vec![id.clone()], ..Needs::default() }).await?;
        Ok(Some(id.clone()).filter(|id| facts.damaged.get(id) == Some(&self.position)))
    }
}

/// Reads a page. If its first row cannot be read, the page has no events, ends after that row, and comes with it. A
/// damaged row further on ends the page before it.
///
/// # Errors
/// Those of the store.
pub(crate) async fn read_over(store: &impl EventStore, query: Query) -> Result<(Page, Option<DamagedRow>)> {
    let (before, row) = (query.after, query.after.saturating_add(1));
    match store.read(query).await {
        Err(error) if DamagedRow::of(&error).is_some_and(|damaged| damaged.position == row) => {
            let needs = Needs { places: vec![before, row], ..Needs::default() };
            let Ok(Facts { head, places, .. }) = store.facts(needs).await else { return Err(error) };
            tracing::error!(position = row, %error, "a row of the log cannot be read and is passed over");
            let mark = |at| places.get(&at).copied();
            let empty = Page::empty(head.store, row, mark(row), row < head.position);
            Ok((Page { from: mark(before), ..empty }, DamagedRow::of(&error)))
        }
        page => Ok((page?, None)),
    }
}

/// Replaces damaged rows as far as there are good copies of their events. Returns how many were replaced. What goes
/// wrong is logged: the rows are then as damaged as before.
pub(crate) async fn mend(store: &impl EventStore, mend: Mend) -> usize {
    match store.commit(mend).await {
        Ok(0) => 0,
        Ok(mended) => {
            tracing::info!(mended, "good copies have replaced damaged rows of the log");
            mended
        }
        Err(error) => {
            tracing::warn!(%error, "a damaged row of the log cannot be replaced");
            0
        }
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
