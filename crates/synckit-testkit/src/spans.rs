//! The spans of `tracing` that synckit makes.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::LazyLock;

use tracing::span::Attributes;
use tracing::{Id, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Writes down the spans of crates of synckit that begin on this thread, each as `outer > inner`, until it is dropped.
///
/// The first one makes itself the subscriber of the whole process. One for a thread alone would miss spans: `tracing`
/// remembers for each place in the code whether anybody listens, and may ask only the thread that gets there first.
#[derive(Debug)]
pub struct Spans {
    _stays_on_its_thread: PhantomData<*const ()>,
}

thread_local! {
    /// What has begun on this thread since the last look, while somebody writes it down.
    static PATHS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

static LISTENS: LazyLock<()> = LazyLock::new(|| {
    let layers = tracing_subscriber::registry().with(Writes);
    tracing::subscriber::set_global_default(layers).expect("no other subscriber is set in this process");
});

struct Writes;

impl Spans {
    /// Begins to write them down.
    ///
    /// # Panics
    ///
    /// If the process has another global subscriber.
    pub fn here() -> Self {
        LazyLock::force(&LISTENS);
        PATHS.set(Some(Vec::new()));
        Spans { _stays_on_its_thread: PhantomData }
    }

    /// Returns those that have begun since the last call.
    pub fn taken(&self) -> Vec<String> {
        PATHS.replace(Some(Vec::new())).unwrap_or_default()
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        PATHS.set(None);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Writes {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let ours = |metadata: &Metadata<'_>| metadata.target().starts_with("synckit");
        let Some(scope) = context.span_scope(id).filter(|_| ours(attributes.metadata())) else { return };
        PATHS.with_borrow_mut(|paths| {
            let Some(paths) = paths else { return };
            let spans = scope.from_root().filter(|span| ours(span.metadata()));
            let path: Vec<&str> = spans.map(|span| span.name()).collect();
            paths.push(path.join(" > "));
        });
    }
}
