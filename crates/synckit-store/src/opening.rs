//! What is checked when a store is opened: whose it is, in which format, and whether one may be made.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use synckit_core::{Error, ErrorKind, Identity, NodeId, Note, Result, Secret, StoreId};

use crate::{machine, random_bytes};

/// What stands where a store is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing at all.
    Nothing,
    /// Something that is not a store.
    Foreign,
    /// A store in this version of its format.
    Store(u64),
}

/// How a store is opened: for which node, and whether one is made where there is none.
///
/// ```
/// use synckit_core::{ErrorKind, NodeId};
/// use synckit_store::{Found, Opening};
/// # fn main() -> synckit_core::Result<()> {
/// let opening = Opening::new("files").with_node(NodeId::new("laptop")?);
/// assert!(!opening.check(Found::Nothing, 1..=1)?);
/// let [identity, _] = opening.new_store()?;
/// assert_eq!(opening.identity(Some(&identity.value))?.node.as_str(), "laptop");
/// assert_eq!(opening.check(Found::Foreign, 1..=1).map_err(|error| error.kind()), Err(ErrorKind::Conflict));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Opening {
    component: &'static str,
    path: Option<PathBuf>,
    node: Option<NodeId>,
    create: bool,
    machine: Option<String>,
}

impl Opening {
    /// The keys of the notes that [`Opening::arrive`] takes, in their order.
    pub const ARRIVAL: [&str; 3] = machine::KEYS;

    /// Opens an existing store, whosever it is. Errors name this component.
    pub fn new(component: &'static str) -> Self {
        Opening { component, path: None, node: None, create: true, machine: None }
    }

    /// Opens the store of this node, or makes it.
    #[must_use]
    pub fn with_node(mut self, node: impl Into<Option<NodeId>>) -> Self {
        self.node = node.into();
        self
    }

    /// Whether a store is made where there is none; that takes a node. `true`.
    #[must_use]
    pub fn with_create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// The path that errors name.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The id of the machine that the store is on. `None` for a store that no machine has, such as one in memory.
    #[must_use]
    pub fn with_machine(mut self, machine: impl Into<Option<String>>) -> Self {
        self.machine = machine.into();
        self
    }

    /// Sets the machine to this one, as far as the system tells its id, unless there is one. Linux and the BSDs do.
    #[must_use]
    pub fn with_this_machine(mut self) -> Self {
        self.machine = self.machine.or_else(machine::this_machine);
        self
    }

    /// Returns the notes to put when an existing store is opened, given the values found under
    /// [`Opening::ARRIVAL`]. Most often there are none. If the store was last opened on another machine, it takes a
    /// fresh id and a fresh name, since the file it was copied from may still be in use. The notes must be put in one
    /// transaction in which those values were read.
    ///
    /// # Errors
    /// Same as [`Opening::identity`]; `Corrupt` when another value cannot be read.
    pub fn arrive(&self, found: [Option<&[u8]>; 3]) -> Result<Vec<Note>> {
        let [node, store, before] = found;
        let identity = self.identity(node)?;
        let Some(machine) = &self.machine else { return Ok(Vec::new()) };
        machine::notes(machine, &identity, Note::read_store_id(store)?, before)
    }

    /// Whether a store may be made.
    pub fn may_create(&self) -> bool {
        self.create && self.node.is_some()
    }

    /// The path that errors name, if there is one.
    pub fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// Checks what was found, and returns whether it is a store; otherwise one is to be made. `known` are the
    /// formats that can be read.
    ///
    /// # Errors
    /// `Conflict` for what is not a store, `Unsupported` for a newer or an older format, `Corrupt` for one that cannot
    /// be, and those of [`Opening::new_store`] where there is nothing and nothing may be made.
    pub fn check(&self, found: Found, known: RangeInclusive<u64>) -> Result<bool> {
        match found {
            Found::Nothing if self.may_create() => Ok(false),
            Found::Nothing => Err(self.absent()),
            Found::Foreign => {
                let message =
                    "this database belongs to another application; give the store a file of its own";
                Err(Error::new(ErrorKind::Conflict, message))
            }
            Found::Store(0) => Err(Error::corrupt("the format of this store makes no sense")),
            Found::Store(format) if format > *known.end() => {
                let message = "this store was made by a newer synckit; upgrade synckit to open it";
                let error = Error::new(ErrorKind::Unsupported, message);
                Err(error.with("format", format).with("newest known", known.end()))
            }
            Found::Store(format) if format < *known.start() => {
                let message = "this store was made by an older synckit, whose format this one does not read; export it \
                               with that one and import it into a new store";
                let error = Error::new(ErrorKind::Unsupported, message);
                Err(error.with("format", format).with("oldest known", known.start()))
            }
            Found::Store(_) => Ok(true),
        }
    }

