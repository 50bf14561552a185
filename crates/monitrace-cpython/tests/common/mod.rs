//! Code objects in and out, and what the headers say, for the tests that embed the interpreter.

#![allow(dead_code, unreachable_pub)] // no test needs all of it

use monitrace_cpython::bytecode::{CodeBytes, Rewritten};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use std::process::Command;

/// The attributes of a code object that rewriting takes.
pub struct Pieces {
    pub code: Vec<u8>,
    pub exception_table: Vec<u8>,
    pub line_table: Vec<u8>,
    pub first_line: i32,
    pub stack_size: u32,
    pub const_count: u32,
    pub name_count: u32,
    pub is_generator: bool,
}

const CO_GENERATOR: u32 = 0x20;
const CO_COROUTINE: u32 = 0x80;
const CO_ASYNC_GENERATOR: u32 = 0x200;

impl Pieces {
    pub fn of(code: &Bound<'_, PyAny>) -> PyResult<Pieces> {
        let bytes = |name| -> PyResult<Vec<u8>> { code.getattr(name)?.extract() };
        let flags: u32 = code.getattr("co_flags")?.extract()?;
        Ok(Pieces {
            code: bytes("co_code")?,
            exception_table: bytes("co_exceptiontable")?,
            line_table: bytes("co_linetable")?,
            first_line: code.getattr("co_firstlineno")?.extract()?,
            stack_size: code.getattr("co_stacksize")?.extract()?,
            const_count: code.getattr("co_consts")?.len()? as u32,
            name_count: code.getattr("co_names")?.len()? as u32,
            is_generator: flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR) != 0,
        })
    }

    pub fn bytes(&self) -> CodeBytes<'_> {
        CodeBytes {
            code: &self.code,
            exception_table: &self.exception_table,
            line_table: &self.line_table,
            first_line: self.first_line,
            stack_size: self.stack_size,
            const_count: self.const_count,
            name_count: self.name_count,
            is_generator: self.is_generator,
        }
    }

    pub fn bytes_of_copy<'a>(&self, copy: &'a Rewritten) -> CodeBytes<'a> {
        CodeBytes {
            code: &copy.code,
            exception_table: &copy.exception_table,
            line_table: &copy.line_table,
            first_line: self.first_line,
            stack_size: copy.stack_size,
            const_count: self.const_count + copy.added_consts(),
            name_count: self.name_count + copy.added_names(),
            is_generator: self.is_generator,
        }
    }
}

/// A copy as a code object. `consts` are those of the original (or what stands in for them), then
/// the hooks and the gates.
pub fn load<'py>(
    code: &Bound<'py, PyAny>,
    copy: &Rewritten,
    consts: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = code.py();
    let changes = PyDict::new(py);
    changes.set_item("co_code", PyBytes::new(py, &copy.code))?;
    changes.set_item("co_exceptiontable", PyBytes::new(py, &copy.exception_table))?;
    changes.set_item("co_linetable", PyBytes::new(py, &copy.line_table))?;
    changes.set_item("co_stacksize", copy.stack_size)?;
    changes.set_item("co_consts", PyTuple::new(py, consts)?)?;
    let mut names: Vec<String> = code.getattr("co_names")?.extract()?;
    names.extend((0..copy.added_names()).map(|_| "hook".to_owned()));
    changes.set_item("co_names", PyTuple::new(py, names)?)?;
    code.call_method("replace", (), Some(&changes))
}

/// What a C program prints that is compiled with the headers of the interpreter that this was built for.
pub fn told_by_c(name: &str, program: &str) -> String {
    let include: String =
        Python::attach(|py| py.import("sysconfig")?.call_method1("get_path", ("include",))?.extract())
            .expect("sysconfig knows the headers' folder");
    let folder = std::env::temp_dir().join(format!("monitrace-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let (source, executable) = (folder.join("program.c"), folder.join("program"));
    std::fs::write(&source, program).expect("the temporary folder can be written");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .arg(&source)
        .arg("-o")
        .arg(&executable)
        .arg(format!("-I{include}"))
        .output()
        .expect("there is a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let told = Command::new(&executable).output().expect("the program runs").stdout;
    std::fs::remove_dir_all(&folder).expect("the temporary folder can be removed");
    String::from_utf8_lossy(&told).into_owned()
}
