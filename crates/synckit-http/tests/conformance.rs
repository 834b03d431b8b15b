//! HTTP under the suite that every transport passes, plain in protobuf and in JSON, and over TLS: a server on a free
//! loopback port, and a client to it.

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

mod json {
    use synckit_core::{BoxTransport, Result};
    use synckit_http::{ClientConfig, HttpService, HttpTransport, serve};
    use synckit_testkit::{Loopback, Server, WireFixture};

    use super::*;

    struct InJson(Loopback);

    impl WireFixture for InJson {
        type Transport = HttpTransport;

        async fn serve(&self, hub: BoxTransport) -> Result<Server> {
            let listener = self.0.listen().await?;
            Ok(Server::spawn(|stopped| serve(listener, HttpService::new(hub), stopped)))
        }

        async fn connect(&self) -> Result<HttpTransport> {
            let config = ClientConfig::new(format!("http://{}", self.0.address()?));
            HttpTransport::with_config(config.with_protobuf(false))
        }
    }

    transport_conformance!(InJson(Loopback::default()));
}

#[cfg(feature = "tls")]
mod tls {
    use synckit_core::{BoxTransport, Result};
    use synckit_http::{ClientConfig, ClientTls, HttpService, HttpTransport, ServerTls, serve_tls};
    use synckit_testkit::{Loopback, Server, WireFixture};

    use super::*;

    struct OverTls {
        port: Loopback,
        authority: certificates::Authority,
    }

    impl WireFixture for OverTls {
        type Transport = HttpTransport;

        async fn serve(&self, hub: BoxTransport) -> Result<Server> {
            let listener = self.port.listen().await?;
            let identity = self.authority.server("127.0.0.1");
            let server = ServerTls::new(identity).with_required_clients(self.authority.pem());
            let serve =
                |stopped| async move { serve_tls(listener, &server, HttpService::new(hub), stopped).await };
            Ok(Server::spawn(serve))
        }

        async fn connect(&self) -> Result<HttpTransport> {
            let authority = &self.authority;
            let client = ClientTls::new().with_roots(&authority.pem()).with_identity(authority.client());
            let url = format!("https://{}", self.port.address()?);
            HttpTransport::with_config(ClientConfig::new(url).with_tls(client))
        }
    }

    transport_conformance!(OverTls { port: Loopback::default(), authority: certificates::Authority::new() });
}
