//! Helpers for the tasks of a transport: work that occupies the processor, and waiting for a flag.

use synckit_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// The size below which work delays nobody.
const SMALL: usize = 128 << 10;

/// Runs work on about this number of bytes, away from the runtime if it would delay others. Needs a tokio runtime. Work
/// that has begun there runs to its end even if the future is dropped.
///
/// # Errors
/// Those of the work; `Internal` when it panics away from the runtime.
pub async fn offload<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes < SMALL {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "work on a message did not finish").with_source(error)
    })?
}

/// Resolves when the flag is raised; never when its sender is gone. Dropping it loses nothing.
pub async fn raised(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|raised| *raised).await.is_err() {
        std::future::pending().await
    }
}
