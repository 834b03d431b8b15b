//! Copying a log into another engine.

use synckit_core::{Error, ErrorKind, Result};

use super::engine::{Batch, KeyValue, Snapshot, Tree};
use super::keys;
use super::log::Log;
use crate::Found;

/// How many bytes are written together.
const BYTES: usize = 4 << 20;

/// Copies everything, batch by batch. Whoever is interrupted leaves a part.
pub(super) fn copy(from: &impl Snapshot, to: &impl KeyValue) -> Result<()> {
    if Log(&to.snapshot()?).found()? != Found::Nothing {
        return Err(Error::new(ErrorKind::Conflict, "there is something already where the copy goes"));
    }
    for tree in Tree::ALL {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        let all = match tree {
            Tree::Events => keys::events(0..u64::MAX),
            // No key of a log begins with two bytes FF.
            _ => Vec::new()..vec![0xff; 2],
        };
        for entry in from.scan(tree, all)? {
            let (key, value) = entry?;
            let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
            bytes += key.len() + value.len();
            batch.put(tree, key, value);
            if bytes >= BYTES {
                to.write(&std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            to.write(&batch)?;
        }
    }
    Ok(())
}
