//! What is remembered of a client only while the hub runs: the push and the page under way.
//!
//! What a client says in a pull is the last row of its table. So a pull tells by how many rows the table grew since the
//! last page was sent, even when a push fails. Rows that were not pushed may be the client's own, so this is a guess: it
//! decides what comes next, and what counts as held is decided by pushes alone.

use synckit_core::Position;

use super::Record;

/// How often a page of which nothing arrived is sent before the next one is.
const TIMES: u8 = 3;

#[derive(Debug, Default)]
pub(crate) struct Contact {
    /// The last row of the push under way: the number that was asked for, then the last row of each batch.
    pub(crate) pushed: Option<u64>,
    page: Page,
    /// Whether a page was given up, as happens when the client has a filter. After that, each page is sent once.
    passes_over: bool,
    /// What is sent up to this place and not held after this row was shown did not arrive.
    pending: (Position, u64),
    /// The place up to which what is not held is lacking for certain.
    settled: Position,
    /// The place up to which what is lacking was sent once more.
    again: Position,
}

/// The last page that was sent, without what was sent in it once more.
#[derive(Debug, Default)]
struct Page {
    /// The row that the client named.
    row: u64,
    /// The place that was sent up to before.
    before: Position,
    places: Vec<Position>,
    /// How often it was sent.
    times: u8,
}

impl Contact {
    /// Decides where to go on for a client that names this row: after what arrived of the last page.
    pub(crate) async fn go_on(&mut self, record: &mut Record<'_>, row: u64) -> synckit_core::Result<()> {
        let page = std::mem::take(&mut self.page);
        record.read(page.places.iter().copied()).await?;
        let all_shown = record.known.shown_rows() >= row;
        let arrived = match () {
            () if page.places.iter().any(|place| record.holds(*place)) => page.places.len(),
            () if all_shown => 0,
            () => usize::try_from(row.saturating_sub(page.row)).unwrap_or(usize::MAX),
        };
        if let Some(last) = page.places.last() {
            record.known.sent = match arrived {
                0 if page.times < TIMES && !self.passes_over => {
                    self.page.times = page.times;
                    page.before
                }
                0 => {
                    self.passes_over = true;
                    tracing::warn!(
                        client = %record.author, after = page.before, upto = last,
                        "an old client keeps nothing of what it is sent: it has a filter, or an event that it is sent is \
                         already in its table; the hub goes on with what comes later"
                    );
                    *last
                }
                arrived => page.places.get(arrived - 1).copied().unwrap_or(*last),
            };
        }
        if record.known.shown_rows() >= self.pending.1 {
            self.settled = self.pending.0;
            self.pending = (record.known.sent, row);
        }
        if all_shown {
            self.settled = record.known.sent;
        }
        self.settled = self.settled.min(record.known.sent);
        Ok(())
    }

    /// Returns the part of the log in which what the client lacks is sent once more.
    pub(crate) fn lacking(&self, record: &Record<'_>) -> (Position, Position) {
        (self.again.max(record.known.upto), self.settled)
    }

    /// Notes that what is lacking was sent up to this place; at the end it begins again.
    pub(crate) fn sent_again(&mut self, reached: Position) {
        self.again = if reached >= self.settled { 0 } else { reached };
    }

    /// Notes that these places are sent to a client that named this row.
    pub(crate) fn sends(&mut self, row: u64, before: Position, places: Vec<Position>) {
        let times = if places.is_empty() { 0 } else { self.page.times + 1 };
        self.page = Page { row, before, places, times };
    }
}
