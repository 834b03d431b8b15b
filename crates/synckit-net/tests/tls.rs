//! Handshakes with real sockets, and the settings as a deployment writes them. The tests of the transports cover which
//! certificates are accepted.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use synckit_core::ErrorKind;
use synckit_net::{Acceptor, ClientTls, Dialer, Protocol, ServerTls, TlsIdentity};

const QUIET: Protocol = Protocol { alpn: "quiet/1", plain: "quiet://", secure: "quiets://" };

/// Returns settings of a server that signed its own certificate, and of a client that trusts it.
fn both() -> (ServerTls, ClientTls) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let chain = own.cert.pem();
    let client = ClientTls::new().with_public_roots(false).with_roots(&chain);
    (ServerTls::new(TlsIdentity::new(chain, own.signing_key.serialize_pem())), client)
}

#[test]
fn settings_are_read_as_they_are_written() {
    let (server, client) = both();
    let client = client.with_identity(server.identity.clone());
    let server = server.with_optional_clients("roots");
    let text = serde_json::to_string(&(&server, &client)).unwrap();
    assert_eq!(serde_json::from_str::<(ServerTls, ClientTls)>(&text).unwrap(), (server, client));
    assert_eq!(serde_json::from_str::<ClientTls>("{}").unwrap(), ClientTls::new());
    let strange = serde_json::from_str::<ClientTls>(r#"{"verify":false}"#).unwrap_err();
    assert!(strange.to_string().contains("verify"), "{strange}");
}

#[test]
fn keys_are_not_shown() {
    let identity = TlsIdentity::new("the chain", "the key");
    let shown =
        format!("{:?} {:?}", ServerTls::new(identity.clone()), ClientTls::new().with_identity(identity));
    assert!(shown.contains("the chain") && !shown.contains("the key"), "{shown}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_there_is_an_error_that_names_it() {
    let (server, client) = both();
    let errors =
        [Dialer::new(QUIET, &client, "localhost").unwrap_err(), Acceptor::new(QUIET, &server).unwrap_err()];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().contains("quiets://") && error.message().contains("feature `tls`"),
            "{error}"
        );
    }
}

#[cfg(feature = "tls")]
mod handshakes {
    use std::sync::Arc;
    use std::time::Duration;

    use synckit_core::{Error, Result};
    use synckit_net::{Counts, Observed, Stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Returns both ends of one connection.
    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let calling = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (calling, listener.accept().await.unwrap().0)
    }

    type Ends = (Result<Box<dyn Stream>>, Result<Box<dyn Stream>>);

    /// Runs a handshake of a client and a server that speak these protocols.
    async fn shaken(client: Protocol, server: Protocol, counts: Arc<Counts>) -> Ends {
        let (server_tls, client_tls) = both();
        let dialer = Dialer::new(client, &client_tls, "localhost").unwrap();
        let acceptor = Acceptor::new(server, &server_tls).unwrap();
        let (calling, answering) = connection().await;
        tokio::join!(dialer.dial(Observed::new(calling, counts), LIMIT), acceptor.accept(answering))
    }

    fn failed(end: Result<Box<dyn Stream>>) -> Error {
        end.map(|_| ()).expect_err("no handshake")
    }

    #[tokio::test]
    async fn what_is_said_arrives_and_is_counted_as_it_is_on_the_wire() {
        let counts = Arc::new(Counts::default());
        let (calling, answering) = shaken(QUIET, QUIET, counts.clone()).await;
        let (mut calling, mut answering) = (calling.unwrap(), answering.unwrap());
        let before = counts.traffic();
        assert!(before.sent > 200 && before.received > 500, "the handshake is counted: {before:?}");
        calling.write_all(&[7; 1_000]).await.unwrap();
        calling.flush().await.unwrap();
        let mut heard = [0; 1_000];
        answering.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, [7; 1_000]);
        let sent = counts.traffic().sent - before.sent;
        assert!((1_000..1_200).contains(&sent), "{sent} bytes for 1,000");
    }

    #[tokio::test]
    async fn two_that_share_no_protocol_are_both_told() {
        let loud = Protocol { alpn: "loud/1", ..QUIET };
        let (calling, answering) = shaken(loud, QUIET, Arc::default()).await;
        for error in [failed(calling), failed(answering)] {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains("share no version"), "{error}");
        }
    }

    #[tokio::test]
    async fn who_calls_a_port_without_tls_is_told_the_plain_scheme() {
        let dialer = Dialer::new(QUIET, &both().1, "localhost").unwrap();
        let (calling, mut answering) = connection().await;
        answering.write_all(b"hello, who is there?").await.unwrap();
        let error = failed(dialer.dial(calling, LIMIT).await);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains("use quiet://"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_stays_silent_is_given_up() {
        let dialer = Dialer::new(QUIET, &both().1, "localhost").unwrap();
        let (calling, _silent) = connection().await;
        let error = failed(dialer.dial(calling, Duration::from_millis(50)).await);
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
}
