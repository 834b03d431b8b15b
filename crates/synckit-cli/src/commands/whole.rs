//! Events that come from a file, stamps and all: they are believed no more than those of a peer.

use synckit::{
    BoxStore, Environment, Event, EventStore, Limits, StoreId, SystemEnvironment,
    plan::{Receive, Received},
};

use crate::commands::entropy;
use crate::failure::Failure;

/// Takes in events as they are, in one commit, by the same planning as a pull. What is refused is not kept.
pub(super) async fn take(store: &BoxStore, events: Vec<Event>) -> Result<Received, Failure> {
    // No store has this id, so all peers are offered what came from files.
    let source = StoreId::from_bytes(*b"synckit imported");
    let receive = Receive::new(Some(source), events, SystemEnvironment.now(), Limits::default(), entropy()?);
    Ok(store.commit(receive).await?)
}
