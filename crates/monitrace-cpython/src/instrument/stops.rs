//! How loops end: what an iterator raises or returns when it is at its end, for the loop that asked it.
//!
//! The interpreter swallows that `StopIteration` where it comes from, and leaves no trace of it where the loop
//! goes on. So who ends notes it with the copy that the loop runs, and opens the hook that the loop then
//! passes. What is noted must be what this very loop was told: an iterator in C may swallow the end of another.

use super::frames::units;
use super::hook::Hook;
use super::records::{self, Instrumented};
use crate::bytecode::opcodes::{FOR_ITER, SEND};
use crate::ffi::code::CodeUnit;
use crate::ffi::frame::{FRAME_OWNED_BY_GENERATOR, InterpreterFrame};
use crate::ffi::genobject::PyGenObject;
use monitrace_core::{Event, EventSet, UnitIndex};
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::mem::offset_of;
use std::ptr;

/// The events that need to know how loops end.
pub(super) const ENDINGS: EventSet = EventSet::STOP_ITERATION.union(EventSet::RAISE);

/// The end of an iterator.
pub(super) struct Stop {
    /// The frame that asked it.
    frame: *const InterpreterFrame,
    /// The hook that this frame passes next. Borrowed from the copy that this is noted with.
    hook: *const Hook,
    /// `STOP_ITERATION`: it returned. `RAISE`: it raised.
    pub(super) event: Event,
    /// The `StopIteration`.
    pub(super) exception: Py<PyAny>,
}

/// The iterators that have just ended in one copy.
#[derive(Default)]
pub(super) struct Stops(RefCell<Vec<Stop>>);

impl Stops {
    fn add(&self, stop: Stop) -> Option<Stop> {
        let mut stops = self.0.borrow_mut();
        let index = stops.iter().position(|older| older.frame == stop.frame);
        let older = index.map(|index| stops.swap_remove(index));
        stops.push(stop);
        older
    }

    /// Takes out what was noted for a frame that passes a hook.
    pub(super) fn take(&self, frame: *const InterpreterFrame, hook: *const Hook) -> Option<Stop> {
        let mut stops = self.0.borrow_mut();
        let index = stops.iter().position(|stop| stop.frame == frame && ptr::eq(stop.hook, hook))?;
        Some(stops.swap_remove(index))
    }

    /// Takes out what was noted for a frame, whichever hook it was to pass.
    pub(super) fn take_of(&self, frame: *const InterpreterFrame) -> Option<(Event, Py<PyAny>)> {
        let mut stops = self.0.borrow_mut();
        let index = stops.iter().position(|stop| stop.frame == frame)?;
        let stop = stops.swap_remove(index);
        Some((stop.event, stop.exception))
    }

    /// Takes out any.
    pub(super) fn take_any(&self) -> Option<Stop> {
        self.0.borrow_mut().pop()
    }

    /// Whether some frame is to pass this hook.
    pub(super) fn has(&self, hook: *const Hook) -> bool {
        self.0.borrow().iter().any(|stop| ptr::eq(stop.hook, hook))
    }
}

/// What a frame asks for its next item: the loop's hook and the iterator, which is borrowed.
struct Asking<'a> {
    frame: *mut InterpreterFrame,
    /// `None` if the frame has yet to be moved to a copy that has one.
    hook: Option<(&'a Instrumented, &'a Hook)>,
    iterator: *mut ffi::PyObject,
}

