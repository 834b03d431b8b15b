//! Standard output: answers as text or JSON, nothing else. Messages go to standard error.
//!
//! **Invariant**: with `--json` every line on standard output is one JSON value.

use std::fmt::Display;
use std::io::{self, Write};
use std::mem;

use serde::Serialize;

use crate::failure::{self, Failure};

/// How much is kept before it is written, in bytes.
const FULL: usize = 64 << 10;

/// Where answers go.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    verbose: bool,
    /// Whole lines that were not written yet.
    lines: Vec<u8>,
}

impl Output {
    /// Whether more is to be said on standard error.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    pub(crate) fn new(json: bool, verbose: bool) -> Self {
        Output { json, verbose, lines: Vec::new() }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns how progress is reported where there is no terminal.
    pub(crate) fn progress(&self) -> Progress {
        match (self.json, self.verbose) {
            (true, _) => Progress::Json,
            (false, true) => Progress::Text,
            (false, false) => Progress::Nothing,
        }
    }

    /// Prints an answer in the form that was asked for.
    pub(crate) fn answer<T: Serialize + Display>(&mut self, answer: &T) -> Result<(), Failure> {
        if self.json { self.object(answer) } else { self.line(answer) }
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.lines, "{text}")?;
        self.flush_full()
    }

    /// Prints a line of JSON.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.lines.append(&mut json(value)?);
        self.flush_full()
    }

    /// Prints an answer, as [`answer`](Output::answer) does, but waits for the reader without blocking. If the future is
    /// dropped meanwhile, part of the answers may be lost.
    pub(crate) async fn answer_waiting<T: Serialize + Display>(&mut self, answer: &T) -> Result<(), Failure> {
        match self.json {
            true => self.lines.append(&mut json(answer)?),
            false => writeln!(self.lines, "{answer}")?,
        }
        if self.lines.len() >= FULL { self.flush_waiting().await } else { Ok(()) }
    }

    /// Reports progress in a line: text among the answers, or a message if those are JSON.
    pub(crate) fn tell(&mut self, text: impl Display) -> Result<(), Failure> {
        if self.json {
            message(text);
            return Ok(());
        }
        self.line(text)?;
        self.flush()
    }

    /// Writes what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let lines = mem::take(&mut self.lines);
        // A thread that waits for the reader holds the output, so it is not touched without need.
        if lines.is_empty() { Ok(()) } else { Ok(write(&lines)?) }
    }

    /// Writes what was printed so far, and waits for the reader without blocking.
    pub(crate) async fn flush_waiting(&mut self) -> Result<(), Failure> {
        let lines = mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        let written = tokio::task::spawn_blocking(move || write(&lines)).await;
        Ok(written.unwrap_or_else(|error| Err(io::Error::other(error)))?)
    }

    fn flush_full(&mut self) -> Result<(), Failure> {
        if self.lines.len() >= FULL { self.flush() } else { Ok(()) }
    }
}

fn write(lines: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines)?;
    out.flush()
}

/// Returns a line of JSON. Data keeps its text. JSON has line breaks only between its parts, never inside a string.
fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec(value)
        .map_err(|error| failure::system("the answer cannot be written as JSON", io::Error::other(error)))?;
    text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    text.push(b'\n');
    Ok(text)
}

/// How progress is reported on standard error, besides a bar on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Progress {
    Nothing,
    Text,
    Json,
}

impl Progress {
    /// Reports how far something has come.
    pub(crate) fn tell(self, now: &(impl Display + Serialize)) {
        match self {
            Progress::Nothing => {}
            Progress::Text => message(now),
            Progress::Json => message(serde_json::json!({"progress": now})),
        }
    }
}

/// Prints a message for the user. It is not an error if nobody reads it.
pub(crate) fn message(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints what is wrong with the command line, for a program that reads JSON.
pub(crate) fn usage_object(text: &str) {
    let error =
        serde_json::json!({"error": {"code": "usage", "message": text.trim_end(), "retryable": false}});
    let _ = writeln!(io::stdout().lock(), "{error}");
}
