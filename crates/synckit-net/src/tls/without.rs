//! Replaces handshakes when the crate is built without the feature `tls`.

use std::error::Error as StdError;
use std::time::Duration;

use synckit_core::{Error, ErrorKind, Result};

use super::{ClientTls, Protocol, ServerTls};
use crate::Stream;

fn absent(protocol: Protocol) -> Error {
    let secure = protocol.secure;
    let message = format!(
        "{secure} needs TLS, which this program was built without; enable the feature `tls` of the transport"
    );
    Error::new(ErrorKind::Unsupported, message)
}

/// Makes no connection: that needs the feature `tls`.
#[derive(Clone, Debug)]
pub enum Dialer {}

impl Dialer {
    /// Fails: handshakes need the feature `tls`.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn new(protocol: Protocol, _: &ClientTls, _: &str) -> Result<Dialer> {
        Err(absent(protocol))
    }

    /// Is never called: no dialer exists.
    ///
    /// # Errors
    /// None.
    pub async fn dial(&self, _: impl Stream + 'static, _: Duration) -> Result<Box<dyn Stream>> {
        match *self {}
    }
}

/// Accepts no connection: that needs the feature `tls`.
#[derive(Clone, Debug)]
pub enum Acceptor {}

impl Acceptor {
    /// Fails: handshakes need the feature `tls`.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn new(protocol: Protocol, _: &ServerTls) -> Result<Acceptor> {
        Err(absent(protocol))
    }

    /// Is never called: no acceptor exists.
    ///
    /// # Errors
    /// None.
    pub async fn accept(&self, _: impl Stream + 'static) -> Result<Box<dyn Stream>> {
        match *self {}
    }
}

/// Returns `None`: no error is one of TLS.
pub(crate) fn explain(_: &(dyn StdError + 'static), _: Protocol) -> Option<Error> {
    None
}
