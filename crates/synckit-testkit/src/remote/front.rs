//! A proxy in front of a server that reads whole requests and does to them what proxies do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use synckit_remote::Exchange;
use tokio::net::TcpListener;

use super::Wire;

/// What a [`Front`] does with a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Passes it on, with the headers as the rule has left them.
    Pass,
    /// Responds in place of the server, with this status and a page of HTML.
    Answer(u16),
    /// Passes it on twice, and returns the second answer.
    Twice,
    /// Passes on the request before it once more, then this one.
    Late,
    /// Passes it on, and responds in place of the server.
    LoseAnswer,
    /// Returns the answer to the request of which this was said last, whoever made it. The first gets none.
    Swap,
    /// Returns half of the answer as if it were whole.
    Truncate,
    /// Changes the headers of the answer.
    Alter(fn(&mut HeaderMap)),
}

type Rule = Box<dyn Fn(&mut Parts, &Bytes) -> Verdict + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, hyper::Error>;
type Whole = Request<Full<Bytes>>;
type Answer = Response<Collected<Bytes>>;
type Pool = Client<HttpConnector, Full<Bytes>>;

/// A proxy in front of a server, for every protocol over HTTP.
pub struct Front {
    address: SocketAddr,
    plain: &'static str,
    state: Arc<State>,
}

struct State {
    to: SocketAddr,
    pool: Pool,
    rule: Mutex<Arc<Rule>>,
    requests: AtomicU64,
    bytes: AtomicU64,
    /// The last request.
    last: Mutex<Option<Whole>>,
    /// An answer that was held back.
    held: Mutex<Option<Answer>>,
}

impl Front {
    /// Starts a proxy that passes everything on.
    pub async fn start<W: Wire>(to: SocketAddr) -> Self {
        let protocol = W::Exchange::PROTOCOL;
        let two = protocol.alpn == "h2";
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Client::builder(TokioExecutor::new()).http2_only(two).build(connector);
        let pass: Rule = Box::new(|_, _| Verdict::Pass);
        let state = State {
            to,
            pool,
            rule: Mutex::new(Arc::new(pass)),
            requests: AtomicU64::default(),
            bytes: AtomicU64::default(),
            last: Mutex::default(),
            held: Mutex::default(),
        };
        let state = Arc::new(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, two, state.clone()));
        Front { address, plain: protocol.plain, state }
    }

    /// Sets what it does with requests from now on.
    pub fn rule(&self, rule: impl Fn(&mut Parts, &Bytes) -> Verdict + Send + Sync + 'static) {
        *self.state.rule.lock().unwrap() = Arc::new(Box::new(rule));
    }

    /// Passes everything on from now on.
    pub fn heal(&self) {
        self.rule(|_, _| Verdict::Pass);
    }

    /// Returns the address it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("{}{}", self.plain, self.address)
    }

    /// Returns the number of requests since the last call.
    pub fn requests(&self) -> u64 {
        self.state.requests.swap(0, Ordering::Relaxed)
    }

    /// Returns the bytes of the bodies of requests since the last call.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.swap(0, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, two: bool, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let state = state.clone();
        let answer = service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(state.answer(request).await) }
        });
        let stream = TokioIo::new(stream);
        tokio::spawn(async move {
            // A connection ends as its caller likes.
            let _ = match two {
                true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await,
                false => http1::Builder::new().serve_connection(stream, answer).await,
            };
        });
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else { return page(400) };
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let rule = self.rule.lock().unwrap().clone();
        let verdict = rule(&mut parts, &body);
        if let Verdict::Answer(status) = verdict {
            return page(status);
        }
        let path = parts.uri.path_and_query().unwrap().clone();
        let uri = Uri::builder().scheme("http").authority(self.to.to_string()).path_and_query(path);
        parts.uri = uri.build().unwrap();
        let request = Request::from_parts(parts, Full::new(body));
        if matches!(verdict, Verdict::Pass) {
            return match self.pool.request(request).await {
                Ok(answer) => answer.map(BodyExt::boxed_unsync),
                Err(_) => page(502),
            };
        }
        self.harmed(verdict, request).await.unwrap_or_else(|| page(502))
    }

    /// Returns the answer to a request that is not simply passed on, if there is one.
    async fn harmed(&self, verdict: Verdict, request: Whole) -> Option<Response<Body>> {
        let before = self.last.lock().unwrap().replace(request.clone());
        let again = match verdict {
            Verdict::Twice => Some(request.clone()),
            Verdict::Late => before,
            _ => None,
        };
        if let Some(again) = again {
            self.whole(again).await?;
        }
        let mut answer = self.whole(request).await?;
        match verdict {
            Verdict::LoseAnswer => return None,
            Verdict::Swap => answer = self.held.lock().unwrap().replace(answer)?,
            Verdict::Alter(alter) => alter(answer.headers_mut()),
            Verdict::Truncate => {
                let (mut parts, body) = answer.into_parts();
                parts.headers.remove(CONTENT_LENGTH);
                let mut body = body.to_bytes();
                body.truncate(body.len() / 2);
                return Some(Response::from_parts(parts, boxed(Full::new(body))));
            }
            _ => {}
        }
        Some(answer.map(boxed))
    }

    /// Passes a request on, and collects its answer.
    async fn whole(&self, request: Whole) -> Option<Answer> {
        let (parts, body) = self.pool.request(request).await.ok()?.into_parts();
        Some(Response::from_parts(parts, body.collect().await.ok()?))
    }
}

fn boxed(body: impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Returns the page of a proxy.
fn page(status: u16) -> Response<Body> {
    let text = format!("<html><title>{status}</title><body>Blocked by the gateway</body></html>");
    let mut page = Response::builder().status(status).header(CONTENT_TYPE, "text/html");
    if (300..400).contains(&status) {
        page = page.header(LOCATION, "http://127.0.0.1:9/login");
    }
    page.body(boxed(Full::new(Bytes::from(text)))).unwrap()
}
