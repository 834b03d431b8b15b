//! What a transport speaks within TLS.

/// What a transport speaks within TLS, and what its URLs begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its name in the handshake (ALPN), such as `http/1.1` or `h2`. Both sides must speak it.
    pub alpn: &'static str,
    /// What URLs without TLS begin with, such as `http://`: for messages.
    pub plain: &'static str,
    /// What URLs with TLS begin with, such as `https://`: for messages.
    pub secure: &'static str,
}
