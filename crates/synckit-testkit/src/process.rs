//! A second process, for the cases that take one: the test binary again, which runs nothing but the same test.
//!
//! There the case finds the address of the namespace in its environment, does the other half, and says on its
//! standard output how far it is.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::sync::mpsc;

/// Where the case in the second process finds the address of the namespace.
const VARIABLE: &str = "SYNCKIT_TESTKIT_ADDRESS";
/// What the words of the second process begin with, among what the test harness prints.
const MARK: &str = "synckit-testkit says: ";

/// In the second process: the address of the namespace.
pub(crate) fn address() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// In the second process: says a word to the first. False when the first is gone.
pub(crate) fn say(word: &str) -> bool {
    // Not by `println!`, which the test harness may keep to itself.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{MARK}{word}").and_then(|()| out.flush()).is_ok()
}

/// In the second process: its half is done, and so is the process, whatever the test would do next.
pub(crate) fn done() -> ! {
    std::process::exit(0)
}

/// In the first process: the second. It is killed when this is dropped.
pub(crate) struct Second {
    child: Child,
    words: mpsc::UnboundedReceiver<String>,
}

impl Second {
    /// Starts this test again, for the namespace of this address.
    pub(crate) fn start(test: &str, address: &str) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([test, "--exact", "--nocapture"]).env(VARIABLE, address);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or_else(|| std::io::Error::other("the output is not piped"))?;
        let (say, words) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let words = BufReader::new(out).lines().map_while(Result::ok);
            for word in words.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)) {
                // Nobody listens any more, but the pipe is read on, so that the process is not held up.
                let _ = say.send(word);
            }
        });
        Ok(Second { child, words })
    }

    /// The next word; `None` when the process has ended and all it said is heard.
    pub(crate) async fn word(&mut self) -> Option<String> {
        self.words.recv().await
    }

    /// Kills the process, wherever it is, and waits for its end.
    pub(crate) fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits until it has said all, then for its end.
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
