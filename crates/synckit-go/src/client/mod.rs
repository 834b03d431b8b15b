//! What is known about a client with a name: what it holds, and so what it had seen when it wrote an event.
//!
//! A client pushes the rows of its table in order, including what it pulled, each with the number of its row. So a push
//! shows what it holds, even after an answer was lost, and an event that follows a pulled one in the push was written
//! after the pull. That an answer was sent proves nothing.

// - `known`: the record that is kept about a client
// - `table`: what the rows of a push prove
// - `held`: which places of the log it holds
// - `record`: both, while a call reads and changes them
// - `contact`: what is remembered only while the hub runs: the push and the page under way
// - `sight`: what it had seen when it wrote an event

mod contact;
mod held;
mod known;
mod record;
mod sight;
mod table;

pub(crate) use contact::Contact;
pub(crate) use known::{Known, Own};
pub(crate) use record::Record;
pub(crate) use sight::Sight;
pub(crate) use table::{Follows, Row, Rows};

/// The numbers that a client with a name is given are places in this log, plus this. So they cannot be mistaken for a
/// number of a row of its own table, which is what its pulls name. This way a client that does keep the number of the
/// last event it received is understood as well.
pub(crate) const BASE: u64 = 1 << 52;
