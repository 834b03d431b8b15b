//! The paths, and what is there.

use http::{HeaderMap, Method as Verb, StatusCode};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;
use synckit_remote::Method;
use synckit_wire::Format;

use crate::body::check_announced;
use crate::compression::coding_of;
use crate::format::{media_type, of_body};
use crate::problem::Problem;

/// The prefix of synckit's paths.
pub(crate) const PREFIX: &str = "/v1/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Call(Method),
    Health,
}

impl Route {
    pub(crate) fn at(path: &str) -> Result<Route> {
        let name = path.strip_prefix(PREFIX).unwrap_or_default();
        match Method::named(name) {
            Some(method) => Ok(Route::Call(method)),
            None if name == "health" => Ok(Route::Health),
            None => Err(Error::new(
                ErrorKind::NotFound,
                "there is nothing at this path; a synckit server answers at /v1/hello, pull, push, missing, \
                 subscribe and health",
            )),
        }
    }

    pub(crate) fn check(self, verb: &Verb) -> Result<(), Problem> {
        match self {
            Route::Health if verb == Verb::HEAD => Ok(()),
            Route::Health => check_verb(verb, &Verb::GET, "GET, HEAD"),
            Route::Call(_) => check_verb(verb, &Verb::POST, "POST"),
        }
    }
}

/// Refuses a request with another verb than its path answers; `allow` is the value of the header `Allow`.
///
/// # Errors
/// A problem of the status 405.
pub fn check_verb(verb: &Verb, wanted: &Verb, allow: &'static str) -> Result<(), Problem> {
    if verb == wanted {
        return Ok(());
    }
    let message = format!("this path answers {allow} only");
    let problem = Problem::unsupported(StatusCode::METHOD_NOT_ALLOWED, message);
    Err(Problem { allow: Some(allow), ..problem })
}

/// Checks what the headers say about the body before any of it is read: how it is packed, and its form.
pub(crate) fn check_headers(headers: &HeaderMap, most: usize) -> Result<(Coding, Format), Problem> {
    let media = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let Some(format) = of_body(headers, media_type) else {
        let message = "the body must be application/json or application/protobuf; with curl, use --json";
        return Err(Problem::unsupported(media, message));
    };
    let coding = coding_of(headers).map_err(|error| match error.kind() {
        ErrorKind::Unsupported => Problem { status: media, error, allow: None },
        _ => Problem::from(error),
    })?;
    check_announced(headers, most)?;
    Ok((coding, format))
}
