//! Whether messages are packed on the way to a server: something between may not let packed ones through.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use synckit_core::{Error, ErrorKind};
use synckit_net::Coding;

use crate::method::Method;

/// Messages are packed.
const PACKED: u8 = 0;
/// Messages are packed; one was sent unpacked, and that did not help.
const TRIED: u8 = 1;
/// Messages are not packed.
const PLAIN: u8 = 2;

/// How the messages of one client are packed. Each hello begins with packed ones again, so that a sync tries once.
#[derive(Debug, Default)]
pub(crate) struct Packing(AtomicU8);

impl Packing {
    /// Returns how to pack the next message, where `best` is what the configuration allows.
    pub(crate) fn coding(&self, method: Method, best: Coding) -> Coding {
        if method == Method::Hello {
            self.0.store(PACKED, Ordering::Relaxed);
        }
        if self.0.load(Ordering::Relaxed) == PLAIN { Coding::Identity } else { best }
    }

    /// Returns whether a call that failed is to be made again with messages that are not packed: something between may
    /// have changed a packed message or its headers, or refused it because it cannot read it.
    pub(crate) fn is_in_doubt(&self, coding: Coding, error: &Error) -> bool {
        let damaged = error.retry_after() == Some(Duration::ZERO);
        let refused = error.is_in_transit() && !error.is_retryable() && error.kind() != ErrorKind::TooLarge;
        coding != Coding::Identity
            && (damaged || refused)
            && self.0.compare_exchange(PACKED, TRIED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Records that a message got through because it was not packed.
    pub(crate) fn stop(&self) {
        self.0.store(PLAIN, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{damaged, foreign};

    #[test]
    fn each_hello_begins_packed_and_one_call_is_tried_unpacked() {
        let (packing, zstd) = (Packing::default(), Coding::Zstd);
        assert!(!packing.is_in_doubt(Coding::Identity, &foreign(400, None, b"")));
        for error in [foreign(413, None, b""), foreign(503, None, b""), Error::invalid("by the peer")] {
            assert!(!packing.is_in_doubt(zstd, &error), "{error}");
        }
        assert!(packing.is_in_doubt(zstd, &foreign(415, None, b"")));
        assert!(!packing.is_in_doubt(zstd, &foreign(415, None, b"")), "only once");
        assert_eq!(packing.coding(Method::Push, zstd), zstd);
        assert_eq!(packing.coding(Method::Hello, zstd), zstd);
        assert!(packing.is_in_doubt(zstd, &damaged("on its way")));
        packing.stop();
        assert_eq!(packing.coding(Method::Push, zstd), Coding::Identity);
        assert_eq!(packing.coding(Method::Hello, zstd), zstd);
    }
}
