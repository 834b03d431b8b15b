//! Lines that cannot be recorded: each is counted, and no reason is repeated without end.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use serde::Serialize;

use crate::output;
use crate::text;

/// The maximum number of bad lines listed with `--json`.
const LISTED: usize = 1_000;

/// How many lines with one reason are reported one by one; the others are counted.
const EACH: u64 = 3;

/// The maximum number of reasons that are counted. Lines with others are reported one by one.
const REASONS: usize = 1_000;

/// The lines that could not be recorded.
#[derive(Debug, Default, Serialize)]
pub(super) struct Bad {
    #[serde(rename = "bad")]
    pub(super) count: u64,
    #[serde(rename = "bad_lines")]
    listed: Vec<BadLine>,
    /// For each reason, how many lines there are and which is the last.
    #[serde(skip)]
    reasons: BTreeMap<String, (u64, u64)>,
}

#[derive(Debug, Serialize)]
struct BadLine {
    line: u64,
    reason: String,
}

impl Bad {
    /// Counts a line, and reports it unless there were several with this reason.
    pub(super) fn add(&mut self, bar: &ProgressBar, line: u64, reason: String) {
        self.count += 1;
        if self.reasons.len() < REASONS || self.reasons.contains_key(without_column(&reason)) {
            let (lines, last) = self.reasons.entry(without_column(&reason).to_owned()).or_default();
            *lines += 1;
            *last = line;
            if *lines <= EACH {
                tell(bar, line, &reason);
            }
        } else {
            tell(bar, line, &reason);
        }
        if self.listed.len() < LISTED {
            self.listed.push(BadLine { line, reason });
        }
    }

    /// Reports how many lines were counted only.
    pub(super) fn tell_rest(&self) {
        for (reason, (lines, last)) in self.reasons.iter().filter(|(_, (lines, _))| *lines > EACH) {
            let (more, reason) = (text::count(lines - EACH, "more line"), text::plain(reason));
            output::message(format_args!("{more}, the last of them line {last}: {reason}"));
        }
    }

    /// Returns whether a line was refused for this reason.
    pub(super) fn has(&self, begins: &str) -> bool {
        self.reasons.keys().any(|reason| reason.starts_with(begins))
    }
}

fn tell(bar: &ProgressBar, line: u64, reason: &str) {
    bar.suspend(|| output::message(format_args!("line {line}: {}", text::plain(reason))));
}

/// Returns a reason without the column, which differs from line to line.
fn without_column(reason: &str) -> &str {
    reason.rsplit_once(" (column ").map_or(reason, |(reason, _)| reason)
}
