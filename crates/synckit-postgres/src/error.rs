//! What the server's errors mean to a caller.

use std::error::Error as _;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use synckit_core::{Error, ErrorKind};

/// The one place where errors of the driver become errors of synckit.
pub(crate) fn engine(error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => coded(database.code().as_deref().unwrap_or_default()),
        sqlx::Error::Configuration(_) => (ErrorKind::Invalid, "the URL or a file it names cannot be used"),
        sqlx::Error::Tls(_) => (
            ErrorKind::Unavailable,
            "the connection cannot be encrypted; check sslmode and sslrootcert, and the certificate of the server",
        ),
        sqlx::Error::Io(_) => (
            ErrorKind::Unavailable,
            "the server cannot be reached, or the connection broke; check host and port, and that PostgreSQL runs",
        ),
        sqlx::Error::Protocol(_) => (ErrorKind::Unavailable, "the server does not answer as PostgreSQL does"),
        sqlx::Error::PoolTimedOut => (ErrorKind::Unavailable, "the server cannot be reached in time"),
        sqlx::Error::PoolClosed => (ErrorKind::Closed, "the database is closed"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a stored value cannot be read")
        }
        _ => (ErrorKind::Internal, "the driver failed"),
    };
    Error::new(kind, message).with_source(error)
}

/// What did not answer in time.
pub(crate) fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the server does not answer in time")
}

/// The log is not there any more.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "the log is not in the database any more")
}

/// Whether the connection is lost, and with it what the server would have said.
pub(crate) fn is_lost(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<sqlx::Error>());
    match source {
        Some(sqlx::Error::Database(database)) => {
            let severity = database.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
            matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
        }
        Some(_) => matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal),
        None => error.kind() == ErrorKind::Timeout,
    }
}

/// Whether the server reported an error with this code.
pub(crate) fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code().is_some_and(|code| codes.contains(&code.as_ref())))
}

/// What a SQLSTATE means, https://www.postgresql.org/docs/current/errcodes-appendix.html.
fn coded(code: &str) -> (ErrorKind, &'static str) {
    match code {
        "28P01" | "28000" => (
            ErrorKind::Denied,
            "the server refuses this user or password; check both in the URL, and pg_hba.conf of the server",
        ),
        "3D000" => (ErrorKind::NotFound, "there is no database of this name; create it with createdb"),
        "42501" => (
            ErrorKind::Denied,
            "the user lacks a right; grant CREATE on the database once, or all rights on the schema synckit and its tables",
        ),
        "25006" => (
            ErrorKind::Denied,
            "the database can only be read: it is a standby, or set to read-only; connect to the primary",
        ),
        "3F000" | "42P01" | "42703" => (
            ErrorKind::Corrupt,
            "the tables of synckit are not there or not as they should be; restore a backup",
        ),
        "23505" => {
            (ErrorKind::Corrupt, "an event is in the log already, or a dot names another event already")
        }
        "22P02" | "22021" => (ErrorKind::Corrupt, "a stored value cannot be read"),
        "53100" => (ErrorKind::Unavailable, "the disk of the server is full; free some space"),
        "53200" => (ErrorKind::Busy, "the server has no memory left; try again"),
        "53300" => (
            ErrorKind::Busy,
            "the server has no connection left; raise max_connections there or lower it in the settings here",
        ),
        "55P03" => (ErrorKind::Busy, "another process writes this log for too long; try again"),
        "40001" | "40P01" => (ErrorKind::Busy, "the server broke the commit off for another one; try again"),
        "57014" => (ErrorKind::Timeout, "the statement took too long and was broken off"),
        "57P01" | "57P02" | "57P03" => {
            (ErrorKind::Unavailable, "the server is shutting down or starting; try again")
        }
        "54000" => (ErrorKind::TooLarge, "a value exceeds the limits of PostgreSQL"),
        _ if code.starts_with("08") => (ErrorKind::Unavailable, "the connection to the server broke"),
        _ if code.starts_with("28") => (ErrorKind::Denied, "the server refuses this user"),
        _ if code.starts_with("XX") || code.starts_with("58") => {
            (ErrorKind::Internal, "the server has found damage or a fault of its own; see its log")
        }
        _ => (ErrorKind::Internal, "PostgreSQL failed"),
    }
}
