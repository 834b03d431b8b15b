//! What a server shows and whom it lets in, now. What is in files is looked at again and again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use synckit_core::Result;

use super::read::{add_roots, identity, provider, wrong};
use super::{Protocol, ServerTls, read_pem};

/// How long files are not looked at again.
const REST: Duration = Duration::from_secs(1);

/// The settings of a server, made from texts or from what is in files.
#[derive(Debug)]
pub(super) struct Current {
    protocol: Protocol,
    tls: ServerTls,
    now: RwLock<Arc<ServerConfig>>,
    looked: Mutex<Looked>,
}

/// What the last look at the files found.
#[derive(Debug)]
struct Looked {
    /// When the next look is due; `None` while one runs, and if there are no files.
    due: Option<Instant>,
    /// The files that are in use, or were found to be unfit.
    at: Option<Vec<Stamp>>,
    /// Why they are not in use, as it was logged.
    unfit: Option<String>,
}

/// By what a file that was written again is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    /// The number of the file, which is another if it was replaced; 0 where there is none.
    number: u64,
}

impl Current {
    /// Reads the certificates and the key.
    pub(super) fn new(protocol: Protocol, tls: &ServerTls) -> Result<Self> {
        // A change while they are read is then found by the next look.
        let at = stamps(tls).ok();
        let now = RwLock::new(Arc::new(settings(protocol, tls)?));
        let due = files(tls).next().map(|_| Instant::now() + REST);
        let looked = Mutex::new(Looked { due, at, unfit: None });
        Ok(Current { protocol, tls: tls.clone(), now, looked })
    }

    /// Returns the settings for a connection that begins now.
    pub(super) fn get(&self) -> Arc<ServerConfig> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what is in the files if they have changed. Only one caller looks at a time, on a thread that may block;
    /// others go on with what is known.
    pub(super) async fn look(self: &Arc<Self>) {
        if self.take_turn() {
            let current = Arc::clone(self);
            // If the future is dropped, the look goes on to its end.
            let _ = tokio::task::spawn_blocking(move || current.look_now()).await;
        }
    }

    /// Returns whether a look is due; the caller has to look then.
    fn take_turn(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.due.take_if(|due| *due <= Instant::now()).is_some()
    }

    fn look_now(&self) {
        let (at, unfit) = {
            let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            (looked.at.clone(), looked.unfit.clone())
        };
        let found = stamps(&self.tls).ok();
        let unfit = if found.is_some() && found == at && unfit.is_none() {
            None
        } else {
            let names: Vec<_> = files(&self.tls).map(Path::display).collect();
            match settings(self.protocol, &self.tls) {
                Ok(now) => {
                    *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
                    tracing::info!(files = ?names, "the certificates were renewed and are in use");
                    None
                }
                Err(error) => {
                    let why = error.to_string();
                    if found != at || unfit.as_ref() != Some(&why) {
                        tracing::error!(
                            files = ?names, %error,
                            "the certificates were changed and cannot be used, so those before are still in use; put a \
                             certificate, the key that belongs to it, and authorities of clients into these files"
                        );
                    }
                    Some(why)
                }
            }
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        *looked = Looked { due: Some(Instant::now() + REST), at: found, unfit };
    }
}

/// Makes the settings of a server from what is in the texts and files now.
fn settings(protocol: Protocol, tls: &ServerTls) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("TLS cannot be set up")(error.into()))?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let read = clients.file.as_deref().map(read_pem).transpose()?;
            let pem = read.as_ref().unwrap_or(&clients.roots);
            add_roots(&mut roots, pem, "the authorities of clients")?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let verifier = if clients.required { verifier } else { verifier.allow_unauthenticated() };
            let unfit = wrong("the authorities of clients cannot be used");
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unfit(error.into()))?)
        }
    };
    let read = tls.files.as_ref().map(super::TlsFiles::read).transpose()?;
    let (chain, key) = identity(read.as_ref().unwrap_or(&tls.identity), "the server's")?;
    let unfit = wrong("the server's certificate and private key do not match");
    let mut settings = builder.with_single_cert(chain, key).map_err(|error| unfit(error.into()))?;
    settings.alpn_protocols = vec![protocol.alpn.into()];
    Ok(settings)
}

/// The files that are looked at.
fn files(tls: &ServerTls) -> impl Iterator<Item = &Path> {
    let shown = tls.files.iter().flat_map(|files| [&files.chain, &files.key]);
    shown.chain(tls.clients.iter().filter_map(|clients| clients.file.as_ref())).map(PathBuf::as_path)
}

fn stamps(tls: &ServerTls) -> io::Result<Vec<Stamp>> {
    let stamp = |path| {
        let metadata = fs::metadata(path)?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Ok(Stamp { modified: metadata.modified()?, length: metadata.len(), number })
    };
    files(tls).map(stamp).collect()
}
