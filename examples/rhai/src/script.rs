//! `Script`: what Python has of a script.

use crate::error::syntax_error;
use crate::function::Function;
use crate::run::{MOST_ARGUMENTS, Run, debug};
use crate::value::from_python;
use pyo3::exceptions::{PyNotImplementedError, PyRecursionError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rhai::packages::{Package, StandardPackage};
use rhai::{AST, Dynamic, Engine, OptimizationLevel, Position, Scope};
use std::any::TypeId;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// How deep functions may be nested in calls, and expressions in each other: in the script's own code, and in
/// functions. They are Rhai's defaults, which would be others in a build with checks.
const DEEPEST_CALL: usize = 64;
const DEEPEST_EXPRESSION: (usize, usize) = (64, 32);

/// How many runs may be nested.
const MOST_NESTED: usize = 4;

static STANDARD: LazyLock<StandardPackage> = LazyLock::new(StandardPackage::new);

/// What a script consists of. Nothing of it changes.
pub(crate) struct Program {
    pub(crate) file: String,
    ast: AST,
    /// The script's own code, then its functions.
    pub(crate) functions: Vec<Function>,
    /// The functions by the places where their bodies begin, which is how the debugger interface names them.
    pub(crate) bodies: HashMap<Position, usize>,
}

/// A script in Rhai, read from a file.
///
/// It can call the functions that it is given, by their names.
///
/// Raises SyntaxError for what is no script, and OSError or UnicodeDecodeError if the file cannot be read.
#[pyclass(frozen, module = "rhai_scripts")]
pub(crate) struct Script {
    program: Arc<Program>,
    functions: Py<PyDict>,
}

#[pymethods]
impl Script {
    #[new]
    #[pyo3(signature = (path, functions = None))]
    fn new(py: Python<'_>, path: PathBuf, functions: Option<Bound<'_, PyDict>>) -> PyResult<Script> {
        let file = path.to_string_lossy().into_owned();
        let program = Arc::new(Program::new(py, file, &std::fs::read_to_string(&path)?)?);
        let functions = functions.map_or_else(|| Ok(PyDict::new(py)), |functions| functions.copy())?;
        for (name, function) in &functions {
            name.extract::<&str>()?;
            if !function.is_callable() {
                return Err(PyTypeError::new_err(format!("{name} is not callable")));
            }
        }
        Ok(Script { program, functions: functions.unbind() })
    }

    /// Runs the script with these variables, and returns the value of its last expression.
    ///
    /// Raises ScriptError for its errors, whatever a function raised that it called, and TypeError for values that
    /// have no counterpart on the other side.
    #[pyo3(signature = (**variables))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        variables: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _nested = Nested::new()?;
        let mut scope = Scope::new();
        for (name, value) in variables.into_iter().flatten() {
            scope.push_dynamic(name.extract::<String>()?, from_python(&value)?);
        }
        let run = Arc::new(Run::new(Arc::clone(&self.program)));
        let mut engine = engine();
        debug(&mut engine, &run);
        for (name, function) in self.functions.bind(py) {
            register(&mut engine, name.extract()?, &Arc::new(function.unbind()), &run);
        }
        run.all(py, || engine.eval_ast_with_scope::<Dynamic>(&mut scope, &self.program.ast))
    }

    fn __repr__(&self) -> String {
        format!("<rhai script {}>", self.program.file)
    }

    // The functions may have what has the script. Clearing the dictionary is enough.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.functions)
    }
}

impl Program {
    fn new(py: Python<'_>, file: String, source: &str) -> PyResult<Program> {
        let mut ast = engine().compile(source).map_err(|error| syntax_error(&error, &file, source))?;
        ast.set_source(file.as_str());
        let start = Position::new(1, 0);
        let own = Function::new(py, "<script>", "<script>", &file, start, &ast.clone_statements_only())?;
        let mut functions = vec![own];
        let mut bodies = HashMap::new();
        for metadata in ast.iter_functions() {
            let (name, arity) = (metadata.name, metadata.params.len());
            let Some(definition) = ast
                .shared_lib()
                .get_script_fn(name, arity)
                .filter(|found| found.this_type.as_deref() == metadata.this_type)
            else {
                // Rhai does not tell them apart here.
                let message = format!("{file}: the method {name} is defined for several types");
                return Err(PyNotImplementedError::new_err(message));
            };
            let mut only = ast.clone_functions_only();
            only.retain_functions(|_, _, it, count| it == name && count == arity);
            let name = if name.starts_with("anon$") { "<closure>" } else { name };
            let qualname = metadata.this_type.map_or(name.to_owned(), |of| format!("{of}.{name}"));
            let start = definition.body.start_position();
            bodies.insert(start, functions.len());
            functions.push(Function::new(py, name, &qualname, &file, start, &only)?);
        }
        Ok(Program { file, ast, functions, bodies })
    }
}

/// How many runs there are inside each other on a thread, by way of Python: none of Rhai's limits counts them.
struct Nested;

thread_local! {
    static NESTED: Cell<usize> = const { Cell::new(0) };
}

impl Nested {
    fn new() -> PyResult<Nested> {
        if NESTED.get() == MOST_NESTED {
            return Err(PyRecursionError::new_err("too many scripts that run scripts"));
        }
        NESTED.set(NESTED.get() + 1);
        Ok(Nested)
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED.set(NESTED.get() - 1);
    }
}

/// An engine with Rhai's own functions. It is made quickly, for one run.
fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(STANDARD.as_shared_module());
    engine.set_max_call_levels(DEEPEST_CALL);
    engine.set_max_expr_depths(DEEPEST_EXPRESSION.0, DEEPEST_EXPRESSION.1);
    // Every line that is written is one that runs.
    engine.set_optimization_level(OptimizationLevel::None);
    // Its places are none of the file.
    engine.disable_symbol("eval");
    engine
}

/// Lets scripts call a Python callable.
fn register(engine: &mut Engine, name: &str, function: &Arc<Py<PyAny>>, run: &Arc<Run>) {
    // Rhai's functions have a fixed number of arguments.
    for count in 0..=MOST_ARGUMENTS {
        let (function, run) = (Arc::clone(function), Arc::clone(run));
        engine.register_raw_fn(name, vec![TypeId::of::<Dynamic>(); count], move |context, arguments| {
            Python::attach(|py| run.call(py, function.bind(py), arguments, context.call_position()))
        });
    }
}
