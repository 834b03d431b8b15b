//! What a sync records about its progress.

use synckit_core::{Facts, Needs, Note, Plan, Planner, Position, Result, Step};
use synckit_plan::notes;

/// Records up to which position events of this log were handed out, together with other notes. The position never moves
/// back, even if several sync at the same moment. Returns the position.
#[derive(Clone, Debug)]
pub(crate) struct HandedOut {
    pub(crate) upto: Position,
    pub(crate) put: Vec<Note>,
}

impl Planner for HandedOut {
    type Outcome = Position;

    fn needs(&mut self) -> Needs {
        Needs { notes: vec![notes::HANDED.to_owned()], ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<Position>> {
        let before = notes::handed(facts)?;
        let upto = self.upto.max(before);
        let mut put = std::mem::take(&mut self.put);
        if upto > before {
            put.push(Note { key: notes::HANDED.to_owned(), value: upto.to_string().into_bytes() });
        }
        put.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        Ok(Step::Write(Plan { put, ..Plan::default() }, upto))
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{LogHead, Planning, StoreId};

    use super::*;

    #[test]
    fn what_another_sync_has_handed_out_is_never_taken_back() {
        let known = |upto: &str| {
            let mut facts =
                Facts::at(LogHead { store: StoreId::from_bytes([1; 16]), position: 9, mark: None });
            facts.notes.insert(notes::HANDED.to_owned(), upto.into());
            facts
        };
        let other = Note { key: "a".to_owned(), value: Vec::new() };
        let run = |upto, before| {
            let planner = HandedOut { upto, put: vec![other.clone()] };
            Planning::run(planner, |_| Ok(known(before))).expect("plans")
        };
        let (plan, upto) = run(3, "5");
        assert_eq!((plan.put, upto), (vec![other.clone()], 5));
        let (plan, upto) = run(7, "5");
        assert_eq!((plan.put.len(), plan.put[1].value.as_slice(), upto), (2, &b"7"[..], 7));
    }
}
