//! Dropping a future at one of its awaits.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// Polls a future at most `polls` times, then drops it. Returns its output if it was ready by then.
///
/// With 0, 1, 2, … until there is an output, a test drops a future at every await it has. Between two polls it waits
/// until the future wants to be polled again: for a future that never does, use one poll.
pub async fn drop_at<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_is_dropped_at_each_of_its_awaits() {
        let mut steps = 0;
        let mut reached = Vec::new();
        for polls in 0..=3 {
            steps = 0;
            let ended = drop_at(polls, async {
                steps += 1;
                tokio::task::yield_now().await;
                steps += 1;
                tokio::task::yield_now().await;
                steps += 1;
            });
            let ended = ended.await.is_some();
            reached.push((steps, ended));
        }
        assert_eq!(reached, [(0, false), (1, false), (2, false), (3, true)]);
        assert_eq!(steps, 3);
    }
}
