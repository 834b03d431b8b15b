//! Where a hub listens: each time one protocol and one address.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use synckit::{BoxTransport, Error, ErrorKind, Result};
use synckit_go::GoRoutes;
use synckit_grpc::GrpcService;
use synckit_http::{HttpService, serve, serve_tls};
use synckit_net::ServerTls;
use tokio::net::TcpListener;

use crate::failure::{self, Failure};

/// An address to listen on, and the protocol to speak there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    wire: Wire,
    address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Http,
    Https,
    Grpc,
    Grpcs,
}

impl Wire {
    const ALL: [Wire; 4] = [Wire::Http, Wire::Https, Wire::Grpc, Wire::Grpcs];

    fn scheme(self) -> &'static str {
        match self {
            Wire::Http => "http",
            Wire::Https => "https",
            Wire::Grpc => "grpc",
            Wire::Grpcs => "grpcs",
        }
    }
}

/// What the listeners of one hub have in common.
pub(super) struct Wires {
    /// The certificate to show, if there is TLS.
    pub(super) tls: Option<ServerTls>,
    /// The clients of go-sync-kit that are served over HTTP.
    pub(super) go_clients: Option<GoRoutes>,
}

/// An address that is bound but not served yet.
#[derive(Debug)]
pub(super) struct Bound {
    wire: Wire,
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listen {
    pub(super) fn needs_tls(self) -> bool {
        matches!(self.wire, Wire::Https | Wire::Grpcs)
    }

    pub(super) fn is_http(self) -> bool {
        matches!(self.wire, Wire::Http | Wire::Https)
    }

    /// Returns the same address with TLS.
    pub(super) fn secure(self) -> Self {
        let wire = if self.is_http() { Wire::Https } else { Wire::Grpcs };
        Listen { wire, ..self }
    }

    /// Binds the address, so that a hub that cannot have it creates no store.
    pub(super) async fn bind(self) -> Result<Bound, Failure> {
        let listener = TcpListener::bind(self.address).await.map_err(|error| self.cannot_listen(error))?;
        let unknown = |error| failure::system("the address of the listener is not known", error);
        let address = listener.local_addr().map_err(unknown)?;
        Ok(Bound { wire: self.wire, listener, address })
    }

    fn cannot_listen(self, error: std::io::Error) -> Failure {
        let taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let error = Error::new(ErrorKind::Denied, "the address cannot be listened on")
            .with("address", self)
            .with_source(error);
        match Failure::from(error) {
            failure if taken => {
                failure.hint("another program has the port; choose one with --listen, 0 for any")
            }
            failure => failure,
        }
    }
}

impl Bound {
    /// Returns the URL by which replicas reach it.
    pub(super) fn url(&self) -> String {
        Listen { wire: self.wire, address: self.address }.to_string()
    }

    /// Serves until `shutdown` resolves and the running requests are finished.
    pub(super) async fn serve(
        self,
        endpoint: BoxTransport,
        wires: Arc<Wires>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        let Bound { wire, listener, .. } = self;
        match wire {
            Wire::Http => serve(listener, wires.http(endpoint), shutdown).await,
            Wire::Https => serve_tls(listener, wires.tls()?, wires.http(endpoint), shutdown).await,
            Wire::Grpc => serve(listener, GrpcService::new(endpoint), shutdown).await,
            Wire::Grpcs => serve_tls(listener, wires.tls()?, GrpcService::new(endpoint), shutdown).await,
        }
    }
}

impl Wires {
    fn http(&self, endpoint: BoxTransport) -> HttpService<BoxTransport> {
        let service = HttpService::new(endpoint);
        match &self.go_clients {
            Some(routes) => service.with_routes(routes.clone()),
            None => service,
        }
    }

    fn tls(&self) -> Result<&ServerTls> {
        self.tls.as_ref().ok_or_else(|| Error::invalid("a certificate is needed to listen with TLS"))
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, address) = text.split_once("://").unwrap_or((Wire::Http.scheme(), text));
        let wire = Wire::ALL.into_iter().find(|wire| wire.scheme() == scheme).ok_or_else(|| {
            let known = Wire::ALL.map(|wire| format!("{}://", wire.scheme())).join(", ");
            format!("there is no server for `{scheme}://`; it is one of {known}")
        })?;
        let address = address.trim_end_matches('/').parse().map_err(|error| {
            format!("{error}; write it as IP:PORT or {}://IP:PORT, with port 0 for any", wire.scheme())
        })?;
        Ok(Listen { wire, address })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.wire.scheme(), self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_wire_or_means_http() {
        let secure = "grpcs://[::1]:0".parse::<Listen>().expect("an address");
        assert!(secure.needs_tls() && secure.to_string() == "grpcs://[::1]:0");
        for text in ["127.0.0.1:80", "http://127.0.0.1:80", "http://127.0.0.1:80/"] {
            assert_eq!(
                text.parse::<Listen>().map(|listen| listen.to_string()),
                Ok("http://127.0.0.1:80".into())
            );
        }
        let unknown = "ftp://127.0.0.1:80".parse::<Listen>().expect_err("no server");
        assert!(unknown.contains("`ftp://`") && unknown.contains("http://"), "{unknown}");
        let nowhere = "http://nowhere".parse::<Listen>().expect_err("no address");
        assert!(nowhere.contains("IP:PORT"), "{nowhere}");
    }
}
