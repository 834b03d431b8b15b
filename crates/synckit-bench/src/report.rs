//! How figures are shown and stored: a table for people, JSON for the next comparison.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::measure::{Figure, Measured, Spread};

/// A row whose ratio falls below this part of its baseline counts as worse.
const WORSE: f64 = 0.9;

/// Everything that was measured in one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) events: usize,
    pub(crate) rounds: usize,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// Reads a report that an earlier run wrote.
    pub(crate) fn read(path: &Path) -> Measured<Report> {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// Writes the report as `bench.json` and `bench.md` in this directory.
    pub(crate) fn write(&self, directory: &Path) -> Measured<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("bench.json"), serde_json::to_vec_pretty(self)?)?;
        std::fs::write(directory.join("bench.md"), self.markdown())?;
        Ok(())
    }

    /// Returns the table as it is in the documentation.
    pub(crate) fn markdown(&self) -> String {
        let mut table = format!(
            "{} events, {} rounds, medians; in brackets the least and the most.\n\n\
             | what | limit | ours | raw | ratio | at least |\n|---|---|---|---|---|---|\n",
            self.events, self.rounds
        );
        for figure in &self.figures {
            let Figure { about, limit, unit, ours, raw, ratio, at_least, .. } = figure;
            let raw = raw.as_ref().map_or_else(|| "–".to_owned(), |raw| format!("{} {unit}", several(raw)));
            let _ = writeln!(
                table,
                "| {about} | {limit} | {} {unit} | {raw} | {:.2} ({:.2}–{:.2}) | {at_least} |",
                several(ours),
                ratio.median,
                ratio.min,
                ratio.max,
            );
        }
        table
    }

    /// Returns the rows whose ratio is worse than in an earlier report by more than a tenth, with the earlier ratio.
    pub(crate) fn worse_than<'a>(&'a self, baseline: &'a Report) -> Vec<(&'a Figure, f64)> {
        let before = |figure: &&'a Figure| {
            let same = baseline.figures.iter().find(|other| other.name == figure.name)?;
            Some((*figure, same.ratio.median))
        };
        let compared = self.figures.iter().filter_map(|figure| before(&figure));
        compared.filter(|(figure, before)| figure.ratio.median < before * WORSE).collect()
    }
}

/// Returns one line for a terminal.
pub(crate) fn line(figure: &Figure) -> String {
    let Figure { name, unit, ours, raw, ratio, at_least, .. } = figure;
    let verdict = if figure.holds() { "ok   " } else { "BELOW" };
    let raw = raw.as_ref().map_or_else(String::new, |raw| format!(", raw {}", several(raw)));
    format!(
        "{verdict} {name:<18} {:>6.2} ({:.2}–{:.2}), at least {at_least:<5} ours {}{raw} {unit}",
        ratio.median,
        ratio.min,
        ratio.max,
        several(ours),
    )
}

fn several(spread: &Spread) -> String {
    format!("{} ({}–{})", short(spread.median), short(spread.min), short(spread.max))
}

/// Formats a number with three significant digits.
fn short(number: f64) -> String {
    match number {
        _ if number >= 1e7 => format!("{:.0}M", number / 1e6),
        _ if number >= 1e6 => format!("{:.2}M", number / 1e6),
        _ if number >= 1e4 => format!("{:.0}k", number / 1e3),
        _ if number >= 1e3 => format!("{:.2}k", number / 1e3),
        _ => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ratio: f64) -> Report {
        let spread = |median| Spread { median, min: median, max: median };
        let figure = Figure {
            name: "row".to_owned(),
            about: "a row".to_owned(),
            limit: "the disk".to_owned(),
            unit: "events/s".to_owned(),
            ours: spread(125_000.0 * ratio),
            raw: Some(spread(125_000.0)),
            ratio: spread(ratio),
            at_least: 0.5,
        };
        Report { events: 1, rounds: 1, figures: vec![figure] }
    }

    #[test]
    fn what_got_worse_by_more_than_a_tenth_is_named() {
        assert_eq!(report(0.55).worse_than(&report(0.6)).len(), 0);
        assert_eq!(report(0.53).worse_than(&report(0.6))[0].1, 0.6);
        assert_eq!(report(0.9).worse_than(&report(0.6)).len(), 0);
    }

    #[test]
    fn a_figure_is_a_line_and_a_row() {
        let report = report(0.4);
        assert!(line(&report.figures[0]).starts_with("BELOW row"));
        assert!(report.markdown().contains("| 50k (50k–50k) events/s | 125k (125k–125k) events/s | 0.40"));
    }
}
