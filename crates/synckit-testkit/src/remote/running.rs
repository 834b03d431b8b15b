//! A server on a free port, in front of a transport that remembers its requests.

use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;

use synckit_core::{Result, Transport};
use synckit_net::{ClientTls, ServerTls};
use synckit_remote::{Client, ClientConfig, Exchange, ServerConfig, Timeouts, serve, serve_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::double::Double;
use super::requests::hello;
use super::{Wire, service};

/// A running server. It serves until it is stopped, or the runtime ends.
#[derive(Debug)]
pub struct Running<W> {
    /// The address it listens at.
    pub address: SocketAddr,
    /// The transport that answers.
    pub double: Double,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
    wire: PhantomData<fn() -> W>,
}

impl<W: Wire> Running<W> {
    /// Starts a server.
    pub async fn start() -> Self {
        Running::with(ServerConfig::default()).await
    }

    /// Starts a server with these limits and timeouts.
    pub async fn with(config: ServerConfig) -> Self {
        Running::at(([127, 0, 0, 1], 0).into(), config).await
    }

    /// Starts a server at this address.
    pub async fn at(address: SocketAddr, config: ServerConfig) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Running::on(listener, None, config)
    }

    /// Starts a server over TLS.
    pub async fn over_tls(tls: ServerTls, config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Running::on(listener, Some(tls), config)
    }

    fn on(listener: TcpListener, tls: Option<ServerTls>, config: ServerConfig) -> Self {
        let (address, double) = (listener.local_addr().unwrap(), Double::default());
        let service = service::<W, _>(double.clone(), config);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async {
                // If a test drops the value, the server keeps serving.
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            match tls {
                None => serve(listener, service, stopped).await,
                Some(tls) => serve_tls(listener, &tls, service, stopped).await,
            }
        });
        Running { address, double, stop: Some(stop), task, wire: PhantomData }
    }

    /// Returns its URL without TLS.
    pub fn url(&self) -> String {
        format!("{}{}", W::Exchange::PROTOCOL.plain, self.address)
    }

    /// Returns a client.
    pub fn client(&self) -> Client<W::Exchange> {
        self.client_with(|config| config)
    }

    /// Returns a client with this configuration.
    pub fn client_with(&self, config: impl FnOnce(ClientConfig) -> ClientConfig) -> Client<W::Exchange> {
        Client::with_config(config(ClientConfig::new(self.url()))).unwrap()
    }

    /// Returns a client over TLS that calls the server by this name.
    pub fn secure_client(&self, host: &str, tls: ClientTls) -> Client<W::Exchange> {
        let url = format!("{}{host}:{}", W::Exchange::PROTOCOL.secure, self.address.port());
        Client::with_config(ClientConfig::new(url).with_tls(tls)).unwrap()
    }

    /// Begins the shutdown.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until the server has stopped.
    pub async fn stopped(self) {
        self.task.await.unwrap().unwrap();
    }

    /// Opens a connection.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes unchanged, and reads until the server closes.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_all(stream).await
    }

    /// Panics unless it still serves.
    pub async fn still_serves(&self) {
        // With short timeouts and a busy processor, a connection may be closed before its first request comes.
        for _ in 0..5 {
            if self.client().hello(hello()).await.is_ok() {
                return;
            }
        }
        panic!("the server no longer serves");
    }
}

/// Reads until the other side closes.
pub async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset has sent everything before.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns short timeouts, for tests that run into them.
pub fn short() -> Timeouts {
    Timeouts {
        connect_ms: 300,
        keep_alive_ms: 5_000,
        keep_alive_timeout_ms: 5_000,
        idle_ms: 300,
        request_ms: 2_000,
    }
}

/// Starts a server that handles every connection with this function, and returns its URL.
pub async fn fake<W, F, A>(answer: F) -> String
where
    W: Wire,
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{}{}", W::Exchange::PROTOCOL.plain, listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    url
}

/// Starts a server that answers every connection's first request with this text, and returns its URL.
pub async fn canned<W: Wire>(text: &'static str) -> String {
    fake::<W, _, _>(async |mut stream| {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}
