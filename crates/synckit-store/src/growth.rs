//! Waiting until a log grows, or is replaced by another.

use synckit_core::{Error, ErrorKind, Position, Result};
use tokio::sync::watch;

/// The last position of a log, for those who wait until it grows or is replaced. Ends when the store closes.
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
    /// The last position that there ever was.
    furthest: Position,
    /// How often the log was replaced by another.
    replaced: u64,
    closed: bool,
}

impl State {
    /// Goes to a last position. Returns whether it is another.
    fn go(&mut self, last: Position) -> bool {
        self.furthest = self.furthest.max(last);
        std::mem::replace(&mut self.last, last) != last
    }

    /// Takes over what was found after `known` was taken for the last position. Returns whether it is another.
    fn find(&mut self, known: Position, position: Position) -> bool {
        self.go(if self.last == known { position } else { self.last.max(position) })
    }

    /// Returns whether the log has more than this, or had it and has less now. Who asks may know of more than this state.
    fn differs(&self, after: Position) -> bool {
        self.last > after || (self.last < after && after <= self.furthest)
    }
}

impl Growth {
    /// Starts at the last position.
    pub fn new(last: Position) -> Self {
        Growth(watch::Sender::new(State { last, furthest: last, replaced: 0, closed: false }))
    }

    /// Wakes those who wait, if this position is beyond the last.
    pub fn grown_to(&self, position: Position) {
        self.0.send_if_modified(|state| state.go(state.last.max(position)));
    }

    /// Takes over what was found to be the last position after `known` was taken for it, and wakes those who wait. It is
    /// less only if somebody has set the log back.
    pub fn found(&self, known: Position, position: Position) {
        self.0.send_if_modified(|state| state.find(known, position));
    }

    /// Takes over the last position of another log, which has replaced the one whose last position was taken for `known`,
    /// such as a backup. Wakes all who wait, for whatever.
    pub fn replaced(&self, known: Position, position: Position) {
        self.0.send_modify(|state| {
            state.find(known, position);
            state.replaced += 1;
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

    /// Waits until the last position is beyond this one, or the log was set back to before it or replaced, and returns the
    /// last position. Can be dropped at any time.
    ///
    /// # Errors
    /// `Closed` when the store is closed.
    pub async fn moved(&self, after: Position) -> Result<Position> {
        let mut state = self.0.subscribe();
        let replaced = state.borrow().replaced;
        let changed = |state: &State| state.closed || state.differs(after) || state.replaced != replaced;
        let state = state.wait_for(changed).await;
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
    async fn whoever_waits_is_woken_where_the_log_is_set_back() {
        let growth = Growth::new(5);
        let (woken, ()) = tokio::join!(growth.moved(5), async { growth.found(5, 2) });
        assert_eq!(woken.expect("answers"), 2);
        assert_eq!(growth.moved(4).await.expect("it was there, and is gone"), 2);
        // Whoever has read more of the log than this has heard of waits for it.
        let (woken, ()) = tokio::join!(growth.moved(6), async { growth.grown_to(7) });
        assert_eq!(woken.expect("it has grown"), 7);
        let (woken, ()) = tokio::join!(growth.moved(7), async { growth.replaced(7, 7) });
        assert_eq!(woken.expect("it is another log, as long as the one before"), 7);
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
