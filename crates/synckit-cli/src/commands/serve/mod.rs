//! `synckit serve`: a hub, over any number of protocols at once. `listen.rs` has the protocols, `settle.rs` the rules
//! by which it settles conflicts, `backup.rs` backups on demand, `verbose.rs` says who calls.

mod backup;
mod listen;
mod settle;
mod verbose;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use synckit::{
    BoxStore, BoxTransport, Endpoint, Environment, ErrorKind, NodeId, SystemEnvironment, store::StoreExt,
};
use synckit_go::{GoClients, GoRoutes};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::adapters::{Kept, stores};
use crate::commands::{self, closing, stopped};
use crate::failure::{self, Exit, Failure};
use crate::output::{self, Output};
use crate::text;
use crate::tls::ServerCertificates;
use backup::Backups;
use listen::{Bound, Listen, Wires};
use settle::Settling;

/// Run a hub that replicas sync with
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit serve --db hub.db\n  \
    synckit serve --db redb:hub.redb --listen 127.0.0.1:8080\n  \
    synckit serve --db hub.db --listen 127.0.0.1:0 --json   any free port; the URL is printed\n  \
    synckit serve --db hub.db --listen 127.0.0.1:8080 --listen grpc://127.0.0.1:8081\n  \
    synckit serve --db hub.db --listen https://0.0.0.0:8443 --tls-cert hub.pem --tls-key hub.key --client-ca ca.pem\n  \
    synckit serve --db hub.db --rules rules.toml            settle conflicts here too\n  \
    synckit serve --db redb:hub.redb --backup hub.bak       kill -USR1 makes a backup\n  \
    synckit serve --db hub.db -v                            say who calls, and what moves\n\n\
    The store is created if it does not exist. Ctrl-C or SIGTERM ends the hub once the running requests are \
    finished. Whoever reaches an address can read and write everything: keep it on the loopback interface or \
    behind a proxy that checks who is calling.")]
pub(crate) struct Args {
    /// The hub's store: FILE or sqlite:FILE, redb:FILE, postgres://…, or memory: for one that ends with the hub
    #[arg(long, value_name = "STORE")]
    db: String,

    /// The address to listen on: IP:PORT, or http://, https://, grpc://, grpcs:// before it; port 0 is any free port;
    /// may be repeated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: Vec<Listen>,

    /// Settle conflicts at the hub too, by the rules in this file: .toml, .yaml or .json; it is read again when it
    /// changes. Or by one rule for all: last-write-wins, first-write-wins, keep-all, field-merge, review
    #[arg(long, value_name = "FILE|RULE")]
    rules: Option<PathBuf>,

    /// Write a backup of the store to this file at each SIGUSR1, in place of the one before
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,

    /// The hub's name; by default, a new store gets `hub-` and random digits
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,

    #[command(flatten)]
    certificates: ServerCertificates,

    /// Serve a client of go-sync-kit of this name below /clients/NAME, and author its events as NODE; may be repeated
    #[arg(long, value_name = "NAME=NODE")]
    go_client: Vec<GoClient>,

    /// Serve clients of go-sync-kit without a name too, at /pull, /pull-cursor and /sse over HTTP; they only read
    #[arg(long)]
    go_readers: bool,
}

/// A client of go-sync-kit that has a name.
#[derive(Clone, Debug)]
struct GoClient {
    name: String,
    node: NodeId,
}

impl FromStr for GoClient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, node) = text.split_once('=').ok_or("write it as NAME=NODE")?;
        let node = NodeId::new(node).map_err(|error| error.to_string())?;
        Ok(GoClient { name: name.to_owned(), node })
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    node: NodeId,
    /// The URLs it listens at, in the order of the options.
    urls: Vec<String>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // Signals are caught from the beginning, so that none ends the hub half-way through its start.
    let stop = stopped()?;
    let encrypted = args.listen.iter().find(|listen| listen.needs_tls());
    if let (Some(listen), false) = (encrypted, args.certificates.given()) {
        let message = format!("a certificate is needed to listen on {listen}");
        return Err(Failure::usage(message, "name it with --tls-cert FILE and --tls-key FILE"));
    }
    if let (Some(listen), true, None) = (args.listen.first(), args.certificates.given(), encrypted) {
        let message = format!("--tls-cert has no effect: {listen} is not encrypted");
        return Err(Failure::usage(message, format!("write --listen {}", listen.secure())));
    }
    let serves_go = args.go_readers || !args.go_client.is_empty();
    if serves_go && !args.listen.iter().any(|listen| listen.is_http()) {
        let message = "clients of go-sync-kit speak HTTP, and no --listen is http:// or https://";
        return Err(Failure::usage(message, "add --listen http://IP:PORT"));
    }
    let tls = args.certificates.read()?;
    // An address that is taken, or rules with a mistake, must not create a store.
    let rules = args.rules.as_deref().map(Settling::new).transpose()?;
    let mut bound = Vec::with_capacity(args.listen.len());
    for listen in &args.listen {
        bound.push(listen.bind().await?);
    }
    let backups = args.backup.clone().map(Backups::new).transpose()?;
    let (scheme, _) = stores().locate(&args.db)?;
    let kept = open(&args).await?;
    let store = kept.store();
    let wires = Wires { tls, go_clients: go_clients(&args, &store).await? };
    let served = async {
        tokio::select! {
            served = serve(&store, bound, wires, rules, output, stop) => served,
            () = Backups::run(backups, &kept, scheme) => Ok(()),
        }
    };
    let served = served.await;
    closing(&store, served).await?;
    Ok(Exit::Done)
}

