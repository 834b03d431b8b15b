//! The operations of every message.

use synckit_core::{
    Error, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PullRequest, PullResponse,
    PushRequest, PushResponse, Result,
};

use crate::json::{FromJson, ToJson};
use crate::limits::WireLimits;
use crate::protobuf::{FromProtobuf, ToProtobuf};
use crate::push::ReceivedPush;

/// How a message is encoded. Both forms carry the same content, under the same limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text that people can read and write.
    Json,
    /// The messages of `docs/synckit.proto`: smaller, and faster to read.
    Protobuf,
}

impl Format {
    /// Both forms, for tables and tests.
    pub const ALL: [Format; 2] = [Format::Json, Format::Protobuf];
}

/// A message that can be sent.
///
/// Implemented by the messages of [`synckit_core::Transport`] and by [`synckit_core::Error`]. An error carries its kind
/// and its message, its context only if the caller is at fault, and never its source.
///
/// ```
/// use synckit_core::MissingResponse;
/// use synckit_wire::{Encode, Format};
///
/// assert_eq!(MissingResponse::default().encode(Format::Json), br#"{"ids":[]}"#);
/// ```
pub trait Encode {
    /// Returns the JSON form. It may contain line breaks if the data of an event does.
    fn to_json(&self) -> Vec<u8>;

    /// Returns the protobuf form.
    fn to_protobuf(&self) -> Vec<u8>;

    /// Returns the message in this form.
    fn encode(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Json => self.to_json(),
            Format::Protobuf => self.to_protobuf(),
        }
    }
}

/// A message that can be received.
///
/// Implemented by the messages of [`synckit_core::Transport`] and by [`synckit_core::Error`]; a push is received as a
/// [`ReceivedPush`]. An error that takes the place of a page is read as that error.
///
/// Unknown keys and fields are ignored, except in the JSON form of requests and events, where they are refused: there
/// they are likely typing errors.
///
/// ```
/// use synckit_core::MissingResponse;
/// use synckit_wire::{Decode, Format, WireLimits};
///
/// let read = MissingResponse::decode(Format::Json, br#"{"ids":["e-1"]}"#, &WireLimits::default())?;
/// assert_eq!(read.ids[0].as_str(), "e-1");
/// # Ok::<(), synckit_core::Error>(())
/// ```
pub trait Decode: Sized {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// `TooLarge` when a limit of the whole message is exceeded; when the message cannot be read, `Invalid` for a
    /// request and `Corrupt` for a response.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self>;

    /// Reads the protobuf form.
    ///
    /// # Errors
    /// Same as [`Decode::from_json`].
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self>;

    /// Reads the message in this form.
    ///
    /// # Errors
    /// Same as [`Decode::from_json`].
    fn decode(format: Format, bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        match format {
            Format::Json => Self::from_json(bytes, limits),
            Format::Protobuf => Self::from_protobuf(bytes, limits),
        }
    }
}

macro_rules! encode {
    ($($message:ty),*) => {$(
        impl Encode for $message {
            fn to_json(&self) -> Vec<u8> {
                ToJson::to_json(self)
            }

            fn to_protobuf(&self) -> Vec<u8> {
                ToProtobuf::to_protobuf(self)
            }
        }
    )*};
}

macro_rules! decode {
    ($($message:ty),*) => {$(
        impl Decode for $message {
            fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
                FromJson::from_json(bytes, limits)
            }

            fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
                FromProtobuf::from_protobuf(bytes, limits)
            }
        }
    )*};
}

encode!(HelloRequest, PullRequest, PushRequest, MissingRequest);
encode!(HelloResponse, PullResponse, PushResponse, MissingResponse, Error);
decode!(HelloRequest, PullRequest, ReceivedPush, MissingRequest);
decode!(HelloResponse, PullResponse, PushResponse, MissingResponse, Error);