impl Asking<'_> {
    /// What the frame that called another was doing, if it was asking an iterator.
    ///
    /// # Safety
    /// The frame is live and its thread's newest.
    unsafe fn by_caller_of<'a>(py: Python<'_>, frame: *mut InterpreterFrame) -> Option<Asking<'a>> {
        // SAFETY: frames further down the stack are live; prev_instr points into the code, whose record lives
        // as long; the stack of a frame that executes such an instruction holds the iterator where the
        // rewriter found it.
        unsafe {
            let caller = (*frame).previous;
            if caller.is_null() {
                return None;
            }
            let record = Instrumented::of((*caller).f_code);
            let unit: CodeUnit = *(*caller).prev_instr;
            let opcode = unit.to_le_bytes()[0];
            if !matches!(opcode, FOR_ITER | SEND) {
                return None;
            }
            let unit = (*caller).prev_instr.offset_from(units((*caller).f_code)) as u32;
            let hook = record.and_then(|record| Some((record, record.hook_of_end(unit)?)));
            let depth = match hook {
                Some((_, hook)) => hook.depth(),
                None if super::mover::is_armed(caller) => {
                    let unit = UnitIndex(unit);
                    let unit = record.map_or(unit, |record| record.rewritten().original_unit(unit));
                    let code = record.map_or((*caller).f_code, |record| record.original().code());
                    records::depth_before(py, code, unit)?.checked_sub(1)? as usize
                }
                None => return None,
            };
            let slot = ((*(*caller).f_code).co_nlocalsplus as usize + depth)
                .checked_sub(usize::from(opcode == SEND))?;
            let iterator = *(&raw const (*caller).localsplus).cast::<*mut ffi::PyObject>().add(slot);
            (!iterator.is_null()).then_some(Asking { frame: caller, hook, iterator })
        }
    }

    /// Whether what an iterator that this one asks in turn raises comes out of it.
    fn passes_on(&self) -> bool {
        // SAFETY: a live object and its type, or NULL where C code has left the stack otherwise.
        unsafe {
            let kind = ffi::Py_TYPE(self.iterator);
            let in_c = [
                &raw mut ffi::PyMap_Type,
                &raw mut ffi::PyFilter_Type,
                &raw mut ffi::PyZip_Type,
                &raw mut ffi::PyEnum_Type,
            ];
            (*kind).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE != 0 || in_c.contains(&kind)
        }
    }

    fn note(&self, py: Python<'_>, event: Event, exception: Py<PyAny>) {
        match self.hook {
            Some((record, hook)) => note(py, record, hook, self.frame, event, exception),
            None => super::mover::note_end(py, self.frame, event, exception),
        }
    }
}

/// Notes how the loop of a frame has ended, for the hook that it passes next.
pub(super) fn note(
    py: Python<'_>,
    record: &Instrumented,
    hook: &Hook,
    frame: *const InterpreterFrame,
    event: Event,
    exception: Py<PyAny>,
) {
    if let Some(older) = record.stops().add(Stop { frame, hook, event, exception }) {
        older.exception.drop_ref(py);
    }
    record.switch_on(hook);
}

/// A frame is left by an exception, which is borrowed: notes it if that ends a loop.
///
/// # Safety
/// The frame is live and its thread's newest.
pub(super) unsafe fn raised(py: Python<'_>, frame: *mut InterpreterFrame, exception: &Py<PyAny>) {
    // SAFETY: see above.
    unsafe {
        if ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), ffi::PyExc_StopIteration) == 0 {
            return;
        }
        if let Some(asking) = Asking::by_caller_of(py, frame).filter(Asking::passes_on) {
            asking.note(py, Event::Raise, exception.clone_ref(py));
        }
    }
}

/// A generator is about to return a value, which is borrowed: notes it if that ends a loop.
///
/// # Safety
/// The frame is live and its thread's newest.
pub(super) unsafe fn returned(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    value: &Py<PyAny>,
) -> PyResult<()> {
    // SAFETY: see above. A generator's frame lies within it.
    unsafe {
        if (*frame).owner != FRAME_OWNED_BY_GENERATOR {
            return Ok(());
        }
        let Some(asking) = Asking::by_caller_of(py, frame) else { return Ok(()) };
        let generator = frame.cast::<u8>().sub(offset_of!(PyGenObject, gi_iframe)).cast::<ffi::PyObject>();
        let event = if asking.iterator == generator {
            Event::StopIteration
        } else if asking.passes_on() && !value.is_none(py) {
            Event::Raise
        } else {
            // Without a value nothing is raised.
            return Ok(());
        };
        asking.note(py, event, stop_iteration(py, value)?);
    }
    Ok(())
}

/// An asynchronous iterator has given an item: notes what that has raised, if it is a generator's, which tells the
/// item by a `StopIteration`.
///
/// # Safety
/// A live object, borrowed.
pub(super) unsafe fn yielded(
    py: Python<'_>,
    hook: &Hook,
    record: &Instrumented,
    iterator: *mut ffi::PyObject,
    item: &Py<PyAny>,
) -> PyResult<()> {
    // SAFETY: see above.
    if unsafe { ffi::Py_TYPE(iterator) } != &raw mut ffi::PyAsyncGen_Type {
        return Ok(());
    }
    if let Some(frame) = hook.frame(record) {
        let exception = stop_iteration(py, item)?;
        let stop = Stop { frame, hook, event: Event::Raise, exception };
        if let Some(older) = record.stops().add(stop) {
            older.exception.drop_ref(py);
        }
    }
    Ok(())
}

/// As the interpreter makes it: None is left out.
fn stop_iteration(py: Python<'_>, value: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    let kind = py.get_type::<pyo3::exceptions::PyStopIteration>();
    let exception = if value.is_none(py) { kind.call0()? } else { kind.call1((value,))? };
    Ok(exception.unbind())
}
