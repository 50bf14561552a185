//! Armed frames, and the trace function that runs before they go on.
//!
//! A frame in the middle of a C call is *armed*: a one-shot C trace function (the mover) runs before its next
//! instruction, and has it land in a copy of its own (`landing`). An armed frame further down the stack is reached
//! through the frame that the loop above it will leave last: the hooks before its returns wake the mover. Until then
//! nothing is to run under it.
//!
//! What is raised in an armed frame takes the ways of its old code. The interpreter shows it to the mover, which
//! tells of it unless that code has a gate there.
//!
//! A trace function of the program's sees all that it would see without the mover, which stands in front of it, and
//! nothing more (`tracer`).

use super::frames::{for_each_frame, original_unit, units};
use super::hook::Hook;
use super::records::Instrumented;
use super::{gates, landing, registry, tracer};
use crate::bytecode::{self, Next, opcodes};
use crate::ffi::ceval::{PY_TRACE_EXCEPTION, PY_TRACE_LINE, PY_TRACE_OPCODE, PY_TRACE_RETURN};
use crate::ffi::frame::{InterpreterFrame, PyFrameObject};
use crate::ffi::pystate::{
    _PyThreadState_UncheckedGet, CFrame, PyFrame_GetBack, PyThreadState_GetFrame, ThreadState, TraceFunction,
};
use crate::host::Raised;
use monitrace_core::{ByteOffset, Event, UnitIndex};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A frame that is moved before its next instruction: to a copy or, on uninstalling, to its original.
struct Armed {
    thread: usize,
    /// Held, so that the frame is never taken for another at its address.
    frame_object: Py<PyAny>,
    /// The original's unit that ran last.
    from: UnitIndex,
    /// Hooks on the way that leads away from there have run.
    has_left: bool,
    /// What the program has set.
    f_trace_opcodes: c_char,
    /// It is not marked yet: the trace function that is being told of its line would be told of an opcode next.
    is_late: bool,
    back: bool,
    /// A line to which it is to jump first.
    line: Option<Py<PyAny>>,
    /// What is raised in it, until that is handled.
    passing: Option<Passing>,
    /// Tools are being told of that.
    is_telling: bool,
    /// How the loop has just ended in which it asks an iterator: see `stops`.
    stop: Option<(Event, Py<PyAny>)>,
    phase: Phase,
}

/// How far an armed frame is.
enum Phase {
    Waiting,
    /// It is about to run the landing function. The thread's profile function would be told that that returns, and is
    /// kept here meanwhile.
    Landing {
        c_profilefunc: Option<TraceFunction>,
        line: c_int,
    },
    /// It runs the hooks of the instruction before which it has landed. Trace functions know that it is on this line.
    /// One of the hooks may have woken the mover for the frame below.
    Settling {
        line: c_int,
        has_woken: bool,
    },
}

/// An exception on its way through an armed frame.
struct Passing {
    exception: Py<PyAny>,
    /// Where it was raised, if tools are told of it by the mover: the code has no gate there.
    told_at: Option<ByteOffset>,
}

/// How many frames are armed: events look at this and nothing more while there are none.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// Whether some of them are not marked yet.
static IS_SOME_LATE: AtomicBool = AtomicBool::new(false);

/// What `f_trace_opcodes` of an armed frame is. The interpreter takes it for true, as it does the 1 that programs set.
const MARK: c_char = 2;

fn armed_frames() -> MutexGuard<'static, Vec<Armed>> {
    static FRAMES: Mutex<Vec<Armed>> = Mutex::new(Vec::new());
    FRAMES.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Whether the frame below waits for the mover: its caller in the same loop or below C code, or what iterates it.
///
/// # Safety
/// The frame is live and on a thread's stack.
pub(super) unsafe fn stands_on_armed(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above; what it stands on is live, too.
    unsafe { is_armed((*frame).previous) }
}

/// Whether the loop that executes a frame is telling the thread's trace function of something. In the middle of a C
/// call it keeps the stack's depth for itself.
///
/// # Safety
/// The frame is live, and what its loop executes.
pub(super) unsafe fn is_traced_now(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: see above.
    unsafe { (*frame).stacktop >= 0 }
}

