//! What the project promises of events that meet over HTTP, end to end: real files, sockets and processes.
//!
//! `scenarios` are the stories that every store and every transport has to live through; the rest needs the command,
//! a long history, or somebody who means harm.

mod cost;
mod hostile;
mod kills;
mod memory;
mod process;
mod scenarios;
mod support;
