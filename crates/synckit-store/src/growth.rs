//! Waiting until a log grows.

use synckit_core::{Error, ErrorKind, Position, Result};
use tokio::sync::watch;

/// The last position of a log, for those who wait until it grows. Ends when the store closes.
///
/// ```
/// use synckit_store::Growth;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let growth = Growth::new(3);
/// growth.grown_to(5);
/// assert_eq!(growth.moved(3).await?, 5);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Growth(watch::Sender<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    last: Position,
    closed: bool,
}

impl Growth {
    /// Starts at the last position.
    pub fn new(last: Position) -> Self {
        Growth(watch::Sender::new(State { last, closed: false }))
    }

    /// Wakes those who wait, if this position is beyond the last.
    pub fn grown_to(&self, position: Position) {
        self.0.send_if_modified(|state| {
            let grown = state.last < position;
            state.last = state.last.max(position);
            grown
        });
    }

    /// Takes over what was found to be the last position after `known` was taken for it. It is less only if somebody has
    /// set the log back.
    pub fn found(&self, known: Position, position: Position) {
        self.0.send_if_modified(|state| {
            let before = state.last;
            state.last = if before == known { position } else { before.max(position) };
            state.last > before
        });
    }

    /// Returns the last position that is known here.
    pub fn last(&self) -> Position {
        self.0.borrow().last
    }

    /// Ends all waiting, now and later. Closing twice is closing once.
    pub fn close(&self) {
        self.0.send_if_modified(|state| !std::mem::replace(&mut state.closed, true));
    }

    /// Whether the store was closed.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// Waits until the last position is beyond this one, and returns it. Can be dropped at any time.
    ///
    /// # Errors
    /// `Closed` when the store is closed.
    pub async fn moved(&self, after: Position) -> Result<Position> {
        let mut state = self.0.subscribe();
        let state = state.wait_for(|state| state.closed || state.last > after).await;
        match state {
            Ok(state) if !state.closed => Ok(state.last),
            _ => Err(closed()),
        }
    }
}

/// Returns the error of every call on a closed store.
pub fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_set_back_ends_earlier_unless_it_has_grown_meanwhile() {
        let growth = Growth::new(5);
        growth.found(5, 2);
        assert_eq!(growth.last(), 2);
        growth.grown_to(4);
        growth.found(2, 1);
        assert_eq!(growth.last(), 4);
        growth.found(2, 6);
        assert_eq!(growth.last(), 6);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_growth_and_by_the_end() {
        let growth = Growth::new(3);
        assert_eq!(growth.moved(2).await.expect("it is there"), 3);
        let (woken, ()) = tokio::join!(growth.moved(3), async {
            growth.grown_to(3);
            growth.grown_to(5);
        });
        assert_eq!(woken.expect("it has grown"), 5);
        let (ended, ()) = tokio::join!(growth.moved(5), async { growth.close() });
        assert_eq!(ended.expect_err("it is closed").kind(), ErrorKind::Closed);
        assert!(growth.moved(0).await.is_err() && growth.is_closed());
    }
}
