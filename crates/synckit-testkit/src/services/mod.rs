//! Private servers for tests: each on a free port in a temporary directory, killed with its owner.

// - `postgres.rs`: a PostgreSQL server
// - `process.rs`: a program that ends with the process that started it

mod postgres;
mod process;

pub use postgres::PostgresServer;

/// The environment variable that names the services that must be there, separated by commas.
const REQUIRE: &str = "SYNCKIT_REQUIRE";

/// Returns why a service is not there; with it, tests that need it are skipped.
///
/// # Panics
/// If the environment variable `SYNCKIT_REQUIRE` names the service.
pub(crate) fn absent(service: &str, why: String) -> String {
    let required = std::env::var(REQUIRE).unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == service), "{service} is required: {why}");
    why
}
