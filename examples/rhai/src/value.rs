//! Values of Rhai as values of Python, and back.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRecursionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use rhai::{Array, Dynamic, Map};

/// How deep lists and dictionaries may be nested: they could contain themselves.
const DEEPEST: usize = 64;

pub(crate) fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Dynamic> {
    from(value, 0)
}

pub(crate) fn to_python<'py>(py: Python<'py>, value: &Dynamic) -> PyResult<Bound<'py, PyAny>> {
    to(py, value, 0)
}

fn from(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Dynamic> {
    check(depth)?;
    // Booleans first, for they are integers.
    if value.is_none() {
        Ok(Dynamic::UNIT)
    } else if value.is_instance_of::<PyBool>() {
        Ok(value.extract::<bool>()?.into())
    } else if value.is_instance_of::<PyInt>() {
        Ok(value.extract::<i64>()?.into())
    } else if value.is_instance_of::<PyFloat>() {
        Ok(value.extract::<f64>()?.into())
    } else if let Ok(text) = value.cast::<PyString>() {
        Ok(text.to_str()?.into())
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.map(|item| from(&item?, depth + 1));
        Ok(items.collect::<PyResult<Array>>()?.into())
    } else if let Ok(dictionary) = value.cast::<PyDict>() {
        // A copy: extracting a key could run Python code that changes the dictionary.
        let items = dictionary.copy()?;
        let items = items.iter().map(|(name, item)| {
            let name: String = name.extract()?;
            Ok((name.into(), from(&item, depth + 1)?))
        });
        Ok(items.collect::<PyResult<Map>>()?.into())
    } else {
        let kind = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("scripts have no values of the type {kind}")))
    }
}

fn to<'py>(py: Python<'py>, value: &Dynamic, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    check(depth)?;
    if value.is_shared() {
        // A variable of a closure. What it holds must not be locked meanwhile.
        to(py, &value.flatten_clone(), depth)
    } else if value.is_unit() {
        Ok(py.None().into_bound(py))
    } else if let Ok(value) = value.as_bool() {
        value.into_bound_py_any(py)
    } else if let Ok(value) = value.as_int() {
        value.into_bound_py_any(py)
    } else if let Ok(value) = value.as_float() {
        value.into_bound_py_any(py)
    } else if let Ok(value) = value.as_char() {
        value.into_bound_py_any(py)
    } else if let Ok(text) = value.as_immutable_string_ref() {
        text.as_str().into_bound_py_any(py)
    } else if let Ok(items) = value.as_array_ref() {
        let list = PyList::empty(py);
        for item in items.iter() {
            list.append(to(py, item, depth + 1)?)?;
        }
        Ok(list.into_any())
    } else if let Ok(items) = value.as_map_ref() {
        let dictionary = PyDict::new(py);
        for (name, item) in items.iter() {
            dictionary.set_item(name.as_str(), to(py, item, depth + 1)?)?;
        }
        Ok(dictionary.into_any())
    } else {
        let kind = value.type_name();
        Err(PyTypeError::new_err(format!("Python has no values of the type {kind} of scripts")))
    }
}

fn check(depth: usize) -> PyResult<()> {
    if depth > DEEPEST {
        return Err(PyRecursionError::new_err("the value is nested too deep for a script"));
    }
    Ok(())
}
