//! The service on its own listener.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use synckit_core::{Error, ErrorKind, Result, Transport};
use synckit_net::{Guards, Protocol, Stream, run_connection};
use synckit_remote::{Answer, Serve, ServerConfig};
use synckit_wire::Encode;
use tokio::sync::watch;

use crate::HTTP;
use crate::service::HttpService;

/// How long a connection is kept open at its end, so that the caller can read the answer.
const LINGER: Duration = Duration::from_secs(1);

impl<T: Transport> Serve for HttpService<T> {
    const NAME: &'static str = "http";
    const PROTOCOL: Protocol = HTTP;

    fn config(&self) -> &ServerConfig {
        self.config()
    }

    fn guards(config: &ServerConfig) -> Guards {
        Guards { stall: Some(config.timeouts.idle()), linger: Some(LINGER), ..Guards::default() }
    }

    /// Tells callers that speak plain HTTP to a TLS port about it, in plain HTTP.
    fn refusal() -> Vec<u8> {
        let message = format!("this port speaks TLS; use {}", HTTP.secure);
        let body = Error::new(ErrorKind::Unsupported, message).to_json();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        [head.into_bytes(), body].concat()
    }

    async fn start(self, closing: watch::Receiver<bool>) -> Result<impl Answer> {
        Ok(self.with_closing(closing))
    }
}

impl<T: Transport> Answer for HttpService<T> {
    async fn connection(self, stream: Box<dyn Stream>, mut closing: watch::Receiver<bool>) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config().timeouts.connect())
            .max_headers(64)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self));
        run_connection(Box::pin(connection), &mut closing, |connection| connection.graceful_shutdown()).await;
    }
}
