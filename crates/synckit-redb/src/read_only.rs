//! A file that cannot be written, as a storage for redb.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{Builder, Database, StorageBackend};

/// The unit in which changes are kept.
const BLOCK: usize = 4_096;

type Blocks = BTreeMap<u64, Box<[u8; BLOCK]>>;

/// Opens the database in a file that cannot be written. Reads work as ever, and every commit fails.
pub(crate) fn open(builder: &Builder, path: &Path) -> Result<Database, redb::Error> {
    let file = File::open(path)?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(redb::Error::DatabaseAlreadyOpen),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let ready = Arc::new(AtomicBool::new(false));
    let file = FileBackend::new(file)?;
    let len = file.len()?;
    let storage = ReadOnly { file, changed: Mutex::new((len, Blocks::new())), ready: Arc::clone(&ready) };
    let database = builder.create_with_backend(storage)?;
    ready.store(true, Ordering::Release);
    Ok(database)
}

/// The file, with what redb notes while it opens a database, which stays in memory.
#[derive(Debug)]
struct ReadOnly {
    file: FileBackend,
    /// The length, and the blocks that are not as they are in the file.
    changed: Mutex<(u64, Blocks)>,
    /// Whether the database is open. From then on nothing is taken.
    ready: Arc<AtomicBool>,
}

impl ReadOnly {
    fn changed(&self) -> MutexGuard<'_, (u64, Blocks)> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self) -> io::Result<()> {
        match self.ready.load(Ordering::Acquire) {
            true => Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem)),
            false => Ok(()),
        }
    }

    /// Reads a block of the file, with zeros after its end.
    fn block(&self, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let (mut block, start) = (Box::new([0; BLOCK]), number * BLOCK as u64);
        let there = self.file.len()?.saturating_sub(start).min(BLOCK as u64) as usize;
        if there > 0 {
            self.file.read(start, &mut block[..there])?;
        }
        Ok(block)
    }
}

/// Splits a range of bytes into blocks: the number of each, where the range is in it, and where that is in the range.
fn blocks(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = offset + at as u64;
        let inside = (place % BLOCK as u64) as usize;
        let length = (BLOCK - inside).min(len - at);
        let part = (place / BLOCK as u64, inside..inside + length, at..at + length);
        at += length;
        (length > 0).then_some(part)
    })
}

impl StorageBackend for ReadOnly {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().0)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        if offset.saturating_add(out.len() as u64) > changed.0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        if changed.1.is_empty() {
            drop(changed);
            return self.file.read(offset, out);
        }
        for (number, inside, outside) in blocks(offset, out.len()) {
            match changed.1.get(&number) {
                Some(block) => out[outside].copy_from_slice(&block[inside]),
                None => out[outside].copy_from_slice(&self.block(number)?[inside]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.refuse()?;
        self.changed().0 = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.refuse()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.refuse()?;
        let mut changed = self.changed();
        for (number, inside, outside) in blocks(offset, data.len()) {
            let mut block = match changed.1.remove(&number) {
                Some(block) => block,
                None => self.block(number)?,
            };
            block[inside].copy_from_slice(&data[outside]);
            changed.1.insert(number, block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_split_at_the_ends_of_blocks() {
        let parts: Vec<_> = blocks(4_000, 4_300).collect();
        assert_eq!(parts, [(0, 4_000..4_096, 0..96), (1, 0..4_096, 96..4_192), (2, 0..108, 4_192..4_300)]);
        assert_eq!(blocks(7, 0).count(), 0);
    }
}
