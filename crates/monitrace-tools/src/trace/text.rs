//! Events as aligned text: event, place, name indented by depth, arguments.

use super::{Arguments, Record, Writer};
use monitrace_core::Event;
use std::fmt::Write as _;
use std::io::Write as _;

/// The longest event name.
const EVENT: usize = {
    let mut widest = 0;
    let mut i = 0;
    while i < Event::COUNT {
        let length = Event::ALL[i].name().len();
        if length > widest {
            widest = length;
        }
        i += 1;
    }
    widest
};
/// Columns that places have at first, and at most: a longer one pushes its own line.
const PLACE: std::ops::RangeInclusive<usize> = 20..=44;
/// Columns of a level of calls, and levels that are shown.
const INDENT: usize = 2;
const LEVELS: usize = 40;

const PLAIN: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";

pub(super) struct Text {
    colour: bool,
    /// The width of the longest place so far: lines are aligned with those before.
    place: usize,
    /// The first thread that was seen, until there is a second one.
    only_thread: Option<u64>,
    threads_differ: bool,
    scratch: String,
}

impl Text {
    pub(super) fn new(colour: bool) -> Text {
        Text {
            colour,
            place: *PLACE.start(),
            only_thread: None,
            threads_differ: false,
            scratch: String::new(),
        }
    }

    fn paint(&self, code: &'static str) -> &'static str {
        if self.colour { code } else { "" }
    }
}

/// The colour of an event: entering, leaving, calls, exceptions; the frequent ones stay quiet.
fn colour(event: Event) -> &'static str {
    match event {
        Event::PyStart | Event::PyResume => "\x1b[32m",
        Event::PyReturn | Event::PyYield => "\x1b[36m",
        Event::Call | Event::CReturn => "\x1b[34m",
        Event::Raise
        | Event::Reraise
        | Event::PyUnwind
        | Event::PyThrow
        | Event::CRaise
        | Event::StopIteration => "\x1b[31m",
        Event::ExceptionHandled => "\x1b[33m",
        Event::Line | Event::Instruction | Event::Jump | Event::BranchLeft | Event::BranchRight => "",
    }
}

impl Writer for Text {
    fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if *self.only_thread.get_or_insert(record.thread) != record.thread {
            self.threads_differ = true;
        }
        self.scratch.clear();
        // Neither a string nor a vector refuses.
        let _ = write!(self.scratch, "{}:{}", record.shown_file, record.line);
        let width = self.scratch.chars().count();
        // With room for the file's longer line numbers, so that the column does not move with them.
        let roomy = record.shown_file.chars().count() + ":0000".len();
        self.place = self.place.max(width.max(roomy).min(*PLACE.end()));
        let thread = if self.threads_differ { format!("T{:<4} ", record.thread) } else { String::new() };
        let hue = self.paint(colour(record.event));
        let plain = if hue.is_empty() { "" } else { PLAIN };
        let _ = write!(
            out,
            "{thread}{hue}{:<EVENT$}{plain} {}{}{}{:pad$} {:indent$}{}",
            record.event.name(),
            self.paint(DIM),
            Printable(&self.scratch),
            self.paint(PLAIN),
            "",
            "",
            Printable(record.name),
            pad = self.place.saturating_sub(width),
            indent = record.depth.min(LEVELS) * INDENT,
        );
        let _ = match record.arguments {
            Arguments::None => Ok(()),
            Arguments::Value(value) => write!(out, " -> {}", Printable(value)),
            Arguments::Call { callable, arg0: None } => write!(out, " {}()", Printable(callable)),
            Arguments::Call { callable, arg0: Some(arg0) } => {
                write!(out, " {}(arg0={})", Printable(callable), Printable(arg0))
            }
            Arguments::Exception(exception) => write!(out, " {}", Printable(exception)),
            Arguments::Destination { line: Some(line), .. } => write!(out, " to line {line}"),
            Arguments::Destination { offset, line: None } => write!(out, " to offset {}", offset.0),
        };
        out.push(b'\n');
    }
}

/// Names come from the program: one with a line break or an escape must not break the report.
struct Printable<'a>(&'a str);

impl std::fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.0.contains(char::is_control) {
            return f.write_str(self.0);
        }
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}
