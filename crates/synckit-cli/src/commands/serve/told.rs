//! With `-v`: who calls a hub, what moves, and who stays connected, on standard error.

use std::fmt::Display;
use std::time::Instant;

use futures_util::StreamExt;
use synckit::transport::{
    HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest, PullResponse,
    PushRequest, PushResponse, Traffic,
};
use synckit::{NodeId, Result, Transport};

use crate::output;
use crate::text;

/// A hub that says who calls it.
pub(super) struct Told<T>(pub(super) T);

fn say(node: &NodeId, what: impl Display) {
    output::message(format_args!("{}: {what}", text::plain(node.as_str())));
}

/// Writes a number of events.
fn events(count: usize) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

/// Says what failed, and passes it on.
fn answered<A>(node: &NodeId, call: &str, answer: Result<A>) -> Result<A> {
    answer.inspect_err(|error| say(node, format_args!("{call} failed: {error}")))
}

impl<T: Transport> Transport for Told<T> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        let node = request.caller.node.clone();
        let answer = answered(&node, "hello", self.0.hello(request).await)?;
        match &answer.ahead {
            Some(stored) => say(&node, format_args!("says hello, {} pushed", events(stored.accepted))),
            None => say(&node, "says hello"),
        }
        Ok(answer)
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        let node = request.caller.node.clone();
        let page = answered(&node, "pull", self.0.pull(request).await)?;
        if !page.events.is_empty() {
            say(&node, format_args!("{} pulled", events(page.events.len())));
        }
        Ok(page)
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let node = request.caller.node.clone();
        let answer = answered(&node, "push", self.0.push(request).await)?;
        let refused = match answer.refused.len() {
            0 => String::new(),
            refused => format!(", {refused} refused"),
        };
        if answer.accepted > 0 || !refused.is_empty() {
            say(&node, format_args!("{} pushed{refused}", events(answer.accepted)));
        }
        Ok(answer)
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        let node = request.caller.node.clone();
        answered(&node, "missing", self.0.missing(request).await)
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        let node = request.caller.node.clone();
        let pages = answered(&node, "subscribe", self.0.subscribe(request).await)?;
        let mut connected = Connected::new(node);
        Ok(Box::pin(pages.inspect(move |page| match page {
            Ok(page) => connected.sent += page.events.len(),
            Err(error) => say(&connected.node, format_args!("its subscription failed: {error}")),
        })))
    }

    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

/// A subscription. Says that it has begun, and that it has ended.
struct Connected {
    node: NodeId,
    sent: usize,
    since: Instant,
}

impl Connected {
    fn new(node: NodeId) -> Self {
        say(&node, "is connected");
        Connected { node, sent: 0, since: Instant::now() }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let seconds = self.since.elapsed().as_secs();
        say(&self.node, format_args!("is gone after {seconds} s, {} sent", events(self.sent)));
    }
}
