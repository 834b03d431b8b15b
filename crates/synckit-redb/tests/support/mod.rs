//! What the tests share: planners, the whole content of a store, and a disk in memory that can lose power.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses its part of it")]

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use redb::StorageBackend;
use synckit_core::{Edit, Event, NewEvent, Note};
use synckit_plan::{Receive, Record};
use synckit_redb::RedbStore;
use synckit_testkit::Rng;
use synckit_testkit::plans;
pub use synckit_testkit::plans::{Content, note};
use synckit_testkit::samples::node;

pub fn record(events: Vec<NewEvent>) -> Record {
    plans::record(&node("n"), events)
}

/// A record of one small event.
pub fn one(id: &str) -> Record {
    plans::one(&node("n"), id)
}

/// Events from a peer with a checkpoint.
pub fn receive(events: Vec<Event>, checkpoint: &str) -> Receive {
    let mut receive = plans::receive(1, events);
    receive.notes = vec![note("pull/far", checkpoint)];
    receive
}

pub fn edit(put: Vec<Note>, delete: &[&str]) -> Edit {
    Edit { put, delete: delete.iter().map(|key| (*key).to_owned()).collect() }
}

/// Opens the store of the node `n` on a disk.
pub async fn open(disk: &Disk) -> synckit_core::Result<RedbStore> {
    let disk = disk.clone();
    RedbStore::open_backend(move || Ok(disk.clone()), node("n")).await
}

/// Reads the whole store, and checks that positions and own counters have no gaps and every index leads to its event.
pub async fn content(store: &RedbStore) -> Content {
    let content = plans::content(store).await;
    let dots = content.log.iter().filter_map(|stored| stored.event.dot.as_ref());
    let own = dots.filter(|dot| dot.node == node("n")).map(|dot| dot.counter);
    assert!(own.zip(1..).all(|(counter, expected)| counter == expected));
    content
}

/// A change of the disk that a power cut may take back until the next sync.
#[derive(Clone, Debug)]
pub enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What a power cut leaves of the changes since the last sync.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    Nothing,
    Everything,
    /// A first part of them, the last one torn.
    Prefix(u64),
    /// Any of them.
    Subset(u64),
}

/// A disk in memory. It keeps every change since it was made, and which of them are synced. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    first: Vec<u8>,
    bytes: Vec<u8>,
    /// The changes between one sync and the next; those of the last entry are not synced.
    changes: Vec<Vec<Change>>,
    held_back: bool,
    /// How many syncs fail from now on.
    failing: usize,
}

impl Disk {
    /// A disk with this content, all of it synced.
    pub fn of(bytes: Vec<u8>) -> Self {
        let disk = Disk::default();
        disk.change(|state| {
            state.first = bytes.clone();
            state.bytes = bytes;
        });
        disk
    }

    /// How often it was synced.
    pub fn syncs(&self) -> usize {
        self.change(|state| state.changes.len().saturating_sub(1))
    }

    /// Lets every sync wait until this is taken back.
    pub fn hold_back(&self, held_back: bool) {
        self.change(|state| state.held_back = held_back);
        self.0.1.notify_all();
    }

    /// Lets every sync fail from now on.
    pub fn fail(&self) {
        self.fail_times(usize::MAX);
    }

    /// Lets the next syncs fail, this many.
    pub fn fail_times(&self, times: usize) {
        self.change(|state| state.failing = times);
    }

    /// What is there when the power goes after this many syncs, just before the next one has ended.
    pub fn cut_after(&self, syncs: usize, kept: Kept) -> Vec<u8> {
        self.change(|state| {
            let mut bytes = state.first.clone();
            state.changes.iter().take(syncs).flatten().for_each(|change| apply(&mut bytes, change));
            let unsynced = state.changes.get(syncs).map_or(&[][..], Vec::as_slice);
            for change in keep(unsynced, kept) {
                apply(&mut bytes, &change);
            }
            bytes
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.0.lock().expect("no panic under the lock");
        if state.changes.is_empty() {
            state.changes.push(Vec::new());
        }
        change(&mut state)
    }

    fn apply(&self, change: Change) {
        self.change(|state| {
            apply(&mut state.bytes, &change);
            state.changes.last_mut().expect("never empty").push(change);
        });
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write(offset, data) => {
            let end = offset + data.len();
            // A write beyond the end whose change of the length was lost.
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
    }
}

fn keep(changes: &[Change], kept: Kept) -> Vec<Change> {
    match kept {
        Kept::Nothing => Vec::new(),
        Kept::Everything => changes.to_vec(),
        Kept::Prefix(seed) => {
            let mut rng = Rng::new(seed);
            let mut prefix = changes[..rng.below(changes.len() + 1)].to_vec();
            if let Some(Change::Write(_, data)) = prefix.last_mut() {
                data.truncate(rng.below(data.len() + 1));
            }
            prefix
        }
        Kept::Subset(seed) => {
            let mut rng = Rng::new(seed);
            changes.iter().filter(|_| rng.chance(50)).cloned().collect()
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.change(|state| state.bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.change(|state| {
            let start = offset as usize;
            let bytes = state.bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.apply(Change::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = self.0.0.lock().expect("no panic under the lock");
        let waited = self.0.1.wait_while(state, |state| state.held_back);
        let mut state = waited.expect("no panic under the lock");
        if state.failing > 0 {
            state.failing -= 1;
            return Err(io::Error::other("the disk fails"));
        }
        if state.changes.is_empty() {
            state.changes.push(Vec::new());
        }
        state.changes.push(Vec::new());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.apply(Change::Write(offset as usize, data.to_vec()));
        Ok(())
    }
}
