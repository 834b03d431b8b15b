//! A message on the wire: packed, and in one of the forms.

use bytes::Bytes;
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::{Coding, offload};
use synckit_wire::{Decode, Format, WireLimits};

use crate::digest::{Digest, changed, seal};

/// A message as it is received or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// How it is packed.
    pub coding: Coding,
    /// The form of what is packed.
    pub format: Format,
    /// The digest of what is packed.
    pub digest: Digest,
    /// Its bytes on the wire.
    pub bytes: Bytes,
}

impl Packed {
    /// Unpacks and reads it, away from the runtime if it is large. `fault` is the kind of the error for bytes that
    /// cannot be unpacked: `Invalid` in a request, `Corrupt` in an answer.
    ///
    /// # Errors
    /// `TooLarge` above the limits, `Unavailable` for a message that has a digest and was damaged on its way, `fault`,
    /// and those of [`Decode::decode`].
    pub async fn read<M>(self, limits: &WireLimits, fault: ErrorKind) -> Result<M>
    where
        M: Decode + Send + 'static,
    {
        let (Packed { coding, format, digest, bytes }, limits) = (self, *limits);
        offload(coding.estimate(bytes.len()), move || {
            let unpacked =
                coding.unpack(bytes, limits.decoded_bytes).map_err(|error| match error.kind() {
                    ErrorKind::Invalid if digest != Digest::Absent => changed(),
                    ErrorKind::Invalid => Error::new(fault, error.message().to_owned()),
                    _ => error,
                })?;
            M::decode(format, &digest.check(format, unpacked)?, &limits)
        })
        .await
    }
}

/// Computes the digest of an encoded message and packs it, if that makes it smaller; away from the runtime if it is
/// large.
///
/// # Errors
/// `TooLarge` when it has more than `most` bytes on the wire.
pub async fn pack(format: Format, encoded: Vec<u8>, coding: Coding, most: usize) -> Result<Packed> {
    offload(encoded.len(), move || packed(format, Digest::of(&encoded), encoded, coding, most)).await
}

/// Puts the digest of an encoded message inside it, and packs it as [`pack`] does.
///
/// # Errors
/// As [`pack`].
pub async fn pack_sealed(format: Format, encoded: Vec<u8>, coding: Coding, most: usize) -> Result<Packed> {
    offload(encoded.len(), move || packed(format, Digest::Inside, seal(format, encoded), coding, most)).await
}

fn packed(format: Format, digest: Digest, encoded: Vec<u8>, coding: Coding, most: usize) -> Result<Packed> {
    let (coding, bytes) = match coding.pack(&encoded) {
        Some(packed) => (coding, packed),
        None => (Coding::Identity, encoded),
    };
    if bytes.len() > most {
        let length = bytes.len();
        return Err(Error::too_large(format!(
            "the message has {length} bytes; at most {most} are allowed; send smaller batches"
        )));
    }
    Ok(Packed { coding, format, digest, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use synckit_core::MissingResponse;
    use synckit_wire::Encode;

    use super::*;

    fn message() -> MissingResponse {
        let ids = (0..500).map(|id| format!("event-{id}").parse().expect("valid")).collect();
        MissingResponse { ids, place: None }
    }

    #[tokio::test]
    async fn what_is_packed_is_read() {
        for format in Format::ALL {
            for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
                let encoded = message().encode(format);
                let whole = pack(format, encoded.clone(), coding, 1 << 20).await.expect("fits");
                let sealed = pack_sealed(format, encoded, coding, 1 << 20).await.expect("fits");
                for packed in [whole, sealed] {
                    assert_eq!(packed.coding, coding);
                    let read =
                        packed.read::<MissingResponse>(&WireLimits::default(), ErrorKind::Corrupt).await;
                    assert_eq!(read.expect("reads"), message());
                }
            }
        }
    }

    #[tokio::test]
    async fn both_limits_hold_and_who_is_at_fault_is_said() {
        let encoded = message().to_json();
        let error = pack(Format::Json, encoded.clone(), Coding::Identity, 100).await.expect_err("large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let packed = pack(Format::Json, encoded, Coding::Zstd, 1 << 20).await.expect("fits");
        let limits = WireLimits { decoded_bytes: 100, ..WireLimits::default() };
        let error = packed.clone().read::<MissingResponse>(&limits, ErrorKind::Corrupt).await;
        assert_eq!(error.expect_err("large").kind(), ErrorKind::TooLarge);
        let bad = Packed { bytes: Bytes::from_static(b"not packed"), digest: Digest::Absent, ..packed };
        for fault in [ErrorKind::Invalid, ErrorKind::Corrupt] {
            let error = bad.clone().read::<MissingResponse>(&WireLimits::default(), fault).await;
            assert_eq!(error.expect_err("not packed").kind(), fault);
        }
    }

    #[tokio::test]
    async fn what_was_damaged_is_nobodys_fault_and_never_judged() {
        for packed in [
            pack(Format::Json, message().to_json(), Coding::Zstd, 1 << 20).await.expect("fits"),
            pack_sealed(Format::Protobuf, message().to_protobuf(), Coding::Zstd, 1 << 20)
                .await
                .expect("fits"),
            pack(Format::Json, message().to_json(), Coding::Identity, 1 << 20).await.expect("fits"),
        ] {
            for at in [0, packed.bytes.len() / 2, packed.bytes.len() - 1] {
                let mut bytes = packed.bytes.to_vec();
                bytes[at] ^= 4;
                let damaged = Packed { bytes: bytes.into(), ..packed.clone() };
                let error = damaged.read::<MissingResponse>(&WireLimits::default(), ErrorKind::Invalid).await;
                assert_eq!(error.expect_err("damaged").kind(), ErrorKind::Unavailable);
            }
        }
    }
}
