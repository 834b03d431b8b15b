//! What a writer knows without asking: the notes it has read and written, as long as nobody else has written.
//!
//! One event a commit is most often about an aggregate that was written before. Its facts are then known, and the commit
//! is one visit to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use synckit_core::{Facts, LogHead, Needs, Note, Plan};

/// The most bytes of notes that are kept. Beyond, they are forgotten all at once.
const BYTES: usize = 1 << 20;
/// The most notes that one commit, or one reading, may add.
const NOTES: usize = 64;
/// The most prefixes all of whose notes are known. Beyond, they are forgotten all at once.
const PREFIXES: usize = 64;

/// The notes of a log that ends here, as one writer knows them, in a bounded amount of memory.
///
/// The engine tells, in the transaction that writes, whether somebody else has written since: by a version that is then
/// another. What is known is void then, and everything is asked for as usual.
///
/// ```
/// use synckit_core::{Facts, LogHead, Needs, Note, Plan, StoreId};
/// use synckit_store::group::Known;
///
/// let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
/// let needs = Needs { notes: vec!["k".to_owned()], ..Needs::default() };
/// let mut known = Known::new(1, head);
/// assert!(known.facts(&needs).is_none());
/// known.learn(&needs, &Facts::at(head));
/// let put = vec![Note { key: "k".to_owned(), value: vec![1] }];
/// let known = known.after(&Plan { put, ..Plan::default() }).expect("it is little");
/// assert_eq!(known.facts(&needs).expect("all is known").note("k"), Some(&[1][..]));
/// ```
#[derive(Debug)]
pub struct Known {
    /// The version of the log: another when somebody else has written.
    pub version: i64,
    head: LogHead,
    /// Notes by key; `None` where there is none.
    notes: BTreeMap<String, Option<Vec<u8>>>,
    /// The prefixes of keys of which all notes are known.
    under: BTreeSet<String>,
    bytes: usize,
}

impl Known {
    /// Starts with nothing known but where the log ends.
    pub fn new(version: i64, head: LogHead) -> Self {
        Known { version, head, notes: BTreeMap::new(), under: BTreeSet::new(), bytes: 0 }
    }

    /// Starts from notes that were read or written, in a transaction that ended here.
    pub fn of(
        version: i64,
        head: LogHead,
        notes: impl IntoIterator<Item = (String, Option<Vec<u8>>)>,
    ) -> Self {
        let mut known = Known::new(version, head);
        notes.into_iter().for_each(|(key, value)| known.set(&key, value));
        known.forget_if_much();
        known
    }

