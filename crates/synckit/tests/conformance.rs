//! The endpoint, called in the same process, under the suite that every transport passes.

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
