//! The line that is being typed, and the lines that appear above it.
//!
//! Line editing is rustyline's. What is to appear is gathered by [`Screen`] and printed by a thread of its own, a
//! burst of lines at once, by rustyline's external printer. That writes to the terminal by itself while no line is
//! edited, past what still waits to be printed above one; so it is used only within a [`Gate`], which is open
//! exactly while a line is edited.
//!
//! All that is asked for is asked for here, passwords too: the line editor reads ahead, and only itself has what was
//! typed before a question. Were a password read by anything else, one that was typed early would be the next line.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chinwag::client::Client;
use rustyline::completion::Completer;
use rustyline::config::{BellStyle, ColorMode};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler,
    ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};
use unicode_width::UnicodeWidthStr;

use crate::raw_mode::{RawMode, columns};
use crate::rows::drawn;

const PROMPT: &str = "> ";
/// What is printed in one go; in between, keys are looked at.
const BURST_BYTES: usize = 64 << 10;

/// What is to appear, from whichever thread.
#[derive(Clone, Default)]
pub struct Screen(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    something_waits: Condvar,
    gate: Gate,
    names: Mutex<BTreeSet<String>>,
    /// Who would receive a `/reply`.
    correspondent: Mutex<Option<String>>,
    drawn: Mutex<Drawn>,
}

/// The line that is edited, as it was drawn last.
#[derive(Default)]
struct Drawn {
    before_cursor: String,
    after_cursor: String,
    /// It has changed and is about to be drawn.
    has_changed: bool,
}

#[derive(Default)]
struct Waiting {
    text: String,
    /// Bursts that were handed to the external printer, which tells nobody when they have appeared.
    handed_over: VecDeque<String>,
}

/// Whether a line is being edited.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    /// The line is done: what is drawn from here on is its end.
    is_leaving: AtomicBool,
    /// Held while something is handed to the external printer; how often it was.
    passing: Mutex<()>,
    passes: AtomicU64,
    /// The pass that was waited for last.
    passed_by: AtomicU64,
    opened: Condvar,
    waits: Mutex<()>,
}

