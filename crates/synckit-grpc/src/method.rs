//! The calls and their paths.

use synckit_remote::Method;

/// The service in `docs/synckit.proto`.
pub(crate) const SERVICE: &str = "synckit.v1.Sync";

/// The media type of every call.
pub(crate) const MEDIA_TYPE: http::HeaderValue = http::HeaderValue::from_static("application/grpc");

/// A call of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rpc {
    /// One that every transport has.
    Of(Method),
    /// A stream of pushes.
    PushStream,
}

impl Rpc {
    const ALL: [Rpc; 6] = [
        Rpc::Of(Method::Hello),
        Rpc::Of(Method::Pull),
        Rpc::Of(Method::Push),
        Rpc::PushStream,
        Rpc::Of(Method::Missing),
        Rpc::Of(Method::Subscribe),
    ];

    /// Returns its path below the address of a server.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Rpc::Of(Method::Hello) => "/synckit.v1.Sync/Hello",
            Rpc::Of(Method::Pull) => "/synckit.v1.Sync/Pull",
            Rpc::Of(Method::Push) => "/synckit.v1.Sync/Push",
            Rpc::PushStream => "/synckit.v1.Sync/PushStream",
            Rpc::Of(Method::Missing) => "/synckit.v1.Sync/Missing",
            Rpc::Of(Method::Subscribe) => "/synckit.v1.Sync/Subscribe",
        }
    }

    /// Returns the call at this path.
    pub(crate) fn at(path: &str) -> Option<Rpc> {
        Rpc::ALL.into_iter().find(|rpc| rpc.path() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_path() {
        for rpc in Rpc::ALL {
            assert_eq!(Rpc::at(rpc.path()), Some(rpc));
            assert!(rpc.path().starts_with(&format!("/{SERVICE}/")));
        }
        assert!(Method::ALL.into_iter().all(|method| Rpc::ALL.contains(&Rpc::Of(method))));
        assert_eq!(Rpc::at("/synckit.v1.Sync/"), None);
    }
}
