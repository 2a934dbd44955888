//! What holds the house together, checked by reading it: who may import whom, what a layer may not touch, the
//! shape of the text, the parts on the list, and that the README names what there is.
//!
//! It reads the sources as text and knows only as much of Rust as this house uses: comments are cut off at `//`,
//! and a file's tests are behind its `#[cfg(test)]`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// rustfmt holds code to 110; comments and strings it leaves alone.
const COLUMNS_MAX: usize = 120;
/// Of a source file without its tests; what is longer stands in [`LONG_FILES`].
const LINES_MAX: usize = 420;
/// Files that may be longer, to how many lines, and why.
const LONG_FILES: [(&str, usize, &str); 0] = [];

/// The crates that Cargo.toml may name for the program itself.
const DEPENDENCIES: [&str; 10] = [
    "mio",
    "slab",
    "sha2",
    "hex",
    "getrandom",
    "log",
    "env_logger",
    "signal-hook",
    "signal-hook-mio",
    "socket2",
];

const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "src",
    "tests",
    "bench",
    "scripts",
    "target",
    "data",
];

/// Files that decide by what they are given: no clock, no file, no socket.
const PURE: [&str; 20] = [
    "client", "limits", "name", "kdf", "line", "subnet", "proxy", "text", "record", "protocol", "feed",
    "throttle", "hashing", "login", "presence", "quota", "loglimit", "effects", "chat", "cursor",
];

/// The only module that may name the poller, the signals and the options of sockets.
const NETWORK: &str = "net";
/// The clients' connection and settings, which are no part of the server.
const CLIENTS: [&str; 2] = ["src/client/link.rs", "src/client/settings.rs"];
/// The only one that may look at the clock, draw randomness and print.
const PROGRAM: &str = "src/main.rs";

#[test]
fn a_file_imports_only_from_files_above_it_in_the_table_of_lib_rs() {
    let order = layers();
    let mut problems = Problems::default();
    for file in sources() {
        let Some(own) = order.iter().position(|module| module == file.layer()) else { continue };
        for (number, line) in file.code() {
            for module in crate_paths(line) {
                match order.iter().position(|other| other == module) {
                    Some(other) if other < own || (other == own && file.is_in_folder()) => {}
                    Some(_) => problems.add(&file, number, format!("`{module}` is not above it")),
                    None => problems.add(&file, number, format!("`{module}` is not in the table")),
                }
            }
        }
    }
    problems.assert_none();
}

#[test]
fn every_file_of_the_library_stands_in_the_table_of_lib_rs_once_and_opens_with_what_it_is() {
    let order = layers();
    let mut problems = Problems::default();
    for file in sources() {
        let module = file.path.trim_start_matches("src/").trim_end_matches(".rs");
        let is_in_table = order.iter().filter(|other| *other == module).count() == 1;
        let is_library = !matches!(module, "lib" | "main") && !module.contains('/');
        if is_library && !is_in_table {
            problems.add(&file, 1, "it has not one place in the table of src/lib.rs".into());
        }
        if !file.text.starts_with("//! ") {
            problems.add(&file, 1, "a file opens with `//! ` and what it is".into());
        }
    }
    for module in &order {
        if !root().join(format!("src/{module}.rs")).is_file() {
            problems.say(format!("src/lib.rs: there is no src/{module}.rs"));
        }
    }
    problems.assert_none();
}

#[test]
fn imports_from_the_crate_are_written_one_module_a_line() {
    // Else the test of the layers would not see them.
    let mut problems = Problems::default();
    for file in sources() {
        for (number, line) in file.code() {
            if line.contains("crate::{") || line.contains("super::super") || line.contains("crate::*") {
                problems.add(&file, number, "write `use crate::module::…`".into());
            }
        }
    }
    problems.assert_none();
}

#[test]
fn only_the_network_file_names_the_poller_and_the_signals() {
    let crates = ["mio::", "mio;", "socket2", "signal_hook"];
    forbid(&crates, "only src/net.rs and its folder talk to the poller", |file| {
        file.layer() != NETWORK && !CLIENTS.contains(&file.path.as_str())
    });
}

#[test]
fn the_clock_and_randomness_come_in_as_arguments() {
    let sources = ["Instant", "SystemTime", "getrandom", "RandomState", "thread::", "std::env"];
    let applies = |file: &Source| file.path != PROGRAM && !CLIENTS.contains(&file.path.as_str());
    forbid(&sources, "time and randomness come from `World`, and nothing waits", applies);
}

#[test]
fn what_decides_touches_no_file_and_no_socket() {
    let words = ["std::fs", "fs::", "File::open", "TcpStream", "TcpListener", "UdpSocket", "std::process"];
    forbid(&words, "this file decides; others act", |file| {
        PURE.contains(&file.layer()) && !CLIENTS.contains(&file.path.as_str())
    });
}

