//! Records in a file: each is there in full or not at all.
//!
//! The file begins with a line that says what it is. A record is its checksum (16 hexadecimal digits, the first of its
//! SHA-256), a text of JSON, and the byte 0x1e, which no JSON text holds.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

const MAGIC: &[u8] = b"synckit custom-adapter 1\n";
const END: u8 = 0x1e;

/// An open file. **Invariant**: everything before `end` is whole and durable, and no other process writes it.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    end: u64,
}

impl LogFile {
    /// Opens or makes the file, and reads its records. Cuts off what a crash left of one.
    pub(crate) fn open<T: DeserializeOwned>(path: &Path) -> io::Result<(Self, Vec<T>)> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        // The lock ends with the file, also when the process is killed.
        file.try_lock()?;
        let (mut bytes, mut read) = (Vec::new(), Vec::new());
        file.read_to_end(&mut bytes)?;
        let mut log = LogFile { file, end: MAGIC.len() as u64 };
        if MAGIC.starts_with(&bytes) {
            log.write(0, MAGIC)?;
            // A file whose name is lost in a power cut is lost with all that was committed.
            if let Some(directory) = std::path::absolute(path)?.parent().filter(|_| cfg!(unix)) {
                File::open(directory)?.sync_all()?;
            }
            return Ok((log, read));
        }
        let records = bytes.strip_prefix(MAGIC).ok_or(ErrorKind::AlreadyExists)?;
        let mut records = records.split_inclusive(|byte| *byte == END).peekable();
        while let Some(record) = records.next() {
            match text(record) {
                Some(text) => read.push(serde_json::from_slice(text)?),
                // It was being written when the process or the machine stopped, and was never acknowledged.
                None if records.peek().is_none() => break,
                None => return Err(ErrorKind::InvalidData.into()),
            }
            log.end += record.len() as u64;
        }
        log.file.set_len(log.end).and_then(|()| log.file.sync_all())?;
        Ok((log, read))
    }

    /// Appends a record and makes it durable.
    pub(crate) fn append(&mut self, record: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let record = [checksum(&text).as_bytes(), &text, &[END]].concat();
        // The next record takes the place of one that failed; until then, nothing of it is left to be found.
        self.write(self.end, &record).inspect_err(|_| drop(self.file.set_len(self.end)))?;
        self.end += record.len() as u64;
        Ok(())
    }

    fn write(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // A process that is being started at this moment has the file too, and would keep the lock until it has begun.
        let _ = self.file.unlock();
    }
}

/// The text of a record, if the record is whole.
fn text(record: &[u8]) -> Option<&[u8]> {
    let (sum, text) = record.strip_suffix(&[END])?.split_at_checked(16)?;
    (checksum(text).as_bytes() == sum).then_some(text)
}

fn checksum(text: &[u8]) -> String {
    Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
