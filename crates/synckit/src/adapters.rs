//! Stores and transports chosen by URL, from those compiled into the program.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use synckit_core::{BoxStore, BoxTransport, Error, ErrorKind, EventStore, NodeId, Result, Transport};

type Opening = Pin<Box<dyn Future<Output = Result<BoxStore>> + Send>>;
type Open = Arc<dyn Fn(StoreTarget) -> Opening + Send + Sync>;
type Connect = Arc<dyn Fn(&str) -> Result<BoxTransport> + Send + Sync>;

/// The adapters compiled into a program, each registered under its URL scheme.
///
/// There is no global list of adapters: a program registers those it depends on, and pulls in no others. A store is
/// named `scheme:location`, such as `sqlite:till.db`; a name without a scheme is a location of the store that was
/// registered first. A transport is named by its URL, such as `http://hub:8080`.
///
/// ```
/// use synckit::{Adapters, StoreTarget};
/// use synckit_http::HttpTransport;
/// use synckit_sqlite::{SqliteConfig, SqliteStore};
///
/// let adapters = Adapters::new()
///     .with_store("sqlite", async |target: StoreTarget| {
///         let mut config = SqliteConfig::new(target.location).with_create(target.create);
///         config.node = target.node;
///         SqliteStore::open(config).await
///     })
///     .with_transport("http", |url| HttpTransport::new(url));
///
/// let unknown = adapters.connect("ftp://hub").unwrap_err();
/// assert!(unknown.to_string().contains("http"));
/// ```
#[derive(Clone, Default)]
pub struct Adapters {
    stores: BTreeMap<&'static str, Open>,
    /// The scheme of the store used when none is named.
    default: Option<&'static str>,
    transports: BTreeMap<&'static str, Connect>,
}

/// The store to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTarget {
    /// The location, in the format of its adapter: what follows the scheme, without slashes that only separate the two.
    /// `sqlite:a.db`, `sqlite://a.db` and `sqlite:///tmp/a.db` name `a.db`, `a.db` and `/tmp/a.db`.
    pub location: String,
    /// The node that writes through it. `None` opens an existing store under the node id it has.
    pub node: Option<NodeId>,
    /// Whether to create the store if it does not exist, which requires a node id.
    pub create: bool,
}

impl Adapters {
    /// Creates an empty set of adapters.
    pub fn new() -> Self {
        Adapters::default()
    }

    /// Registers a function that opens stores of this scheme. The first store registered is used for names without a
    /// scheme.
    pub fn with_store<S, F>(
        mut self,
        scheme: &'static str,
        open: impl Fn(StoreTarget) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: EventStore,
        F: Future<Output = Result<S>> + Send + 'static,
    {
        let open = move |target| -> Opening {
            let opening = open(target);
            Box::pin(async move { Ok(BoxStore::new(opening.await?)) })
        };
        self.stores.insert(scheme, Arc::new(open));
        self.default.get_or_insert(scheme);
        self
    }

    /// Registers a function that connects to URLs of this scheme. It gets the whole URL.
    pub fn with_transport<T: Transport>(
        mut self,
        scheme: &'static str,
        connect: impl Fn(&str) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let connect = move |url: &str| Ok(BoxTransport::new(connect(url)?));
        self.transports.insert(scheme, Arc::new(connect));
        self
    }

    /// Returns the schemes of stores, sorted.
    pub fn stores(&self) -> impl Iterator<Item = &'static str> {
        self.stores.keys().copied()
    }

    /// Returns the schemes of transports, sorted.
    pub fn transports(&self) -> impl Iterator<Item = &'static str> {
        self.transports.keys().copied()
    }

    /// Splits the name of a store into its scheme and its location.
    ///
    /// # Errors
    /// `Unsupported` when no store of this scheme was registered, with the registered ones.
    pub fn locate<'a>(&self, name: &'a str) -> Result<(&'static str, &'a str)> {
        // A single letter is a drive letter.
        let parts = name.split_once(':').filter(|(scheme, _)| scheme.len() > 1 && is_scheme(scheme));
        let Some((scheme, location)) = parts else {
            let none = || Error::new(ErrorKind::Unsupported, "this program has no stores");
            return Ok((self.default.ok_or_else(none)?, name));
        };
        match self.stores.get_key_value(scheme) {
            Some((scheme, _)) => Ok((scheme, location.strip_prefix("//").unwrap_or(location))),
            None => {
                let known = listed(self.stores());
                let message = format!("there is no store `{scheme}:` in this program; it has {known}");
                Err(Error::new(ErrorKind::Unsupported, message).with("store", name))
            }
        }
    }

    /// Opens a store by its name. As cancel-safe as the adapter's function.
    ///
    /// # Errors
    /// `Unsupported` when no store of this scheme was registered, and those of the adapter.
    pub async fn open(&self, name: &str, node: Option<NodeId>, create: bool) -> Result<BoxStore> {
        let (scheme, location) = self.locate(name)?;
        let open = &self.stores[scheme];
        open(StoreTarget { location: location.to_owned(), node, create }).await
    }

    /// Connects to a peer. Adapters connect when they are first called, so nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` when this is not a URL, `Unsupported` when no transport of this scheme was registered, with the
    /// registered ones, and those of the adapter.
    pub fn connect(&self, url: &str) -> Result<BoxTransport> {
        let known = || listed(self.transports());
        let Some((scheme, _)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            let message = format!("the URL has no scheme; write it as SCHEME://HOST:PORT with {}", known());
            return Err(Error::invalid(message).with("url", url));
        };
        match self.transports.get(scheme.to_ascii_lowercase().as_str()) {
            Some(connect) => connect(url),
            None => {
                let message =
                    format!("there is no transport `{scheme}://` in this program; it has {}", known());
                Err(Error::new(ErrorKind::Unsupported, message).with("url", url))
            }
        }
    }
}

/// Returns whether this is a valid URL scheme (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
}

fn listed(schemes: impl Iterator<Item = &'static str>) -> String {
    let schemes: Vec<_> = schemes.collect();
    if schemes.is_empty() { "none".to_owned() } else { schemes.join(", ") }
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapters")
            .field("stores", &self.stores.keys())
            .field("transports", &self.transports.keys())
            .finish()
    }
}
