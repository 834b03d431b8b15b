//! The maximum sizes of messages.

use serde::{Deserialize, Serialize};
use synckit_core::Limits;

/// The limits of one side of a connection. Each side has its own; the stricter one decides.
///
/// ```
/// let limits: synckit_wire::WireLimits = serde_json::from_str(r#"{"body_bytes":1048576}"#)?;
/// assert_eq!(limits.decoded_bytes, 16 << 20);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WireLimits {
    /// The limits on an event and a batch.
    pub limits: Limits,
    /// The maximum size of one message on the wire, after compression, in bytes. Default: 4 MiB.
    pub body_bytes: usize,
    /// The maximum size of one message once it is decompressed, in bytes. Default: 16 MiB.
    pub decoded_bytes: usize,
}

impl WireLimits {
    /// The maximum size of a message that carries no events, once it is decompressed: 2 MiB, room for 1,000 ids or
    /// filter criteria of maximum length. Small, because such a message expands in memory to many times its size.
    pub const PLAIN_BYTES: usize = 2 << 20;

    /// The maximum number of places of the caller's log in the response to a hello: 1,000.
    pub const KNOWN_PLACES: usize = synckit_core::HelloResponse::MAX_KNOWN;

    /// Returns the maximum length of the JSON text of an event that is within [`Limits::event_bytes`].
    ///
    /// JSON writes a byte as at most six bytes (`\u0000`); the names of the fields and the dot come on top.
    pub fn event_text_bytes(&self) -> usize {
        self.limits.event_bytes.saturating_mul(6).saturating_add(4 << 10)
    }
}

impl Default for WireLimits {
    fn default() -> Self {
        WireLimits { limits: Limits::default(), body_bytes: 4 << 20, decoded_bytes: 16 << 20 }
    }
}
