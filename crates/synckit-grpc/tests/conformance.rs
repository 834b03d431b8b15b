//! gRPC under the suite that every transport passes: a server on a free loopback port, and a client to it.

mod fixture;

use synckit_testkit::transport_conformance;

transport_conformance!(fixture::fixture());
