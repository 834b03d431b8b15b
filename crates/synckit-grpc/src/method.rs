//! The calls and where they are.

/// The service in `docs/synckit.proto`.
pub(crate) const SERVICE: &str = "synckit.v1.Sync";

/// The media type of every call.
pub(crate) const MEDIA_TYPE: http::HeaderValue = http::HeaderValue::from_static("application/grpc");

/// A call of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Hello,
    Pull,
    Push,
    PushStream,
    Missing,
    Subscribe,
}

impl Method {
    const ALL: [Method; 6] =
        [Method::Hello, Method::Pull, Method::Push, Method::PushStream, Method::Missing, Method::Subscribe];

    /// Its path below the address of a server.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Method::Hello => "/synckit.v1.Sync/Hello",
            Method::Pull => "/synckit.v1.Sync/Pull",
            Method::Push => "/synckit.v1.Sync/Push",
            Method::PushStream => "/synckit.v1.Sync/PushStream",
            Method::Missing => "/synckit.v1.Sync/Missing",
            Method::Subscribe => "/synckit.v1.Sync/Subscribe",
        }
    }

    /// Its name in errors.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Method::Hello => "hello",
            Method::Pull => "pull",
            Method::Push => "push",
            Method::PushStream => "push_stream",
            Method::Missing => "missing",
            Method::Subscribe => "subscribe",
        }
    }

    /// The call at this path.
    pub(crate) fn at(path: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.path() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_path() {
        for method in Method::ALL {
            assert_eq!(Method::at(method.path()), Some(method));
            assert!(method.path().starts_with(&format!("/{SERVICE}/")));
        }
        assert_eq!(Method::at("/synckit.v1.Sync/"), None);
    }
}
