//! The file of a store: its rights, and whether it can be written.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::SqliteConfig;

/// How a file can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To be read and written.
    Write,
    /// To be read only. Alone, there is no write-ahead log beside it, and nobody writes.
    Read { alone: bool },
}

/// Makes the file where one may be made, and finds out how it can be opened.
pub(crate) async fn way(config: &SqliteConfig) -> Way {
    let (path, create) = (config.path.clone(), config.may_create());
    let look = move || {
        if create {
            // That it cannot be made is said when it is opened.
            let _ = make_private(&path);
        }
        match std::fs::File::options().write(true).open(&path) {
            Err(error) if cannot_write(&error) => reading(&path),
            _ => Way::Write,
        }
    };
    tokio::task::spawn_blocking(look).await.unwrap_or(Way::Write)
}

/// Returns how to read a file that can be written, but whose directory cannot; `None` if there is no file.
pub(crate) async fn way_to_read(config: &SqliteConfig) -> Option<Way> {
    let path = config.path.clone();
    let look = move || std::fs::File::open(&path).is_ok().then(|| reading(&path));
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

fn reading(path: &Path) -> Way {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Way::Read { alone: std::fs::metadata(PathBuf::from(log)).map_or(true, |log| log.len() == 0) }
}

fn cannot_write(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Makes a file that only its owner can read, if there is none; returns whether it made one. The engine gives the files
/// beside it the same rights.
pub(crate) fn make_private(path: &Path) -> io::Result<bool> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
