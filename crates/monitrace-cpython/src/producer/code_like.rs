//! [`CodeLike`]: a code object for code that is not Python's, made so that tools which expect Python's
//! accept it.
//!
//! It owns what no code object has: the branch table, local events and disabled offsets. Names, lines and
//! positions stand in a real code object, which has nothing to run and must never reach the program: there
//! CPython itself checks, stores and answers.

#![forbid(unsafe_code)]

use super::disabled::Disabled;
use super::image::Image;
use super::local_events::LocalEvents;
use crate::bytecode::line_table::{Position, Writer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCode, PyDict, PyIterator, PyList, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A code object for code that is not Python's.
///
/// ``lines``, ``positions`` and ``branches`` take what the methods ``co_lines``, ``co_positions`` and
/// ``co_branches`` of a code object give, and the code-like's own methods give it back: at most one of
/// ``lines`` and ``positions``, from which the other is derived. Without either the code is one unit of two
/// bytes, on the first line. ``disable`` says what a callback that answers ``DISABLE`` turns off for its
/// tool: the event in the producer's whole scope (``"slot"``, as in CPython), or only where it happened
/// (``"offset"``), for producers that fire events of many offsets through one state.
#[pyclass(frozen, weakref, module = "monitrace")]
#[repr(C)]
pub struct CodeLike {
    /// First, where the fields of a code object are.
    image: Image,
    code: Py<PyCode>,
    branches: Box<[Branch]>,
    local_events: LocalEvents,
    /// Only if events are disabled by offset.
    disabled: Option<Box<Disabled>>,
}

const _: () = assert!(core::mem::offset_of!(CodeLike, image) == 0);

/// The offsets of a branch, of where it goes on and of where it jumps.
type Branch = (u32, u32, u32);

/// Where the class is, once there is an instance: a look that costs less than asking for the class.
static TYPE: AtomicUsize = AtomicUsize::new(0);

/// Each unit has two bytes, as in Python's own code.
const UNIT: u32 = 2;

impl CodeLike {
    /// The code-like that an object is.
    #[inline(always)]
    pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a CodeLike> {
        if object.get_type_ptr().addr() != TYPE.load(Relaxed) {
            return None;
        }
        object.cast_exact::<CodeLike>().ok().map(Bound::get)
    }

    pub(super) fn local_events(&self) -> &LocalEvents {
        &self.local_events
    }

    /// What is disabled by offset, if that was asked for.
    pub(super) fn disabled(&self) -> Option<&Disabled> {
        self.disabled.as_deref()
    }

    fn with(
        code: Bound<'_, PyCode>,
        branches: Box<[Branch]>,
        disabled: Option<Disabled>,
    ) -> PyResult<CodeLike> {
        TYPE.store(code.py().get_type::<CodeLike>().as_ptr().addr(), Relaxed);
        Ok(CodeLike {
            image: Image::of(&code)?,
            code: code.unbind(),
            branches,
            local_events: LocalEvents::default(),
            disabled: disabled.map(Box::new),
        })
    }

    fn attribute<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.code.bind(py).getattr(name)
    }
}

