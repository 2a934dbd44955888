//! What was measured, beside its goals: as a table on the terminal and in Markdown, and as a picture.

use std::fmt::Write;
use std::time::Duration;

/// What a figure must be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Goal::AtMost(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        }
    }

    /// How much of what is allowed is used up; more than 1 where the goal is missed.
    fn used(self, value: f64) -> f64 {
        match self {
            Goal::AtMost(most) if most > 0.0 => value / most,
            Goal::AtMost(_) if value <= 0.0 => 0.0,
            Goal::AtMost(_) => f64::INFINITY,
            Goal::AtLeast(least) => least / value,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    scenario: String,
    figure: &'static str,
    server: String,
    limit: String,
    ratio: String,
    goal: Option<(Goal, f64, String)>,
}

impl Row {
    /// What the server came to.
    pub fn new(scenario: impl Into<String>, figure: &'static str, server: impl Into<String>) -> Row {
        Row { scenario: scenario.into(), figure, server: server.into(), ..Row::default() }
    }

    /// What it is held against.
    pub fn limit(mut self, limit: impl Into<String>) -> Row {
        self.limit = limit.into();
        self
    }

    /// How the two compare.
    pub fn ratio(mut self, ratios: &[f64]) -> Row {
        let (least, most) = ratios.iter().fold((f64::MAX, f64::MIN), |(a, b), &it| (a.min(it), b.max(it)));
        self.ratio = match ratios.len() {
            0 | 1 => format!("{:.2}", median(ratios)),
            _ => format!("{:.2} ({least:.2}–{most:.2})", median(ratios)),
        };
        self
    }

    /// What `value` must be, and that in words.
    pub fn goal(mut self, goal: Goal, value: f64, words: &str) -> Row {
        self.goal = Some((goal, value, words.to_owned()));
        self
    }

    fn verdict(&self) -> &'static str {
        match self.goal {
            None => "",
            Some((goal, value, _)) if goal.is_met(value) => "met",
            Some(_) => "missed",
        }
    }

    fn cells(&self) -> [&str; 7] {
        let goal = self.goal.as_ref().map_or("", |(.., words)| words);
        [&self.scenario, self.figure, &self.server, &self.limit, &self.ratio, goal, self.verdict()]
    }
}

const HEADINGS: [&str; 7] = ["scenario", "figure", "server", "limit", "ratio", "goal", "verdict"];

/// All that was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a line.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        self.lined_up(" ", "  ", "", |cell| cell.to_owned())
    }

    /// For a README.
    pub fn markdown(&self) -> String {
        self.lined_up("| ", " | ", " |", |cell| cell.replace('|', "\\|"))
    }

    fn lined_up(&self, left: &str, between: &str, right: &str, escape: fn(&str) -> String) -> String {
        let mut lines = vec![HEADINGS.map(escape)];
        lines.extend(self.rows.iter().map(|row| row.cells().map(escape)));
        let widths: Vec<usize> = (0..HEADINGS.len())
            .map(|column| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, cells) in lines.iter().enumerate() {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(text, "{}", format!("{left}{}{right}", padded.join(between)).trim_end());
            if number == 0 {
                let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
                let _ = writeln!(text, "{left}{}{right}", rules.join(between));
            }
        }
        text
    }

    /// A bar for each figure that has a goal: how much of what is allowed it uses up.
    pub fn svg(&self) -> String {
        const LABEL: usize = 420;
        const UNIT: f64 = 300.0;
        const ROW: usize = 28;
        const TOP: usize = 76;
        /// Bars end here, however far the goal is missed.
        const LONGEST: f64 = 1.6;
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.goal.is_some()).collect();
        let (width, height) = (LABEL + 790, TOP + rows.len() * ROW + 24);
        let goal_at = LABEL as f64 + UNIT;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"14\" fill=\"#1f2328\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <text x=\"20\" y=\"32\" font-size=\"18\" font-weight=\"600\">chinwag under load</text>\n\
             <text x=\"20\" y=\"54\" fill=\"#57606a\">How much of its goal each figure uses up; shorter is \
             better.</text>\n\
             <text x=\"{goal_at}\" y=\"{}\" text-anchor=\"middle\" fill=\"#57606a\">goal</text>\n",
            TOP - 6
        );
        for (number, row) in rows.iter().enumerate() {
            let Some((goal, value, words)) = &row.goal else { continue };
            let used = goal.used(*value);
            let bar = UNIT * used.clamp(0.004, LONGEST);
            let color = if goal.is_met(*value) { "#4c9f70" } else { "#d1603d" };
            let y = TOP + number * ROW;
            let text_y = y + 19;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{text_y}\" text-anchor=\"end\">{}</text>\n\
                 <rect x=\"{LABEL}\" y=\"{}\" width=\"{bar:.1}\" height=\"{}\" rx=\"3\" fill=\"{color}\"/>\n\
                 <text x=\"{}\" y=\"{text_y}\">{}</text>",
                LABEL - 12,
                escaped(&format!("{}: {}", row.scenario, row.figure)),
                y + 5,
                ROW - 10,
                LABEL + (UNIT * LONGEST) as usize + 14,
                escaped(&format!("{} · {words}", row.headline())),
            );
        }
        let bottom = height - 18;
        let _ = writeln!(
            svg,
            "<line x1=\"{goal_at}\" y1=\"{TOP}\" x2=\"{goal_at}\" y2=\"{bottom}\" stroke=\"#1f2328\" \
             stroke-dasharray=\"4 3\"/>\n</svg>"
        );
        svg
    }
}

impl Row {
    fn headline(&self) -> String {
        if self.ratio.is_empty() {
            return self.server.clone();
        }
        format!("{} ×", self.ratio.split(' ').next().unwrap_or_default())
    }
}

/// The middle one, or the mean of the two in the middle; zero of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (half, 1) => sorted[half],
        (half, _) => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

/// A duration in seconds, as a person reads it.
pub fn time(seconds: f64) -> String {
    match seconds {
        0.0 => "0".into(),
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// The same for a [`Duration`].
pub fn duration(duration: Duration) -> String {
    time(duration.as_secs_f64())
}

/// A number with its thousands set apart.
pub fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes, in decimal units.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        b if b < 1e4 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.0} kB", b / 1e3),
        b if b < 1e9 => format!("{:.2} MB", b / 1e6),
        b => format!("{:.2} GB", b / 1e9),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
