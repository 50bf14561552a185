//! `co_linetable` of 3.11 and later, both ways. It owns the format (Objects/locations.md) and the compiler's
//! choice among its forms (Python/compile.c, `write_location_info_entry`), and must never know what
//! lies at a position.

use super::RewriteError;

/// Where an instruction comes from in the source. Absent parts are -1, as in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    line: i32,
    end_line: i32,
    column: i32,
    end_column: i32,
}

impl Position {
    /// No position at all.
    pub(crate) const NONE: Position = Position { line: -1, end_line: -1, column: -1, end_column: -1 };

    /// Of a line alone.
    pub(crate) fn in_line(line: i32) -> Position {
        Position { line, end_line: line, column: -1, end_column: -1 }
    }

    /// From a line to one that is not before it, with columns or without. Nothing is negative.
    pub(crate) fn new(line: i32, end_line: i32, columns: Option<(i32, i32)>) -> Option<Position> {
        let (column, end_column) = columns.unwrap_or((-1, -1));
        (line <= end_line).then_some(Position { line, end_line, column, end_column })
    }

    /// The line, -1 for none.
    pub(super) fn line_or_none(self) -> i32 {
        self.line
    }

    /// The line, counted from 1 (0 is possible in code made by hand).
    pub(super) fn line(self) -> Option<u32> {
        u32::try_from(self.line).ok()
    }
}

// The forms, in bits 3 to 6 of an entry's first byte.
const FIRST_ONE_LINE: u8 = 10;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NO_POSITION: u8 = 15;

/// The most units that one entry covers.
const MOST_UNITS: u32 = 8;

/// Reads a table from its first entry to its last.
pub(super) struct Entries<'a> {
    rest: std::slice::Iter<'a, u8>,
    line: i32,
}

impl<'a> Entries<'a> {
    pub(super) fn new(table: &'a [u8], first_line: i32) -> Entries<'a> {
        Entries { rest: table.iter(), line: first_line }
    }

    fn byte(&mut self) -> Option<u8> {
        self.rest.next().copied()
    }

    /// Six bits to a byte, lowest first, bit 6 says that more follow.
    fn varint(&mut self) -> Option<i64> {
        let mut value = 0;
        for shift in (0..36).step_by(6) {
            let byte = self.byte().filter(|byte| byte & 0x80 == 0)?;
            value |= i64::from(byte & 0x3f) << shift;
            if byte & 0x40 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The sign is in the lowest bit.
    fn signed_varint(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some(if value & 1 == 0 { value >> 1 } else { -(value >> 1) })
    }

    fn move_line(&mut self, by: i64) -> Option<i32> {
        self.line = i32::try_from(i64::from(self.line) + by).ok().filter(|&line| line >= 0)?;
        Some(self.line)
    }

    fn entry(&mut self, first: u8) -> Option<(u32, Position)> {
        if first & 0x80 == 0 {
            return None;
        }
        let units = u32::from(first & 7) + 1;
        let form = first >> 3 & 0xf;
        let position = match form {
            NO_POSITION => Position::NONE,
            LONG => {
                let by = self.signed_varint()?;
                let line = self.move_line(by)?;
                let end_line = i32::try_from(i64::from(line) + self.varint()?).ok()?;
                let column = i32::try_from(self.varint()? - 1).ok()?;
                let end_column = i32::try_from(self.varint()? - 1).ok()?;
                Position { line, end_line, column, end_column }
            }
            NO_COLUMNS => {
                let by = self.signed_varint()?;
                let line = self.move_line(by)?;
                Position { line, end_line: line, column: -1, end_column: -1 }
            }
            FIRST_ONE_LINE.. => {
                let line = self.move_line(i64::from(form - FIRST_ONE_LINE))?;
                let column = self.byte()?.into();
                let end_column = self.byte()?.into();
                Position { line, end_line: line, column, end_column }
            }
            _ => {
                let line = self.move_line(0)?;
                let byte = self.byte()?;
                let column = i32::from(form << 3 | byte >> 4 & 7);
                let end_column = column + i32::from(byte & 0xf);
                Position { line, end_line: line, column, end_column }
            }
        };
        Some((units, position))
    }
}

impl Iterator for Entries<'_> {
    /// How many units have the position, and the position.
    type Item = Result<(u32, Position), RewriteError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.byte()?;
        Some(self.entry(first).ok_or(RewriteError::LineTable))
    }
}

/// Reads positions at growing units, each entry once.
pub(super) struct Cursor<'a> {
    entries: Entries<'a>,
    position: Position,
    /// The unit behind the entry that was read last.
    end: u32,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(table: &'a [u8], first_line: i32) -> Cursor<'a> {
        Cursor { entries: Entries::new(table, first_line), position: Position::NONE, end: 0 }
    }

    /// The position at a unit that is not before the last one asked for. Behind the end of the
    /// table there is none, as in the interpreter.
    pub(super) fn at(&mut self, unit: u32) -> Result<Position, RewriteError> {
        while self.end <= unit {
            let Some(entry) = self.entries.next() else {
                return Ok(Position::NONE);
            };
            let (units, position) = entry?;
            self.position = position;
            self.end = self.end.checked_add(units).ok_or(RewriteError::LineTable)?;
        }
        Ok(self.position)
    }
}

/// Writes a table, one instruction after the other.
pub(crate) struct Writer {
    table: Vec<u8>,
    line: i32,
}

impl Writer {
    pub(crate) fn new(first_line: i32, capacity: usize) -> Writer {
        Writer { table: Vec::with_capacity(capacity), line: first_line }
    }

