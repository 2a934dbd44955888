//! `chinwag`, the terminal client: a thin shell around [`chinwag::client`].
//!
//! A file imports only from files above it in this table.
//!
//! | file | what it is |
//! |---|---|
//! | `failure` | why the program ends, and with which exit status |
//! | `options` | the command line |
//! | `raw_mode` | the terminal's mode, and how it is given back |
//! | `rows` | text as rows of a terminal |
//! | `render` | an event as lines of text |
//! | `editor` | the line that is being typed |
//! | `plain` | for scripts and pipes, and for terminals that can do nothing |
//! | `terminal` | for a person at a terminal: questions, line editing, lines that appear above what is typed |

#![forbid(unsafe_code)]

#[path = "chinwag/editor.rs"]
mod editor;
#[path = "chinwag/failure.rs"]
mod failure;
#[path = "chinwag/options.rs"]
mod options;
#[path = "chinwag/plain.rs"]
mod plain;
#[path = "chinwag/raw_mode.rs"]
mod raw_mode;
#[path = "chinwag/render.rs"]
mod render;
#[path = "chinwag/rows.rs"]
mod rows;
#[path = "chinwag/terminal.rs"]
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use chinwag::client::settings::Settings;
use failure::{Failure, complain};
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
    let outcome = match TerminalKind::find() {
        _ if options.forget => forget(&options),
        TerminalKind::Terminal => terminal::run(options),
        TerminalKind::Dumb => plain::run(options, true),
        TerminalKind::Pipe => plain::run(options, false),
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

/// `--forget`
fn forget(options: &Options) -> Result<(), Failure> {
    let forgotten = Settings::find().forget_token(&options.server, options.user.as_deref());
    let was_kept = forgotten.map_err(|error| Failure::new(format!("the kept logins: {error}")))?;
    println!("{}", if was_kept { "forgotten" } else { "nothing was kept" });
    Ok(())
}

/// What the program reads from and writes to.
enum TerminalKind {
    /// Both ends are a terminal that can move its cursor.
    Terminal,
    /// Both ends are a terminal that can not.
    Dumb,
    /// At least one end is something else.
    Pipe,
}

impl TerminalKind {
    fn find() -> TerminalKind {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return TerminalKind::Pipe;
        }
        // As rustyline has it: these cannot be edited on.
        let unable = ["", "dumb", "cons25", "emacs"];
        match std::env::var("TERM") {
            Ok(terminal) if !unable.contains(&terminal.as_str()) => TerminalKind::Terminal,
            _ => TerminalKind::Dumb,
        }
    }
}
