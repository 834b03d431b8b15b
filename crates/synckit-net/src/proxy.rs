//! A proxy through which connections are made, with `CONNECT`.

use std::fmt;

use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use synckit_core::{Error, Result};

/// A proxy that opens connections to a server. `Debug` shows its address, not the credentials for it.
#[derive(Clone)]
pub struct Proxy(Intercept);

impl Proxy {
    /// Reads the URL of a proxy, such as `http://user:password@proxy.example:3128`.
    ///
    /// # Errors
    /// `Invalid` when this is not the URL of a proxy over HTTP. The URL is not in the error.
    pub fn parse(url: &str) -> Result<Proxy> {
        let matcher = Matcher::builder().all(url.to_owned()).build();
        let proxy = matcher.intercept(&Uri::from_static("https://any.invalid"));
        let wrong = || Error::invalid("this is not a proxy; write it as http://host:port");
        let proxy = proxy.filter(|_| url.starts_with("http://")).ok_or_else(wrong)?;
        Ok(Proxy(proxy))
    }

    /// Returns the proxy that `HTTPS_PROXY` or `ALL_PROXY` names for this URI with TLS, unless `NO_PROXY` excludes it;
    /// each also in lower case.
    ///
    /// # Errors
    /// `Invalid` for a proxy that is not over HTTP.
    pub fn from_environment(uri: &Uri) -> Result<Option<Proxy>> {
        let Some(proxy) = Matcher::from_env().intercept(uri) else { return Ok(None) };
        if proxy.uri().scheme_str() != Some("http") {
            return Err(Error::invalid("HTTPS_PROXY names no proxy over HTTP; write it as http://host:port"));
        }
        Ok(Some(Proxy(proxy)))
    }

    /// Puts the proxy in front of a connector.
    pub(crate) fn tunnel<C>(&self, connector: C) -> Tunnel<C> {
        let tunnel = Tunnel::new(self.0.uri().clone(), connector);
        match self.0.basic_auth() {
            Some(auth) => tunnel.with_auth(auth.clone()),
            None => tunnel,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.0.uri().authority().map(|authority| authority.host())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_proxy_are_not_shown() {
        let proxy = Proxy::parse("http://me:secret@proxy.example:3128").expect("valid");
        let shown = format!("{proxy:?}");
        assert!(shown.contains("proxy.example") && !shown.contains("secret"), "{shown}");
        for url in ["", "socks5://me:secret@host", "https://host"] {
            assert!(!Proxy::parse(url).expect_err(url).to_string().contains("secret"), "{url}");
        }
    }
}
