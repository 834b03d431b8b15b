//! The checks of both forms, and their error messages.

use synckit_core::{Error, ErrorKind, Result};

/// What a message is to the side that reads it. Determines the kind of the error when it cannot be read.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// A request: the caller is at fault.
    Request,
    /// A response: the peer is at fault.
    Answer,
}

impl Side {
    pub(crate) fn unreadable(self, why: &str) -> Error {
        let (kind, whose) = match self {
            Side::Request => (ErrorKind::Invalid, "the message"),
            Side::Answer => (ErrorKind::Corrupt, "the answer"),
        };
        Error::new(kind, format!("{whose} cannot be read: {}", brief(why)))
    }
}

pub(crate) fn check_length(bytes: &[u8], most: usize) -> Result<()> {
    if bytes.len() <= most {
        return Ok(());
    }
    Err(Error::too_large(format!("the message has {} bytes; at most {most} are allowed", bytes.len())))
}

pub(crate) fn too_many(what: &str, most: usize) -> Error {
    Error::too_large(format!("there are more than {most} {what} in one message; send several"))
}

/// Shortens a text that another side chose to what a reader needs: at most 255 bytes.
pub(crate) fn brief(text: &str) -> &str {
    let mut end = text.len().min(synckit_core::MAX_NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
