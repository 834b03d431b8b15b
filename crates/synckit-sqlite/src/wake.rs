//! Woken by the file system when a file changes.

use std::path::Path;
use std::sync::Arc;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Tells of changes of one file.
#[derive(Debug)]
pub(crate) struct Wake {
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Wake {
    /// Watches a file. `None` where the file system cannot tell of changes, or the file is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        // What cannot be told counts as a change: looking once more does no harm. Reading does not.
        let told = move |event: notify::Result<Event>| {
            if event.map_or(true, |event| !event.kind.is_access()) {
                tell.notify_one();
            }
        };
        let mut watcher = notify::recommended_watcher(told).ok()?;
        watcher.watch(path, RecursiveMode::NonRecursive).ok()?;
        Some(Wake { changed, _watcher: watcher })
    }

    /// Waits for a change. One that came since the last call counts.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
