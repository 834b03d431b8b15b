//! TLS with real sockets and certificates: who is let in, who is not, and what each side is told.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::net::SocketAddr;

use common::certificates::Authority;
use common::{Double, Server, events, hello, pull, push, short};
use synckit_core::{Error, ErrorKind, Transport};
use synckit_grpc::{
    ClientConfig, ClientTls, GrpcService, GrpcTransport, ServerConfig, ServerTls, TlsIdentity, serve_tls,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn start_with(tls: ServerTls, config: ServerConfig) -> (SocketAddr, Double) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let double = Double::default();
    let service = GrpcService::new(double.clone()).with_config(config);
    tokio::spawn(async move { serve_tls(listener, &tls, service, std::future::pending()).await });
    (address, double)
}

async fn start(tls: ServerTls) -> SocketAddr {
    start_with(tls, ServerConfig::default()).await.0
}

fn client(url: String, tls: ClientTls) -> GrpcTransport {
    GrpcTransport::with_config(ClientConfig::new(url).with_tls(tls)).unwrap()
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::new().with_public_roots(false).with_roots(&authority.pem())
}

async fn refused(client: &GrpcTransport) -> Error {
    client.hello(hello()).await.expect_err("an error")
}

#[tokio::test]
async fn a_trusted_server_is_called_and_every_byte_is_counted() {
    let authority = Authority::new();
    let (address, double) =
        start_with(ServerTls::new(authority.server("127.0.0.1")), ServerConfig::default()).await;
    *double.log.lock().unwrap() = events(50);
    let client = client(format!("grpcs://{address}"), trusting(&authority));
    assert_eq!(client.hello(hello()).await.unwrap().node.as_str(), "hub");
    let handshake = client.traffic();
    assert!(handshake.sent > 300 && handshake.received > 800, "the handshake is counted: {handshake:?}");
    assert_eq!(client.pull(pull()).await.unwrap().events.len(), 50);
    assert_eq!(client.push(push(events(50))).await.unwrap().accepted, 50);
    assert!(client.traffic().sent > handshake.sent);
}

#[tokio::test]
async fn a_name_is_checked_too_where_the_server_has_one() {
    let authority = Authority::new();
    let address = start(ServerTls::new(authority.server("localhost"))).await;
    let named = client(format!("grpcs://localhost:{}", address.port()), trusting(&authority));
    assert!(named.hello(hello()).await.is_ok());
    let error = refused(&client(format!("grpcs://{address}"), trusting(&authority))).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("another name"), "{error}");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused() {
    let authority = Authority::new();
    let address = start(ServerTls::new(authority.server("127.0.0.1"))).await;
    for tls in [ClientTls::new(), trusting(&Authority::new())] {
        let error = refused(&client(format!("grpcs://{address}"), tls)).await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("add its authority"), "{error}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_named_so() {
    let authority = Authority::new();
    let address = start(ServerTls::new(authority.expired("127.0.0.1"))).await;
    let error = refused(&client(format!("grpcs://{address}"), trusting(&authority))).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("expired"), "{error}");
}

#[tokio::test]
async fn clients_show_certificates_where_they_must() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = ServerTls::new(authority.server("127.0.0.1")).with_required_clients(clients.pem());
    let url = format!("grpcs://{}", start(tls).await);
    let with = |identity| client(url.clone(), trusting(&authority).with_identity(identity));
    assert!(with(clients.client()).hello(hello()).await.is_ok());

    let error = refused(&client(url.clone(), trusting(&authority))).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().contains("client certificate; configure one"), "{error}");

    let error = refused(&with(Authority::new().client())).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().contains("does not trust the authority"), "{error}");
    assert!(with(clients.client()).hello(hello()).await.is_ok(), "it goes on serving");
}

#[tokio::test]
async fn clients_need_no_certificate_where_it_is_optional_but_no_wrong_one_is_taken() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = ServerTls::new(authority.server("127.0.0.1")).with_optional_clients(clients.pem());
    let url = format!("grpcs://{}", start(tls).await);
    let with = |identity| client(url.clone(), trusting(&authority).with_identity(identity));
    assert!(client(url.clone(), trusting(&authority)).hello(hello()).await.is_ok());
    assert!(with(clients.client()).hello(hello()).await.is_ok());
    assert_eq!(refused(&with(Authority::new().client())).await.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn plain_calls_to_a_tls_port_are_told_what_to_check() {
    let address = start(ServerTls::new(Authority::new().server("127.0.0.1"))).await;
    let plain = GrpcTransport::new(format!("grpc://{address}")).unwrap();
    let error = plain.push(push(events(200))).await.expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("with TLS (grpcs://)"), "{error}");
}

#[tokio::test]
async fn tls_to_a_plain_port_is_told_so() {
    let server = Server::start().await;
    let error = refused(&client(format!("grpcs://{}", server.address), ClientTls::new())).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains("use grpc://"), "{error}");
}

#[tokio::test]
async fn handshakes_that_fail_or_never_end_cost_a_connection_for_a_while_and_nothing_else() {
    let authority = Authority::new();
    let config = ServerConfig { timeouts: short(), connections: 2, ..ServerConfig::default() };
    let (address, _) = start_with(ServerTls::new(authority.server("127.0.0.1")), config).await;
    // Both slots are held by callers that say nothing, or not enough; each is closed after its time.
    for start in [&b""[..], &[22, 3, 1, 2, 0, 1], &[22, 3, 1, 2, 0, 1], b""] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        assert!(said.is_empty(), "nothing is said to a caller that stays silent");
    }
    let mut noise = TcpStream::connect(address).await.unwrap();
    noise.write_all(&[22; 600]).await.unwrap();
    let _ = noise.read_to_end(&mut Vec::new()).await;
    // With so little time for a handshake and little processor, the first may fail.
    for attempt in 1.. {
        match client(format!("grpcs://{address}"), trusting(&authority)).hello(hello()).await {
            Ok(_) => break,
            Err(error) => assert!(attempt < 5, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_the_handshake_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpcs://{}", listener.local_addr().unwrap());
    let config = ClientConfig::new(url).with_timeouts(short());
    let error = refused(&GrpcTransport::with_config(config).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_errors_from_the_start_without_the_key() {
    let authority = Authority::new();
    let (good, other) = (authority.server("127.0.0.1"), authority.client());
    let wrong = [
        TlsIdentity::new("", good.key.clone()),
        TlsIdentity::new(good.chain.clone(), ""),
        TlsIdentity::new(good.chain.clone(), good.key.replace("PRIVATE KEY", "SECRET KEY")),
        TlsIdentity::new(good.chain.clone(), other.key.clone()),
    ];
    for identity in wrong {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = ServerTls::new(identity.clone());
        let service = GrpcService::new(Double::default());
        let error = serve_tls(listener, &tls, service, std::future::ready(())).await.expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let tls = trusting(&authority).with_identity(identity);
        let config = ClientConfig::new("grpcs://127.0.0.1:1").with_tls(tls);
        assert_eq!(GrpcTransport::with_config(config).expect_err("an error").kind(), ErrorKind::Invalid);
    }
    let none = ClientConfig::new("grpcs://127.0.0.1:1").with_tls(ClientTls::new().with_public_roots(false));
    assert_eq!(GrpcTransport::with_config(none).expect_err("an error").kind(), ErrorKind::Invalid);
    let secret = good.key.lines().nth(1).unwrap();
    let config = ClientConfig::new("grpcs://h:1").with_tls(ClientTls::new().with_identity(good.clone()));
    assert!(!format!("{config:?} {:?}", ServerTls::new(good.clone())).contains(secret));
}
