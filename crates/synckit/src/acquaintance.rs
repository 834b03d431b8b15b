//! What the notebook says of another store, asked for all at once.

use synckit_core::notes::{self, PullNote};
use synckit_core::{Cursor, Error, Facts, Position, Result, StoreId};

/// The prefixes of all that is kept about another store, but for its name.
pub(crate) fn notes_about(other: StoreId) -> [String; 4] {
    [notes::pull(other, ""), notes::push(other, ""), notes::pushed(other, ""), notes::aside_out_of(other)]
}

/// The furthest place known here in another store's log: pulled from it, or pushed here by it. A log that holds
/// the event there has lost none before it. Places that were pushed count only beyond `after`.
pub(crate) fn furthest_in(log: StoreId, facts: &Facts, after: Position) -> Result<Option<Cursor>> {
    let (pull, pushed) = (notes::pull(log, ""), notes::pushed(log, ""));
    let mut furthest: Option<Cursor> = None;
    for (key, value) in &facts.notes {
        let known = if key.starts_with(&pull) {
            Some(notes::read::<PullNote>(key, value)?.cursor)
        } else if key.starts_with(&pushed) {
            Some(text::<Cursor>(key, value)?).filter(|cursor| cursor.position() > after)
        } else {
            None
        };
        let further =
            |known: &Cursor| furthest.as_ref().is_none_or(|best| known.position() > best.position());
        if let Some(known) = known.filter(further) {
            furthest = Some(known);
        }
    }
    Ok(furthest)
}

/// A note whose value is text.
pub(crate) fn text<T: std::str::FromStr>(key: &str, value: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| Error::corrupt("a note cannot be read").with("key", key))
}
