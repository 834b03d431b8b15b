//! Runs the transport within one process through the suite that every transport must pass.

use synckit_testkit::{InProcess, transport_conformance};

transport_conformance!(InProcess::default());
