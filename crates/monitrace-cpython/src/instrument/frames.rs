//! Frames that run already when events are set: which of them are moved to an instrumented copy, and how.
//!
//! A frame that waits for an inlined call, or for a generator's next turn, is re-read from memory when it goes on:
//! exchanging its code and position is enough. A frame in the middle of a C call keeps its position and constants in
//! the evaluation loop's own variables, so it is armed (`mover`) and moved when it goes on (`landing`).
//!
//! Left alone: frames that have not reached RESUME, in which only a finalizer can run, and those of callbacks and
//! trace functions, whose threads are mute.

use super::records::{self, CodePtr, Instrumented, Original, Variant};
use super::{code_to_run, mover, registry};
use crate::ffi::code::{CODE_OFFSET, CodeUnit};
use crate::ffi::frame::{FRAME_OWNED_BY_THREAD, InterpreterFrame};
use crate::ffi::genobject::{FRAME_EXECUTING, PyGenObject};
use crate::ffi::pystate::{
    _PyThreadState_UncheckedGet, CFrame, PyInterpreterState_ThreadHead, PyThreadState_Next, ThreadState,
};
use crate::ffi::traceback::PyTracebackObject;
use monitrace_core::UnitIndex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::rc::Rc;

/// Whether the objects of a type begin like generators.
pub(super) fn is_generator_type(kind: *mut ffi::PyTypeObject) -> bool {
    kind == &raw mut ffi::PyGen_Type
        || kind == &raw mut ffi::PyCoro_Type
        || kind == &raw mut ffi::PyAsyncGen_Type
}

pub(super) fn units(code: CodePtr) -> *mut CodeUnit {
    code.cast::<u8>().wrapping_add(CODE_OFFSET).cast()
}

/// The code object of the program that a frame's code stands for.
fn original_of(code: CodePtr) -> CodePtr {
    Instrumented::of(code).map_or(code, |copy| copy.original().code())
}

/// A position in a frame's code, in the original's units. `None` before the first instruction.
///
/// # Safety
/// The frame is live and not cleared.
pub(super) unsafe fn original_unit(frame: *mut InterpreterFrame) -> Option<UnitIndex> {
    // SAFETY: prev_instr points into the frame's code, or one unit before it.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    let unit = UnitIndex(u32::try_from(unit).ok()?);
    Some(Instrumented::of(code).map_or(unit, |copy| copy.rewritten().original_unit(unit)))
}

/// Whether a callback or a trace function of a thread that is mute is being told of a frame that its loop is
/// executing. If that is in the middle of a hook, it is the hook whose event is told: those of the callback's own
/// code do nothing. Some hooks are shown elsewhere meanwhile.
///
/// # Safety
/// The frame is live, and what its loop executes.
unsafe fn is_told_of(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: prev_instr points into the frame's code, or one unit before it.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    // SAFETY: see above.
    if mover::is_telling(frame) || unsafe { mover::is_traced_now(frame) } {
        return true;
    }
    Instrumented::of(code).is_some_and(|copy| {
        copy.shown_elsewhere() == frame
            || copy.rewritten().hooks.iter().any(|hook| unit == (hook.unit.0 + u32::from(hook.skip)) as isize)
    })
}

/// `_PyFrame_IsIncomplete`.
///
/// # Safety
/// The frame is live.
unsafe fn is_incomplete(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: as above.
    unsafe {
        let code = (*frame).f_code;
        (*frame).owner == FRAME_OWNED_BY_THREAD
            && (*frame).prev_instr < units(code).wrapping_add((*code)._co_firsttraceable as usize)
    }
}

/// Whether some thread has begun a call of this code that has not reached RESUME.
pub(super) fn is_entering(code: CodePtr) -> bool {
    let mut entering = false;
    for_each_frame(|_, _, frame, _| {
        // SAFETY: frames on a thread's stack are live while the GIL is held.
        entering |= unsafe { (*frame).f_code == code && is_incomplete(frame) };
    });
    entering
}

/// Calls `visit` with each frame of each thread, innermost first, with its thread and loop, and
/// whether it is the one that its loop is executing.
pub(super) fn for_each_frame(
    mut visit: impl FnMut(*mut ThreadState, *mut CFrame, *mut InterpreterFrame, bool),
) {
    // SAFETY: the GIL is held, so no thread runs Python code, starts or ends; frames and cframes of
    // each are linked as ceval.c leaves them, and `visit` unlinks none.
    unsafe {
        let interpreter = (*_PyThreadState_UncheckedGet()).interp;
        let mut thread = PyInterpreterState_ThreadHead(interpreter);
        while !thread.is_null() {
            let mut cframe = (*thread).cframe;
            let mut frame = (*cframe).current_frame;
            let mut executing = true;
            while !frame.is_null() && !cframe.is_null() {
                let (previous, is_entry) = ((*frame).previous, (*frame).is_entry);
                visit(thread, cframe, frame, executing);
                executing = is_entry;
                if is_entry {
                    cframe = (*cframe).previous;
                }
                frame = previous;
            }
            thread = PyThreadState_Next(thread);
        }
    }
}

