//! Frames that run already when events are set: moved to an instrumented copy where they stand.
//!
//! Three cases. A frame that waits for an inlined call, or for a generator's next turn, is re-read
//! from memory when it goes on: exchanging its code and position is enough. A frame in the middle of
//! a C call keeps its position and constants in the evaluation loop's own variables, so it is *armed*:
//! a one-shot C trace function (the mover) runs before its next instruction, points it at a landing
//! pad in a copy of its own, and the pad calls a Python function whose return makes the loop read
//! everything again. An armed frame further down the stack is reached through the frame that the loop
//! above it will leave last: the hooks before its returns wake the mover.
//!
//! What is raised in an armed frame takes the ways of its old code. The interpreter shows it to the mover, which
//! tells of it unless that code has a gate there.
//!
//! Left alone, because nothing can be moved safely: frames under another trace function, frames that
//! have not reached RESUME, and those of callbacks.

use super::hook::Hook;
use super::records::{self, CodePtr, Instrumented, Original, Variant};
use super::{code_to_run, gates, registry, stops};
use crate::bytecode::{self, Next, opcodes};
use crate::ffi::ceval::{
    _PyEval_EvalFrameDefault, _PyInterpreterState_GetEvalFrameFunc, PY_TRACE_EXCEPTION, PY_TRACE_LINE,
    PY_TRACE_OPCODE, PY_TRACE_RETURN,
};
use crate::ffi::code::{CODE_OFFSET, CodeUnit};
use crate::ffi::frame::{FRAME_OWNED_BY_THREAD, FRAME_SPECIALS_SIZE, InterpreterFrame, PyFrameObject};
use crate::ffi::genobject::{FRAME_EXECUTING, PyGenObject};
use crate::ffi::pystate::{
    _PyThreadState_UncheckedGet, CFrame, PyFrame_GetBack, PyInterpreterState_ThreadHead,
    PyThreadState_GetFrame, PyThreadState_Next, ThreadState, TraceFunction,
};
use crate::ffi::traceback::PyTracebackObject;
use crate::host::Raised;
use monitrace_core::{ByteOffset, Event, UnitIndex};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A frame that is moved before its next instruction: to a copy or, on uninstalling, to its original.
struct Armed {
    thread: usize,
    /// Held, so that the frame is never taken for another at its address.
    frame_object: Py<PyAny>,
    /// The original's unit that ran last.
    from: UnitIndex,
    /// Hooks on the way that leads away from there have run.
    has_left: bool,
    f_trace_opcodes: c_char,
    back: bool,
    /// A line to which it is to jump first.
    line: Option<Py<PyAny>>,
    /// What is raised in it, until that is handled.
    passing: Option<Passing>,
    /// Tools are being told of that.
    is_telling: bool,
    /// How the loop has just ended in which it asks an iterator: see `stops`.
    stop: Option<(Event, Py<PyAny>)>,
}

/// An exception on its way through an armed frame.
struct Passing {
    exception: Py<PyAny>,
    /// Where it was raised, if tools are told of it by the mover: the code has no gate there.
    told_at: Option<ByteOffset>,
}

/// A frame on its way: it has left its old code and has not reached the new.
struct Landing {
    thread: usize,
    /// What the evaluation loop still reads constants from.
    left: Py<PyAny>,
    /// What was taken off the frame's stack, which has no room otherwise, from the bottom up. The landing function
    /// returns the topmost.
    kept: Vec<Option<Py<PyAny>>>,
    /// Where the frame goes on; 0: where it calls the landing function.
    next: usize,
}

#[derive(Default)]
struct Movements {
    armed: Vec<Armed>,
    landing: Vec<Landing>,
}

/// How many frames are armed: events look at this and nothing more while there are none.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// What `f_trace_opcodes` of an armed frame is. The interpreter takes it for true, as it does the 1 that programs set.
const MARK: c_char = 2;

fn movements() -> MutexGuard<'static, Movements> {
    static MOVEMENTS: Mutex<Movements> = Mutex::new(Movements { armed: Vec::new(), landing: Vec::new() });
    MOVEMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread's trace function is ours.
pub(super) fn is_mover(function: TraceFunction) -> bool {
    ptr::fn_addr_eq(function, mover as TraceFunction)
}

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
unsafe fn original_unit(frame: *mut InterpreterFrame) -> Option<UnitIndex> {
    // SAFETY: prev_instr points into the frame's code, or one unit before it.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    let unit = UnitIndex(u32::try_from(unit).ok()?);
    Some(Instrumented::of(code).map_or(unit, |copy| copy.rewritten().original_unit(unit)))
}

/// Whether a frame that its loop is executing is in the middle of a hook. If its thread is mute, that
/// is the hook whose event is being told: those of the callback's own code do nothing. Some hooks are shown
/// elsewhere meanwhile.
///
/// # Safety
/// The frame is live.
unsafe fn is_at_hook(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: prev_instr points into the frame's code, or one unit before it.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    if movements().armed.iter().any(|armed| armed.is_telling && armed.frame() == frame) {
        return true;
    }
    Instrumented::of(code).is_some_and(|copy| {
        copy.shown_elsewhere() == frame
            || copy.rewritten().hooks.iter().any(|hook| unit == (hook.unit.0 + u32::from(hook.skip)) as isize)
    })
}

