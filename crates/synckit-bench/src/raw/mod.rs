//! The raw limits: the same bytes through the same engines, without synckit.

pub(crate) mod clock;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod protobuf;
pub(crate) mod redb;
pub(crate) mod sqlite;