    /// Makes the first notes of a new store, with a random id and secret.
    ///
    /// # Errors
    /// `NotFound` when none may be made, `Invalid` for a node id with a `~`, `Internal` when the system has no
    /// randomness.
    pub fn new_store(&self) -> Result<[Note; 2]> {
        let node = self.node.as_ref().filter(|_| self.create).ok_or_else(|| self.absent())?;
        let (id, secret) = (StoreId::from_bytes(random_bytes()?), Secret::from_bytes(random_bytes()?));
        Note::of_new_store(node.clone(), id, secret)
    }

    /// Reads the value found under [`Note::NODE`], and checks that the store is the one asked for.
    ///
    /// # Errors
    /// `Conflict` when it belongs to another node, `Corrupt` when it cannot be read.
    pub fn identity(&self, value: Option<&[u8]>) -> Result<Identity> {
        let identity = Note::read_identity(value)?;
        self.node.as_ref().map_or(Ok(()), |node| identity.expect(node))?;
        Ok(identity)
    }

    /// Returns the error for a store that is not there and may not be made: `NotFound`, saying what is missing.
    pub fn absent(&self) -> Error {
        let message = match self.node {
            None => "there is no store here; give the node id to create one for",
            Some(_) => "there is no store here; allow it to be created",
        };
        Error::new(ErrorKind::NotFound, message)
    }

    /// Names component, operation and path in an error.
    pub fn blame(&self, operation: &'static str, error: Error) -> Error {
        match &self.path {
            Some(path) => error.with("path", path.display()).at(self.component, operation),
            None => error.at(self.component, operation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        Opening::new("test").with_node(NodeId::new("n").expect("valid"))
    }

    #[test]
    fn only_what_is_a_store_in_a_known_format_is_opened() {
        let kind = |found| opening().check(found, 2..=3).map_err(|error| error.kind());
        assert_eq!((kind(Found::Store(2)), kind(Found::Store(3))), (Ok(true), Ok(true)));
        assert_eq!(kind(Found::Store(1)), Err(ErrorKind::Unsupported));
        assert_eq!(kind(Found::Store(4)), Err(ErrorKind::Unsupported));
        assert_eq!(kind(Found::Store(0)), Err(ErrorKind::Corrupt));
        assert_eq!(kind(Found::Foreign), Err(ErrorKind::Conflict));
        assert_eq!(kind(Found::Nothing), Ok(false));
    }

    #[test]
    fn nothing_is_made_unless_it_is_asked_for() {
        for opening in [Opening::new("test"), opening().with_create(false)] {
            assert_eq!(opening.check(Found::Nothing, 1..=1).expect_err("none").kind(), ErrorKind::NotFound);
            assert_eq!(opening.new_store().expect_err("none").kind(), ErrorKind::NotFound);
        }
        let named = NodeId::new("a~1").expect("valid");
        let error = opening().with_node(named).new_store().expect_err("is not chosen");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_store_of_another_node_is_refused() {
        let [identity, _] = opening().new_store().expect("is made");
        assert!(opening().identity(Some(&identity.value)).is_ok());
        assert!(Opening::new("test").identity(Some(&identity.value)).is_ok());
        let other = opening().with_node(NodeId::new("m").expect("valid"));
        assert_eq!(
            other.identity(Some(&identity.value)).expect_err("is not its").kind(),
            ErrorKind::Conflict
        );
        assert_eq!(opening().identity(None).expect_err("is absent").kind(), ErrorKind::Corrupt);
    }
}
