//! Rewrites every code object of the running interpreter's standard library, its tests included,
//! and looks at the copies with the interpreter's own decoders.
#![cfg(all(Py_3_11, not(Py_3_12)))]

mod common;

use common::{Pieces, load};
use monitrace_core::{Event, UnitIndex};
use monitrace_cpython::bytecode::{
    Analysis, Landing, Place, Plan, RewriteError, Rewritten, Side, verify, verify_with_landing,
};
use pyo3::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The position of each unit, by the interpreter's own reading of the line table.
fn positions(code: &Bound<'_, PyAny>) -> PyResult<Vec<[Option<i32>; 4]>> {
    code.call_method0("co_positions")?.try_iter()?.map(|position| position?.extract()).collect()
}

/// A small generator of numbers (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[derive(Default)]
struct Totals {
    files: usize,
    not_compiled: usize,
    codes: usize,
    units: usize,
    hooks: usize,
    copies: usize,
    time: Duration,
}

const JUMP_FORWARD: u8 = 110;
const LOAD_CONST: u8 = 100;
const EXTENDED_ARG: u8 = 144;
const RERAISE: u8 = 119;
const SWAP: u8 = 99;
const POP_TOP: u8 = 1;
const DELETE_GLOBAL: u8 = 98;
const UNARY_INVERT: u8 = 15;
const POP_JUMP_FORWARD_IF_TRUE: u8 = 115;

/// The instructions that start at each unit of a code object, as `dis` sees them.
fn instruction_starts(dis: &Bound<'_, PyModule>, code: &Bound<'_, PyAny>) -> PyResult<Vec<(usize, String)>> {
    let mut starts = Vec::new();
    let mut extended = None;
    for instruction in dis.call_method1("get_instructions", (code,))?.try_iter()? {
        let instruction = instruction?;
        let unit = instruction.getattr("offset")?.extract::<usize>()? / 2;
        let name: String = instruction.getattr("opname")?.extract()?;
        if name == "EXTENDED_ARG" {
            extended.get_or_insert(unit);
        } else {
            starts.push((extended.take().unwrap_or(unit), name));
        }
    }
    Ok(starts)
}

/// A code object as the interpreter itself reads it.
struct Original<'a, 'py> {
    code: &'a Bound<'py, PyAny>,
    pieces: &'a Pieces,
    positions: Vec<[Option<i32>; 4]>,
    starts: Vec<(usize, String)>,
}

