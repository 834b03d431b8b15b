//! `synckit sync --live`: stays with one hub or several until it is stopped.

use std::fmt;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use synckit::stay::{Live, LiveState, LiveStatus};
use synckit::{BoxStore, BoxTransport, Error, ErrorKind, Filter, ManualReview, SyncManager, Transport};
use tokio::sync::mpsc;

use crate::commands::rules::Chosen;
use crate::commands::sync::Args;
use crate::commands::{clock, stopped};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// The status of the exchange with one hub.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    url: &'a str,
    #[serde(flatten)]
    status: &'a LiveStatus,
}

/// What is shown of each hub: a line that changes on a terminal, otherwise a line for each change.
struct Shown {
    bars: Vec<ProgressBar>,
    /// The last line about each hub.
    lines: Vec<String>,
}

/// Stays with the hubs until a signal, or until a store or a task fails.
pub(super) async fn stay(
    store: &BoxStore,
    transports: &[BoxTransport],
    filter: &Filter,
    rules: Option<Chosen>,
    args: &Args,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stop = stopped()?;
    let builder = synckit::Replica::builder(store.clone());
    let replica = match rules {
        Some(rules) => builder.with_resolver(rules.resolver).build(),
        None => builder.with_resolver(ManualReview).build(),
    };
    if args.retry_refused {
        replica.retry_refused().await?;
    }
    let (changes, mut changed) = mpsc::channel(transports.len());
    let mut lives = Vec::new();
    for (number, (transport, url)) in transports.iter().zip(&args.urls).enumerate() {
        let mut builder = SyncManager::builder(replica.clone(), transport.clone())
            .with_direction(args.direction())
            .with_filter(filter.clone())
            .with_address(url);
        if let Some(batch) = args.batch {
            builder = builder.with_batch_size(batch as usize);
        }
        let live = builder.build().live()?;
        let mut status = live.watch();
        let changes = changes.clone();
        tokio::spawn(async move {
            loop {
                let now = status.borrow_and_update().clone();
                if changes.send((number, now)).await.is_err() || status.changed().await.is_err() {
                    return;
                }
            }
        });
        lives.push(live);
    }
    drop(changes);
    let mut shown = Shown::new(args.urls.len());
    tokio::pin!(stop);
    let failed = loop {
        tokio::select! {
            biased;
            () = &mut stop => break None,
            change = changed.recv() => {
                let Some((number, status)) = change else { break None };
                shown.tell(number, &args.urls[number], &status, output)?;
                if let LiveState::Stopped { reason: Some(reason) } = status.state {
                    break Some(reason);
                }
            }
        }
    };
    let exit = match lives.iter().map(Live::status).any(|status| status.kept_back + status.refused_here > 0) {
        true => Exit::Refused,
        false => Exit::Done,
    };
    for live in lives {
        live.stop().await;
    }
    for transport in transports {
        transport.close().await?;
    }
    shown.bars.iter().for_each(ProgressBar::finish_and_clear);
    match failed {
        Some(reason) => Err(Error::new(ErrorKind::Internal, reason).into()),
        None => Ok(exit),
    }
}

impl Shown {
    fn new(count: usize) -> Self {
        let all = MultiProgress::new();
        let bar = || {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        };
        let bars =
            if std::io::stderr().is_terminal() { (0..count).map(|_| bar()).collect() } else { Vec::new() };
        Shown { bars, lines: vec![String::new(); count] }
    }

    fn tell(
        &mut self,
        number: usize,
        url: &str,
        status: &LiveStatus,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let answer = Answer { url, status };
        let line = answer.to_string();
        match self.bars.get(number) {
            Some(bar) if !output.is_json() => {
                bar.set_message(line);
                bar.tick();
                Ok(())
            }
            _ if output.is_json() => {
                output.answer(&answer)?;
                output.flush()
            }
            _ if line != self.lines[number] => {
                output.answer(&answer)?;
                self.lines[number] = line;
                output.flush()
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { url, status } = self;
        write!(f, "{}: ", text::plain(url))?;
        match &status.state {
            LiveState::Connecting => f.write_str("connecting")?,
            LiveState::CatchingUp { done, total } => {
                write!(f, "catching up, {} of {}", text::number(done), text::number(total))?;
            }
            LiveState::Live if status.pending == 0 => f.write_str("up to date")?,
            LiveState::Live => f.write_str("live")?,
            LiveState::Polling if status.pending == 0 => f.write_str("up to date; asks from time to time")?,
            LiveState::Polling => f.write_str("asks from time to time")?,
            LiveState::Waiting { passes, reason, .. } => {
                let what = if *passes { "no network" } else { "no exchange" };
                write!(f, "{what}, tries again: {}", text::plain(reason))?;
                if let Some(since) = status.synced_at {
                    write!(f, "; last in sync {}", text::time(since))?;
                }
            }
            LiveState::Paused => f.write_str("paused")?,
            LiveState::Stopped { reason: None } => f.write_str("stopped")?,
            LiveState::Stopped { reason: Some(reason) } => write!(f, "stopped: {}", text::plain(reason))?,
            _ => f.write_str("busy")?,
        }
        if status.pending > 0 {
            write!(f, ", {} to go", text::number(status.pending))?;
        }
        if status.conflicts > 0 {
            write!(f, ", {} open", text::count(status.conflicts, "conflict"))?;
        }
        let refused = status.kept_back + status.refused_here;
        if refused > 0 {
            write!(f, ", {} refused", text::number(refused))?;
        }
        match clock::apart("the hub", status.clock_skew_millis) {
            Some(warning) => write!(f, "; {warning}"),
            None => Ok(()),
        }
    }
}
