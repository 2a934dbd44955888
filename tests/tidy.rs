//! What holds the house together, checked by reading it: who may import whom, what a layer may not touch, the
//! shape of the text, the parts on the list, and that the README names what there is.
//!
//! It reads the sources as text and knows only as much of Rust as this house uses: comments are cut off at `//`,
//! and a file's tests are behind its `#[cfg(test)]`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use chinwag::protocol::reply::{Notice, code};

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
const PURE: [&str; 11] = [
    "src/client",
    "src/limits.rs",
    "src/protocol",
    "src/auth",
    "src/state/accounts.rs",
    "src/session",
    "src/transport/feed.rs",
    "src/transport/proxy.rs",
    "src/transport/subnet.rs",
    "src/log/cursor.rs",
    "src/server/loglimit.rs",
];

/// The only module that may name the poller, the signals and the options of sockets.
const NETWORK: [&str; 2] = ["src/transport/net.rs", "src/transport/net/"];
/// The clients' connection and settings, which are no part of the server.
const CLIENTS: [&str; 2] = ["src/client/link.rs", "src/client/settings.rs"];
/// Where replies are formatted: the file and its folder.
const REPLIES: &str = "src/protocol/reply";
/// The only one that may look at the clock, draw randomness and print.
const PROGRAM: &str = "src/main.rs";

/// The parts of the repository that have a table of layers: where the table is, and the folder of its files.
const TABLES: [(&str, &str); 3] =
    [("src/lib.rs", "src/"), ("src/gui/lib.rs", "src/gui/"), ("src/bin/chinwag.rs", "src/bin/chinwag/")];

#[test]
fn files_import_only_from_files_above_them_in_their_table_and_none_is_unknown() {
    let mut problems = Problems::default();
    for (table, folder) in TABLES {
        let files = files_of(table, folder);
        Layers::read(table).check(folder, &files, &mut problems);
        for file in files.iter().filter(|file| !file.text.starts_with("//! ")) {
            problems.add(file, 1, "a file opens with `//! ` and what it is".into());
        }
    }
    problems.assert_none();
}

