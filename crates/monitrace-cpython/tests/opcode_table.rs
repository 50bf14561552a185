//! The table of opcodes against the running interpreter's own modules. With `MONITRACE_REFRESH=1`
//! it writes the table again.
#![cfg(all(Py_3_11, not(Py_3_12)))]

use monitrace_cpython::bytecode::opcodes::TABLE;
use pyo3::prelude::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bytecode/opcode_table.rs");

const GENERATOR: &std::ffi::CStr = cr#"
import dis, opcode

HEAD = '''\
//! Generated from the `opcode` and `dis` modules of CPython 3.11: do not edit. The test
//! `opcode_table` compares it, and with MONITRACE_REFRESH=1 writes it again.

use super::{Argument::*, Effect::*, Jump::*, Row, row};

/// Every opcode of the compiler, by number.
pub const TABLE: &[Row] = &[
'''

def effects(number, arg):
    arg = arg if number >= opcode.HAVE_ARGUMENT else None
    return tuple(dis.stack_effect(number, arg, jump=jump) for jump in (False, True))

def row(name, number):
    caches = opcode._inline_cache_entries[number]
    jump = "No"
    if number in opcode.hasjrel:
        jump = "Backward" if "BACKWARD" in name else "Forward"
    argument = "Const" if number in opcode.hasconst else "Name" if number in opcode.hasname else "Other"
    found = {effects(number, arg) for arg in range(1024)}
    effect = "Fixed(%d, %d)" % found.pop() if len(found) == 1 else "ByArgument"
    return f'    row({number}, "{name}", {caches}, {jump}, {argument}, {effect}),\n'

def table():
    assert not opcode.hasjabs
    rows = (row(name, number) for number, name in enumerate(opcode.opname) if name in opcode.opmap)
    return HEAD + "".join(rows) + "];\n"
"#;

#[test]
fn the_table_is_the_interpreter_s() -> PyResult<()> {
    Python::attach(|py| {
        let generator = PyModule::from_code(py, GENERATOR, c"table.py", c"table")?;
        let generated: String = generator.getattr("table")?.call0()?.extract()?;
        if std::env::var_os("MONITRACE_REFRESH").is_some() {
            std::fs::write(PATH, &generated)?;
        }
        assert_eq!(std::fs::read_to_string(PATH)?, generated);

        for row in TABLE {
            for arg in (0..1024).chain([0x1234, 0xffff, 0x10_0000]) {
                let (on, jumped): (i64, i64) =
                    generator.getattr("effects")?.call1((row.number, arg))?.extract()?;
                assert_eq!(row.documented_effect(arg, false), on, "{} {arg}", row.name);
                assert_eq!(row.documented_effect(arg, true), jumped, "{} {arg}", row.name);
            }
        }
        Ok(())
    })
}

/// Where [`Row::effect`](monitrace_cpython::bytecode::opcodes::Row::effect) leaves `dis`, it leaves
/// it for this reason only.
#[test]
fn effects_differ_from_dis_in_calls_and_generators_only() {
    let find = |name| TABLE.iter().find(|row| row.name == name).unwrap();
    let (precall, call) = (find("PRECALL"), find("CALL"));
    for arg in 0..1024 {
        for row in TABLE.iter().filter(|row| !["PRECALL", "CALL", "RETURN_GENERATOR"].contains(&row.name)) {
            assert_eq!(row.effect(arg, false), row.documented_effect(arg, false));
            assert_eq!(row.effect(arg, true), row.documented_effect(arg, true));
        }
        let documented = precall.documented_effect(arg, false) + call.documented_effect(arg, false);
        assert_eq!(precall.effect(arg, false) + call.effect(arg, false), documented);
    }
}
