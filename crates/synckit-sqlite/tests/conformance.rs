//! The SQLite store under the suite that every store passes: one file per case.

mod fixture;

use synckit_testkit::store_conformance;

store_conformance!(fixture::fixture());
