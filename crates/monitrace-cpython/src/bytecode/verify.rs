//! An independent check of code objects, originals and copies. It owns its own decoding, its own
//! list of what each opcode takes and gives (from Python/ceval.c), and its own walk; it must never
//! call the code that it checks. It shares the opcode numbers, cache counts and the reading of the
//! exception table.

use super::exception_table::{self, Entry};
use super::opcodes::{self, Argument, Jump, Row};
use super::{CodeBytes, RewriteError};
use monitrace_core::UnitIndex;

/// One instruction as the walk sees it.
struct Step {
    row: &'static Row,
    arg: u32,
    /// The unit of its opcode, without `EXTENDED_ARG`s.
    opcode_unit: usize,
    end: usize,
}

/// Walks all paths, those of exceptions included, and returns the greatest depth of the stack.
///
/// # Errors
///
/// If the stack underflows, grows above `stack_size` or has two depths at one instruction; if a
/// jump or a handler does not begin an instruction; if a constant or name is missing; if
/// instructions are apart that the interpreter expects together.
pub fn verify(code: &CodeBytes<'_>) -> Result<u32, RewriteError> {
    walk(code, vec![(0, 0)])
}

/// The same, with paths that begin at `landing` with `depth` slots in use as well.
///
/// # Errors
///
/// Those of [`verify`].
pub fn verify_with_landing(
    code: &CodeBytes<'_>,
    landing: UnitIndex,
    depth: u32,
) -> Result<u32, RewriteError> {
    walk(code, vec![(0, 0), (landing.0 as usize, depth.into())])
}

/// `paths` are the units where paths begin, and the depths.
fn walk(code: &CodeBytes<'_>, mut paths: Vec<(usize, i64)>) -> Result<u32, RewriteError> {
    let units = code.code.len() / 2;
    if !code.code.len().is_multiple_of(2) || units == 0 {
        return Err(RewriteError::Length);
    }
    let steps = steps(code)?;
    let entries = exception_table::decode(code.exception_table)?;
    for entry in &entries {
        let begins = |unit: u32| steps.get(unit as usize).is_some_and(Option::is_some);
        if !(begins(entry.start) && begins(entry.target))
            || !(begins(entry.end) || entry.end as usize == units)
        {
            return Err(RewriteError::ExceptionTable);
        }
    }

    let mut seen: Vec<Option<i64>> = vec![None; units];
    let mut greatest = 0;
    while let Some((unit, depth)) = paths.pop() {
        let here = UnitIndex(unit as u32);
        let Some(step) = steps.get(unit).ok_or(RewriteError::NoReturn)?.as_ref() else {
            return Err(RewriteError::Jump(here));
        };
        if let Some(before) = seen[unit] {
            if before != depth {
                return Err(RewriteError::Stack(here));
            }
            continue;
        }
        seen[unit] = Some(depth);
        greatest = greatest.max(depth);
        check_context(code, &steps, step, here)?;

        let (takes, gives, gives_jumping) = takes_and_gives(step.row.name, step.arg.into());
        let left = depth - takes;
        if left < 0 || depth < reaches_down(step.row.name, step.arg.into()) || depth > code.stack_size.into()
        {
            return Err(RewriteError::Stack(here));
        }
        if step.row.name == "RETURN_VALUE" && left != 0 {
            return Err(RewriteError::Stack(here));
        }
        if let Some(entry) = guard(&entries, step.opcode_unit) {
            // What raises may have taken its operands already, but FOR_ITER keeps its iterator. PUSH_EXC_INFO, which
            // never raises, is guarded like what it makes room for.
            let kept = if matches!(step.row.name, "PUSH_EXC_INFO" | "FOR_ITER") { depth } else { left };
            if kept < entry.depth.into() {
                return Err(RewriteError::Stack(here));
            }
            paths.push((entry.target as usize, i64::from(entry.depth) + 1 + i64::from(entry.lasti)));
        }
        let distance = step.arg as usize;
        match step.row.jump {
            Jump::No => {}
            Jump::Forward => paths.push((step.end + distance, left + gives_jumping)),
            Jump::Backward => {
                let target = step.end.checked_sub(distance).ok_or(RewriteError::Jump(here))?;
                paths.push((target, left + gives_jumping));
            }
        }
        if !ends_path(step.row.name) {
            paths.push((step.end, left + gives));
        }
    }
    u32::try_from(greatest).map_err(|_| RewriteError::Length)
}

