#![doc = include_str!("../README.md")]

// - `record.rs`: new local events
// - `receive/`: events from a peer
// - `on_record.rs`: how far others have pushed here
// - `adopt.rs`: events by authors that cannot stamp
// - `forks.rs`, `restamp.rs`: two events under one dot, and one event under two stamps
// - `renew.rs`: a fresh id and a fresh name for a store that was copied or restored from a backup
// - `renumber.rs`: fresh dots for local events that were never handed out
// - `recount.rs`: recomputed heads
// - `mend.rs`: good copies of events whose rows are damaged
// - `asked.rs`: the conflicts that wait for a resolver
// - `ledger.rs`: identity, heads and counters, as they change during a plan
// - `conflict/`: heads, sides, resolvers, resolutions, history
// - `notes`: the keys of the notebook; `notes/values.rs`: their values
// - `store_ext.rs`: more calls for users of a store, on top of its contract

mod adopt;
mod asked;
mod conflict;
mod entropy;
mod forks;
mod ledger;
mod mend;
pub mod notes;
mod on_record;
mod receive;
mod record;
mod recount;
mod renew;
mod renumber;
mod restamp;
mod store_ext;

pub use adopt::{Adopt, Adopted, Adoptee};
pub use asked::Asked;
pub use conflict::{
    Answer, Branch, Conflict, ConflictResolver, Current, Decision, Entry, Fingerprint, Head, Heads, History,
    Kept, RESOLUTION_TYPE, Resolution, Ruling, Side, Standing,
};
pub use entropy::Entropy;
pub use mend::Mend;
pub use on_record::{OnRecord, Pushed, check_known};
pub use receive::{Receive, Received};
pub use record::{Expect, Record, Recorded};
pub use recount::Recount;
pub use renew::Renew;
pub use renumber::{Renumber, Renumbered};
pub use restamp::Restamp;
pub use store_ext::StoreExt;
