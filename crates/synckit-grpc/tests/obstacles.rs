//! gRPC through proxies, firewalls and links that break, damage or delay what passes.

#[allow(dead_code, reason = "each test binary uses its part")]
mod fixture;

use fixture::Grpc;
use synckit_testkit::remote_obstacle_conformance;

remote_obstacle_conformance!(Grpc);
