//! Functions that exist already: gives each the copy that its calls are to run, or its own code
//! back. One walk over the heap when events are switched on; none for code that is already in place.

use super::records::{CodePtr, Instrumented, Original, Variant};
use super::{code_to_run, frames, landing, registry};
use crate::ffi::genobject::PyGenObject;
use crate::ffi::pystate::_PyThreadState_UncheckedGet;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Settled code objects whose functions wait for a walk before one is made.
const SWEEP_AT_LEAST: usize = 256;

/// Everything that the garbage collector knows.
pub(super) fn objects(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    Ok(py.import("gc")?.call_method0("get_objects")?.cast_into::<PyList>()?)
}

/// Moves what runs a copy back to its original, so that no copy is left in use.
///
/// # Errors
/// `RuntimeError` for a frame that cannot be moved.
pub(super) fn restore_all(py: Python<'_>) -> PyResult<()> {
    let objects = objects(py)?;
    let generators: Vec<*mut PyGenObject> = objects
        .iter()
        // SAFETY: a live object; reading its type's address is always allowed.
        .filter(|object| frames::is_generator_type(unsafe { ffi::Py_TYPE(object.as_ptr()) }))
        .map(|object| object.as_ptr().cast())
        .collect();
    frames::restore_all(py, &generators)
}

/// Looks at every function and every waiting generator.
///
/// Objects that were moved out of the garbage collector's sight (`gc.freeze`) are not found.
pub(super) fn adopt_all(py: Python<'_>) -> PyResult<()> {
    let objects = objects(py)?;
    registry().lock().unswept = 0;
    for object in &objects {
        let pointer = object.as_ptr();
        // SAFETY: a live object; reading its type's address is always allowed.
        let kind = unsafe { ffi::Py_TYPE(pointer) };
        if kind == &raw mut ffi::PyFunction_Type {
            adopt(py, pointer.cast())?;
        } else if frames::is_generator_type(kind) {
            frames::adopt_generator(py, pointer.cast())?;
        }
    }
    Ok(())
}

/// Gives one function the code that its calls are to run.
pub(super) fn adopt(py: Python<'_>, function: *mut ffi::PyFunctionObject) -> PyResult<()> {
    // SAFETY: a live function holds a live code object, which the record's reference outlives.
    let code: CodePtr = unsafe { (*function).func_code.cast() };
    if landing::is_landing_code(code) {
        return Ok(());
    }
    let original = Instrumented::of(code).map_or(code, |copy| copy.original().code());
    let wanted = code_to_run(py, original)?;
    swap(function, wanted.as_ref().map_or(original, |copy| copy.as_ptr().cast()));
    Ok(())
}

/// Exchanges a function's code for another with the same variables.
fn swap(function: *mut ffi::PyFunctionObject, code: CodePtr) {
    // SAFETY: both code objects are alive and made from one another, so closure and arguments fit.
    // Version 0 makes specialised calls look again. A generator takes its size from the function and
    // its frame from the code that the call began with: while such a call is between the two, the
    // function keeps its code.
    unsafe {
        let before: CodePtr = (*function).func_code.cast();
        if before == code {
            return;
        }
        let shrinks = (*code).co_stacksize < (*before).co_stacksize;
        if shrinks && frames::is_entering(before) {
            return;
        }
        ffi::Py_INCREF(code.cast());
        (*function).func_code = code.cast();
        (*function).func_version = 0;
        ffi::Py_DECREF(before.cast());
    }
}

/// Puts the original back where a copy has no hook left that is on: in the function that runs now, in
/// the constants of the code around it and, from time to time, in all functions. If that was often taken back, it
/// waits until it is worth it for many.
pub(super) fn settle(py: Python<'_>, copy: &Instrumented) {
    if !copy.is_current() || !copy.is_quiet() {
        return;
    }
    let original = copy.original();
    if original.is_settled() {
        return;
    }
    let Some(waiting) = registry().may_settle(original.id()) else { return };
    for waiting in waiting.into_iter().filter_map(|code| registry().numbered(code)) {
        if let Some(copy) = waiting.current().filter(|copy| copy.is_quiet()) {
            // SAFETY: a record's code object is alive; settling must not end it.
            let _held = unsafe { Bound::from_borrowed_ptr(py, copy.code().cast()) };
            settle_now(py, copy);
        }
    }
    settle_now(py, copy);
}

/// Has code that is called again and again run a copy without the hooks that are off: one that is never reached keeps it
/// from being settled.
pub(super) fn thin(py: Python<'_>, copy: &Instrumented) {
    let original = copy.original();
    if !copy.is_current() || original.is_settled() || !copy.is_mostly_off() || !registry().may_thin() {
        return;
    }
    let Some(function) = running_function(copy) else { return };
    let variant = Variant { is_thin: true, ..Variant::default() };
    match Instrumented::make(py, original, copy.events(), variant) {
        Ok(Some(thin)) => {
            // Without any hook it is settled already. The frame holds the copy that it runs.
            swap(function, if original.is_settled() { original.code() } else { thin.as_ptr().cast() });
            hand_out(py, original);
        }
        Ok(None) => {}
        Err(error) => error.write_unraisable(py, None),
    }
}

/// The function whose call runs a copy on the current thread, if it still has that.
fn running_function(copy: &Instrumented) -> Option<*mut ffi::PyFunctionObject> {
    // SAFETY: the current thread's frame, if it has one, holds its function.
    unsafe {
        let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
        let runs = !frame.is_null()
            && (*(*frame).f_func).func_code == copy.code().cast()
            && (*frame).f_code == copy.code();
        runs.then(|| (*frame).f_func)
    }
}

/// The copy is held for as long as this takes.
fn settle_now(py: Python<'_>, copy: &Instrumented) {
    let original = copy.original();
    original.settle();
    if let Some(function) = running_function(copy) {
        // The frame holds the copy, so it is still there after the exchange.
        swap(function, original.code());
    }
    hand_out(py, original);
}

/// Puts what a code object is to run now into the constants of the code around it and, from time to time, into all
/// functions.
fn hand_out(py: Python<'_>, original: &Original) {
    let sweep = {
        let mut registry = registry().lock();
        registry.unswept += 1;
        registry.unswept >= SWEEP_AT_LEAST.max(registry.copies.len() / 2)
    };
    let parent = original.parent();
    if let Some(parent) = parent.as_ref().and_then(|parent| parent.current()) {
        // SAFETY: a record's code object is alive. The code around it may hold nothing else of it, and is changed on
        // the way when that is settled, too.
        let _held = unsafe { Bound::from_borrowed_ptr(py, parent.code().cast()) };
        if let Err(error) = parent.adopt_nested(py) {
            error.write_unraisable(py, None);
        }
        if !parent.original().is_settled() {
            settle(py, parent);
        }
    }
    if sweep && let Err(error) = adopt_all(py) {
        error.write_unraisable(py, None);
    }
}
