//! The name of the log in a URL, and the URL without secrets.

use std::fmt;

use percent_encoding::percent_decode_str;
use synckit_core::{Error, Result};

/// The name of the log where the URL says none.
const DEFAULT: &str = "default";
const BAD_NAME: &str = "the name of the log is not percent-encoded UTF-8";
/// The most bytes of a name.
const LONGEST: usize = 255;

/// The parameters that the driver knows.
const KNOWN: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
];

/// What a URL names. It is shown without the password.
#[derive(Clone)]
pub(crate) struct Place {
    /// The URL as the driver takes it, with the password.
    pub(crate) url: String,
    pub(crate) log: String,
    shown: String,
}

impl Place {
    pub(crate) fn of(url: &str) -> Result<Self> {
        let wrong = |message: &str| {
            let form = "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?log=NAME";
            Error::invalid(format!("{message}; {form}"))
        };
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let scheme = base.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme));
        let (_, rest) = scheme.ok_or_else(|| wrong("this is not the URL of a PostgreSQL database"))?;
        let (mut log, mut kept) = (None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_known = KNOWN.contains(&key) || key == "password" || key.starts_with("options");
            match key {
                "log" => log = Some(decoded(value).ok_or_else(|| wrong(BAD_NAME))?),
                _ if is_known => kept.push(pair),
                _ => return Err(wrong("the URL has an unknown parameter").with("parameter", key)),
            }
        }
        let log = log.unwrap_or_else(|| DEFAULT.to_owned());
        check_name(&log)?;
        let url = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        let (user, at) = match rest.rsplit_once('@') {
            Some((user, at)) => (user.split_once(':').map_or(user, |(user, _)| user), at),
            None => ("", rest),
        };
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        Ok(Place { url, log, shown: format!("postgres://{user}{at}") })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Checks the name of a log.
pub(crate) fn check_name(log: &str) -> Result<()> {
    match log.len() {
        1..=LONGEST => Ok(()),
        0 => Err(Error::invalid("the name of a log cannot be empty")),
        length => Err(Error::too_large("the name of a log is too long")
            .with("bytes", length)
            .with("at most", LONGEST)),
    }
}

/// Decodes `%` and two digits as a byte. `None` for a `%` without them, and for what is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let is_hex = |part: &str| {
        part.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    if !text.split('%').skip(1).all(is_hex) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_named_and_the_rest_goes_to_the_driver() {
        let place = Place::of("postgres://u:p%40@h:1/d?sslmode=disable&log=a%2Fb%20c").expect("valid");
        assert_eq!(
            (place.url.as_str(), place.log.as_str()),
            ("postgres://u:p%40@h:1/d?sslmode=disable", "a/b c")
        );
        let place = Place::of("postgresql://h/d?log=x").expect("valid");
        assert_eq!((place.url.as_str(), place.log.as_str()), ("postgresql://h/d", "x"));
        assert_eq!(Place::of("postgres:///d").expect("valid").log, "default");
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["postgres://u:secret@h:1/d?log=x", "postgres://u:se@cret@h:1/d?password=secret"] {
            let shown = Place::of(url).expect("valid").to_string();
            assert_eq!(shown, "postgres://u@h:1/d");
        }
        let error = Place::of("postgres://u:secret@h/d?logs=x").map(|_| ()).expect_err("unknown");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }

    #[test]
    fn what_is_no_url_of_a_log_is_refused() {
        for url in ["", "acme", "mysql://h/d", "postgres:/h", "postgres://h/d?log=", "postgres://h/d?log=%zz"]
        {
            assert!(Place::of(url).is_err(), "{url}");
        }
        let long = format!("postgres://h/d?log={}", "x".repeat(256));
        assert!(Place::of(&long).is_err());
    }
}
