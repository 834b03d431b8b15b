//! TLS with real sockets and certificates: who is let in, who is not, and which error each side gets.

use std::time::{Duration, Instant};

use synckit_core::{Error, ErrorKind, Transport};
use synckit_net::{ClientTls, ServerTls, TlsFiles, TlsIdentity};
use synckit_remote::{Client, ClientConfig, Exchange, ServerConfig, serve_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::requests::{events, hello, pull, push};
use super::{Authority, Double, Running, Wire, read_all, service, short};

const HERE: &str = "127.0.0.1";

async fn start<W: Wire>(tls: ServerTls) -> Running<W> {
    Running::over_tls(tls, ServerConfig::default()).await
}

/// Returns settings of a client that trusts only this authority.
pub fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::new().with_public_roots(false).with_roots(&authority.pem())
}

async fn refused<E: Exchange>(client: &Client<E>) -> Error {
    client.hello(hello()).await.expect_err("an error")
}

/// A server whose authority is trusted is called, and the bytes of the handshake count.
pub async fn a_trusted_server_is_called_and_every_byte_is_counted<W: Wire>() {
    let authority = Authority::new();
    let server = start::<W>(ServerTls::new(authority.server(HERE))).await;
    *server.double.log.lock().unwrap() = events(50);
    let client = server.secure_client(HERE, trusting(&authority));
    assert_eq!(client.hello(hello()).await.unwrap().node.as_str(), "hub");
    let handshake = client.traffic();
    assert!(handshake.sent > 300 && handshake.received > 800, "the handshake is counted: {handshake:?}");
    assert_eq!(client.pull(pull()).await.unwrap().events.len(), 50);
    assert_eq!(client.push(push(events(50))).await.unwrap().accepted, 50);
    assert!(client.traffic().sent > handshake.sent);
}

/// A certificate must match the name in the URL.
pub async fn a_name_is_checked_too_where_the_server_has_one<W: Wire>() {
    let authority = Authority::new();
    let server = start::<W>(ServerTls::new(authority.server("localhost"))).await;
    let named = server.secure_client("localhost", trusting(&authority));
    assert!(named.hello(hello()).await.is_ok());
    let error = refused(&server.secure_client(HERE, trusting(&authority))).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("another name"), "{error}");
}

/// The usual self-signed certificate is accepted where it is given as an authority, under its own name only.
pub async fn a_self_signed_certificate_that_is_given_is_accepted<W: Wire>() {
    let (own, other) = (Authority::self_signed(HERE), Authority::self_signed(HERE));
    let server = start::<W>(ServerTls::new(own.clone())).await;
    let trusting = |pem: &str| ClientTls::new().with_public_roots(false).with_roots(pem);
    assert!(server.secure_client(HERE, trusting(&own.chain)).hello(hello()).await.is_ok());
    for client in [
        server.secure_client(HERE, trusting(&other.chain)),
        server.secure_client("localhost", trusting(&own.chain)),
    ] {
        assert_eq!(refused(&client).await.kind(), ErrorKind::Denied);
    }
}

/// A server is reached through a proxy that asks for credentials.
pub async fn a_server_is_reached_through_a_proxy<W: Wire>() {
    let authority = Authority::new();
    let server = start::<W>(ServerTls::new(authority.server(HERE))).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = proxy.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(near.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                // The base64 of `me:secret`, in lower case.
                let allowed = head.contains("proxy-authorization: basic bwu6c2vjcmv0");
                let target = head.strip_prefix("connect ").and_then(|rest| rest.split(' ').next());
                let Some(target) = target.filter(|_| allowed) else {
                    let _ = near.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").await;
                    return;
                };
                let mut far = TcpStream::connect(target).await.unwrap();
                near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let url = format!("{}{}", W::Exchange::PROTOCOL.secure, server.address);
    let client = |proxy: String| {
        let config = ClientConfig::new(&url).with_tls(trusting(&authority)).with_proxy(proxy);
        Client::<W::Exchange>::with_config(config).unwrap()
    };
    assert!(client(format!("http://me:secret@{address}")).hello(hello()).await.is_ok());
    let error = refused(&client(format!("http://me:wrong@{address}"))).await;
    assert!(!error.to_string().contains("wrong"), "{error}");
}

/// An authority that is not in the settings is not trusted.
pub async fn a_server_of_an_unknown_authority_is_refused<W: Wire>() {
    let authority = Authority::new();
    let server = start::<W>(ServerTls::new(authority.server(HERE))).await;
    for tls in [ClientTls::new(), trusting(&Authority::new())] {
        let error = refused(&server.secure_client(HERE, tls)).await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("add its authority"), "{error}");
    }
}

