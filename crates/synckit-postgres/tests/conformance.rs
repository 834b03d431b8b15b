//! The PostgreSQL store under the suite that every store passes: one log per case, in one server for all.

mod fixture;

use synckit_testkit::store_conformance;

store_conformance!(fixture::fixture());
