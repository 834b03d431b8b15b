//! The URL of a server.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use synckit_core::{Error, Result};
use synckit_net::{BoxError, ClientTls, Dialer, Protocol};

/// The address of a server, as its URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether it is reached over TLS.
    pub secure: bool,
    /// Its host, and its port if the URL names one.
    pub authority: Authority,
    /// The prefix of every path there: empty, or a path without a slash at its end.
    pub base: String,
}

impl Address {
    /// Reads the URL of a server that speaks this protocol. Empty parts of its path are left out, and so is `v1` at its
    /// end: it is part of the path of each call.
    ///
    /// # Errors
    /// `Invalid` for a URL without a scheme or with another one, without a host, with credentials, or with a query. A
    /// URL that holds credentials is not in the error.
    pub fn parse(url: &str, protocol: Protocol) -> Result<Address> {
        let Protocol { plain, secure, .. } = protocol;
        let shown = if url.contains('@') { "" } else { url };
        let bad = |message: String| match shown {
            "" => Error::invalid(message),
            url => Error::invalid(message).with("url", url),
        };
        let written = format!("write it as {plain}host:port, or {secure}host:port for TLS");
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(bad(format!("the URL has no scheme; {written}")));
        };
        let is =
            |prefix: &str| prefix.strip_suffix("://").is_some_and(|own| own.eq_ignore_ascii_case(scheme));
        let secure = is(secure);
        if !secure && !is(plain) {
            return Err(bad(format!("the URL has another scheme; {written}")));
        }
        if rest.is_empty() || rest.starts_with(['/', ':', '?', '#']) {
            return Err(bad(format!("the URL names no host; {written}")));
        }
        if rest.contains('@') {
            return Err(bad("the URL holds credentials; send them in a header instead".to_owned()));
        }
        // It is parsed as an HTTP URL, whatever the protocol: a library may check schemes.
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|error| bad("this is not a URL".to_owned()).with_source(BoxError::from(error)))?;
        let parts = uri.into_parts();
        let authority = parts.authority.ok_or_else(|| bad(format!("the URL names no host; {written}")))?;
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() || rest.contains('#') {
            return Err(bad("the URL of a server has no query".to_owned()));
        }
        let mut parts: Vec<&str> = path.path().split('/').filter(|part| !part.is_empty()).collect();
        if parts.last() == Some(&"v1") {
            parts.pop();
        }
        let base = parts.into_iter().flat_map(|part| ["/", part]).collect();
        Ok(Address { secure, authority, base })
    }

    /// Returns the URI of a path there, with the scheme of HTTP.
    ///
    /// # Errors
    /// `Invalid` when the path does not make a valid URI.
    pub fn uri(&self, path: &str) -> Result<Uri> {
        Uri::builder()
            .scheme(if self.secure { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base))
            .build()
            .map_err(|error| Error::invalid("this is not a URL").with_source(error))
    }

    /// Returns the dialer that shakes hands with the server; `None` without TLS.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be used, `Unsupported` without the feature `tls`.
    pub(crate) fn dialer(&self, protocol: Protocol, tls: &ClientTls) -> Result<Option<Dialer>> {
        self.secure.then(|| Dialer::new(protocol, tls, self.authority.host())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::ErrorKind;

    use super::*;

    const QUIET: Protocol = Protocol { alpn: "quiet/1", plain: "quiet://", secure: "quiets://" };

    #[test]
    fn what_a_url_says_is_read() {
        for (url, secure, authority, base) in [
            ("quiet://host", false, "host", ""),
            ("QUIETS://host:1/", true, "host:1", ""),
            ("quiet://[::1]:80/base/", false, "[::1]:80", "/base"),
            ("quiets://host/a/b", true, "host", "/a/b"),
            ("quiet://host//a//b//", false, "host", "/a/b"),
            ("quiet://host/v1", false, "host", ""),
            ("quiet://host//base/v1/", false, "host", "/base"),
        ] {
            let address = Address::parse(url, QUIET).expect(url);
            assert_eq!((address.secure, address.authority.as_str()), (secure, authority), "{url}");
            assert_eq!(address.base, base, "{url}");
        }
        let uri = Address::parse("quiets://host/base", QUIET).expect("valid").uri("/v1/hello");
        assert_eq!(uri.expect("valid"), "https://host/base/v1/hello");
    }

    #[test]
    fn urls_that_name_no_server_are_refused_and_credentials_not_shown() {
        for url in [
            "127.0.0.1:8080",
            "localhost",
            "",
            "http://host",
            "quiet://",
            "quiet://:80",
            "quiet://ho st",
            "quiet://host/?a=b",
            "quiet://host#a",
            "quiet://me:secret@host",
            "loud://me:secret@host",
        ] {
            let error = Address::parse(url, QUIET).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