/// The error for an expired certificate says so.
pub async fn an_expired_certificate_is_named_so<W: Wire>() {
    let authority = Authority::new();
    let server = start::<W>(ServerTls::new(authority.expired(HERE))).await;
    let error = refused(&server.secure_client(HERE, trusting(&authority))).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("expired"), "{error}");
}

/// Writes a pair into its files.
fn put(files: &TlsFiles, identity: &TlsIdentity) {
    std::fs::write(&files.chain, &identity.chain).unwrap();
    std::fs::write(&files.key, &identity.key).unwrap();
}

/// Calls again and again until somebody who trusts only this authority is answered.
async fn until_shown<W: Wire>(server: &Running<W>, authority: &Authority) {
    let started = Instant::now();
    while server.secure_client(HERE, trusting(authority)).hello(hello()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "the new certificate is not shown");
    }
}

/// New connections get the certificate that is in the files by then. A pair that cannot be used changes nothing.
pub async fn a_renewed_certificate_is_shown_to_new_connections<W: Wire>() {
    let (first, second) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles::new(directory.path().join("hub.pem"), directory.path().join("hub.key"));
    put(&files, &first.server(HERE));
    let server = start::<W>(ServerTls::of_files(files.clone())).await;
    let open = server.secure_client(HERE, trusting(&first));
    assert!(open.hello(hello()).await.is_ok());
    let renewed = second.server(HERE);
    put(&files, &renewed);
    until_shown(&server, &second).await;
    assert_eq!(refused(&server.secure_client(HERE, trusting(&first))).await.kind(), ErrorKind::Denied);
    assert!(open.hello(hello()).await.is_ok(), "the open connection goes on");

    let third = first.server(HERE);
    let half = &third.chain[..third.chain.len() / 2];
    for (chain, key) in [(half, &renewed.key[..]), (&third.chain, &renewed.key), (&third.chain, "no key")] {
        put(&files, &TlsIdentity::new(chain, key));
        // Long enough for another look at the files.
        let looked = Instant::now();
        while looked.elapsed() < Duration::from_millis(1_500) {
            assert!(server.secure_client(HERE, trusting(&second)).hello(hello()).await.is_ok());
        }
    }
    std::fs::write(&files.key, &third.key).unwrap();
    until_shown(&server, &first).await;
    std::fs::remove_file(&files.chain).unwrap();
    assert!(server.secure_client(HERE, trusting(&first)).hello(hello()).await.is_ok());
    // As tools replace files: by a rename.
    let fresh = directory.path().join("fresh");
    std::fs::write(&files.key, &renewed.key).unwrap();
    std::fs::write(&fresh, &renewed.chain).unwrap();
    std::fs::rename(&fresh, &files.chain).unwrap();
    until_shown(&server, &second).await;
}

/// A server that requires certificates lets in clients whose certificate its authority signed, and refuses the
/// others.
pub async fn clients_show_certificates_where_they_must<W: Wire>() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = ServerTls::new(authority.server(HERE)).with_required_clients(clients.pem());
    let server = start::<W>(tls).await;
    let with = |identity| server.secure_client(HERE, trusting(&authority).with_identity(identity));
    assert!(with(clients.client()).hello(hello()).await.is_ok());

    let error = refused(&server.secure_client(HERE, trusting(&authority))).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().contains("client certificate; configure one"), "{error}");

    let error = refused(&with(Authority::new().client())).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().contains("does not trust the authority"), "{error}");
    assert!(with(clients.client()).hello(hello()).await.is_ok(), "it goes on serving");
}

/// New connections are checked against the authorities that are in the file by then. A file that cannot be used changes
/// nothing.
pub async fn changed_authorities_of_clients_count_for_new_connections<W: Wire>() {
    let (authority, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clients.pem");
    std::fs::write(&file, first.pem()).unwrap();
    let tls = ServerTls::new(authority.server(HERE)).with_required_clients_of_file(&file);
    let server = start::<W>(tls).await;
    let with = |identity| server.secure_client(HERE, trusting(&authority).with_identity(identity));
    let open = with(first.client());
    assert!(open.hello(hello()).await.is_ok());
    assert_eq!(refused(&with(second.client())).await.kind(), ErrorKind::Denied);

    std::fs::write(&file, second.pem()).unwrap();
    let started = Instant::now();
    while with(second.client()).hello(hello()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "the new authority is not taken");
    }
    assert_eq!(refused(&with(first.client())).await.kind(), ErrorKind::Denied);
    assert!(open.hello(hello()).await.is_ok(), "the open connection goes on");

    std::fs::write(&file, "no certificate").unwrap();
    // Long enough for another look at the file.
    let looked = Instant::now();
    while looked.elapsed() < Duration::from_millis(1_500) {
        assert!(with(second.client()).hello(hello()).await.is_ok());
    }
}

