//! A link between a client and a server that loses, damages or delays bytes, whatever they mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synckit_remote::Exchange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::Wire;

/// What a [`Link`] does to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    None,
    /// Cuts each connection after this number of bytes, counted both ways together.
    Cut(u64),
    /// Flips one bit, once: this bit of everything that is sent or, if `back`, of everything that is received.
    Flip {
        /// The number of the bit, from 0.
        bit: u64,
        /// Whether it is a bit of the answers.
        back: bool,
    },
    /// Passes on this number of bytes in each tenth of a second, each way.
    Slow(usize),
}

/// A TCP proxy.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    plain: &'static str,
    passed: Arc<Passed>,
}

/// What passed, over all connections.
#[derive(Debug, Default)]
struct Passed {
    there: AtomicU64,
    back: AtomicU64,
}

impl Link {
    /// Starts a proxy to this address.
    pub async fn start<W: Wire>(to: SocketAddr, harm: Harm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passed = Arc::new(Passed::default());
        let all = passed.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                tokio::spawn(pass(near, far, harm, all.clone()));
            }
        });
        Link { address, plain: W::Exchange::PROTOCOL.plain, passed }
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("{}{}", self.plain, self.address)
    }

    /// Returns the number of bytes that passed so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.passed.there.load(Ordering::Relaxed) + self.passed.back.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that were sent, and of those that were received.
    pub fn each_way(&self) -> (u64, u64) {
        (self.passed.there.load(Ordering::Relaxed), self.passed.back.load(Ordering::Relaxed))
    }
}

/// Passes bytes both ways until one side ends; then ends both.
async fn pass(near: TcpStream, far: TcpStream, harm: Harm, all: Arc<Passed>) {
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let here = AtomicU64::default();
    tokio::select! {
        () = one_way(near_read, far_write, harm, &here, &all.there, false) => {}
        () = one_way(far_read, near_write, harm, &here, &all.back, true) => {}
    }
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    harm: Harm,
    here: &AtomicU64,
    all: &AtomicU64,
    back: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let room = match harm {
            Harm::Cut(most) => {
                let left = most.saturating_sub(here.load(Ordering::Relaxed));
                usize::try_from(left).unwrap().min(buffer.len())
            }
            Harm::Slow(step) => step.min(buffer.len()),
            _ => buffer.len(),
        };
        if room == 0 {
            return;
        }
        let Ok(read) = from.read(&mut buffer[..room]).await else { return };
        if read == 0 {
            return;
        }
        here.fetch_add(read as u64, Ordering::Relaxed);
        let start = 8 * all.fetch_add(read as u64, Ordering::Relaxed);
        if let Harm::Flip { bit, back: here } = harm
            && here == back
            && let Some(at) = bit.checked_sub(start).filter(|at| *at < 8 * read as u64)
        {
            buffer[(at / 8) as usize] ^= 1 << (at % 8);
        }
        if matches!(harm, Harm::Slow(_)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
