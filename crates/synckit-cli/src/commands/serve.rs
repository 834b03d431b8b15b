//! `synckit serve`: a hub over HTTP.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;
use synckit::{Endpoint, Environment, NodeId, SystemEnvironment};
use synckit_http::SyncService;
use synckit_sqlite::{SqliteConfig, SqliteStore};
use tokio::net::TcpListener;

use crate::commands::{closing, stopped};
use crate::failure::{self, Exit, Failure};
use crate::output::{self, Output};
use crate::text;

/// Run a hub, with which replicas sync over HTTP
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit serve --db hub.db\n  \
    synckit serve --db hub.db --listen 127.0.0.1:0 --json   any free port; the address is printed\n\n\
    The file is created when it is not there. Ctrl-C or SIGTERM ends the hub once the running requests are \
    answered. Whoever reaches the address can read and write everything: keep it on the loopback interface or \
    behind a proxy that checks who is calling.")]
pub(crate) struct Args {
    /// The hub's file
    #[arg(long, value_name = "FILE")]
    db: PathBuf,

    /// The address to listen on; port 0 is any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The hub's name; for a new file `hub-` and random digits unless given
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
}

#[derive(Debug, Serialize)]
struct Answer {
    listening: SocketAddr,
    url: String,
    node: NodeId,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // Heard from the beginning, so that no signal ends the hub half-way through its start.
    let stop = stopped()?;
    // An address that is taken creates no file.
    let listener = TcpListener::bind(args.listen).await.map_err(|error| cannot_listen(args.listen, error))?;
    let store = open(&args).await?;
    let served = serve(&store, listener, output, stop).await;
    closing(&store, served).await?;
    Ok(Exit::Done)
}

async fn serve(
    store: &SqliteStore,
    listener: TcpListener,
    output: &mut Output,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let listening = listener
        .local_addr()
        .map_err(|error| failure::system("the address listened on is not known", error))?;
    let answer = Answer { listening, url: format!("http://{listening}"), node: store.node().clone() };
    match output.answer(&answer).and_then(|()| output.flush()) {
        // A hub goes on without anybody who reads what it prints.
        Ok(()) | Err(Failure::OutputClosed) => {}
        Err(failure) => return Err(failure),
    }
    if !listening.ip().is_loopback() {
        output::message(format_args!(
            "warning: whoever reaches {listening} can read and write everything; put a proxy in front of it"
        ));
    }
    let endpoint = Endpoint::new(store.clone()).with_watch(store.clone());
    let shutdown = async {
        stop.await;
        output::message("stopping");
    };
    synckit_http::serve(listener, SyncService::new(endpoint), shutdown).await?;
    Ok(())
}

async fn open(args: &Args) -> Result<SqliteStore, Failure> {
    let mut config = SqliteConfig::new(&args.db);
    config.node = match &args.node {
        Some(node) => Some(node.clone()),
        None if args.db.exists() => None,
        None => Some(new_name()?),
    };
    Ok(SqliteStore::open(config).await?)
}

fn new_name() -> Result<NodeId, Failure> {
    let mut random = [0; 4];
    SystemEnvironment.fill_random(&mut random)?;
    Ok(NodeId::new(format!("hub-{:08x}", u32::from_be_bytes(random)))?)
}

fn cannot_listen(address: SocketAddr, error: std::io::Error) -> Failure {
    let taken = error.kind() == std::io::ErrorKind::AddrInUse;
    let error = synckit::Error::new(synckit::ErrorKind::Denied, "the address cannot be listened on")
        .with("address", address)
        .with_source(error);
    match Failure::from(error) {
        failure if taken => failure.hint("another program has the port; choose one with --listen, 0 for any"),
        failure => failure,
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listens on {}; stop it with Ctrl-C", text::plain(self.node.as_str()), self.url)
    }
}
