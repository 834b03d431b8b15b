//! The in-memory store under the suite that every store passes.

mod fixture;

use synckit_testkit::store_conformance;

store_conformance!(fixture::fixture());