    /// The facts that are needed, if all of them are known. Ids are taken for new: the index of ids knows better.
    pub fn facts(&self, needs: &Needs) -> Option<Facts> {
        let mut facts = Facts::at(self.head);
        let Needs { ids: _, dots, notes, under, places, histories } = needs;
        if !(dots.is_empty() && histories.is_empty())
            || places.iter().any(|place| *place != self.head.position)
        {
            return None;
        }
        facts.places.extend(places.iter().filter_map(|place| Some((*place, self.head.mark?))));
        for prefix in under {
            self.under.get(prefix)?;
            facts.notes.extend(self.under(prefix).map(|(key, value)| (key.clone(), value.clone())));
        }
        for key in notes {
            if let Some(value) = self.notes.get(key)? {
                facts.notes.insert(key.clone(), value.clone());
            }
        }
        Some(facts)
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let notes = self.notes.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix));
        notes.filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }

    /// Takes in what was asked for and found.
    pub fn learn(&mut self, needs: &Needs, facts: &Facts) {
        for key in needs.notes.iter().take(NOTES) {
            self.set(key, facts.notes.get(key).cloned());
        }
        for prefix in &needs.under {
            let found = || facts.notes.iter().filter(|(key, _)| key.starts_with(prefix.as_str()));
            if found().take(NOTES + 1).count() > NOTES {
                continue;
            }
            found().for_each(|(key, value)| self.set(key, Some(value.clone())));
            if self.under.len() >= PREFIXES {
                self.under.clear();
            }
            self.under.insert(prefix.clone());
        }
        self.forget_if_much();
    }

    /// What is known after a plan is committed; nothing where it is much, or where it leaves the store without an id.
    pub fn after(mut self, plan: &Plan) -> Option<Self> {
        if plan.put.len() + plan.delete.len() > NOTES {
            return None;
        }
        self.head = self.head.after(plan);
        if plan.delete.iter().any(|key| key == Note::STORE) {
            return None;
        }
        if let Some(id) = plan.put.iter().find(|note| note.key == Note::STORE) {
            self.head.store = Note::read_store_id(Some(&id.value)).ok()?;
        }
        plan.put.iter().for_each(|note| self.set(&note.key, Some(note.value.clone())));
        plan.delete.iter().for_each(|key| self.set(key, None));
        self.forget_if_much();
        Some(self)
    }

    fn set(&mut self, key: &str, value: Option<Vec<u8>>) {
        let size = |value: &Option<Vec<u8>>| key.len() + value.as_ref().map_or(0, Vec::len);
        self.bytes += size(&value);
        if let Some(old) = self.notes.insert(key.to_owned(), value) {
            self.bytes -= size(&old);
        }
    }

    fn forget_if_much(&mut self) {
        if self.bytes > BYTES {
            self.notes.clear();
            self.under.clear();
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{AggregateId, Mark, StoreId};

    use super::*;

    fn known() -> Known {
        Known::new(1, LogHead { store: StoreId::from_bytes([1; 16]), position: 7, mark: Some(Mark(8)) })
    }

    fn of(keys: &[&str]) -> Needs {
        Needs { notes: keys.iter().map(|key| (*key).to_owned()).collect(), ..Needs::default() }
    }

    fn put(key: &str, value: usize) -> Note {
        Note { key: key.to_owned(), value: vec![0; value] }
    }

    #[test]
    fn what_was_asked_and_written_is_known_and_nothing_else() {
        let mut known = known();
        let mut facts = Facts::at(known.head);
        facts.notes.insert("a".to_owned(), b"1".to_vec());
        known.learn(&of(&["a", "b"]), &facts);
        assert_eq!(known.facts(&of(&["a", "b"])).expect("known").notes, facts.notes);
        assert!(known.facts(&of(&["a", "c"])).is_none());
        let plan = Plan { put: vec![put("b", 2)], delete: vec!["a".to_owned()], ..Plan::default() };
        let known = known.after(&plan).expect("little");
        let facts = known.facts(&of(&["a", "b"])).expect("known");
        assert_eq!((facts.note("a"), facts.note("b")), (None, Some(&[0, 0][..])));
    }

    #[test]
    fn the_head_follows_what_a_plan_appends_and_the_id_it_puts() {
        let id = StoreId::from_bytes([2; 16]);
        let renewed = Note { key: Note::STORE.to_owned(), value: id.to_string().into_bytes() };
        let renewed = known().after(&Plan { put: vec![renewed], ..Plan::default() }).expect("little");
        assert_eq!(renewed.facts(&of(&[])).expect("known").head, LogHead { store: id, ..known().head });
        let delete = vec![Note::STORE.to_owned()];
        assert!(renewed.after(&Plan { delete, ..Plan::default() }).is_none());
    }

    #[test]
    fn notes_under_a_prefix_are_known_once_they_were_asked_for() {
        let under = |prefix: &str| Needs { under: vec![prefix.to_owned()], ..Needs::default() };
        let mut known = known();
        let mut facts = Facts::at(known.head);
        facts.notes.insert("p/1".to_owned(), b"1".to_vec());
        known.learn(&under("p/"), &facts);
        known.learn(&of(&["q/1"]), &facts);
        assert_eq!(known.facts(&under("p/")).expect("known").notes, facts.notes);
        assert!(known.facts(&under("q/")).is_none() && known.facts(&under("p/1")).is_none());
        let plan = Plan { put: vec![put("p/2", 1)], delete: vec!["p/1".to_owned()], ..Plan::default() };
        let known = known.after(&plan).expect("little");
        assert_eq!(known.facts(&under("p/")).expect("known").notes.into_keys().collect::<Vec<_>>(), ["p/2"]);
    }

    #[test]
    fn more_notes_under_a_prefix_than_may_be_learned_are_not_known() {
        let mut known = known();
        let mut facts = Facts::at(known.head);
        facts.notes.extend((0..=NOTES).map(|n| (format!("p/{n}"), Vec::new())));
        let needs = Needs { under: vec!["p/".to_owned()], ..Needs::default() };
        known.learn(&needs, &facts);
        assert!(known.facts(&needs).is_none());
    }

    #[test]
    fn what_is_not_a_note_or_an_id_is_not_known() {
        let known = known();
        let place = Needs { places: vec![6], ..Needs::default() };
        let history = Needs { histories: vec![AggregateId::new("x").expect("valid")], ..Needs::default() };
        assert!(known.facts(&place).is_none() && known.facts(&history).is_none());
    }

    #[test]
    fn the_place_where_the_log_ends_is_known() {
        let end = |position| Needs { places: vec![position], ..Needs::default() };
        let places = |known: &Known, position| known.facts(&end(position)).expect("known").places;
        assert_eq!(places(&known(), 7), [(7, Mark(8))].into());
        let changed = |remark| Plan { mark: Mark(9), remark, ..Plan::default() };
        assert_eq!(places(&known().after(&changed(None)).expect("little"), 7), [(7, Mark(8))].into());
        assert_eq!(places(&known().after(&changed(Some(3))).expect("little"), 7), [(7, Mark(9))].into());
        let empty = Known::new(1, LogHead { position: 0, mark: None, ..known().head });
        assert_eq!(places(&empty, 0), [].into());
    }

    #[test]
    fn a_large_plan_leaves_nothing_known() {
        let put = (0..=NOTES).map(|n| put(&n.to_string(), 1)).collect();
        assert!(known().after(&Plan { put, ..Plan::default() }).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut known = known();
        for n in 0..3_000 {
            known.set(&n.to_string(), Some(vec![0; 1_000]));
            known.forget_if_much();
            assert!(known.bytes <= BYTES && known.notes.len() <= BYTES / 1_000);
        }
        assert!(known.facts(&of(&["2999"])).is_some());
    }
}
