//! What a deployment can set, on each side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use synckit_core::{Error, Result};
use synckit_net::{ClientTls, Coding, Connector, Counts, Protocol, Proxy};
use synckit_wire::WireLimits;

use crate::address::Address;
use crate::trace::CallHeaders;

/// How long one side waits for the other, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Client: until the connection is open, and as long again for the TLS handshake. Server: for that handshake, and
    /// as long again until a caller has sent its opening. Over HTTP/1.1 that is until the header of a request is
    /// complete, counted from the opening of the connection or the end of the request before. 10 s.
    pub connect_ms: u64,
    /// The longest pause within a message, between two messages of a stream, or in the progress of an answer. Must be
    /// longer than [`ServerConfig::heartbeat_ms`] of the other side. 15 s.
    pub idle_ms: u64,
    /// For a whole call; for a stream, until each message is made, and until it is taken. A subscription over HTTP has
    /// this limit only until its answer begins. If the caller names a deadline, the shorter counts. 30 s.
    pub request_ms: u64,
    /// The silence after which the other side is pinged, if the protocol has pings: gRPC does, HTTP/1.1 does not. A
    /// client pings while a call runs. 10 s.
    pub keep_alive_ms: u64,
    /// How long the answer to a ping may take, before the connection and all its calls are given up. 10 s.
    pub keep_alive_timeout_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect_ms: 10_000,
            idle_ms: 15_000,
            request_ms: 30_000,
            keep_alive_ms: 10_000,
            keep_alive_timeout_ms: 10_000,
        }
    }
}

/// Durations of fields that hold milliseconds.
macro_rules! durations {
    ($on:ident: $($name:ident of $field:ident),*) => {
        impl $on {
            $(
                #[doc = concat!("Returns [`", stringify!($on), "::", stringify!($field), "`].")]
                pub fn $name(&self) -> Duration {
                    Duration::from_millis(self.$field)
                }
            )*
        }
    };
}

durations!(Timeouts: connect of connect_ms, idle of idle_ms, request of request_ms, keep_alive of keep_alive_ms,
    keep_alive_timeout of keep_alive_timeout_ms);

/// The answering side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The limits of a message.
    pub limits: WireLimits,
    /// How long to wait for callers.
    pub timeouts: Timeouts,
    /// The most connections at once; further ones wait to be accepted. Used by [`serve`](crate::serve). 1,024.
    pub connections: usize,
    /// The most calls at once on one connection, if the protocol has several, as gRPC does; a caller waits with further
    /// ones. Used by [`serve`](crate::serve). 128.
    pub calls_per_connection: u32,
    /// The most memory for requests that arrive or run, in bytes as they are on the wire, and at least one message. A
    /// request that finds none for [`ServerConfig::queue_ms`] is refused as `Busy`. 256 MiB.
    pub arriving_bytes: usize,
    /// The most running requests, once they have arrived; further ones wait for [`ServerConfig::queue_ms`]. A running request holds its message
    /// and what was read from it: at worst a little over twice `limits.decoded_bytes`. 64.
    pub requests: usize,
    /// How long a request waits for room before it is refused as `Busy`, in milliseconds. 5 s.
    pub queue_ms: u64,
    /// The most lasting streams at once, such as subscriptions; further ones are refused as `Busy`. Each holds at most
    /// one message. 256.
    pub subscriptions: usize,
    /// The silence of a subscription after which something is sent that shows it is alive, in milliseconds. 5 s.
    pub heartbeat_ms: u64,
    /// How long running calls may take to finish once shutdown has begun, in milliseconds. Used by
    /// [`serve`](crate::serve). 10 s.
    pub grace_ms: u64,
}

