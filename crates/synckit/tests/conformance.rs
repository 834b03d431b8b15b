//! Runs the suite for transports on an endpoint in the same process.

use synckit_core::Result;
use synckit_testkit::{HubEndpoint, TransportFixture, transport_conformance};

struct InProcess;

impl TransportFixture for InProcess {
    type Transport = HubEndpoint;

    async fn connect(&self, endpoint: HubEndpoint) -> Result<HubEndpoint> {
        Ok(endpoint)
    }
}

transport_conformance!(InProcess);
