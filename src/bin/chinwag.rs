//! `chinwag`, the terminal client: a thin shell around [`chinwag::client`].
//!
//! | file | what it is |
//! |---|---|
//! | `options` | the command line |
//! | `render` | an event as lines of text |
//! | `rows` | text as rows of a terminal |
//! | `silence` | the terminal's mode, and how it is given back |
//! | `terminal` | for a person at a terminal: questions, line editing, lines that appear above what is typed |
//! | `plain` | for scripts and pipes, and for terminals that can do nothing |

#![forbid(unsafe_code)]

#[path = "chinwag/editor.rs"]
mod editor;
#[path = "chinwag/options.rs"]
mod options;
#[path = "chinwag/plain.rs"]
mod plain;
#[path = "chinwag/render.rs"]
mod render;
#[path = "chinwag/rows.rs"]
mod rows;
#[path = "chinwag/silence.rs"]
mod silence;
#[path = "chinwag/terminal.rs"]
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use chinwag::client::settings::Settings;
use options::{Options, Parsed};

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Print(text)) => {
            let printed = io::stdout().write_all(text.as_bytes());
            return if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(2);
        }
    };
    let outcome = match Surroundings::find() {
        _ if options.forget => forget(&options),
        Surroundings::Terminal => terminal::run(options),
        Surroundings::Dumb => plain::run(options, true),
        Surroundings::Pipe => plain::run(options, false),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { words, code }) => {
            if !words.is_empty() {
                complain(&words);
            }
            ExitCode::from(code)
        }
    }
}

/// After so many wrong passwords the program ends.
const WRONG_PASSWORDS_MAX: usize = 3;

/// `--forget`
fn forget(options: &Options) -> Result<(), Failure> {
    let forgotten = Settings::find().forget_token(&options.server, options.user.as_deref());
    let was_kept = forgotten.map_err(|error| Failure::new(format!("the kept logins: {error}")))?;
    println!("{}", if was_kept { "forgotten" } else { "nothing was kept" });
    Ok(())
}

/// What the program is run in.
enum Surroundings {
    /// Both ends are a terminal that can move its cursor.
    Terminal,
    /// Both ends are a terminal that can not.
    Dumb,
    /// At least one end is something else.
    Pipe,
}

impl Surroundings {
    fn find() -> Surroundings {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Surroundings::Pipe;
        }
        // As rustyline has it: these cannot be edited on.
        let unable = ["", "dumb", "cons25", "emacs"];
        match std::env::var("TERM") {
            Ok(terminal) if !unable.contains(&terminal.as_str()) => Surroundings::Terminal,
            _ => Surroundings::Dumb,
        }
    }
}

/// Why the program ends other than well.
pub struct Failure {
    /// For a person; empty where all is said already.
    pub words: String,
    /// The exit status.
    pub code: u8,
}

impl Failure {
    /// It did not work.
    pub fn new(words: impl Into<String>) -> Failure {
        Failure { words: words.into(), code: 1 }
    }

    /// It was not asked for in the right way.
    pub fn usage(words: impl Into<String>) -> Failure {
        Failure { words: words.into(), code: 2 }
    }
}

fn complain(words: &str) {
    let _ = writeln!(io::stderr(), "chinwag: {words}");
}
