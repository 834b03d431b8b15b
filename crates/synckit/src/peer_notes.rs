//! What the notebook says about another store, read all at once.

use synckit_core::{Cursor, Error, Facts, HelloResponse, Note, Result, StoreId};
use synckit_plan::Pushed;
use synckit_plan::notes::{self, PullNote, PushNote};

/// Returns the prefixes of what says how far each side has the other's log.
pub(crate) fn notes_about(other: StoreId) -> [String; 3] {
    [notes::pull(other, ""), notes::push(other, ""), notes::pushed(other, "")]
}

/// Returns the places known here in another store's log, without duplicates, in log order: pulled from it, pushed here
/// by it, or returned by it when something was pushed to it. Those that a message has no room for are the earliest. A log
/// that lacks one was restored, or is a copy that has diverged.
pub(crate) fn places_in(log: StoreId, facts: &Facts) -> Result<Vec<Cursor>> {
    let [pull, push, pushed] = [notes::pull(log, ""), notes::push(log, ""), notes::pushed(log, "")];
    let mut places = Vec::new();
    for (key, value) in &facts.notes {
        if key.starts_with(&pull) {
            places.push(Note::read::<PullNote>(key, value)?.cursor);
        } else if key.starts_with(&push) {
            places.extend(Note::read::<PushNote>(key, value)?.placed);
        } else if key.starts_with(&pushed) {
            places.push(text::<Pushed>(key, value)?.place);
        }
    }
    places.retain(|place| place.store() == log && place.position() > 0);
    places.sort_unstable_by_key(|place| (place.position(), place.mark()));
    places.dedup();
    places.drain(..places.len().saturating_sub(HelloResponse::MAX_KNOWN));
    Ok(places)
}

/// Parses a note whose value is text.
pub(crate) fn text<T: std::str::FromStr>(key: &str, value: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| Error::corrupt("a note cannot be read").with("key", key))
}