fn check_copy(
    original: &Original<'_, '_>,
    analysis: &Analysis,
    copy: &Rewritten,
    landing: Option<u32>,
) -> PyResult<()> {
    let Original { code, pieces, positions: old, starts: before } = original;
    let dis = code.py().import("dis")?;
    let label = || format!("{code:?}");
    let verified = |copy: &Rewritten| {
        let bytes = pieces.bytes_of_copy(copy);
        match (copy.landing, copy.landing_depth) {
            (Some(unit), Some(depth)) if depth <= copy.stack_size => verify_with_landing(&bytes, unit, depth),
            // The frame's owner has kept what there was no room for.
            (Some(_), Some(depth)) => verify_with_landing(&bytes, copy.landing_past.unwrap(), depth - 2),
            _ => verify(&bytes),
        }
    };
    let depth = verified(copy).unwrap_or_else(|error| panic!("{}: {error}", label()));
    assert!(depth <= copy.stack_size);

    let mut consts: Vec<Bound<'_, PyAny>> = code.getattr("co_consts")?.extract()?;
    consts.extend((0..copy.added_consts()).map(|_| code.py().None().into_bound(code.py())));
    let loaded = load(code, copy, consts)?;
    let new = positions(&loaded)?;
    assert_eq!(new.len(), copy.code.len() / 2);
    let landing_at = copy.landing.map_or(new.len(), |unit| unit.0 as usize);
    let mut is_gate = vec![false; new.len()];
    let hooks_ahead = |index: usize| copy.hooks[..index].iter().filter(|hook| hook.is_tight).count();
    let ends = |unit: usize, nth: usize, is_tight: bool| {
        // The constant is loaded, and the last unit tests it; or it is looked up as a name.
        let (mut arg, mut unit) = (0, unit);
        while copy.code[2 * unit] == EXTENDED_ARG {
            arg = (arg | u32::from(copy.code[2 * unit + 1])) << 8;
            unit += 1;
        }
        let (opcodes, expected) = match is_tight {
            true => ([DELETE_GLOBAL, UNARY_INVERT], pieces.name_count + hooks_ahead(nth) as u32),
            false => ([LOAD_CONST, POP_JUMP_FORWARD_IF_TRUE], pieces.const_count + nth as u32),
        };
        assert_eq!([copy.code[2 * unit], copy.code[2 * unit + 2]], opcodes);
        assert_eq!(arg | u32::from(copy.code[2 * unit + 1]), expected);
        unit + 2
    };
    for gate in &copy.gates {
        // It goes on to its handler, or raises again.
        let mut end = ends(gate.unit.0 as usize, copy.hooks.len(), gate.is_tight);
        if copy.code[2 * end] == SWAP {
            assert_eq!(copy.code[2 * end + 2], POP_TOP);
            end += 2;
        }
        while copy.code[2 * end] == EXTENDED_ARG {
            end += 1;
        }
        assert!([JUMP_FORWARD, RERAISE].contains(&copy.code[2 * end]));
        is_gate[gate.unit.0 as usize..=end].fill(true);
    }
    let mut is_hook = vec![false; new.len()];
    let mut is_start_hook = vec![false; new.len()];
    for (index, hook) in copy.hooks.iter().enumerate() {
        let unit = hook.unit.0 as usize;
        let place = analysis.places()[hook.place];
        let end = unit + usize::from(hook.skip) + 1;
        is_hook[unit..end].fill(true);
        is_start_hook[unit..end].fill(place.event == Event::PyStart);
        if matches!(place.side, Side::Handler | Side::Taken) {
            // It stands in front of another instruction, and may have no position; a jump may follow.
            is_gate[unit..end].fill(true);
            let jump = (end..).find(|&unit| copy.code[2 * unit] != EXTENDED_ARG).unwrap();
            if copy.code[2 * jump] == JUMP_FORWARD {
                is_gate[end..=jump].fill(true);
            }
        }
        // Only behind a SEND does its jump lead anywhere, and it is never taken.
        let is_in_send = place.depth > 1 && copy.code[2 * end - 1] != 0;
        assert!(!is_in_send || matches!(place.event, Event::Instruction | Event::PyYield | Event::Line));

        // The jump over the hook ends where it ends.
        assert_eq!(ends(unit, index, hook.is_tight), end);

        let original = copy.original_unit(hook.unit).0;
        assert_eq!(original * 2, place.offset.0);
        assert_eq!(old[original as usize][0].map(|line| line as u32), place.line);
    }
    for (unit, position) in new.iter().enumerate() {
        let original = copy.original_unit(UnitIndex(unit as u32)).0 as usize;
        if is_gate[unit] && *position == [None; 4] {
        } else if unit >= landing_at || is_start_hook[unit] {
            assert_eq!(*position, [None; 4], "{} unit {unit}", label());
        } else {
            assert_eq!(*position, old[original], "{} unit {unit}", label());
        }
        if unit >= landing_at {
            assert_eq!(Some(original as u32), landing, "{} unit {unit}", label());
        }
    }

    // Every instruction of the original is in the copy, in order, where the map says.
    let after = instruction_starts(&dis, &loaded)?;
    let ours: Vec<_> = after
        .iter()
        .filter(|(unit, _)| *unit < landing_at && !is_hook[*unit] && !is_gate[*unit])
        .filter(|(unit, _)| {
            // What is left but not of the original: jumps around a hook, and NOPs before one.
            let original = copy.original_unit(UnitIndex(*unit as u32)).0 as usize;
            let last = copy.resume_after(UnitIndex(original as u32)).unwrap().0 as usize;
            let behind = after.partition_point(|(start, _)| *start <= last);
            *unit == after[behind - 1].0
        })
        .collect();
    assert_eq!(before.len(), ours.len(), "{}", label());
    for ((old_unit, old_name), (new_unit, new_name)) in before.iter().zip(ours) {
        assert_eq!(old_name, new_name);
        let old_unit = UnitIndex(*old_unit as u32);
        let entered = copy.enter_at(old_unit, old_unit).unwrap().0 as usize;
        assert!(entered <= *new_unit);
        let last = copy.resume_after(old_unit).unwrap();
        assert_eq!(copy.resume_after(copy.original_unit(last)), Some(last));
    }

    // A disabled hook is still sound code.
    let mut disabled = copy.clone();
    for hook in &copy.hooks {
        let unit = 2 * hook.unit.0 as usize;
        disabled.code[unit..unit + 2].copy_from_slice(&[JUMP_FORWARD, hook.skip]);
    }
    assert!(verified(&disabled).is_ok(), "{} disabled", label());
    Ok(())
}

