//! Who may read and write what through an endpoint.

use synckit_core::{Caller, Event, NodeId};
use synckit_plan::Restamp;

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

    /// A name for what the caller may read. When it is another than at the last sync, the caller looks again at what it was
    /// passed over for: so a right that is granted later brings what is old. Without names nobody does.
    fn rights(&self, caller: &Caller) -> Option<String> {
        let _ = caller;
        None
    }
}

/// Callers read everything and write only what they authored, under the name a person chose for them, whatever synckit has
/// appended to it after a `~`. For hubs whose replicas sync with nobody else.
#[derive(Clone, Copy, Debug)]
pub struct OwnEvents {
    /// Whether callers may settle conflicts: resolutions have no author. Where they may not, the hub does.
    pub resolutions: bool,
}

impl Default for OwnEvents {
    fn default() -> Self {
        OwnEvents { resolutions: true }
    }
}

impl Access for OwnEvents {
    fn may_read(&self, _: &Caller, _: &Event) -> bool {
        true
    }

    fn may_write(&self, caller: &Caller, event: &Event) -> bool {
        let own = |node: &NodeId| !node.chosen().is_empty() && node.chosen() == caller.node.chosen();
        match &event.dot {
            Some(dot) => own(&dot.node),
            None if event.is_restamp() => Restamp::read(event)
                .is_ok_and(|restamp| restamp.dot.node.is_alias() || own(&restamp.dot.node)),
            None => self.resolutions,
        }
    }
}
