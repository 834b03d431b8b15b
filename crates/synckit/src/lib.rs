#![doc = include_str!("../README.md")]

// - `replica/`: a store and the node that writes through it, without a network
// - `sync/`: a replica's side of a sync with one peer
// - `endpoint/`, `access.rs`: the serving side
// - `resolvers/`: the built-in conflict resolvers
// - `explain.rs`, `digest.rs`, `report.rs`: what is reported about all this
// - `adapters.rs`: stores and transports chosen by URL
// - `observe.rs`: observers of what happens
// - `environment.rs`, `retry.rs`: time, randomness, and retries
// - `blocking.rs`: work off the runtime; `bound.rs`: commits bound to what was read
// - `peer_notes.rs`, `remembered.rs`: what is known of peers
// - `damage.rs`: rows of a log that cannot be read
// - `view/`: states folded from events, kept in the store; `upcast.rs`: events of older programs

mod access;
mod adapters;
mod blocking;
mod bound;
mod damage;
mod digest;
mod endpoint;
mod environment;
mod explain;
mod live;
pub mod observe;
mod peer_notes;
mod remembered;
mod replica;
mod report;
mod resolvers;
mod retry;
mod sync;
mod upcast;
pub mod view;

pub use access::{Access, OwnEvents};
pub use adapters::{Adapters, StoreTarget};
pub use digest::Digest;
pub use endpoint::Endpoint;
pub use environment::{Environment, SystemEnvironment};
pub use replica::{Replica, ReplicaBuilder, Status};
pub use report::{Recovery, RefusedBy, RefusedEvent, SyncError, SyncReport};
pub use resolvers::{FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, RuleResolver, Rules};
pub use retry::RetryPolicy;
pub use sync::{Direction, SyncManager, SyncManagerBuilder};
pub use synckit_core::{
    AggregateId, BoxStore, BoxTransport, Data, Dot, Error, ErrorKind, Event, EventId, EventStore, EventType,
    Filter, Limits, Metadata, NewEvent, NodeId, Position, Result, StoreId, Timestamp, Transport, VectorClock,
};
pub use synckit_plan::{Conflict, ConflictResolver, Expect, History, Recorded};

/// Conflicts: how they are presented, decided, explained and listed.
pub mod conflict {
    pub use crate::explain::{Audit, AuditEntry, Explanation};
    pub use crate::replica::{FullAggregate, OpenConflict};
    pub use crate::report::{ConflictReport, LeftConflict};
    pub use crate::resolvers::{
        Changes, Clash, Closure, Condition, FieldChange, FieldPath, Relation, Rule, RuleMistake,
        SharedResolver, SideChanges,
    };
    pub use synckit_core::Causality;
    pub use synckit_plan::{
        Answer, Branch, Conflict, ConflictResolver, Current, Decision, Entry, Fingerprint, Head, Heads,
        History, Kept, RESOLUTION_TYPE, Resolution, Ruling, Side, Standing,
    };
}

/// Replicas that stay together with their peer by themselves.
pub mod stay {
    pub use crate::live::{Live, LiveState, LiveStatus};
}

/// The contract of stores, and more calls for users of a store.
pub mod store {
    pub use crate::digest::SetHash;
    pub use crate::replica::{PeerStatus, Scrubbed};
    pub use synckit_core::{
        BoxPlanner, BoxStore, Cursor, Edit, EventStore, Facts, Former, Held, Identity, LogHead, Mark, Needs,
        Note, NoteQuery, Page, Plan, Planner, Planning, Query, Renewal, Secret, Step, StoredEvent,
    };
    pub use synckit_plan::StoreExt;
}

/// The contract of transports, and the messages of a sync.
pub mod transport {
    pub use synckit_core::{
        Ahead, BoxTransport, Caller, HelloRequest, HelloResponse, MissingRequest, MissingResponse,
        PROTOCOL_VERSION, PageStream, Placed, PullRequest, PullResponse, PushRequest, PushResponse, Refused,
        RefusedCode, Scope, Stored, Traffic, Transport, Unreadable,
    };
}

/// The planners of commits, and the keys of the notebook.
pub mod plan {
    pub use synckit_plan::{
        Adopt, Adopted, Adoptee, Asked, Entropy, Expect, Mend, OnRecord, Pushed, Receive, Received, Record,
        Recorded, Recount, Renew, Renumber, Renumbered, Restamp, notes,
    };
}

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeOfTheProject;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/state.md")]
struct FromEventsToState;
