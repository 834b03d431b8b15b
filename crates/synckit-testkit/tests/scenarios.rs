//! The scenarios under test: a system that is right passes each of them, one that is broken on purpose does not.

#[path = "../../synckit-memory/tests/fixture/mod.rs"]
mod memory;

use synckit_testkit::InProcess;
use synckit_testkit::scenario::{self, AnyStore, AnyWire, Cell, Ended};

fn passes(name: &str) {
    let store = AnyStore::new(memory::fixture);
    let cell = Cell::new(store.clone(), store, AnyWire::new(InProcess::default));
    assert_eq!(scenario::named(name).expect("a scenario of this name").run(&cell), Ended::Well);
}

#[test]
fn exchange() {
    passes("exchange");
}

#[test]
fn interrupted() {
    passes("interrupted");
}

#[test]
fn refused() {
    passes("refused");
}

#[test]
fn filters() {
    passes("filters");
}

#[test]
fn restored() {
    passes("restored");
}

#[test]
fn cost() {
    passes("cost");
}

#[test]
fn faults() {
    passes("faults");
}
