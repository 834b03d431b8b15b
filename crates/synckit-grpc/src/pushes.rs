//! The answer to a stream of pushes: the sum of their answers.

use synckit_core::{Error, Placed, PushResponse, Result};

/// The most refusals that one answer names; a stream with more ends with an error, so that none is lost.
const MOST_REFUSED: usize = 10_000;

/// The answers so far.
#[derive(Default)]
pub(crate) struct Sum {
    answer: PushResponse,
    /// Whether other events came between the new ones, so that their places are not consecutive.
    parted: bool,
}

impl Sum {
    /// Adds the answer to the next batch.
    ///
    /// # Errors
    /// `TooLarge` when there are too many refusals for one answer.
    pub(crate) fn add(&mut self, answer: PushResponse) -> Result<()> {
        let sum = &mut self.answer;
        sum.accepted += answer.accepted;
        sum.duplicates += answer.duplicates;
        if sum.refused.len() + answer.refused.len() > MOST_REFUSED {
            return Err(Error::too_large(format!(
                "more than {MOST_REFUSED} events of this stream are refused; send fewer in one stream"
            )));
        }
        sum.refused.extend(answer.refused);
        if let Some(placed) = answer.placed {
            match &mut sum.placed {
                None => sum.placed = Some(placed),
                Some(run) if run.upto.position() == placed.after => run.upto = placed.upto,
                Some(_) => self.parted = true,
            }
        }
        Ok(())
    }

    pub(crate) fn answer(self) -> PushResponse {
        let placed: Option<Placed> = self.answer.placed.filter(|_| !self.parted);
        PushResponse { placed, ..self.answer }
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Cursor, Mark, Refused, RefusedCode, StoreId};

    use super::*;

    fn placed(after: u64, upto: u64) -> Option<Placed> {
        Some(Placed { after, upto: Cursor::at(StoreId::from_bytes([7; 16]), upto, Mark(1)) })
    }

    fn refused(id: &str) -> Refused {
        Refused { id: id.into(), code: RefusedCode::Denied, message: String::new() }
    }

    #[test]
    fn counts_are_added_and_refused_events_collected() {
        let mut sum = Sum::default();
        let first =
            PushResponse { accepted: 2, duplicates: 1, refused: vec![refused("a")], placed: placed(4, 6) };
        let second =
            PushResponse { accepted: 1, duplicates: 0, refused: vec![refused("b")], placed: placed(6, 7) };
        sum.add(first).expect("fits");
        sum.add(PushResponse::default()).expect("fits");
        sum.add(second).expect("fits");
        let answer = sum.answer();
        assert_eq!((answer.accepted, answer.duplicates), (3, 1));
        assert_eq!(answer.refused, [refused("a"), refused("b")]);
        assert_eq!(answer.placed, placed(4, 7));
    }

    #[test]
    fn a_run_with_others_in_between_is_none() {
        let mut sum = Sum::default();
        for (after, upto) in [(0, 2), (3, 4), (4, 5)] {
            let answer = PushResponse { placed: placed(after, upto), ..PushResponse::default() };
            sum.add(answer).expect("fits");
        }
        assert_eq!(sum.answer().placed, None);
    }

    #[test]
    fn no_refusal_is_lost() {
        let mut sum = Sum::default();
        let full = PushResponse { refused: vec![refused("a"); MOST_REFUSED], ..PushResponse::default() };
        sum.add(full).expect("fits");
        let one = PushResponse { refused: vec![refused("b")], ..PushResponse::default() };
        assert!(sum.add(one).is_err());
    }
}
