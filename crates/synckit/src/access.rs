//! Who may read and write what through an endpoint.

use synckit_core::{Caller, Event};

/// Decides what a caller may read and write.
///
/// A caller names itself. Whether it is who it says is for the layer that knows its credentials: one that checks a
/// token and compares the caller in the message, or that leads each tenant to an endpoint of its own.
pub trait Access: Send + Sync + 'static {
    /// Whether the caller may read this event. What it may not is passed over, as by a filter.
    fn may_read(&self, caller: &Caller, event: &Event) -> bool;

    /// Whether the caller may write this event. What it may not is refused as `denied`; the rest of its batch is
    /// stored.
    fn may_write(&self, caller: &Caller, event: &Event) -> bool;
}

/// Callers read everything and write only what they authored, under their name or one it was derived from after a
/// restore, and resolutions, which have no author. For hubs whose replicas sync with nobody else.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnEvents;

impl Access for OwnEvents {
    fn may_read(&self, _: &Caller, _: &Event) -> bool {
        true
    }

    fn may_write(&self, caller: &Caller, event: &Event) -> bool {
        let name = |node: &str| node.rsplit_once('~').map_or(node, |(name, _)| name).to_owned();
        event.dot.as_ref().is_none_or(|dot| name(dot.node.as_str()) == name(caller.node.as_str()))
    }
}
