//! A private PostgreSQL server.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::absent;
use super::process::Guarded;

/// Where distributions keep the programs, with a directory for each version.
const PLACES: [&str; 4] =
    ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
const MISSING: &str = "PostgreSQL is not installed: there is no initdb in the search path or a usual place";
/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the first try may take.
const FIRST: Duration = Duration::from_millis(500);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// A private PostgreSQL server on a free port, with its data in a temporary directory. It is killed, and the directory
/// removed, when this is dropped or the process ends, however that is.
///
/// The data survives when the server is killed, but not when the machine stops: it does not wait for the disk.
#[derive(Debug)]
pub struct PostgresServer {
    directory: PathBuf,
    bin: PathBuf,
    port: u16,
    running: Mutex<Option<Guarded>>,
}

impl PostgresServer {
    /// Returns the server that all tests of this process share, and starts it at the first call. If PostgreSQL is not
    /// installed, returns why the tests that need it are skipped.
    ///
    /// # Errors
    /// Why there is none: `initdb` and `postgres` are neither in the search path nor in a usual place.
    ///
    /// # Panics
    /// If PostgreSQL is installed and does not start; if it is not, and `SYNCKIT_REQUIRE` contains `postgres`.
    pub fn shared() -> Result<&'static PostgresServer, String> {
        static SHARED: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
        SHARED.get_or_init(PostgresServer::start).as_ref().map_err(Clone::clone)
    }

    /// Starts a server for one test alone.
    ///
    /// # Errors
    /// As [`PostgresServer::shared`].
    ///
    /// # Panics
    /// As [`PostgresServer::shared`].
    pub fn start() -> Result<PostgresServer, String> {
        match programs() {
            Some(bin) => Ok(PostgresServer::in_directory(bin).expect("a private PostgreSQL server starts")),
            None => Err(absent("postgres", MISSING.to_owned())),
        }
    }

    /// Returns why no server can be started, without starting one; `None` if one can.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, and `SYNCKIT_REQUIRE` contains `postgres`.
    pub fn absent() -> Option<String> {
        programs().is_none().then(|| absent("postgres", MISSING.to_owned()))
    }

    fn in_directory(bin: PathBuf) -> io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("synckit-postgres-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory)?;
        give_to_server(&directory)?;
        let server = PostgresServer { port: free_port()?, directory, bin, running: Mutex::default() };
        let mut init = server.command("initdb");
        let data = server.data();
        init.arg("-D").arg(&data);
        init.args(["-A", "trust", "-U", "synckit", "-E", "UTF8", "--no-locale", "--no-sync"]);
        let output = init.output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        server.restart()?;
        Ok(server)
    }

    /// Returns the URL of a database. At first there is `postgres`, with the user `synckit`, who may do anything.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://synckit@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts a rule of authentication before all others (`pg_hba.conf`), and lets the server read it.
    ///
    /// # Panics
    /// If that fails.
    pub fn configure(&self, rule: &str) {
        let path = self.data().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&path).expect("the rules can be read");
        std::fs::write(&path, format!("{rule}\n{rules}")).expect("the rules can be written");
        let mut reload = self.command("pg_ctl");
        reload.arg("reload").arg("-D").arg(self.data());
        assert!(reload.output().is_ok_and(|output| output.status.success()), "the server reads its rules");
    }

    /// Kills the server with SIGKILL, in whatever it does, and waits for its end.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&self) {
        if let Some(mut running) = self.running().take() {
            running.kill().expect("the server can be killed");
        }
    }

    /// Starts the server again on its data, and waits until it takes connections.
    ///
    /// # Errors
    /// What its log says, if it does not start.
    pub fn restart(&self) -> io::Result<()> {
        let mut running = self.running();
        let (deadline, mut patience) = (Instant::now() + PATIENCE, FIRST);
        loop {
            let mut server = Guarded::start(&self.directory, self.words())?;
            if self.is_ready(server.pid(), Instant::now() + patience) {
                *running = Some(server);
                return Ok(());
            }
            server.kill()?;
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(io::Error::other(log));
            }
            // It gives up while processes of the server before are still there: they end one after the other. That it
            // has ended does not show, so the next gets more time.
            patience *= 2;
        }
    }

    /// Waits until the server takes connections. Returns false if it does not in time.
    fn is_ready(&self, pid: u32, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            // Its first line is the id of its process, the eighth says what it does.
            let state = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let mut lines = state.lines();
            let is_this = lines.next() == Some(&pid.to_string());
            if is_this && lines.nth(6).is_some_and(|status| status.trim() == "ready") {
                return true;
            }
            sleep(LOOK);
        }
        false
    }

    /// The command line of the server.
    fn words(&self) -> Vec<std::ffi::OsString> {
        let (mut command, port) = (self.command("postgres"), self.port.to_string());
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.directory);
        command.args(["-h", "127.0.0.1", "-p", &port, "-F", "-c", "full_page_writes=off"]);
        command.args(["-c", "max_connections=200", "-c", "shared_buffers=32MB"]);
        [command.get_program()].into_iter().chain(command.get_args()).map(ToOwned::to_owned).collect()
    }

    /// A program of PostgreSQL, as a user who may run it: it refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        match server_user() {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
                command.args([&user, &group, "--clear-groups", "--"]).arg(program).current_dir("/");
                command
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn running(&self) -> MutexGuard<'_, Option<Guarded>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.running().take().is_none() {
            // It was killed, and nobody removes its data.
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// The directory with the programs of the newest PostgreSQL.
fn programs() -> Option<PathBuf> {
    let has = |bin: &PathBuf| bin.join("initdb").is_file() && bin.join("postgres").is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    // What stands in the search path may be a link to where the rest is.
    let in_path = std::env::split_paths(&path).find(has);
    let versions = |place: &&str| std::fs::read_dir(place).ok();
    let entries = PLACES.iter().filter_map(versions).flatten().filter_map(Result::ok);
    let mut installed: Vec<PathBuf> =
        entries.map(|entry| entry.path().join("bin")).filter(|bin| has(bin)).collect();
    installed.sort_by_key(|bin| version(bin));
    in_path.or_else(|| installed.pop())
}

/// The version in the name of a directory such as `15/bin` or `postgresql@15/bin`.
fn version(bin: &Path) -> Option<u32> {
    let name = bin.parent()?.file_name()?.to_str()?;
    name.rsplit('@').next()?.split('.').next()?.parse().ok()
}

/// The user and the group that the server runs as, where this process is root.
fn server_user() -> Option<(u32, u32)> {
    let id = |options: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(options).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?))
}

#[cfg(unix)]
fn give_to_server(directory: &Path) -> io::Result<()> {
    match server_user() {
        Some((user, group)) => std::os::unix::fs::chown(directory, Some(user), Some(group)),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn give_to_server(_: &Path) -> io::Result<()> {
    Ok(())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
