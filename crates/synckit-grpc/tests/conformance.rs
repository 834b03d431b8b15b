//! gRPC under the suite that every transport passes: a server on a free loopback port, and a client to it.

use synckit_core::{Error, ErrorKind, Result};
use synckit_grpc::{GrpcTransport, SyncService, serve};
use synckit_testkit::{HubEndpoint, TransportFixture, transport_conformance};
use tokio::net::TcpListener;

struct Loopback;

impl TransportFixture for Loopback {
    type Transport = GrpcTransport;

    async fn connect(&self, endpoint: HubEndpoint) -> Result<GrpcTransport> {
        let failed = |error| Error::new(ErrorKind::Unavailable, "no free port").with_source(error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // It serves until the runtime of the case ends.
        tokio::spawn(serve(listener, SyncService::new(endpoint), std::future::pending()));
        GrpcTransport::new(format!("grpc://{address}"))
    }
}

transport_conformance!(Loopback);