durations!(ServerConfig: queue of queue_ms, heartbeat of heartbeat_ms, grace of grace_ms);

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            limits: WireLimits::default(),
            timeouts: Timeouts::default(),
            connections: 1_024,
            calls_per_connection: 128,
            arriving_bytes: 256 << 20,
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
pub struct ClientConfig {
    /// Where the server is, such as `http://hub.example:8080`, `https://hub.example/base` or `grpcs://hub.example:8081`.
    pub url: String,
    /// The limits of an answer.
    #[serde(default)]
    pub limits: WireLimits,
    /// How long to wait for the server.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether messages above 1 KiB are sent compressed (zstd), and compressed answers are asked for. True.
    #[serde(default = "yes")]
    pub compression: bool,
    /// Whether messages are protobuf if the server speaks it; otherwise they are JSON. gRPC requires it. True.
    #[serde(default = "yes")]
    pub protobuf: bool,
    /// Headers sent with every call, such as `Authorization`; the metadata of gRPC.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The proxy through which connections are made, such as `http://user:password@proxy.example:3128`.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Whether, without `proxy`, a URL with TLS is reached through the proxy that `HTTPS_PROXY` names, unless `NO_PROXY`
    /// excludes the host. False.
    #[serde(default)]
    pub proxy_from_environment: bool,
    /// Whom to trust, and what to show, if the URL asks for TLS.
    #[serde(default)]
    pub tls: ClientTls,
    /// What adds headers to each call: see [`ClientConfig::with_call_headers`].
    #[serde(skip)]
    pub call_headers: CallHeaders,
}

fn yes() -> bool {
    true
}

impl ClientConfig {
    /// Creates the configuration for the server at this URL, with defaults for everything else. The URL is checked when
    /// the transport is made.
    ///
    /// ```
    /// use synckit_remote::ClientConfig;
    ///
    /// let config = ClientConfig::new("https://hub.example").with_bearer("a token").with_compression(false);
    /// assert_eq!(config.url, "https://hub.example");
    /// ```
    pub fn new(url: impl Into<String>) -> Self {
        ClientConfig {
            url: url.into(),
            limits: WireLimits::default(),
            timeouts: Timeouts::default(),
            compression: true,
            protobuf: true,
            headers: Vec::new(),
            proxy: None,
            proxy_from_environment: false,
            tls: ClientTls::default(),
            call_headers: CallHeaders::default(),
        }
    }

