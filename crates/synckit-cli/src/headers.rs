//! What a proxy in front of a hub wants to see: headers, and the name and password of a user.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::failure::{self, Failure};

/// Headers for every call. What a file or the environment says is not visible to other users of the machine.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct Headers {
    /// Send this header with every call, for a proxy in front of the hub; @FILE reads one from each line; may be repeated.
    /// SYNCKIT_HEADERS in the environment has one in each line
    #[arg(long = "header", value_name = "NAME: VALUE|@FILE")]
    headers: Vec<String>,

    /// The user and the password for a proxy that asks for them (basic authentication); @FILE reads them.
    /// SYNCKIT_USER in the environment does the same
    #[arg(long, value_name = "USER:PASSWORD|@FILE")]
    user: Option<String>,
}

impl Headers {
    /// Reads them all: those of the command line after those of the environment.
    pub(crate) fn read(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut headers = Vec::new();
        let from_environment = std::env::var("SYNCKIT_HEADERS").ok();
        for lines in from_environment.iter().chain(&self.headers) {
            for line in value(lines, "--header")?.lines().filter(|line| !line.trim().is_empty()) {
                let (name, value) = line.split_once(':').ok_or_else(|| {
                    // The line may be a secret, so it is not shown.
                    Failure::usage("a header has no colon", "write it as --header 'NAME: VALUE'")
                })?;
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        let user = self.user.clone().or_else(|| std::env::var("SYNCKIT_USER").ok());
        if let Some(user) = user {
            let user = value(&user, "--user")?;
            let user = user.trim_end_matches(['\r', '\n']);
            if !user.contains(':') {
                return Err(Failure::usage(
                    "the user has no password",
                    "write it as --user USER:PASSWORD, or --user @FILE",
                ));
            }
            headers.push(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(user))));
        }
        Ok(headers)
    }
}

/// Returns what was given, or what the file that is named has.
fn value(given: &str, option: &str) -> Result<String, Failure> {
    let Some(file) = given.strip_prefix('@') else { return Ok(given.to_owned()) };
    std::fs::read_to_string(Path::new(file))
        .map_err(|error| failure::system(format!("the file of {option} cannot be read: {file}"), error))
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}
