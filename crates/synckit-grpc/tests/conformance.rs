//! gRPC under the suite that every transport passes, plain and over TLS: a server on a free loopback port, and a client
//! to it.

#[cfg(feature = "tls")]
#[allow(
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    reason = "in tests a panic is the report; a part is used"
)]
#[path = "common/certificates.rs"]
mod certificates;
mod fixture;

use synckit_testkit::transport_conformance;

transport_conformance!(plain: fixture::fixture());

#[cfg(feature = "tls")]
mod tls {
    use synckit_core::{Error, ErrorKind, Result};
    use synckit_grpc::{ClientConfig, ClientTls, GrpcService, GrpcTransport, ServerTls, serve_tls};
    use synckit_testkit::{HubEndpoint, TransportFixture};
    use tokio::net::TcpListener;

    use super::*;

    struct OverTls;

    impl TransportFixture for OverTls {
        type Transport = GrpcTransport;

        async fn connect(&self, endpoint: HubEndpoint) -> Result<GrpcTransport> {
            let failed = |error| Error::new(ErrorKind::Unavailable, "no free port").with_source(error);
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let authority = certificates::Authority::new();
            let server = ServerTls::new(authority.server("127.0.0.1")).with_required_clients(authority.pem());
            // It serves until the runtime of the case ends.
            let serving = async move {
                serve_tls(listener, &server, GrpcService::new(endpoint), std::future::pending()).await
            };
            tokio::spawn(serving);
            let client = ClientTls::new().with_roots(&authority.pem()).with_identity(authority.client());
            GrpcTransport::with_config(ClientConfig::new(format!("grpcs://{address}")).with_tls(client))
        }
    }

    transport_conformance!(OverTls);
}
