//! Which runs there are, which of them are wanted, and which this machine cannot do.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;

use super::adapters::{Adapter, IN_PROCESS, Kind};

/// One scenario in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) replica: String,
    pub(super) hub: String,
    pub(super) transport: String,
    pub(super) scenario: String,
    pub(super) seed: u64,
    /// Decided before it runs, where it cannot run.
    pub(super) outcome: Option<Outcome>,
}

/// What every cell has to live through.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// What it is about, in one line.
    pub(super) about: String,
    /// Whether another seed is another story.
    pub(super) by_seed: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// What did not hold.
    Failed(String),
    /// What was not there.
    Skipped(String),
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {} over {}: {}", self.replica, self.hub, self.transport, self.scenario)
    }
}

/// What is wanted of all there is; an empty list wants everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrowing<'a> {
    pub(super) stores: &'a [String],
    pub(super) replicas: &'a [String],
    pub(super) hubs: &'a [String],
    pub(super) transports: &'a [String],
    pub(super) scenarios: &'a [String],
}

impl Narrowing<'_> {
    /// Fails where a store or a transport is wanted that no adapter is.
    pub(super) fn check(&self, adapters: &[Adapter]) -> Result<(), String> {
        let (stores, transports) = names(adapters);
        for wanted in [self.stores, self.replicas, self.hubs] {
            known("store", wanted, &stores)?;
        }
        known("transport", self.transports, &transports)
    }
}

/// The stores, and the transports with the one that is always there.
fn names(adapters: &[Adapter]) -> (Vec<&str>, Vec<&str>) {
    let of = |kind: Kind| adapters.iter().filter(move |adapter| adapter.kind == kind);
    let stores = of(Kind::Store).map(|adapter| adapter.name.as_str());
    let transports = of(Kind::Transport).map(|adapter| adapter.name.as_str());
    (stores.collect(), [IN_PROCESS].into_iter().chain(transports).collect())
}

/// Fails where a service is required that no adapter needs.
pub(super) fn check_services(adapters: &[Adapter], required: &[String]) -> Result<(), String> {
    let services = adapters.iter().filter_map(|adapter| adapter.service.as_ref());
    let mut names: Vec<&str> = services.map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    known("service", required, &names)
}

/// The runs, cell by cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) runs: Vec<Run>,
}

impl Plan {
    pub(super) fn new(
        adapters: &[Adapter],
        scenarios: &[Scenario],
        narrowing: &Narrowing<'_>,
        seeds: Range<u64>,
    ) -> Result<Plan, String> {
        let (stores, transports) = names(adapters);
        let all: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        known("scenario", narrowing.scenarios, &all)?;

        let among = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
        let mut runs = Vec::new();
        for replica in stores.iter().filter(|name| among(narrowing.replicas, name)) {
            for hub in stores.iter().filter(|name| among(narrowing.hubs, name)) {
                if !among(narrowing.stores, replica) && !among(narrowing.stores, hub) {
                    continue;
                }
                for transport in transports.iter().filter(|name| among(narrowing.transports, name)) {
                    let wanted = scenarios.iter().filter(|one| among(narrowing.scenarios, &one.name));
                    for scenario in wanted {
                        let different = if scenario.by_seed { usize::MAX } else { 1 };
                        runs.extend(seeds.clone().take(different).map(|seed| Run {
                            replica: (*replica).to_owned(),
                            hub: (*hub).to_owned(),
                            transport: (*transport).to_owned(),
                            scenario: scenario.name.clone(),
                            seed,
                            outcome: None,
                        }));
                    }
                }
            }
        }
        Ok(Plan { runs })
    }

    /// Decides the runs that need a service which is not there: skipped, or failed where the service is required.
    pub(super) fn require(
        &mut self,
        adapters: &[Adapter],
        required: &[String],
        is_set: impl Fn(&str) -> bool,
    ) {
        for adapter in adapters {
            let Some(service) = adapter.service.as_ref().filter(|service| !is_set(&service.env)) else {
                continue;
            };
            let message = format!("{} is not there: set {} to its address", service.name, service.env);
            let outcome = if required.contains(&service.name) {
                Outcome::Failed(message)
            } else {
                Outcome::Skipped(message)
            };
            for run in &mut self.runs {
                let uses = match adapter.kind {
                    Kind::Store => [&run.replica, &run.hub].contains(&&adapter.name),
                    Kind::Transport => run.transport == adapter.name,
                };
                // What is required and missing counts before what is merely missing.
                if uses && !matches!(run.outcome, Some(Outcome::Failed(_))) {
                    run.outcome = Some(outcome.clone());
                }
            }
        }
    }
}

