//! Which callers may read and write what through an endpoint.

use synckit_core::{Caller, Event, NodeId};
use synckit_plan::Restamp;

/// Decides what a caller may read and write.
///
/// A caller names itself. Proving that it is who it claims to be is up to the layer that knows its credentials: one
/// that checks a token and compares it with the caller in the message, or that gives each tenant a separate endpoint.
///
/// ```
/// use synckit::transport::Caller;
/// use synckit::{Access, Event};
///
/// /// Everybody reads; only devices of the staff write.
/// struct Staff;
///
/// impl Access for Staff {
///     fn may_read(&self, _: &Caller, _: &Event) -> bool {
///         true
///     }
///
///     fn may_write(&self, caller: &Caller, _: &Event) -> bool {
///         caller.node.as_str().starts_with("staff-")
///     }
/// }
/// ```
pub trait Access: Send + Sync + 'static {
    /// Returns whether the caller may read this event. What it may not read is skipped, as by a filter. Judge a
    /// resolution by its aggregate: a decision that overrides another can be stored only where that one was read.
    fn may_read(&self, caller: &Caller, event: &Event) -> bool;

    /// Returns whether the caller may write this event. What it may not write is refused as `denied`; the rest of its
    /// batch is stored.
    fn may_write(&self, caller: &Caller, event: &Event) -> bool;

    /// Returns a name for what the caller may read. When the name differs from the last sync, the caller asks again for
    /// what was skipped before, so that a right granted later also brings older events. Without names, callers never
    /// ask again.
    fn rights(&self, caller: &Caller) -> Option<String> {
        let _ = caller;
        None
    }
}

/// Callers read everything. They write only what they authored, under the name a person chose for them and whatever
/// synckit appended to it after a `~`. For hubs whose replicas sync with nobody else.
#[derive(Clone, Copy, Debug)]
pub struct OwnEvents {
    /// Whether callers may settle conflicts; resolutions have no author. If they may not, the hub settles them.
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
