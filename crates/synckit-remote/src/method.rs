//! The calls of a transport by name.

/// A call of [`Transport`](synckit_core::Transport).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Both sides say who they are and how much of the other's log they know.
    Hello,
    /// Reads one page of the log.
    Pull,
    /// Hands over events.
    Push,
    /// Asks which of some events are missing.
    Missing,
    /// Sends page after page, live.
    Subscribe,
}

impl Method {
    /// All calls.
    pub const ALL: [Method; 5] =
        [Method::Hello, Method::Pull, Method::Push, Method::Missing, Method::Subscribe];

    /// Returns its name in paths and errors.
    pub fn name(self) -> &'static str {
        match self {
            Method::Hello => "hello",
            Method::Pull => "pull",
            Method::Push => "push",
            Method::Missing => "missing",
            Method::Subscribe => "subscribe",
        }
    }

    /// Returns the call of this name.
    pub fn named(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_name() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()), Some(method));
        }
        assert_eq!(Method::named("Hello"), None);
    }
}
