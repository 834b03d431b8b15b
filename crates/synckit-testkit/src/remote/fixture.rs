//! Fixtures for the conformance suite and the matrix: a server on a free loopback port, and clients to it.

use std::fmt;
use std::marker::PhantomData;

use synckit_core::{BoxTransport, Result};
use synckit_net::{ClientTls, ServerTls};
use synckit_remote::{Client, ClientConfig, Exchange, ServerConfig, serve, serve_tls};

use super::{Authority, Wire, service};
use crate::wire::{Loopback, Server, WireFixture};

/// A transport without TLS.
pub struct OnLoopback<W> {
    port: Loopback,
    config: fn(ClientConfig) -> ClientConfig,
    wire: PhantomData<fn() -> W>,
}

impl<W> Default for OnLoopback<W> {
    fn default() -> Self {
        OnLoopback { port: Loopback::default(), config: |config| config, wire: PhantomData }
    }
}

impl<W> OnLoopback<W> {
    /// Changes how clients are configured.
    pub fn with_config(mut self, config: fn(ClientConfig) -> ClientConfig) -> Self {
        self.config = config;
        self
    }
}

impl<W> fmt::Debug for OnLoopback<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnLoopback").field("port", &self.port).finish_non_exhaustive()
    }
}

impl<W: Wire> WireFixture for OnLoopback<W> {
    type Transport = Client<W::Exchange>;

    async fn serve(&self, hub: BoxTransport) -> Result<Server> {
        let listener = self.port.listen().await?;
        let service = service::<W, _>(hub, ServerConfig::default());
        Ok(Server::spawn(|stopped| serve(listener, service, stopped)))
    }

    async fn connect(&self) -> Result<Self::Transport> {
        let url = format!("{}{}", W::Exchange::PROTOCOL.plain, self.port.address()?);
        Client::with_config((self.config)(ClientConfig::new(url)))
    }
}

/// A transport over TLS, where both sides show certificates.
#[derive(Debug)]
pub struct OverTls<W> {
    port: Loopback,
    authority: Authority,
    wire: PhantomData<fn() -> W>,
}

impl<W> Default for OverTls<W> {
    fn default() -> Self {
        OverTls { port: Loopback::default(), authority: Authority::new(), wire: PhantomData }
    }
}

impl<W: Wire> WireFixture for OverTls<W> {
    type Transport = Client<W::Exchange>;

    async fn serve(&self, hub: BoxTransport) -> Result<Server> {
        let listener = self.port.listen().await?;
        let identity = self.authority.server("127.0.0.1");
        let tls = ServerTls::new(identity).with_required_clients(self.authority.pem());
        let service = service::<W, _>(hub, ServerConfig::default());
        Ok(Server::spawn(|stopped| async move { serve_tls(listener, &tls, service, stopped).await }))
    }

    async fn connect(&self) -> Result<Self::Transport> {
        let url = format!("{}{}", W::Exchange::PROTOCOL.secure, self.port.address()?);
        let tls = ClientTls::new().with_roots(&self.authority.pem()).with_identity(self.authority.client());
        Client::with_config(ClientConfig::new(url).with_tls(tls))
    }
}
