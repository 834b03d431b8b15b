//! Runs the real command, with time limits, and ends only what was started here.

// Each test program uses a part of this.
#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No command takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory for one test.
pub(crate) struct Place(TempDir);

/// A running command, killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

/// The output of a command, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("writable");
        path
    }

    /// Returns the names of the files in it.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Runs `synckit` here with these arguments, separated by spaces.
    pub(crate) fn run(&self, line: &str) -> Said {
        self.run_with(line, &[], "")
    }

    /// Runs `synckit` here with more arguments, which may contain spaces, and an input.
    pub(crate) fn run_with(&self, line: &str, more: &[&str], input: &str) -> Said {
        let mut command = self.command(line);
        command.args(more);
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_owned();
        // A command that does not read its input closes it.
        std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        said(child)
    }

    /// Starts `synckit` here.
    pub(crate) fn start(&self, line: &str) -> Running {
        Running(self.command(line).spawn().expect("starts"))
    }

    /// Starts a hub here, and returns the URL where it listens.
    pub(crate) fn serve(&self, line: &str) -> (Running, String) {
        let mut hub = self.start(&format!("--json serve --listen 127.0.0.1:0 {line}"));
        let answer: Value = serde_json::from_str(&hub.line()).expect("JSON");
        let url = answer["urls"][0].as_str().expect("a URL").to_owned();
        (hub, url)
    }

    /// Runs `synckit` here as somebody who owns nothing, if the tests are run by one who may write everything.
    #[cfg(unix)]
    pub(crate) fn run_as_reader(&self, line: &str) -> Said {
        use std::os::unix::fs::MetadataExt;
        use std::os::unix::process::CommandExt;
        let mut command = self.command(line);
        if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.uid(65_534).gid(65_534);
        }
        let mut child = command.spawn().expect("starts");
        drop(child.stdin.take());
        said(child)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synckit"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Running {
    /// Returns the next line it prints.
    pub(crate) fn line(&mut self) -> String {
        // Byte by byte, so that nothing after the line is taken.
        let out = self.0.stdout.as_mut().expect("piped");
        let mut line = String::new();
        BufReader::with_capacity(1, out).read_line(&mut line).expect("readable");
        assert!(!line.is_empty(), "it ended without a line");
        line
    }

    /// Returns what it prints on standard error until it ends.
    pub(crate) fn errors(&mut self) -> String {
        let mut text = String::new();
        self.0.stderr.as_mut().expect("piped").read_to_string(&mut text).expect("text");
        text
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success());
    }

    /// Waits until it ends.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("waitable") {
                return status.code();
            }
            assert!(started.elapsed() < LIMIT, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Said {
    /// Asserts that it succeeded.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Asserts this exit code and these words on standard error.
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not said: {self:?}");
        }
        self
    }

    /// Returns each line as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

/// Starts a server in this process that gives every request this answer. Returns its URL.
pub(crate) fn answering(status: u16, body: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // The client may have gone.
            std::thread::spawn(move || drop(answer_one(stream, &answer)));
        }
    });
    url
}

fn answer_one(mut stream: std::net::TcpStream, answer: &str) -> std::io::Result<()> {
    let (mut length, mut line) = (0, String::new());
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut line)? > 2 {
        if let Some((_, value)) =
            line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    stream.write_all(answer.as_bytes())
}

fn said(child: Child) -> Said {
    let mut running = Running(child);
    let mut out = running.0.stdout.take().expect("piped");
    let mut err = running.0.stderr.take().expect("piped");
    let read = |pipe: &mut dyn Read| {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    };
    // Both at once: a full pipe would stop the command.
    let errors = std::thread::spawn(move || read(&mut err));
    let output = std::thread::spawn(move || read(&mut out));
    let code = running.code();
    Said { code, out: output.join().expect("read"), err: errors.join().expect("read") }
}
