//! zstd and gzip, with the unpacked size and the memory of the unpacker bounded.

use std::io::{self, Read, Write};

use bytes::Bytes;
use synckit_core::{Error, Result};

/// The size above which a message is packed: a smaller one does not shrink enough to matter.
const WORTHWHILE: usize = 1 << 10;

/// The largest zstd window, as a power of two: 8 MiB, what RFC 9659 allows on the web.
const WINDOW_LOG: u32 = 23;

/// How a message is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Coding {
    /// Returns the best coding that the other side accepts.
    pub fn best(accepts: impl Fn(Coding) -> bool) -> Coding {
        [Coding::Zstd, Coding::Gzip].into_iter().find(|coding| accepts(*coding)).unwrap_or(Coding::Identity)
    }

    /// Returns the coding of this name, whatever its case; `None` for an unknown one.
    pub fn named(name: &str) -> Option<Coding> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Coding::Identity),
            "gzip" | "x-gzip" => Some(Coding::Gzip),
            "zstd" => Some(Coding::Zstd),
            _ => None,
        }
    }

    /// Returns the best coding in the values of an `Accept-Encoding` header: names, each with or without a weight.
    pub fn accepted<'a>(values: impl Iterator<Item = &'a str>) -> Coding {
        let taken = |item: &'a str| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            weight.is_ok_and(|weight| weight > 0.0).then(|| name.trim())
        };
        let names: Vec<&str> = values.flat_map(|value| value.split(',')).filter_map(taken).collect();
        Coding::best(|wanted| names.iter().any(|name| name.eq_ignore_ascii_case(wanted.name())))
    }

    /// Returns its name in headers, the same in HTTP and gRPC.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        }
    }

    /// Estimates how many bytes `packed` bytes unpack to: a measure of the work, not a limit.
    pub fn estimate(self, packed: usize) -> usize {
        match self {
            Coding::Identity => packed,
            Coding::Gzip | Coding::Zstd => packed.saturating_mul(8),
        }
    }

    /// Packs a message above 1 KiB, if that makes it smaller; `None` means that it is to be sent unpacked.
    pub fn pack(self, body: &[u8]) -> Option<Vec<u8>> {
        if body.len() <= WORTHWHILE {
            return None;
        }
        let packed = match self {
            Coding::Identity => None,
            Coding::Gzip => {
                let room = Vec::with_capacity(body.len() / 4);
                let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::fast());
                encoder.write_all(body).and_then(|()| encoder.finish()).ok()
            }
            Coding::Zstd => zstd::bulk::compress(body, 1).ok(),
        };
        packed.filter(|packed| packed.len() < body.len())
    }

    /// Unpacks a message to at most `most` bytes. Never allocates more than that and the window.
    ///
    /// # Errors
    /// `TooLarge` when there are more bytes, `Invalid` when it is not packed with this coding.
    pub fn unpack(self, body: Bytes, most: usize) -> Result<Bytes> {
        let unpacked = match self {
            Coding::Identity if body.len() > most => return Err(too_large(most)),
            Coding::Identity => return Ok(body),
            Coding::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(&*body), most),
            Coding::Zstd => zstd::Decoder::with_buffer(&*body).and_then(|mut decoder| {
                decoder.window_log_max(WINDOW_LOG)?;
                read_bounded(decoder, most)
            }),
        };
        match unpacked {
            Ok(Some(unpacked)) => Ok(unpacked.into()),
            Ok(None) => Err(too_large(most)),
            Err(error) => Err(Error::invalid(format!("the message cannot be unpacked: {error}"))),
        }
    }

    /// Unpacks the start of a message that may be larger than `most` bytes, or cut off. Never allocates more than that
    /// and the window.
    pub fn unpack_start(self, body: &Bytes, most: usize) -> Bytes {
        let start = match self {
            Coding::Identity => return body.slice(..body.len().min(most)),
            Coding::Gzip => read_start(flate2::read::MultiGzDecoder::new(&**body), most),
            Coding::Zstd => {
                let decoder = zstd::Decoder::with_buffer(&**body).and_then(|mut decoder| {
                    decoder.window_log_max(WINDOW_LOG)?;
                    Ok(decoder)
                });
                decoder.map_or_else(|_| Vec::new(), |decoder| read_start(decoder, most))
            }
        };
        start.into()
    }
}

