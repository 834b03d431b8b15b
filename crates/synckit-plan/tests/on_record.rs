//! What a caller can cause to be kept about how far it has pushed.

use synckit_core::{Cursor, Limits, Mark, NodeId, NoteQuery, Secret, StoreId};
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
    let entropy = Entropy::from_bytes([1; Entropy::BYTES]);
    let mut receive = Receive::new(Some(caller()), Vec::new(), now, Limits::default(), entropy);
    let upto = Some(Cursor::at(caller(), position, Mark(1)));
    receive.on_record = Some(OnRecord { key: notes::pushed(caller(), filter), from: None, upto });
    log.commit(receive).expect("commits");
}

/// Returns the filters on record, sorted.
fn kept(log: &MemoryLog) -> Vec<String> {
    let prefix = notes::pushed(caller(), "");
    let query = NoteQuery::Prefix { prefix: prefix.clone(), after: String::new(), limit: usize::MAX };
    log.notes(query).into_iter().map(|note| note.key[prefix.len()..].to_owned()).collect()
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
fn the_text_form_reads_back() {
    let pushed = Pushed { place: Cursor::at(caller(), 5, Mark(1)), at: 17 };
    assert_eq!(pushed.to_string().parse::<Pushed>().expect("reads"), pushed);
    assert!("".parse::<Pushed>().is_err() && pushed.place.to_string().parse::<Pushed>().is_err());
}
