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

/// Returns the address of the namespace, in the second process.
pub(crate) fn address() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Sends a word from the second process to the first. Returns false if the first is gone.
pub(crate) fn say(word: &str) -> bool {
    // Without `println!`, which the test harness may capture.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{MARK}{word}").and_then(|()| out.flush()).is_ok()
}

/// Waits in the second process until it is killed, or the first is gone.
pub(crate) fn wait() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// Ends the second process when its half is done, whatever the test would do next.
pub(crate) fn done() -> ! {
    std::process::exit(0)
}

/// The second process, as the first sees it. It is killed when this is dropped.
pub(crate) struct Second {
    child: Child,
    words: mpsc::UnboundedReceiver<String>,
}

impl Second {
    /// Starts this test again, for the namespace at this address.
    pub(crate) fn start(test: &str, address: &str) -> std::io::Result<Self> {
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
    pub(crate) async fn word(&mut self) -> Option<String> {
        self.words.recv().await
    }

    /// Kills the process at any point, and waits for its end.
    pub(crate) fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits for its last word, then for its end.
    pub(crate) async fn end(mut self) -> std::io::Result<ExitStatus> {
        while self.word().await.is_some() {}
        self.child.wait()
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
