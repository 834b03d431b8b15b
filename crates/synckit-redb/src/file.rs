//! Opening and creating the database.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Builder, StorageBackend};
use synckit_core::{Error, ErrorKind, Result};
use synckit_store::Opening;

use crate::config::RedbConfig;
use crate::engine::Open;
use crate::read_only;

/// Returns what opens the database in a file, and makes the file the first time where the configuration says so.
pub(crate) fn file(config: &RedbConfig, opening: &Opening) -> Result<Open> {
    let path = config.path.clone();
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the path of the store must name a file"));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.to_owned();
    // An empty file is no store yet: a process that ended while it created one leaves it.
    let there = fs::metadata(&path).is_ok_and(|file| file.is_dir() || file.len() > 0);
    if !there && !parent.is_dir() {
        return Err(Error::new(ErrorKind::NotFound, "the directory of the store does not exist"));
    }
    if !there {
        // Nothing is left behind if none may be made.
        opening.new_store()?;
    }
    // A file that is gone later is not made again by itself.
    let (create, cache_bytes) = (AtomicBool::new(opening.may_create()), config.cache_bytes);
    Ok(Box::new(move || {
        let builder = builder(cache_bytes);
        let opened = match create.swap(false, Ordering::Relaxed) {
            true if !there => {
                make_private(&path)?;
                let database = builder.create(&path)?;
                sync_directory(&parent)?;
                return Ok(database);
            }
            true => builder.create(&path),
            false => builder.open(&path),
        };
        match opened.map_err(redb::Error::from) {
            Err(redb::Error::Io(error)) if cannot_write(&error) => read_only::open(&builder, &path),
            opened => opened,
        }
    }))
}

fn cannot_write(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Makes an empty file that only its owner can read, unless there is one.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Returns what opens the database on a storage of the caller's, and makes it where the storage is empty.
pub(crate) fn backend<B: StorageBackend>(
    storage: impl Fn() -> io::Result<B> + Send + Sync + 'static,
) -> Open {
    Box::new(move || Ok(builder(RedbConfig::default().cache_bytes).create_with_backend(storage()?)?))
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Makes the name of a new file durable; without it, a power cut may take the file with all that was committed.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be synced and names are durable with the file.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