/// A lock whose holder panicked guards nothing that could be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// A line is being edited, unless it is done.
    fn open(&self) {
        if !self.is_leaving.load(Ordering::SeqCst) && !self.is_open.swap(true, Ordering::SeqCst) {
            drop(lock(&self.waits));
            self.opened.notify_all();
        }
    }

    /// The line is done. Waits for who is passing: it is through at once, or waits for the line editor and is past
    /// the point where it would write by itself.
    fn close(&self) {
        const PASSED_BY: Duration = Duration::from_millis(50);
        self.is_leaving.store(true, Ordering::SeqCst);
        self.is_open.store(false, Ordering::SeqCst);
        // Once for each pass: a long text that is pasted keeps the line editor from all else for many lines.
        let pass = self.passes.load(Ordering::SeqCst);
        if self.passed_by.swap(pass, Ordering::SeqCst) == pass {
            return;
        }
        let started = Instant::now();
        while self.passing.try_lock().is_err() && started.elapsed() < PASSED_BY {
            thread::yield_now();
        }
    }

    fn wait_until_open(&self) {
        let mut waits = lock(&self.waits);
        while !self.is_open.load(Ordering::SeqCst) {
            waits = self.opened.wait(waits).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Screen {
    /// Lets this appear above the line that is being typed.
    pub fn show(&self, text: &str) {
        if !text.is_empty() {
            lock(&self.0.waiting).text.push_str(text);
            self.0.something_waits.notify_one();
        }
    }

    /// The names that are completed.
    pub fn set_names(&self, names: BTreeSet<String>) {
        *lock(&self.0.names) = names;
    }

    /// Who would receive a `/reply`.
    pub fn set_correspondent(&self, name: Option<String>) {
        *lock(&self.0.correspondent) = name;
    }

    /// Takes what did not appear yet, for when no line is edited any more.
    pub fn take_rest(&self) -> String {
        let mut waiting = lock(&self.0.waiting);
        let handed_over = std::mem::take(&mut waiting.handed_over);
        handed_over.into_iter().collect::<String>() + &std::mem::take(&mut waiting.text)
    }

    fn wait_for_something(&self) {
        let mut waiting = lock(&self.0.waiting);
        while waiting.text.is_empty() {
            waiting = self.0.something_waits.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whole lines, up to a burst.
    fn next_burst(&self) -> String {
        let mut waiting = lock(&self.0.waiting);
        let text = &waiting.text;
        let burst = text.as_bytes().iter().take(BURST_BYTES).rposition(|&byte| byte == b'\n');
        let end = burst.map_or(text.len(), |at| at + 1);
        let rest = waiting.text.split_off(end);
        let burst = std::mem::replace(&mut waiting.text, rest);
        waiting.handed_over.push_back(burst.clone());
        burst
    }

    fn print_all(&self, mut printer: impl ExternalPrinter) {
        loop {
            self.wait_for_something();
            self.0.gate.wait_until_open();
            let _passing = lock(&self.0.gate.passing);
            self.0.gate.passes.fetch_add(1, Ordering::SeqCst);
            // Otherwise the line was done just now: for the next one, or the end.
            if self.0.gate.is_open.load(Ordering::SeqCst) {
                if printer.print(self.next_burst()).is_err() {
                    return;
                }
                // The printer holds one. That this one got in means that the one before it was taken out.
                let handed_over = &mut lock(&self.0.waiting).handed_over;
                while handed_over.len() > 2 {
                    handed_over.pop_front();
                }
            }
        }
    }

    /// The line is drawn: because it has changed, or else because a burst has appeared above it.
    fn drew(&self, line: &str, at: usize) {
        let mut drawn = lock(&self.0.drawn);
        let (before, after) = line.split_at(at);
        let is_same = drawn.before_cursor == before && drawn.after_cursor == after && !drawn.has_changed;
        if is_same && !self.0.gate.is_leaving.load(Ordering::SeqCst) {
            lock(&self.0.waiting).handed_over.pop_front();
        }
        *drawn = Drawn { before_cursor: before.into(), after_cursor: after.into(), has_changed: false };
    }
}

/// What came of editing a line.
pub enum Line {
    /// It is to be done.
    Submitted(String),
    /// The user leaves.
    Ended,
}

/// The line editor.
pub struct LineEditor {
    editor: Editor<Assistant, DefaultHistory>,
    screen: Screen,
    secret: Secret,
    raw_mode: Arc<RawMode>,
}

impl LineEditor {
    /// An editor above which a screen's lines appear; `rings` where a key that does nothing may make a sound.
    ///
    /// # Errors
    /// Where the terminal does not allow it.
    pub fn new(screen: Screen, rings: bool) -> Result<LineEditor, ReadlineError> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            // Otherwise nothing appears from a first tab to the next key.
            .completion_show_all_if_ambiguous(true)
            .bell_style(if rings { BellStyle::Audible } else { BellStyle::None })
            // It has no colours; this is so that it always tells what it draws.
            .color_mode(ColorMode::Forced)
            .max_history_size(1000)?
            .history_ignore_space(false)
            .auto_add_history(false)
            .build();
        let raw_mode = Arc::new(RawMode::begin()?);
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Assistant { screen: screen.clone() }));
        let secret = Secret::default();
        let keys = Keys { screen: screen.clone(), secret: secret.clone(), raw_mode: Arc::clone(&raw_mode) };
        editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(keys)));
        Ok(LineEditor { editor, screen, secret, raw_mode })
    }

    /// Begins to print, from now on, what is to appear.
    ///
    /// # Errors
    /// Where the terminal does not allow it.
    pub fn start_printing(&mut self) -> Result<(), ReadlineError> {
        let printer = self.editor.create_external_printer()?;
        let screen = self.screen.clone();
        thread::Builder::new().name("printer".into()).spawn(move || screen.print_all(printer))?;
        Ok(())
    }

    /// Asks for a line, which is not kept for recalling.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn ask(&mut self, question: &str, suggestion: &str) -> Result<Line, ReadlineError> {
        self.screen.0.gate.is_leaving.store(true, Ordering::SeqCst);
        self.read(question, suggestion)
    }

    /// Asks for something of which nothing is to be seen; `None` where the user gave up.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn ask_hidden(&mut self, question: &str) -> Result<Option<String>, ReadlineError> {
        *lock(&self.secret.0) = Some(String::new());
        let outcome = self.ask(question, "");
        let secret = lock(&self.secret.0).take();
        Ok(match outcome? {
            Line::Submitted(_) => secret.filter(|secret| !secret.is_empty()),
            Line::Ended => None,
        })
    }

    /// Waits for something; `None` where there is nothing to come, or Ctrl-C was pressed.
    pub fn wait<T>(&self, source: &Receiver<T>) -> Option<T> {
        self.raw_mode.wait(source)
    }

    /// Edits a line.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn edit(&mut self) -> Result<Line, ReadlineError> {
        self.screen.0.gate.is_leaving.store(false, Ordering::SeqCst);
        let line = self.read(PROMPT, "");
        self.screen.0.gate.close();
        line
    }

    fn read(&mut self, prompt: &str, initial: &str) -> Result<Line, ReadlineError> {
        let (mut before, mut after) = (initial.to_owned(), String::new());
        loop {
            match self.editor.readline_with_initial(prompt, (&before, &after)) {
                Ok(line) => return Ok(Line::Submitted(line)),
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(Line::Ended),
                // A key that is no UTF-8 is nothing; the line editor gives up, and is handed the line again.
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    let drawn = lock(&self.screen.0.drawn);
                    (before, after) = (drawn.before_cursor.clone(), drawn.after_cursor.clone());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets this appear above the line that is being typed.
    pub fn show(&self, text: &str) {
        self.screen.show(text);
    }

    /// Keeps a line, so that it can be recalled.
    pub fn remember(&mut self, line: &str) {
        // It is only a convenience.
        let _ = self.editor.add_history_entry(line);
    }

    /// Takes a line that was just submitted off the screen: it will appear as the server has it.
    pub fn erase(&mut self, line: &str) {
        let columns = columns();
        let Some(rows) = rows_of(&drawn(line, PROMPT.len(), columns), columns) else { return };
        let mut out = io::stdout();
        let _ = write!(out, "\x1b[{rows}A\r\x1b[J").and_then(|()| out.flush());
    }
}

/// The rows that what was submitted and its prompt take; `None` where only the editor knows.
fn rows_of(text: &str, columns: usize) -> Option<usize> {
    let last = text.matches('\n').count();
    let rows = text.split('\n').enumerate().map(|(number, line)| {
        let width = if number == 0 { PROMPT.len() } else { 0 } + line.width();
        if width < columns && !line.contains(char::is_control) {
            return Some(1);
        }
        // A wide character does not break at the edge, so only plain text can be counted. The cursor stands behind
        // the last line, and in the next row where that is full.
        let is_plain = line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let with_cursor = width + usize::from(number == last);
        (is_plain && columns > 0).then(|| with_cursor.div_ceil(columns))
    });
    rows.sum()
}

/// What is typed while something is asked for of which nothing is to be seen.
#[derive(Clone, Default)]
struct Secret(Arc<Mutex<Option<String>>>);

/// What a key does, where it is not what the line editor would do.
struct Keys {
    screen: Screen,
    secret: Secret,
    raw_mode: Arc<RawMode>,
}

impl ConditionalEventHandler for Keys {
    fn handle(&self, event: &Event, _: RepeatCount, _: bool, now: &EventContext<'_>) -> Option<Cmd> {
        let key = event.get(0).copied()?;
        let ctrl = |letter| key == KeyEvent::ctrl(letter);
        if let Some(secret) = &mut *lock(&self.secret.0) {
            return Some(hidden(secret, key));
        }
        // A reply is addressed before it is sent, so that its recipient is seen and stays the same.
        let is_at_end = now.pos() == now.line().len();
        let is_space = key == KeyEvent(KeyCode::Char(' '), Modifiers::NONE);
        if is_space && is_at_end && addressed(&format!("{} ", now.line()), &self.screen).is_some() {
            return Some(Cmd::Complete);
        }
        let is_enter = key.0 == KeyCode::Enter || ctrl('J') || ctrl('M');
        if is_enter && addressed(now.line(), &self.screen).is_some() {
            return Some(if is_at_end { Cmd::Complete } else { Cmd::Move(Movement::EndOfBuffer) });
        }
        if ctrl('C') {
            // It clears the line and stays, as in any shell.
            return Some(Cmd::Kill(Movement::WholeLine));
        }
        if ctrl('D') && now.line().is_empty() {
            self.screen.0.gate.close();
            return Some(Cmd::EndOfFile);
        }
        if ctrl('Z') {
            self.raw_mode.suspend();
            return Some(Cmd::Repaint);
        }
        None
    }
}

/// The text with `/msg NAME ` for each `/reply ` at the beginning of a line; `None` if there is none, or nobody to
/// reply to.
fn addressed(text: &str, screen: &Screen) -> Option<String> {
    let name = lock(&screen.0.correspondent).clone()?;
    let address = |line: &str| match reply_text(line) {
        Some(reply) => format!("/msg {name} {reply}"),
        None => line.to_owned(),
    };
    let has_reply = text.split('\n').any(|line| reply_text(line).is_some());
    has_reply.then(|| text.split('\n').map(address).collect::<Vec<_>>().join("\n"))
}

fn reply_text(line: &str) -> Option<&str> {
    let (word, text) = line.split_once(' ')?;
    word.eq_ignore_ascii_case("/reply").then(|| text.trim_start())
}

/// The line stays empty meanwhile, so that nothing is drawn, and nothing can be recalled or yanked.
fn hidden(secret: &mut String, KeyEvent(code, modifiers): KeyEvent) -> Cmd {
    match (code, modifiers) {
        (KeyCode::Enter, _) | (KeyCode::Char('J' | 'M'), Modifiers::CTRL) => return Cmd::AcceptLine,
        (KeyCode::Char('C'), Modifiers::CTRL) => return Cmd::Interrupt,
        (KeyCode::Char('D'), Modifiers::CTRL) if secret.is_empty() => return Cmd::EndOfFile,
        (KeyCode::Char('U' | 'W'), Modifiers::CTRL) => secret.clear(),
        (KeyCode::Backspace, _) | (KeyCode::Char('H'), Modifiers::CTRL) => {
            secret.pop();
        }
        (KeyCode::Char(character), Modifiers::NONE) => secret.push(character),
        _ => {}
    }
    Cmd::Noop
}

/// What helps the editor: completion, and the moments at which a line begins and ends.
struct Assistant {
    screen: Screen,
}

impl Helper for Assistant {}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, at: usize) -> Cow<'l, str> {
        self.screen.drew(line, at);
        if line.contains(char::is_control) {
            Cow::Owned(drawn(line, PROMPT.len(), columns()))
        } else {
            Cow::Borrowed(line)
        }
    }

    /// So that nothing is drawn but through `highlight`.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Hinter for Assistant {
    type Hint = String;

    /// Called whenever the line is drawn, first when it is about to be edited.
    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        lock(&self.screen.0.drawn).has_changed = true;
        self.screen.0.gate.open();
        None
    }
}

