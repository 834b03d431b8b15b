//! What the rows of a push prove.
//!
//! The manager of go-sync-kit asks for a number, and pushes the rows of its table after it, in order, in batches. It
//! stops at the first batch that is not accepted. So the rows before a batch that it sends are all stored here, whatever
//! gaps there are in their numbers.
//!
//! A table may be replaced by another, such as an older copy that has grown differently. So the number asked for is always
//! one less than the last row that was shown. That row then comes first, and tells whether the table is still the same.

use serde::{Deserialize, Serialize};
use synckit_core::EventId;

use super::BASE;
use crate::form::Pushed;

/// A row of a client's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) number: u64,
    /// The id of the event in it.
    pub(crate) id: EventId,
}

/// The rows at the start of a push that have numbers of a table; none if their numbers are something else.
#[derive(Debug)]
pub(crate) struct Rows(Vec<Row>);

/// How a batch goes with what was shown before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It has no numbers of rows, and shows only the events in it.
    Unnumbered,
    /// All rows before it were shown.
    On,
    /// It does not say what is in the rows before it.
    Apart,
    /// The table is another one.
    Replaced,
}

impl Rows {
    pub(crate) fn of(events: &[Pushed]) -> Rows {
        let mut rows = Vec::with_capacity(events.len());
        let mut last = 0;
        for (at, pushed) in events.iter().enumerate() {
            let number = pushed.version.filter(|number| (1..BASE).contains(number));
            match number {
                _ if pushed.index != at => break,
                Some(number) if number > last => rows.push(Row { number, id: pushed.id.clone() }),
                _ => return Rows(Vec::new()),
            }
            last = rows.last().map_or(0, |row| row.number);
        }
        Rows(rows)
    }

    /// Returns the last row before the event at this index of the push.
    pub(crate) fn before(mut self, index: usize) -> Option<Row> {
        self.0.truncate(index);
        self.0.pop()
    }

    /// Says how the rows go with the last row that was shown, and with the last row of the push under way, if one is.
    pub(crate) fn follow(&self, shown: Option<&Row>, under_way: Option<u64>) -> Follows {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Follows::Unnumbered };
        let Some(shown) = shown else {
            let begins = first.number == 1 || under_way.is_some();
            return if begins { Follows::On } else { Follows::Apart };
        };
        if first.number <= shown.number {
            return match self.0.iter().find(|row| row.number == shown.number) {
                Some(row) if row.id == shown.id => Follows::On,
                None if last.number < shown.number => Follows::Apart,
                _ => Follows::Replaced,
            };
        }
        match under_way {
            Some(under_way) if under_way >= shown.number => Follows::On,
            // It was asked for what was shown last, and does not have it.
            Some(_) => Follows::Replaced,
            None if first.number == shown.number + 1 => Follows::On,
            None => Follows::Apart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, id: &str) -> Row {
        Row { number, id: id.parse().expect("valid") }
    }

    fn rows(numbers: &[u64]) -> Rows {
        Rows(numbers.iter().map(|number| row(*number, &format!("e{number}"))).collect())
    }

    #[test]
    fn the_first_batch_shows_a_table_from_its_beginning() {
        assert_eq!(rows(&[1, 2]).follow(None, None), Follows::On);
        assert_eq!(rows(&[3, 7]).follow(None, Some(0)), Follows::On, "rows were deleted");
        assert_eq!(rows(&[3, 7]).follow(None, None), Follows::Apart);
        assert_eq!(rows(&[]).follow(None, Some(0)), Follows::Unnumbered);
    }

    #[test]
    fn batches_follow_each_other_over_gaps() {
        let shown = row(5, "e5");
        assert_eq!(rows(&[5, 9]).follow(Some(&shown), Some(4)), Follows::On);
        assert_eq!(rows(&[9, 10]).follow(Some(&shown), Some(5)), Follows::On);
        assert_eq!(rows(&[6, 10]).follow(Some(&shown), None), Follows::On, "the hub restarted in between");
        assert_eq!(rows(&[9, 10]).follow(Some(&shown), None), Follows::Apart);
        assert_eq!(rows(&[1, 2]).follow(Some(&shown), Some(4)), Follows::Apart, "an older batch came late");
    }

    #[test]
    fn another_table_is_recognised_by_the_last_row_that_was_shown() {
        let shown = row(5, "another");
        assert_eq!(rows(&[5, 6]).follow(Some(&shown), Some(4)), Follows::Replaced);
        assert_eq!(rows(&[4, 6]).follow(Some(&shown), None), Follows::Replaced);
        assert_eq!(rows(&[6, 7]).follow(Some(&shown), Some(4)), Follows::Replaced);
    }
}