    /// Sets the limits of an answer.
    pub fn with_limits(mut self, limits: WireLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long to wait for the server.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets whether messages are compressed, both ways.
    pub fn with_compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    /// Sets whether messages are protobuf if the server speaks it.
    pub fn with_protobuf(mut self, protobuf: bool) -> Self {
        self.protobuf = protobuf;
        self
    }

    /// Sends a header with every call. Its value is kept out of `Debug` and of errors.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends these credentials with every call, as HTTP's basic authentication. They are kept out of `Debug` and of
    /// errors.
    pub fn with_basic_auth(self, user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.with_header(AUTHORIZATION.as_str(), format!("Basic {credentials}"))
    }

    /// Sends this token with every call, as a bearer token. It is kept out of `Debug` and of errors.
    pub fn with_bearer(self, token: &str) -> Self {
        self.with_header(AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    /// Calls a function for each call, within its span, that adds headers: the context of a trace, such as `traceparent`.
    /// A server reads it in the function given to [`Service::with_span`](crate::Service::with_span).
    ///
    /// ```
    /// use http::{HeaderName, HeaderValue};
    /// use synckit_remote::ClientConfig;
    ///
    /// /// Returns the context of the current span, as a tracing system knows it.
    /// fn context() -> Option<String> {
    ///     Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned())
    /// }
    ///
    /// let config = ClientConfig::new("https://hub.example").with_call_headers(|headers| {
    ///     if let Some(value) = context().and_then(|context| HeaderValue::try_from(context).ok()) {
    ///         headers.insert(HeaderName::from_static("traceparent"), value);
    ///     }
    /// });
    /// # let _ = config;
    /// ```
    pub fn with_call_headers(mut self, add: impl Fn(&mut HeaderMap) + Send + Sync + 'static) -> Self {
        self.call_headers = CallHeaders::new(add);
        self
    }

    /// Connects through this proxy, such as `http://user:password@proxy.example:3128`. Its credentials are kept out of
    /// `Debug` and of errors.
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Sets whether a URL with TLS is reached through the proxy that `HTTPS_PROXY` names, unless `NO_PROXY` excludes the
    /// host.
    pub fn with_proxy_from_environment(mut self, used: bool) -> Self {
        self.proxy_from_environment = used;
        self
    }

    /// Creates what opens the connections to a server: with TLS if its URL asks for it, and through the proxy if there is
    /// one.
    ///
    /// # Errors
    /// `Invalid` for settings of TLS and a proxy that cannot be used; the URL of the proxy is not in the error.
    /// `Unsupported` for TLS without the feature `tls`.
    pub fn connector(&self, address: &Address, protocol: Protocol, counts: Arc<Counts>) -> Result<Connector> {
        let (tls, proxy) = (address.dialer(protocol, &self.tls)?, self.proxy_to(address)?);
        Ok(Connector::new(protocol, tls, self.timeouts.connect(), counts).with_proxy(proxy))
    }

    fn proxy_to(&self, address: &Address) -> Result<Option<Proxy>> {
        match &self.proxy {
            Some(url) => Proxy::parse(url).map(Some),
            None if self.proxy_from_environment && address.secure => {
                Proxy::from_environment(&address.uri("/")?)
            }
            None => Ok(None),
        }
    }

    /// Sets whom to trust, and what to show, if the URL asks for TLS.
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// Returns how messages to the server are packed.
    pub fn coding(&self) -> Coding {
        if self.compression { Coding::Zstd } else { Coding::Identity }
    }

    /// Returns the headers of every call, with the name of this software in front.
    ///
    /// # Errors
    /// `Invalid` for a name or a value that HTTP does not allow. The value is not in the error.
    pub fn header_map(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let agent = HeaderValue::from_static(concat!("synckit/", env!("CARGO_PKG_VERSION")));
        headers.insert(USER_AGENT, agent);
        for (name, value) in &self.headers {
            let bad = || Error::invalid("this is not a header").with("name", name);
            let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.append(HeaderName::try_from(name).map_err(|_| bad())?, value);
        }
        Ok(headers)
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ClientConfig")
            .field("url", &self.url)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .field("compression", &self.compression)
            .field("protobuf", &self.protobuf)
            .field("headers", &names)
            .field("proxy", &self.proxy.as_ref().map(|_| "set"))
            .field("proxy_from_environment", &self.proxy_from_environment)
            .field("tls", &self.tls)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_read_with_defaults() {
        let config: ClientConfig =
            serde_json::from_str(r#"{"url":"http://h","timeouts":{"connect_ms":5}}"#).expect("valid");
        assert_eq!((config.timeouts.connect_ms, config.timeouts.request_ms), (5, 30_000));
        assert!(config.compression && config.protobuf);
        let config: ServerConfig = serde_json::from_str(r#"{"requests":5}"#).expect("valid");
        assert_eq!((config.requests, config.connections), (5, 1_024));
        assert!(serde_json::from_str::<ServerConfig>(r#"{"request":5}"#).is_err());
    }

    #[test]
    fn the_values_of_headers_are_not_shown() {
        let config = ClientConfig::new("http://host").with_header("authorization", "Bearer secret");
        let shown = format!("{config:?} {:?}", config.header_map().expect("valid"));
        assert!(shown.contains("authorization") && !shown.contains("secret"), "{shown}");
        let user = || ClientConfig::new("http://host").with_basic_auth("me", "secret").with_bearer("secret");
        let shown = format!("{:?}", user().with_proxy("http://me:secret@proxy:1"));
        assert!(!shown.contains("secret") && !shown.contains("c2VjcmV0"), "{shown}");
        assert_eq!(user().headers[0].1, "Basic bWU6c2VjcmV0");
        for (name, value) in [("x", "secret\n"), ("no header", "secret")] {
            let error = ClientConfig::new("").with_header(name, value).header_map().expect_err("no header");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
