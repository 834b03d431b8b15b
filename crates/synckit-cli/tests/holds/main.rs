//! What the project promises of events that meet over HTTP, end to end: real files, sockets and processes.

mod cost;
mod exchange;
mod filters;
mod hostile;
mod kills;
mod memory;
mod process;
mod refused;
mod restored;
mod support;
