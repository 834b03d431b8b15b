//! Two copies of the program that show each other's edits.
//!
//! Each has a file of its own, and both reach a hub over a real socket. All that is typed here works in two terminals
//! too.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use synckit::{Endpoint, NodeId};
use synckit_http::{HttpService, serve};
use synckit_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Result;
use crate::desk::Desk;
use crate::screen::Screen;

/// How long to wait for a line, at most. It takes milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// A person at a terminal.
struct Person {
    name: &'static str,
    keyboard: mpsc::Sender<String>,
    lines: mpsc::UnboundedReceiver<String>,
    desk: JoinHandle<Result>,
}

/// Lets two people edit, online and offline, and settle their conflict.
pub(crate) async fn run() -> Result {
    let directory = tempfile::tempdir()?;
    let hub = SqliteStore::open_as(directory.path().join("hub.db"), NodeId::new("hub")?).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(serve(listener, HttpService::new(Endpoint::new(hub)), std::future::pending()));

    heading("Ann and Ben open their notes")?;
    let mut ann = Person::sit_down("ann", directory.path(), &url).await?;
    let mut ben = Person::sit_down("ben", directory.path(), &url).await?;
    ann.sees("up to date").await?;
    ben.sees("up to date").await?;

    heading("What one writes, the other sees at once")?;
    ann.types("add buy milk").await?;
    ben.sees("buy milk (ann)").await?;
    ben.types("edit 1 buy milk and bread").await?;
    ann.sees("buy milk and bread (ben)").await?;

    heading("Ben goes offline, and both edit the same note")?;
    ben.types("pause").await?;
    ben.sees("paused").await?;
    ben.types("edit 1 buy oat milk and bread").await?;
    ben.sees("1 to go").await?;
    ann.types("edit 1 buy milk and two loaves of bread").await?;
    ann.sees("two loaves").await?;

    heading("Ben comes back: nothing is lost, and a person decides")?;
    ben.types("resume").await?;
    ben.sees("is in conflict").await?;
    ann.sees("is in conflict").await?;
    ann.sees("type `keep 1 a`").await?;
    ann.types("keep 1 a").await?;
    ann.sees("1. ").await?;
    ben.sees("settled").await?;

    heading("Both have the same notes")?;
    let shown = [ann.lists().await?, ben.lists().await?];
    ann.leaves().await?;
    ben.leaves().await?;
    match shown {
        [ann, ben] if ann == ben => heading("Start it with --help to keep notes of your own"),
        [ann, ben] => Err(format!("ann sees {ann}, and ben sees {ben}").into()),
    }
}

impl Person {
    /// Starts a copy of the program.
    async fn sit_down(name: &'static str, directory: &Path, url: &str) -> Result<Person> {
        let (shown, lines) = mpsc::unbounded_channel();
        let screen = Screen::new(move |line| {
            writeln!(io::stdout(), "{name} | {line}")?;
            shown.send(line.to_owned()).map_err(io::Error::other)
        });
        let db = directory.join(format!("{name}.db"));
        let desk = Desk::open(db, NodeId::new(name)?, Some(url), screen).await?;
        let (keyboard, typed) = mpsc::channel(1);
        Ok(Person { name, keyboard, lines, desk: tokio::spawn(desk.run(typed)) })
    }

    async fn types(&self, command: &str) -> Result {
        writeln!(io::stdout(), "{} > {command}", self.name)?;
        Ok(self.keyboard.send(command.to_owned()).await?)
    }

    /// Waits for a line with these words, and returns it.
    async fn sees(&mut self, words: &str) -> Result<String> {
        let line = async {
            loop {
                match self.lines.recv().await {
                    Some(line) if line.contains(words) => return Ok(line),
                    Some(_) => {}
                    None => return Err(format!("{} has ended before it showed: {words}", self.name).into()),
                }
            }
        };
        let waited = timeout(LIMIT, line).await;
        waited.unwrap_or_else(|_| Err(format!("{} did not show: {words}", self.name).into()))
    }

    /// Lists the notes, and returns the first.
    async fn lists(&mut self) -> Result<String> {
        self.types("list").await?;
        self.sees("1. ").await
    }

    /// Ends the copy of the program.
    async fn leaves(self) -> Result {
        self.types("quit").await?;
        self.desk.await?
    }
}

fn heading(text: &str) -> Result {
    Ok(writeln!(io::stdout(), "\n{text}")?)
}