/// Whether a frame's code is to be exchanged, and for what: to tell of events, or to wake the mover for the frame
/// below.
///
/// # Safety
/// The frame is live.
pub(super) unsafe fn wanted(py: Python<'_>, frame: *mut InterpreterFrame) -> PyResult<Option<Rc<Original>>> {
    // SAFETY: as above.
    let (code, is_to_wake) = unsafe { ((*frame).f_code, mover::stands_on_armed(frame)) };
    let interest = registry().interest();
    if let Some(copy) = Instrumented::of(code).filter(|copy| copy.has_hooks_for(interest)) {
        return Ok((is_to_wake && !copy.wakes_mover()).then(|| Rc::clone(copy.original())));
    }
    match code_to_run(py, original_of(code))? {
        None if !is_to_wake => Ok(None),
        _ => Original::of(py, original_of(code)).map(Some),
    }
}

pub(super) fn make(py: Python<'_>, original: &Rc<Original>, variant: Variant) -> PyResult<Option<Py<PyAny>>> {
    Instrumented::make(py, original, registry().interest(), variant)
}

/// Moves every frame of every thread, or sees to it that it is moved as soon as it goes on.
pub(super) fn adopt_all(py: Python<'_>) -> PyResult<()> {
    mover::drop_needless(py);
    let mut frames = Vec::new();
    for_each_frame(|thread, cframe, frame, executing| frames.push((thread, cframe, frame, executing)));
    let mut found = Vec::with_capacity(frames.len());
    for of_thread in frames.chunk_by(|one, next| one.0 == next.0) {
        // SAFETY: live, see for_each_frame.
        unsafe {
            // What a thread's callback runs is mute, and what its trace function runs: from the innermost frame down
            // to the one that is told of.
            let is_mute = (*of_thread[0].0).tracing != 0;
            let told = of_thread.iter().position(|&(_, _, frame, executing)| executing && is_told_of(frame));
            let first = told.filter(|_| is_mute).unwrap_or(0);
            found.extend(of_thread[first..].iter().filter(|(_, _, frame, _)| !is_incomplete(*frame)));
        }
    }
    // Callers first: those that wait for the mover are to be known when what they wait for is moved.
    for &(thread, cframe, frame, executing) in found.into_iter().rev() {
        // SAFETY: making copies runs no Python code, so the frames are still as they were listed.
        unsafe {
            match wanted(py, frame)? {
                Some(_) if executing => {
                    mover::arm(py, thread, cframe, frame, false);
                }
                Some(original) => move_waiting(py, frame, &original)?,
                None => {}
            }
        }
    }
    Ok(())
}

/// Whether a frame is to wake the mover when it is left: the loop below or its caller may wait for it.
///
/// # Safety
/// The frame is live and complete.
pub(super) unsafe fn wakes_mover(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above.
    unsafe { (*frame).is_entry || is_called_by_armed(frame) }
}

/// Whether the caller of a frame, in the same loop, waits for the mover.
///
/// # Safety
/// The frame is live and complete.
unsafe fn is_called_by_armed(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above.
    unsafe { !(*frame).is_entry && mover::stands_on_armed(frame) }
}

/// Moves the frame of a generator that is not running.
pub(super) fn adopt_generator(py: Python<'_>, generator: *mut PyGenObject) -> PyResult<()> {
    // SAFETY: a live generator; below FRAME_EXECUTING its frame is complete and waits.
    unsafe {
        if (*generator).gi_frame_state >= FRAME_EXECUTING {
            return Ok(());
        }
        let frame = (&raw mut (*generator).gi_iframe).cast::<InterpreterFrame>();
        match wanted(py, frame)? {
            Some(original) => move_waiting(py, frame, &original),
            None => Ok(()),
        }
    }
}

/// Exchanges the code of a frame that the loop will read again from memory. Its stack cannot grow: what is behind it
/// is taken.
///
/// # Safety
/// The frame is live, complete and waits for an inlined call to return, or for its generator's turn.
unsafe fn move_waiting(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    original: &Rc<Original>,
) -> PyResult<()> {
    // SAFETY: see above.
    unsafe {
        let room = (*(*frame).f_code).co_stacksize as u32;
        let variant = Variant {
            stack_limit: Some(room),
            landing: None,
            wakes_mover: wakes_mover(frame),
            is_thin: false,
        };
        match make(py, original, variant)? {
            Some(copy) => exchange_code(py, frame, copy),
            None => Ok(()),
        }
    }
}