#[test]
fn nothing_below_the_program_prints_and_nothing_is_left_to_be_done() {
    let prints = ["println!", "print!(", "dbg!", "io::stdout", "io::stderr", "process::exit"];
    forbid(&prints, "only the program talks to its terminal", |file| file.path != PROGRAM);
    let unfinished = ["todo!", "unimplemented!", ".unwrap()", "TODO", "FIXME", "XXX"];
    forbid(&unfinished, "finish it, or say with `expect` why it cannot fail", |_| true);
}

#[test]
fn there_is_no_unsafe_code() {
    let forbidden = "#![forbid(unsafe_code)]";
    for path in ["src/lib.rs", PROGRAM] {
        assert!(read(path).lines().any(|line| line == forbidden), "{path}: `{forbidden}` is missing");
    }
}

#[test]
fn lines_are_short_and_files_end_with_one_newline() {
    let mut problems = Problems::default();
    for file in texts() {
        for (number, line) in file.numbered() {
            let columns = line.chars().count();
            // A row of a table cannot be broken.
            let is_row = line.trim_start_matches("//! ").starts_with("| ");
            if columns > COLUMNS_MAX && !is_row {
                problems.add(&file, number, format!("{columns} columns; at most {COLUMNS_MAX}"));
            }
            if line.ends_with([' ', '\t', '\r']) {
                problems.add(&file, number, "a space at the end".into());
            }
        }
        if !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
            problems.add(&file, file.text.lines().count(), "a file ends with one newline".into());
        }
    }
    problems.assert_none();
}

#[test]
fn files_are_short_or_have_a_reason() {
    let mut problems = Problems::default();
    for file in sources() {
        let lines = file.code().count();
        let exception = LONG_FILES.iter().find(|(path, ..)| *path == file.path);
        let most = exception.map_or(LINES_MAX, |&(_, most, _)| most);
        if lines > most {
            problems.add(&file, lines, format!("{lines} lines; at most {most}"));
        }
        if exception.is_some() && lines <= LINES_MAX {
            problems.add(&file, lines, "short again: take it out of LONG_FILES".into());
        }
    }
    problems.assert_none();
}

#[test]
fn the_top_level_holds_only_what_is_on_the_list() {
    let found = fs::read_dir(root()).expect("the repository is there");
    let strangers: Vec<String> = found
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "not on the list of the top level: {strangers:?}");
}

#[test]
fn the_program_depends_on_the_ten_crates_on_the_list() {
    let manifest = read("Cargo.toml");
    let named: BTreeSet<&str> = section(&manifest, "[dependencies]")
        .filter(|line| !line.contains("optional = true"))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
        .collect();
    assert_eq!(named, BTreeSet::from(DEPENDENCIES));
    for line in manifest.lines().filter(|line| line.starts_with('[')) {
        assert!(!line.contains("dependencies.") && !line.starts_with("[target"), "out of sight here: {line}");
    }
}

