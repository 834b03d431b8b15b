//! What a caller can cause to be kept about how far it has pushed.

use std::collections::BTreeSet;

use synckit_core::{Cursor, Limits, Mark, NodeId, Note, NoteQuery, Secret, StoreId};
use synckit_plan::{Entropy, OnRecord, Pushed, Receive, notes};
use synckit_store::MemoryLog;

fn caller() -> StoreId {
    StoreId::from_bytes([9; 16])
}

fn log() -> MemoryLog {
    let (node, secret) = (NodeId::new("hub").expect("valid"), Secret::from_bytes([8; 16]));
    MemoryLog::new(node, StoreId::from_bytes([7; 16]), secret).expect("valid")
}

/// Pushes nothing under this filter, up to a place in the caller's log.
fn push(log: &mut MemoryLog, filter: &str, position: u64, now: u64) {
    push_as(caller(), log, filter, position, now);
}

fn push_as(caller: StoreId, log: &mut MemoryLog, filter: &str, position: u64, now: u64) {
    let entropy = Entropy::from_bytes([1; Entropy::BYTES]);
    let mut receive = Receive::new(Some(caller), Vec::new(), now, Limits::default(), entropy);
    let upto = Some(Cursor::at(caller, position, Mark(1)));
    receive.on_record =
        Some(OnRecord { key: notes::pushed(caller, filter), from: None, upto, known: Vec::new() });
    log.commit(receive).expect("commits");
}

fn under(log: &MemoryLog, prefix: &str) -> Vec<Note> {
    let query = NoteQuery::Prefix { prefix: prefix.to_owned(), after: String::new(), limit: usize::MAX };
    log.notes(query)
}

/// Returns the filters on record, sorted.
fn kept(log: &MemoryLog) -> Vec<String> {
    let prefix = notes::pushed(caller(), "");
    under(log, &prefix).into_iter().map(|note| note.key[prefix.len()..].to_owned()).collect()
}

#[test]
fn of_many_filters_the_latest_are_kept_and_the_one_with_the_furthest_place() {
    let mut log = log();
    push(&mut log, "furthest", 1_000, 1);
    for number in 0..300 {
        push(&mut log, &format!("{number:03}"), 5, 2 + number);
    }
    let kept = kept(&log);
    assert_eq!(kept.len(), Pushed::MAX_FILTERS);
    assert_eq!((kept[0].as_str(), kept.last().map(String::as_str)), ("045", Some("furthest")));
    assert_eq!(kept[Pushed::MAX_FILTERS - 2], "299");
}

#[test]
fn of_too_many_callers_one_goes_for_each_that_comes() {
    let mut log = log();
    // The commits draw those whose ids begin with 101 in hexadecimal form.
    let drawn =
        |number: u8| StoreId::from_bytes([0x10, 0x10 | number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let count = |log: &MemoryLog| log.notes(NoteQuery::Keys(vec![notes::CALLERS.to_owned()])).remove(0).value;
    for number in 0..3 {
        push_as(drawn(number), &mut log, "all", 5, 10 - u64::from(number));
        push_as(drawn(number), &mut log, "some", 5, 10 + u64::from(number));
    }
    push_as(drawn(1), &mut log, "all", 5, 99);
    assert_eq!(count(&log), b"3", "callers, whatever they push with");

    let mut full = Receive::new(None, Vec::new(), 0, Limits::default(), Entropy::from_bytes([2; 32]));
    let text = Pushed::MAX_CALLERS.to_string().into_bytes();
    full.notes = vec![Note { key: notes::CALLERS.to_owned(), value: text.clone() }];
    log.commit(full).expect("commits");
    push_as(drawn(1), &mut log, "more", 5, 100);
    assert_eq!(under(&log, notes::PUSHED).len(), 7, "one that is on record is no other");
    push(&mut log, "all", 5, 101);
    let callers = under(&log, notes::PUSHED).into_iter().map(|note| note.key);
    let callers: BTreeSet<_> =
        callers.map(|key| key.split('/').nth(1).unwrap_or_default().to_owned()).collect();
    let expected = [drawn(1), drawn(2), caller()].map(|caller| caller.to_string());
    assert_eq!(callers, BTreeSet::from(expected), "the first has pushed least recently");
    assert_eq!(count(&log), text);
}

#[test]
fn the_text_form_reads_back() {
    let pushed = Pushed { place: Cursor::at(caller(), 5, Mark(1)), at: 17 };
    assert_eq!(pushed.to_string().parse::<Pushed>().expect("reads"), pushed);
    assert!("".parse::<Pushed>().is_err() && pushed.place.to_string().parse::<Pushed>().is_err());
}
