//! What stands in for TLS when the crate is built without the feature `tls`.

use std::error::Error as StdError;

use synckit_core::{Error, ErrorKind, Result};

use super::ClientTls;
use crate::io::{Counted, Guarded, Stream};

/// Makes no connection: there is none of it.
#[derive(Clone)]
pub(crate) enum Dialer {}

impl Dialer {
    /// # Errors
    /// `Unsupported`, always.
    pub(crate) fn new(_: &ClientTls, _: &str) -> Result<Dialer> {
        let message =
            "https needs TLS, which this program was built without; enable the feature `tls` of synckit-http";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(crate) async fn dial(&self, _: Counted) -> Result<Box<dyn Stream>> {
        match *self {}
    }
}

/// Accepts no connection: there is none of it.
#[derive(Clone)]
pub(crate) enum Acceptor {}

impl Acceptor {
    pub(crate) async fn accept(&self, _: Guarded) -> Result<Guarded> {
        match *self {}
    }
}

/// No error is one of TLS.
pub(crate) fn explain(_: &(dyn StdError + 'static)) -> Option<Error> {
    None
}
