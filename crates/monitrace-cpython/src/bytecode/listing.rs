//! Code objects written as text, for tests. It owns the notation and must never be in a release.
//!
//! One instruction a line: its line number or `-`, its name, its argument, where a label `@name`
//! stands for the distance. `name:` in front of a line defines a label.

use super::opcodes::{self, Jump, TABLE};
use super::{CodeBytes, Rewritten, line_table};

pub(super) struct Listing {
    pub(super) code: Vec<u8>,
    pub(super) exception_table: Vec<u8>,
    pub(super) line_table: Vec<u8>,
    pub(super) stack_size: u32,
}

pub(super) const CONSTS: u32 = 4;
pub(super) const NAMES: u32 = 4;

impl Listing {
    pub(super) fn new(stack_size: u32, text: &str) -> Listing {
        let mut labels = Vec::new();
        let mut rows = Vec::new();
        let mut unit = 0;
        for mut line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some((label, rest)) = line.split_once(": ") {
                labels.push((label, unit));
                line = rest.trim();
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let row = TABLE.iter().find(|row| row.name == words[1]).unwrap();
            unit += 1 + u32::from(row.caches);
            rows.push((words[0].parse().ok(), row, words.get(2).copied().unwrap_or("0"), unit));
        }
        let mut code = Vec::new();
        let mut lines = Vec::new();
        let mut before = 1i8;
        for (line, row, arg, end) in rows {
            let arg = match arg.strip_prefix('@') {
                None => arg.parse().unwrap(),
                Some(label) => {
                    let to = labels.iter().find(|(name, _)| *name == label).unwrap().1;
                    u8::try_from(if row.jump == Jump::Backward { end - to } else { to - end }).unwrap()
                }
            };
            code.extend([row.number, arg]);
            code.resize(code.len() + 2 * usize::from(row.caches), 0);
            match line {
                None => lines.push(0x80 | 15 << 3 | row.caches),
                Some(line) => {
                    let by: i8 = line - before;
                    before = line;
                    let sign_last = if by < 0 { -by << 1 | 1 } else { by << 1 };
                    lines.extend([0x80 | 13 << 3 | row.caches, sign_last as u8]);
                }
            }
        }
        Listing { code, exception_table: Vec::new(), line_table: lines, stack_size }
    }

    pub(super) fn bytes(&self) -> CodeBytes<'_> {
        CodeBytes {
            code: &self.code,
            exception_table: &self.exception_table,
            line_table: &self.line_table,
            first_line: 1,
            stack_size: self.stack_size,
            const_count: CONSTS,
            name_count: NAMES,
            is_generator: true,
        }
    }
}

pub(super) fn bytes_of(copy: &Rewritten) -> CodeBytes<'_> {
    CodeBytes {
        code: &copy.code,
        exception_table: &copy.exception_table,
        line_table: &copy.line_table,
        first_line: 1,
        stack_size: copy.stack_size,
        const_count: CONSTS + copy.added_consts(),
        name_count: NAMES + copy.added_names(),
        is_generator: true,
    }
}

/// The instructions as text, one a line: line number or `-`, name, argument. Jumps show the unit
/// that they lead to.
pub(super) fn show(code: &CodeBytes<'_>) -> String {
    let mut lines = line_table::Cursor::new(code.line_table, code.first_line);
    let mut text = String::new();
    let mut unit = 0usize;
    while let Some(&opcode) = code.code.get(2 * unit) {
        let row = opcodes::facts(opcode).unwrap();
        let arg = usize::from(code.code[2 * unit + 1]);
        let line = lines.at(unit as u32).unwrap().line();
        let line = line.map_or("-".to_owned(), |line| line.to_string());
        let end = unit + 1 + usize::from(row.caches);
        let arg = match row.jump {
            Jump::No => arg.to_string(),
            Jump::Forward => format!("to {}", end + arg),
            Jump::Backward => format!("to {}", end - arg),
        };
        text += &format!("{unit:2} {line} {} {arg}\n", row.name);
        unit = end;
    }
    text
}
