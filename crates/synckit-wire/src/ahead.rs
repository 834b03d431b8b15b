//! Events that come with a hello, as read from both forms.

use synckit_core::{Ahead, Cursor, Event, EventId, Result, StoreId, Unreadable};

use crate::checks::Side;

/// Returns what comes with a hello. If one of the events cannot be read, all are left out: the push that follows
/// reports what is wrong.
///
/// # Errors
/// `Invalid` when one of the places is missing, or when all are but there are events or a latest one.
pub(crate) fn ahead(
    some: bool,
    events: Result<Vec<Event>, Unreadable>,
    peer: Option<StoreId>,
    after: Option<Cursor>,
    latest: Option<EventId>,
    upto: Option<Cursor>,
) -> Result<Option<Ahead>> {
    match (peer, after, upto) {
        (Some(peer), Some(after), Some(upto)) => {
            Ok(events.ok().map(|events| Ahead { peer, after, latest, events, upto }))
        }
        (None, None, None) if !some && latest.is_none() => Ok(None),
        _ => {
            let why =
                "`events`, `peer`, `after` and `upto` come together or not at all, and `latest` with them";
            Err(Side::Request.unreadable(why))
        }
    }
}