/// Fails if a wanted name is unknown; the error lists the known ones.
fn known(kind: &str, wanted: &[String], all: &[&str]) -> Result<(), String> {
    match wanted.iter().find(|name| !all.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if all.is_empty() => Err(format!("there is no {kind} `{name}`: no adapter has one")),
        Some(name) => Err(format!("there is no {kind} `{name}`, only {}", all.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::adapters::tests::some;

    const NOTHING: Narrowing<'_> =
        Narrowing { stores: &[], replicas: &[], hubs: &[], transports: &[], scenarios: &[] };

    fn scenarios() -> Vec<Scenario> {
        let scenario =
            |(name, by_seed): (&str, bool)| Scenario { name: name.to_owned(), about: String::new(), by_seed };
        [("exchange", false), ("faults", true)].map(scenario).to_vec()
    }

    fn narrowed(narrowing: Narrowing<'_>) -> Result<Plan, String> {
        Plan::new(&some(), &scenarios(), &narrowing, 1..2)
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_store_with_every_store_over_every_transport_through_every_scenario() {
        let plan = narrowed(NOTHING).unwrap();
        assert_eq!(plan.runs.len(), 2 * 2 * 2 * 2);
        assert_eq!(plan.runs[0].to_string(), "memory → memory over in-process: exchange");
    }

    #[test]
    fn only_what_chance_has_a_part_in_is_run_from_several_seeds() {
        let plan = Plan::new(&some(), &scenarios(), &NOTHING, 7..10).unwrap();
        assert_eq!(plan.runs.len(), 8 * (1 + 3));
        let seeds: Vec<u64> = plan.runs.iter().take(4).map(|run| run.seed).collect();
        assert_eq!(seeds, [7, 7, 8, 9]);
    }

    #[test]
    fn a_store_is_wanted_on_either_side() {
        let stores = list(&["postgres"]);
        let plan = narrowed(Narrowing { stores: &stores, ..NOTHING }).unwrap();
        assert_eq!(plan.runs.len(), 3 * 2 * 2);
        assert!(plan.runs.iter().all(|run| run.replica == "postgres" || run.hub == "postgres"));
    }

    #[test]
    fn one_run_can_be_named() {
        let (memory, postgres) = (list(&["memory"]), list(&["postgres"]));
        let (http, faults) = (list(&["http"]), list(&["faults"]));
        let one = Narrowing {
            replicas: &memory,
            hubs: &postgres,
            transports: &http,
            scenarios: &faults,
            ..NOTHING
        };
        let runs = narrowed(one).unwrap().runs;
        let runs: Vec<String> = runs.iter().map(Run::to_string).collect();
        assert_eq!(runs, ["memory → postgres over http: faults"]);
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let wrong = list(&["sqlit"]);
        let errors = [
            Narrowing { stores: &wrong, ..NOTHING }.check(&some()).unwrap_err(),
            Narrowing { transports: &wrong, ..NOTHING }.check(&some()).unwrap_err(),
            narrowed(Narrowing { scenarios: &wrong, ..NOTHING }).unwrap_err(),
        ];
        assert_eq!(errors[0], "there is no store `sqlit`, only memory, postgres");
        assert_eq!(errors[1], "there is no transport `sqlit`, only in-process, http");
        assert_eq!(errors[2], "there is no scenario `sqlit`, only exchange, faults");
    }

    #[test]
    fn a_missing_service_is_a_skip_and_a_failure_where_it_is_required() {
        let mut plan = narrowed(NOTHING).unwrap();
        plan.require(&some(), &[], |name| name == "PG_URL");
        assert!(plan.runs.iter().all(|run| run.outcome.is_none()), "it is there");

        let mut plan = narrowed(NOTHING).unwrap();
        plan.require(&some(), &[], |_| false);
        let skipped =
            |run: &&Run| matches!(&run.outcome, Some(Outcome::Skipped(why)) if why.contains("PG_URL"));
        assert_eq!(plan.runs.iter().filter(skipped).count(), 12);
        assert_eq!(plan.runs.iter().filter(|run| run.outcome.is_none()).count(), 4);

        plan.require(&some(), &list(&["postgres"]), |_| false);
        let failed =
            |run: &&Run| matches!(&run.outcome, Some(Outcome::Failed(why)) if why.contains("PG_URL"));
        assert_eq!(plan.runs.iter().filter(failed).count(), 12);

        assert_eq!(check_services(&some(), &list(&["postgres"])), Ok(()));
        let error = check_services(&some(), &list(&["redis"])).unwrap_err();
        assert_eq!(error, "there is no service `redis`, only postgres");
    }
}
