//! Short forms of Python values, for people who read events.
//!
//! A summary is made in the middle of the program that is watched. So it must never run the
//! program's code (no `__repr__`, no property, no metaclass), raise, change a value, or take
//! longer for a larger one. Only exact builtin types are looked into; whatever a class of the
//! program could override is read through the builtin type's own descriptors.

use pyo3::exceptions::PyBaseException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyCFunction, PyComplex, PyDict, PyEllipsis, PyFloat, PyFrozenSet,
    PyFunction, PyInt, PyList, PyModule, PyNone, PyNotImplemented, PySet, PyString, PyTuple, PyType,
};
use std::fmt::{self, Write};

/// Characters or bytes that are shown of a text on its own, and of one in a container.
const TEXT: usize = 60;
const TEXT_INSIDE: usize = 20;
/// Items that are shown of a container.
const ITEMS: usize = 3;

/// Writes the summary of a value.
///
/// # Errors
/// Only those of `out`.
pub(crate) fn summarize(value: &Bound<'_, PyAny>, out: &mut dyn Write) -> fmt::Result {
    match text(value, Level::Whole) {
        Ok(text) => out.write_str(&text),
        // The interpreter was out of memory, or the value half torn down.
        Err(_) => out.write_str("<…>"),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Whole,
    Item,
}

fn text(value: &Bound<'_, PyAny>, level: Level) -> PyResult<String> {
    if value.is_exact_instance_of::<PyNone>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyComplex>()
        || value.is_exact_instance_of::<PyEllipsis>()
        || value.is_exact_instance_of::<PyNotImplemented>()
    {
        return builtin_repr(value);
    }
    if value.is_exact_instance_of::<PyInt>() {
        return integer(value);
    }
    if value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyBytes>()
        || value.is_exact_instance_of::<PyByteArray>()
    {
        return clipped(value, if level == Level::Whole { TEXT } else { TEXT_INSIDE });
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return container(list.iter(), list.len(), level, "[", "]");
    }
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return container(tuple.iter(), tuple.len(), level, "(", if tuple.len() == 1 { ",)" } else { ")" });
    }
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return mapping(dict, level);
    }
    if let Ok(set) = value.cast_exact::<PySet>() {
        if set.is_empty() {
            return Ok("set()".to_owned());
        }
        return container(set.iter(), set.len(), level, "{", "}");
    }
    if let Ok(set) = value.cast_exact::<PyFrozenSet>() {
        return container(set.iter(), set.len(), level, "frozenset({", "})");
    }
    if let Ok(class) = value.cast::<PyType>() {
        return class_name(class);
    }
    if value.is_exact_instance_of::<PyFunction>() {
        return lossy(&value.getattr("__qualname__")?);
    }
    if value.is_exact_instance_of::<PyCFunction>() {
        return builtin_name(value);
    }
    if value.is_exact_instance_of::<PyModule>() {
        return module_name(value);
    }
    if value.is_instance_of::<PyBaseException>() {
        return exception(value, level);
    }
    named(value)
}

/// What is not looked into: its class, and its name where a builtin type keeps one.
fn named(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = value.py();
    let class = value.get_type();
    if class.is(method_type(py)?) {
        // A bound method is told by its function: the instance is the first argument.
        return text(&value.getattr("__func__")?, Level::Item);
    }
    if is_builtin_named(&class)? {
        return lossy(&value.getattr("__qualname__")?);
    }
    Ok(format!("<{} object>", class_name(&class)?))
}

/// The types of unbound builtin methods, whose `__qualname__` nothing can override.
fn is_builtin_named(class: &Bound<'_, PyType>) -> PyResult<bool> {
    static TYPES: PyOnceLock<[Py<PyType>; 3]> = PyOnceLock::new();
    let py = class.py();
    let types = TYPES.get_or_try_init(py, || {
        let module = py.import("types")?;
        let get = |name| Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok::<_, PyErr>([
            get("MethodDescriptorType")?,
            get("WrapperDescriptorType")?,
            get("ClassMethodDescriptorType")?,
        ])
    })?;
    Ok(types.iter().any(|known| class.is(known)))
}

fn method_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "types", "MethodType")
}

fn lossy(text: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(text.cast::<PyString>()?.to_string_lossy().into_owned())
}

/// The `repr` of a value of an exact builtin type. Not by `repr()`, which handles signals first:
/// that would run the program's handlers here, and lose what they raise.
fn builtin_repr(value: &Bound<'_, PyAny>) -> PyResult<String> {
    lossy(&value.call_method0(intern!(value.py(), "__repr__"))?)
}

fn integer(value: &Bound<'_, PyAny>) -> PyResult<String> {
    // Decimal digits take quadratic time: only so many that nobody counts them.
    if let Ok(small) = value.extract::<i128>() {
        return Ok(small.to_string());
    }
    let bits: u64 = value.call_method0("bit_length")?.extract()?;
    Ok(format!("<int of {bits} bits>"))
}

