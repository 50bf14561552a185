//! Callbacks that are Python objects: builds the arguments of each event and reads the answer.

use crate::host::{CPython, Raised};
use crate::instrument::Bare;
use monitrace_core::{Callback, Firing, Payload, Reply};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::any::Any;
use std::mem::ManuallyDrop;
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
    function: ManuallyDrop<Py<PyAny>>,
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
            function: ManuallyDrop::new(function.clone().unbind()),
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

impl Drop for PythonCallback {
    fn drop(&mut self) {
        // Not left to the field: in a hook, which holds the GIL without PyO3's knowing, that would be put off.
        // SAFETY: taken once, here.
        Python::try_attach(|py| unsafe { ManuallyDrop::take(&mut self.function) }.drop_ref(py));
    }
}

impl Callback<CPython> for PythonCallback {
    fn call(&self, firing: &Firing<'_, CPython>) -> Result<Reply, Raised> {
        let site = firing.code;
        let position = match site.position.get() {
            Some(position) => position,
            None => box_position(firing)?,
        };
        let (spare, code, position) = (ptr::null_mut(), site.code.as_ptr(), position.as_ptr());
        match firing.payload {
            Payload::None | Payload::Line(_) => self.ask(&mut [spare, code, position]),
            Payload::Value(value) | Payload::Exception(value) => {
                self.ask(&mut [spare, code, position, value.as_ptr()])
            }
            Payload::Call { callable, arg0 } => {
                let arg0 = arg0.unwrap_or(&self.constants.missing).as_ptr();
                self.ask(&mut [spare, code, position, callable.as_ptr(), arg0])
            }
            Payload::Destination(destination) => match &site.destination {
                Some(destination) => self.ask(&mut [spare, code, position, destination.as_ptr()]),
                None => {
                    // SAFETY: events of this host fire in threads that hold the GIL.
                    let py = unsafe { Python::assume_attached() };
                    let destination = destination.0.into_pyobject(py).map_err(PyErr::from)?;
                    self.ask(&mut [spare, code, position, destination.as_ptr()])
                }
            },
        }
    }
}

impl PythonCallback {
    /// Calls it with live objects, behind a first slot that is the callee's to use.
    #[inline(always)]
    fn ask<const SLOTS: usize>(&self, args: &mut [*mut ffi::PyObject; SLOTS]) -> Result<Reply, Raised> {
        // A method's function takes the spare slot for the instance.
        let (function, first, count) = match self.bare.as_ref().and_then(Bare::function) {
            Some((function, receiver)) if !receiver.is_null() => {
                args[0] = receiver;
                (function, 0, SLOTS)
            }
            bare => {
                let function = bare.map_or(self.function.as_ptr(), |(function, _)| function);
                (function, 1, (SLOTS - 1) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET)
            }
        };
        // SAFETY: `args` holds as many live objects as `count` says, behind a spare slot where it says
        // so; the callback is held while it is called, by the engine's slot. Events of this host fire in threads that
        // hold the GIL.
        unsafe {
            let answer = call(function, args.as_ptr().add(first), count);
            if answer.is_null() {
                return Err(Raised(PyErr::fetch(Python::assume_attached())));
            }
            let disables = answer == self.constants.disable.as_ptr();
            // A new reference.
            ffi::Py_DECREF(answer);
            Ok(if disables { Reply::Disable } else { Reply::Continue })
        }
    }
}

/// Makes the line or offset of a site that is told for the first time an object.
#[inline(never)]
fn box_position<'a>(firing: &Firing<'a, CPython>) -> Result<&'a Py<PyAny>, Raised> {
    // SAFETY: events of this host fire in threads that hold the GIL.
    let py = unsafe { Python::assume_attached() };
    let position = match firing.payload {
        Payload::Line(line) => line,
        _ => firing.offset.0,
    };
    let boxed = position.into_pyobject(py).map_err(PyErr::from)?;
    Ok(firing.code.position.get_or_init(|| boxed.into_any().unbind()))
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
