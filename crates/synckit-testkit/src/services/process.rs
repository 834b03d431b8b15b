//! A program that ends with the process that started it, however that ends.
//!
//! A shell stands between the two. It waits for its standard input to end, which it does when its owner is gone, and kills
//! the program then.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The shell kills the program when a line comes or the input ends. In the latter case it also removes the directory.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
directory=$1; shift
"$@" </dev/null >>"$directory/log" 2>&1 &
pid=$!
echo "$pid"
exec >/dev/null 2>&1
read -r keep
kill -KILL "$pid"
wait "$pid"
[ -n "$keep" ] || rm -rf "$directory"
"#;

/// A program that ends with this process.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    pid: u32,
}

impl Guarded {
    /// Starts a program whose files are in this directory, which goes with it. What it prints is in the file `log` there.
    pub(crate) fn start<S: AsRef<OsStr>>(
        directory: &Path,
        program: impl IntoIterator<Item = S>,
    ) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(directory).args(program);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = shell.stdout.take().ok_or_else(|| io::Error::other("the output is not piped"))?;
        BufReader::new(out).read_line(&mut line)?;
        let pid = line.trim().parse().map_err(io::Error::other)?;
        Ok(Guarded { shell, pid })
    }

    /// The id of the program's process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the program and waits for its end. Its directory stays.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        if let Some(mut input) = self.shell.stdin.take() {
            input.write_all(b"keep\n")?;
        }
        self.shell.wait().map(drop)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It is the end of the input that ends the program.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
