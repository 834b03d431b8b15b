//! Calls that are made in an order which somebody chooses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Calls that wait until it is their turn. Clones share them. A [`FaultPlan`](crate::FaultPlan) with turns makes every
/// call wait, so that a test chooses how the calls of several tasks interleave.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<Vec<oneshot::Sender<()>>>>);

impl Turns {
    /// Lets one of the waiting calls go on, chosen by its number among them: those that came first come first. Returns
    /// whether one was waiting.
    ///
    /// # Panics
    /// If the number chosen is not below the number of waiting calls.
    pub fn pass(&self, choose: impl FnOnce(usize) -> usize) -> bool {
        let mut waiting = self.locked();
        // Calls that were dropped wait no longer.
        waiting.retain(|call| !call.is_closed());
        if waiting.is_empty() {
            return false;
        }
        let chosen = choose(waiting.len());
        waiting.remove(chosen).send(()).is_ok()
    }

    /// Waits for a turn.
    pub(super) async fn wait(&self) {
        let (pass, passed) = oneshot::channel();
        self.locked().push(pass);
        // An error means that nobody gives turns any more.
        let _ = passed.await;
    }

    fn locked(&self) -> MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_go_on_in_the_order_that_is_chosen() {
        let (turns, order) = (Turns::default(), Arc::new(Mutex::new(Vec::new())));
        let calls: Vec<_> = (0..3)
            .map(|call| {
                let (turns, order) = (turns.clone(), order.clone());
                tokio::spawn(async move {
                    turns.wait().await;
                    order.lock().unwrap().push(call);
                })
            })
            .collect();
        calls[1].abort();
        for chosen in [1, 0] {
            // With the clock paused, time passes only when nothing else can run.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            assert!(turns.pass(|_| chosen));
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        assert!(!turns.pass(|_| 0));
        assert_eq!(*order.lock().unwrap(), [2, 0]);
    }
}