impl Validator for Assistant {
    /// Called when the line is submitted.
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        self.screen.0.gate.close();
        Ok(ValidationResult::Valid(None))
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let line = &line[..at];
        let with_space = format!("{line} ");
        if let Some(addressed) =
            addressed(line, &self.screen).or_else(|| addressed(&with_space, &self.screen))
        {
            return Ok((0, vec![addressed]));
        }
        Ok(completions(line, &lock(&self.screen.0.names)))
    }
}

/// Where the word before the cursor begins, and what it can become.
fn completions(before: &str, names: &BTreeSet<String>) -> (usize, Vec<String>) {
    let start = before.rfind(' ').map_or(0, |at| at + 1);
    let word = &before[start..];
    if start == 0
        && let Some(begun) = word.strip_prefix('/')
    {
        let words: BTreeSet<&str> = Client::command_words().filter(|word| starts_with(word, begun)).collect();
        return (start, words.into_iter().map(|word| format!("/{word} ")).collect());
    }
    if word.is_empty() && start == 0 {
        return (start, Vec::new());
    }
    let names = names.iter().filter(|name| starts_with(name, word));
    (start, names.map(|name| format!("{name} ")).collect())
}

fn starts_with(word: &str, begun: &str) -> bool {
    word.get(..begun.len()).is_some_and(|start| start.eq_ignore_ascii_case(begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, expected: &[&str]) {
        let names = ["alice", "Albert", "bob"].map(String::from).into();
        let (start, words) = completions(before, &names);
        let completed: Vec<String> = words.iter().map(|word| format!("{}{word}", &before[..start])).collect();
        assert_eq!(completed, expected, "{before:?}");
    }

    #[test]
    fn commands_are_completed_at_the_beginning_and_names_everywhere() {
        check("/m", &["/me ", "/msg "]);
        check("/MSG", &["/msg "]);
        check("/unk", &[]);
        check("al", &["Albert ", "alice "]);
        check("hello b", &["hello bob "]);
        check("/msg a", &["/msg Albert ", "/msg alice "]);
        check("/msg ", &["/msg Albert ", "/msg alice ", "/msg bob "]);
        check("hello /m", &[]);
        check("", &[]);
        check("grüße al", &["grüße Albert ", "grüße alice "]);
    }

    #[test]
    fn a_line_takes_as_many_rows_as_it_fills() {
        assert_eq!(rows_of("hello", 80), Some(1));
        assert_eq!(rows_of(&"x".repeat(77), 80), Some(1));
        assert_eq!(rows_of(&"x".repeat(78), 80), Some(2), "the cursor stands in the next row");
        assert_eq!(rows_of(&"x".repeat(79), 80), Some(2));
        assert_eq!(rows_of(&"x".repeat(158), 80), Some(3));
        assert_eq!(rows_of("漢字", 80), Some(1));
        assert_eq!(rows_of(&"漢".repeat(60), 80), None);
        assert_eq!(rows_of("one\ntwo\n", 80), Some(3));
        assert_eq!(rows_of(&format!("{0}\n{0}", "x".repeat(79)), 80), Some(3), "the prompt stands once");
        assert_eq!(rows_of(&format!("one\n{}\ntwo", "x".repeat(80)), 80), Some(3), "none stands behind it");
        assert_eq!(rows_of("one\ttwo", 80), None);
    }
}
