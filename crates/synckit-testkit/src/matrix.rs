//! The program that `cargo xtask matrix` builds and runs: one scenario in one cell per process.
//!
//! Each run is a separate process, so a cell that hangs, panics or aborts fails alone. The result is one line of JSON
//! on standard output.
//!
//! ```text
//! cells                                                        what there is
//! cells REPLICA HUB TRANSPORT SCENARIO SEED SECONDS            one run, ended after SECONDS
//! ```

use std::io::Write;
use std::panic;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::StoreFixture;
use crate::in_process::InProcess;
use crate::scenario::{self, AnyStore, AnyWire, Cell, Ended, Scenario};
use crate::wire::WireFixture;

/// The stores and transports whose combinations are cells. The transport `in-process` is always included.
#[derive(Debug)]
pub struct Matrix {
    stores: Vec<(String, AnyStore)>,
    transports: Vec<(String, AnyWire)>,
}

impl Default for Matrix {
    fn default() -> Self {
        Matrix::new()
    }
}

impl Matrix {
    /// Creates a matrix without stores, with the transport within one process.
    pub fn new() -> Self {
        let in_process = ("in-process".to_owned(), AnyWire::new(InProcess::default));
        Matrix { stores: Vec::new(), transports: vec![in_process] }
    }

    /// Adds the store of these fixtures. Each call must return a fresh one.
    pub fn with_store<F: StoreFixture>(
        mut self,
        name: &str,
        fixture: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.stores.push((name.to_owned(), AnyStore::new(fixture)));
        self
    }

    /// Adds the transport of these fixtures. Each call must return a fresh one.
    pub fn with_transport<F: WireFixture>(
        mut self,
        name: &str,
        fixture: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.transports.push((name.to_owned(), AnyWire::new(fixture)));
        self
    }

    /// Does what the arguments of the process ask for, and prints the result.
    pub fn main(&self) -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let (answer, code) = self.run(&args);
        // It does not matter if nobody reads it any more.
        let _closed = writeln!(std::io::stdout(), "{answer}");
        // A run that hangs still uses a thread; the process ends nevertheless.
        ExitCode::from(code)
    }

    /// Returns what [`Matrix::main`] prints for these arguments, and its exit code: 0 unless the run failed (1) or
    /// the arguments are invalid (2). Call it only once in a process: a panic anywhere in the process fails the run.
    pub fn run(&self, args: &[String]) -> (String, u8) {
        match self.answer(args) {
            Ok(answer) => (answer.to_string(), u8::from(answer["outcome"] == "failed")),
            Err(message) => (json!({ "error": message }).to_string(), 2),
        }
    }

    fn answer(&self, args: &[String]) -> Result<Value, String> {
        let [replica, hub, transport, scenario, seed, seconds] = args else {
            return if args.is_empty() {
                Ok(self.contents())
            } else {
                Err("six arguments are wanted: replica, hub, transport, scenario, seed, seconds".to_owned())
            };
        };
        let number = |text: &String| text.parse().map_err(|_| format!("`{text}` is no number"));
        let cell = Cell::new(
            named(&self.stores, replica)?.clone(),
            named(&self.stores, hub)?.clone(),
            named(&self.transports, transport)?.clone(),
        );
        let cell = cell.with_seed(number(seed)?);
        let scenario =
            scenario::named(scenario).ok_or_else(|| format!("there is no scenario `{scenario}`"))?;
        Ok(match run(scenario, cell, Duration::from_secs(number(seconds)?)) {
            Ok(Ended::Well) => json!({ "outcome": "passed" }),
            Ok(Ended::Skipped(reason)) => json!({ "outcome": "skipped", "message": reason }),
            Err(message) => json!({ "outcome": "failed", "message": message }),
        })
    }

    fn contents(&self) -> Value {
        let scenarios: Vec<Value> = scenario::ALL
            .iter()
            .map(|one| json!({ "name": one.name(), "about": one.about(), "by_seed": one.by_seed() }))
            .collect();
        let stores: Vec<&String> = self.stores.iter().map(|(name, _)| name).collect();
        let transports: Vec<&String> = self.transports.iter().map(|(name, _)| name).collect();
        json!({ "stores": stores, "transports": transports, "scenarios": scenarios })
    }
}

fn named<'a, T>(all: &'a [(String, T)], name: &str) -> Result<&'a T, String> {
    let found = all.iter().find(|(known, _)| known == name);
    found.map(|(_, item)| item).ok_or_else(|| format!("`{name}` is not in this matrix"))
}

/// Runs a scenario in a separate thread, for at most the time limit. If it fails, the error says what was wrong and
/// where.
fn run(scenario: &'static Scenario, cell: Cell, limit: Duration) -> Result<Ended, String> {
    let said: Arc<Mutex<Option<String>>> = Arc::default();
    let hears = said.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // The first panic is the cause; a panic of a task may make the scenario panic as well.
        hears.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| info.to_string());
        before(info);
    }));
    let (tell, told) = mpsc::channel();
    let running = std::thread::Builder::new().name(scenario.name().to_owned());
    let running = running.spawn(move || {
        let _nobody_waits = tell.send(scenario.run(&cell));
    });
    running.map_err(|error| format!("no thread for the scenario: {error}"))?;
    let message =
        |otherwise: String| said.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(otherwise);
    match told.recv_timeout(limit) {
        Ok(ended) => match said.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A task that panicked unnoticed by the scenario is a failure too.
            Some(panicked) => Err(panicked),
            None => Ok(ended),
        },
        Err(RecvTimeoutError::Timeout) => Err(message(format!("hangs: not at an end after {limit:?}"))),
        Err(RecvTimeoutError::Disconnected) => Err(message("ended without a word".to_owned())),
    }
}