fn check_code(code: &Bound<'_, PyAny>, random: &mut Random, totals: &mut Totals) -> PyResult<()> {
    let pieces = Pieces::of(code)?;
    let bytes = pieces.bytes();
    let refused = |error: RewriteError| -> ! { panic!("{code:?}: {error}") };
    verify(&bytes).unwrap_or_else(|error| refused(error));

    let begun = Instant::now();
    let analysis = Analysis::new(&bytes).unwrap_or_else(|error| refused(error));
    // A hook at every instruction makes the copy three times as long, and what is looked at: of one in eight.
    let at_instructions = random.next().is_multiple_of(8);
    let is_wanted = |place: &Place| at_instructions || place.event != Event::Instruction;
    let wanted = |index: usize| is_wanted(&analysis.places()[index]);
    let all = Plan { wanted: &wanted, gates: true, stack_limit: None, landing: None };
    let hooked = analysis.assemble(&all).unwrap_or_else(|error| refused(error));
    totals.time += begun.elapsed();
    // What is raised passes a gate. A handler that is entered in two ways has two hooks.
    let hooked_places: BTreeSet<usize> = hooked.hooks.iter().map(|hook| hook.place).collect();
    let places = analysis.places().iter().filter(|place| place.side != Side::Raising && is_wanted(place));
    assert_eq!(hooked_places.len(), places.count(), "{code:?}");
    let starts = instruction_starts(&code.py().import("dis")?, code)?;
    let original = Original { code, pieces: &pieces, positions: positions(code)?, starts };
    check_copy(&original, &analysis, &hooked, None)?;

    let plain = analysis
        .assemble(&Plan { wanted: &|_| false, gates: false, stack_limit: None, landing: None })
        .unwrap_or_else(|error| refused(error));
    assert_eq!(plain.code, pieces.code, "{code:?}");
    assert_eq!(plain.exception_table, pieces.exception_table, "{code:?}");
    assert_eq!(plain.line_table, pieces.line_table, "{code:?}");
    assert_eq!(plain.stack_size, pieces.stack_size, "{code:?}");

    let seed = random.next();
    let some = |place: usize| Random(seed | 1).next().rotate_left(place as u32) & 1 != 0;
    let unit = (random.next() % (pieces.code.len() as u64 / 2)) as u32;
    let from = UnitIndex((random.next() % (pieces.code.len() as u64 / 2)) as u32);
    let landing = match seed % 5 {
        0 => None,
        1 => Some(Landing::After(UnitIndex(unit))),
        2 => Some(Landing::Between { unit: UnitIndex(unit), from }),
        3 => Some(Landing::Handler { unit: UnitIndex(unit), from }),
        _ => Some(Landing::At { unit: UnitIndex(unit), from }),
    };
    let limit = (seed & 8 != 0).then_some(pieces.stack_size + (seed & 1) as u32);
    match analysis.assemble(&Plan { wanted: &some, gates: seed & 4 != 0, stack_limit: limit, landing }) {
        Ok(copy) => {
            let stands_for = landing.map(|_| copy.original_unit(copy.landing.unwrap()).0);
            if let Some(stands_for) = stands_for {
                let last = copy.resume_after(UnitIndex(stands_for));
                assert_eq!(last, copy.resume_after(UnitIndex(unit)), "{code:?} landing at {unit}");
            }
            check_copy(&original, &analysis, &copy, stands_for)?;
            if let Some(limit) = limit {
                assert!(copy.stack_size <= limit);
            }
            totals.copies += 1;
        }
        // Unreachable, not going on, or no room.
        Err(RewriteError::Landing(_)) => assert!(landing.is_some()),
        Err(error) => refused(error),
    }
    totals.codes += 1;
    totals.units += pieces.code.len() / 2;
    totals.hooks += hooked.hooks.len();
    totals.copies += 2;
    Ok(())
}

#[test]
fn the_standard_library_is_rewritten() -> PyResult<()> {
    Python::attach(|py| {
        let module = PyModule::from_code(
            py,
            cr#"
import pathlib, sysconfig, types, warnings

def files():
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    return sorted(str(p) for p in root.rglob("*.py") if "site-packages" not in p.parts)

def codes(path):
    """Every code object of a file; None if it is not meant to compile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            waiting = [compile(pathlib.Path(path).read_bytes(), path, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return None
    found = []
    while waiting:
        code = waiting.pop()
        found.append(code)
        waiting += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return found
"#,
            c"stdlib_codes.py",
            c"stdlib_codes",
        )?;
        let mut totals = Totals::default();
        let mut random = Random(0x1234_5678_9abc_def1);
        for path in module.getattr("files")?.call0()?.try_iter()? {
            let codes = module.getattr("codes")?.call1((path?,))?;
            if codes.is_none() {
                totals.not_compiled += 1;
                continue;
            }
            totals.files += 1;
            for code in codes.try_iter()? {
                check_code(&code?, &mut random, &mut totals)?;
            }
        }
        println!(
            "{} files ({} not meant to compile), {} code objects, {} units, {} places, {} copies",
            totals.files, totals.not_compiled, totals.codes, totals.units, totals.hooks, totals.copies
        );
        println!(
            "analysis and assembly with all hooks: {:.2} µs per code object, {:.1} ns per unit{}",
            totals.time.as_secs_f64() * 1e6 / totals.codes as f64,
            totals.time.as_secs_f64() * 1e9 / totals.units as f64,
            if cfg!(debug_assertions) { " (not optimised)" } else { "" }
        );
        assert!(totals.codes > 50_000, "the standard library is not all there");
        Ok(())
    })
}
