//! The program of the matrix, with stores that are broken on purpose: each failure is reported and affects only its
//! cell.

#[path = "../../synckit-memory/tests/fixture/mod.rs"]
mod memory;

use std::process::Command;

use synckit_core::{NodeId, Result};
use synckit_memory::MemoryStore;
use synckit_testkit::StoreFixture;
use synckit_testkit::matrix::Matrix;

/// The variable with the arguments of the program, in the process that a test starts.
const ARGUMENTS: &str = "SYNCKIT_TESTKIT_CELL";

#[derive(Clone, Copy)]
enum Broken {
    Hangs,
    Panics,
    Aborts,
    PanicsInATask,
    MakesNoCopies,
}

impl StoreFixture for Broken {
    type Store = MemoryStore;

    async fn open(&self, node: &NodeId) -> Result<MemoryStore> {
        match self {
            Broken::Hangs => std::future::pending().await,
            Broken::Panics => panic!("the store has a bug"),
            Broken::Aborts => std::process::abort(),
            Broken::PanicsInATask => {
                let task = tokio::spawn(async { panic!("a bug in a task") });
                assert!(task.await.is_err());
                MemoryStore::new(node.clone())
            }
            Broken::MakesNoCopies => MemoryStore::new(node.clone()),
        }
    }

    fn survives_reopen(&self) -> bool {
        false
    }

    fn opens_twice(&self) -> bool {
        false
    }
}

/// The program that the tests below start; not a test by itself.
#[test]
fn program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let matrix = Matrix::new()
        .with_store("memory", memory::fixture)
        .with_store("hangs", || Broken::Hangs)
        .with_store("panics", || Broken::Panics)
        .with_store("aborts", || Broken::Aborts)
        .with_store("panics-in-a-task", || Broken::PanicsInATask)
        .with_store("makes-no-copies", || Broken::MakesNoCopies);
    let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let (answer, code) = matrix.run(&arguments);
    eprintln!("{answer}");
    std::process::exit(code.into());
}

/// Runs the program; returns its output and its exit code.
fn run(arguments: &str) -> (serde_json::Value, Option<i32>) {
    let this = std::env::current_exe().expect("the program has a path");
    let mut command = Command::new(this);
    command.args(["--exact", "program", "--nocapture"]).env(ARGUMENTS, arguments);
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let answer = said.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    (answer, output.status.code())
}

fn fails(store: &str, limit: u64, wanted: &str) {
    let (answer, code) = run(&format!("memory {store} in-process exchange 1 {limit}"));
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(answer["outcome"] == "failed" && message.contains(wanted), "{answer}");
    assert_eq!(code, Some(1));
}

#[test]
fn what_there_is() {
    let (answer, code) = run("");
    assert_eq!(code, Some(0));
    assert_eq!(answer["transports"], serde_json::json!(["in-process"]));
    assert_eq!(answer["stores"][1], "hangs");
    let scenarios = answer["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), synckit_testkit::scenario::ALL.len());
}

#[test]
fn a_cell_that_passes() {
    let (answer, code) = run("memory memory in-process exchange 1 60");
    assert_eq!((&answer["outcome"], code), (&"passed".into(), Some(0)));
}

#[test]
fn a_cell_that_cannot_show_it_is_skipped_with_the_reason() {
    let (answer, code) = run("memory makes-no-copies in-process restored 1 60");
    assert_eq!((&answer["outcome"], code), (&"skipped".into(), Some(0)));
    assert!(answer["message"].as_str().expect("a reason").contains("hub"), "{answer}");
}

#[test]
fn a_cell_that_hangs() {
    fails("hangs", 1, "hangs: not at an end after 1s");
}

#[test]
fn a_cell_that_panics() {
    fails("panics", 60, "the store has a bug");
}

#[test]
fn a_cell_that_panics_where_nobody_looks() {
    fails("panics-in-a-task", 60, "a bug in a task");
}

#[test]
fn a_cell_that_aborts_ends_alone_and_without_a_word() {
    let (answer, code) = run("memory aborts in-process exchange 1 60");
    assert_eq!((answer, code), (serde_json::Value::Null, None));
}

#[test]
fn a_name_that_is_not_there() {
    for arguments in [
        "memory nothing in-process exchange 1 60",
        "memory memory nothing exchange 1 60",
        "memory memory in-process nothing 1 60",
        "memory memory in-process exchange nothing 60",
        "memory nothing",
    ] {
        let (answer, code) = run(arguments);
        assert!(answer["error"].is_string(), "{arguments}: {answer}");
        assert_eq!(code, Some(2), "{arguments}");
    }
}
