//! What the project promises about syncs over HTTP, end to end: real files, sockets and processes.
//!
//! `scenarios` are the stories that every store and every transport must pass; the others need the command, a long
//! history, or an attacker.

mod cost;
mod hostile;
mod kills;
mod memory;
mod process;
mod scenarios;
mod support;
