//! A second process, for the cases that need one: the test binary again, which runs only the same test.
//!
//! There the case finds the address of the namespace in its environment, does its half, and reports its progress on
//! standard output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::sync::mpsc;

/// The environment variable in which the case in the second process finds the address of the namespace.
const VARIABLE: &str = "SYNCKIT_TESTKIT_ADDRESS";
/// The prefix of the words of the second process, among what the test harness prints.
const MARK: &str = "synckit-testkit says: ";

/// A second process of a test: the test binary again, which runs only the same test, and finds there that it is the
/// second. It is killed when this is dropped.
#[derive(Debug)]
pub struct Second {
    child: Child,
    words: mpsc::UnboundedReceiver<String>,
}

impl Second {
    /// Returns the address that the first process has given; `None` in the first process.
    pub fn address() -> Option<String> {
        std::env::var(VARIABLE).ok()
    }

    /// Sends a word from the second process to the first. Returns false if the first is gone.
    pub fn say(word: &str) -> bool {
        // Without `println!`, which the test harness may capture.
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{MARK}{word}").and_then(|()| out.flush()).is_ok()
    }

    /// Waits in the second process until it is killed, or the first is gone.
    pub fn wait() {
        let _ = std::io::stdin().read(&mut [0]);
    }

    /// Ends the second process when its half is done, whatever the test would do next.
    pub fn done() -> ! {
        std::process::exit(0)
    }

    /// Starts the test of this name again, for the namespace at this address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(test: &str, address: &str) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([test, "--exact", "--nocapture"]).env(VARIABLE, address);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or_else(|| std::io::Error::other("the output is not piped"))?;
        let (say, words) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let words = BufReader::new(out).lines().map_while(Result::ok);
            for word in words.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)) {
                // Nobody listens any more, but the pipe is still read, so that the process is not blocked.
                let _ = say.send(word);
            }
        });
        Ok(Second { child, words })
    }

    /// Returns the next word; `None` once the process has ended and all its words were received.
    ///
    /// Can be dropped at any time.
    pub async fn word(&mut self) -> Option<String> {
        self.words.recv().await
    }

    /// Kills the process at any point, and waits for its end.
    ///
    /// # Errors
    /// Those of the system.
    pub fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits for its last word, then for its end.
    ///
    /// Dropping the future kills the process.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn end(mut self) -> std::io::Result<ExitStatus> {
        while self.word().await.is_some() {}
        self.child.wait()
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
