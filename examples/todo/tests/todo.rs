//! The program as a person runs it: real processes and files.

use std::path::Path;
use std::process::Command;

/// Runs the program with these words in a directory. Returns whether it succeeded, and what it printed.
fn todo(directory: &Path, words: &[&str]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_todo")).args(words).current_dir(directory).output();
    let done = done.expect("starts");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).expect("text"))
}

#[test]
fn what_is_added_is_listed_and_done() {
    let directory = tempfile::tempdir().expect("a directory");
    let ann = |words: &[&str]| todo(directory.path(), &[&["ann.db", "ann"], words].concat());
    for text in ["buy milk", "call Ben"] {
        assert_eq!(ann(&["add", text]), (true, String::new()));
    }
    assert_eq!(ann(&["done", "1"]), (true, String::new()));
    assert_eq!(ann(&["rename", "2", "call Bea"]), (true, String::new()));
    assert_eq!(ann(&["list"]), (true, "1 [x] buy milk\n2 [ ] call Bea\n".to_owned()));
    for (wrong, says) in
        [(&["done", "3"][..], "see `list`"), (&["done", "x"], "see `list`"), (&["undo"], "todo FILE NAME")]
    {
        let (succeeded, said) = ann(wrong);
        assert!(!succeeded && said.contains(says), "{wrong:?}: {said}");
    }
}
