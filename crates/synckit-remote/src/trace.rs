//! The context of a trace, which crosses the wire in headers such as `traceparent`. Where it comes from and what becomes
//! of it is up to the program, because each tracing system keeps it elsewhere.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use tracing::Span;

type Add = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// What adds headers to each call. Two are equal if they are clones.
#[derive(Clone, Default)]
pub struct CallHeaders(Option<Add>);

impl CallHeaders {
    pub(crate) fn new(add: impl Fn(&mut HeaderMap) + Send + Sync + 'static) -> Self {
        CallHeaders(Some(Arc::new(add)))
    }

    /// Adds the headers of a call. Runs within its span.
    pub fn add(&self, headers: &mut HeaderMap) {
        if let Some(add) = &self.0 {
            add(headers);
        }
    }
}

impl PartialEq for CallHeaders {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for CallHeaders {}

impl fmt::Debug for CallHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "CallHeaders(..)" } else { "CallHeaders" })
    }
}

/// What makes the span in which a call with these headers is served.
pub(crate) type SpanOf = Arc<dyn Fn(&HeaderMap) -> Span + Send + Sync>;
