//! With `-v`: who calls a hub, what moves, and who stays connected, on standard error.

use synckit::observe::{Call, Notice};

use crate::output;
use crate::text;

/// Says what a hub has done.
pub(super) fn say(notice: &Notice<'_>) {
    let (caller, what) = match notice {
        Notice::Served { call, caller, error: Some(error), .. } => {
            (caller, format!("{call} failed: {error}"))
        }
        Notice::Served { call: Call::Hello, caller, received: 0, .. } => (caller, "says hello".to_owned()),
        Notice::Served { call: Call::Hello, caller, received, .. } => {
            (caller, format!("says hello, {} pushed", events(*received)))
        }
        Notice::Served { caller, received: 0, sent, refused: 0, .. } => match sent {
            0 => return,
            sent => (caller, format!("{} pulled", events(*sent))),
        },
        Notice::Served { caller, received, refused: 0, .. } => {
            (caller, format!("{} pushed", events(*received)))
        }
        Notice::Served { caller, received, refused, .. } => {
            (caller, format!("{} pushed, {refused} refused", events(*received)))
        }
        Notice::Subscribed { caller } => (caller, "is connected".to_owned()),
        Notice::Unsubscribed { caller, error: Some(error), .. } => {
            (caller, format!("its subscription failed: {error}"))
        }
        Notice::Unsubscribed { caller, sent, lasted, .. } => {
            (caller, format!("is gone after {} s, {} sent", lasted.as_secs(), events(*sent)))
        }
        _ => return,
    };
    output::message(format_args!("{}: {what}", text::plain(caller.node.as_str())));
}

/// Writes a number of events.
fn events(count: usize) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}
