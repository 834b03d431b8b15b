//! Waiting for commits, also of other processes: however many wait, one of them looks.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synckit_core::{Facts, Mark, Position, Result};
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
    /// A place in the log, with its mark, as it was when somebody looked last. In another log there is another mark.
    place: Mutex<Option<(Position, Mark)>>,
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

    /// Waits until the log has grown beyond a position, or was set back to before it or replaced by another. `look` reads
    /// the last position, and the marks at some. Whoever waits and has the turn looks for all; when it stops waiting,
    /// another has the turn.
    pub(crate) async fn moved<F: Future<Output = Result<Facts>>>(
        &self,
        growth: &Growth,
        after: Position,
        look: impl Fn(Vec<Position>) -> F,
    ) -> Result<Position> {
        if growth.last() > after && self.answered.swap(after, Ordering::Relaxed) == after {
            // Whoever asks again has found nothing: somebody may have set the log back.
            self.look(growth, &look).await?;
        }
        let turn = tokio::select! {
            biased;
            moved = growth.moved(after) => return moved,
            turn = self.turn.lock() => turn,
        };
        let wake = self.wake.get_or_init(|| self.path.as_deref().and_then(Wake::of)).as_ref();
        let moved = loop {
            tokio::select! {
                biased;
                moved = growth.moved(after) => break moved,
                looked = async {
                    self.look(growth, &look).await?;
                    tokio::select! {
                        // A commit of this process wakes at once; it is also a change of the file.
                        () = async {
                            changed(wake).await;
                            sleep(GATHER).await;
                        } => {}
                        () = sleep(if wake.is_some() { RARELY } else { POLL }) => {}
                    }
                    Ok(())
                } => looked?,
            }
        };
        drop(turn);
        moved
    }

    /// Looks where the log ends, and whether it is still the same.
    async fn look<F: Future<Output = Result<Facts>>>(
        &self,
        growth: &Growth,
        look: impl Fn(Vec<Position>) -> F,
    ) -> Result<()> {
        let mut place = self.place.lock().await;
        let known = growth.last();
        let mut places = vec![known];
        places.extend(place.map(|(at, _)| at));
        let facts = look(places).await?;
        let is_other = place.is_some_and(|(at, mark)| facts.places.get(&at) != Some(&mark));
        *place = facts.places.get(&known).map(|mark| (known, *mark));
        let end = facts.head.position;
        if is_other {
            growth.replaced(known, end)
        } else {
            growth.found(known, end)
        }
        Ok(())
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

    use synckit_core::{LogHead, StoreId};

    use super::*;

    /// What is found of a log that ends here, whose marks are this far from their positions.
    fn facts(last: u64, mark: u64, places: Vec<Position>) -> Facts {
        let mut facts =
            Facts::at(LogHead { store: StoreId::from_bytes([1; 16]), position: last, mark: None });
        facts
            .places
            .extend(places.into_iter().filter(|at| (1..=last).contains(at)).map(|at| (at, Mark(at + mark))));
        facts
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_again_learns_that_the_log_was_set_back() {
        let (watch, growth, there) = (Watch::default(), Growth::new(9), AtomicU64::new(5));
        let look = |places| async { Ok(facts(there.load(Ordering::Relaxed), 0, places)) };
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
    async fn whoever_waits_learns_that_the_log_is_another_one_as_long_as_before() {
        let (watch, growth, mark) = (Watch::default(), Growth::new(5), AtomicU64::new(0));
        let look = |places| async { Ok(facts(5, mark.load(Ordering::Relaxed), places)) };
        let waits = tokio::time::timeout(POLL * 3, watch.moved(&growth, 5, look)).await;
        assert!(waits.is_err(), "it waits");
        mark.store(7, Ordering::Relaxed);
        assert_eq!(watch.moved(&growth, 5, look).await.expect("it is another log"), 5);
        let waits = tokio::time::timeout(POLL * 3, watch.moved(&growth, 5, look)).await;
        assert!(waits.is_err(), "it waits for what becomes of that one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_who_wait_look_as_often_as_one() {
        let shared = Arc::new((Watch::default(), Growth::new(0), AtomicU64::new(0), AtomicU64::new(0)));
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let (watch, growth, looked, there) = &*shared;
                    let look = |places| async {
                        looked.fetch_add(1, Ordering::Relaxed);
                        Ok(facts(there.load(Ordering::Relaxed), 0, places))
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