/// The instruction that begins at each unit.
fn steps(code: &CodeBytes<'_>) -> Result<Vec<Option<Step>>, RewriteError> {
    let units: Vec<(u8, u8)> = code.code.chunks_exact(2).map(|unit| (unit[0], unit[1])).collect();
    let mut steps: Vec<Option<Step>> = Vec::new();
    steps.resize_with(units.len(), || None);
    let mut start = 0;
    let mut at = 0;
    let mut arg = 0u32;
    while at < units.len() {
        let (opcode, low) = units[at];
        let row = opcodes::facts(opcode).ok_or(RewriteError::Opcode(UnitIndex(at as u32)))?;
        arg |= u32::from(low);
        if row.name == "EXTENDED_ARG" {
            arg = arg.checked_mul(256).ok_or(RewriteError::Malformed(UnitIndex(at as u32)))?;
            at += 1;
            continue;
        }
        let end = at + 1 + usize::from(row.caches);
        if row.name == "CACHE" || end > units.len() {
            return Err(RewriteError::Malformed(UnitIndex(at as u32)));
        }
        steps[start] = Some(Step { row, arg, opcode_unit: at, end });
        (start, at, arg) = (end, end, 0);
    }
    if start == units.len() { Ok(steps) } else { Err(RewriteError::Malformed(UnitIndex(start as u32))) }
}

/// Finds an entry as the interpreter does, for the unit that is being executed.
fn guard(entries: &[Entry], unit: usize) -> Option<&Entry> {
    let behind = entries.partition_point(|entry| entry.start as usize <= unit);
    entries[..behind].last().filter(|entry| unit < entry.end as usize)
}

/// What must stand next to what, and which indices exist.
fn check_context(
    code: &CodeBytes<'_>,
    steps: &[Option<Step>],
    step: &Step,
    here: UnitIndex,
) -> Result<(), RewriteError> {
    let next = steps.get(step.end).and_then(Option::as_ref);
    let next_name = next.map_or("", |next| next.row.name);
    let index_exists = match step.row.argument {
        Argument::Const => step.arg < code.const_count,
        Argument::Name if step.row.name == "LOAD_GLOBAL" => step.arg >> 1 < code.name_count,
        Argument::Name => step.arg < code.name_count,
        Argument::Other => true,
    };
    let in_place = match step.row.name {
        "KW_NAMES" => next_name == "PRECALL",
        "PRECALL" => next_name == "CALL" && next.is_some_and(|call| call.arg == step.arg),
        // `_PyGen_yf` looks for a RESUME in the next unit, opcode and argument.
        "YIELD_VALUE" => code.is_generator && next_name == "RESUME",
        "RETURN_GENERATOR" => code.is_generator,
        // In a `yield from`, `gen.throw` reads the jump from the unit before YIELD_VALUE.
        "SEND" if next_name == "YIELD_VALUE" => step.arg < 256,
        _ => true,
    };
    if index_exists && in_place { Ok(()) } else { Err(RewriteError::Context(here)) }
}

fn ends_path(name: &str) -> bool {
    matches!(
        name,
        "RETURN_VALUE"
            | "RERAISE"
            | "RAISE_VARARGS"
            | "JUMP_FORWARD"
            | "JUMP_BACKWARD"
            | "JUMP_BACKWARD_NO_INTERRUPT"
    )
}

/// How many slots must be there, if it is more than the opcode takes.
fn reaches_down(name: &str, n: i64) -> i64 {
    match name {
        "COPY" | "SWAP" => n,
        "LIST_APPEND" | "SET_ADD" | "LIST_EXTEND" | "SET_UPDATE" | "DICT_UPDATE" => n + 1,
        // DICT_MERGE names the callable below the dict in its error.
        "DICT_MERGE" => n + 3,
        "MAP_ADD" => n + 2,
        "RERAISE" if n > 0 => n + 1,
        "WITH_EXCEPT_START" => 4,
        "CHECK_EXC_MATCH" | "MATCH_KEYS" => 2,
        "GET_LEN" | "MATCH_MAPPING" | "MATCH_SEQUENCE" | "IMPORT_FROM" | "GET_ANEXT" => 1,
        _ => 0,
    }
}

