//! A copy of a store that is in use.

use std::io;
use std::path::{Path, PathBuf};

use synckit_core::{Error, ErrorKind, Result};

use crate::error::engine;
use crate::file::make_private;
use crate::store::SqliteStore;

impl SqliteStore {
    /// Copies the store, as it is at one moment, into a file that does not exist or is empty. Other users of the store
    /// read and write meanwhile. The copy is durable when this returns.
    ///
    /// The copy has the identity of the store: give it one of its own before both are in use.
    ///
    /// If the future is dropped or fails, the file holds nothing of use and is to be deleted.
    ///
    /// # Errors
    /// `Conflict` when the file holds something, `NotFound` when its directory does not exist, `Denied` when it cannot be
    /// written, `Invalid` when its path is not UTF-8, `Unavailable` when the disk is full, `Corrupt` when the store is
    /// damaged.
    pub async fn backup(&self, path: impl Into<PathBuf>) -> Result<()> {
        let path = path.into();
        let copied = self.copy_to(path.clone()).await;
        copied.map_err(|error| error.with("backup", path.display()))
    }

    async fn copy_to(&self, path: PathBuf) -> Result<()> {
        let made = path.clone();
        blocking(move || make_empty(&made)).await?;
        // A relative path beginning with `file:` would be read as a URI.
        let named = if path.is_relative() { Path::new(".").join(&path) } else { path.clone() };
        let text =
            named.to_str().ok_or_else(|| Error::invalid("the path cannot be given to SQLite"))?.to_owned();
        self.0
            .read("backup", async |connection| {
                let copy = sqlx::query("VACUUM INTO ?").bind(text).execute(connection).await;
                copy.map(drop).map_err(engine)
            })
            .await?;
        // The engine does not wait for the disk here.
        blocking(move || std::fs::File::open(&path)?.sync_all()).await
    }
}

/// Makes a file that only its owner can read, unless there is an empty one.
fn make_empty(path: &Path) -> io::Result<()> {
    if make_private(path)? || std::fs::metadata(path)?.len() == 0 {
        return Ok(());
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| {
        let (kind, message) = match error.kind() {
            io::ErrorKind::AlreadyExists => (ErrorKind::Conflict, "there is a file of this name already"),
            io::ErrorKind::NotFound => (ErrorKind::NotFound, "the directory of the backup does not exist"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                (ErrorKind::Denied, "the backup cannot be written; check the rights on its directory")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (ErrorKind::Unavailable, "the disk is full; free some space")
            }
            _ => (ErrorKind::Internal, "the backup cannot be written"),
        };
        Error::new(kind, message).with_source(error).at("sqlite", "backup")
    })
}
