//! Runs the command at a small scale: every row measures something.

use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Report {
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    ours: Spread,
    ratio: Spread,
}

#[derive(Deserialize)]
struct Spread {
    median: f64,
}

fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_synckit-bench")).args(arguments).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_row_measures_something() {
    let listed = bench(&["--list"]);
    let out = tempfile::tempdir().expect("a directory");
    let directory = out.path().to_str().expect("UTF-8");
    bench(&["--events", "2000", "--rounds", "1", "--out", directory]);
    let text = std::fs::read_to_string(out.path().join("bench.json")).expect("a report");
    let report: Report = serde_json::from_str(&text).expect("as it was written");
    assert_eq!(report.figures.len(), listed.lines().count());
    for figure in report.figures {
        assert!(figure.ours.median > 0.0 && figure.ratio.median > 0.0, "{}", figure.name);
    }
    assert!(out.path().join("bench.md").exists());
}
