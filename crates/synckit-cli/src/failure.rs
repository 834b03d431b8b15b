//! How a command ends if it does not succeed, and the exit codes.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};
use synckit::{Error, ErrorKind, SyncReport};

use crate::output::{self, Output};
use crate::text;

/// The meaning of the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Later = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong.
    Failed(Box<Failed>),
    /// The reader of the output has gone: `synckit log | head`.
    OutputClosed,
}

/// What went wrong, what may help, and how far a sync had come.
#[derive(Debug)]
pub(crate) struct Failed {
    error: Error,
    hint: Option<String>,
    report: Option<SyncReport>,
    /// Whether the command line asks for what cannot be.
    usage: bool,
}

impl Failure {
    /// Returns a mistake on the command line, and what to write instead.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (error, hint) = (Error::invalid(message), Some(hint.into()));
        Failure::Failed(Box::new(Failed { error, hint, report: None, usage: true }))
    }

    /// Adds what may help, unless there is a more precise hint already.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Failure::Failed(failed) = &mut self {
            failed.hint.get_or_insert_with(|| hint.into());
        }
        self
    }

    /// Returns the kind of what went wrong.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        match self {
            Failure::Failed(failed) => Some(failed.error.kind()),
            Failure::OutputClosed => None,
        }
    }

    /// Describes it in a line.
    pub(crate) fn text(&self) -> String {
        match self {
            Failure::Failed(failed) => describe(&failed.error),
            Failure::OutputClosed => "nobody reads the output".to_owned(),
        }
    }

    /// Adds how far a sync had come.
    pub(crate) fn after(mut self, report: SyncReport) -> Self {
        if let Failure::Failed(failed) = &mut self {
            failed.report = Some(report);
        }
        self
    }

    /// Reports what went wrong, and returns how the process ends.
    pub(crate) fn report(self, output: &mut Output) -> Exit {
        let Failure::Failed(failed) = self else { return Exit::Done };
        // What was printed before the failure comes first.
        let _ = output.flush();
        if output.is_json() {
            let _ = output.object(&failed.object()).and_then(|()| output.flush());
        }
        output::message(format_args!("error: {}", describe(&failed.error)));
        if let Some(report) = failed.report.as_ref().filter(|report| report.pushed + report.pulled > 0) {
            let (pushed, pulled) = (text::number(report.pushed), text::number(report.pulled));
            output::message(format_args!("before that: {pushed} pushed, {pulled} pulled; both are kept"));
        }
        if let Some(hint) = &failed.hint {
            output::message(format_args!("hint: {hint}"));
        }
        match () {
            () if failed.usage => Exit::Usage,
            () if failed.error.is_retryable() || failed.error.is_in_transit() => Exit::Later,
            () => Exit::Failed,
        }
    }
}

impl Failed {
    fn object(&self) -> Value {
        let error = &self.error;
        let context: serde_json::Map<String, Value> =
            error.context().iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let mut object = json!({"error": {
            "code": if self.usage { "usage" } else { error.kind().code() },
            "message": error.message(),
            "retryable": error.is_retryable(),
            "component": error.component(),
            "operation": error.operation(),
            "context": context,
            "source": causes(error),
            "hint": self.hint,
        }});
        if let Some(report) = &self.report {
            object["report"] = json!(report);
        }
        object
    }
}

/// The fact by which an error that a peer has sent is told from one of this side.
const OF_PEER: &str = "said by";

/// Returns whether a peer has sent this error.
pub(crate) fn is_of_peer(error: &Error) -> bool {
    error.context().iter().any(|(key, _)| *key == OF_PEER)
}

/// Describes an error: whose it is if it is a peer's, what is wrong, then where, then the causes.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = text::plain(error.message()).into_owned();
    if is_of_peer(error) {
        text.insert_str(0, "the peer says: ");
    }
    let facts = error.context().iter().filter(|(key, _)| *key != OF_PEER);
    let mut facts: Vec<String> = facts.map(|(key, value)| format!("{key}: {}", text::plain(value))).collect();
    if !error.component().is_empty() {
        facts.insert(0, format!("{} {}", error.component(), error.operation()));
    }
    if !facts.is_empty() {
        let _ = write!(text, " ({})", facts.join(", "));
    }
    if let Some(causes) = causes(error) {
        let _ = write!(text, ": {}", text::plain(&causes));
    }
    text
}

/// Returns the causes of an error, down to the first. Some causes repeat those below them.
fn causes(error: &Error) -> Option<String> {
    let mut next = error.source();
    let mut causes: Vec<String> = Vec::new();
    while let Some(cause) = next {
        next = cause.source();
        let cause = cause.to_string();
        if causes.last().is_none_or(|above| !above.contains(&cause)) {
            causes.push(cause);
        }
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

/// Returns a failure of the operating system.
pub(crate) fn system(message: impl Into<String>, source: io::Error) -> Failure {
    let kind = match source.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, message).with_source(source).into()
}

/// Returns what helps if the error is about what is stored here.
fn hint(error: &Error) -> Option<String> {
    let stored = matches!(error.component(), "sqlite" | "redb") && error.operation() != "open";
    let damaged = stored && error.kind() == ErrorKind::Corrupt;
    damaged.then(|| {
        "`synckit doctor` says what is damaged, and `synckit doctor --salvage NEW` saves what can be read"
            .to_owned()
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = hint(&error);
        Failure::Failed(Box::new(Failed { error, hint, report: None, usage: false }))
    }
}

/// Errors of standard output; [`system`] names all others where they occur.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => system("the output cannot be written", error),
        }
    }
}