/// A text that fits, or its beginning and its length.
fn clipped(value: &Bound<'_, PyAny>, limit: usize) -> PyResult<String> {
    let len = value.len()?;
    if len <= limit {
        return builtin_repr(value);
    }
    let beginning = value.get_item(pyo3::types::PySlice::new(value.py(), 0, limit as isize, 1))?;
    let mut text = builtin_repr(&beginning)?;
    // Inside of the quotation mark, and of bytearray's bracket.
    let end = text.rfind(['\'', '"']).unwrap_or(text.len());
    text.insert(end, '…');
    write!(text, " ({len} long)").map_err(write_failed)?;
    Ok(text)
}

fn container<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    len: usize,
    level: Level,
    open: &str,
    close: &str,
) -> PyResult<String> {
    // Taken out first: summaries allocate, which may collect garbage and thereby change it.
    let first: Vec<_> = if level == Level::Whole { items.take(ITEMS).collect() } else { Vec::new() };
    let texts: Vec<String> = first.iter().map(|item| text(item, Level::Item)).collect::<PyResult<_>>()?;
    Ok(bracketed(&texts, len, open, close))
}

fn mapping(dict: &Bound<'_, PyDict>, level: Level) -> PyResult<String> {
    let first: Vec<_> = if level == Level::Whole { dict.iter().take(ITEMS).collect() } else { Vec::new() };
    let texts: Vec<String> = first
        .iter()
        .map(|(key, value)| Ok(format!("{}: {}", text(key, Level::Item)?, text(value, Level::Item)?)))
        .collect::<PyResult<_>>()?;
    Ok(bracketed(&texts, dict.len(), "{", "}"))
}

fn bracketed(texts: &[String], len: usize, open: &str, close: &str) -> String {
    match (len, texts.len()) {
        (0, _) => format!("{open}{close}"),
        (_, shown) if shown == len => format!("{open}{}{close}", texts.join(", ")),
        (_, 0) => format!("{open}…{}", close.trim_start_matches(',')),
        _ => format!("{open}{}, …{close} ({len} items)", texts.join(", ")),
    }
}

/// An attribute as `type` or another builtin base defines it, past whatever a class overrides.
fn through<'py>(
    base: &Bound<'py, PyAny>,
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    base.getattr("__dict__")?.get_item(name)?.call_method1("__get__", (value,))
}

/// `package.Class`, without the package for builtins and the program's main module.
fn class_name(class: &Bound<'_, PyType>) -> PyResult<String> {
    let py = class.py();
    let base = PyType::new::<PyType>(py);
    let name = lossy(&through(&base, "__qualname__", class)?)?;
    // A class may put anything there.
    let module = through(&base, "__module__", class).ok();
    match module.as_ref().and_then(|module| module.cast_exact::<PyString>().ok()) {
        Some(module) => {
            let module = module.to_string_lossy();
            Ok(if module == "builtins" || module == "__main__" { name } else { format!("{module}.{name}") })
        }
        None => Ok(name),
    }
}

/// `len`, `math.sqrt`, `list.append`.
fn builtin_name(function: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = lossy(&function.getattr("__name__")?)?;
    let owner = function.getattr("__self__")?;
    if owner.is_none() {
        return Ok(name);
    }
    if owner.is_exact_instance_of::<PyModule>() {
        return Ok(match owner.cast::<PyModule>()?.dict().get_item("__name__")? {
            Some(module) if module.is_exact_instance_of::<PyString>() => match lossy(&module)?.as_str() {
                "builtins" => name,
                module => format!("{module}.{name}"),
            },
            _ => name,
        });
    }
    let class = match owner.cast::<PyType>() {
        Ok(class) => class.clone(),
        Err(_) => owner.get_type(),
    };
    Ok(format!("{}.{name}", class_name(&class)?))
}

fn module_name(module: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = module.cast::<PyModule>()?.dict().get_item("__name__")?;
    Ok(match name {
        Some(name) if name.is_exact_instance_of::<PyString>() => format!("<module {}>", lossy(&name)?),
        _ => "<module>".to_owned(),
    })
}

fn exception(value: &Bound<'_, PyAny>, level: Level) -> PyResult<String> {
    let py = value.py();
    let name = class_name(&value.get_type())?;
    let arguments = through(&PyType::new::<PyBaseException>(py), "args", value)?;
    let Ok(arguments) = arguments.cast_exact::<PyTuple>() else {
        return Ok(name);
    };
    match (arguments.len(), level) {
        (1, Level::Whole) => Ok(format!("{name}({})", text(&arguments.get_item(0)?, Level::Whole)?)),
        _ => Ok(format!("{name}{}", container(arguments.iter(), arguments.len(), level, "(", ")")?)),
    }
}

fn write_failed(_: fmt::Error) -> PyErr {
    pyo3::exceptions::PyMemoryError::new_err("no room for a summary")
}
