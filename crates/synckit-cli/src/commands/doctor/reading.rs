//! Reading a log that may be damaged: what cannot be read is passed over.

use synckit::{
    BoxStore, Error, ErrorKind, EventStore, Position,
    store::{Page, Query},
};

/// The most events that are read at once.
const MOST: usize = 1_000;

/// A place in a log that is read to its end.
#[derive(Debug)]
pub(super) struct Reading {
    after: Position,
    head: Position,
    /// How many events are read next. Fewer after a failure, until what cannot be read stands alone.
    step: usize,
}

/// What was read.
pub(super) enum Read {
    Page {
        /// The position after which it was read.
        after: Position,
        page: Page,
    },
    /// The event at this position cannot be read.
    Unreadable(Position, Error),
}

impl Reading {
    /// Starts to read the log up to where it ends now.
    pub(super) async fn new(store: &BoxStore) -> Result<Self, Error> {
        Ok(Reading { after: 0, head: store.head().await?.position, step: MOST })
    }

    /// Reads on; returns `None` at the end.
    ///
    /// # Errors
    /// Those that say nothing about the content of the log.
    pub(super) async fn next(&mut self, store: &BoxStore) -> Result<Option<Read>, Error> {
        while self.after < self.head {
            match store.read(Query::after(self.after).at_most(self.step, 2 << 20)).await {
                // A page that does not move on says that what comes next is not there.
                Ok(page) if page.scanned_to > self.after => {
                    let after = std::mem::replace(&mut self.after, page.scanned_to);
                    self.step = (self.step * 10).min(MOST);
                    return Ok(Some(Read::Page { after, page }));
                }
                Ok(_) => return Ok(Some(self.pass(Error::corrupt("the event is missing")))),
                Err(error) if !is_damage(&error) => return Err(error),
                Err(_) if self.step > 1 => self.step /= 10,
                Err(error) => return Ok(Some(self.pass(error))),
            }
        }
        Ok(None)
    }

    fn pass(&mut self, error: Error) -> Read {
        self.after += 1;
        Read::Unreadable(self.after, error)
    }
}

/// Returns whether an error is about what is stored, and not about the way to it.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Corrupt | ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Internal
    )
}
