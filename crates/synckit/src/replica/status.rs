//! The state of a replica, without using the network.

use serde::Serialize;
use synckit_core::{AggregateId, EventStore, Former, NodeId, Note, Position, Result, StoreId};
use synckit_plan::{
    StoreExt,
    notes::{self, PeerNote, PullNote, PushNote},
};

use crate::peer_notes::text;
use crate::replica::refused::count;

/// The state of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The node id the store was created with.
    pub node: NodeId,
    /// The name it authors under now.
    pub author: NodeId,
    /// The store id.
    pub store: StoreId,
    /// The former ids and names, oldest first, and why they were given up.
    pub former: Vec<Former>,
    /// Whether events that nobody else has get fresh dots before they are handed out, with the next sync that pushes.
    pub renumbers: bool,
    /// When an event showed that a copy of this replica, or another device with the same name, is in use.
    pub copy_seen: Option<u64>,
    /// When the file was opened on another machine than before, if it ever was, in Unix milliseconds.
    pub moved_at: Option<u64>,
    /// The number of events in the log.
    pub events: Position,
    /// The number of aggregates in conflict.
    pub conflicts: usize,
    /// The aggregates whose clock is full or nearly so.
    pub full: Vec<FullAggregate>,
    /// The number of foreign events that could not be stored here.
    pub refused_here: usize,
    /// The number of local events that a peer refused.
    pub refused_by_peers: usize,
    /// The peers this replica has synced with.
    pub peers: Vec<PeerStatus>,
}

/// An aggregate whose clock is full or nearly so: it was written under 800 or more names, of at most
/// [`VectorClock::MAX_NODES`](synckit_core::VectorClock::MAX_NODES). Above the limit, edits that do not fit into one clock
/// stand side by side and cannot be settled. Continue in another aggregate, and name this one in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FullAggregate {
    /// The aggregate.
    pub aggregate: AggregateId,
    /// The number of names.
    pub names: usize,
}

impl FullAggregate {
    fn read(note: &Note) -> Result<Self> {
        let aggregate = AggregateId::new(&note.key[notes::FULL.len()..])?;
        Ok(FullAggregate { aggregate, names: note.parse()? })
    }
}

/// How far a replica and a peer have each other's events, for one filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer's name.
    pub node: NodeId,
    /// The id of the peer's store.
    pub store: StoreId,
    /// The fingerprint of the filter.
    pub filter: String,
    /// When a sync with it last succeeded, in Unix milliseconds.
    pub synced_at: u64,
    /// How far its clock was ahead of the local clock then, in milliseconds, including network delay.
    pub clock_skew_millis: i64,
    /// The position in its log up to which it was pulled.
    pub pulled_to: Position,
    /// The position in the local log up to which everything was offered to it.
    pub pushed_to: Position,
    /// An upper bound on the events of the local log that have not been offered to it yet.
    pub to_push: Position,
    /// The number of events of the local log that it refused, under any filter.
    pub refused: usize,
}

impl Status {
    pub(super) async fn of(store: &impl EventStore) -> Result<Status> {
        let head = store.head().await?;
        let identity = store.identity().await?;
        let machine = store.note(notes::MACHINE.to_owned()).await?;
        let machine: Option<notes::Machine> = machine.map(|note| note.parse()).transpose()?;
        let mut peers = Vec::new();
        for note in store.notes_under(notes::PEERS).await? {
            let id: StoreId = note.key[notes::PEERS.len()..].parse()?;
            let peer: PeerNote = note.parse()?;
            peers.extend(of_peer(store, id, &peer, head.position).await?);
        }
        let conflicts = store.note(notes::CONFLICT_COUNT.to_owned()).await?;
        let conflicts = conflicts.map(|note| text(&note.key, &note.value)).transpose()?.unwrap_or(0);
        Ok(Status {
            node: identity.node,
            author: identity.author,
            store: head.store,
            former: identity.former,
            renumbers: identity.suspect,
            copy_seen: identity.copy_seen,
            moved_at: machine.filter(|(_, moves, _)| *moves > 0).map(|(_, _, at)| at),
            events: head.position,
            conflicts,
            full: store
                .notes_under(notes::FULL)
                .await?
                .iter()
                .map(FullAggregate::read)
                .collect::<Result<_>>()?,
            refused_here: count(store, notes::REFUSED_HERE).await?,
            refused_by_peers: count(store, notes::REFUSED_BY_PEERS).await?,
            peers,
        })
    }
}

async fn of_peer(
    store: &impl EventStore,
    id: StoreId,
    peer: &PeerNote,
    head: Position,
) -> Result<Vec<PeerStatus>> {
    let (pull, push) = (notes::pull(id, ""), notes::push(id, ""));
    let mut filters: std::collections::BTreeMap<String, (Position, Position)> = Default::default();
    for note in store.notes_under(&pull).await? {
        let cursor = note.parse::<PullNote>()?.cursor;
        filters.entry(note.key[pull.len()..].to_owned()).or_default().0 = cursor.position();
    }
    for note in store.notes_under(&push).await? {
        let position = note.parse::<PushNote>()?.position;
        filters.entry(note.key[push.len()..].to_owned()).or_default().1 = position;
    }
    let refused = count(store, &notes::refused_by(id)).await?;
    let status = |(filter, (pulled_to, pushed_to))| PeerStatus {
        node: peer.node.clone(),
        store: id,
        filter,
        synced_at: peer.synced_at,
        clock_skew_millis: peer.clock_skew_millis,
        pulled_to,
        pushed_to,
        to_push: head.saturating_sub(pushed_to),
        refused,
    };
    Ok(filters.into_iter().map(status).collect())
}