/// Has the mover run before the next instruction of a frame that is executing. False if it cannot.
///
/// # Safety
/// The frame is live, complete and what `cframe`'s loop of `thread` executes.
pub(super) unsafe fn arm(
    py: Python<'_>,
    thread: *mut ThreadState,
    cframe: *mut CFrame,
    frame: *mut InterpreterFrame,
    back: bool,
) -> bool {
    // SAFETY: see above.
    unsafe {
        let traced = ((*thread).tracing != 0 && is_traced_now(frame)).then_some((*thread).tracing_what);
        if traced == Some(PY_TRACE_RETURN) {
            // It will not go on; a generator's waits already.
            return true;
        }
        let Some(from) = original_unit(frame) else { return false };
        let Some(frame_object) = frame_object(py, thread, frame) else { return false };
        let object = frame_object.as_ptr().cast::<PyFrameObject>();
        let mut frames = armed_frames();
        match frames.iter_mut().find(|armed| armed.frame_object.as_ptr() == object.cast()) {
            Some(armed) => {
                armed.back = back;
                if let Phase::Settling { .. } = armed.phase {
                    armed.phase = Phase::Waiting;
                    armed.from = from;
                    armed.has_left = is_on_a_way(frame);
                }
            }
            None => {
                let mut armed = Armed {
                    thread: thread as usize,
                    frame_object,
                    from,
                    has_left: is_on_a_way(frame),
                    f_trace_opcodes: (*object).f_trace_opcodes,
                    is_late: traced == Some(PY_TRACE_LINE) && (*object).f_trace_opcodes == 0,
                    back,
                    line: None,
                    passing: None,
                    is_telling: false,
                    stop: None,
                    phase: Phase::Waiting,
                };
                if armed.is_late {
                    IS_SOME_LATE.store(true, Relaxed);
                } else {
                    armed.mark();
                }
                frames.push(armed);
                ARMED.store(frames.len(), Relaxed);
            }
        }
        drop(frames);
        tracer::put_mover(thread, cframe);
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
pub(super) fn drop_needless(py: Python<'_>) {
    let is_off = registry().interest().is_empty();
    let mut live = Vec::new();
    for_each_frame(|_, _, frame, _| live.push(frame));
    let needless: Vec<Armed> = {
        let mut frames = armed_frames();
        let (keep, needless) = std::mem::take(&mut *frames).into_iter().partition(|armed| {
            let is_needed = !is_off || armed.back || armed.line.is_some() || armed.is_telling;
            is_needed && live.contains(&armed.frame())
        });
        *frames = keep;
        ARMED.store(frames.len(), Relaxed);
        needless
    };
    if !needless.is_empty() && ARMED.load(Relaxed) == 0 {
        tracer::remove_all_movers();
    }
    for armed in needless {
        armed.unmark();
        armed.forget(py);
    }
}

/// Whether tools are being told of an exception in a frame, by the mover.
pub(super) fn is_telling(frame: *mut InterpreterFrame) -> bool {
    armed_frames().iter().any(|armed| armed.is_telling && armed.frame() == frame)
}

/// Whether any frame of a thread waits for the mover.
fn waits_in(thread: *mut ThreadState) -> bool {
    armed_frames().iter().any(|armed| armed.thread == thread as usize)
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
        if !super::quiet::is_quiet() {
            mark_late(_PyThreadState_UncheckedGet());
        }
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
        let cframe = (*thread).cframe;
        tracer::put_mover(thread, cframe);
        if is_armed((*cframe).current_frame) {
            with_armed((*(*cframe).current_frame).frame_obj, |armed| {
                if let Phase::Settling { has_woken, .. } = &mut armed.phase {
                    *has_woken = true;
                }
            });
        }
    }
}

/// Marks the frames of a thread that were armed while a trace function was told of their line. It has been told now.
fn mark_late(thread: *mut ThreadState) {
    if !IS_SOME_LATE.load(Relaxed) {
        return;
    }
    let mut frames = armed_frames();
    for armed in frames.iter_mut().filter(|armed| armed.is_late && armed.thread == thread as usize) {
        armed.mark();
        armed.is_late = false;
    }
    IS_SOME_LATE.store(frames.iter().any(|armed| armed.is_late), Relaxed);
}

/// The one-shot trace function.
pub(super) unsafe extern "C" fn mover(
    _object: *mut ffi::PyObject,
    frame_object: *mut PyFrameObject,
    what: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    Python::attach(|py| {
        let told = catch_unwind(AssertUnwindSafe(|| on_event(py, frame_object, what, argument)));
        match told {
            Ok(Err(raised)) => {
                raised.0.restore(py);
                -1
            }
            _ => 0,
        }
    })
}

fn on_event(
    py: Python<'_>,
    frame_object: *mut PyFrameObject,
    what: c_int,
    argument: *mut ffi::PyObject,
) -> Result<(), Raised> {
    // SAFETY: a trace function is called in the current thread.
    let thread = unsafe { _PyThreadState_UncheckedGet() };
    mark_late(thread);
    if lands(py, thread, frame_object, what) {
        return Ok(());
    }
    // Where both are told of the same, the order is that in a copy, whose gates come behind what is raised, and
    // before the frame is left.
    match what {
        PY_TRACE_EXCEPTION => {
            let replaced = hand_on(py, thread, frame_object, what, argument).err();
            on_exception(py, frame_object, argument, replaced)
        }
        PY_TRACE_RETURN => {
            let told = if argument.is_null() { on_unwind(py, frame_object) } else { Ok(()) };
            on_leave(py, thread, frame_object);
            // In any case: it may count what is entered and left.
            hand_on(py, thread, frame_object, what, argument).and(told)
        }
        _ => {
            hand_on(py, thread, frame_object, what, argument)?;
            if what == PY_TRACE_OPCODE
                && let Err(error) = on_opcode(py, thread, frame_object)
            {
                error.write_unraisable(py, None);
            }
            Ok(())
        }
    }
}

/// Calls the trace function of the program, if there is one and the event is not for the mover alone.
fn hand_on(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame_object: *mut PyFrameObject,
    what: c_int,
    argument: *mut ffi::PyObject,
) -> Result<(), Raised> {
    // SAFETY: what the interpreter has called the mover with, on the current thread; the object goes with the
    // function, as the thread holds both.
    unsafe {
        let Some(function) = tracer::of_program(thread) else { return Ok(()) };
        if what == PY_TRACE_OPCODE && own_trace_opcodes(frame_object) == Some(false) {
            return Ok(());
        }
        let frame = (*frame_object).f_frame;
        let before = (*frame).prev_instr;
        if function((*thread).c_traceobj, frame_object, what, argument) == 0 {
            if what == PY_TRACE_LINE && (*frame).prev_instr != before {
                with_armed(frame_object, |armed| armed.has_left = true);
            }
            return Ok(());
        }
        let raised = Raised(PyErr::fetch(py));
        if is_armed(frame) {
            // One that fails is no longer the thread's, and nobody would be told what becomes of the frame.
            tracer::put_mover(thread, (*thread).cframe);
        }
        Err(raised)
    }
}

/// Whether an event belongs to a landing, which nobody is to see.
fn lands(py: Python<'_>, thread: *mut ThreadState, frame_object: *mut PyFrameObject, what: c_int) -> bool {
    // SAFETY: the frame is live, and the newest of the current thread.
    unsafe {
        let frame = (*frame_object).f_frame;
        if landing::is_landing_code((*frame).f_code) {
            return true;
        }
        if with_armed(frame_object, |armed| matches!(armed.phase, Phase::Waiting)) != Some(false) {
            return false;
        }
        if landing::is_under_way(thread) || landing::is_on_pad(frame) {
            return true;
        }
        let Some((line, has_woken)) = settle(thread, frame_object) else { return false };
        match what {
            PY_TRACE_LINE => return line_of(frame) == line,
            PY_TRACE_OPCODE if stands_on_added(frame) => return true,
            _ => {}
        }
        disarm(py, thread, frame_object);
        if has_woken {
            tracer::put_mover(thread, (*thread).cframe);
        }
        what == PY_TRACE_OPCODE
    }
}

/// A frame has left its landing pad. The line that trace functions know, and whether one of the hooks that it has run
/// since then has woken the mover.
///
/// # Safety
/// The thread is the current one.
unsafe fn settle(thread: *mut ThreadState, frame_object: *mut PyFrameObject) -> Option<(c_int, bool)> {
    let settling = with_armed(frame_object, |armed| match armed.phase {
        Phase::Settling { line, has_woken } => Some((line, has_woken)),
        Phase::Landing { c_profilefunc, line } => {
            armed.phase = Phase::Settling { line, has_woken: false };
            // SAFETY: see above.
            unsafe { (*thread).c_profilefunc = c_profilefunc };
            Some((line, false))
        }
        Phase::Waiting => None,
    });
    settling.flatten()
}

/// The line of the instruction that a frame is about to run, of its copy if it runs one; -1 for none.
///
/// # Safety
/// The frame is live.
unsafe fn line_of(frame: *mut InterpreterFrame) -> c_int {
    // SAFETY: prev_instr points into the frame's code.
    unsafe {
        let unit = (*frame).prev_instr.offset_from(units((*frame).f_code));
        ffi::PyCode_Addr2Line((*frame).f_code.cast(), 2 * unit as c_int)
    }
}

/// Whether a frame is about to run an instruction of its copy that the original does not have.
///
/// # Safety
/// The frame is live.
unsafe fn stands_on_added(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: prev_instr points into the frame's code.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    Instrumented::of(code).is_some_and(|copy| copy.rewritten().is_added(UnitIndex(unit as u32)))
}

/// A frame does not wait for the mover any longer.
fn disarm(py: Python<'_>, thread: *mut ThreadState, frame_object: *mut PyFrameObject) {
    let armed = {
        let mut frames = armed_frames();
        let index = frames.iter().position(|armed| armed.frame_object.as_ptr() == frame_object.cast());
        let armed = index.map(|index| frames.swap_remove(index));
        ARMED.store(frames.len(), Relaxed);
        armed
    };
    let Some(armed) = armed else { return };
    armed.unmark();
    // SAFETY: the current thread. What waits further down has the mover woken.
    unsafe { tracer::remove_mover(thread) };
    armed.forget(py);
}

/// Something is raised in an armed frame. Without a gate it would reach the next instruction that the mover sees
/// untold; so the mover tells of it. The program's trace function may have raised something else in its place.
fn on_exception(
    py: Python<'_>,
    frame_object: *mut PyFrameObject,
    argument: *mut ffi::PyObject,
    replaced: Option<Raised>,
) -> Result<(), Raised> {
    // SAFETY: the interpreter gives the exception's type, value and traceback; the frame is what the loop
    // executes on the current thread, and stands where that was raised.
    unsafe {
        let frame = (*frame_object).f_frame;
        let old = Instrumented::of((*frame).f_code);
        if !is_armed(frame) {
            // Behind a trace function the interpreter goes on tracing, whatever is called next. What leaves a frame
            // for an armed one passes a gate, which wakes the mover again, if it has gates.
            if old.is_some_and(Instrumented::has_gates) || !stands_on_armed(frame) {
                tracer::remove_mover(_PyThreadState_UncheckedGet());
            }
            return replaced.map_or(Ok(()), Err);
        }
        let exception = match &replaced {
            Some(raised) => raised.0.value(py).as_ptr(),
            None => ffi::PyTuple_GET_ITEM(argument, 1),
        };
        if ffi::PyExceptionInstance_Check(exception) == 0 || ends_loop(frame, exception) {
            return replaced.map_or(Ok(()), Err);
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
            return replaced.map_or(Ok(()), Err);
        }
        let mut exception = Bound::from_borrowed_ptr(py, exception).unbind();
        let before = exception.as_ptr();
        let told_at = (!has_gate).then(|| ByteOffset::from(at));
        if let Some(at) = told_at {
            let traceback = ffi::PyTuple_GET_ITEM(argument, 2);
            if replaced.is_none() && ffi::PyTraceBack_Check(traceback) != 0 {
                // The interpreter does this where it is handled; callbacks see it before.
                ffi::PyException_SetTraceback(before, traceback);
            }
            unmuted(|| gates::raised_without(py, frame, &mut exception, at));
        }
        let is_replaced = exception.as_ptr() != before;
        let mut passing = Some(Passing { exception: exception.clone_ref(py), told_at });
        with_armed(frame_object, |armed| {
            armed.is_telling = false;
            std::mem::swap(&mut armed.passing, &mut passing);
        });
        if let Some(older) = passing {
            older.exception.drop_ref(py);
        }
        if is_replaced {
            return Err(Raised(PyErr::from_value(exception.into_bound(py))));
        }
        exception.drop_ref(py);
    }
    replaced.map_or(Ok(()), Err)
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
    let mut frames = armed_frames();
    frames.iter_mut().find(|armed| armed.frame_object.as_ptr() == frame_object.cast()).map(change)
}

/// Notes how a loop of an armed frame has ended.
pub(super) fn note_end(py: Python<'_>, frame: *const InterpreterFrame, event: Event, exception: Py<PyAny>) {
    let mut stop = Some((event, exception));
    {
        let mut frames = armed_frames();
        if let Some(armed) = frames.iter_mut().find(|armed| armed.frame().cast_const() == frame) {
            std::mem::swap(&mut armed.stop, &mut stop);
        }
    }
    if let Some((_, older)) = stop {
        older.drop_ref(py);
    }
}

/// What the program has set for an armed frame, whose flag the mover needs; `None` for any other.
pub(super) fn own_trace_opcodes(frame_object: *mut PyFrameObject) -> Option<bool> {
    with_armed(frame_object, |armed| (!armed.is_late).then_some(armed.f_trace_opcodes != 0)).flatten()
}

/// The program has just set the flag of a frame.
pub(super) fn note_trace_opcodes(frame_object: *mut PyFrameObject) {
    with_armed(frame_object, |armed| {
        if !armed.is_late {
            armed.mark();
        }
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

/// An armed frame is about to run an instruction: has it land. If it cannot here, the next is tried.
fn on_opcode(py: Python<'_>, thread: *mut ThreadState, frame_object: *mut PyFrameObject) -> PyResult<()> {
    let taken = with_armed(frame_object, |armed| (armed.back, armed.line.take(), armed.stop.take()));
    let Some((back, jumps_to, stop)) = taken else { return Ok(()) };
    // SAFETY: the frame is the one that the loop is executing on the current thread, and is about to
    // run the instruction that prev_instr points at (DO_TRACING in ceval.c).
    unsafe {
        let frame = (*frame_object).f_frame;
        if let Some(line) = jumps_to {
            super::identity::jump(py, frame_object, line.bind(py))?;
            with_armed(frame_object, |armed| armed.has_left = true);
        }
        let next = next_in(frame);
        let way = with_armed(frame_object, |armed| way_in(frame, next, armed)).flatten();
        let line = line_of(frame);
        let landed = match way {
            _ if back => landing::land_back(py, thread, frame)?,
            Some(way) => landing::land(py, thread, frame, way, stop)?,
            None => false,
        };
        if landed && landing::is_under_way(thread) {
            let c_profilefunc = (*thread).c_profilefunc.take();
            with_armed(frame_object, |armed| armed.phase = Phase::Landing { c_profilefunc, line });
            // What the event was handed on to may have taken the mover's place.
            tracer::put_mover(thread, (*thread).cframe);
        } else if landed {
            disarm(py, thread, frame_object);
        } else if let (Some(_), Some(unit)) = (way, original_unit(frame)) {
            let passed = with_armed(frame_object, |armed| {
                armed.from = unit;
                armed.has_left = matches!(next, Next::Behind(_) | Next::Way { .. });
                armed.passing.take()
            });
            if let Some(passed) = passed.flatten() {
                passed.exception.drop_ref(py);
            }
        }
    }
    Ok(())
}

/// An armed frame is left.
fn on_leave(py: Python<'_>, thread: *mut ThreadState, frame_object: *mut PyFrameObject) {
    // SAFETY: a live frame object of the current thread.
    unsafe {
        if !is_armed((*frame_object).f_frame) {
            return;
        }
        disarm(py, thread, frame_object);
        if waits_in(thread) {
            tracer::put_mover(thread, (*thread).cframe);
        }
    }
}

impl Armed {
    fn frame(&self) -> *mut InterpreterFrame {
        // SAFETY: a held frame object.
        unsafe { (*self.frame_object.as_ptr().cast::<PyFrameObject>()).f_frame }
    }

    /// Has the interpreter tell the mover of each instruction.
    fn mark(&mut self) {
        // SAFETY: a held frame object.
        let flag = unsafe { &mut (*self.frame_object.as_ptr().cast::<PyFrameObject>()).f_trace_opcodes };
        self.f_trace_opcodes = std::mem::replace(flag, MARK);
    }

    /// Gives the program its flag back.
    fn unmark(&self) {
        if !self.is_late {
            // SAFETY: a held frame object.
            unsafe {
                (*self.frame_object.as_ptr().cast::<PyFrameObject>()).f_trace_opcodes = self.f_trace_opcodes;
            }
        }
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
