//! What a message may be at most.

use serde::{Deserialize, Serialize};
use synckit_core::Limits;

/// The limits of one side of a wire. Both sides have their own; the stricter one decides.
///
/// ```
/// let limits: synckit_wire::WireLimits = serde_json::from_str(r#"{"body_bytes":1048576}"#)?;
/// assert_eq!(limits.decoded_bytes, 16 << 20);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WireLimits {
    /// What an event and a batch may be.
    pub limits: Limits,
    /// The most bytes of one message on the wire, as compressed. 4 MiB.
    pub body_bytes: usize,
    /// The most bytes of one message once it is unpacked. 16 MiB.
    pub decoded_bytes: usize,
}

impl WireLimits {
    /// The most bytes of a message that carries no events, once it is unpacked: 2 MiB, room for 1,000 ids or
    /// filter criteria at their longest. Small, because such a message unfolds in memory to many times its size.
    pub const PLAIN_BYTES: usize = 2 << 20;

    /// The most places of the caller's log that the answer to a hello names. 1,000.
    pub const KNOWN_PLACES: usize = synckit_core::HelloResponse::MAX_KNOWN;

    /// The longest JSON text of an event that is within [`Limits::event_bytes`].
    ///
    /// JSON writes a byte as at most six (`\u0000`); the names of the fields and the dot come on top.
    pub fn event_text_bytes(&self) -> usize {
        self.limits.event_bytes.saturating_mul(6).saturating_add(4 << 10)
    }
}

impl Default for WireLimits {
    fn default() -> Self {
        WireLimits { limits: Limits::default(), body_bytes: 4 << 20, decoded_bytes: 16 << 20 }
    }
}
