//! The one error type of synckit: what kind it is, what was being done, where, and why.
//!
//! Every layer returns [`Error`]. A caller decides by [`Error::kind`]; a person reads the display
//! form, which names the component, the operation, the context and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of every fallible synckit call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, as far as a caller can act on it.
///
/// Each kind says whether the state of a store may have changed when it is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input breaks a rule of the format. Nothing has changed; the same input fails again.
    Invalid,
    /// The input exceeds a limit. Nothing has changed; smaller input may pass.
    TooLarge,
    /// What was asked for does not exist. Nothing has changed.
    NotFound,
    /// Something else is there already: another node id, another content under the same event id.
    /// Nothing has changed.
    Conflict,
    /// The cursor names an event that is not in this log: it was wiped or restored from an older
    /// copy. Nothing has changed; start again without a cursor.
    CursorUnknown,
    /// The caller may not do this. Nothing has changed.
    Denied,
    /// The other side speaks another version or lacks a capability. Nothing has changed.
    Unsupported,
    /// The other side could not be reached or broke off. The state there may have changed;
    /// every synckit call can be repeated safely.
    Unavailable,
    /// The answer did not come in time. The state may have changed; the call can be repeated.
    Timeout,
    /// The other side is there but has no room now. Nothing has changed; try again later.
    Busy,
    /// Stored data or an answer cannot be read. Nothing has changed.
    Corrupt,
    /// The store or transport is closed. Nothing has changed.
    Closed,
    /// A fault of the storage engine or of synckit itself. A write is either whole or absent.
    Internal,
}

impl ErrorKind {
    /// All kinds, for tables and tests.
    pub const ALL: [ErrorKind; 13] = [
        ErrorKind::Invalid,
        ErrorKind::TooLarge,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::CursorUnknown,
        ErrorKind::Denied,
        ErrorKind::Unsupported,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Busy,
        ErrorKind::Corrupt,
        ErrorKind::Closed,
        ErrorKind::Internal,
    ];

    /// The stable name of the kind, used as the error code on every wire.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::CursorUnknown => "cursor_unknown",
            ErrorKind::Denied => "denied",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Busy => "busy",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Closed => "closed",
            ErrorKind::Internal => "internal",
        }
    }

    /// The kind with this code, if there is one.
    pub fn from_code(code: &str) -> Option<ErrorKind> {
        ErrorKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub fn is_retryable(self) -> bool {
        matches!(self, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An error of synckit: kind, message, component, operation, context and source.
///
/// One pointer wide, so that results stay small. The source can be downcast.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    component: &'static str,
    operation: &'static str,
    context: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind with a message that says what is wrong and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            component: "",
            operation: "",
            context: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// Shorthand for [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Shorthand for [`ErrorKind::TooLarge`].
    pub fn too_large(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::TooLarge, message)
    }

    /// Shorthand for [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Corrupt, message)
    }

    /// Names the component (`"sqlite"`, `"http"`) and the operation (`"commit"`, `"pull"`), unless
    /// a layer further down has done so already.
    pub fn at(mut self, component: &'static str, operation: &'static str) -> Self {
        if self.0.component.is_empty() {
            self.0.component = component;
            self.0.operation = operation;
        }
        self
    }

    /// Adds a fact a reader needs: a path, an address, an id.
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps the error this one comes from.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says when the other side wants to be asked again.
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without component, context and source.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The component that failed, empty when unknown.
    pub fn component(&self) -> &'static str {
        self.0.component
    }

    /// The operation that failed, empty when unknown.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The facts added on the way up.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// When the other side wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if !inner.component.is_empty() {
            write!(f, "{} {}: ", inner.component, inner.operation)?;
        }
        f.write_str(&inner.message)?;
        if !inner.context.is_empty() {
            let facts: Vec<String> =
                inner.context.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            write!(f, " ({})", facts.join(", "))?;
        }
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            // An error of synckit shows its own causes.
            source = if cause.is::<Error>() { None } else { cause.source() };
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("component", &self.0.component)
            .field("operation", &self.0.operation)
            .field("context", &self.0.context)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_code() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(ErrorKind::from_code("nothing"), None);
    }

    #[test]
    fn display_says_where_what_and_why() {
        let error = Error::new(ErrorKind::Unavailable, "cannot connect; is the hub running?")
            .with("url", "http://127.0.0.1:1")
            .with_source(std::io::Error::other("refused"))
            .at("http", "pull")
            .at("engine", "sync");
        assert_eq!(
            error.to_string(),
            "http pull: cannot connect; is the hub running? (url: http://127.0.0.1:1): refused"
        );
        assert!(error.is_retryable());
        assert!(
            StdError::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>()).is_some()
        );
    }
}
