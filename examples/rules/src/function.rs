//! Programs and their functions, as Python has them.
//!
//! It owns what of Python a program can reach: the names it is given, and no more builtins than these here.

use crate::evaluate;
use crate::monitor::Monitored;
use crate::tree::{self, Constant, File};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// None of these can reach what was not given to it.
const BUILTINS: &str = "abs all any bool dict divmod enumerate filter float int len list map max min range \
    reversed round sorted str sum tuple zip ArithmeticError Exception IndexError KeyError LookupError \
    OverflowError RecursionError RuntimeError TypeError ValueError ZeroDivisionError";

/// A rule file, ready to run.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The file's own code, then its functions.
    pub(crate) functions: Vec<Compiled>,
    pub(crate) constants: Vec<Py<PyAny>>,
    pub(crate) builtins: Py<PyDict>,
    /// How many steps each call from outside may take.
    pub(crate) steps: u64,
}

pub(crate) struct Compiled {
    pub(crate) tree: tree::Function,
    pub(crate) monitored: Monitored,
}

impl Program {
    pub(crate) fn new(py: Python<'_>, file: File, path: &Path, steps: u64) -> PyResult<Program> {
        let compiled = |tree: tree::Function| {
            let monitored = Monitored::new(py, &tree, path)?;
            Ok(Compiled { tree, monitored })
        };
        let all = py.import("builtins")?;
        let builtins = PyDict::new(py);
        for name in BUILTINS.split_ascii_whitespace() {
            builtins.set_item(name, all.getattr(name)?)?;
        }
        Ok(Program {
            path: path.to_owned(),
            functions: file.functions.into_iter().map(compiled).collect::<PyResult<_>>()?,
            constants: file.constants.iter().map(|it| object(py, it)).collect::<PyResult<_>>()?,
            builtins: builtins.unbind(),
            steps,
        })
    }
}

fn object(py: Python<'_>, constant: &Constant) -> PyResult<Py<PyAny>> {
    match constant {
        Constant::None => Ok(py.None()),
        Constant::Bool(value) => value.into_py_any(py),
        Constant::Int(value) => value.into_py_any(py),
        Constant::LargeInt(digits) => Ok(py.get_type::<PyInt>().call1((digits, 0))?.unbind()),
        Constant::Float(value) => value.into_py_any(py),
        Constant::String(value) => Ok(PyString::intern(py, value).into_any().unbind()),
    }
}

/// A function of a rule file.
#[pyclass(frozen, module = "rules")]
pub(crate) struct Function {
    program: Arc<Program>,
    index: usize,
    globals: Py<PyDict>,
}

impl Function {
    pub(crate) fn new(program: Arc<Program>, index: usize, globals: Py<PyDict>) -> Function {
        Function { program, index, globals }
    }

    pub(crate) fn call<'py>(
        &self,
        py: Python<'py>,
        arguments: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        evaluate::call(py, &self.program, self.index, self.globals.bind(py), arguments)
    }

    fn compiled(&self) -> &Compiled {
        &self.program.functions[self.index]
    }
}

#[pymethods]
impl Function {
    #[getter]
    fn __name__(&self) -> &str {
        &self.compiled().tree.name
    }

    #[getter]
    fn __qualname__(&self) -> &str {
        self.__name__()
    }

    /// The `monitrace.CodeLike` that tools know it by.
    #[getter]
    fn __code__(&self, py: Python<'_>) -> Py<PyAny> {
        self.compiled().monitored.code.clone_ref(py)
    }

    #[pyo3(signature = (*arguments))]
    fn __call__<'py>(&self, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.call(arguments.py(), arguments.iter().collect())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let file = self.compiled().monitored.code.bind(py).getattr(intern!(py, "co_filename"))?;
        Ok(format!("<rule {} of {file}>", self.__name__()))
    }

    // The globals have the functions, which have the globals. Clearing the dictionary is enough.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.globals)
    }
}
