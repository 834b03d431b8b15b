//! The randomness of a new store.

use synckit_core::{Error, ErrorKind, Result};

/// Returns 16 random bytes, as a store id or a secret is made of.
///
/// # Errors
/// `Internal` when the system has no randomness.
pub fn random_bytes() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system has no randomness for a new store")
            .with_source(std::io::Error::other(error.to_string()))
    })?;
    Ok(bytes)
}
