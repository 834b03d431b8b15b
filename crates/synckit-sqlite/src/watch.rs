//! Waiting for commits, also of other processes: however many wait, one of them looks.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synckit_core::{Position, Result};
use synckit_store::Growth;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::wake::Wake;

/// How often to look for commits of other processes where the file system does not tell of them.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// How often to look where it does: it may miss something, such as what another machine writes.
const RARELY: Duration = Duration::from_secs(5);

/// How long to wait after a change before looking: a commit is several changes.
const GATHER: Duration = Duration::from_millis(2);

/// Whose turn it is to look for commits of other processes, among those who wait.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    turn: Mutex<()>,
    /// The position beyond which the log was taken to be when somebody asked last.
    answered: AtomicU64,
    /// The file that every commit changes.
    path: Option<PathBuf>,
    /// What wakes the one who looks, from the first wait on.
    wake: OnceLock<Option<Wake>>,
}

impl Watch {
    /// Watches the log of the database in this file.
    pub(crate) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Watch { path: Some(path.into()), ..Watch::default() }
    }

    /// Waits until the log has grown beyond a position, or was set back to before it. `look` reads the last position.
    /// Whoever waits and has the turn looks for all; when it stops waiting, another has the turn.
    pub(crate) async fn moved<F: Future<Output = Result<Position>>>(
        &self,
        growth: &Growth,
        after: Position,
        look: impl Fn() -> F,
    ) -> Result<Position> {
        let known = growth.last();
        if known > after && self.answered.swap(after, Ordering::Relaxed) == after {
            // Whoever asks again has found nothing: somebody may have set the log back.
            let found = look().await?;
            if found > after {
                return Ok(found);
            }
            growth.found(known, found);
        }
        let turn = tokio::select! {
            biased;
            moved = growth.moved(after) => return moved,
            turn = self.turn.lock() => turn,
        };
        let wake = self.wake.get_or_init(|| self.path.as_deref().and_then(Wake::of)).as_ref();
        let moved = loop {
            let known = growth.last();
            growth.found(known, look().await?);
            tokio::select! {
                biased;
                moved = growth.moved(after) => break moved,
                // A commit of this process wakes at once; it is also a change of the file.
                () = async {
                    changed(wake).await;
                    sleep(GATHER).await;
                } => {}
                () = sleep(if wake.is_some() { RARELY } else { POLL }) => {}
            }
        };
        drop(turn);
        moved
    }
}

/// Waits until the file system tells of a change, if it can.
async fn changed(wake: Option<&Wake>) {
    match wake {
        Some(wake) => wake.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_again_learns_that_the_log_was_set_back() {
        let (watch, growth, there) = (Watch::default(), Growth::new(9), AtomicU64::new(5));
        let look = || async { Ok(there.load(Ordering::Relaxed)) };
        assert_eq!(watch.moved(&growth, 7, look).await.expect("as far as is known"), 9);
        assert_eq!(watch.moved(&growth, 7, look).await.expect("as far as there is"), 5);
        let again = tokio::time::timeout(POLL * 3, watch.moved(&growth, 5, look)).await;
        assert!(again.is_err() && growth.last() == 5, "it waits");
        there.store(8, Ordering::Relaxed);
        assert_eq!(watch.moved(&growth, 5, look).await.expect("it has grown"), 8);
        let set_back = async {
            tokio::time::sleep(POLL).await;
            there.store(6, Ordering::Relaxed);
        };
        let (moved, ()) = tokio::join!(watch.moved(&growth, 8, look), set_back);
        assert_eq!(moved.expect("whoever waits learns it too"), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_who_wait_look_as_often_as_one() {
        let shared = Arc::new((Watch::default(), Growth::new(0), AtomicU64::new(0), AtomicU64::new(0)));
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let (watch, growth, looked, there) = &*shared;
                    let look = || async {
                        looked.fetch_add(1, Ordering::Relaxed);
                        Ok(there.load(Ordering::Relaxed))
                    };
                    watch.moved(growth, 0, look).await
                })
            })
            .collect();
        tokio::time::sleep(POLL * 10 + POLL / 2).await;
        assert_eq!(shared.2.load(Ordering::Relaxed), 11);
        // The one that looks goes; another looks on, and finds what another process has written.
        waiting[0].abort();
        tokio::time::sleep(POLL * 10).await;
        let looked = shared.2.load(Ordering::Relaxed);
        assert!((20..=22).contains(&looked), "{looked}");
        shared.3.store(7, Ordering::Relaxed);
        for one in waiting.into_iter().skip(1) {
            assert_eq!(one.await.expect("ends").expect("no error"), 7);
        }
        assert!(shared.2.load(Ordering::Relaxed) <= looked + 2);
    }
}
