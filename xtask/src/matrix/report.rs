//! The grid, as text, Markdown and JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use serde_json::json;

use super::adapters::{Adapter, IN_PROCESS, Kind};
use super::plan::{Outcome, Run, Scenario};
use super::runner::Ran;

/// Everything that was run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) runs: Vec<Ran>,
    pub(super) seeds: Range<u64>,
    pub(super) seconds: f64,
}

/// What there is, for `--list`.
pub(super) fn contents(adapters: &[Adapter], scenarios: &[Scenario]) -> String {
    let mut text = String::from("stores and transports:\n");
    let _infallible = writeln!(text, "  transport {IN_PROCESS:<12} no wire: calls go straight to the hub");
    for Adapter { kind, name, package, service, .. } in adapters {
        let needs = service.as_ref().map(|one| format!(", needs {} at ${}", one.name, one.env));
        let needs = needs.unwrap_or_default();
        let _infallible = writeln!(text, "  {:<9} {name:<12} {package}{needs}", kind.name());
    }
    text += "scenarios:\n";
    for Scenario { name, about, by_seed } in scenarios {
        let seeded = if *by_seed { ", by seed" } else { "" };
        let _infallible = writeln!(text, "  {name:<22} {about}{seeded}");
    }
    let of = |kind: Kind| adapters.iter().filter(|adapter| adapter.kind == kind).count();
    let cells = of(Kind::Store).pow(2) * (1 + of(Kind::Transport));
    text + &format!("{cells} cells, {} runs\n", cells * scenarios.len())
}

impl Report {
    pub(super) fn failed(&self) -> usize {
        self.runs.iter().filter(|ran| matches!(ran.outcome, Outcome::Failed(_))).count()
    }

    fn skipped(&self) -> usize {
        self.runs.iter().filter(|ran| matches!(ran.outcome, Outcome::Skipped(_))).count()
    }

    /// What stands in the grid for each cell: rows are pairs of stores, columns are transports.
    fn grid(&self) -> (Vec<&str>, Vec<Vec<String>>) {
        let mut transports: Vec<&str> = Vec::new();
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut cells: BTreeMap<(&str, &str, &str), Vec<&Ran>> = BTreeMap::new();
        for ran in &self.runs {
            let (replica, hub, transport) = (&*ran.run.replica, &*ran.run.hub, &*ran.run.transport);
            if !transports.contains(&transport) {
                transports.push(transport);
            }
            if !pairs.contains(&(replica, hub)) {
                pairs.push((replica, hub));
            }
            cells.entry((replica, hub, transport)).or_default().push(ran);
        }
        let row = |(replica, hub): &(&str, &str)| {
            let cell = |transport: &&str| {
                cells.get(&(*replica, *hub, *transport)).map_or_else(String::new, |runs| summary(runs))
            };
            let names = [(*replica).to_owned(), (*hub).to_owned()];
            names.into_iter().chain(transports.iter().map(cell)).collect()
        };
        let rows = pairs.iter().map(row).collect();
        (transports, rows)
    }

    /// What failed, with how to repeat it, and what was skipped, for each reason once.
    fn remarks(&self) -> String {
        let mut text = String::new();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for ran in &self.runs {
            match &ran.outcome {
                Outcome::Passed => {}
                Outcome::Failed(message) => {
                    let indented = message.replace('\n', "\n    ");
                    let _infallible =
                        write!(text, "FAIL {}\n    {indented}\n    replay: {}\n", ran.run, replay(&ran.run));
                }
                Outcome::Skipped(reason) => *reasons.entry(reason).or_default() += 1,
            }
        }
        for (reason, count) in reasons {
            let _infallible = writeln!(text, "skipped {count}: {reason}");
        }
        text
    }

    fn totals(&self) -> String {
        let (all, failed, skipped) = (self.runs.len(), self.failed(), self.skipped());
        let (passed, seconds) = (all - failed - skipped, self.seconds);
        let seeds = match self.seeds.end - self.seeds.start {
            1 => format!("seed {}", self.seeds.start),
            _ => format!("seeds {} to {}", self.seeds.start, self.seeds.end - 1),
        };
        format!("{all} runs: {passed} passed, {failed} failed, {skipped} skipped; {seeds}; {seconds:.0} s\n")
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let (transports, rows) = self.grid();
        let head: Vec<String> = ["replica", "hub"].into_iter().chain(transports).map(str::to_owned).collect();
        let mut text = String::new();
        let table: Vec<&Vec<String>> = std::iter::once(&head).chain(&rows).collect();
        for row in &table {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
                format!("{cell:<width$}")
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text += line.trim_end();
            text.push('\n');
        }
        format!("{text}\n{}{}", self.remarks(), self.totals())
    }

