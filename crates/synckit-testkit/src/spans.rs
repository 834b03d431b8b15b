//! The spans of `tracing` that synckit makes.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::span::Attributes;
use tracing::subscriber::DefaultGuard;
use tracing::{Id, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Writes down the spans of crates of synckit that begin on this thread, each as `outer > inner`, until it is dropped.
#[derive(Debug)]
pub struct Spans {
    paths: Paths,
    _here: DefaultGuard,
}

type Paths = Arc<Mutex<Vec<String>>>;

struct Writes(Paths);

impl Spans {
    /// Begins to write them down.
    pub fn here() -> Self {
        let paths = Paths::default();
        let layers = tracing_subscriber::registry().with(Writes(paths.clone()));
        Spans { paths, _here: tracing::subscriber::set_default(layers) }
    }

    /// Returns those that have begun since the last call.
    pub fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.paths.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Writes {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let ours = |metadata: &Metadata<'_>| metadata.target().starts_with("synckit");
        let Some(scope) = context.span_scope(id).filter(|_| ours(attributes.metadata())) else { return };
        let spans = scope.from_root().filter(|span| ours(span.metadata()));
        let path: Vec<&str> = spans.map(|span| span.name()).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(path.join(" > "));
    }
}
