//! Further routes beside synckit's own: what another crate needs to answer other callers in the same service, sharing
//! its room, deadlines and limits.
//!
//! Give an implementation of [`Routes`] to [`HttpService::with_routes`](crate::HttpService::with_routes). The functions
//! here are those that the service itself uses.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use synckit_net::BoxError;
use synckit_remote::Admission;

pub use crate::body::check_announced;
pub use crate::compression::coding_of;
pub use crate::problem::{Problem, body_of, packed};
pub use crate::route::check_verb;
pub use crate::service::ResponseBody;

/// The body of a request, not yet read.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// An answer that is being made.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>>;

/// Routes at paths that do not begin with `/v1/`.
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use synckit_http::routes::{Answering, RequestBody, Routes};
/// use synckit_remote::Admission;
///
/// /// Says hello at every path.
/// struct Hello;
///
/// impl Routes for Hello {
///     fn answer<'a>(&'a self, _: Request<RequestBody>, _: &'a Admission) -> Answering<'a> {
///         Box::pin(async { Response::new(Full::from("hello").boxed_unsync()) })
///     }
/// }
/// ```
pub trait Routes: Send + Sync + 'static {
    /// Makes the answer to a request. The implementation takes room in `admission` for everything it does.
    fn answer<'a>(&'a self, request: Request<RequestBody>, admission: &'a Admission) -> Answering<'a>;
}
