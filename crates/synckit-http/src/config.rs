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
    /// Client: until the connection stands, and as long again for the handshake of TLS. 10 s.
    pub connect_ms: u64,
    /// Server: until the header of a request is whole, counted from the opening of the connection or the end of the
    /// request before, so it also closes silent and idle connections; before it, as long for the handshake of TLS. Client: until the first byte of the answer,
    /// counted from the last progress in sending the request. 10 s.
    pub header_ms: u64,
    /// The longest pause within a body; the server also allows so long for its answer to make progress. Must be
    /// longer than [`ServerConfig::heartbeat_ms`] of the other side. 15 s.
    pub body_idle_ms: u64,
    /// For a whole request and its answer. A subscription is bounded so only until its answer begins. 30 s.
    pub request_ms: u64,
}

impl Timeouts {
    pub(crate) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(crate) fn header(&self) -> Duration {
        Duration::from_millis(self.header_ms)
    }

    pub(crate) fn body_idle(&self) -> Duration {
        Duration::from_millis(self.body_idle_ms)
    }

    pub(crate) fn request(&self) -> Duration {
        Duration::from_millis(self.request_ms)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect_ms: 10_000, header_ms: 10_000, body_idle_ms: 15_000, request_ms: 30_000 }
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
    /// The most requests at once; more wait for [`ServerConfig::queue_ms`]. A request in work holds its body and what
    /// was read from it: at worst a little over twice `limits.decoded_bytes`, or 40 MiB for a client of go-sync-kit. 64.
    pub requests: usize,
    /// How long a request waits for room before it is answered 503, in milliseconds. 5 s.
    pub queue_ms: u64,
    /// The most subscriptions at once; more are answered 503. 256.
    pub subscriptions: usize,
    /// After how long a silence of a subscription something is sent that shows it is alive, in milliseconds. 5 s.
    pub heartbeat_ms: u64,
    /// How long running requests may take to finish after shutdown began, in milliseconds. Used by
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
            requests: 64,
            queue_ms: 5_000,
            subscriptions: 256,
            heartbeat_ms: 5_000,
            grace_ms: 10_000,
        }
    }
}

/// The calling side. `Debug` shows the names of the headers, not their values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the server is, such as `http://hub.example:8080` or `https://hub.example/base`.
    pub url: String,
    /// What an answer may be.
    #[serde(default)]
    pub limits: WireLimits,
    /// How long to wait for the server.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether requests above 1 KiB are sent compressed (zstd) and compressed answers asked for. True.
    #[serde(default = "yes")]
    pub compression: bool,
    /// Whether messages are protobuf where the server speaks it; else they are JSON. True.
    #[serde(default = "yes")]
    pub protobuf: bool,
    /// Headers sent with every request, such as `Authorization`.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Whom to trust, and what to show, where the URL is `https`.
    #[serde(default)]
    pub tls: ClientTls,
}

fn yes() -> bool {
    true
}

impl HttpConfig {
    /// The server at this URL, everything else by default. The URL is checked when the transport is made.
    pub fn new(url: impl Into<String>) -> Self {
        HttpConfig {
            url: url.into(),
            limits: WireLimits::default(),
            timeouts: Timeouts::default(),
            compression: true,
            protobuf: true,
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

    /// Sets whether messages are protobuf where the server speaks it.
    pub fn with_protobuf(mut self, protobuf: bool) -> Self {
        self.protobuf = protobuf;
        self
    }

    /// Sends a header with every request. Its value is kept out of `Debug` and of errors.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets whom to trust, and what to show, where the URL is `https`.
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpConfig")
            .field("url", &self.url)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .field("compression", &self.compression)
            .field("protobuf", &self.protobuf)
            .field("headers", &names)
            .field("tls", &self.tls)
            .finish()
    }
}