async fn serve(
    store: &BoxStore,
    bound: Vec<Bound>,
    wires: Wires,
    rules: Option<Settling>,
    output: &mut Output,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let urls = bound.iter().map(Bound::url).collect();
    let answer = Answer { node: store.identity().await?.node, urls };
    match output.answer(&answer).and_then(|()| output.flush()) {
        // A hub continues if nobody reads what it prints.
        Ok(()) | Err(Failure::OutputClosed) => {}
        Err(failure) => return Err(failure),
    }
    for open in bound.iter().filter(|bound| !bound.address.ip().is_loopback()) {
        output::message(format_args!(
            "warning: whoever reaches {} can read and write everything; put a proxy in front of it",
            open.url()
        ));
    }
    let endpoint = Endpoint::new(store.clone());
    let endpoint = match output.is_verbose() {
        true => BoxTransport::new(endpoint.with_observer(verbose::say)),
        false => BoxTransport::new(endpoint),
    };
    let wires = Arc::new(wires);
    let (stopping, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for bound in bound {
        let mut stopped = stopped.clone();
        let shutdown = async move {
            // A dropped sender means the end as well.
            let _ended = stopped.wait_for(|stopping| *stopping).await;
        };
        servers.spawn(bound.serve(endpoint.clone(), wires.clone(), shutdown));
    }
    let mut result = Ok(());
    tokio::select! {
        () = stop => output::message("stopping"),
        failed = settle::run(store, rules) => result = Err(failed),
        // A server ends by itself only if it fails; then the others end with it.
        Some(ended) = servers.join_next() => result = of_server(ended),
    }
    stopping.send_replace(true);
    while let Some(ended) = servers.join_next().await {
        result = result.and(of_server(ended));
    }
    result
}

fn of_server(ended: Result<synckit::Result<()>, tokio::task::JoinError>) -> Result<(), Failure> {
    let ended = ended
        .map_err(|error| failure::system("a server stopped unexpectedly", std::io::Error::other(error)))?;
    Ok(ended?)
}

/// Opens the store if it exists, under the name it has unless one is given; otherwise creates it.
async fn open(args: &Args) -> Result<Kept, Failure> {
    let hint = "check the path";
    match commands::open(&args.db, args.node.clone(), args.node.is_some(), hint).await {
        Err(failure) if failure.kind() == Some(ErrorKind::NotFound) && args.node.is_none() => {
            commands::open(&args.db, Some(new_name()?), true, hint).await
        }
        opened => opened,
    }
}

/// Returns the routes for clients of go-sync-kit; none unless asked for.
async fn go_clients(args: &Args, store: &BoxStore) -> Result<Option<GoRoutes>, Failure> {
    if !args.go_readers && args.go_client.is_empty() {
        return Ok(None);
    }
    let mut clients = GoClients::new(store.clone());
    for GoClient { name, node } in &args.go_client {
        clients = clients.with_client(name, node.clone())?;
    }
    let clients = if args.go_readers { clients.with_readers() } else { clients };
    Ok(Some(clients.routes().await?))
}

fn new_name() -> Result<NodeId, Failure> {
    let mut random = [0; 4];
    SystemEnvironment.fill_random(&mut random)?;
    Ok(NodeId::new(format!("hub-{:08x}", u32::from_be_bytes(random)))?)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.urls.join(" and ");
        write!(f, "{} listens on {urls}; stop it with Ctrl-C", text::plain(self.node.as_str()))
    }
}
