//! What a deployment can set, on each side.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synckit_net::ClientTls;
use synckit_wire::WireLimits;

/// How long one side waits for the other, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Client: until the connection stands, and as long again for the handshake of TLS. Server: until a caller has
    /// opened, which is the handshake of TLS and the first frame of HTTP/2. 10 s.
    pub connect_ms: u64,
    /// After how long a silence the other side is pinged. The client pings while a call runs. 10 s.
    pub keep_alive_ms: u64,
    /// How long the answer to a ping may take, before the connection is given up with all its calls. 10 s.
    pub keep_alive_timeout_ms: u64,
    /// The longest pause between two messages of a stream. Must be longer than [`ServerConfig::heartbeat_ms`] of the
    /// other side. 15 s.
    pub idle_ms: u64,
    /// For a whole call; of a stream, for each message: the server waits so long for it to be made and to be taken. The
    /// deadline that the client sets. The server takes the shorter of its own and the caller's. 30 s.
    pub request_ms: u64,
}

impl Timeouts {
    pub(crate) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }

    pub(crate) fn keep_alive_timeout(&self) -> Duration {
        Duration::from_millis(self.keep_alive_timeout_ms)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(crate) fn request(&self) -> Duration {
        Duration::from_millis(self.request_ms)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect_ms: 10_000,
            keep_alive_ms: 10_000,
            keep_alive_timeout_ms: 10_000,
            idle_ms: 15_000,
            request_ms: 30_000,
        }
    }
}

/// The answering side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// What a message may be.
    pub limits: WireLimits,
    /// How long to wait for callers.
    pub timeouts: Timeouts,
    /// The most connections at once; more wait to be accepted. Used by [`serve`](crate::serve). 1,024.
    pub connections: usize,
    /// The most calls at once on one connection; a caller waits with more. Used by [`serve`](crate::serve). 128.
    pub calls_per_connection: u32,
    /// The most requests in work at once; more wait for [`ServerConfig::queue_ms`]. A request in work holds its message
    /// and what was read from it: at worst a little over twice `limits.decoded_bytes`. 64.
    pub requests: usize,
    /// How long a request waits for room before it is answered `UNAVAILABLE`, in milliseconds. 5 s.
    pub queue_ms: u64,
    /// The most streams at once that last: subscriptions, pulls without a limit, streamed pushes; more are answered
    /// `UNAVAILABLE`. Each holds one message at most. 256.
    pub subscriptions: usize,
    /// After how long a silence of a subscription something is sent that shows it is alive, in milliseconds. 5 s.
    pub heartbeat_ms: u64,
    /// How long running calls may take to finish after shutdown began, in milliseconds. Used by
    /// [`serve`](crate::serve). 10 s.
    pub grace_ms: u64,
}

impl ServerConfig {
    pub(crate) fn queue(&self) -> Duration {
        Duration::from_millis(self.queue_ms)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            limits: WireLimits::default(),
            timeouts: Timeouts::default(),
            connections: 1_024,
            calls_per_connection: 128,
            requests: 64,
            queue_ms: 5_000,
            subscriptions: 256,
            heartbeat_ms: 5_000,
            grace_ms: 10_000,
        }
    }
}

/// The calling side. `Debug` shows the names of the headers, not their values, and no key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcConfig {
    /// Where the server is: `grpc://hub.example:8081`, or `grpcs://hub.example:8081` for TLS.
    pub url: String,
    /// What an answer may be.
    #[serde(default)]
    pub limits: WireLimits,
    /// How long to wait for the server.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether messages above 1 KiB are sent compressed (zstd) and compressed answers asked for. True.
    #[serde(default = "yes")]
    pub compression: bool,
    /// Headers sent with every call, such as `authorization`: the metadata of gRPC.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Whom to trust, and what to show, where the URL is `grpcs`.
    #[serde(default)]
    pub tls: ClientTls,
}

fn yes() -> bool {
    true
}

impl GrpcConfig {
    /// The server at this URL, everything else by default. The URL is checked when the transport is made.
    pub fn new(url: impl Into<String>) -> Self {
        GrpcConfig {
            url: url.into(),
            limits: WireLimits::default(),
            timeouts: Timeouts::default(),
            compression: true,
            headers: Vec::new(),
            tls: ClientTls::default(),
        }
    }

    /// Sets what an answer may be.
    pub fn with_limits(mut self, limits: WireLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long to wait for the server.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets whether requests and answers are compressed.
    pub fn with_compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    /// Sends a header with every call. Its value is kept out of `Debug` and of errors.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets whom to trust and what to show where the URL is `grpcs`.
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }
}

impl fmt::Debug for GrpcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("GrpcConfig")
            .field("url", &self.url)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .field("compression", &self.compression)
            .field("headers", &names)
            .field("tls", &self.tls)
            .finish()
    }
}
