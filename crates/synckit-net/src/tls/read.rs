//! PEM into certificates and keys. No part of a key ever gets into an error.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, crypto};
use synckit_core::{Error, Result};

use super::TlsIdentity;
use crate::BoxError;

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

/// Returns what makes an error about settings, with the library's error as its source.
pub(super) fn wrong(message: &'static str) -> impl Fn(BoxError) -> Error {
    move |source| Error::invalid(message).with_source(source)
}

/// Reads all certificates of a PEM text, at least one.
pub(super) fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let read = read.map_err(|error| {
        Error::invalid("the certificates are not PEM").with("which", what).with_source(error)
    })?;
    if read.is_empty() {
        let message = "there is no certificate; give PEM text with `-----BEGIN CERTIFICATE-----`";
        return Err(Error::invalid(message).with("which", what));
    }
    Ok(read)
}

/// Adds authorities to the trusted ones.
pub(super) fn add_roots(store: &mut RootCertStore, pem: &str, what: &'static str) -> Result<()> {
    for certificate in certificates(pem, what)? {
        store.add(certificate).map_err(|error| {
            Error::invalid("this is not the certificate of an authority")
                .with("which", what)
                .with_source(error)
        })?;
    }
    Ok(())
}

/// Reads a chain and its key.
pub(super) fn identity(
    identity: &TlsIdentity,
    what: &'static str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = certificates(&identity.chain, what)?;
    // The source of this error is left out: it may quote the text.
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|_| {
        let message = "the private key cannot be read; give PEM text with a key that is not encrypted";
        Error::invalid(message).with("which", what)
    })?;
    Ok((chain, key))
}
