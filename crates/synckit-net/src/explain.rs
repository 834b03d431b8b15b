//! The meaning of a connection's error, found among its causes: libraries wrap it several times.

use std::error::Error as StdError;
use std::io;

use synckit_core::{Error, ErrorKind};

use crate::tls::{self, Protocol};

/// An error of some library.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Returns the error that this one or one of its causes stands for: one of synckit's own, which a connector made, or
/// one of TLS. It has no source. Returns `None` if there is neither.
pub fn explain(error: &(dyn StdError + 'static), protocol: Protocol) -> Option<Error> {
    causes(error).find_map(|cause| match cause.downcast_ref::<Error>() {
        Some(own) => Some(Error::new(own.kind(), own.message().to_owned())),
        None => tls::explain(cause, protocol),
    })
}

/// Returns the error for a connection that could not be opened: `Timeout` if it took too long, otherwise `Unavailable`.
pub fn cannot_connect(error: impl StdError + Send + Sync + 'static) -> Error {
    let timed_out = causes(&error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::TimedOut);
    let kind = if timed_out { ErrorKind::Timeout } else { ErrorKind::Unavailable };
    Error::new(kind, "cannot connect; is the server running, and is this its address?").with_source(error)
}

/// Returns the error and all errors below it.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&this| {
        // The error that an I/O error wraps is not its source but the error itself.
        match this.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => this.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: Protocol = Protocol { alpn: "quiet/1", plain: "quiet://", secure: "quiets://" };

    #[test]
    fn an_own_error_is_found_below_those_of_libraries() {
        let own = Error::new(ErrorKind::Denied, "not you");
        let wrapped = io::Error::other(io::Error::other(own));
        let found = explain(&wrapped, PROTOCOL).expect("an error of synckit's");
        assert_eq!((found.kind(), found.message()), (ErrorKind::Denied, "not you"));
        assert!(explain(&io::Error::other("something"), PROTOCOL).is_none());
    }

    #[test]
    fn a_connection_that_took_too_long_is_told_from_one_that_failed() {
        let late = io::Error::other(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(cannot_connect(late).kind(), ErrorKind::Timeout);
        let failed = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(cannot_connect(failed).kind(), ErrorKind::Unavailable);
    }
}