#[pymethods]
impl CodeLike {
    #[new]
    #[pyo3(signature = (
        name, filename, firstlineno = 1, *, qualname = None, lines = None, positions = None, branches = None,
        disable = "slot",
    ))]
    // One for each thing that a code object tells.
    #[allow(clippy::too_many_arguments)]
    fn new<'py>(
        py: Python<'py>,
        name: Bound<'py, PyString>,
        filename: Bound<'py, PyString>,
        firstlineno: i32,
        qualname: Option<Bound<'py, PyString>>,
        lines: Option<Bound<'py, PyAny>>,
        positions: Option<Bound<'py, PyAny>>,
        branches: Option<Bound<'py, PyAny>>,
        disable: &str,
    ) -> PyResult<CodeLike> {
        let by_offset = match disable {
            "slot" => false,
            "offset" => true,
            _ => return Err(PyValueError::new_err("disable must be 'slot' or 'offset'")),
        };
        if firstlineno < 0 {
            return Err(PyValueError::new_err("firstlineno must not be negative"));
        }
        let mut table = Table { writer: Writer::new(firstlineno, 0), end: 0 };
        match (lines, positions) {
            (Some(_), Some(_)) => {
                return Err(PyTypeError::new_err("only one of lines and positions can be given"));
            }
            (Some(lines), None) => table.add_lines(&lines)?,
            (None, Some(positions)) => table.add_positions(&positions)?,
            (None, None) => table.add(UNIT, Position::in_line(firstlineno))?,
        }
        let end = table.end;
        let branches =
            branches.map_or_else(|| Ok(Box::default()), |branches| read_branches(&branches, end))?;
        let qualname = qualname.unwrap_or_else(|| name.clone());
        let code = code(py, name, qualname, filename, firstlineno, table)?;
        CodeLike::with(code, branches, by_offset.then(|| Disabled::new((end / UNIT) as usize)))
    }

    #[getter]
    fn co_name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, intern!(py, "co_name"))
    }

    #[getter]
    fn co_qualname<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, intern!(py, "co_qualname"))
    }

    #[getter]
    fn co_filename<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, intern!(py, "co_filename"))
    }

    #[getter]
    fn co_firstlineno<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, intern!(py, "co_firstlineno"))
    }

    /// As long as the code, and zero: tools take that for code that is not Python's.
    #[getter]
    fn co_code<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, intern!(py, "co_code"))
    }

    /// The offsets and the line of each stretch of code: (start, end, line or None).
    fn co_lines<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let lines = self.attribute(py, intern!(py, "co_lines"))?.call0()?;
        if cfg!(Py_3_12) { Ok(lines) } else { joined(&lines) }
    }

    /// The position of each unit: (line, end line, column, end column), each of which may be None.
    fn co_positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.attribute(py, intern!(py, "co_positions"))?.call0()
    }

    /// The offsets of each branch: (branch, where it goes on, where it jumps).
    fn co_branches<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, &self.branches)?.try_iter()
    }

    /// A new code-like with other names, or on other lines, and no local events.
    #[pyo3(signature = (*, co_name = None, co_qualname = None, co_filename = None, co_firstlineno = None))]
    fn replace<'py>(
        &self,
        py: Python<'py>,
        co_name: Option<Bound<'py, PyString>>,
        co_qualname: Option<Bound<'py, PyString>>,
        co_filename: Option<Bound<'py, PyString>>,
        co_firstlineno: Option<i32>,
    ) -> PyResult<CodeLike> {
        let changes = PyDict::new(py);
        for (name, value) in
            [("co_name", co_name), ("co_qualname", co_qualname), ("co_filename", co_filename)]
        {
            if let Some(value) = value {
                changes.set_item(name, value)?;
            }
        }
        if let Some(line) = co_firstlineno {
            if line < 0 {
                return Err(PyValueError::new_err("co_firstlineno must not be negative"));
            }
            changes.set_item("co_firstlineno", line)?;
        }
        let code = self.code.bind(py).call_method("replace", (), Some(&changes))?.cast_into()?;
        CodeLike::with(code, self.branches.clone(), self.disabled().map(Disabled::empty))
    }

    /// As code objects, it cannot be pickled: it is known by its identity.
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("cannot pickle CodeLike objects"))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let this = slf.get();
        Ok(format!(
            "<CodeLike {} at {:#x}, file \"{}\", line {}>",
            this.co_name(py)?,
            slf.as_ptr() as usize,
            this.co_filename(py)?,
            this.co_firstlineno(py)?
        ))
    }
}

/// The stretches of lines as 3.12 and later tell them: 3.11 shows where its table begins a new entry.
fn joined<'py>(lines: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let mut joined: Vec<(u32, u32, Option<i32>)> = Vec::new();
    for stretch in lines.try_iter()? {
        let (start, end, line) = stretch?.extract()?;
        match joined.last_mut().filter(|last| last.2 == line) {
            Some(last) => last.1 = end,
            None => joined.push((start, end, line)),
        }
    }
    Ok(PyList::new(lines.py(), joined)?.try_iter()?.into_any())
}

/// A code object that has nothing to run.
fn code<'py>(
    py: Python<'py>,
    name: Bound<'py, PyString>,
    qualname: Bound<'py, PyString>,
    filename: Bound<'py, PyString>,
    firstlineno: i32,
    table: Table,
) -> PyResult<Bound<'py, PyCode>> {
    let zero = 0_i32.into_bound_py_any(py)?;
    let nothing = PyTuple::empty(py).into_any();
    let bytes = PyBytes::new_with(py, table.end as usize, |_| Ok(()))?.into_any();
    let lines = PyBytes::new(py, &table.writer.finish()).into_any();
    let mut arguments = vec![zero; 6]; // Arguments, variables, stack and flags.
    arguments.extend([bytes, nothing.clone(), nothing.clone(), nothing.clone()]);
    arguments.extend([filename, name, qualname].map(Bound::into_any));
    arguments.extend([firstlineno.into_bound_py_any(py)?, lines, PyBytes::new(py, b"").into_any()]);
    arguments.extend([nothing.clone(), nothing]);
    Ok(py.get_type::<PyCode>().call1(PyTuple::new(py, arguments)?)?.cast_into()?)
}