/// How many slots an instruction takes, and how many it gives when it goes on and when it jumps.
pub(super) fn takes_and_gives(name: &str, n: i64) -> (i64, i64, i64) {
    let same = |takes, gives| (takes, gives, gives);
    match name {
        "NOP" | "EXTENDED_ARG" | "CACHE" | "RESUME" | "KW_NAMES" | "MAKE_CELL" | "COPY_FREE_VARS" => {
            same(0, 0)
        }
        "SETUP_ANNOTATIONS" | "DELETE_NAME" | "DELETE_GLOBAL" | "DELETE_FAST" | "DELETE_DEREF" => same(0, 0),
        "JUMP_FORWARD" | "JUMP_BACKWARD" | "JUMP_BACKWARD_NO_INTERRUPT" => same(0, 0),
        "COPY" | "PUSH_NULL" | "LOAD_CONST" | "LOAD_NAME" | "LOAD_FAST" | "LOAD_DEREF" => same(0, 1),
        "LOAD_CLASSDEREF" | "LOAD_CLOSURE" | "LOAD_BUILD_CLASS" | "LOAD_ASSERTION_ERROR" => same(0, 1),
        // A generator starts with the value that was sent.
        "RETURN_GENERATOR" => same(0, 1),
        "LOAD_GLOBAL" => same(0, 1 + n % 2),
        "POP_TOP" | "PRINT_EXPR" | "IMPORT_STAR" | "POP_EXCEPT" | "RETURN_VALUE" | "DELETE_ATTR" => {
            same(1, 0)
        }
        "STORE_NAME" | "STORE_GLOBAL" | "STORE_FAST" | "STORE_DEREF" => same(1, 0),
        "UNARY_POSITIVE" | "UNARY_NEGATIVE" | "UNARY_NOT" | "UNARY_INVERT" => same(1, 1),
        "GET_ITER" | "GET_YIELD_FROM_ITER" | "GET_AITER" | "GET_AWAITABLE" | "ASYNC_GEN_WRAP" => same(1, 1),
        "LOAD_ATTR" | "LIST_TO_TUPLE" | "YIELD_VALUE" => same(1, 1),
        "GET_ANEXT" | "GET_LEN" | "MATCH_MAPPING" | "MATCH_SEQUENCE" | "IMPORT_FROM" => same(0, 1),
        "LOAD_METHOD" | "BEFORE_WITH" | "BEFORE_ASYNC_WITH" | "PUSH_EXC_INFO" => same(1, 2),
        "BINARY_SUBSCR" | "BINARY_OP" | "COMPARE_OP" | "IS_OP" | "CONTAINS_OP" | "IMPORT_NAME" => same(2, 1),
        "PREP_RERAISE_STAR" => same(2, 1),
        "DELETE_SUBSCR" | "STORE_ATTR" | "END_ASYNC_FOR" => same(2, 0),
        "STORE_SUBSCR" => same(3, 0),
        "CHECK_EXC_MATCH" => same(1, 1),
        "CHECK_EG_MATCH" => same(2, 2),
        "MATCH_CLASS" => same(3, 1),
        "MATCH_KEYS" | "WITH_EXCEPT_START" => same(0, 1),
        "SWAP" => same(0, 0),
        "LIST_APPEND" | "SET_ADD" | "LIST_EXTEND" | "SET_UPDATE" | "DICT_UPDATE" | "DICT_MERGE" => same(1, 0),
        "MAP_ADD" => same(2, 0),
        "BUILD_TUPLE" | "BUILD_LIST" | "BUILD_SET" | "BUILD_STRING" => same(n, 1),
        "BUILD_MAP" => same(2 * n, 1),
        "BUILD_CONST_KEY_MAP" => same(n + 1, 1),
        "BUILD_SLICE" => same(if n == 3 { 3 } else { 2 }, 1),
        "FORMAT_VALUE" => same(if n & 4 == 4 { 2 } else { 1 }, 1),
        "UNPACK_SEQUENCE" => same(1, n),
        "UNPACK_EX" => same(1, n % 256 + 1 + n / 256),
        "MAKE_FUNCTION" => same(1 + (0..4).map(|bit| n >> bit & 1).sum::<i64>(), 1),
        "RAISE_VARARGS" => same(n, 0),
        "RERAISE" => same(1, 0),
        // A method or a null, the callable and the arguments; CALL takes what PRECALL leaves.
        "PRECALL" => same(n + 2, n + 2),
        "CALL" => same(n + 2, 1),
        "CALL_FUNCTION_EX" => same(3 + n % 2, 1),
        "FOR_ITER" => (1, 2, 0),
        "SEND" => (2, 2, 1),
        "JUMP_IF_FALSE_OR_POP" | "JUMP_IF_TRUE_OR_POP" => (1, 0, 1),
        name if name.starts_with("POP_JUMP_") => same(1, 0),
        // Taking more than any stack has refuses what is not listed.
        _ => (i64::from(u32::MAX) + 1, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::Listing;
    use super::super::opcodes::TABLE;
    use super::*;

    /// Two accounts of the stack, one from the interpreter's modules and one from its loop.
    #[test]
    fn the_two_lists_of_effects_agree() {
        for row in TABLE {
            for arg in (0..300).chain([0x1234, 0xffff]) {
                let (takes, gives, gives_jumping) = takes_and_gives(row.name, arg.into());
                assert_eq!(gives - takes, row.effect(arg, false), "{} {arg}", row.name);
                assert_eq!(gives_jumping - takes, row.effect(arg, true), "{} {arg}", row.name);
                let taken = i64::from(row.takes(arg));
                // It keeps its iterator when it raises, and what gives back what it has taken may have kept it.
                let keeps = row.name == "FOR_ITER" || row.name == "PREP_RERAISE_STAR";
                assert!(taken == takes || keeps, "{} {arg}: {taken}", row.name);
                assert_eq!(!ends_path(row.name), row.goes_on(), "{}", row.name);
            }
        }
    }

    #[track_caller]
    fn refused(stack_size: u32, text: &str) -> RewriteError {
        verify(&Listing::new(stack_size, text).bytes()).unwrap_err()
    }

    #[test]
    fn corrupt_code_is_seen() {
        let at = UnitIndex;
        let sound = Listing::new(2, "1 RESUME 0\n 1 LOAD_CONST 0\n 1 RETURN_VALUE");
        assert_eq!(verify(&sound.bytes()), Ok(1));

        assert_eq!(refused(9, "1 POP_TOP\n 1 NOP"), RewriteError::Stack(at(0)));
        assert_eq!(refused(9, "1 LOAD_CONST 0\n 1 COPY 2\n 1 RETURN_VALUE"), RewriteError::Stack(at(1)));
        assert_eq!(refused(0, "1 LOAD_CONST 0\n 1 RETURN_VALUE"), RewriteError::Stack(at(1)));
        assert_eq!(
            refused(9, "1 LOAD_CONST 0\n 1 LOAD_CONST 0\n 1 RETURN_VALUE"),
            RewriteError::Stack(at(2))
        );
        assert_eq!(refused(9, "1 NOP"), RewriteError::NoReturn);
        assert_eq!(refused(9, "1 LOAD_CONST 4\n 1 RETURN_VALUE"), RewriteError::Context(at(0)));
        assert_eq!(refused(9, "1 LOAD_GLOBAL 8\n 1 RETURN_VALUE"), RewriteError::Context(at(0)));
        assert_eq!(refused(9, "1 KW_NAMES 0\n 1 NOP\n 1 PRECALL 0\n 1 CALL 0"), RewriteError::Context(at(0)));
        assert_eq!(refused(9, "1 LOAD_CONST 0\n 1 YIELD_VALUE\n 1 NOP"), RewriteError::Context(at(1)));
        // Into the cache of LOAD_GLOBAL; and to one instruction with two depths.
        assert_eq!(
            refused(9, "1 JUMP_FORWARD 1\n 1 LOAD_GLOBAL 0\n 1 RETURN_VALUE"),
            RewriteError::Jump(at(2))
        );
        let joined = "1 LOAD_CONST 0\n 1 POP_JUMP_FORWARD_IF_TRUE 1\n 1 LOAD_CONST 0\n 1 LOAD_CONST 0\n 1 RETURN_VALUE";
        assert!(matches!(refused(9, joined), RewriteError::Stack(_)));
    }

    #[test]
    fn a_handler_needs_its_slots() {
        let mut code = Listing::new(3, "1 LOAD_CONST 0\n 1 RETURN_VALUE\n 1 RERAISE 0");
        for (depth, sound) in [(0, true), (1 << 1, false)] {
            code.exception_table = vec![0x80, 1, 2, depth];
            assert_eq!(verify(&code.bytes()).is_ok(), sound, "{depth}");
        }
        code.exception_table = vec![0x80, 1, 9, 0];
        assert_eq!(verify(&code.bytes()), Err(RewriteError::ExceptionTable));
    }
}
