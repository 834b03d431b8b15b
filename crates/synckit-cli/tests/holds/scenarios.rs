//! The scenarios of the matrix with the defaults of the command: SQLite on both sides of HTTP.

#[path = "../../../synckit-http/tests/fixture/mod.rs"]
mod http;
#[path = "../../../synckit-sqlite/tests/fixture/mod.rs"]
mod sqlite;

use synckit_testkit::scenario::{self, AnyStore, AnyWire, Cell, Ended};

fn holds(name: &str) {
    let store = AnyStore::new(sqlite::fixture);
    let cell = Cell::new(store.clone(), store, AnyWire::new(http::fixture));
    assert_eq!(scenario::named(name).expect("a scenario of this name").run(&cell), Ended::Well);
}

#[test]
fn replicas_that_recorded_offline_agree_after_two_syncs_each() {
    holds("exchange");
}

#[test]
fn a_push_twice_a_lost_answer_and_crashes_lose_nothing() {
    holds("interrupted");
}

#[test]
fn one_bad_event_of_eleven_is_set_aside() {
    holds("refused");
}

#[test]
fn a_filter_moves_only_what_is_new_and_a_wider_one_the_rest() {
    holds("filters");
}

#[test]
fn a_restored_hub_and_a_restored_replica_hold_everything_again() {
    holds("restored");
}
