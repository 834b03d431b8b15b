//! A to-do list that works offline. Each copy keeps its list in a file; copies meet through a hub.

#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

mod demo;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use synckit::view::{View, ViewHandle};
use synckit::{AggregateId, Event, ManualReview, NewEvent, NodeId, Replica, SyncManager, Transport};
use synckit_http::HttpTransport;
use synckit_sqlite::SqliteStore;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
type Todos = ViewHandle<SqliteStore, TodoList>;

/// What is shown of one to-do.
#[derive(Default, Serialize, Deserialize)]
struct Todo {
    text: String,
    done: bool,
}

struct TodoList;

impl View for TodoList {
    type State = Todo;

    fn name(&self) -> &str {
        "todo"
    }

    fn apply(&self, todo: &mut Todo, event: &Event) {
        match event.event_type.as_str() {
            "Added" | "Renamed" => todo.text = event.data.parse().unwrap_or_default(),
            "Done" => todo.done = true,
            _ => {}
        }
    }
}

const USAGE: &str = "todo FILE NAME list | add TEXT | done NUMBER | rename NUMBER TEXT | sync URL";

#[tokio::main]
async fn main() -> Result {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => demo::run().await,
        [file, name, "sync", url] => sync(&open(file, name).await?, HttpTransport::new(*url)?).await,
        [file, name, command @ ..] => run(&open(file, name).await?, command).await,
        _ => Err(USAGE.into()),
    }
}

async fn open(file: impl Into<PathBuf>, name: &str) -> Result<Todos> {
    let store = SqliteStore::open_as(file, NodeId::new(name)?).await?;
    // Of two texts that were written offline, a person picks one: with another `rename`.
    Ok(Replica::builder(store).with_resolver(ManualReview).build().with_view(TodoList)?)
}

async fn run(todos: &Todos, command: &[&str]) -> Result {
    let replica = todos.replica();
    let list = todos.page("todo-", None, 1_000).await?;
    let numbered = |number: &str| -> Result<AggregateId> {
        let at = number.parse::<usize>().ok().and_then(|at| list.get(at.checked_sub(1)?));
        Ok(at.ok_or("there is no to-do with this number; see `list`")?.0.clone())
    };
    let event = match command {
        ["list"] => return print(replica, &list).await,
        ["add", text] => {
            let id = format!("todo-{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
            NewEvent::new("Added", id, text)?
        }
        ["done", number] => NewEvent::new("Done", numbered(number)?, &())?,
        ["rename", number, text] => NewEvent::new("Renamed", numbered(number)?, text)?,
        _ => return Err(USAGE.into()),
    };
    replica.record([event]).await?;
    Ok(())
}

async fn print(replica: &Replica<SqliteStore>, list: &[(AggregateId, Todo)]) -> Result {
    let open: BTreeSet<AggregateId> =
        replica.conflicts().await?.into_iter().map(|one| one.aggregate).collect();
    for (at, (id, todo)) in list.iter().enumerate() {
        println!("{} [{}] {}", at + 1, if todo.done { "x" } else { " " }, todo.text);
        if open.contains(id) {
            for side in replica.current(id).await?.events() {
                println!("      edited twice: {} {}", side.event_type, side.data.as_json().unwrap_or("-"));
            }
        }
    }
    Ok(())
}

async fn sync(todos: &Todos, peer: impl Transport) -> Result {
    let report = SyncManager::new(todos.replica().clone(), peer).sync().await?;
    println!("{} sent, {} received, {} to settle", report.pushed, report.pulled, report.conflicts.left);
    Ok(())
}
