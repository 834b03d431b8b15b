//! Files that are put in their place once they are whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use synckit::{Error, ErrorKind};
use tempfile::{Builder, TempPath};

use crate::failure::{self, Failure};

/// A file that is made beside its place. It is removed if it is not [put](Fresh::put) there.
#[derive(Debug)]
pub(crate) struct Fresh {
    temporary: TempPath,
    place: PathBuf,
    replace: bool,
}

impl Fresh {
    /// Makes an empty file that only its owner can read. With `replace` it takes the place of another file in the end.
    pub(crate) fn at(place: &Path, replace: bool) -> Result<Self, Failure> {
        if !replace {
            absent(place)?;
        }
        let temporary = Builder::new().prefix(".synckit-").suffix(".new").tempfile_in(directory(place));
        let temporary = temporary.map_err(|error| cannot("the file cannot be made", place, error))?;
        Ok(Fresh { temporary: temporary.into_temp_path(), place: place.to_owned(), replace })
    }

    /// Returns where it is being made.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Puts it in its place, durably.
    pub(crate) fn put(self) -> Result<(), Failure> {
        let Fresh { temporary, place, replace } = self;
        let put = || {
            File::open(&temporary)?.sync_all()?;
            match replace {
                true => temporary.persist(&place)?,
                false => temporary.persist_noclobber(&place)?,
            }
            sync_directory(&place)
        };
        put().map_err(|error| cannot("the file cannot be put in its place", &place, error))
    }
}

/// Checks that there is no file here, nor what another database has left beside it.
fn absent(place: &Path) -> Result<(), Failure> {
    for end in ["", "-wal", "-shm"] {
        let mut path = place.as_os_str().to_owned();
        path.push(end);
        let path = PathBuf::from(path);
        if fs::symlink_metadata(&path).is_ok() {
            let error =
                Error::new(ErrorKind::Conflict, "there is a file already").with("path", path.display());
            return Err(Failure::from(error).hint("nothing is replaced: move it away, or name another file"));
        }
    }
    Ok(())
}

fn directory(place: &Path) -> &Path {
    place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name durable; without it, a power cut may take the file.
fn sync_directory(place: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory(place))?.sync_all() } else { Ok(()) }
}

fn cannot(message: &str, place: &Path, source: io::Error) -> Failure {
    failure::system(format!("{message}: {}", place.display()), source)
}
