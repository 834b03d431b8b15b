//! What the tests share: intents, the whole content of a store, and a disk in memory that can lose power.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use redb::StorageBackend;
use synckit_core::notes::Note;
use synckit_core::plan::{Entropy, Intent, Outcome, Receive, Record, Recorded};
use synckit_core::{Event, EventStore, Limits, NewEvent, NoteQuery, Query, Result, StoreId, StoredEvent};
use synckit_redb::RedbStore;
use synckit_testkit::Rng;
use synckit_testkit::samples::{NOW, new_event, node, store_id};

/// Randomness that no other commit of this process has.
pub fn entropy() -> Entropy {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; Entropy::BYTES];
    bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&drawn.to_be_bytes()));
    Entropy::from_bytes(bytes)
}

pub fn record(events: Vec<NewEvent>) -> Intent {
    let named = |new: NewEvent| (new.id.clone().expect("has an id"), new);
    let events = events.into_iter().map(named).collect();
    Intent::Record(Record {
        author: node("n"),
        events,
        now: NOW,
        limits: Limits::default(),
        entropy: entropy(),
        expect: Vec::new(),
    })
}

/// A record of one small event.
pub fn one(id: &str) -> Intent {
    record(vec![new_event("x", id)])
}

/// Events from a peer with a checkpoint.
pub fn receive(events: Vec<Event>, checkpoint: &str) -> Intent {
    let mut receive = Receive::new(Some(store_id(1)), events, NOW, Limits::default(), entropy());
    receive.notes = vec![note("pull/far", checkpoint)];
    Intent::Receive(receive)
}

pub fn note(key: &str, value: &str) -> Note {
    Note { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

pub fn recorded(outcome: Result<Outcome>) -> Recorded {
    match outcome.expect("commits") {
        Outcome::Recorded(recorded) => recorded,
        other => panic!("{other:?}"),
    }
}

/// All that a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub store: StoreId,
    pub log: Vec<StoredEvent>,
    pub notes: Vec<Note>,
}

/// Reads the whole store, and checks that positions and own counters have no gaps and every index leads to its event.
pub async fn content(store: &RedbStore) -> Content {
    let everything = || Query::after(0).at_most(usize::MAX, usize::MAX);
    let log = store.read(everything()).await.expect("reads").events;
    let head = store.head().await.expect("a head");
    assert_eq!(head.position, log.len() as u64);
    let mut own = 0;
    for (stored, position) in log.iter().zip(1..) {
        assert_eq!(stored.position, position);
        if let Some(dot) = stored.event.dot.as_ref().filter(|dot| dot.node == node("n")) {
            own += 1;
            assert_eq!(dot.counter, own);
        }
        let query = everything().of_aggregate(stored.event.aggregate_id.clone());
        let of_aggregate = store.read(query).await.expect("reads").events;
        assert!(of_aggregate.contains(stored));
    }
    let ids = log.iter().map(|stored| stored.event.id.clone()).collect();
    let dots = log.iter().filter_map(|stored| stored.event.dot.clone()).collect();
    let needs = synckit_core::Needs { ids, dots, ..Default::default() };
    let Outcome::Facts(facts) = store.commit(Intent::Ask(needs)).await.expect("answers") else {
        panic!("not what was asked")
    };
    assert_eq!((facts.held.len(), facts.dots.len()), (log.len(), log.len()));
    let all = NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: usize::MAX };
    Content { store: head.store, log, notes: store.notes(all).await.expect("reads") }
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
    /// The first so many, the last of them torn.
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
    fails: bool,
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
        self.change(|state| state.fails = true);
    }

    /// What is there when the power goes after so many syncs, just before the next one has ended.
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
        if state.fails {
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
