//! `synckit serve`: a hub, over as many wires at once as are asked for. `listen.rs` has the wires, `settle.rs` the rules
//! by which it settles conflicts.

mod listen;
mod settle;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use synckit::{
    AnyStore, BoxTransport, Endpoint, Environment, ErrorKind, NodeId, StoreExt, SystemEnvironment,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::adapters::adapters;
use crate::commands::{closing, stopped};
use crate::failure::{self, Exit, Failure};
use crate::output::{self, Output};
use crate::text;
use listen::{Bound, Listen};
use settle::Settling;

/// Run a hub, with which replicas sync
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit serve --db hub.db\n  \
    synckit serve --db redb:hub.redb --listen 127.0.0.1:8080\n  \
    synckit serve --db hub.db --listen 127.0.0.1:0 --json   any free port; the URL is printed\n  \
    synckit serve --db hub.db --rules rules.toml            settle conflicts here, too\n\n\
    The store is created when it is not there. Ctrl-C or SIGTERM ends the hub once the running requests are \
    answered. Whoever reaches an address can read and write everything: keep it on the loopback interface or \
    behind a proxy that checks who is calling.")]
pub(crate) struct Args {
    /// The hub's store: FILE or sqlite:FILE, redb:FILE, or memory: for one that ends with the hub
    #[arg(long, value_name = "STORE")]
    db: String,

    /// The address to listen on, IP:PORT or a URL; port 0 is any free port; may be repeated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: Vec<Listen>,

    /// Settle conflicts here too, by the rules in this file: .toml, .yaml or .json; it is read again when it changes
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// The hub's name; for a new store `hub-` and random digits unless given
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
}

#[derive(Debug, Serialize)]
struct Answer {
    node: NodeId,
    /// Where it listens, in the order asked for.
    urls: Vec<String>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // Heard from the beginning, so that no signal ends the hub half-way through its start.
    let stop = stopped()?;
    // An address that is taken, or rules with a mistake, create no store.
    let rules = args.rules.as_deref().map(Settling::new).transpose()?;
    let mut bound = Vec::with_capacity(args.listen.len());
    for listen in &args.listen {
        bound.push(listen.bind().await?);
    }
    let store = open(&args).await?;
    let served = serve(&store, bound, rules, output, stop).await;
    closing(&store, served).await?;
    Ok(Exit::Done)
}

async fn serve(
    store: &AnyStore,
    bound: Vec<Bound>,
    rules: Option<Settling>,
    output: &mut Output,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let urls = bound.iter().map(Bound::url).collect();
    let answer = Answer { node: store.identity().await?.node, urls };
    match output.answer(&answer).and_then(|()| output.flush()) {
        // A hub goes on without anybody who reads what it prints.
        Ok(()) | Err(Failure::OutputClosed) => {}
        Err(failure) => return Err(failure),
    }
    for open in bound.iter().filter(|bound| !bound.address.ip().is_loopback()) {
        output::message(format_args!(
            "warning: whoever reaches {} can read and write everything; put a proxy in front of it",
            open.url()
        ));
    }
    let endpoint = BoxTransport::new(Endpoint::new(store.clone()).with_watch(store.clone()));
    let (stopping, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for bound in bound {
        let mut stopped = stopped.clone();
        let shutdown = async move {
            // A sender that is gone means the end as well.
            let _ended = stopped.wait_for(|stopping| *stopping).await;
        };
        servers.spawn(bound.serve(endpoint.clone(), shutdown));
    }
    let mut result = Ok(());
    tokio::select! {
        () = stop => output::message("stopping"),
        failed = settle::run(store, rules) => result = Err(failed),
        // A server ends by itself only when it fails; the others then end with it.
        Some(ended) = servers.join_next() => result = of_server(ended),
    }
    stopping.send_replace(true);
    while let Some(ended) = servers.join_next().await {
        result = result.and(of_server(ended));
    }
    result
}

fn of_server(ended: Result<synckit::Result<()>, tokio::task::JoinError>) -> Result<(), Failure> {
    let ended = ended.map_err(|error| failure::system("a server broke off", std::io::Error::other(error)))?;
    Ok(ended?)
}

/// Opens the store that is there, under the name it has unless one is given; else makes it.
async fn open(args: &Args) -> Result<AnyStore, Failure> {
    match adapters().open(&args.db, args.node.clone(), args.node.is_some()).await {
        Err(error) if error.kind() == ErrorKind::NotFound && args.node.is_none() => {
            Ok(adapters().open(&args.db, Some(new_name()?), true).await?)
        }
        opened => Ok(opened?),
    }
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
