#![doc = include_str!("../README.md")]

// - `config.rs`: where the database is and how it is used; `url.rs`: the name of the log in its URL
// - `database.rs`: a database, which has any number of logs
// - `store.rs`: the contract, for one log
// - `schema.rs`: the tables, creating and migrating them, and the logs in them
// - `connections.rs`: the connections to the server
// - `query.rs`: reading pages of the log and notes
// - `commit.rs`: commits in groups, of which `plan.rs`, `facts.rs` and `write.rs` are parts
// - `outcome.rs`: what became of a commit when the connection broke
// - `watch.rs`: waiting for commits, also of other processes; `notify.rs`: notices for others
// - `error.rs`: what the server's errors mean

mod commit;
mod config;
mod connections;
mod database;
mod error;
mod facts;
mod notify;
mod outcome;
mod plan;
mod query;
mod schema;
mod store;
mod url;
mod watch;
mod write;

pub use config::PostgresConfig;
pub use database::PostgresDatabase;
pub use store::PostgresStore;
