//! A link between a client and a server that loses, damages or delays bytes, whatever they mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synckit_remote::Exchange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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
    /// Passes nothing more on a connection after this number of bytes, until the harm is another.
    Stall(u64),
    /// Resets each connection after this number of bytes.
    Reset(u64),
    /// Changes the first `Content-Length` in each answer to a greater number.
    WrongLength,
}

impl Harm {
    /// Returns the number of bytes after which a connection is not usable any more.
    fn limit(self) -> Option<u64> {
        match self {
            Harm::Cut(most) | Harm::Stall(most) | Harm::Reset(most) => Some(most),
            _ => None,
        }
    }
}

/// A TCP proxy.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    plain: &'static str,
    passed: Arc<Passed>,
    harm: watch::Sender<Harm>,
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
        let (harm, now) = watch::channel(harm);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                for stream in [&near, &far] {
                    stream.set_nodelay(true).unwrap();
                }
                tokio::spawn(pass(near, far, now.clone(), all.clone()));
            }
        });
        Link { address, plain: W::Exchange::PROTOCOL.plain, passed, harm }
    }

    /// Sets what it does from now on, also to the connections that are open.
    pub fn set(&self, harm: Harm) {
        self.harm.send_replace(harm);
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
async fn pass(mut near: TcpStream, mut far: TcpStream, harm: watch::Receiver<Harm>, all: Arc<Passed>) {
    let here = AtomicU64::default();
    {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        tokio::select! {
            () = one_way(near_read, far_write, harm.clone(), &here, &all.there, false) => {}
            () = one_way(far_read, near_write, harm.clone(), &here, &all.back, true) => {}
        }
    }
    if matches!(*harm.borrow(), Harm::Reset(_)) {
        near.set_zero_linger().unwrap();
    }
}

async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut harm: watch::Receiver<Harm>,
    here: &AtomicU64,
    all: &AtomicU64,
    back: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let now = *harm.borrow_and_update();
        let room = match now {
            Harm::Slow(step) => step.min(buffer.len()),
            _ => match now.limit() {
                Some(most) => {
                    let left = most.saturating_sub(here.load(Ordering::Relaxed));
                    usize::try_from(left).unwrap().min(buffer.len())
                }
                None => buffer.len(),
            },
        };
        if room == 0 {
            if matches!(now, Harm::Stall(_)) {
                // Those that sent the change may be gone, and this with them.
                let _ = harm.changed().await;
            }
            return;
        }
        let Ok(read) = from.read(&mut buffer[..room]).await else { return };
        if read == 0 {
            return;
        }
        here.fetch_add(read as u64, Ordering::Relaxed);
        let start = 8 * all.fetch_add(read as u64, Ordering::Relaxed);
        if let Harm::Flip { bit, back: here } = now
            && here == back
            && let Some(at) = bit.checked_sub(start).filter(|at| *at < 8 * read as u64)
        {
            buffer[(at / 8) as usize] ^= 1 << (at % 8);
        }
        if now == Harm::WrongLength && back {
            lengthen(&mut buffer[..read]);
        }
        if matches!(now, Harm::Slow(_)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Makes the first digit of a `Content-Length` a nine.
fn lengthen(bytes: &mut [u8]) {
    const NAME: &[u8] = b"content-length: ";
    let at = bytes.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME));
    if let Some(digit) = at.and_then(|at| bytes.get_mut(at + NAME.len())) {
        *digit = b'9';
    }
}
