//! The wire within one process under the suite that every transport passes.

use synckit_testkit::{InProcess, transport_conformance};

transport_conformance!(InProcess::default());
