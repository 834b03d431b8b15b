//! What the engine's errors mean to a caller.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::Error as Engine;
use synckit_core::{Error, ErrorKind};

const FAILED: &str = "the storage failed; the next call opens it again";

/// Runs code of the engine, which panics over some damaged files.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Engine>) -> Result<T, Engine> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(Engine::Corrupted("redb panicked".to_owned())))
}

/// The one place where errors of the engine become errors of synckit.
pub(crate) fn engine(error: impl Into<Engine>) -> Error {
    let error = error.into();
    let (kind, message) = match &error {
        Engine::DatabaseAlreadyOpen | Engine::LockProtocolMismatch => (
            ErrorKind::Busy,
            "the file is open elsewhere; it belongs to one store of one process at a time: close it there, or share its handle",
        ),
        Engine::Io(error) => io_failed(error),
        Engine::Corrupted(_) => {
            (ErrorKind::Corrupt, "the database file is damaged; restore it or pull everything again")
        }
        Engine::TableTypeMismatch { .. }
        | Engine::TableDoesNotExist(_)
        | Engine::TableIsMultimap(_)
        | Engine::TableIsNotMultimap(_)
        | Engine::TypeDefinitionChanged { .. } => {
            (ErrorKind::Corrupt, "the tables of the database are not those of a store")
        }
        Engine::UpgradeRequired(_) => {
            (ErrorKind::Unsupported, "the database has a file format that this redb does not read")
        }
        Engine::Unsupported => (ErrorKind::Unsupported, "the storage lacks what a store needs"),
        Engine::ValueTooLarge(_) => (ErrorKind::TooLarge, "a value exceeds the limits of redb"),
        Engine::PreviousIo | Engine::DatabaseClosed => (ErrorKind::Unavailable, FAILED),
        _ => (ErrorKind::Internal, "redb failed"),
    };
    Error::new(kind, message).with_source(error)
}

fn io_failed(error: &io::Error) -> (ErrorKind, &'static str) {
    match error.kind() {
        // What redb returns for a file that it did not write.
        io::ErrorKind::InvalidData => (
            ErrorKind::Corrupt,
            "this is not a redb database, or it was cut short while it was created; delete it then",
        ),
        io::ErrorKind::NotFound => {
            (ErrorKind::NotFound, "the file of the store or its directory does not exist")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::IsADirectory => {
            (
                ErrorKind::Denied,
                "the file cannot be opened or written; check the rights on it and its directory",
            )
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            ErrorKind::Unavailable,
            "the disk is full; free some space, then the file is opened again by itself",
        ),
        io::ErrorKind::UnexpectedEof => (ErrorKind::Corrupt, "the database file was cut short"),
        _ => (ErrorKind::Unavailable, FAILED),
    }
}
