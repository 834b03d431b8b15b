//! What is measured of synckit, each row next to its raw limit.

mod clock;
mod conflicts;
mod growth;
mod history;
mod hub;
mod incremental;
mod live;
#[cfg(target_os = "linux")]
mod memory;
pub(crate) mod plan;
#[cfg(target_os = "linux")]
pub(crate) mod process;
mod stores;
mod subscribers;
mod sync;
mod views;
mod wire;

use crate::measure::{Kind, Row};
use crate::raw;
use crate::sample::Spread;

/// All rows, in the order of the table.
pub(crate) const ALL: &[Row] = &[
    Row {
        name: "sqlite-receive",
        about: "SQLite: receive in pages of 1,000, with heads, duplicates check and checkpoint",
        limit: "rusqlite: prepared insert, one transaction a page",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.55, ours: stores::sqlite_receive, raw: raw::sqlite::insert_pages },
    },
    Row {
        name: "sqlite-record",
        about: "SQLite: record one event a commit",
        limit: "rusqlite: one insert a commit",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.5, ours: stores::sqlite_record, raw: raw::sqlite::insert_singly },
    },
    Row {
        name: "sqlite-group",
        about: "SQLite: 64 tasks, each recording one event at a time",
        limit: "rusqlite: one insert a commit, alone",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 6.0, ours: stores::sqlite_group, raw: raw::sqlite::insert_singly },
    },
    Row {
        name: "sqlite-read",
        about: "SQLite: read the log in pages of 1,000 into owned events",
        limit: "rusqlite: the same rows into owned values",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.35, ours: stores::sqlite_read, raw: raw::sqlite::read_pages },
    },
    Row {
        name: "redb-receive",
        about: "redb: receive in pages of 1,000, with heads, duplicates check and checkpoint",
        limit: "redb: the same tables, one transaction a page",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.55, ours: stores::redb_receive, raw: raw::redb::insert_pages },
    },
    Row {
        name: "redb-tasks",
        about: "redb: 64 tasks, each recording one event at a time",
        limit: "redb: one event a commit, alone",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 8.0, ours: stores::redb_tasks, raw: raw::redb::insert_singly },
    },
    Row {
        name: "redb-read",
        about: "redb: read the log in pages of 1,000 into owned events",
        limit: "redb: the same rows into owned values",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.5, ours: stores::redb_read, raw: raw::redb::read_pages },
    },
    Row {
        name: "clock-3",
        about: "vector clock of 3 nodes: increment, compare, look up, merge in equal shares",
        limit: "a sorted vector of (u128, u64)",
        unit: "calls/s",
        kind: Kind::Ratio { at_least: 0.5, ours: |_| clock::ours::<3>(), raw: |_| clock::raw::<3>() },
    },
    Row {
        name: "clock-10",
        about: "vector clock of 10 nodes: increment, compare, look up, merge in equal shares",
        limit: "a sorted vector of (u128, u64)",
        unit: "calls/s",
        kind: Kind::Ratio { at_least: 0.5, ours: |_| clock::ours::<10>(), raw: |_| clock::raw::<10>() },
    },
    Row {
        name: "clock-100",
        about: "vector clock of 100 nodes: increment, compare, look up, merge in equal shares",
        limit: "a sorted vector of (u128, u64)",
        unit: "calls/s",
        kind: Kind::Ratio { at_least: 0.5, ours: |_| clock::ours::<100>(), raw: |_| clock::raw::<100>() },
    },
    Row {
        name: "clock-1000",
        about: "vector clock of 1,000 nodes: increment, compare, look up, merge in equal shares",
        limit: "a sorted vector of (u128, u64)",
        unit: "calls/s",
        kind: Kind::Ratio { at_least: 0.5, ours: |_| clock::ours::<1000>(), raw: |_| clock::raw::<1000>() },
    },
    Row {
        name: "plan",
        about: "planning a page of 1,000 over 1,000 aggregates",
        limit: "1 µs an event",
        unit: "µs an event",
        kind: Kind::Bound { at_most: 1.0, ours: plan::microseconds },
    },
    Row {
        name: "wire-json",
        about: "wire: encode and decode a page of 1,000 in JSON",
        limit: "serde_json with raw values, nothing checked",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.7, ours: wire::json, raw: wire::plain_json },
    },
    Row {
        name: "wire-protobuf",
        about: "wire: encode and decode a page of 1,000 in protobuf, data checked to be JSON",
        limit: "prost on plain messages, the data an unchecked text",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.7, ours: wire::protobuf, raw: wire::plain_protobuf },
    },
    Row {
        name: "sync-http",
        about: "sync SQLite → HTTP → SQLite, default settings",
        limit: "rusqlite → hyper, JSON pages of 1,000, pipelined → rusqlite, the same schema",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.65, ours: sync::http, raw: raw::http::sync },
    },
    Row {
        name: "sync-grpc",
        about: "sync redb → gRPC → redb, default settings",
        limit: "redb → tonic, a stream of protobuf pages of 1,000 → redb, the same tables",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.5, ours: sync::grpc, raw: raw::grpc::sync },
    },
    Row {
        name: "incremental",
        about: "sync of one new event after the history",
        limit: "8 round trips of an empty request, beside one commit of rusqlite on each side",
        unit: "round trips",
        kind: Kind::Bound { at_most: 8.0, ours: incremental::incremental::<1> },
    },
    Row {
        name: "incremental-10",
        about: "sync of one new event after ten times the history",
        limit: "8 round trips of an empty request, beside one commit of rusqlite on each side",
        unit: "round trips",
        kind: Kind::Bound { at_most: 8.0, ours: incremental::incremental::<10> },
    },
    Row {
        name: "live-http",
        about: "an edit of a live replica until it is durable at another: SQLite → HTTP → SQLite → HTTP → SQLite",
        limit: "1.5 times three commits of the same store alone and a round trip of an empty request",
        unit: "of these",
        kind: Kind::Bound { at_most: 1.5, ours: live::over_http },
    },
    Row {
        name: "live-grpc",
        about: "an edit of a live replica until it is durable at another: redb → gRPC → redb → gRPC → redb",
        limit: "1.5 times three commits of the same store alone and a round trip of an empty request",
        unit: "of these",
        kind: Kind::Bound { at_most: 1.5, ours: live::over_grpc },
    },
    #[cfg(target_os = "linux")]
    Row {
        name: "live-processes",
        about: "an edit that another process records in the SQLite file of a live replica, until the hub has it over HTTP",
        limit: "50 ms, for 19 of 20 edits",
        unit: "ms",
        kind: Kind::Bound { at_most: 50.0, ours: live::other_process },
    },
    Row {
        name: "live-fan-out",
        about: "an event until 1,000 live subscribers of one hub have it, over HTTP",
        limit: "3 times writing the same bytes to 1,000 sockets",
        unit: "times",
        kind: Kind::Bound { at_most: 3.0, ours: subscribers::fan_out },
    },
    #[cfg(target_os = "linux")]
    Row {
        name: "live-idle",
        about: "memory: by how much a hub grows for each idle subscriber over HTTP",
        limit: "24 KiB",
        unit: "KiB",
        kind: Kind::Bound { at_most: 24.0, ours: subscribers::idle },
    },
    Row {
        name: "growth-history",
        about: "SQLite: receive pages of 1,000 after the history",
        limit: "the same after a tenth of the history",
        unit: "events/s",
        kind: Kind::Growth {
            at_least: 0.7,
            large: |scale| growth::receiving(scale.events, Spread::default()),
            small: |scale| growth::receiving(scale.events / 10, Spread::default()),
        },
    },
    Row {
        name: "growth-history-10",
        about: "SQLite: receive pages of 1,000 after ten times the history",
        limit: "the same after a tenth of the history",
        unit: "events/s",
        kind: Kind::Growth {
            at_least: 0.7,
            large: |scale| growth::receiving(scale.events * 10, Spread::default()),
            small: |scale| growth::receiving(scale.events / 10, Spread::default()),
        },
    },
    Row {
        name: "growth-aggregates",
        about: "SQLite: receive pages of 1,000 after a history of one event for each aggregate",
        limit: "the same after a history of 1,000 aggregates",
        unit: "events/s",
        kind: Kind::Growth {
            at_least: 0.7,
            large: |scale| growth::receiving(scale.events, Spread::of(scale.events, 3)),
            small: |scale| growth::receiving(scale.events, Spread::of(1_000, 3)),
        },
    },
    Row {
        name: "growth-origins",
        about: "SQLite: receive pages of 1,000 written by 1,000 nodes, after a history of theirs",
        limit: "the same with 10 nodes",
        unit: "events/s",
        kind: Kind::Growth {
            at_least: 0.4,
            large: |scale| growth::receiving(scale.events, Spread::of(1_000, 1_000)),
            small: |scale| growth::receiving(scale.events, Spread::of(1_000, 10)),
        },
    },
    Row {
        name: "growth-sync",
        about: "sync of one new event after ten times the history",
        limit: "the same after a tenth of the history",
        unit: "syncs/s",
        kind: Kind::Growth {
            at_least: 0.8,
            large: |scale| growth::syncing(scale.events * 10),
            small: |scale| growth::syncing(scale.events / 10),
        },
    },
    Row {
        name: "conflicts",
        about: "pull with a conflict at every event, all settled in the same sync",
        limit: "pull of as many events without conflicts",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.33, ours: conflicts::with, raw: conflicts::without },
    },
    Row {
        name: "history",
        about: "which events of one aggregate stand, one half of them resolutions that keep both sides",
        limit: "1 second",
        unit: "s",
        kind: Kind::Bound { at_most: 1.0, ours: history::seconds },
    },
    Row {
        name: "growth-settle",
        about: "sync that settles one conflict of an aggregate with a history",
        limit: "the same after a tenth of the history",
        unit: "syncs/s",
        kind: Kind::Growth {
            at_least: 0.05,
            large: |scale| history::settling(scale.events / 10),
            small: |scale| history::settling(scale.events / 100),
        },
    },
    Row {
        name: "growth-conflicts",
        about: "sync with nothing new, while as many conflicts as events are left for a person",
        limit: "the same with a tenth of the conflicts",
        unit: "syncs/s",
        kind: Kind::Growth {
            at_least: 0.8,
            large: |scale| history::idle(scale.events),
            small: |scale| history::idle(scale.events / 10),
        },
    },
    Row {
        name: "growth-hubs",
        about: "sync of one new event with each of four hubs in turn",
        limit: "the same with one hub",
        unit: "syncs/s",
        kind: Kind::Growth { at_least: 0.7, large: history::hubs::<4>, small: history::hubs::<1> },
    },
    Row {
        name: "bytes",
        about: "bytes on the wire of a sync, compressed, both ways",
        limit: "150 bytes an event",
        unit: "bytes an event",
        kind: Kind::Bound { at_most: 150.0, ours: sync::bytes },
    },
    Row {
        name: "view-keep",
        about: "SQLite: receive in pages of 1,000, and take them into a view",
        limit: "the same without the view",
        unit: "events/s",
        kind: Kind::Ratio { at_least: 0.8, ours: views::keeping, raw: views::without },
    },
    Row {
        name: "view-get",
        about: "SQLite: read the state of an aggregate with 10,000 events",
        limit: "the same with 10 events",
        unit: "reads/s",
        kind: Kind::Growth {
            at_least: 0.5,
            large: |_| views::getting(10_000),
            small: |_| views::getting(10),
        },
    },
    #[cfg(target_os = "linux")]
    Row {
        name: "view-memory",
        about: "memory: by how much a process grows that builds a view of the whole log",
        limit: "64 MiB",
        unit: "MiB",
        kind: Kind::Bound { at_most: 64.0, ours: views::memory },
    },
    #[cfg(target_os = "linux")]
    Row {
        name: "memory",
        about: "memory: by how much the side of a sync grows that grows more",
        limit: "48 MiB",
        unit: "MiB",
        kind: Kind::Bound { at_most: 48.0, ours: memory::growth },
    },
];
