//! A notes program for the terminal. Its copies stay together through a hub, by themselves.
//!
//! Without arguments it shows what it does: a hub and two copies of the program, in one process.

// - `command.rs`: what people type
// - `desk.rs`: the program: waits for commands, for notes of others and for the network, whichever comes first
// - `notes.rs`: the notes, as the log tells them
// - `screen.rs`: what people see
// - `demo.rs`: two copies of the program that show each other's edits

mod command;
mod demo;
mod desk;
mod notes;
mod screen;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use synckit::NodeId;
use tokio::sync::mpsc;

use desk::Desk;
use screen::Screen;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Keeps notes, together with others. Without arguments, it shows how that looks.
#[derive(Debug, Parser)]
struct Args {
    /// The file with the notes; it is created if there is none
    #[arg(long, value_name = "FILE", requires = "name")]
    db: Option<PathBuf>,
    /// Your name; each file has a different one
    #[arg(long, requires = "db")]
    name: Option<NodeId>,
    /// The hub, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", requires = "db")]
    hub: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match (args.db, args.name) {
        (Some(db), Some(name)) => run(db, name, args.hub.as_deref()).await,
        _ => demo::run().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even this cannot be written, the exit code has to do.
            let _ = writeln!(io::stderr(), "live-notes: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(db: PathBuf, name: NodeId, hub: Option<&str>) -> Result {
    let screen = Screen::new(|line| writeln!(io::stdout(), "{line}"));
    Desk::open(db, name, hub, screen).await?.run(typed_lines()).await
}

/// Reads what is typed. It has a thread of its own: a read of a terminal cannot be given up, and would keep the runtime
/// from ending.
fn typed_lines() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(1);
    std::thread::spawn(move || {
        // What is not UTF-8 is no reason to end.
        for line in io::stdin().lock().split(b'\n').map_while(io::Result::ok) {
            if lines.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    typed
}
