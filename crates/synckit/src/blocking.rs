//! Work that grows with a history, off the runtime.

use synckit_core::{Error, ErrorKind, Result};

/// Runs work on a thread that may block, and waits for it. If the future is dropped, the work goes on and its result is
/// dropped, so it must change nothing.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Internal, "work on a thread did not end").with_source(error))?
}