/// A server with optional certificates accepts callers without one, and refuses callers with a wrong one.
pub async fn clients_need_no_certificate_where_it_is_optional_but_no_wrong_one_is_taken<W: Wire>() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = ServerTls::new(authority.server(HERE)).with_optional_clients(clients.pem());
    let server = start::<W>(tls).await;
    let with = |identity| server.secure_client(HERE, trusting(&authority).with_identity(identity));
    assert!(server.secure_client(HERE, trusting(&authority)).hello(hello()).await.is_ok());
    assert!(with(clients.client()).hello(hello()).await.is_ok());
    assert_eq!(refused(&with(Authority::new().client())).await.kind(), ErrorKind::Denied);
}

/// A client that speaks TLS to a port without TLS gets an error that names the right URL.
pub async fn tls_to_a_plain_port_is_told_so<W: Wire>() {
    let server = Running::<W>::start().await;
    let error = refused(&server.secure_client(HERE, ClientTls::new())).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains(&format!("use {}", W::Exchange::PROTOCOL.plain)), "{error}");
}

/// Returns the error that a client without TLS gets from a port with TLS.
pub async fn plain_to_a_tls_port<W: Wire>() -> Error {
    let server = start::<W>(ServerTls::new(Authority::new().server(HERE))).await;
    server.client().push(push(events(200))).await.expect_err("an error")
}

/// Callers that stay silent, or send something else than a handshake, are disconnected after a timeout.
pub async fn handshakes_that_fail_or_never_end_cost_a_connection_for_a_while_and_nothing_else<W: Wire>() {
    let authority = Authority::new();
    let config = ServerConfig { timeouts: short(), connections: 2, ..ServerConfig::default() };
    let server = Running::<W>::over_tls(ServerTls::new(authority.server(HERE)), config).await;
    // Both slots are held by callers that send nothing, or too little; each is disconnected after its timeout.
    for start in [&b""[..], &[22, 3, 1, 2, 0, 1], &[22, 3, 1, 2, 0, 1], b""] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        assert_eq!(read_all(stream).await, "", "nothing is said to a caller that stays silent");
    }
    let mut noise = server.connect().await;
    noise.write_all(&[22; 600]).await.unwrap();
    read_all(noise).await;
    // With so short a timeout for a handshake and a busy processor, the first may fail.
    for attempt in 1.. {
        match server.secure_client(HERE, trusting(&authority)).hello(hello()).await {
            Ok(_) => break,
            Err(error) => assert!(attempt < 5, "{error}"),
        }
    }
}

/// A server that accepts and stays silent causes a timeout.
pub async fn a_server_that_never_answers_the_handshake_is_a_timeout<W: Wire>() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{}{}", W::Exchange::PROTOCOL.secure, listener.local_addr().unwrap());
    let config = ClientConfig::new(url).with_timeouts(short());
    let error = refused(&Client::<W::Exchange>::with_config(config).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

/// Certificates and keys that cannot be used are found when either side is created, and no error shows a key.
pub async fn settings_that_cannot_be_used_are_errors_from_the_start_without_the_key<W: Wire>() {
    let authority = Authority::new();
    let (good, other) = (authority.server(HERE), authority.client());
    let wrong = [
        TlsIdentity::new("", good.key.clone()),
        TlsIdentity::new(good.chain.clone(), ""),
        TlsIdentity::new(good.chain.clone(), good.key.replace("PRIVATE KEY", "SECRET KEY")),
        TlsIdentity::new(good.chain.clone(), other.key.clone()),
    ];
    let config = || ClientConfig::new(format!("{}{HERE}:1", W::Exchange::PROTOCOL.secure));
    let invalid = |tls| {
        let error = Client::<W::Exchange>::with_config(config().with_tls(tls)).expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    };
    for identity in wrong {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = ServerTls::new(identity.clone());
        let service = service::<W, _>(Double::default(), ServerConfig::default());
        let error = serve_tls(listener, &tls, service, std::future::ready(())).await.expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        invalid(trusting(&authority).with_identity(identity));
    }
    invalid(ClientTls::new().with_public_roots(false));
    let secret = good.key.lines().nth(1).unwrap();
    let config = config().with_tls(ClientTls::new().with_identity(good.clone()));
    assert!(!format!("{config:?} {:?}", ServerTls::new(good.clone())).contains(secret));
}
