//! Gates: what an exception passes on its way to a handler or out of its frame (see `bytecode`), and what tools
//! are told of it there.
//!
//! A gate raises nothing by itself: what a callback raises takes the place of the exception that passes, as in
//! CPython 3.14. It must leave the frame's stack as the rewriter made it.

use super::hook::as_object;
use super::records::{Instrumented, Original, ThrownLine};
use super::stops;
use crate::bytecode::opcodes::{
    JUMP_BACKWARD_NO_INTERRUPT, NOP, RAISE_VARARGS, RETURN_GENERATOR, UNARY_INVERT, YIELD_VALUE,
};
use crate::bytecode::{self, RAISING};
use crate::ffi::code::CodeUnit;
use crate::ffi::frame::InterpreterFrame;
use crate::ffi::pystate::{_PyThreadState_UncheckedGet, PyThreadState_GetFrame};
use crate::ffi::traceback::PyTracebackObject;
use crate::host::{CPython, Raised, Site};
use monitrace_core::{ByteOffset, Event, Firing, Payload, Reply, UnitIndex};
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::OnceCell;
use std::mem::ManuallyDrop;
use std::ptr;

/// On the way of an exception: tells what it is for this frame.
pub(super) fn fire(py: Python<'_>, record: &Instrumented) {
    // SAFETY: the current thread has a frame when Python code runs; if that frame runs our code object, then
    // it stands at one of its gates, where the stack holds what the rewriter says. `prev_instr` may be moved
    // to another unit of the same code: the loop does not read it before it has written it again.
    unsafe {
        let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
        if frame.is_null() || (*frame).f_code != record.code() {
            return;
        }
        let unit = (*frame).prev_instr.offset_from(record.units());
        let Some(gate) = record.rewritten().gate_at(unit as u32) else { return };
        let ends_loops = gate.leaves && record.events().intersects(stops::ENDINGS);
        if !record.are_gates_on() && !ends_loops && !record.calls().is_made_by(frame) {
            return;
        }
        let stack = (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>();
        let top = stack.add((*record.code()).co_nlocalsplus as usize + gate.depth as usize);
        let exception = top.sub(1);
        debug_assert!(ffi::PyExceptionInstance_Check(*exception) != 0);
        let by_hook = gate.origin.is_some_and(|origin| origin.is_hook);
        let rewritten = record.rewritten();
        let raised_at = match gate.origin {
            Some(origin) => {
                // A frame that has waited for a function in Python stands behind the opcode of its call.
                let stood_at = newest_position(frame, *exception).filter(|&at| {
                    let instruction = |unit| rewritten.resume_after(unit);
                    let at = rewritten.original_unit(UnitIndex(at));
                    !by_hook && gate.reraised_by.is_none() && instruction(at) == instruction(origin.unit)
                });
                stood_at.unwrap_or_else(|| rewritten.copy_unit(origin.unit).unwrap_or(origin.unit).0)
            }
            None => {
                let position = *top.sub(2);
                debug_assert!(ffi::PyLong_CheckExact(position) != 0);
                ffi::PyLong_AsLong(position) as u32
            }
        };
        let raised_at = if by_hook { raised_at } else { raising_unit(record.units(), raised_at) };
        (*frame).prev_instr = record.units().add(raised_at as usize);
        record.show_elsewhere(frame);
        let mut passing = Passing { py, original: record.original(), frame, exception };
        let at = record.original_of_raising(UnitIndex(raised_at));
        let opcode = if by_hook { UNARY_INVERT } else { (*(*frame).prev_instr).to_le_bytes()[0] };
        // A `raise` that finds nothing to raise again raises something new, and has just been added to its
        // traceback.
        let is_raise = opcode == RAISE_VARARGS && gate.reraised_by == Some(ByteOffset::from(at));
        let is_new = is_raise && newest_position(frame, *exception) == Some(raised_at);
        let reraised_by = gate.reraised_by.filter(|_| !is_new);
        let offset = reraised_by.unwrap_or_else(|| raising_offset(at, opcode));
        if reraised_by.is_none()
            && is_resumable(opcode)
            && let Some(unit) = record.rewritten().copy_unit(UnitIndex(offset.0 / 2))
        {
            (*frame).prev_instr = record.units().add(unit.0 as usize);
        }
        match reraised_by {
            _ if gate.is_told => {}
            Some(_) => {
                passing.tell(Event::Reraise, offset);
            }
            None => passing.tell_raised(offset, is_resumable(opcode)),
        }
        if gate.leaves {
            passing.tell(Event::PyUnwind, offset);
            stops::raised(py, frame, as_object(&*exception));
        }
        record.show_elsewhere(ptr::null_mut());
    }
}

/// See [`bytecode::raising_unit`].
///
/// # Safety
/// The units of live code, and one of them.
pub(super) unsafe fn raising_unit(units: *const CodeUnit, unit: u32) -> u32 {
    // SAFETY: see above; what follows a PRECALL belongs to the same code.
    bytecode::raising_unit(|unit| unsafe { (*units.add(unit as usize)).to_le_bytes()[0] }, unit)
}

/// Something is raised in a frame whose code has no gate for it: tells what one would.
///
/// # Safety
/// The frame is the thread's newest and stands where the exception was raised.
pub(super) unsafe fn raised_without(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    exception: &mut Py<PyAny>,
    at: ByteOffset,
) {
    // SAFETY: see above.
    unsafe { in_passing(py, frame, exception, |passing| passing.tell_raised(at, false)) };
}

/// It leaves the frame.
///
/// # Safety
/// As above.
pub(super) unsafe fn left_without(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    exception: &mut Py<PyAny>,
    at: ByteOffset,
) {
    // SAFETY: see above.
    unsafe {
        in_passing(py, frame, exception, |passing| {
            passing.tell(Event::PyUnwind, at);
        });
        stops::raised(py, frame, exception);
    }
}

/// # Safety
/// As above.
unsafe fn in_passing(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    exception: &mut Py<PyAny>,
    tell: impl FnOnce(&mut Passing<'_, '_>),
) {
    // SAFETY: see above. A Py is the pointer to its object.
    unsafe {
        let code = (*frame).f_code;
        let code = Instrumented::of(code).map_or(code, |copy| copy.original().code());
        if let Some(original) = Original::known(code) {
            let exception = ptr::from_mut(exception).cast();
            tell(&mut Passing { py, original: &original, frame, exception });
        }
    }
}

/// The place of an event that gates tell of.
pub(super) fn place_of(event: Event) -> usize {
    const PLACES: [u8; Event::COUNT] = {
        let mut places = [0; Event::COUNT];
        let mut i = 0;
        while i < RAISING.len() {
            places[RAISING[i] as usize] = i as u8;
            i += 1;
        }
        places
    };
    usize::from(PLACES[event as usize])
}

/// The unit of a frame's code that the newest entry of an exception's traceback names, if that is of this frame.
///
/// # Safety
/// A live frame and a live exception.
unsafe fn newest_position(frame: *mut InterpreterFrame, exception: *mut ffi::PyObject) -> Option<u32> {
    // SAFETY: see above; what an exception has for a traceback is one, or NULL.
    unsafe {
        let traceback =
            (*exception.cast::<ffi::PyBaseExceptionObject>()).traceback.cast::<PyTracebackObject>();
        let is_of_frame = !traceback.is_null() && (*traceback).tb_frame == (*frame).frame_obj;
        if is_of_frame { u32::try_from((*traceback).tb_lasti / 2).ok() } else { None }
    }
}

/// Whether that is where a generator waits: none of these raises anything by itself.
fn is_resumable(opcode: u8) -> bool {
    matches!(opcode, YIELD_VALUE | RETURN_GENERATOR | JUMP_BACKWARD_NO_INTERRUPT | NOP)
}

/// The instruction that is said to raise what was raised at a unit of the original, where the copy has this
/// opcode. What another generator has raised, that this one waits for, is thrown behind `YIELD_VALUE` and `RESUME`.
fn raising_offset(at: UnitIndex, opcode: u8) -> ByteOffset {
    let behind = if matches!(opcode, JUMP_BACKWARD_NO_INTERRUPT | NOP) { 2 } else { 0 };
    ByteOffset::from(UnitIndex(at.0.saturating_sub(behind)))
}

/// An exception that passes a gate.
struct Passing<'a, 'py> {
    py: Python<'py>,
    original: &'a Original,
    /// Stands where it was raised.
    frame: *mut InterpreterFrame,
    /// Where the frame keeps it.
    exception: *mut *mut ffi::PyObject,
}

impl Passing<'_, '_> {
    /// Tells of it as new to this frame. `offset` is the instruction that raised it or, if it was `thrown` into a
    /// generator, the `YIELD_VALUE` at which that waits.
    fn tell_raised(&mut self, offset: ByteOffset, thrown: bool) {
        // A generator goes on behind it.
        if thrown && self.tell(Event::PyThrow, ByteOffset(offset.0 + 2)) {
            self.add_traceback();
        }
        // SAFETY: the frame is live.
        let record = Instrumented::of(unsafe { (*self.frame).f_code });
        if let Some(record) = record
            && let Some(call) = record.calls().take(self.frame)
        {
            // SAFETY: the call is noted with this copy, which owns its hooks.
            let place = unsafe { (*call.hook).place() };
            if let Err(raised) = call.end(self.py, record, Event::CRaise) {
                self.replace(raised);
                self.add_traceback();
            }
            // The hook behind the call was kept for this one and is not reached.
            if let Some(behind) = record.hook_at(place + 1) {
                behind.switch_off_unless_wanted(record);
            }
        }
        self.tell(Event::Raise, offset);
        if thrown
            && let Some(record) = record
            && let Some(line) = record.thrown_line(offset)
        {
            self.tell_line(record, line);
        }
    }

    /// Tells of the line that begins when it is thrown into a generator that waits for another. What a callback
    /// raises there is raised on that line.
    fn tell_line(&mut self, record: &Instrumented, line: ThrownLine) {
        match self.fire(line.place, Event::Line, line.offset, Some(line.line)) {
            Ok(_) => record.switch_off_gates_unless_wanted(self.py),
            Err(raised) => {
                self.replace(raised);
                self.add_traceback();
                self.tell(Event::Raise, line.offset);
            }
        }
    }

    /// Tells of an event of it, and whether a callback has raised another, which has taken its place.
    fn tell(&mut self, event: Event, offset: ByteOffset) -> bool {
        match self.fire(place_of(event), event, offset, None) {
            Ok(_) => false,
            Err(raised) => {
                self.replace(raised);
                true
            }
        }
    }

    /// Fires an event with a line, or with the exception.
    fn fire(
        &self,
        place: usize,
        event: Event,
        offset: ByteOffset,
        line: Option<u32>,
    ) -> Result<Reply, Raised> {
        let scope = self.original.scope();
        super::monitor().enter(scope);
        if scope.state(place).active().is_empty() {
            return Ok(Reply::Continue);
        }
        // SAFETY: the frame owns the exception and keeps its code, which is borrowed as a hook's site does.
        let (exception, code) = unsafe {
            let code = Bound::from_owned_ptr(self.py, self.original.code().cast()).unbind();
            (as_object(&*self.exception), code)
        };
        let id = Some(self.original.id());
        let site = Site { code, position: OnceCell::new(), id, destination: None };
        let site = Borrowed(ManuallyDrop::new(site));
        let payload = line.map_or(Payload::Exception(exception), Payload::Line);
        let firing: Firing<'_, CPython> = Firing { event, offset, code: &site.0, payload };
        super::monitor().fire(scope, place, &firing)
    }

    fn replace(&mut self, raised: Raised) {
        // SAFETY: the slot of the frame that holds the exception.
        unsafe { replace_exception(self.py, self.exception, raised) };
    }

    /// Adds the frame to the traceback of the exception.
    fn add_traceback(&mut self) {
        let py = self.py;
        // SAFETY: the frame is the thread's newest, and its object, which is made if need be, is only read.
        unsafe {
            PyErr::from_value(as_object(&*self.exception).bind(py).clone()).restore(py);
            let object = PyThreadState_GetFrame(_PyThreadState_UncheckedGet());
            if !object.is_null() {
                ffi::PyTraceBack_Here(object.cast());
                ffi::Py_DECREF(object.cast());
            }
            let raised = Raised(PyErr::fetch(py));
            replace_exception(py, self.exception, raised);
        }
    }
}

/// A site whose code is borrowed.
struct Borrowed(ManuallyDrop<Site>);

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: dropped with the GIL held; only the position is owned.
        unsafe {
            if let Some(position) = self.0.position.take() {
                position.drop_ref(Python::assume_attached());
            }
        }
    }
}

/// Puts what a callback has raised where another exception was.
///
/// # Safety
/// The slot holds a reference of its own.
pub(super) unsafe fn replace_exception(py: Python<'_>, slot: *mut *mut ffi::PyObject, raised: Raised) {
    let value = raised.0.into_value(py);
    // SAFETY: see above. The old one goes when the slot has the new one.
    unsafe { drop(Bound::from_owned_ptr(py, slot.replace(value.into_ptr()))) };
}
