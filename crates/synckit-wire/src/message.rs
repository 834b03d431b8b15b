//! What every message can do.

use synckit_core::{
    Error, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PullRequest, PullResponse,
    PushRequest, PushResponse, Result,
};

use crate::json::{FromJson, ToJson};
use crate::limits::WireLimits;
use crate::protobuf::{FromProtobuf, ToProtobuf};
use crate::push::ReceivedPush;

/// How a message is written. Both forms carry the same, under the same limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text that people can read and write.
    Json,
    /// `docs/synckit.proto`: smaller, and quicker to read.
    Protobuf,
}

impl Format {
    /// Both forms, for tables and tests.
    pub const ALL: [Format; 2] = [Format::Json, Format::Protobuf];
}

/// A message that can be sent.
///
/// Implemented by the messages of [`synckit_core::Transport`] and by [`synckit_core::Error`]. An error says its kind
/// and its message; its context where the caller is at fault; never its source.
pub trait Encode {
    /// The JSON form. It may have line breaks where the data of an event has them.
    fn to_json(&self) -> Vec<u8>;

    /// The protobuf form.
    fn to_protobuf(&self) -> Vec<u8>;

    /// This form.
    fn encode(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Json => self.to_json(),
            Format::Protobuf => self.to_protobuf(),
        }
    }
}

/// A message that can be received.
///
/// Implemented by the messages of [`synckit_core::Transport`] and by [`synckit_core::Error`]; a push is received
/// as a [`ReceivedPush`]. An error that stands in the place of a page is read as that error.
///
/// Keys and fields that are not known are ignored, except in the JSON form of requests and events, where they are
/// refused: there they are typing errors of a person.
pub trait Decode: Sized {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// `TooLarge` when a limit of the whole message is exceeded; `Invalid` when a request, `Corrupt` when an answer
    /// cannot be read.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self>;

    /// Reads the protobuf form.
    ///
    /// # Errors
    /// As [`Decode::from_json`].
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self>;

    /// Reads this form.
    ///
    /// # Errors
    /// As [`Decode::from_json`].
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
