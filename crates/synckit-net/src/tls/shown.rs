//! The certificate that a server shows. If it is in files, these are looked at again and again.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use synckit_core::Result;

use super::read::{identity, provider, wrong};
use super::{ServerTls, TlsFiles, TlsIdentity};

/// How long files are not looked at again.
const REST: Duration = Duration::from_secs(1);

/// The certificate and key of a server.
#[derive(Debug)]
pub(super) struct Shown {
    now: RwLock<Arc<CertifiedKey>>,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    files: TlsFiles,
    looked: Mutex<Looked>,
}

/// What the last look at the files found.
#[derive(Debug)]
struct Looked {
    /// When the next look is due; `None` while one runs.
    due: Option<Instant>,
    /// The files that are in use, or were found to be unfit.
    at: Option<[Stamp; 2]>,
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

impl Shown {
    /// Reads the certificate and the key.
    pub(super) fn new(config: &ServerTls) -> Result<Self> {
        let Some(files) = &config.files else {
            return Ok(Shown { now: RwLock::new(Arc::new(certified(&config.identity)?)), files: None });
        };
        // A change while they are read is then found by the next look.
        let at = stamps(files).ok();
        let now = certified(&files.read()?)?;
        let looked = Looked { due: Some(Instant::now() + REST), at, unfit: None };
        let files = Files { files: files.clone(), looked: Mutex::new(looked) };
        Ok(Shown { now: RwLock::new(Arc::new(now)), files: Some(files) })
    }

    /// Takes what is in the files if they have changed. Only one caller looks at a time, on a thread that may block;
    /// others go on with what is known.
    pub(super) async fn look(self: &Arc<Self>) {
        if self.files.as_ref().is_some_and(Files::take_turn) {
            let shown = Arc::clone(self);
            // If the future is dropped, the look goes on to its end.
            let _ = tokio::task::spawn_blocking(move || shown.look_now()).await;
        }
    }

    fn look_now(&self) {
        let Some(Files { files, looked }) = &self.files else { return };
        let (at, unfit) = {
            let looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
            (looked.at, looked.unfit.clone())
        };
        let found = stamps(files).ok();
        let unfit = if found.is_some() && found == at && unfit.is_none() {
            None
        } else {
            match files.read().and_then(|identity| certified(&identity)) {
                Ok(now) => {
                    *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
                    tracing::info!(chain = %files.chain.display(), "the certificate was renewed and is in use");
                    None
                }
                Err(error) => {
                    let why = error.to_string();
                    if found != at || unfit.as_ref() != Some(&why) {
                        tracing::error!(
                            chain = %files.chain.display(), key = %files.key.display(), %error,
                            "the certificate was changed and cannot be used, so the one before is still shown; put a \
                             certificate and the key that belongs to it into these files"
                        );
                    }
                    Some(why)
                }
            }
        };
        let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
        *looked = Looked { due: Some(Instant::now() + REST), at: found, unfit };
    }
}

impl Files {
    /// Returns whether a look is due; the caller has to look then.
    fn take_turn(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.due.take_if(|due| *due <= Instant::now()).is_some()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(pem: &TlsIdentity) -> Result<CertifiedKey> {
    let (chain, key) = identity(pem, "the server's")?;
    let unfit = wrong("the server's certificate and private key do not match");
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| unfit(error.into()))
}

fn stamps(files: &TlsFiles) -> io::Result<[Stamp; 2]> {
    let stamp = |path| {
        let metadata = fs::metadata(path)?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Ok(Stamp { modified: metadata.modified()?, length: metadata.len(), number })
    };
    let stamps: [io::Result<Stamp>; 2] = [&files.chain, &files.key].map(stamp);
    let [chain, key] = stamps;
    Ok([chain?, key?])
}
