//! Two people at two terminals: real processes, files and sockets, and a hub that may be gone.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use synckit::{Endpoint, NodeId};
use synckit_http::{HttpService, serve};
use synckit_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How long to wait for anything, at most.
const LIMIT: Duration = Duration::from_secs(60);

/// A hub. It is gone when dropped, with all its connections.
struct Hub {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Hub {
    fn start(directory: &Path, address: &str) -> Hub {
        let runtime = Runtime::new().expect("a runtime");
        let db = directory.join("hub.db");
        let address = runtime.block_on(async {
            let store = SqliteStore::open_as(db, NodeId::new("hub").expect("valid")).await.expect("opens");
            let listener = TcpListener::bind(address).await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(serve(listener, HttpService::new(Endpoint::new(store)), std::future::pending()));
            address
        });
        Hub { address, _runtime: runtime }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A copy of the program, killed when dropped.
struct Terminal {
    child: Child,
    keyboard: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Terminal {
    fn open(directory: &Path, name: &str, more: &[&str]) -> Terminal {
        let mut command = program(directory);
        command.args(["--db", &format!("{name}.db"), "--name", name]).args(more);
        let mut child = command.spawn().expect("starts");
        let keyboard = child.stdin.take();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (shown, lines) = mpsc::channel();
        // It ends with the process.
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| shown.send(line)));
        Terminal { child, keyboard, lines }
    }

    fn types(&mut self, line: &str) {
        let keyboard = self.keyboard.as_mut().expect("open");
        writeln!(keyboard, "{line}").expect("it reads");
    }

    /// Waits for a line with these words, and returns it.
    fn sees(&self, words: &str) -> String {
        let (until, mut before) = (Instant::now() + LIMIT, Vec::new());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("{error}, and no `{words}` in {before:#?}"),
            }
        }
    }

    /// Types a command and waits for a line with these words.
    fn asks(&mut self, command: &str, words: &str) -> String {
        self.types(command);
        self.sees(words)
    }

    /// Waits until it ends by itself. Returns whether it succeeded.
    fn ends(&mut self) -> bool {
        drop(self.keyboard.take());
        let until = Instant::now() + LIMIT;
        // Its output is at an end when it has ended.
        while self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < until, "it does not end");
        self.child.wait().expect("waitable").success()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_live-notes"));
    command.current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = program(directory);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).output().expect("runs")
}

/// Opens two terminals at one hub.
fn two(directory: &Path, url: &str) -> [Terminal; 2] {
    let both = ["ann", "ben"].map(|name| Terminal::open(directory, name, &["--hub", url]));
    both.iter().for_each(|terminal| drop(terminal.sees("up to date")));
    both
}

/// Settles the conflict of note 1 in the first terminal, and checks that both have the same note.
fn settle(first: &mut Terminal, second: &mut Terminal, command: &str, text: &str) {
    first.asks(command, text);
    assert!(second.sees("settled").contains(text));
    for terminal in [first, second] {
        terminal.asks("conflicts", "no conflicts");
        assert!(terminal.asks("list", "1. ").contains(text));
    }
}

#[test]
fn what_one_writes_the_other_sees() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(directory.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = two(directory.path(), &hub.url());
    ann.asks("add buy milk", "1. buy milk (ann)");
    ben.sees("* 1. buy milk (ann)");
    ben.asks("edit 1 buy bread", "1. buy bread (ben)");
    ann.sees("* 1. buy bread (ben)");
    // What is typed last is at the hub before the program ends.
    ann.types("add call Ann");
    ann.types("quit");
    assert!(ann.ends());
    ben.sees("* 2. call Ann (ann)");
    assert!(ben.ends());
}

#[test]
fn edits_during_a_pause_are_settled_by_a_person() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(directory.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = two(directory.path(), &hub.url());
    ann.types("add lunch");
    ben.sees("* 1. lunch");
    ben.asks("pause", "paused");
    ben.asks("edit 1 lunch at noon", "1 to go");
    ann.asks("edit 1 lunch at one", "1. lunch at one");
    ben.types("resume");
    for terminal in [&ann, &ben] {
        terminal.sees("1. is in conflict");
        let texts = [terminal.sees(") lunch"), terminal.sees(") lunch")];
        assert!(texts.iter().any(|line| line.contains("noon (ben)")), "{texts:?}");
        assert!(texts.iter().any(|line| line.contains("one (ann)")), "{texts:?}");
    }
    ann.asks("keep 1 c", "has no text `c`");
    let letter = ann.asks("conflicts", "noon").trim().chars().next().expect("a letter");
    settle(&mut ann, &mut ben, &format!("keep 1 {letter}"), "lunch at noon (ben)");
}

#[test]
fn edits_while_the_hub_is_gone_are_settled_by_another_edit() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(directory.path(), "127.0.0.1:0");
    let (address, url) = (hub.address.to_string(), hub.url());
    let [mut ann, mut ben] = two(directory.path(), &url);
    ann.types("add lunch");
    ben.sees("* 1. lunch");
    drop(hub);
    for terminal in [&ann, &ben] {
        terminal.sees("no network");
    }
    ann.asks("edit 1 lunch at one", "1 to go");
    ben.asks("edit 1 lunch at noon", "1 to go");
    // A program that is killed keeps what it has shown.
    drop(ann);
    let mut ann = Terminal::open(directory.path(), "ann", &["--hub", &url]);
    ann.sees("1. lunch at one (ann)");
    ann.sees("no network");
    let _hub = Hub::start(directory.path(), &address);
    for terminal in [&mut ann, &mut ben] {
        terminal.types("resume");
        terminal.sees("1. is in conflict");
    }
    settle(&mut ben, &mut ann, "edit 1 lunch at half past twelve", "lunch at half past twelve (ben)");
}

#[test]
fn it_works_without_a_hub_and_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let mut ann = Terminal::open(directory.path(), "ann", &[]);
    ann.sees("no notes");
    ann.asks("status", "--hub");
    ann.asks("edit 1 x", "no note 1");
    ann.asks("add", "add TEXT");
    ann.asks("add a\u{7}b", "1. a b (ann)");
    ann.asks(&format!("add {}", "x".repeat(1 << 20)), "allowed");
    ann.asks("keep 1 a", "not in conflict");
    let mut again = Terminal::open(directory.path(), "ann", &[]);
    again.asks("edit 1 from another window", "1. from another window");
    ann.sees("* 1. from another window (ann)");
    assert!(ann.ends() && again.ends());

    let cases: [(&[&str], &str); 4] = [
        (&["--db", "ann.db"], "--name"),
        (&["--db", "ann.db", "--name", "ben"], "ann"),
        (&["--db", "new.db", "--name", "ben", "--hub", "127.0.0.1"], "http://"),
        (&["--db", "bad.db", "--name", "b~n"], "~"),
    ];
    for (arguments, hint) in cases {
        let output = run(directory.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(hint), "{arguments:?}: {error}");
    }
    assert!(!directory.path().join("new.db").exists());
}

#[test]
fn without_arguments_it_shows_what_it_does_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &[]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("ben | * settled: 1. "), "{shown}");
}
