//! gRPC under the suites that every transport passes, plain and over TLS: a server on a free loopback port, and a client
//! to it.

mod fixture;

use fixture::Grpc;
use synckit_testkit::{remote_conformance, transport_conformance};

transport_conformance!(plain: fixture::fixture());
#[cfg(feature = "tls")]
transport_conformance!(over_tls: synckit_testkit::remote::OverTls::<Grpc>::default());

remote_conformance!(Grpc);
#[cfg(feature = "tls")]
synckit_testkit::remote_tls_conformance!(Grpc);