#[test]
fn a_forbidden_import_or_an_unknown_file_in_any_folder_is_found() {
    for (table, folder) in TABLES {
        let layers = Layers::read(table);
        let files = files_of(table, folder);
        let folders: BTreeSet<&str> =
            files.iter().filter_map(|file| Some(file.path.rsplit_once('/')?.0)).collect();
        let top = layers.order.last().expect("a table has rows");
        for &planted_in in &folders {
            let path = format!("{planted_in}/unknown.rs");
            let planted = [Source { path: path.clone(), text: "//! Unknown.\n".into() }];
            assert!(layers.problems_of(folder, &files, &planted).contains(&path), "{path} is not noticed");
        }
        for file in files
            .iter()
            .filter(|file| layers.rank_of(&module_of(folder, &file.path)) + 1 < layers.order.len())
        {
            let text = format!("//! Changed.\nuse crate::{top}::Anything;\n");
            let planted = [Source { path: file.path.clone(), text }];
            let problems = layers.problems_of(folder, &files, &planted);
            assert!(problems.contains(&format!("{}:2: ", file.path)), "{}: {problems}", file.path);
        }
    }
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
    forbid(&crates, "only src/transport/net.rs and its folder talk to the poller", |file| {
        !file.is_below(&NETWORK) && !CLIENTS.contains(&file.path.as_str())
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
        file.is_below(&PURE) && !CLIENTS.contains(&file.path.as_str())
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
fn replies_are_formatted_in_one_place() {
    let mut problems = Problems::default();
    find_hand_written_replies(&sources(), &mut problems);
    problems.assert_none();
}

#[test]
fn a_reply_that_is_formatted_by_hand_is_found_in_any_file() {
    for file in sources().iter().filter(|file| !file.path.starts_with(REPLIES)) {
        for literal in ["\"* {name} waves\"", "b\"* bye\\n\"", "\"! bad-login: no\""] {
            let text = format!("//! Changed.\nconst PLANTED: Anything = {literal};\n");
            let mut problems = Problems::default();
            find_hand_written_replies(&[Source { path: file.path.clone(), text }], &mut problems);
            assert!(problems.0.starts_with(&format!("{}:2: ", file.path)), "{literal} is not noticed");
        }
    }
}

#[test]
fn the_readme_names_every_flag() {
    let flags = read("src/server/flags.rs");
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
        .filter_map(|notice| match notice {
            Notice::Help { entry } => Some(entry.form.to_owned()),
            _ => None,
        })
        .collect();
    assert!(commands.len() >= 10, "commands are found in the help: {commands:?}");
    assert_readme_names(commands.into_iter());
}

#[test]
fn the_readme_names_every_error_code() {
    assert_readme_names(code::ALL.iter().map(|code| (*code).to_owned()));
}

#[test]
fn the_readme_shows_notices_as_they_are() {
    let table = read("src/protocol/reply/notice.rs");
    let table = table.split_once("wordings! {").expect("the table begins").1;
    let table = table.split_once("\n}").expect("the table ends").0;
    // Those of version 0.1, and of the last line of `/help`, are not for clients.
    let rows = table.lines().filter(|line| !line.contains("01 ") && !line.contains("anything else"));
    let mut wordings: BTreeSet<&str> = rows.flat_map(literals).collect();
    wordings.retain(|wording| wording.len() > "* n ".len());
    assert!(wordings.len() >= 10, "notices are found in the table: {wordings:?}");
    let readme = read("README.md");
    wordings.retain(|wording| !readme.contains(wording));
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

/// The string literals of a line, which begin and end in it.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// Finds replies that are formatted by hand.
fn find_hand_written_replies(files: &[Source], problems: &mut Problems) {
    for file in files.iter().filter(|file| !file.path.starts_with(REPLIES)) {
        for (number, line) in file.code() {
            if literals(line).any(|literal| literal.starts_with("* ") || literal.starts_with("! ")) {
                problems.add(file, number, "replies are formatted in src/protocol/reply.rs alone".into());
            }
        }
    }
}

/// The lines of a section of the manifest.
fn section<'a>(manifest: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    manifest
        .lines()
        .skip_while(move |line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

/// The modules of a table, as their paths in the crate, the lowest first. A folder's own module follows its files.
struct Layers {
    order: Vec<String>,
}

impl Layers {
    /// Reads the table in a file's docs. In the first cell of a row is a folder, in the second are its files; a table
    /// with two cells lists files only.
    fn read(path: &str) -> Layers {
        let text = read(path);
        let rows =
            text.lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|row| row.contains('`'));
        let mut order = Vec::new();
        for row in rows {
            let quoted = |cell: &str| -> Vec<String> {
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
            };
            let cells: Vec<&str> = row.split('|').collect();
            let (folder, files) = match cells.len() {
                4 => (quoted(cells[0]), quoted(cells[1])),
                _ => (vec!["src/".to_owned()], quoted(cells[0])),
            };
            match folder.first().map(String::as_str) {
                Some("src/") | None => order.extend(files),
                Some(folder) => {
                    order.extend(files.iter().map(|file| format!("{folder}::{file}")));
                    order.push(folder.to_owned());
                }
            }
        }
        assert!(order.len() > 5, "the table of layers is found in {path}: {order:?}");
        Layers { order }
    }

    /// The place of the nearest listed module around a path; that of the program itself is above all.
    fn rank_of(&self, module: &str) -> usize {
        let mut module = module;
        loop {
            if let Some(rank) = self.order.iter().position(|other| other == module) {
                return rank;
            }
            let Some((parent, _)) = module.rsplit_once("::") else { return self.order.len() };
            module = parent;
        }
    }

    fn check(&self, folder: &str, files: &[Source], problems: &mut Problems) {
        for module in &self.order {
            let path = format!("{folder}{}.rs", module.replace("::", "/"));
            if !files.iter().any(|file| file.path == path) {
                problems.say(format!("{path}: it is in the table, and does not exist"));
            }
        }
        for file in files {
            let module = module_of(folder, &file.path);
            let is_program = matches!(module.as_str(), "lib" | "main");
            if !is_program && !self.is_known(folder, &module, files) {
                problems.add(file, 1, "it is neither in the table nor a part of a module that is".into());
            }
            let own = self.rank_of(&module);
            for (number, line) in file.code() {
                for path in crate_paths(line, &module) {
                    let is_below = self.rank_of(&path) <= own;
                    if !is_below {
                        problems.add(file, number, format!("`{path}` is not above it in the table"));
                    }
                }
            }
        }
    }

    /// Whether a module is in the table, or declared by the file of a known module.
    fn is_known(&self, folder: &str, module: &str, files: &[Source]) -> bool {
        if self.order.iter().any(|other| other == module) {
            return true;
        }
        let Some((parent, name)) = module.rsplit_once("::") else { return false };
        let parent_path = format!("{folder}{}.rs", parent.replace("::", "/"));
        files.iter().filter(|file| file.path == parent_path).any(|file| {
            let declares = |line: &str| line == format!("mod {name};") || line == format!("pub mod {name};");
            file.text.lines().any(declares) && self.is_known(folder, parent, files)
        })
    }

    /// What [`Layers::check`] says of `files` if some were replaced or added.
    fn problems_of(&self, folder: &str, files: &[Source], planted: &[Source]) -> String {
        let is_replaced = |file: &&Source| planted.iter().any(|other| other.path == file.path);
        let all: Vec<Source> =
            files.iter().filter(|file| !is_replaced(file)).chain(planted).map(Source::copy).collect();
        let mut problems = Problems::default();
        self.check(folder, &all, &mut problems);
        problems.0
    }
}

/// The sources that a table is about, with what is not in its folder left out.
fn files_of(table: &str, folder: &str) -> Vec<Source> {
    let mut files = files_below(folder.trim_end_matches('/'), &["rs"]);
    let others = TABLES.iter().map(|(_, other)| *other).filter(|other| other.len() > folder.len());
    let others: Vec<&str> = others.chain(["src/gui/tests/", "src/bin/"]).filter(|it| *it != folder).collect();
    files.retain(|file| {
        !others.iter().any(|other| file.path.starts_with(other) && !folder.starts_with(other))
    });
    assert!(files.len() > 5, "the sources of {table} are found");
    files
}

/// The path in the crate of a file's module.
fn module_of(folder: &str, path: &str) -> String {
    path.trim_start_matches(folder).trim_end_matches(".rs").replace('/', "::")
}

/// The paths in the crate that a line names, with those that begin with `super::` resolved.
fn crate_paths(line: &str, module: &str) -> Vec<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut paths = Vec::new();
    for (word, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in line.match_indices(word) {
            let path = &line[at + word.len()..];
            let is_path = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == ':';
            let path = &path[..path.find(|it: char| !is_path(it)).unwrap_or(path.len())];
            // A module's name is in lower case; what follows is in it.
            let modules =
                path.split("::").take_while(|part| part.starts_with(|it: char| it.is_ascii_lowercase()));
            let modules = [base].into_iter().filter(|base| !base.is_empty()).chain(modules);
            paths.push(modules.collect::<Vec<_>>().join("::"));
        }
    }
    paths
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
    fn copy(&self) -> Source {
        Source { path: self.path.clone(), text: self.text.clone() }
    }

    fn is_below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
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
                // What another version wrote stays as it is.
                if !path.ends_with("target") && !path.ends_with("tests/fixtures") {
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
