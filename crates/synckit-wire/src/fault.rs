//! Which parts of an error are sent to the other side, and how it is restored there.

use std::borrow::Cow;

use synckit_core::{Error, ErrorKind};

/// Returns the message for the other side. It includes the context if the caller is at fault. The source, and the
/// context of all other errors, stay on this side: paths, addresses, statements.
pub(crate) fn told(error: &Error) -> Cow<'_, str> {
    let told = matches!(
        error.kind(),
        ErrorKind::Invalid
            | ErrorKind::TooLarge
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::CursorUnknown
            | ErrorKind::Denied
            | ErrorKind::Unsupported
    );
    if !told || error.context().is_empty() {
        return Cow::Borrowed(error.message());
    }
    let facts: Vec<String> = error.context().iter().map(|(key, value)| format!("{key}: {value}")).collect();
    Cow::Owned(format!("{} ({})", error.message(), facts.join(", ")))
}

/// Restores the error of the other side, and says whose it is. For an unknown kind it at least preserves whether the call
/// may be repeated.
pub(crate) fn heard(kind: Option<ErrorKind>, message: impl Into<String>, retryable: bool) -> Error {
    let unknown = if retryable { ErrorKind::Unavailable } else { ErrorKind::Internal };
    Error::new(kind.unwrap_or(unknown), message).with("said by", "the peer")
}
