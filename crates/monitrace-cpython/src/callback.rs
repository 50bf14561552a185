//! Callbacks that are Python objects: builds the arguments of each event and reads the answer.

use crate::host::{CPython, Raised};
use crate::instrument::Bare;
use monitrace_core::{Callback, Firing, Payload, Reply};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::any::Any;
use std::ptr;
use std::sync::Arc;

/// `DISABLE` and `MISSING`.
pub(crate) struct Constants {
    /// What a callback answers to be told no more at that location.
    pub(crate) disable: Py<PyAny>,
    /// Stands for the first argument of a call without arguments.
    pub(crate) missing: Py<PyAny>,
}

/// The two constants, made once.
///
/// # Errors
/// If there is no memory for them.
pub(crate) fn constants(py: Python<'_>) -> PyResult<&'static Constants> {
    static CONSTANTS: PyOnceLock<Constants> = PyOnceLock::new();
    CONSTANTS.get_or_try_init(py, || {
        let object = py.import("builtins")?.getattr("object")?;
        Ok(Constants { disable: object.call0()?.unbind(), missing: object.call0()?.unbind() })
    })
}

/// A callable that was registered from Python.
pub(crate) struct PythonCallback {
    function: Py<PyAny>,
    bare: Option<Bare>,
    constants: &'static Constants,
    /// Whether it was registered for the deprecated `BRANCH`.
    is_of_branch: bool,
}

impl PythonCallback {
    /// The callable as a callback of the engine. `is_of_branch`: it is for both sides of branches, and what it
    /// disables is disabled on both.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn shared(
        function: &Bound<'_, PyAny>,
        is_of_branch: bool,
    ) -> PyResult<Arc<dyn Callback<CPython>>> {
        Ok(Arc::new(PythonCallback {
            function: function.clone().unbind(),
            bare: Bare::new(function)?,
            constants: constants(function.py())?,
            is_of_branch,
        }))
    }

    /// Whether a callback was registered for the deprecated `BRANCH`.
    pub(crate) fn is_of_branch(callback: &dyn Callback<CPython>) -> bool {
        (callback as &dyn Any).downcast_ref::<PythonCallback>().is_some_and(|callback| callback.is_of_branch)
    }

    /// The callable behind a callback; `None` for native ones.
    pub(crate) fn function(py: Python<'_>, callback: &dyn Callback<CPython>) -> Option<Py<PyAny>> {
        (callback as &dyn Any)
            .downcast_ref::<PythonCallback>()
            .map(|callback| callback.function.clone_ref(py))
    }
}

impl Callback<CPython> for PythonCallback {
    fn call(&self, firing: &Firing<'_, CPython>) -> Result<Reply, Raised> {
        // SAFETY: events of this host fire in threads that hold the GIL.
        let py = unsafe { Python::assume_attached() };
        let offset;
        let none = ptr::null_mut();
        let position = match firing.code.position.get() {
            Some(position) => position,
            None => {
                let position = match firing.payload {
                    Payload::Line(line) => line,
                    _ => firing.offset.0,
                };
                let boxed = position.into_pyobject(py).map_err(PyErr::from)?;
                firing.code.position.get_or_init(|| boxed.into_any().unbind())
            }
        };
        let (third, fourth, count) = match firing.payload {
            Payload::None | Payload::Line(_) => (none, none, 2),
            Payload::Value(value) | Payload::Exception(value) => (value.as_ptr(), none, 3),
            Payload::Call { callable, arg0 } => {
                (callable.as_ptr(), arg0.unwrap_or(&self.constants.missing).as_ptr(), 4)
            }
            Payload::Destination(destination) => match &firing.code.destination {
                Some(destination) => (destination.as_ptr(), none, 3),
                None => {
                    offset = destination.0.into_pyobject(py).map_err(PyErr::from)?;
                    (offset.as_ptr(), none, 3)
                }
            },
        };
        // The first slot is the callee's to use (PY_VECTORCALL_ARGUMENTS_OFFSET).
        let mut args = [none, firing.code.code.as_ptr(), position.as_ptr(), third, fourth];
        // A method's function takes the spare slot for the instance.
        let (function, first, count) = match self.bare.as_ref().and_then(Bare::function) {
            Some((function, receiver)) if !receiver.is_null() => {
                args[0] = receiver;
                (function, 0, count + 1)
            }
            bare => {
                let function = bare.map_or(self.function.as_ptr(), |(function, _)| function);
                (function, 1, count | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET)
            }
        };
        // SAFETY: `args` holds as many live objects as `count` says, behind a spare slot where it says
        // so; the callback is held while it is called, by the engine's slot.
        let answer = unsafe { call(function, args.as_ptr().add(first), count) };
        if answer.is_null() {
            return Err(Raised(PyErr::fetch(py)));
        }
        let disables = answer == self.constants.disable.as_ptr();
        // SAFETY: a new reference.
        unsafe { ffi::Py_DECREF(answer) };
        Ok(if disables { Reply::Disable } else { Reply::Continue })
    }
}

/// `PyObject_Vectorcall`, without looking whether what was called has both returned something and set an exception.
///
/// # Safety
/// As there: the GIL is held, the function and its arguments are alive, and a spare slot is in front if `count` says so.
unsafe fn call(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
) -> *mut ffi::PyObject {
    // SAFETY: see above; a type with this flag says where its instances keep the pointer (Objects/call.c).
    unsafe {
        let kind = ffi::Py_TYPE(function);
        if (*kind).tp_flags & ffi::Py_TPFLAGS_HAVE_VECTORCALL != 0 {
            let slot =
                function.byte_offset((*kind).tp_vectorcall_offset).cast::<Option<ffi::vectorcallfunc>>();
            if let Some(call) = *slot {
                return call(function, args, count, ptr::null_mut());
            }
        }
        ffi::PyObject_Vectorcall(function, args, count, ptr::null_mut())
    }
}