    /// Gives the next `units` units a position.
    pub(crate) fn add(&mut self, mut units: u32, position: Position) {
        while units > 0 {
            let part = units.min(MOST_UNITS);
            self.entry(part, position);
            units -= part;
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.table
    }

    fn first(&mut self, form: u8, units: u32) {
        self.table.push(0x80 | form << 3 | (units - 1) as u8);
    }

    fn varint(&mut self, value: i64) {
        let mut value = value as u64;
        while value >= 0x40 {
            self.table.push(0x40 | (value & 0x3f) as u8);
            value >>= 6;
        }
        self.table.push(value as u8);
    }

    fn signed_varint(&mut self, value: i64) {
        self.varint(if value < 0 { -value << 1 | 1 } else { value << 1 });
    }

    fn entry(&mut self, units: u32, position: Position) {
        let Position { line, end_line, column, end_column } = position;
        if line < 0 {
            return self.first(NO_POSITION, units);
        }
        let by = i64::from(line) - i64::from(self.line);
        self.line = line;
        let one_line = end_line == line;
        let columns = column >= 0 && end_column >= 0;
        let width = end_column - column;
        if one_line && !columns {
            self.first(NO_COLUMNS, units);
            self.signed_varint(by);
        } else if one_line && by == 0 && column < 80 && (0..16).contains(&width) {
            self.first((column >> 3) as u8, units);
            self.table.push((column as u8 & 7) << 4 | width as u8);
        } else if one_line && (0..3).contains(&by) && column < 128 && end_column < 128 {
            self.first(FIRST_ONE_LINE + by as u8, units);
            self.table.extend([column as u8, end_column as u8]);
        } else {
            self.first(LONG, units);
            self.signed_varint(by);
            self.varint(i64::from(end_line) - i64::from(line));
            self.varint(i64::from(column) + 1);
            self.varint(i64::from(end_column) + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        let line = prop_oneof![0..40, 0..i32::MAX / 2];
        let lines = prop_oneof![4 => Just(0), 1 => 0..300, 1 => 0..i32::MAX / 2];
        let column = || prop_oneof![Just(-1), 0..100, 0..200, 0..i32::MAX];
        prop_oneof![
            1 => Just(Position::NONE),
            9 => (line, lines, column(), column()).prop_map(|(line, lines, column, end_column)| {
                Position { line, end_line: line + lines, column, end_column }
            }),
        ]
    }

    /// Half a position is written as none where the compiler would.
    fn as_written(position: Position) -> Position {
        let Position { line, end_line, column, end_column } = position;
        if line == end_line && (column < 0 || end_column < 0) {
            Position { column: -1, end_column: -1, ..position }
        } else {
            position
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            runs in prop::collection::vec((1..30u32, position()), 0..40),
            first_line in any::<i32>(),
        ) {
            let mut writer = Writer::new(first_line, 0);
            runs.iter().for_each(|&(units, position)| writer.add(units, position));
            let table = writer.finish();
            let mut cursor = Cursor::new(&table, first_line);
            let mut unit = 0;
            for (units, position) in runs {
                for _ in 0..units {
                    prop_assert_eq!(cursor.at(unit), Ok(as_written(position)));
                    unit += 1;
                }
            }
            prop_assert_eq!(cursor.at(unit), Ok(Position::NONE));
        }

        #[test]
        fn any_table_ends(table in prop::collection::vec(any::<u8>(), 0..60), first_line in any::<i32>()) {
            let _ = Cursor::new(&table, first_line).at(u32::MAX);
        }
    }
}