#[test]
fn the_readme_names_every_flag() {
    let flags = read("src/flags.rs");
    let help = flags.split_once("const HELP").expect("flags.rs has the help").1;
    let help = help.split_once("\";").expect("a string ends").0;
    let flags: BTreeSet<&str> = help
        .split(|character: char| !(character.is_ascii_lowercase() || character == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    assert!(flags.len() >= 10, "flags are found in the help: {flags:?}");
    assert_readme_names(flags.iter().map(|flag| (*flag).to_owned()));
}

#[test]
fn the_readme_names_every_command() {
    let commands: BTreeSet<String> = chinwag::protocol::command::help()
        .filter_map(|line| {
            line.strip_prefix("* ").map(|line| line.split("  ").next().unwrap_or("").to_owned())
        })
        .filter(|usage| usage.starts_with('/'))
        .collect();
    assert!(commands.len() >= 10, "commands are found in the help: {commands:?}");
    assert_readme_names(commands.into_iter());
}

#[test]
fn the_readme_names_every_error_code() {
    let codes: BTreeSet<String> = sources().iter().flat_map(error_codes).collect();
    assert!(codes.len() >= 15, "codes are found in the sources: {codes:?}");
    assert_readme_names(codes.into_iter());
}

#[test]
fn the_readme_shows_notices_as_they_are() {
    let mut wordings = BTreeSet::new();
    for file in sources() {
        for (_, line) in file.code() {
            for literal in line.split('"').skip(1).step_by(2).filter(|literal| literal.starts_with("* ")) {
                // Without what is filled in, and what is too short to tell anything.
                let fixed =
                    literal.split(['{', '\\']).map(|part| part.split_once('}').map_or(part, |it| it.1));
                wordings.extend(fixed.filter(|part| part.len() > "* n ".len()).map(str::to_owned));
            }
        }
    }
    assert!(wordings.len() >= 10, "notices are found in the sources: {wordings:?}");
    let readme = read("README.md");
    wordings.retain(|wording| !readme.contains(wording.as_str()));
    assert!(wordings.is_empty(), "README.md shows no such notice: {wordings:#?}");
}

fn is_part_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-'
}

/// Each of them stands in the README as a whole, not as a part of a longer word.
fn assert_readme_names(words: impl Iterator<Item = String>) {
    let readme = read("README.md");
    let missing: Vec<String> = words
        .filter(|word| {
            !readme.match_indices(word.as_str()).any(|(at, _)| {
                let before = readme[..at].chars().next_back();
                let behind = readme[at + word.len()..].chars().next();
                ![before, behind].into_iter().flatten().any(is_part_of_word)
            })
        })
        .collect();
    assert!(missing.is_empty(), "README.md does not name {missing:?}");
}

/// The codes of a file's errors: what stands between `! ` and `: ` at the start of a string.
fn error_codes(file: &Source) -> Vec<String> {
    let mut codes = Vec::new();
    for (_, line) in file.code() {
        for (at, _) in line.match_indices("! ") {
            let starts_string = line[..at].is_empty() || line[..at].ends_with(['"', ' ']);
            let Some((code, _)) = line[at + 2..].split_once(": ").filter(|_| starts_string) else { continue };
            if !code.is_empty() && code.chars().all(|it| it.is_ascii_lowercase() || it == '-') {
                codes.push(code.to_owned());
            }
        }
    }
    codes
}

/// The lines of a section of the manifest.
fn section<'a>(manifest: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    manifest
        .lines()
        .skip_while(move |line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

/// The modules in the order of the table in the library's docs, the lowest first.
fn layers() -> Vec<String> {
    let library = read("src/lib.rs");
    let rows = library.lines().filter(|line| line.starts_with("//! | ") && line.contains("[`"));
    let layers: Vec<String> = rows
        .filter_map(|row| row.split('|').nth(2))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|link| link.trim_start_matches("mod@").to_owned())
        .collect();
    assert!(layers.len() > 15, "the table of layers is found in src/lib.rs: {layers:?}");
    layers
}

/// The modules that a line names as `crate::module`.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, word)| {
        let path = &line[at + word.len()..];
        let end = path.find(|it: char| !(it.is_ascii_alphanumeric() || it == '_')).unwrap_or(path.len());
        &path[..end]
    })
}

/// No code of the files that `applies` to has any of `words` in it.
fn forbid(words: &[&str], why: &str, applies: impl Fn(&Source) -> bool) {
    let mut problems = Problems::default();
    for file in sources().iter().filter(|file| applies(file)) {
        for (number, line) in file.code() {
            for word in words.iter().filter(|word| contains_word(line, word)) {
                problems.add(file, number, format!("`{word}`: {why}"));
            }
        }
    }
    problems.assert_none();
}

/// Whether `word` is in `line` and no part of a longer name that ends with it.
fn contains_word(line: &str, word: &str) -> bool {
    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let starts_name = word.starts_with(is_name);
    line.match_indices(word).any(|(at, _)| !(starts_name && line[..at].ends_with(is_name)))
}

struct Source {
    /// From the top of the repository.
    path: String,
    text: String,
}

impl Source {
    /// The module of the table that the file belongs to: its own, or that of its folder.
    fn layer(&self) -> &str {
        let module = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        module.split('/').next().unwrap_or(module)
    }

    fn is_in_folder(&self) -> bool {
        self.path.trim_start_matches("src/").contains('/')
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Its lines of code, without its comments and its tests, which stand at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.numbered()
            .take_while(|(_, line)| *line != "#[cfg(test)]")
            .map(|(number, line)| (number, line.split("//").next().unwrap_or("")))
    }
}

#[derive(Default)]
struct Problems(String);

impl Problems {
    fn add(&mut self, file: &Source, line: usize, what: String) {
        self.say(format!("{}:{line}: {what}", file.path));
    }

    fn say(&mut self, what: String) {
        let _ = writeln!(self.0, "{what}");
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The server's sources.
fn sources() -> Vec<Source> {
    let mut files = files_below("src", &["rs"]);
    files.retain(|file| !file.path.starts_with("src/gui/") && !file.path.starts_with("src/bin/"));
    assert!(files.len() > 15, "the sources are found");
    files
}

/// Everything that people write here.
fn texts() -> Vec<Source> {
    let extensions = ["rs", "md", "toml", "sh", "py", "service", "txt"];
    let folders = ["src", "tests", "bench", "scripts"];
    let mut files: Vec<Source> = folders.iter().flat_map(|folder| files_below(folder, &extensions)).collect();
    files.extend(["Cargo.toml", "README.md"].map(|path| Source { path: path.into(), text: read(path) }));
    files
}

fn files_below(folder: &str, extensions: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries {
            let path = folder.join(entry.expect("it can be listed").file_name());
            let full = root().join(&path);
            if full.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| extensions.contains(&it.to_string_lossy().as_ref())) {
                let path = path.to_string_lossy().into_owned();
                files.push(Source { text: read(&path), path });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}
