//! The same rows from one SQLite file to another through hyper: JSON pages of 1,000; the next one is fetched while
//! one is stored.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1::{self as http1_client, SendRequest};
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rusqlite::{Connection, params};
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};

use crate::measure::{Measured, Sample, Scale};
use crate::raw::json::{Page, Plain};
use crate::raw::sqlite;
use crate::sample::{PAGE, events};

const SELECT: &str = "SELECT id, type, aggregate, data, metadata, origin, counter, clock, time FROM events
                      WHERE position > ? ORDER BY position LIMIT ?";
const INSERT: &str = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

fn read(connection: &Connection, after: usize) -> Measured<Page> {
    let mut select = connection.prepare_cached(SELECT)?;
    let raw = |text: String| RawValue::from_string(text).map_err(|_| rusqlite::Error::InvalidQuery);
    let rows = select.query_map(params![after as i64, PAGE as i64], |row| {
        let clock: Vec<u8> = row.get(7)?;
        let clock =
            synckit::VectorClock::decode(&mut &clock[..]).map_err(|_| rusqlite::Error::InvalidQuery)?;
        Ok(Plain {
            id: row.get(0)?,
            event_type: row.get(1)?,
            aggregate_id: row.get(2)?,
            data: raw(row.get(3)?)?,
            metadata: raw(row.get(4)?)?,
            dot: (row.get(5)?, row.get::<_, i64>(6)?.cast_unsigned()),
            clock: clock.iter().map(|(node, counter)| (node.to_string(), counter)).collect(),
            time: row.get::<_, i64>(8)?.to_string(),
        })
    })?;
    let events = rows.collect::<Result<Vec<_>, _>>()?;
    let next = after + events.len();
    Ok(Page { more: events.len() == PAGE, events, next })
}

fn store(connection: &mut Connection, after: usize, page: &Page) -> Measured<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut bytes = Vec::new();
        for (at, event) in page.events.iter().enumerate() {
            bytes.clear();
            for (node, counter) in &event.clock {
                bytes.extend_from_slice(node.as_bytes());
                bytes.extend_from_slice(&counter.to_be_bytes());
            }
            insert.execute(params![
                (after + at + 1) as i64,
                0x0123_4567_89ab_cdef_i64,
                event.id,
                event.event_type,
                event.aggregate_id,
                event.dot.0,
                event.dot.1.cast_signed(),
                event.time.parse::<i64>()?,
                [7_u8; 16],
                bytes,
                event.metadata.get(),
                event.data.get(),
            ])?;
        }
    }
    Ok(transaction.commit()?)
}

/// Serves pages of this file; the query gives the position to read after.
async fn serve(listener: TcpListener, path: PathBuf) -> Measured<()> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let connection = std::sync::Arc::new(std::sync::Mutex::new(Connection::open(&path)?));
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
        let connection = connection.clone();
        async move {
            let after = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(0);
            let body = tokio::task::spawn_blocking(move || {
                let connection = connection.lock().map_err(|_| "a reader panicked")?;
                Measured::Ok(serde_json::to_vec(&read(&connection, after)?)?)
            });
            let body = body.await.map_err(Box::from).and_then(|body| body).unwrap_or_default();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
        }
    });
    Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await?)
}

async fn transfer(from: &Path, to: &Path) -> Measured<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, from.to_owned()));
    // One connection, used in turn: a pool may open a second while the first is on its way back.
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1_client::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let fetch = |mut sender: SendRequest<Empty<Bytes>>, after: usize| {
        tokio::spawn(async move {
            sender.ready().await?;
            let request = Request::get(format!("/?{after}")).header(HOST, address.to_string());
            let answer = sender.send_request(request.body(Empty::new())?).await?;
            let body = answer.into_body().collect().await?.to_bytes();
            Measured::Ok((sender, serde_json::from_slice::<Page>(&body)?))
        })
    };
    let mut target = sqlite::open(to)?;
    let (mut after, mut fetched) = (0, fetch(sender, 0));
    loop {
        let (sender, page) = fetched.await??;
        if !page.more {
            break;
        }
        fetched = fetch(sender, page.next);
        (target, after) = tokio::task::spawn_blocking(move || {
            store(&mut target, after, &page)?;
            Measured::Ok((target, page.next))
        })
        .await??;
    }
    connection.abort();
    server.abort();
    Ok(after)
}

pub(crate) fn sync(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let (from, to) = (directory.path().join("from.db"), directory.path().join("to.db"));
    let mut source = sqlite::open(&from)?;
    for (at, page) in events(scale.events)?.chunks(PAGE).enumerate() {
        sqlite::insert(&mut source, at * PAGE, page)?;
    }
    drop(source);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut moved = 0;
    let sample = Sample::of(scale.events, || {
        moved = runtime.block_on(transfer(&from, &to))?;
        Ok(())
    })?;
    assert_eq!(moved, scale.events, "all events are moved");
    Ok(sample)
}
