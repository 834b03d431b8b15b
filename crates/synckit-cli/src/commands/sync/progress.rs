//! What is said while a sync is under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::failure::Failure;
use crate::output::Progress;
use crate::text;
use crate::waiting::{self, Often, Patience};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use synckit::{
    BoxStore, Filter, Position, SyncReport,
    plan::notes::{self, PullNote},
    store::StoreExt,
};

/// How far a sync has come, and what it waits for.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    url: String,
    form: Progress,
    bar: ProgressBar,
    /// How far peers were pulled before, by the key of the note that says so.
    pulled_to: Arc<BTreeMap<String, Position>>,
    filter: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Now,
    patience: Patience,
    often: Often,
}

/// How far a sync has come.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Now {
    pulled: usize,
    pushed: usize,
    /// How many events the peer has that were not pulled yet when the sync began, at most.
    to_pull: Option<Position>,
}

impl Watching {
    pub(super) async fn new(
        store: &BoxStore,
        url: &str,
        filter: &Filter,
        form: Progress,
    ) -> Result<Self, Failure> {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        let mut pulled_to = BTreeMap::new();
        for note in store.notes_under("pull/").await? {
            let position = note.parse::<PullNote>()?.cursor.position();
            pulled_to.insert(note.key, position);
        }
        let state = State { now: Now::default(), patience: Patience::new(), often: Often::default() };
        Ok(Watching {
            url: url.to_owned(),
            form,
            bar,
            pulled_to: Arc::new(pulled_to),
            filter: filter.fingerprint(),
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// Takes in how far the sync has come.
    pub(super) fn moved(&self, report: &SyncReport) {
        let start = report
            .peer_store
            .map(|peer| self.pulled_to.get(&notes::pull(peer, &self.filter)).copied().unwrap_or_default());
        let to_pull = start.map(|start| report.peer_head.saturating_sub(start));
        let now = Now { pulled: report.pulled, pushed: report.pushed, to_pull };
        let mut state = self.state();
        (state.now, state.patience) = (now, Patience::new());
        if state.often.is_due() {
            self.form.tell(&now);
        }
        self.bar.set_message(now.to_string());
        self.bar.tick();
    }

    /// Runs a sync, and says what is waited for when nothing moves.
    pub(super) async fn until_done<T>(&self, sync: impl Future<Output = T>) -> T {
        tokio::pin!(sync);
        let done = loop {
            let mut patience = self.state().patience;
            tokio::select! {
                biased;
                done = &mut sync => break done,
                waited = patience.lost() => self.waited(patience, waited),
            }
        };
        self.bar.finish_and_clear();
        done
    }

    /// Says what is waited for, unless something has moved meanwhile.
    fn waited(&self, patience: Patience, waited: Duration) {
        let mut state = self.state();
        if !state.patience.is_of(&patience) {
            return;
        }
        state.patience = patience;
        let (url, now) = (text::plain(&self.url), state.now);
        self.bar.suspend(|| match now.to_pull {
            None => waiting::say(format_args!("{url} to answer"), waited),
            Some(_) => waiting::say(format_args!("{url}: {now}"), waited),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (pulled, pushed) = (text::number(self.pulled), text::number(self.pushed));
        match self.to_pull {
            Some(most) if most > 0 => {
                write!(f, "{pulled} of at most {} pulled, {pushed} pushed", text::number(most))
            }
            _ => write!(f, "{pulled} pulled, {pushed} pushed"),
        }
    }
}