/// # Safety
/// The frame is live, complete and read again from memory when it goes on; the copy is of its code and needs no
/// more stack.
unsafe fn exchange_code(py: Python<'_>, frame: *mut InterpreterFrame, copy: Py<PyAny>) -> PyResult<()> {
    // SAFETY: see above.
    unsafe {
        let Some(unit) = original_unit(frame) else { return Ok(()) };
        let code: CodePtr = copy.as_ptr().cast();
        let Some(record) = Instrumented::of(code) else { return Ok(()) };
        let Some(unit) = record.rewritten().resume_after(unit) else { return Ok(()) };
        retarget_positions(py, frame, 1, |offset| record.copy_offset(offset))?;
        let before = std::mem::replace(&mut (*frame).f_code, copy.into_ptr().cast());
        (*frame).prev_instr = units(code).add(unit.0 as usize);
        ffi::Py_DECREF(before.cast());
    }
    Ok(())
}

/// Translates what is noted of positions in a frame that is about to run other code: on its stack, and in its
/// tracebacks. `place` turns an offset in the original into one in that code. Walks the heap if more than
/// `holders` hold the frame's object.
///
/// # Safety
/// The frame is live and complete.
pub(super) unsafe fn retarget_positions(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    holders: ffi::Py_ssize_t,
    place: impl Fn(i32) -> i32,
) -> PyResult<()> {
    // SAFETY: see above; objects that the collector knows are live, and tracebacks hold their frame. The stack is
    // in memory, and owns what it holds.
    unsafe {
        let old = Instrumented::of((*frame).f_code);
        let translate = |offset| place(old.map_or(offset, |copy| copy.original_offset(offset)));
        if let Some(unit) = original_unit(frame) {
            let bottom = (*(*frame).f_code).co_nlocalsplus;
            let depth = ((*frame).stacktop - bottom) as u32;
            let stack = (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>().add(bottom as usize);
            for index in records::positions_on_stack(py, original_of((*frame).f_code), unit, depth)? {
                let slot = stack.add(index as usize);
                if (*slot).is_null() || ffi::PyLong_CheckExact(*slot) == 0 {
                    continue;
                }
                let offset = translate(ffi::PyLong_AsLong(*slot) as i32 * 2);
                let value = Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLong((offset / 2).into()))?;
                drop(Bound::from_owned_ptr(py, slot.replace(value.into_ptr())));
            }
        }
        let object = (*frame).frame_obj;
        if object.is_null() || ffi::Py_REFCNT(object.cast()) <= holders {
            return Ok(());
        }
        for candidate in &super::functions::objects(py)? {
            if ffi::Py_TYPE(candidate.as_ptr()) != &raw mut ffi::PyTraceBack_Type {
                continue;
            }
            let traceback = candidate.as_ptr().cast::<PyTracebackObject>();
            if (*traceback).tb_frame == object {
                (*traceback).tb_lasti = translate((*traceback).tb_lasti);
            }
        }
    }
    Ok(())
}

/// Moves every frame that runs a copy back to its original, the caller's as soon as it goes on.
///
/// # Errors
/// `RuntimeError` naming a frame that cannot be moved; nothing has been moved then.
pub(super) fn restore_all(py: Python<'_>, generators: &[*mut PyGenObject]) -> PyResult<()> {
    mover::drop_needless(py);
    let mut waiting = Vec::new();
    let mut executing = Vec::new();
    for_each_frame(|thread, cframe, frame, is_executing| {
        // SAFETY: live, see for_each_frame.
        if let Some(copy) = Instrumented::of(unsafe { (*frame).f_code }) {
            if is_executing {
                executing.push((thread, cframe, frame, copy));
            } else {
                waiting.push(frame);
            }
        }
    });
    // SAFETY: a current thread exists; generators and frames were listed with the GIL held since.
    unsafe {
        let thread = _PyThreadState_UncheckedGet();
        let caller = (*(*thread).cframe).current_frame;
        for (_, _, frame, copy) in &executing {
            if *frame != caller || (*thread).tracing != 0 {
                let original = Bound::from_borrowed_ptr(py, copy.original().code().cast());
                return Err(PyRuntimeError::new_err(format!(
                    "cannot uninstall while {} runs: it began with events set and is in the middle of a call",
                    original.repr()?
                )));
            }
        }
        for &(thread, cframe, frame, _) in &executing {
            if !mover::arm(py, thread, cframe, frame, true) {
                return Err(PyRuntimeError::new_err("cannot uninstall while a frame is being made"));
            }
        }
        for &generator in generators {
            if (*generator).gi_frame_state < FRAME_EXECUTING {
                waiting.push((&raw mut (*generator).gi_iframe).cast::<InterpreterFrame>());
            }
        }
        for frame in waiting {
            let (Some(copy), Some(unit)) = (Instrumented::of((*frame).f_code), original_unit(frame)) else {
                continue;
            };
            let original = copy.original().code();
            retarget_positions(py, frame, 1, |offset| offset)?;
            ffi::Py_INCREF(original.cast());
            let before = std::mem::replace(&mut (*frame).f_code, original);
            (*frame).prev_instr = units(original).add(unit.0 as usize);
            ffi::Py_DECREF(before.cast());
        }
    }
    Ok(())
}
