//! What people see.

use std::io;

use synckit::stay::{LiveState, LiveStatus};

use crate::notes::{Change, Note, Notes};

type Show = dyn FnMut(&str) -> io::Result<()> + Send;

/// Where lines are shown.
pub(crate) struct Screen {
    show: Box<Show>,
    /// The last status that was shown.
    status: String,
}

impl Screen {
    pub(crate) fn new(show: impl FnMut(&str) -> io::Result<()> + Send + 'static) -> Screen {
        Screen { show: Box::new(show), status: String::new() }
    }

    /// Shows a text, line by line.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| (self.show)(line))
    }

    /// Shows the status if it says something else than before.
    pub(crate) fn tell(&mut self, now: &LiveStatus) -> io::Result<()> {
        let line = format!("-- {}", status(now));
        if line == self.status {
            return Ok(());
        }
        self.say(&line)?;
        self.status = line;
        Ok(())
    }
}

/// Says how this copy stands with the hub.
pub(crate) fn status(status: &LiveStatus) -> String {
    let (mut line, reason) = match &status.state {
        // What is to go is not counted again yet.
        LiveState::Connecting => return "connecting".to_owned(),
        LiveState::CatchingUp { done, total } => (format!("catching up: {done} of {total}"), None),
        LiveState::Live | LiveState::Polling if status.is_up_to_date() => ("up to date".to_owned(), None),
        LiveState::Live | LiveState::Polling => ("online".to_owned(), None),
        LiveState::Waiting { passes: true, reason, .. } => ("no network".to_owned(), Some(reason)),
        LiveState::Waiting { reason, .. } => ("no exchange".to_owned(), Some(reason)),
        LiveState::Paused => ("paused".to_owned(), None),
        LiveState::Stopped { reason } => ("stopped; start the program again".to_owned(), reason.as_ref()),
        _ => ("busy".to_owned(), None),
    };
    if status.pending > 0 {
        line += &format!(", {} to go", status.pending);
    }
    let refused = status.kept_back + status.refused_here;
    if refused > 0 {
        line += &format!(", {refused} refused");
    }
    if let Some(reason) = reason {
        line += &format!(": {}", plain(reason));
    }
    line
}

/// Shows all notes, or says that there are none.
pub(crate) fn list(notes: &Notes) -> String {
    let lines: Vec<String> = notes.all().map(|(number, shown)| note(number, shown)).collect();
    if lines.is_empty() { "no notes; type `add TEXT` to write one".to_owned() } else { lines.join("\n") }
}

/// Shows the notes in conflict, or says that there are none.
pub(crate) fn conflicts(notes: &Notes) -> String {
    let open = notes.all().filter(|(_, note)| note.in_conflict());
    let lines: Vec<String> = open.map(|(number, open)| note(number, open)).collect();
    if lines.is_empty() { "no conflicts".to_owned() } else { lines.join("\n") }
}

/// Shows a note that others have changed.
pub(crate) fn changed(number: usize, changed: &Note, change: Change) -> String {
    match change {
        Change::Settled => format!("* settled: {}", note(number, changed)),
        Change::Edited => format!("* {}", note(number, changed)),
    }
}

/// Shows a note: a line for its text, or a line for each text in conflict.
pub(crate) fn note(number: usize, note: &Note) -> String {
    let texts = note.lettered().map(|(letter, side)| (letter, plain(&side.text), plain(&side.author)));
    if !note.in_conflict() {
        let texts: Vec<String> = texts.map(|(_, text, author)| format!("{text} ({author})")).collect();
        return format!("{number}. {}", texts.join(" / "));
    }
    let mut lines = format!("{number}. is in conflict:\n");
    texts.for_each(|(letter, text, author)| lines += &format!("   {letter}) {text} ({author})\n"));
    lines + &format!("   type `keep {number} a` to keep a, or `edit {number} TEXT` to replace all")
}

/// Returns foreign text as one line that cannot control the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
