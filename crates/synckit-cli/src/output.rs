//! Standard output: answers as text or JSON, nothing else. Messages go to standard error.
//!
//! **Invariant**: with `--json` every line on standard output is one JSON value.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::failure::{self, Failure};

/// Where answers go.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Output { json, out: BufWriter::with_capacity(64 << 10, io::stdout()) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer in the form that was asked for.
    pub(crate) fn answer<T: Serialize + Display>(&mut self, answer: &T) -> Result<(), Failure> {
        if self.json { self.object(answer) } else { self.line(answer) }
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a line of JSON.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(value).map_err(|error| {
            failure::system("the answer cannot be written as JSON", io::Error::other(error))
        })?;
        // Data keeps its text. JSON has line breaks only between its parts, never inside a string.
        text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        text.push(b'\n');
        Ok(self.out.write_all(&text)?)
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

    /// Flushes what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
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
