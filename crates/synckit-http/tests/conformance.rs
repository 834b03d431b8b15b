//! HTTP under the suites that every transport passes, plain in protobuf and in JSON, and over TLS: a server on a free
//! loopback port, and a client to it.

mod fixture;

use fixture::Http;
use synckit_testkit::remote::OnLoopback;
use synckit_testkit::{remote_conformance, transport_conformance};

transport_conformance!(plain: fixture::fixture());
transport_conformance!(json: OnLoopback::<Http>::default().with_config(|config| config.with_protobuf(false)));
#[cfg(feature = "tls")]
transport_conformance!(over_tls: synckit_testkit::remote::OverTls::<Http>::default());

remote_conformance!(Http);
#[cfg(feature = "tls")]
synckit_testkit::remote_tls_conformance!(Http);