/// The line table of a code of `end` bytes.
struct Table {
    writer: Writer,
    end: u32,
}

impl Table {
    fn add(&mut self, bytes: u32, position: Position) -> PyResult<()> {
        // Offsets are 32-bit numbers with a sign, in the C API.
        let end = self.end.checked_add(bytes).filter(|&end| i32::try_from(end).is_ok());
        self.end = end.ok_or_else(|| PyValueError::new_err("the code is too long"))?;
        self.writer.add(bytes / UNIT, position);
        Ok(())
    }

    fn add_lines(&mut self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for (index, item) in lines.try_iter()?.enumerate() {
            let what = || format!("lines[{index}]");
            let (start, end, line): (i64, i64, Option<i64>) = item?
                .extract()
                .map_err(|error| misshapen(lines.py(), error, what(), "(start, end, line)"))?;
            if start != i64::from(self.end) {
                let words = format!("{} must begin at offset {}: lines leave no gaps", what(), self.end);
                return Err(PyValueError::new_err(words));
            }
            if end <= start || end % i64::from(UNIT) != 0 {
                let words = format!("{} must end at an even offset behind its start", what());
                return Err(PyValueError::new_err(words));
            }
            let position = match line {
                Some(line) => Position::in_line(number(line, what)?),
                None => Position::NONE,
            };
            let bytes = u32::try_from(end - start).unwrap_or(u32::MAX);
            self.add(bytes, position)?;
        }
        self.check_not_empty("lines")
    }

    fn add_positions(&mut self, positions: &Bound<'_, PyAny>) -> PyResult<()> {
        const FORM: &str = "(line, end_line, column, end_column)";
        type Item = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
        // Neighbours that are the same take one entry of the table.
        let mut run = (0, Position::NONE);
        for (index, item) in positions.try_iter()?.enumerate() {
            let what = || format!("positions[{index}]");
            let item: Item =
                item?.extract().map_err(|error| misshapen(positions.py(), error, what(), FORM))?;
            let position = match item {
                (None, None, None, None) => Some(Position::NONE),
                (Some(line), Some(end_line), None, None) => {
                    Position::new(number(line, what)?, number(end_line, what)?, None)
                }
                (Some(line), Some(end_line), Some(column), Some(end_column)) => {
                    let columns = (number(column, what)?, number(end_column, what)?);
                    Position::new(number(line, what)?, number(end_line, what)?, Some(columns))
                }
                _ => None,
            };
            let position = position.ok_or_else(|| {
                let words =
                    "must have a line and an end line that is not before it, with two columns or none";
                PyValueError::new_err(format!("{} {words}, or be all None", what()))
            })?;
            if run.1 != position {
                self.add(run.0, run.1)?;
                run = (0, position);
            }
            run.0 += UNIT;
            if self.end.checked_add(run.0).is_none_or(|end| i32::try_from(end).is_err()) {
                return self.add(run.0, run.1);
            }
        }
        self.add(run.0, run.1)?;
        self.check_not_empty("positions")
    }

    fn check_not_empty(&self, what: &str) -> PyResult<()> {
        match self.end {
            0 => Err(PyValueError::new_err(format!("{what} must not be empty"))),
            _ => Ok(()),
        }
    }
}

fn read_branches(branches: &Bound<'_, PyAny>, end: u32) -> PyResult<Box<[Branch]>> {
    let read = |(index, item): (usize, PyResult<Bound<'_, PyAny>>)| {
        let what = || format!("branches[{index}]");
        let (branch, left, right): (i64, i64, i64) = item?
            .extract()
            .map_err(|error| misshapen(branches.py(), error, what(), "(branch, left, right)"))?;
        let offset = |offset: i64| {
            let known = u32::try_from(offset).ok().filter(|&offset| offset < end && offset % UNIT == 0);
            known.ok_or_else(|| PyValueError::new_err(format!("{} must be even offsets of the code", what())))
        };
        Ok((offset(branch)?, offset(left)?, offset(right)?))
    };
    branches.try_iter()?.enumerate().map(read).collect()
}

/// A line or a column.
fn number(value: i64, what: impl Fn() -> String) -> PyResult<i32> {
    let number = i32::try_from(value).ok().filter(|&value| (0..i32::MAX).contains(&value));
    number.ok_or_else(|| PyValueError::new_err(format!("{} is out of range", what())))
}

/// What is wrong with an item, in words that name it.
fn misshapen(py: Python<'_>, error: PyErr, what: String, form: &str) -> PyErr {
    let words = format!("{what} must be {form}");
    let named = if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(words)
    } else {
        PyValueError::new_err(words)
    };
    named.set_cause(py, Some(error));
    named
}
