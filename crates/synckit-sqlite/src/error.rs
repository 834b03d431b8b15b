//! What the engine's errors mean to a caller.

use std::io;

use sqlx::error::DatabaseError;
use synckit_core::{Error, ErrorKind, Position};

use crate::config::SqliteConfig;
use crate::packed::{Named, Unreadable};

// Primary result codes, https://www.sqlite.org/rescode.html. An extended code has its primary in the low byte.
const ERROR: i32 = 1;
const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const AUTH: i32 = 23;
const NOTADB: i32 = 26;

/// The one place where errors of the driver become errors of synckit.
pub(crate) fn engine(error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => coded(primary(database.as_ref())),
        sqlx::Error::PoolTimedOut => (ErrorKind::Busy, "no connection became free in time"),
        sqlx::Error::PoolClosed => (ErrorKind::Closed, "the connection pool is closed"),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            (ErrorKind::Invalid, "the path cannot be given to SQLite")
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a stored value cannot be read")
        }
        _ => (ErrorKind::Internal, "the driver failed"),
    };
    Error::new(kind, message).with_source(error)
}

/// An event of the log that cannot be read. Its position and its id are named as far as they could be read.
pub(crate) fn unreadable(named: Named, error: Unreadable) -> Error {
    let mut corrupt = Error::corrupt("an event of the log cannot be read").with_source(error);
    if let Some(position) = named.position {
        corrupt = corrupt.with("position", position);
    }
    match named.id {
        Some(id) => corrupt.with("event", id),
        None => corrupt,
    }
}

/// The position of the row that cannot be read, if that is the error.
pub(crate) fn damaged_row(error: &Error) -> Option<Position> {
    let position = error.context().iter().find(|(key, _)| *key == "position");
    position.filter(|_| error.kind() == ErrorKind::Corrupt)?.1.parse().ok()
}

/// Whether a rollback failed only because there was nothing to roll back.
pub(crate) fn had_no_transaction(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if primary(database.as_ref()) == ERROR)
}

/// Whether the file could not be opened at all, for which the path knows more than SQLite does.
pub(crate) fn cannot_open(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if primary(database.as_ref()) == CANTOPEN)
}

/// Why a file could not be opened, by what stands at its path.
pub(crate) async fn no_file(config: &SqliteConfig, error: sqlx::Error) -> Error {
    let path = config.path.clone();
    let look = move || {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        (path.try_exists().unwrap_or(true), parent.is_none_or(|parent| parent.is_dir()))
    };
    match tokio::task::spawn_blocking(look).await {
        Ok((false, false)) => Error::new(ErrorKind::NotFound, "the directory of the store does not exist"),
        Ok((false, true)) if config.node.is_none() => {
            Error::new(ErrorKind::NotFound, "there is no store here; give the node id to create one for")
        }
        Ok((false, true)) if !config.create => {
            Error::new(ErrorKind::NotFound, "there is no store here; allow it to be created")
        }
        _ => engine(error),
    }
}

/// Whether another connection holds the lock.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if matches!(primary(database.as_ref()), BUSY | LOCKED))
}

fn coded(code: i32) -> (ErrorKind, &'static str) {
    match code {
        BUSY | LOCKED => (ErrorKind::Busy, "the database is locked by another connection; try again"),
        FULL => (ErrorKind::Unavailable, "the disk is full; free some space"),
        PERM | READONLY | AUTH => (
            ErrorKind::Denied,
            "the database cannot be written; check the rights on the file and its directory",
        ),
        CANTOPEN => {
            (ErrorKind::Denied, "the file cannot be opened; check the rights on it and its directory")
        }
        CORRUPT => (ErrorKind::Corrupt, "the database file is damaged; restore it or pull everything again"),
        NOTADB => (ErrorKind::Corrupt, "this is not a SQLite database, or it is damaged or encrypted"),
        TOOBIG => (ErrorKind::TooLarge, "a value exceeds the limits of SQLite"),
        _ => (ErrorKind::Internal, "SQLite failed"),
    }
}

fn primary(error: &dyn DatabaseError) -> i32 {
    error.code().and_then(|code| code.parse::<i32>().ok()).map_or(0, |code| code & 0xff)
}
