//! A client of go-sync-kit as a script: its manager, over the store in SQLite that comes with it.

use std::collections::HashSet;
use std::io::Write;

use serde_json::{Value, json};

use crate::hub::{Answer, Hub, event};

/// A client with a table that numbers its rows itself, whatever number an event came with, and accepts no id twice. Its
/// manager pulls what comes after its last row, up to the first event that cannot be inserted, and then pushes its rows
/// after the number that the server calls its last, in batches, up to the first that is refused.
pub struct Table {
    base: String,
    /// The rows that are there, by number. A number is never used twice.
    pub rows: Vec<(u64, Value)>,
    next: u64,
    ids: HashSet<String>,
    /// `SyncOptions.Filter`, which the manager applies both ways.
    filter: fn(&Value) -> bool,
    /// Whether pushes are packed, as since v0.16; v0.8 sends them plain.
    packs: bool,
    /// The requests that fit into the time of one sync.
    requests: usize,
    /// The events that were pushed, counted at each push.
    pub pushed: usize,
}

impl Table {
    pub fn new(base: &str) -> Table {
        Table {
            base: base.to_owned(),
            rows: Vec::new(),
            next: 1,
            ids: HashSet::new(),
            filter: |_| true,
            packs: true,
            requests: usize::MAX,
            pushed: 0,
        }
    }

    /// Returns a client of v0.8.
    pub fn v0_8(base: &str) -> Table {
        Table { packs: false, ..Table::new(base) }
    }

    pub fn with_filter(self, filter: fn(&Value) -> bool) -> Table {
        Table { filter, ..self }
    }

    pub fn with_requests(self, requests: usize) -> Table {
        Table { requests, ..self }
    }

    /// Records an event offline. Returns false when its id is already there.
    pub fn insert(&mut self, event: Value) -> bool {
        let new = self.ids.insert(event["id"].as_str().unwrap().to_owned());
        if new {
            self.rows.push((self.next, doubles(event)));
            self.next += 1;
        }
        new
    }

    pub fn record(&mut self, id: &str, of: &str) {
        assert!(self.insert(event(id, of, json!({"by": self.base, "n": 1.5}))["event"].take()));
    }

    /// Deletes a row. Its number is not used again.
    pub fn delete(&mut self, id: &str) {
        assert!(self.ids.remove(id));
        self.rows.retain(|(_, event)| event["id"] != id);
    }

    /// Returns the table as a copy of the database from now would have it.
    pub fn copy(&self) -> Table {
        Table { base: self.base.clone(), rows: self.rows.clone(), ids: self.ids.clone(), ..*self }
    }

    pub fn ids(&self) -> HashSet<String> {
        self.ids.clone()
    }

    pub fn holds(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Runs the first half of a sync. Fails when an event that came cannot be inserted.
    pub async fn pull(&mut self, hub: &Hub) -> Result<usize, String> {
        let pulled = self.ask_for_more(hub).await.json();
        let pulled = pulled.as_array().expect("an array");
        for one in pulled {
            assert!(one["version"].as_str().unwrap().parse::<i64>().unwrap() > 0);
        }
        let events = pulled.iter().map(|one| &one["event"]).filter(|event| (self.filter)(event));
        let mut count = 0;
        for event in events.collect::<Vec<_>>() {
            if !self.insert(event.clone()) {
                return Err(format!("UNIQUE constraint failed: {}", event["id"]));
            }
            count += 1;
        }
        Ok(count)
    }

    pub async fn ask_for_more(&self, hub: &Hub) -> Answer {
        let last = self.rows.last().map_or(0, |(number, _)| *number);
        let path = format!("{}/pull?since={last}", self.base);
        let answer = hub.call("GET", &path, "accept-encoding: gzip, deflate\r\n", b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Runs the second half of a sync, with at most this number of requests.
    async fn push_within(&mut self, hub: &Hub, requests: usize) -> Result<(), String> {
        let latest = hub.get(&format!("{}/latest-version", self.base)).await;
        let latest: i64 = latest.json().as_str().unwrap().parse().unwrap();
        assert_ne!(latest, 0, "these clients refuse 0");
        let rows = self.rows.iter().filter(|(number, event)| *number as i64 > latest && (self.filter)(event));
        let rows: Vec<Value> =
            rows.map(|(number, row)| json!({"event": row, "version": number.to_string()})).collect();
        for (at, batch) in rows.chunks(100).enumerate() {
            if at + 1 >= requests {
                return Err("context deadline exceeded".to_owned());
            }
            self.pushed += batch.len();
            let answer = if self.packs {
                push_packed(hub, &self.base, &json!(batch)).await
            } else {
                hub.post(&format!("{}/push", self.base), &json!(batch)).await
            };
            if answer.status != 200 {
                return Err(answer.error());
            }
            assert_eq!(answer.json(), json!({"status": "ok"}));
        }
        Ok(())
    }

    pub async fn push(&mut self, hub: &Hub) -> Result<(), String> {
        self.push_within(hub, usize::MAX).await
    }

    /// Runs a whole sync; pushes even when the pull failed. The first failure is returned.
    pub async fn sync(&mut self, hub: &Hub) -> Result<usize, String> {
        let pulled = self.pull(hub).await;
        self.push_within(hub, self.requests - 1).await?;
        pulled
    }
}

/// Pushes as these clients do: packed from 1,024 bytes on.
pub async fn push_packed(hub: &Hub, base: &str, batch: &Value) -> Answer {
    let body = batch.to_string().into_bytes();
    if body.len() <= 1_024 {
        return hub.post(&format!("{base}/push"), batch).await;
    }
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&body).unwrap();
    let headers =
        "content-type: application/json\r\ncontent-encoding: gzip\r\naccept-encoding: gzip, deflate\r\n";
    hub.call("POST", &format!("{base}/push"), headers, &packer.finish().unwrap()).await
}

/// Returns the value after it is read into doubles and written again.
fn doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
        }
        Value::Array(values) => values.into_iter().map(doubles).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, doubles(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
