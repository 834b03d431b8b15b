//! What of an error is told to the other side, and what of it comes back.

use std::borrow::Cow;

use synckit_core::{Error, ErrorKind};

/// The message for the other side. The context goes along where the caller is at fault; the source, and the context
/// of everything else, are this side's own: paths, addresses, statements.
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

/// The error as it was on the other side. A kind that is not known here keeps at least whether the call may be
/// repeated.
pub(crate) fn heard(kind: Option<ErrorKind>, message: impl Into<String>, retryable: bool) -> Error {
    let unknown = if retryable { ErrorKind::Unavailable } else { ErrorKind::Internal };
    Error::new(kind.unwrap_or(unknown), message)
}
