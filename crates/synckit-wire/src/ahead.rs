//! Events that come with a hello, as both forms read them.

use synckit_core::{Ahead, Cursor, Event, EventId, Result, StoreId, Unreadable};

use crate::checks::Side;

/// What comes with a hello. Events of which one cannot be read are left out: push says what is wrong with it.
///
/// # Errors
/// `Invalid` where one of the places is missing, or all are but there are events or a latest one.
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
