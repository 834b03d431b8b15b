//! On which machine a store was last opened.
//!
//! A file that is opened on another machine than before may be a copy, and the file it was copied from may still be in
//! use. Nothing is asked of anybody: the store takes a fresh id and a fresh name, as after any other sign of a copy. If
//! it was only moved, that costs a name. A machine whose id changes with every start would cost one each time, so that
//! it is done a few times at most.

use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use synckit_core::{Identity, Note, Renewal, Result, StoreId};

use crate::random_bytes;

/// The key of the machine that a store was last opened on: as JSON, a hash of its id, how often it was another one than
/// before, and when that was last, in Unix milliseconds.
const MACHINE: &str = "machine";

/// How often a store takes a fresh name because it is on another machine.
const MOVES: u32 = 16;

/// Files in which systems keep an id that a machine has from its installation on.
const FILES: [&str; 3] = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid"];

/// What the note says.
type Moves = (String, u32, u64);

/// Returns the id of this machine, if the system has one that can be read.
pub(super) fn this_machine() -> Option<String> {
    let read = |file: &&str| std::fs::read_to_string(file).ok();
    let mut ids = FILES.iter().filter_map(read).map(|id| id.trim().to_owned());
    // An image for many machines has an empty one, or says that there is none yet.
    ids.find(|id| id.len() >= 8 && id != "uninitialized")
}

/// Returns the notes to put when the store with this identity, this id and this note about its machine is opened on a
/// machine; none if nothing has changed.
pub(super) fn notes(
    machine: &str,
    identity: &Identity,
    store: StoreId,
    before: Option<&[u8]>,
) -> Result<Vec<Note>> {
    let hash = Sha256::new_with_prefix(b"synckit machine 1").chain_update(machine).finalize();
    let here: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let note = |moves: u32, at: u64| Note::json(MACHINE.to_owned(), &(&here, moves, at));
    let Some(before) = before else { return Ok(vec![note(0, 0)?]) };
    let (there, moves, _): Moves = Note::read(MACHINE, before)?;
    if there == here {
        return Ok(Vec::new());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut notes = vec![note(moves.saturating_add(1), now)?];
    if moves < MOVES {
        let (suffix, id) = (random_bytes()?, random_bytes()?);
        let suffix = suffix.iter().take(8).fold(0, |suffix, byte| suffix << 8 | u64::from(*byte));
        let renewed = identity.renewed(store, Renewal::CopyInUse, now, suffix);
        notes.extend([
            Note::json(Note::NODE.to_owned(), &renewed)?,
            Note::of_store_id(StoreId::from_bytes(id)),
        ]);
    }
    Ok(notes)
}

/// The keys of the notes that [`notes`] takes.
pub(super) const KEYS: [&str; 3] = [Note::NODE, Note::STORE, MACHINE];

#[cfg(test)]
mod tests {
    use synckit_core::{NodeId, Secret};

    use super::*;

    #[test]
    fn another_machine_costs_a_name_and_an_unsteady_one_a_few() {
        let mut identity = Identity::new(NodeId::new("n").expect("valid"), Secret::from_bytes([1; 16]));
        let (mut store, mut before) = (StoreId::from_bytes([1; 16]), None);
        let mut names = std::collections::BTreeSet::from([identity.author.clone()]);
        for opening in 0..100 {
            let machine = format!("machine {}", opening / 2);
            let put = notes(&machine, &identity, store, before.as_deref()).expect("plans");
            assert_eq!(put.is_empty(), opening % 2 == 1, "the second time it is the same machine");
            for Note { key, value } in put {
                match key.as_str() {
                    MACHINE => before = Some(value),
                    Note::NODE => identity = Note::read_identity(Some(&value)).expect("readable"),
                    _ => store = Note::read_store_id(Some(&value)).expect("readable"),
                }
            }
            names.insert(identity.author.clone());
            assert_eq!(names.len(), 1 + (opening / 2).min(MOVES as usize));
        }
        assert!(
            identity.former.iter().all(|former| former.store != store && former.why == Renewal::CopyInUse)
        );
        let (_, moves, at): Moves = Note::read(MACHINE, &before.expect("noted")).expect("readable");
        assert!(moves == 49 && at > 0);
    }
}
