//! What a failed handshake means, in words that say what to do.

use std::error::Error as StdError;

use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};
use synckit_core::{Error, ErrorKind};

use super::Protocol;

/// Returns the error that this one stands for, if it is one of TLS.
///
/// A refusal is not worth a retry: it remains until somebody changes a certificate or a setting.
pub(crate) fn explain(error: &(dyn StdError + 'static), protocol: Protocol) -> Option<Error> {
    let (kind, message) = match error.downcast_ref::<TlsError>()? {
        TlsError::InvalidCertificate(error) => (ErrorKind::Denied, of_certificate(error)),
        TlsError::AlertReceived(alert) => of_alert(*alert),
        TlsError::NoCertificatesPresented => (ErrorKind::Denied, "the caller does not show a certificate"),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            let plain = protocol.plain;
            let message = format!(
                "the server at this port does not speak TLS; use {plain}, or the port that speaks TLS"
            );
            return Some(Error::new(ErrorKind::Unsupported, message));
        }
        TlsError::PeerIncompatible(_) | TlsError::NoApplicationProtocol => {
            (ErrorKind::Unsupported, "the two sides share no version of TLS, cipher or protocol")
        }
        _ => (ErrorKind::Unavailable, "the TLS connection broke off"),
    };
    Some(Error::new(kind, message))
}

fn of_certificate(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => {
            "the certificate is not signed by an authority that is trusted here; add its authority to the trusted roots"
        }
        E::Expired | E::ExpiredContext { .. } => {
            "the certificate has expired; renew it, and check the clock here"
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the certificate is not valid yet; check the clocks of both sides"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the certificate is for another name; use a name that it contains, or check the address"
        }
        E::Revoked => "the certificate was revoked; renew it",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the certificate is not made for this side of a connection"
        }
        _ => "the certificate is not valid",
    }
}

fn of_alert(alert: AlertDescription) -> (ErrorKind, &'static str) {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => {
            (ErrorKind::Denied, "the server asks for a client certificate; configure one")
        }
        A::UnknownCA => (
            ErrorKind::Denied,
            "the other side does not trust the authority that signed the certificate shown to it",
        ),
        A::CertificateExpired => {
            (ErrorKind::Denied, "the certificate shown to the other side has expired; renew it")
        }
        A::BadCertificate
        | A::CertificateUnknown
        | A::CertificateRevoked
        | A::UnsupportedCertificate
        | A::AccessDenied
        | A::DecryptError => (ErrorKind::Denied, "the other side refuses the certificate shown to it"),
        A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity | A::NoApplicationProtocol => {
            (ErrorKind::Unsupported, "the two sides share no version of TLS, cipher or protocol")
        }
        _ => (ErrorKind::Unavailable, "the other side ended the TLS connection"),
    }
}
