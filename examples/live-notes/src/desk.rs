//! The program: waits for commands, for notes of others and for the network, whichever comes first.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use synckit::stay::{Live, LiveState, LiveStatus};
use synckit::{EventStore, NodeId, SyncManager};
use synckit_http::HttpTransport;
use tokio::sync::{mpsc, watch};

use crate::Result;
use crate::command::{Command, HELP};
use crate::notes::Notes;
use crate::screen::{self, Screen};

/// How long the last edits may take to the hub when the program ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// A copy of the program.
pub(crate) struct Desk {
    notes: Notes,
    /// Keeps the notes together with the hub; `None` without one.
    live: Option<Live>,
    screen: Screen,
}

impl Desk {
    /// Opens the file, and begins to stay with the hub. That needs no network now.
    pub(crate) async fn open(db: PathBuf, name: NodeId, hub: Option<&str>, screen: Screen) -> Result<Desk> {
        // A mistake in the URL is found before a file is made.
        let hub = hub.map(HttpTransport::new).transpose()?;
        let notes = Notes::open(db, name).await?;
        let live = hub.map(|hub| SyncManager::new(notes.replica().clone(), hub).live()).transpose()?;
        Ok(Desk { notes, live, screen })
    }

    /// Runs until somebody quits or the input ends.
    pub(crate) async fn run(mut self, mut typed: mpsc::Receiver<String>) -> Result {
        self.screen.say(&screen::list(&self.notes))?;
        self.screen.say("type `help` to see what you can do")?;
        let mut status = self.live.as_ref().map(Live::watch);
        loop {
            tokio::select! {
                line = typed.recv() => {
                    let Some(line) = line else { break };
                    match line.parse() {
                        Ok(Command::Quit) => break,
                        Ok(command) => self.obey(command).await?,
                        Err(mistake) => self.screen.say(&mistake)?,
                    }
                }
                moved = self.notes.moved() => {
                    moved?;
                    self.show_changes().await?;
                }
                now = next(&mut status) => match now {
                    Some(now) => self.screen.tell(&now)?,
                    // It has stopped, and has said so.
                    None => status = None,
                },
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    break;
                }
            }
        }
        self.leave().await
    }

    /// Does what a person wants. What fails is said, and the program goes on.
    async fn obey(&mut self, command: Command) -> Result {
        // A person decides about what they have seen, so nothing is read before a change.
        let changed = match &command {
            Command::Add(text) => Some(self.notes.add(text.clone()).await),
            Command::Edit(number, text) => Some(self.notes.edit(*number, text.clone()).await),
            Command::Keep(number, which) => Some(self.notes.keep(*number, which).await),
            _ => None,
        };
        self.show_changes().await?;
        let text = match changed {
            Some(Ok(id)) => match self.notes.number(&id) {
                Some(number) => screen::note(number, self.notes.note(number)?),
                None => String::new(),
            },
            Some(Err(error)) => error.to_string(),
            None => self.look(&command),
        };
        Ok(self.screen.say(&text)?)
    }

    /// Does what changes no note, and returns what to show.
    fn look(&self, command: &Command) -> String {
        match (command, &self.live) {
            (Command::List, _) => screen::list(&self.notes),
            (Command::Conflicts, _) => screen::conflicts(&self.notes),
            (Command::Help, _) => HELP.to_owned(),
            (Command::Status | Command::Pause | Command::Resume, None) => {
                "there is no hub; start the program with `--hub URL` to have one".to_owned()
            }
            (Command::Status, Some(live)) => {
                let open = self.notes.all().filter(|(_, note)| note.in_conflict()).count();
                format!("{}\nnotes in conflict: {open}", screen::status(&live.status()))
            }
            (Command::Pause, Some(live)) => {
                live.pause();
                String::new()
            }
            (Command::Resume, Some(live)) => {
                live.resume();
                // If the network was gone, it is tried now.
                live.nudge();
                String::new()
            }
            _ => String::new(),
        }
    }

    /// Reads what has arrived, and shows what others have changed.
    async fn show_changes(&mut self) -> Result {
        for (number, change) in self.notes.refresh().await? {
            let text = screen::changed(number, self.notes.note(number)?, change);
            self.screen.say(&text)?;
        }
        Ok(())
    }

    /// Ends: sends the last edits if there is a network, and closes the file.
    async fn leave(mut self) -> Result {
        if let Some(live) = self.live.take() {
            let mut status = live.watch();
            let is_offline = |status: &LiveStatus| {
                let LiveStatus { state, .. } = status;
                matches!(state, LiveState::Waiting { .. } | LiveState::Paused | LiveState::Stopped { .. })
            };
            let sent = tokio::select! {
                synced = live.synced_within(PATIENCE) => synced.is_ok(),
                _ = status.wait_for(is_offline) => false,
            };
            let status = live.status();
            // What was written a moment ago may not have been counted yet.
            let head = self.notes.replica().store().head().await?.position;
            if !sent && (status.pending > 0 || status.counted_to < head) {
                self.screen.say("what the hub does not have yet goes there the next time")?;
            }
            live.stop().await;
        }
        Ok(self.notes.replica().store().close().await?)
    }
}

/// Waits for another status; `None` when there will be no other. Without a hub, it waits forever.
async fn next(status: &mut Option<watch::Receiver<LiveStatus>>) -> Option<LiveStatus> {
    match status {
        Some(status) => status.changed().await.ok().map(|()| status.borrow_and_update().clone()),
        None => pending().await,
    }
}
