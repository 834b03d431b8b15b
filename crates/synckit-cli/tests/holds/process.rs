//! The command in separate processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) const MIB: u64 = 1 << 20;

/// Returns a field of `/proc/<pid>/status`, in bytes; `None` once the process is gone.
pub(crate) fn memory(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}

pub(crate) fn synckit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synckit"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a hub and waits for its address.
pub(crate) fn serve(file: &Path) -> (Child, String) {
    let db = file.display().to_string();
    let mut hub =
        synckit(&["serve", "--db", &db, "--listen", "127.0.0.1:0", "--json"]).spawn().expect("a hub");
    let mut line = String::new();
    BufReader::new(hub.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
    let said: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    let url = said["urls"][0].as_str().expect("an address").to_owned();
    (hub, url)
}
