//! `co_exceptiontable`, both ways. It owns the format (Objects/exception_handling_notes.txt) and
//! must never know what lies at a unit.

use super::RewriteError;

/// What happens to an exception that is raised in a range of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first unit of the range.
    pub(super) start: u32,
    /// The unit behind the range.
    pub(super) end: u32,
    /// The handler's first unit.
    pub(super) target: u32,
    /// How many stack slots are kept.
    pub(super) depth: u32,
    /// Whether the position is pushed before the exception is.
    pub(super) lasti: bool,
}

/// Marks the first byte of an entry.
const START: u8 = 0x80;
const MORE: u8 = 0x40;

/// The format has 30 bits at most.
const TOO_LARGE: u32 = 1 << 30;

/// Six bits to a byte, highest first.
fn varint(rest: &mut &[u8], start: u8) -> Option<u32> {
    let mut value = 0u32;
    let mut mark = start;
    loop {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        if byte & START != mark || value >= TOO_LARGE >> 6 {
            return None;
        }
        mark = 0;
        value = value << 6 | u32::from(byte & 0x3f);
        if byte & MORE == 0 {
            return Some(value);
        }
    }
}

fn entry(rest: &mut &[u8]) -> Option<Entry> {
    let start = varint(rest, START)?;
    let length = varint(rest, 0)?;
    let target = varint(rest, 0)?;
    let depth = varint(rest, 0)?;
    Some(Entry { start, end: start + length, target, depth: depth >> 1, lasti: depth & 1 != 0 })
}

/// Reads a table. Its entries must be in order and apart, because the interpreter searches it.
pub(super) fn decode(mut table: &[u8]) -> Result<Vec<Entry>, RewriteError> {
    let mut entries: Vec<Entry> = Vec::new();
    while !table.is_empty() {
        let entry = entry(&mut table).ok_or(RewriteError::ExceptionTable)?;
        if entry.start >= entry.end || entries.last().is_some_and(|before| before.end > entry.start) {
            return Err(RewriteError::ExceptionTable);
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Appends an entry to a table.
pub(super) fn encode(entry: &Entry, table: &mut Vec<u8>) {
    let mut item = |value: u32, start: u8| {
        let mut mark = start;
        for shift in [24, 18, 12, 6] {
            if value >> shift != 0 {
                table.push((value >> shift) as u8 & 0x3f | MORE | mark);
                mark = 0;
            }
        }
        table.push(value as u8 & 0x3f | mark);
    };
    item(entry.start, START);
    item(entry.end - entry.start, 0);
    item(entry.target, 0);
    item(entry.depth << 1 | u32::from(entry.lasti), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let distance = prop_oneof![0..70u32, 0..1u32 << 22];
        let entry = (distance.clone(), distance, 0..1u32 << 29, 0..1u32 << 28, any::<bool>());
        prop::collection::vec(entry, 0..20).prop_map(|entries| {
            let mut end = 0;
            entries
                .into_iter()
                .map(|(gap, length, target, depth, lasti)| {
                    let start = end + gap;
                    end = start + length + 1;
                    Entry { start, end, target, depth, lasti }
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in entries()) {
            let mut table = Vec::new();
            entries.iter().for_each(|entry| encode(entry, &mut table));
            prop_assert_eq!(decode(&table), Ok(entries));
        }

        #[test]
        fn a_cut_table_is_refused(entries in entries(), cut in 1..4usize) {
            let mut table = Vec::new();
            entries.iter().for_each(|entry| encode(entry, &mut table));
            prop_assume!(!table.is_empty());
            // Each entry has four items or more, so this cuts into the last one.
            table.truncate(table.len() - cut);
            prop_assert_eq!(decode(&table), Err(RewriteError::ExceptionTable));
        }
    }

    #[test]
    fn entries_in_disorder_are_refused() {
        let entry = |start, end| Entry { start, end, target: 9, depth: 0, lasti: false };
        for disorder in [[entry(4, 6), entry(1, 2)], [entry(1, 4), entry(3, 6)]] {
            let mut table = Vec::new();
            disorder.iter().for_each(|entry| encode(entry, &mut table));
            assert_eq!(decode(&table), Err(RewriteError::ExceptionTable));
        }
    }
}
