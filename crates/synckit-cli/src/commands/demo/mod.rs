//! `synckit demo`: three replicas edit offline, crash, sync and agree, and all of it is checked.
//!
//! - `mod.rs`: the story, printed as it happens, and the verdict
//! - `world.rs`: the hub over real HTTP, the replicas' files, and child processes that sync
//! - `edits.rs`: what is recorded, from a seed, and the reference it is checked against
//! - `gate.rs`: holds back the answer to a push, so that a replica can be killed in the middle of it
//! - `check.rs`: what every log must hold

mod check;
mod edits;
mod gate;
mod world;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use synckit::{Error, ErrorKind};

use crate::commands::stopped;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;
use check::Checked;
use edits::{NODES, Reference};
use world::World;

/// See three replicas edit offline, crash, sync and agree; it takes seconds and needs nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "It makes a hub over HTTP on a free loopback port and three replicas in a temporary \
    directory. The replicas edit notes offline, some of them the same notes. One is killed in the middle of a push. \
    Then all sync until nothing moves, and every log is checked against what was recorded. The exit code is 0 only if \
    every check holds.\n\n\
    Example: synckit demo --events 10000 --seed 7 --keep /tmp/demo && synckit status --db /tmp/demo/a.db")]
pub(crate) struct Args {
    /// How many events are recorded in all
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(60..=300_000))]
    events: u32,

    /// Decides who edits which note when
    #[arg(long, value_name = "N", default_value_t = 4711)]
    seed: u64,

    /// Keep the files in this directory, which must be new or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The number of rounds of syncs after which nothing may move any more.
const MAX_ROUNDS: usize = 8;
/// If a step takes longer, the demo has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize)]
struct Verdict {
    ok: bool,
    events: usize,
    lost: usize,
    duplicated: usize,
    causal_order_kept: bool,
    conflicts_settled: usize,
    views_equal: bool,
    seed: u64,
    seconds: f64,
    /// Everything that was wrong.
    failures: Vec<String>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let started = Instant::now();
    let stop = stopped()?;
    let world = World::create(args.keep.as_deref()).await?;
    let told = tokio::select! {
        told = story(&world, &args, output) => told,
        () = tokio::time::sleep(PATIENCE) => Err(broken_off("it did not end in time")),
        () = stop => Err(broken_off("it was told to stop")),
    };
    // The directory is removed whatever happened.
    let ended = world.end().await;
    let checked = told?;
    ended?;
    let verdict = Verdict {
        ok: checked.failures.is_empty(),
        events: checked.events,
        lost: checked.lost,
        duplicated: checked.duplicated,
        causal_order_kept: checked.causal_order_kept,
        conflicts_settled: checked.settled,
        views_equal: checked.views_equal,
        seed: args.seed,
        seconds: started.elapsed().as_secs_f64(),
        failures: checked.failures,
    };
    output.answer(&verdict)?;
    Ok(if verdict.ok { Exit::Done } else { Exit::Failed })
}

async fn story(world: &World, args: &Args, output: &mut Output) -> Result<Checked, Failure> {
    output.tell(format_args!("hub and replicas in {}, seed {}", world.directory().display(), args.seed))?;

    let plan = edits::plan(args.events as usize, args.seed)?;
    let mut reference = Reference::default();
    for (node, batches) in NODES.iter().zip(&plan.offline) {
        world.record(node, batches, &mut reference).await?;
    }
    let shared = reference.edited_by_several().len();
    let [all, contested] = [text::count(reference.len(), "event"), text::count(shared, "note")];
    output
        .tell(format_args!("offline: {all} recorded by a, b and c; {contested} edited by more than one"))?;

    let killed = world.kill_in_a_push("b", plan.batch, plan.pushes_before_the_kill).await?;
    output.tell(&killed)?;

    world.record("b", &plan.after_the_kill, &mut reference).await?;
    let more = text::count(plan.after_the_kill.iter().map(Vec::len).sum::<usize>(), "event");
    output.tell(format_args!("b starts again, still offline, and records {more} more"))?;

    let (rounds, settling) = heal(world, output).await?;
    let mut checked = check::all(world, &reference).await?;
    let conditions = [
        (killed.by_signal(), "b was not killed by a signal"),
        (killed.is_in_the_middle(), "b was not killed in the middle of its push"),
        (rounds <= MAX_ROUNDS, "the replicas kept changing"),
        (settling.settled >= shared, "fewer conflicts were settled by the syncs than notes were contested"),
        (settling.left == 0, "a sync left conflicts"),
        (settling.refused == 0, "events were refused"),
    ];
    let broken = conditions.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what.to_owned());
    checked.failures.extend(broken);
    output.tell(format_args!(
        "checked 4 logs against what was recorded: {} in each, {} of them settling conflicts",
        text::count(checked.events + checked.resolutions, "event"),
        text::number(checked.resolutions),
    ))?;
    Ok(checked)
}

/// What the syncs report they have done.
#[derive(Debug, Default)]
struct Settling {
    settled: usize,
    left: usize,
    refused: usize,
}

/// Lets all replicas sync at the same time, again and again, until nothing moves, and returns how many rounds it
/// took.
async fn heal(world: &World, output: &mut Output) -> Result<(usize, Settling), Failure> {
    let mut settling = Settling::default();
    for round in 1..=MAX_ROUNDS {
        let reports = tokio::try_join!(world.sync("a"), world.sync("b"), world.sync("c"))?;
        let reports: [world::Synced; 3] = reports.into();
        let sum = |field: fn(&world::Synced) -> usize| reports.iter().map(field).sum::<usize>();
        let (pushed, pulled) = (sum(|report| report.pushed), sum(|report| report.pulled));
        let settled = sum(|report| report.conflicts.settled);
        settling.settled += settled;
        settling.refused += sum(|report| report.refused_count);
        settling.left = sum(|report| report.conflicts.left);
        if pushed + pulled + settled == 0 {
            output.tell(format_args!("round {round}: nothing moves any more"))?;
            return Ok((round, settling));
        }
        let [pushed, pulled, settled] = [pushed, pulled, settled].map(text::number);
        output.tell(format_args!(
            "round {round}: all sync at once; {pushed} pushed, {pulled} pulled, {settled} settled"
        ))?;
    }
    Ok((MAX_ROUNDS + 1, settling))
}

fn broken_off(why: &str) -> Failure {
    Error::new(ErrorKind::Internal, "the demo was interrupted").with("why", why).into()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        write!(
            f,
            "{}, {} lost, {} duplicated, causal order {}, {} settled, views {}, seed {}",
            text::count(self.events, "event"),
            text::number(self.lost),
            text::number(self.duplicated),
            if self.causal_order_kept { "kept" } else { "BROKEN" },
            text::count(self.conflicts_settled, "conflict"),
            if self.views_equal { "equal" } else { "DIFFERENT" },
            self.seed,
        )
    }
}
