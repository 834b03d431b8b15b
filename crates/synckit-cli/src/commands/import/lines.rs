//! Reading JSON lines: bounded lines, in batches that are one commit each.

use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

/// The maximum length of a line. An event of 256 KiB is well below it, also if its bytes are written as base64.
const MAX_LINE: usize = 1 << 20;
/// The maximum number of events in one batch, and of bytes.
const MAX_EVENTS: usize = 1_000;
const MAX_BYTES: u64 = 4 << 20;

/// The lines of an input, each the JSON of an event.
pub(super) struct Lines<T> {
    input: BufReader<Box<dyn Read + Send>>,
    number: u64,
    events: PhantomData<fn() -> T>,
}

/// The next events of an input, each with the number of its line.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) events: Vec<(u64, T)>,
    /// Lines that are not events, and why.
    pub(super) bad: Vec<(u64, String)>,
    /// The number of bytes of the input that the batch covers.
    pub(super) bytes: u64,
    pub(super) last_line: u64,
    /// Whether the input has ended.
    pub(super) end: bool,
}

/// A line as it was read.
enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Lines { input: BufReader::with_capacity(1 << 20, input), number: 0, events: PhantomData }
    }

    /// Reads until the batch is full, the input ends, or the next line is not there yet.
    pub(super) fn next_batch(&mut self) -> io::Result<Batch<T>> {
        let mut batch = Batch { events: Vec::new(), bad: Vec::new(), bytes: 0, last_line: 0, end: false };
        loop {
            match self.next_line(&mut batch.bytes)? {
                Line::End => {
                    batch.end = true;
                    break;
                }
                Line::TooLong => {
                    let reason =
                        format!("the line has more than {MAX_LINE} bytes; an event cannot be so large");
                    batch.bad.push((self.number, reason));
                }
                Line::Text(text) => match parse(&text, self.number) {
                    Some(Ok(event)) => batch.events.push((self.number, event)),
                    Some(Err(reason)) => batch.bad.push((self.number, reason)),
                    None => {}
                },
            }
            let full = batch.events.len() + batch.bad.len() >= MAX_EVENTS || batch.bytes >= MAX_BYTES;
            let something = !batch.events.is_empty() || !batch.bad.is_empty();
            if full || something && !self.input.buffer().contains(&b'\n') {
                break;
            }
        }
        batch.last_line = self.number;
        Ok(batch)
    }

    /// Reads a line. The text of a line that is too long is not kept.
    fn next_line(&mut self, bytes: &mut u64) -> io::Result<Line> {
        let mut line = Vec::new();
        let (mut started, mut too_long) = (false, false);
        loop {
            let ready = match self.input.fill_buf() {
                Ok(ready) => ready,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if ready.is_empty() {
                break;
            }
            started = true;
            let end = ready.iter().position(|byte| *byte == b'\n');
            let part = &ready[..end.unwrap_or(ready.len())];
            too_long |= line.len() + part.len() > MAX_LINE;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            *bytes += used as u64;
            if end.is_some() {
                break;
            }
        }
        if !started {
            return Ok(Line::End);
        }
        self.number += 1;
        Ok(if too_long { Line::TooLong } else { Line::Text(line) })
    }
}

/// Parses the event of a line; returns `None` if the line is blank.
fn parse<T: DeserializeOwned>(line: &[u8], number: u64) -> Option<Result<T, String>> {
    let line = match line.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) if number == 1 => rest,
        _ => line,
    };
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    Some(serde_json::from_slice(line).map_err(|error| {
        // The parser saw only this line, so its line number would mislead.
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        match text.strip_suffix(&place) {
            Some(reason) => format!("{reason} (column {})", error.column()),
            None => text,
        }
    }))
}

#[cfg(test)]
mod tests {
    use synckit::NewEvent;

    use super::*;

    const GOOD: &str = r#"{"type":"T","aggregate_id":"x","data":1}"#;

    fn read(text: Vec<u8>) -> Batch<NewEvent> {
        Lines::new(Box::new(io::Cursor::new(text))).next_batch().expect("readable")
    }

    #[test]
    fn bad_lines_are_numbered_and_the_rest_is_read() {
        let text = format!("\u{feff}{GOOD}\r\n\n{{oops\n[1]\n{GOOD}\n\u{0}\n{GOOD}");
        let mut batch = read(text.into_bytes());
        assert_eq!(batch.bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 6]);
        assert!(!batch.bad[0].1.contains("line 1"), "{batch:?}");
        assert!(batch.bad[0].1.contains("column 2"), "{batch:?}");
        assert_eq!(batch.events.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 5]);
        batch = read(format!("{GOOD}\n").into_bytes());
        assert_eq!((batch.events.len(), batch.bytes, batch.last_line), (1, GOOD.len() as u64 + 1, 1));
    }

    #[test]
    fn a_line_of_any_length_costs_no_more_than_the_limit() {
        let mut lines =
            Lines::<NewEvent>::new(Box::new(io::repeat(b'x').take(64 << 20).chain(io::Cursor::new("\n"))));
        let batch = lines.next_batch().expect("readable");
        assert_eq!(batch.bad.len(), 1);
        assert!(batch.events.is_empty());
        assert_eq!(batch.bytes, (64 << 20) + 1);
        assert!(lines.next_batch().expect("readable").end);
    }

    #[test]
    fn batches_are_bounded() {
        let text = format!("{GOOD}\n").repeat(MAX_EVENTS + 1);
        let mut lines = Lines::<NewEvent>::new(Box::new(io::Cursor::new(text)));
        assert_eq!(lines.next_batch().expect("readable").events.len(), MAX_EVENTS);
        assert_eq!(lines.next_batch().expect("readable").events.len(), 1);
        assert!(lines.next_batch().expect("readable").end);
    }
}