/// Whether a frame is in the middle of a hook on a way that leads away from an instruction, or in a gate.
///
/// # Safety
/// The frame is live.
unsafe fn is_on_a_way(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: prev_instr points into the frame's code, or one unit before it.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    let Some(copy) = Instrumented::of(code) else { return false };
    let hook = u32::try_from(unit).ok().and_then(|unit| copy.hook_that_asks_at(unit));
    copy.shown_elsewhere() == frame || hook.is_some_and(Hook::is_on_a_way)
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
fn for_each_frame(mut visit: impl FnMut(*mut ThreadState, *mut CFrame, *mut InterpreterFrame, bool)) {
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
unsafe fn wanted(py: Python<'_>, frame: *mut InterpreterFrame) -> PyResult<Option<Rc<Original>>> {
    // SAFETY: as above.
    let (code, is_to_wake) = unsafe { ((*frame).f_code, stands_on_armed(frame)) };
    let interest = registry().interest();
    if let Some(copy) = Instrumented::of(code).filter(|copy| copy.events().contains(interest)) {
        return Ok((is_to_wake && !copy.wakes_mover()).then(|| Rc::clone(copy.original())));
    }
    match code_to_run(py, original_of(code))? {
        None if !is_to_wake => Ok(None),
        _ => Original::of(py, original_of(code)).map(Some),
    }
}

fn make(py: Python<'_>, original: &Rc<Original>, variant: Variant) -> PyResult<Option<Py<PyAny>>> {
    Instrumented::make(py, original, registry().interest(), variant)
}

/// Moves every frame of every thread, or sees to it that it is moved as soon as it goes on.
pub(super) fn adopt_all(py: Python<'_>) -> PyResult<()> {
    drop_needless(py);
    let mut frames = Vec::new();
    for_each_frame(|thread, cframe, frame, executing| frames.push((thread, cframe, frame, executing)));
    // SAFETY: a current thread exists.
    let current = unsafe { _PyThreadState_UncheckedGet() };
    // The loops of callbacks, which are muted: from the innermost one down to the one that fired.
    let mut in_callback = false;
    let mut last_thread = ptr::null_mut();
    let mut found = Vec::with_capacity(frames.len());
    for (thread, cframe, frame, executing) in frames {
        if thread != last_thread {
            last_thread = thread;
            // SAFETY: live, see for_each_frame.
            in_callback = unsafe { (*thread).tracing } != 0;
        }
        // SAFETY: as below.
        if in_callback && thread == current && executing && unsafe { is_at_hook(frame) } {
            in_callback = false;
        }
        if in_callback {
            continue;
        }
        // SAFETY: live, see for_each_frame.
        if !unsafe { is_incomplete(frame) } {
            found.push((thread, cframe, frame, executing));
        }
    }
    // Callers first: those that wait for the mover are to be known when what they wait for is moved.
    for (thread, cframe, frame, executing) in found.into_iter().rev() {
        // SAFETY: making copies runs no Python code, so the frames are still as they were listed.
        unsafe {
            match wanted(py, frame)? {
                Some(_) if executing => {
                    arm(py, thread, cframe, frame, false);
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
unsafe fn wakes_mover(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above.
    unsafe { (*frame).is_entry || is_called_by_armed(frame) }
}

/// Whether the caller of a frame, in the same loop, waits for the mover.
///
/// # Safety
/// The frame is live and complete.
unsafe fn is_called_by_armed(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above.
    unsafe { !(*frame).is_entry && stands_on_armed(frame) }
}

/// Whether the frame below waits for the mover: its caller in the same loop or below C code, or what iterates it.
///
/// # Safety
/// The frame is live and on a thread's stack.
unsafe fn stands_on_armed(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above; what it stands on is live, too.
    unsafe { is_armed((*frame).previous) }
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
        let variant = Variant { stack_limit: Some(room), landing: None, wakes_mover: wakes_mover(frame) };
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

/// Has the mover run before the next instruction of a frame that is executing. False if it cannot.
///
/// # Safety
/// The frame is live, complete and what `cframe`'s loop of `thread` executes.
unsafe fn arm(
    py: Python<'_>,
    thread: *mut ThreadState,
    cframe: *mut CFrame,
    frame: *mut InterpreterFrame,
    back: bool,
) -> bool {
    // SAFETY: see above. The mover ignores its object, so the thread's may stay NULL.
    unsafe {
        if !await_turn(py, thread, frame, back) {
            return false;
        }
        (*thread).c_tracefunc = Some(mover);
        (*cframe).use_tracing = 255;
    }
    true
}

/// Notes a frame that the mover is to move as soon as it goes on. False if it cannot.
///
/// # Safety
/// The frame is live, complete and on the thread's stack.
unsafe fn await_turn(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
    back: bool,
) -> bool {
    // SAFETY: see above.
    unsafe {
        if (*thread).c_tracefunc.is_some_and(|function| !is_mover(function)) {
            return false;
        }
        let Some(from) = original_unit(frame) else { return false };
        let Some(frame_object) = frame_object(py, thread, frame) else { return false };
        let object = frame_object.as_ptr().cast::<PyFrameObject>();
        let mut movements = movements();
        match movements.armed.iter_mut().find(|armed| armed.frame_object.as_ptr() == object.cast()) {
            Some(armed) => armed.back = back,
            None => {
                let f_trace_opcodes = std::mem::replace(&mut (*object).f_trace_opcodes, MARK);
                let thread = thread as usize;
                movements.armed.push(Armed {
                    thread,
                    frame_object,
                    from,
                    has_left: is_on_a_way(frame),
                    f_trace_opcodes,
                    back,
                    line: None,
                    passing: None,
                    is_telling: false,
                    stop: None,
                });
                ARMED.store(movements.armed.len(), Relaxed);
            }
        }
    }
    true
}

/// The loop in which a frame waits for a callback that may have it jump; `None` if it waits for none, or for one
/// of an event at which no frame can jump.
///
/// # Safety
/// A live frame object; the GIL is held.
pub(super) unsafe fn loop_that_lets_jump(object: *mut PyFrameObject) -> Option<*mut CFrame> {
    // SAFETY: see above; a frame that waits for a callback is the newest of its loop.
    unsafe {
        let frame = (*object).f_frame;
        let thread = _PyThreadState_UncheckedGet();
        let mut cframe = (*thread).cframe;
        while !cframe.is_null() && (*cframe).current_frame != frame {
            cframe = (*cframe).previous;
        }
        let unit = (*frame).prev_instr.offset_from(units((*frame).f_code));
        let hook = Instrumented::of((*frame).f_code)?.hook_that_asks_at(unit as u32)?;
        ((*thread).tracing != 0 && !cframe.is_null() && hook.lets_jump()).then_some(cframe)
    }
}

/// Has such a frame jump to a line when the callback is over. False if it cannot.
///
/// # Safety
/// The frame waits in this loop of the current thread.
pub(super) unsafe fn jump_after_callback(
    py: Python<'_>,
    cframe: *mut CFrame,
    object: *mut PyFrameObject,
    line: &Bound<'_, PyAny>,
) -> bool {
    // SAFETY: see above.
    unsafe {
        if !arm(py, _PyThreadState_UncheckedGet(), cframe, (*object).f_frame, false) {
            return false;
        }
    }
    let before = with_armed(object, |armed| armed.line.replace(line.clone().unbind()));
    if let Some(before) = before.flatten() {
        before.drop_ref(py);
    }
    true
}

/// The frame object of a frame of a thread, which is made if there is none yet.
///
/// # Safety
/// The frame is live, complete and on the thread's stack.
unsafe fn frame_object(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
) -> Option<Py<PyAny>> {
    // SAFETY: see above; both functions return new references or NULL.
    unsafe {
        if !(*frame).frame_obj.is_null() {
            return Some(Bound::from_borrowed_ptr(py, (*frame).frame_obj.cast()).unbind());
        }
        let mut object = PyThreadState_GetFrame(thread);
        while !object.is_null() {
            let held = Bound::from_owned_ptr(py, object.cast()).unbind();
            if (*object).f_frame == frame {
                return Some(held);
            }
            object = PyFrame_GetBack(object);
        }
        None
    }
}

/// Forgets armed frames that ended without the mover being told and, if no events are set, those that wait for it.
fn drop_needless(py: Python<'_>) {
    let is_off = registry().interest().is_empty();
    let mut live = Vec::new();
    for_each_frame(|_, _, frame, _| live.push(frame));
    let needless: Vec<Armed> = {
        let mut movements = movements();
        let (keep, needless) = std::mem::take(&mut movements.armed).into_iter().partition(|armed| {
            let is_needed = !is_off || armed.back || armed.line.is_some() || armed.is_telling;
            is_needed && live.contains(&armed.frame())
        });
        movements.armed = keep;
        ARMED.store(movements.armed.len(), Relaxed);
        needless
    };
    if !needless.is_empty() && ARMED.load(Relaxed) == 0 {
        stop_tracing();
    }
    for armed in needless {
        // SAFETY: a held frame object.
        unsafe {
            (*armed.frame_object.as_ptr().cast::<PyFrameObject>()).f_trace_opcodes = armed.f_trace_opcodes;
        }
        armed.forget(py);
    }
}

/// Takes the mover out of all threads and their loops.
fn stop_tracing() {
    for_each_frame(|thread, cframe, _, _| {
        // SAFETY: live, see for_each_frame.
        unsafe {
            if (*thread).c_tracefunc.is_some_and(is_mover) {
                (*thread).c_tracefunc = None;
            }
            if (*thread).c_tracefunc.is_none() && (*thread).c_profilefunc.is_none() {
                (*cframe).use_tracing = 0;
            }
        }
    });
}

/// Whether this frame waits for the mover.
///
/// # Safety
/// The frame is live, or NULL.
#[inline]
pub(super) unsafe fn is_armed(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above; the frame holds its object, if it has one.
    unsafe {
        !frame.is_null() && !(*frame).frame_obj.is_null() && (*(*frame).frame_obj).f_trace_opcodes == MARK
    }
}

/// Whether an armed frame goes on when the frame that runs a hook is left. Costs one load as long as no frame is
/// armed.
#[inline]
pub(super) fn caller_is_armed() -> bool {
    if ARMED.load(Relaxed) == 0 {
        return false;
    }
    // SAFETY: called by a hook: the current thread runs Python code, and frames of its stack are live.
    unsafe {
        let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
        !frame.is_null() && stands_on_armed(frame)
    }
}

/// Has the mover run in this loop and, when the loop is left, in the one below: on leaving, ceval.c
/// copies `use_tracing` down.
pub(super) fn wake() {
    // SAFETY: called by a hook: the current thread runs Python code.
    unsafe {
        let thread = _PyThreadState_UncheckedGet();
        if (*thread).c_tracefunc.is_none_or(is_mover) {
            (*thread).c_tracefunc = Some(mover);
            (*(*thread).cframe).use_tracing = 255;
        }
    }
}

/// Translates what is noted of positions in a frame that is about to run other code: on its stack, and in its
/// tracebacks. `place` turns an offset in the original into one in that code. Walks the heap if more than
/// `holders` hold the frame's object.
///
/// # Safety
/// The frame is live and complete.
unsafe fn retarget_positions(
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

/// The one-shot trace function.
unsafe extern "C" fn mover(
    _object: *mut ffi::PyObject,
    frame_object: *mut PyFrameObject,
    what: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    Python::attach(|py| {
        let moved = catch_unwind(AssertUnwindSafe(|| {
            if what == PY_TRACE_EXCEPTION {
                return on_exception(py, frame_object, argument);
            }
            let told = if what == PY_TRACE_RETURN && argument.is_null() {
                on_unwind(py, frame_object)
            } else {
                Ok(())
            };
            if let Err(error) = on_trace(py, frame_object, what) {
                error.write_unraisable(py, None);
            }
            told
        }));
        match moved {
            Ok(Err(raised)) => {
                raised.0.restore(py);
                -1
            }
            _ => 0,
        }
    })
}

/// Something is raised in an armed frame. Without a gate it would reach the next instruction that the mover sees
/// untold; so the mover tells of it.
fn on_exception(
    py: Python<'_>,
    frame_object: *mut PyFrameObject,
    argument: *mut ffi::PyObject,
) -> Result<(), Raised> {
    // SAFETY: the interpreter gives the exception's type, value and traceback; the frame is what the loop
    // executes on the current thread, and stands where that was raised.
    unsafe {
        let frame = (*frame_object).f_frame;
        let old = Instrumented::of((*frame).f_code);
        if !is_armed(frame) {
            // Behind a trace function the interpreter goes on tracing, whatever is called next. What leaves a frame
            // for an armed one passes a gate, which wakes the mover again, if there is room for gates.
            if old.is_some_and(Instrumented::has_gates) || !stands_on_armed(frame) {
                (*_PyThreadState_UncheckedGet()).c_tracefunc = None;
            }
            return Ok(());
        }
        let exception = ffi::PyTuple_GET_ITEM(argument, 1);
        if ffi::PyExceptionInstance_Check(exception) == 0 || ends_loop(frame, exception) {
            return Ok(());
        }
        let units = units((*frame).f_code);
        let unit = gates::raising_unit(units, (*frame).prev_instr.offset_from(units) as u32);
        let has_gate = old.is_some_and(|old| old.rewritten().has_gate_for(unit));
        let unit = UnitIndex(unit);
        let at = old.map_or(unit, |old| old.rewritten().original_unit(unit));
        let is_noted = with_armed(frame_object, |armed| {
            armed.from = at;
            armed.is_telling = !has_gate;
            !armed.back
        });
        if is_noted != Some(true) {
            return Ok(());
        }
        let mut exception = Bound::from_borrowed_ptr(py, exception).unbind();
        let before = exception.as_ptr();
        let told_at = (!has_gate).then(|| ByteOffset::from(at));
        if let Some(at) = told_at {
            let traceback = ffi::PyTuple_GET_ITEM(argument, 2);
            if ffi::PyTraceBack_Check(traceback) != 0 {
                // The interpreter does this where it is handled; callbacks see it before.
                ffi::PyException_SetTraceback(before, traceback);
            }
            unmuted(|| gates::raised_without(py, frame, &mut exception, at));
        }
        let replaced = exception.as_ptr() != before;
        let mut passing = Some(Passing { exception: exception.clone_ref(py), told_at });
        with_armed(frame_object, |armed| {
            armed.is_telling = false;
            std::mem::swap(&mut armed.passing, &mut passing);
        });
        if let Some(older) = passing {
            older.exception.drop_ref(py);
        }
        if replaced {
            return Err(Raised(PyErr::from_value(exception.into_bound(py))));
        }
        exception.drop_ref(py);
    }
    Ok(())
}

/// An armed frame is left by an exception: tells of that if the mover has told that it was raised.
fn on_unwind(py: Python<'_>, frame_object: *mut PyFrameObject) -> Result<(), Raised> {
    let passing = with_armed(frame_object, |armed| {
        armed.is_telling = true;
        armed.passing.take()
    });
    let Some(Passing { mut exception, told_at }) = passing.flatten() else { return Ok(()) };
    let before = exception.as_ptr();
    if let Some(at) = told_at {
        // SAFETY: the frame is the thread's newest, which is about to go.
        unmuted(|| unsafe { gates::left_without(py, (*frame_object).f_frame, &mut exception, at) });
    }
    if exception.as_ptr() != before {
        return Err(Raised(PyErr::from_value(exception.into_bound(py))));
    }
    exception.drop_ref(py);
    Ok(())
}

/// Whether an exception does nothing but end the loop that a frame is in.
///
/// # Safety
/// The frame is live and stands where the exception was raised.
unsafe fn ends_loop(frame: *mut InterpreterFrame, exception: *mut ffi::PyObject) -> bool {
    // SAFETY: see above.
    unsafe {
        let opcode = (*(*frame).prev_instr).to_le_bytes()[0];
        matches!(opcode, opcodes::FOR_ITER | opcodes::SEND)
            && ffi::PyErr_GivenExceptionMatches(exception, ffi::PyExc_StopIteration) != 0
    }
}

/// Does something with what is noted of a frame, if it is armed. It must run no code of the program.
fn with_armed<T>(frame_object: *mut PyFrameObject, change: impl FnOnce(&mut Armed) -> T) -> Option<T> {
    let mut movements = movements();
    movements.armed.iter_mut().find(|armed| armed.frame_object.as_ptr() == frame_object.cast()).map(change)
}

/// Notes how a loop of an armed frame has ended.
pub(super) fn note_end(py: Python<'_>, frame: *const InterpreterFrame, event: Event, exception: Py<PyAny>) {
    let mut stop = Some((event, exception));
    {
        let mut movements = movements();
        if let Some(armed) = movements.armed.iter_mut().find(|armed| armed.frame().cast_const() == frame) {
            std::mem::swap(&mut armed.stop, &mut stop);
        }
    }
    if let Some((_, older)) = stop {
        older.drop_ref(py);
    }
}

/// What the program has set for an armed frame, whose flag the mover needs; `None` for any other.
pub(super) fn own_trace_opcodes(frame_object: *mut PyFrameObject) -> Option<bool> {
    with_armed(frame_object, |armed| armed.f_trace_opcodes != 0)
}

/// The program has just set the flag of a frame.
///
/// # Safety
/// A live frame object.
pub(super) unsafe fn note_trace_opcodes(frame_object: *mut PyFrameObject) {
    with_armed(frame_object, |armed| {
        // SAFETY: see above.
        armed.f_trace_opcodes = unsafe { std::mem::replace(&mut (*frame_object).f_trace_opcodes, MARK) };
    });
}

/// Lets tools be told of something in the mover, for which the interpreter has muted the thread.
fn unmuted<T>(tell: impl FnOnce() -> T) -> T {
    // SAFETY: the mover runs on the current thread, which was muted once by its caller.
    unsafe {
        let thread = _PyThreadState_UncheckedGet();
        (*thread).tracing -= 1;
        let told = tell();
        (*thread).tracing += 1;
        told
    }
}

fn on_trace(py: Python<'_>, frame_object: *mut PyFrameObject, what: c_int) -> PyResult<()> {
    let mut armed = {
        let mut movements = movements();
        let Some(index) =
            movements.armed.iter().position(|armed| armed.frame_object.as_ptr() == frame_object.cast())
        else {
            return Ok(());
        };
        if !matches!(what, PY_TRACE_LINE | PY_TRACE_OPCODE | PY_TRACE_RETURN) {
            return Ok(());
        }
        let armed = movements.armed.swap_remove(index);
        ARMED.store(movements.armed.len(), Relaxed);
        armed
    };
    let thread = armed.thread as *mut ThreadState;
    // SAFETY: the frame is the one that the loop is executing on the current thread, and is about to
    // run the instruction that prev_instr points at (DO_TRACING in ceval.c).
    unsafe {
        let frame = (*frame_object).f_frame;
        if let Some(line) = armed.line.take()
            && what != PY_TRACE_RETURN
        {
            super::identity::jump(py, frame_object, line.bind(py))?;
        }
        let next = next_in(frame);
        let way = way_in(frame, next, &armed);
        let landed = match (what, armed.back, way) {
            (PY_TRACE_RETURN, _, _) => true,
            (_, true, _) => land_back(py, thread, frame)?,
            (_, false, Some(way)) => land(py, thread, frame, way, armed.stop.take())?,
            (_, false, None) => false,
        };
        if !landed {
            // No room at this instruction: try the next.
            let mut passed = None;
            if let (Some(_), Some(unit)) = (way, original_unit(frame)) {
                armed.from = unit;
                armed.has_left = matches!(next, Next::Behind(_) | Next::Way { .. });
                passed = armed.passing.take();
            }
            {
                let mut movements = movements();
                movements.armed.push(armed);
                ARMED.store(movements.armed.len(), Relaxed);
            }
            if let Some(passed) = passed {
                passed.exception.drop_ref(py);
            }
            return Ok(());
        }
        (*frame_object).f_trace_opcodes = armed.f_trace_opcodes;
        // The interpreter turns tracing on again behind us as long as there is a trace function. The landing puts
        // ours back if it is still needed; a frame that is left has none, and below it others may wait.
        let is_left = what == PY_TRACE_RETURN;
        let waits = || movements().armed.iter().any(|other| other.thread == armed.thread);
        if !(is_left && waits()) {
            (*thread).c_tracefunc = None;
        }
    }
    armed.forget(py);
    Ok(())
}

impl Armed {
    fn frame(&self) -> *mut InterpreterFrame {
        // SAFETY: a held frame object.
        unsafe { (*self.frame_object.as_ptr().cast::<PyFrameObject>()).f_frame }
    }

    /// Lets go of what it holds. May run code of the program.
    fn forget(self, py: Python<'_>) {
        if let Some(passing) = self.passing {
            passing.exception.drop_ref(py);
        }
        if let Some((_, exception)) = self.stop {
            exception.drop_ref(py);
        }
        self.frame_object.drop_ref(py);
    }
}

/// Points the executing frame at the landing pad of a copy of its own. False if it does not fit.
///
/// # Safety
/// See [`on_trace`].
unsafe fn land(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
    way: bytecode::Landing,
    stop: Option<(Event, Py<PyAny>)>,
) -> PyResult<bool> {
    // SAFETY: see on_trace; stack sizes are checked before anything is written.
    unsafe {
        let Some(original) = wanted(py, frame)? else { return Ok(true) };
        let evaluate = _PyInterpreterState_GetEvalFrameFunc((*thread).interp);
        if !ptr::fn_addr_eq(evaluate, _PyEval_EvalFrameDefault as crate::ffi::ceval::FrameEvalFunction) {
            // Somebody else's, or ours for a moment: the pad's call would not be inlined.
            return Ok(false);
        }
        let code = (*frame).f_code;
        let old = Instrumented::of(code);
        let depth = (*frame).stacktop - (*code).co_nlocalsplus;
        let end = frame
            .cast::<*mut ffi::PyObject>()
            .add(FRAME_SPECIALS_SIZE + (*code).co_nlocalsplus as usize + (*code).co_stacksize as usize);
        let grows = (*frame).owner == FRAME_OWNED_BY_THREAD && end == (*thread).datastack_top;
        // Without room for two more values, so many are taken off meanwhile.
        let keeps = if grows { 0 } else { (depth + 2 - (*code).co_stacksize).max(0) };
        let stack = (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>();
        let top = stack.add((*frame).stacktop as usize);
        if keeps > depth || (keeps > 0 && (*top.sub(1)).is_null()) {
            return Ok(false);
        }
        let variant = Variant {
            stack_limit: (!grows).then_some((*code).co_stacksize as u32),
            landing: Some(way),
            wakes_mover: wakes_mover(frame),
        };
        let function = landing_function(py)?;
        let Some(copy) = make(py, &original, variant)? else { return Ok(true) };
        let new_code: CodePtr = copy.as_ptr().cast();
        let Some(record) = Instrumented::of(new_code) else { return Ok(true) };
        let rewritten = record.rewritten();
        // The stack must be as deep as the pad was made for, with the two values that are pushed below.
        let Some(pad) = rewritten.landing.filter(|_| rewritten.landing_depth == Some(depth as u32 + 2))
        else {
            return Ok(true);
        };
        if grows {
            let growth = ((*new_code).co_stacksize - (*code).co_stacksize).max(0) as usize;
            let free = (*thread).datastack_limit.offset_from((*thread).datastack_top);
            if growth as isize >= free {
                return Ok(false);
            }
            (*thread).datastack_top = (*thread).datastack_top.add(growth);
        }
        retarget_positions(py, frame, 2, |offset| record.copy_offset(offset))?;
        let bottom = top.sub(keeps as usize);
        let kept = (0..keeps as usize).map(|i| Bound::from_owned_ptr_or_opt(py, *bottom.add(i)));
        let kept: Vec<_> = kept.map(|value| value.map(Bound::unbind)).collect();
        bottom.write(ptr::null_mut());
        bottom.add(1).write(function.into_ptr());
        (*frame).stacktop += 2 - keeps;
        let start = units(new_code).add(pad.0 as usize);
        // The pad drops what it is given, unless that is the frame's own.
        let past = rewritten.landing_past.filter(|_| keeps > 0);
        let next = past.map_or(0, |past| units(new_code).add(past.0 as usize) as usize);
        if let Some(call) = old.and_then(|old| old.calls().take(frame)) {
            match way {
                bytecode::Landing::Own(_) | bytecode::Landing::After(_) => record.adopt_call(py, call),
                _ => call.forget(py),
            }
        }
        if let bytecode::Landing::Between { from, .. } = way
            && let Some((event, exception)) = stop.or_else(|| old.and_then(|old| old.stops().take_of(frame)))
            && let Some(unit) = rewritten.copy_unit(from)
            && let Some(hook) = record.hook_of_end(unit.0)
        {
            stops::note(py, record, hook, frame, event, exception);
        }
        let before = std::mem::replace(&mut (*frame).f_code, copy.into_ptr().cast());
        (*frame).prev_instr = start;
        let left = Bound::from_owned_ptr(py, before.cast()).unbind();
        movements().landing.push(Landing { thread: thread as usize, left, kept, next });
    }
    Ok(true)
}

/// What the executing frame runs next, in units of its original.
///
/// # Safety
/// See [`on_trace`].
unsafe fn next_in(frame: *mut InterpreterFrame) -> Next {
    // SAFETY: prev_instr points at the instruction that is about to run, in the frame's code.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    match (u32::try_from(unit), Instrumented::of(code)) {
        (Err(_), _) => Next::Elsewhere,
        (Ok(unit), None) => Next::Instruction(UnitIndex(unit)),
        (Ok(unit), Some(copy)) => copy.rewritten().next(UnitIndex(unit)),
    }
}

/// Where in another copy the executing frame goes on. `None` if it is to run an instruction first that
/// no other copy has.
///
/// # Safety
/// The frame is live.
unsafe fn way_in(frame: *mut InterpreterFrame, next: Next, armed: &Armed) -> Option<bytecode::Landing> {
    let from = armed.from;
    // SAFETY: see above.
    let copy = Instrumented::of(unsafe { (*frame).f_code });
    Some(match next {
        Next::Instruction(unit) => match &armed.passing {
            Some(_) if copy.is_none_or(|copy| !copy.tells_of_handling(unit)) => {
                bytecode::Landing::Handler { unit, from }
            }
            None if !armed.has_left => bytecode::Landing::Between { unit, from },
            _ => bytecode::Landing::At { unit, from },
        },
        Next::Way { from, to } => bytecode::Landing::Between { unit: to, from },
        Next::Own(unit) => bytecode::Landing::Own(unit),
        Next::Behind(unit) => bytecode::Landing::After(unit),
        Next::Elsewhere => return None,
    })
}

/// Sends the executing frame back to its original, which has no landing pad: it calls the landing
/// function from two instructions that belong to no code object, and the function returns what was on
/// top of the stack. False while there is nothing on it.
///
/// # Safety
/// See [`on_trace`].
unsafe fn land_back(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
) -> PyResult<bool> {
    // SAFETY: see on_trace; a copy has room for the hook that it can push at any place, which makes two
    // slots with that of the value that is taken off.
    unsafe {
        let code = (*frame).f_code;
        let Some(copy) = Instrumented::of(code) else { return Ok(true) };
        let evaluate = _PyInterpreterState_GetEvalFrameFunc((*thread).interp);
        let inlines =
            ptr::fn_addr_eq(evaluate, _PyEval_EvalFrameDefault as crate::ffi::ceval::FrameEvalFunction);
        let depth = (*frame).stacktop - (*code).co_nlocalsplus;
        let stack = (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>();
        let top = stack.add(((*frame).stacktop as usize).wrapping_sub(1));
        if !inlines || depth < 1 || depth + 1 > (*code).co_stacksize || (*top).is_null() {
            return Ok(false);
        }
        let Some(unit) = original_unit(frame) else { return Ok(false) };
        let function = landing_function(py)?;
        let original = copy.original().code();
        retarget_positions(py, frame, 2, |offset| offset)?;
        let value = Bound::from_owned_ptr(py, top.replace(ptr::null_mut())).unbind();
        top.add(1).write(function.into_ptr());
        (*frame).stacktop += 1;
        if let Some(call) = copy.calls().take(frame) {
            call.forget(py);
        }
        ffi::Py_INCREF(original.cast());
        let before = std::mem::replace(&mut (*frame).f_code, original);
        (*frame).prev_instr = (&raw const CALL_NOTHING).cast::<CodeUnit>().cast_mut();
        movements().landing.push(Landing {
            thread: thread as usize,
            left: Bound::from_owned_ptr(py, before.cast()).unbind(),
            kept: vec![Some(value)],
            next: units(original).add(unit.0 as usize) as usize,
        });
    }
    Ok(true)
}

/// `PRECALL 0; CALL 0` with their inline caches.
static CALL_NOTHING: [CodeUnit; 7] = {
    let mut units = [0; 7];
    units[0] = opcodes::PRECALL as CodeUnit;
    units[2] = opcodes::CALL as CodeUnit;
    units
};

/// Moves every frame that runs a copy back to its original, the caller's as soon as it goes on.
///
/// # Errors
/// `RuntimeError` naming a frame that cannot be moved; nothing has been moved then.
pub(super) fn restore_all(py: Python<'_>, generators: &[*mut PyGenObject]) -> PyResult<()> {
    drop_needless(py);
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
            if !arm(py, thread, cframe, frame, true) {
                return Err(PyRuntimeError::new_err("cannot uninstall under another trace function"));
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

/// The function that landing pads call, whose return makes the loop read the frame below again. It is
/// `hook; return value`, where the hook runs [`landed`], which sets the local variable. Without a RESUME
/// it is no place for signals or other threads, and no frame that anybody is shown.
fn landing_function(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static FUNCTION: OnceLock<Py<PyAny>> = OnceLock::new();
    if let Some(function) = FUNCTION.get() {
        return Ok(function.clone_ref(py));
    }
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_nb_bool, pfunc: landed as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"monitrace.Landing".as_ptr(),
        basicsize: size_of::<ffi::PyObject>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec is complete and outlives the call; an instance is a bare object.
    let hook = unsafe {
        let kind = Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&mut spec))?;
        Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(kind.as_ptr().cast(), 0))?
    };
    let code = py.eval(c"(lambda: None)", None, None)?.getattr("__code__")?;
    let bytes: [u8; 8] = [
        opcodes::LOAD_CONST,
        1,
        opcodes::POP_JUMP_FORWARD_IF_TRUE,
        0,
        opcodes::LOAD_FAST,
        0,
        opcodes::RETURN_VALUE,
        0,
    ];
    let changes = PyDict::new(py);
    changes.set_item("co_code", pyo3::types::PyBytes::new(py, &bytes))?;
    changes.set_item("co_consts", PyTuple::new(py, [py.None().into_bound(py), hook])?)?;
    changes.set_item("co_stacksize", 1)?;
    changes.set_item("co_linetable", pyo3::types::PyBytes::new(py, &[0x80 | (15 << 3) | 3]))?;
    changes.set_item("co_name", "<moving a running frame>")?;
    changes.set_item("co_varnames", ("value",))?;
    changes.set_item("co_nlocals", 1)?;
    let code = code.call_method("replace", (), Some(&changes))?;
    let function = py.import("types")?.getattr("FunctionType")?.call1((code, PyDict::new(py)))?;
    Ok(FUNCTION.get_or_init(|| function.unbind()).clone_ref(py))
}

/// Whether this is the function that landing pads call, which must never be instrumented.
pub(super) fn is_landing_code(code: CodePtr) -> bool {
    // SAFETY: a live code object's name is a str; comparing addresses of interned data would be too
    // strict, so the constants are looked at: only ours holds a Landing.
    unsafe {
        let consts = (*code).co_consts;
        ffi::PyTuple_GET_SIZE(consts) == 2 && {
            let kind = ffi::Py_TYPE(ffi::PyTuple_GET_ITEM(consts, 1));
            (*kind).tp_as_number.as_ref().and_then(|number| number.nb_bool).is_some_and(|nb_bool| {
                ptr::fn_addr_eq(nb_bool, landed as unsafe extern "C" fn(*mut ffi::PyObject) -> c_int)
            })
        }
    }
}

/// Runs in the function that a landing pad called.
unsafe extern "C" fn landed(_hook: *mut ffi::PyObject) -> c_int {
    // SAFETY: nb_bool is called with the GIL held, by a running thread. From here to the return of the
    // landing function nothing reads the constants of the code that the frame has left.
    unsafe {
        let thread = _PyThreadState_UncheckedGet();
        let py = Python::assume_attached();
        let landing = {
            let mut movements = movements();
            let index = movements.landing.iter().rposition(|landing| landing.thread == thread as usize);
            index.map(|index| movements.landing.swap_remove(index))
        };
        let mut value = py.None();
        let frame = (*(*thread).cframe).current_frame;
        if let Some(landing) = landing {
            landing.left.drop_ref(py);
            let moved = (*frame).previous;
            if landing.next != 0 {
                (*moved).prev_instr = (landing.next as *mut CodeUnit).wrapping_sub(1);
            }
            let mut kept = landing.kept;
            if let Some(top) = kept.pop().flatten() {
                value = top;
            }
            for below in kept {
                let slot = (&raw mut (*moved).localsplus).cast::<*mut ffi::PyObject>();
                let below = below.map_or(ptr::null_mut(), Py::into_ptr);
                slot.add((*moved).stacktop as usize).write(below);
                (*moved).stacktop += 1;
            }
        }
        (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>().write(value.into_ptr());
        // What is armed further down keeps the mover, but this loop runs at full speed again.
        let waiting = movements().armed.iter().any(|armed| armed.thread == thread as usize);
        if waiting && (*thread).c_tracefunc.is_none() {
            (*thread).c_tracefunc = Some(mover);
        }
        if (*thread).c_tracefunc.is_some_and(is_mover) {
            (*(*thread).cframe).use_tracing = 0;
        }
    }
    0
}
