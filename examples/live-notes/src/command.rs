//! What people type.

use std::str::FromStr;

/// The commands, as `help` shows them.
pub(crate) const HELP: &str = "\
add TEXT      write a note
edit N TEXT   give note N another text; this settles a conflict too
list          show all notes
conflicts     show the notes that two people have edited at once
keep N WHICH  settle the conflict of note N: WHICH is the letter of the text that stays
status        show how you stand with the hub
pause         work offline
resume        go online again
help          show this
quit          end";

/// A command. Notes are named by their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Add(String),
    Edit(usize, String),
    List,
    Conflicts,
    Keep(usize, String),
    Status,
    Pause,
    Resume,
    Help,
    Quit,
    /// An empty line.
    Nothing,
}

impl FromStr for Command {
    /// What is wrong, and what to type instead.
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (name, rest) = word(line);
        let alone = |command: Command| match rest {
            "" => Ok(command),
            _ => Err(format!("`{name}` stands alone; type `{name}`")),
        };
        match name {
            "add" if rest.is_empty() => Err("a note needs a text; type `add TEXT`".to_owned()),
            "add" => Ok(Command::Add(rest.to_owned())),
            "edit" => match numbered(rest)? {
                (_, "") => Err("a note needs a text; type `edit N TEXT`".to_owned()),
                (note, text) => Ok(Command::Edit(note, text.to_owned())),
            },
            "keep" => match numbered(rest)? {
                (_, "") => Err("say which text stays; type `keep N WHICH`, such as `keep 1 a`".to_owned()),
                (note, which) => Ok(Command::Keep(note, which.to_owned())),
            },
            "list" => alone(Command::List),
            "conflicts" => alone(Command::Conflicts),
            "status" => alone(Command::Status),
            "pause" => alone(Command::Pause),
            "resume" => alone(Command::Resume),
            "help" => alone(Command::Help),
            "quit" => alone(Command::Quit),
            "" => Ok(Command::Nothing),
            _ => Err(format!("`{name}` is not a command; type `help` to see all")),
        }
    }
}

/// Splits a line after its first word.
fn word(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

/// Splits a line after the number of a note.
fn numbered(line: &str) -> Result<(usize, &str), String> {
    let (number, rest) = word(line);
    match number.parse() {
        Ok(number) => Ok((number, rest)),
        Err(_) => Err(format!("`{number}` is not the number of a note; type `list` to see the numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let cases = [
            ("add buy  milk ", Command::Add("buy  milk".to_owned())),
            ("  edit 12 call Ann", Command::Edit(12, "call Ann".to_owned())),
            ("keep 1 b", Command::Keep(1, "b".to_owned())),
            ("quit", Command::Quit),
            (" ", Command::Nothing),
        ];
        for (line, command) in cases {
            assert_eq!(line.parse(), Ok(command));
        }
    }

    #[test]
    fn a_mistake_says_what_to_type() {
        let cases = [
            ("add", "add TEXT"),
            ("edit", "list"),
            ("edit one two", "`one`"),
            ("edit 1", "edit N TEXT"),
            ("edit -1 x", "`-1`"),
            ("keep 1", "keep N WHICH"),
            ("list all", "type `list`"),
            ("ad milk", "help"),
        ];
        for (line, hint) in cases {
            let error = line.parse::<Command>().expect_err(line);
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn every_command_is_in_the_help() {
        for line in HELP.lines() {
            let (name, _) = word(line);
            let command = format!("{name} 1 x").parse::<Command>();
            let is_known = !command.is_err_and(|error| error.contains("not a command"));
            assert!(is_known, "{name}");
        }
    }
}
