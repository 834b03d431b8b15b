//! The single error type of synckit: the kind, the operation, the component and the cause.
//!
//! Every layer returns [`Error`]. Code branches on [`Error::kind`]. The display form is for people: it names the
//! component, the operation, the context and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of every fallible synckit call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Defines the kinds, each with its code.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal,)*) => {
        /// What went wrong, as far as a caller can act on it.
        ///
        /// Each kind says whether the state of a store may have changed when it is returned.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// All kinds, for tables and tests.
            pub const ALL: [ErrorKind; [$($code),*].len()] = [$(ErrorKind::$kind),*];

            /// Returns the stable name of the kind, used as the error code in every wire format.
            pub fn code(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $code,)*
                }
            }
        }
    };
}

kinds! {
    /// The input breaks a rule of the format. Nothing has changed; the same input fails again.
    Invalid = "invalid",
    /// The input exceeds a limit. Nothing has changed; smaller input may pass.
    TooLarge = "too_large",
    /// What was asked for does not exist. Nothing has changed.
    NotFound = "not_found",
    /// Something else is already there: another node id, or other content under the same event id. Nothing has changed.
    Conflict = "conflict",
    /// The cursor names an event that is not in this log, which was wiped or restored from a backup. Nothing has
    /// changed; start again without a cursor.
    CursorUnknown = "cursor_unknown",
    /// The caller may not do this. Nothing has changed.
    Denied = "denied",
    /// The other side speaks another version or lacks a capability. Nothing has changed.
    Unsupported = "unsupported",
    /// The other side could not be reached, or the connection broke. The state there may have changed; every synckit
    /// call can be repeated safely.
    Unavailable = "unavailable",
    /// The response did not arrive in time. The state may have changed; the call can be repeated.
    Timeout = "timeout",
    /// The other side is reachable but has no capacity at the moment. Nothing has changed; try again later.
    Busy = "busy",
    /// Stored data or a response cannot be read. Nothing has changed.
    Corrupt = "corrupt",
    /// The store or transport is closed. Nothing has changed.
    Closed = "closed",
    /// A fault of the storage engine or of synckit itself. A write is either whole or absent.
    Internal = "internal",
}

impl ErrorKind {
    /// Returns the kind with this code, or `None` if the code is unknown.
    pub fn from_code(code: &str) -> Option<ErrorKind> {
        ErrorKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Returns whether the same call may succeed later without any change by the caller.
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
///
/// ```
/// use synckit_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Busy, "the file is locked; try again").with("path", "till.db");
/// assert!(error.is_retryable());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    component: &'static str,
    operation: &'static str,
    context: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    in_transit: bool,
    source: Option<Source>,
}

impl Error {
    /// Creates an error with a message that says what is wrong and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            component: "",
            operation: "",
            context: Vec::new(),
            retry_after: None,
            in_transit: false,
            source: None,
        }))
    }

    /// Creates an [`ErrorKind::Invalid`] error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Creates an [`ErrorKind::TooLarge`] error.
    pub fn too_large(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::TooLarge, message)
    }

    /// Creates an [`ErrorKind::Corrupt`] error.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Corrupt, message)
    }

    /// Sets the component (`"sqlite"`, `"http"`) and the operation (`"commit"`, `"pull"`), unless a lower layer has
    /// already set them.
    pub fn at(mut self, component: &'static str, operation: &'static str) -> Self {
        if self.0.component.is_empty() {
            self.0.component = component;
            self.0.operation = operation;
        }
        self
    }

    /// Adds a fact the reader needs, such as a path, an address or an id.
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Sets the error that caused this one.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets how long the other side asks the caller to wait before retrying.
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Marks the error as a fault between the two sides: something other than the peer responded, or a message was
    /// damaged. It says nothing about what was sent.
    pub fn in_transit(mut self) -> Self {
        self.0.in_transit = true;
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message alone, without component, context and source.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the component that failed; empty when unknown.
    pub fn component(&self) -> &'static str {
        self.0.component
    }

    /// Returns the operation that failed; empty when unknown.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Returns the facts that the layers added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Returns how long the other side asks the caller to wait before retrying, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whether this is a fault between the two sides, and so no judgement of the peer on what was sent.
    pub fn is_in_transit(&self) -> bool {
        self.0.in_transit
    }

    /// Returns whether the same call may succeed later without any change by the caller.
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
            let facts: Vec<_> = inner.context.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            write!(f, " ({})", facts.join(", "))?;
        }
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            // A synckit error prints its own causes.
            source = if cause.is::<Error>() { None } else { cause.source() };
        }
        Ok(())
    }
}

/// The display form and the kind, since a `main` that returns an error prints it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [{}]", self.0.kind)
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
        assert_eq!(format!("{error:?}"), format!("{error} [unavailable]"));
        assert!(error.is_retryable());
        assert!(
            StdError::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>()).is_some()
        );
    }
}