/// Reads to the end, or until it fails, but no more than allowed.
fn read_start(reader: impl Read, most: usize) -> Vec<u8> {
    let mut start = Vec::new();
    // What came before an error is kept.
    let _ = reader.take(most as u64).read_to_end(&mut start);
    start
}

fn too_large(most: usize) -> Error {
    Error::too_large(format!(
        "the message unpacks to more than the {most} bytes allowed; send smaller batches"
    ))
}

/// Reads to the end; returns `None` when there are more bytes than allowed.
fn read_bounded(mut reader: impl Read, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut all: Vec<u8> = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok(Some(all)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let room = most - all.len();
        if read > room {
            return Ok(None);
        }
        if all.capacity() - all.len() < read {
            all.reserve_exact(all.len().max(read).min(room));
        }
        all.extend_from_slice(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::ErrorKind;

    use super::*;

    #[test]
    fn the_best_accepted_coding_is_taken() {
        assert_eq!(Coding::best(|_| true), Coding::Zstd);
        assert_eq!(Coding::best(|coding| coding != Coding::Zstd), Coding::Gzip);
        assert_eq!(Coding::best(|_| false), Coding::Identity);
    }

    #[test]
    fn names_and_weights_in_headers_are_understood() {
        for (values, expected) in [
            (&["gzip, deflate, br, zstd"][..], Coding::Zstd),
            (&["GZIP;q=0.5"], Coding::Gzip),
            (&["zstd;q=0, gzip; q=1.0"], Coding::Gzip),
            (&["br"], Coding::Identity),
            (&["identity, gzip,deflate,zstd"], Coding::Zstd),
            (&["identity", "gzip"], Coding::Gzip),
            (&["snappy"], Coding::Identity),
            (&[], Coding::Identity),
        ] {
            assert_eq!(Coding::accepted(values.iter().copied()), expected, "{values:?}");
        }
        for (name, expected) in [
            ("", Some(Coding::Identity)),
            (" Zstd ", Some(Coding::Zstd)),
            ("x-gzip", Some(Coding::Gzip)),
            ("br", None),
        ] {
            assert_eq!(Coding::named(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_packed_unpacks_up_to_the_limit_and_not_beyond() {
        let message = b"synckit ".repeat(10_000);
        for coding in [Coding::Zstd, Coding::Gzip] {
            let packed = Bytes::from(coding.pack(&message).expect("gets smaller"));
            assert!(packed.len() < message.len() / 10);
            let unpacked = coding.unpack(packed.clone(), message.len()).expect("fits");
            assert_eq!(unpacked, message);
            let error = coding.unpack(packed, message.len() - 1).expect_err("too large");
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            let error = coding.unpack(Bytes::from_static(b"neither"), 100).expect_err("not packed");
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn nothing_beyond_the_limit_is_allocated() {
        let all = read_bounded(io::repeat(7).take(100_000), 100_000).expect("reads").expect("fits");
        assert_eq!(all.len(), 100_000);
        assert!(all.capacity() <= 100_000, "{}", all.capacity());
        assert!(read_bounded(io::repeat(7), 100_000).expect("reads").is_none());
    }

    #[test]
    fn small_and_incompressible_messages_are_sent_as_they_are() {
        assert!(Coding::Zstd.pack(&[7; WORTHWHILE]).is_none());
        let mut state = 1_u32;
        let noise = (0..4096).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        assert!(Coding::Zstd.pack(&noise.collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn a_window_above_8_mib_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("starts");
        encoder.window_log(27).expect("valid");
        encoder.long_distance_matching(true).expect("valid");
        encoder.write_all(&vec![7; 1 << 20]).expect("packs");
        let packed = encoder.finish().expect("packs");
        assert!(Coding::Zstd.unpack(packed.into(), 16 << 20).is_err());
    }
}
