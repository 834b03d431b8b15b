//! The stores: receiving, recording and reading.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use synckit::{
    Event, EventStore, Limits, NodeId, StoreId,
    plan::{Receive, Record, notes},
    store::{Note, Query},
};
use synckit_redb::RedbStore;
use synckit_sqlite::SqliteStore;
use tokio::runtime::Runtime;

use crate::measure::{Measured, Sample, Scale};
use crate::sample::{NOW, PAGE, Samples, entropy, events, new_events};

/// The number of tasks that record at once.
const TASKS: usize = 64;

pub(super) fn runtime() -> Measured<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Runs the work as applications do: in a task of the runtime, not on the thread that waits for it.
pub(super) fn in_task<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = Measured<T>> + Send + 'static,
) -> Measured<T> {
    runtime.block_on(runtime.spawn(work))?
}

/// Opens the store of this name in this directory, in SQLite.
pub(super) async fn sqlite(directory: &Path, name: &str) -> Measured<SqliteStore> {
    Ok(SqliteStore::open_as(directory.join(format!("{name}.db")), NodeId::new(name)?).await?)
}

/// Opens the store of this name in this directory, in redb.
pub(super) async fn redb(directory: &Path, name: &str) -> Measured<RedbStore> {
    Ok(RedbStore::open_as(directory.join(format!("{name}.redb")), NodeId::new(name)?).await?)
}

/// Receives events page by page, each with the checkpoint that a pull moves.
pub(super) async fn receive_all(store: &impl EventStore, events: Vec<Event>) -> Measured<()> {
    let source = StoreId::from_bytes([7; 16]);
    let (mut pages, mut reached) = (events.into_iter(), 0);
    loop {
        let page: Vec<Event> = pages.by_ref().take(PAGE).collect();
        if page.is_empty() {
            return Ok(());
        }
        reached += page.len();
        let mut receive = Receive::new(Some(source), page, NOW, Limits::default(), entropy());
        let value = format!("{source}.{reached}.e").into_bytes();
        receive.notes.push(Note { key: notes::pushed(source, "all"), value });
        let received = store.commit(receive).await?;
        assert!(received.refused.is_empty(), "a sample was refused: {:?}", received.refused.first());
    }
}

/// Receives this number of samples, with no more than a page of them in memory.
pub(super) async fn receive_samples(
    store: &impl EventStore,
    samples: &mut Samples,
    count: usize,
) -> Measured<()> {
    let mut left = count;
    while left > 0 {
        let page = samples.take(left.min(PAGE))?;
        left -= page.len();
        receive_all(store, page).await?;
    }
    Ok(())
}

async fn read_all(store: &impl EventStore) -> Measured<usize> {
    let (mut read, mut after) = (0, 0);
    loop {
        let page = store.read(Query::after(after)).await?;
        after = page.scanned_to;
        read += std::hint::black_box(page.events).len();
        if !page.more {
            return Ok(read);
        }
    }
}

async fn record_one(store: &impl EventStore, author: &NodeId, event: synckit::NewEvent) -> Measured<()> {
    let id = event.id.clone().ok_or("a sample without an id")?;
    let record = Record {
        author: author.clone(),
        events: vec![(id, event)],
        expect: Vec::new(),
        now: NOW,
        limits: Limits::default(),
        entropy: entropy(),
    };
    store.commit(record).await?;
    Ok(())
}

pub(super) fn sqlite_receive(scale: Scale) -> Measured<Sample> {
    let (directory, runtime, events) = (tempfile::tempdir()?, runtime()?, events(scale.events)?);
    let store = runtime.block_on(sqlite(directory.path(), "ours"))?;
    let writer = store.clone();
    let sample =
        Sample::of(scale.events, || in_task(&runtime, async move { receive_all(&writer, events).await }))?;
    runtime.block_on(store.close())?;
    Ok(sample)
}

pub(super) fn sqlite_record(scale: Scale) -> Measured<Sample> {
    let (directory, runtime, events) = (tempfile::tempdir()?, runtime()?, new_events(scale.events / 50)?);
    let store = runtime.block_on(sqlite(directory.path(), "ours"))?;
    let (writer, author) = (store.clone(), store.node().clone());
    let sample = Sample::of(events.len(), || {
        in_task(&runtime, async move {
            for event in events {
                record_one(&writer, &author, event).await?;
            }
            Ok(())
        })
    })?;
    runtime.block_on(store.close())?;
    Ok(sample)
}

pub(super) fn sqlite_read(scale: Scale) -> Measured<Sample> {
    let (directory, runtime) = (tempfile::tempdir()?, runtime()?);
    let store = runtime.block_on(sqlite(directory.path(), "ours"))?;
    runtime.block_on(receive_all(&store, events(scale.events)?))?;
    let sample = read_sample(scale, &runtime, &store)?;
    runtime.block_on(store.close())?;
    Ok(sample)
}

pub(super) fn redb_receive(scale: Scale) -> Measured<Sample> {
    let (directory, runtime, events) = (tempfile::tempdir()?, runtime()?, events(scale.events)?);
    let store = runtime.block_on(redb(directory.path(), "ours"))?;
    Sample::of(scale.events, || runtime.block_on(receive_all(&store, events)))
}

pub(super) fn redb_tasks(scale: Scale) -> Measured<Sample> {
    let (directory, runtime, events) = (tempfile::tempdir()?, runtime()?, new_events(scale.events / 10)?);
    let store = runtime.block_on(redb(directory.path(), "ours"))?;
    record_from_tasks(&runtime, &store, store.node(), events)
}

pub(super) fn sqlite_group(scale: Scale) -> Measured<Sample> {
    let (directory, runtime, events) = (tempfile::tempdir()?, runtime()?, new_events(scale.events / 10)?);
    let store = runtime.block_on(sqlite(directory.path(), "ours"))?;
    let sample = record_from_tasks(&runtime, &store, store.node(), events)?;
    runtime.block_on(store.close())?;
    Ok(sample)
}

/// Records events from many tasks, each one event at a time.
fn record_from_tasks<S: EventStore + Clone>(
    runtime: &Runtime,
    store: &S,
    author: &NodeId,
    events: Vec<synckit::NewEvent>,
) -> Measured<Sample> {
    let (events, next) = (Arc::new(events), Arc::new(AtomicUsize::new(0)));
    Sample::of(events.len(), || {
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..TASKS {
                let (store, author, events, next) =
                    (store.clone(), author.clone(), events.clone(), next.clone());
                tasks.spawn(async move {
                    while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                        record_one(&store, &author, event.clone()).await?;
                    }
                    Measured::Ok(())
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Ok(())
        })
    })
}

pub(super) fn redb_read(scale: Scale) -> Measured<Sample> {
    let (directory, runtime) = (tempfile::tempdir()?, runtime()?);
    let store = runtime.block_on(redb(directory.path(), "ours"))?;
    runtime.block_on(receive_all(&store, events(scale.events)?))?;
    read_sample(scale, &runtime, &store)
}

fn read_sample(scale: Scale, runtime: &Runtime, store: &impl EventStore) -> Measured<Sample> {
    let mut read = 0;
    let sample = Sample::of(scale.events, || {
        read = runtime.block_on(read_all(store))?;
        Ok(())
    })?;
    assert_eq!(read, scale.events, "all events are read");
    Ok(sample)
}