    /// For a page.
    pub(super) fn markdown(&self) -> String {
        let (transports, rows) = self.grid();
        let mut text =
            String::from("# Every store, with every store, over every transport\n\n| replica | hub |");
        for transport in &transports {
            let _infallible = write!(text, " {transport} |");
        }
        text += "\n|---|---|";
        text += &"---|".repeat(transports.len());
        text.push('\n');
        for row in rows {
            let _infallible = writeln!(text, "| {} |", row.join(" | "));
        }
        let remarks = self.remarks();
        let remarks = if remarks.is_empty() { remarks } else { format!("```text\n{remarks}```\n\n") };
        format!("{text}\n{remarks}{}", self.totals())
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let runs: Vec<_> = self
            .runs
            .iter()
            .map(|ran| {
                let (outcome, message) = match &ran.outcome {
                    Outcome::Passed => ("passed", None),
                    Outcome::Failed(message) => ("failed", Some(message)),
                    Outcome::Skipped(message) => ("skipped", Some(message)),
                };
                json!({
                    "replica": ran.run.replica,
                    "hub": ran.run.hub,
                    "transport": ran.run.transport,
                    "scenario": ran.run.scenario,
                    "outcome": outcome,
                    "message": message,
                    "seconds": ran.seconds,
                    "seed": ran.run.seed,
                    "replay": replay(&ran.run),
                })
            })
            .collect();
        let (failed, skipped) = (self.failed(), self.skipped());
        let report = json!({
            "seconds": self.seconds,
            "passed": self.runs.len() - failed - skipped,
            "failed": failed,
            "skipped": skipped,
            "runs": runs,
        });
        format!("{report:#}\n")
    }
}

/// The command that repeats one run.
fn replay(run: &Run) -> String {
    format!(
        "cargo xtask matrix --replica {} --hub {} --transport {} --scenario {} --seed {}",
        run.replica, run.hub, run.transport, run.scenario, run.seed
    )
}

/// What stands in the grid for one cell.
fn summary(runs: &[&Ran]) -> String {
    let mut failed: Vec<&str> = runs
        .iter()
        .filter(|ran| matches!(ran.outcome, Outcome::Failed(_)))
        .map(|ran| ran.run.scenario.as_str())
        .collect();
    failed.dedup();
    let skipped = runs.iter().filter(|ran| matches!(ran.outcome, Outcome::Skipped(_))).count();
    match (failed.as_slice(), skipped) {
        ([], 0) => "pass".to_owned(),
        ([], all) if all == runs.len() => "skipped".to_owned(),
        ([], some) => format!("pass ({some} skipped)"),
        (failed, _) => format!("FAIL ({})", failed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(replica: &str, transport: &str, scenario: &str, outcome: Outcome) -> Ran {
        let run = Run {
            replica: replica.to_owned(),
            hub: "redb".to_owned(),
            transport: transport.to_owned(),
            scenario: scenario.to_owned(),
            seed: 7,
            outcome: None,
        };
        Ran { run, outcome, seconds: 0.5 }
    }

    fn report() -> Report {
        let lost = Outcome::Failed("P2: hub misses e1\nat a line".to_owned());
        let absent = || Outcome::Skipped("postgres is not there: set PG_URL to its address".to_owned());
        let runs = vec![
            ran("redb", "in-process", "exchange", Outcome::Passed),
            ran("redb", "in-process", "faults", Outcome::Passed),
            ran("redb", "http", "exchange", lost),
            ran("redb", "http", "faults", Outcome::Passed),
            ran("postgres", "in-process", "exchange", absent()),
            ran("postgres", "in-process", "faults", absent()),
            ran("postgres", "http", "exchange", Outcome::Passed),
            ran("postgres", "http", "faults", absent()),
        ];
        Report { runs, seeds: 7..8, seconds: 12.3 }
    }

    #[test]
    fn the_grid_says_of_each_cell_how_it_ended() {
        let text = report().text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "replica   hub   in-process  http");
        assert_eq!(lines[1], "redb      redb  pass        FAIL (exchange)");
        assert_eq!(lines[2], "postgres  redb  skipped     pass (1 skipped)");
        assert_eq!(lines.last(), Some(&"8 runs: 4 passed, 1 failed, 3 skipped; seed 7; 12 s"));
    }

    #[test]
    fn a_failure_is_told_with_the_command_that_repeats_it() {
        let text = report().text();
        let wanted = "FAIL redb → redb over http: exchange\n    P2: hub misses e1\n    at a line\n    replay: \
            cargo xtask matrix --replica redb --hub redb --transport http --scenario exchange --seed 7\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("skipped 3: postgres is not there"), "{text}");
    }

    #[test]
    fn the_page_is_a_table() {
        let page = report().markdown();
        assert!(page.contains("| replica | hub | in-process | http |\n|---|---|---|---|\n"), "{page}");
        assert!(page.contains("| redb | redb | pass | FAIL (exchange) |\n"), "{page}");
        assert!(page.contains("```text\nFAIL redb"), "{page}");
    }

    #[test]
    fn programs_read_the_same() {
        let report: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!((&report["failed"], &report["skipped"]), (&1.into(), &3.into()));
        let failed = &report["runs"][2];
        assert_eq!((&failed["outcome"], &failed["seed"]), (&"failed".into(), &7.into()));
        assert!(report["runs"][2]["replay"].as_str().unwrap().ends_with("--seed 7"));
    }

    #[test]
    fn what_there_is_is_listed() {
        let scenario =
            |name: &str, by_seed| Scenario { name: name.to_owned(), about: "they meet".to_owned(), by_seed };
        let scenarios = [scenario("exchange", false), scenario("faults", true)];
        let text = contents(&crate::matrix::adapters::tests::some(), &scenarios);
        for line in [
            "  transport in-process   no wire: calls go straight to the hub",
            "  store     postgres     synckit-postgres, needs postgres at $PG_URL",
            "  exchange               they meet",
            "  faults                 they meet, by seed",
            "8 cells, 16 runs",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} in\n{text}");
        }
    }
}
