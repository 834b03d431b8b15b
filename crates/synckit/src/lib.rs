#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`SyncManager`]: a replica's side of a sync, and the way to write to its store
//! - [`Endpoint`]: the answering side, in front of a store
//! - [`Access`]: who may read and write what through an endpoint
//! - [`SyncReport`], [`SyncError`], [`Status`]: what was done, what went wrong, how things stand
//! - [`Adapters`], [`AnyStore`]: stores and transports chosen by URL, from those a program was built with
//! - [`Digest`]: whether two replicas agree
//! - [`LastWriteWins`], the default, [`FirstWriteWins`], [`KeepAll`], [`FieldMerge`], [`ManualReview`] and
//!   [`Closure`]: resolvers; [`RuleResolver`]: which of them for which conflict
//! - [`OpenConflict`], [`Changes`], [`Explanation`], [`Audit`]: what is in conflict, how it was settled, and why
//! - [`Environment`]: the wall clock and the randomness, for those who bring their own

mod access;
mod acquaintance;
mod adapters;
mod any_store;
mod digest;
mod endpoint;
mod environment;
mod explain;
mod manager;
mod report;
mod resolvers;
mod retry;
mod sugar;

pub use access::{Access, OwnEvents};
pub use adapters::{Adapters, StoreTarget};
pub use any_store::AnyStore;
pub use digest::{Digest, Hash};
pub use endpoint::Endpoint;
pub use environment::{Environment, SystemEnvironment};
pub use explain::{Audit, AuditEntry, Explanation};
pub use manager::{
    ConflictNotice, Direction, OpenConflict, PeerStatus, Status, SyncManager, SyncManagerBuilder,
};
pub use report::{ConflictReport, LeftConflict, Recovery, Refusal, RefusedBy, SyncError, SyncReport};
pub use resolvers::{
    Changes, Clash, Closure, Condition, FieldChange, FieldMerge, FieldPath, FirstWriteWins, KeepAll,
    LastWriteWins, ManualReview, Relation, Rule, RuleMistake, RuleResolver, Rules, SharedResolver,
    SideChanges,
};
pub use retry::RetryPolicy;
pub use sugar::StoreExt;
pub use synckit_core::*;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeOfTheProject;
