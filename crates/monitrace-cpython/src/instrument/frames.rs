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
//! Left alone, because nothing can be moved safely: frames under another trace function, frames that
//! have not reached RESUME, and those of callbacks. An exception that leaves a loop by force wakes
//! nobody below it.

use super::records::{CodePtr, Instrumented, Original, Variant};
use super::{code_to_run, registry};
use crate::bytecode::{Landing, opcodes};
use crate::ffi::ceval::{
    _PyEval_EvalFrameDefault, _PyInterpreterState_GetEvalFrameFunc, PY_TRACE_LINE, PY_TRACE_OPCODE,
    PY_TRACE_RETURN,
};
use crate::ffi::code::{CODE_OFFSET, CodeUnit};
use crate::ffi::frame::{FRAME_OWNED_BY_THREAD, FRAME_SPECIALS_SIZE, InterpreterFrame, PyFrameObject};
use crate::ffi::genobject::{FRAME_EXECUTING, PyGenObject};
use crate::ffi::pystate::{
    _PyThreadState_UncheckedGet, CFrame, PyFrame_GetBack, PyInterpreterState_ThreadHead,
    PyThreadState_GetFrame, PyThreadState_Next, ThreadState, TraceFunction,
};
use monitrace_core::UnitIndex;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A frame that is moved before its next instruction.
struct Armed {
    thread: usize,
    /// Held, so that the frame is never taken for another at its address.
    frame_object: Py<PyAny>,
    /// The original's unit that ran last.
    from: UnitIndex,
    f_trace_opcodes: c_char,
}

#[derive(Default)]
struct Movements {
    armed: Vec<Armed>,
    /// Code that a moved frame still reads its constants from, until it has landed.
    left: Vec<(usize, Py<PyAny>)>,
}

fn movements() -> MutexGuard<'static, Movements> {
    static MOVEMENTS: Mutex<Movements> = Mutex::new(Movements { armed: Vec::new(), left: Vec::new() });
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

fn units(code: CodePtr) -> *mut CodeUnit {
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

/// Whether a frame's code is to be exchanged, and for what.
///
/// # Safety
/// The frame is live.
unsafe fn wanted(py: Python<'_>, frame: *mut InterpreterFrame) -> PyResult<Option<Rc<Original>>> {
    // SAFETY: as above.
    let code = unsafe { (*frame).f_code };
    let interest = registry().interest();
    if Instrumented::of(code).is_some_and(|copy| copy.events().contains(interest)) {
        return Ok(None);
    }
    match code_to_run(py, original_of(code))? {
        Some(_) => Original::of(py, original_of(code)).map(Some),
        None => Ok(None),
    }
}

fn make(py: Python<'_>, original: &Rc<Original>, variant: Variant) -> PyResult<Option<Py<PyAny>>> {
    Instrumented::make(py, original, registry().interest(), variant)
}

/// Moves every frame of every thread, or sees to it that it is moved as soon as it goes on.
pub(super) fn adopt_all(py: Python<'_>) -> PyResult<()> {
    drop_finished(py);
    let mut frames = Vec::new();
    for_each_frame(|thread, cframe, frame, executing| frames.push((thread, cframe, frame, executing)));
    // SAFETY: a current thread exists.
    let current = unsafe { _PyThreadState_UncheckedGet() };
    let boundary = super::quiet::muted_loop();
    // The loops of callbacks, which are muted: from the innermost one down to the one that fired.
    let mut in_callback = false;
    let mut last_thread = ptr::null_mut();
    for (thread, cframe, frame, executing) in frames {
        if thread != last_thread {
            last_thread = thread;
            // SAFETY: live, see for_each_frame.
            in_callback = unsafe { (*thread).tracing } != 0;
        }
        if in_callback && thread == current && cframe == boundary {
            in_callback = false;
        }
        if in_callback {
            continue;
        }
        // SAFETY: making copies runs no Python code, so the frames are still as they were listed.
        unsafe {
            if is_incomplete(frame) {
                continue;
            }
            if let Some(original) = wanted(py, frame)? {
                if executing {
                    arm(py, thread, cframe, frame)?;
                } else {
                    move_waiting(py, frame, &original)?;
                }
            }
        }
    }
    Ok(())
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

/// Exchanges the code of a frame that the loop will read again from memory.
///
/// # Safety
/// The frame is live, complete and waits for an inlined call to return or for its generator's turn.
unsafe fn move_waiting(
    py: Python<'_>,
    frame: *mut InterpreterFrame,
    original: &Rc<Original>,
) -> PyResult<()> {
    // SAFETY: see above; the stack behind the frame is taken, so the copy must make do with what the
    // old code has.
    unsafe {
        let Some(unit) = original_unit(frame) else { return Ok(()) };
        let room = (*(*frame).f_code).co_stacksize as u32;
        let variant =
            Variant { stack_limit: Some(room), landing: None, wakes_mover: (*frame).is_entry };
        let Some(copy) = make(py, original, variant)? else { return Ok(()) };
        let code: CodePtr = copy.as_ptr().cast();
        let Some(unit) = Instrumented::of(code).and_then(|copy| copy.rewritten().resume_after(unit)) else {
            return Ok(());
        };
        let before = std::mem::replace(&mut (*frame).f_code, copy.into_ptr().cast());
        (*frame).prev_instr = units(code).add(unit.0 as usize);
        ffi::Py_DECREF(before.cast());
    }
    Ok(())
}

/// Has the mover run before the next instruction of a frame that is executing.
///
/// # Safety
/// The frame is live, complete and what `cframe`'s loop of `thread` executes.
unsafe fn arm(
    py: Python<'_>,
    thread: *mut ThreadState,
    cframe: *mut CFrame,
    frame: *mut InterpreterFrame,
) -> PyResult<()> {
    // SAFETY: see above. The mover ignores its object, so the thread's may stay NULL.
    unsafe {
        if (*thread).c_tracefunc.is_some_and(|function| !is_mover(function)) {
            return Ok(());
        }
        let Some(from) = original_unit(frame) else { return Ok(()) };
        let Some(frame_object) = frame_object(py, thread, frame) else { return Ok(()) };
        let object = frame_object.as_ptr().cast::<PyFrameObject>();
        let mut movements = movements();
        if !movements.armed.iter().any(|armed| armed.frame_object.as_ptr() == object.cast()) {
            let f_trace_opcodes = std::mem::replace(&mut (*object).f_trace_opcodes, 1);
            movements.armed.push(Armed { thread: thread as usize, frame_object, from, f_trace_opcodes });
        }
        (*thread).c_tracefunc = Some(mover);
        (*cframe).use_tracing = 255;
    }
    Ok(())
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

/// Forgets armed frames that ended without the mover being told.
fn drop_finished(py: Python<'_>) {
    let mut live = Vec::new();
    for_each_frame(|_, _, frame, _| live.push(frame));
    let finished: Vec<Armed> = {
        let mut movements = movements();
        let (keep, finished) = std::mem::take(&mut movements.armed).into_iter().partition(|armed| {
            // SAFETY: a held frame object.
            live.contains(&unsafe { (*armed.frame_object.as_ptr().cast::<PyFrameObject>()).f_frame })
        });
        movements.armed = keep;
        finished
    };
    for armed in finished {
        armed.frame_object.drop_ref(py);
    }
}

/// Whether this frame waits for the mover.
pub(super) fn is_armed(frame: *mut InterpreterFrame) -> bool {
    movements().armed.iter().any(|armed| {
        // SAFETY: a held frame object.
        unsafe { (*armed.frame_object.as_ptr().cast::<PyFrameObject>()).f_frame == frame }
    })
}

/// A loop is about to be left, by the frame that it began with: wakes the mover if a frame of the
/// thread waits for it. (On leaving, ceval.c copies `use_tracing` to the loop below.)
pub(super) fn leaving() {
    // SAFETY: called by a hook: the current thread runs Python code.
    unsafe {
        let thread = _PyThreadState_UncheckedGet();
        if movements().armed.iter().any(|armed| armed.thread == thread as usize)
            && (*thread).c_tracefunc.is_none_or(is_mover)
        {
            (*thread).c_tracefunc = Some(mover);
            (*(*thread).cframe).use_tracing = 255;
        }
    }
}

/// The one-shot trace function.
unsafe extern "C" fn mover(
    _object: *mut ffi::PyObject,
    frame_object: *mut PyFrameObject,
    what: c_int,
    _argument: *mut ffi::PyObject,
) -> c_int {
    Python::attach(|py| {
        let moved = catch_unwind(AssertUnwindSafe(|| on_trace(py, frame_object, what)));
        if let Ok(Err(error)) = moved {
            error.write_unraisable(py, None);
        }
    });
    0
}

fn on_trace(py: Python<'_>, frame_object: *mut PyFrameObject, what: c_int) -> PyResult<()> {
    let mut armed = {
        let mut movements = movements();
        let Some(index) =
            movements.armed.iter().position(|armed| armed.frame_object.as_ptr() == frame_object.cast())
        else {
            return Ok(());
        };
        match what {
            PY_TRACE_LINE | PY_TRACE_OPCODE | PY_TRACE_RETURN => movements.armed.swap_remove(index),
            _ => return Ok(()),
        }
    };
    let thread = armed.thread as *mut ThreadState;
    // SAFETY: the frame is the one that the loop is executing on the current thread, and is about to
    // run the instruction that prev_instr points at (DO_TRACING in ceval.c).
    unsafe {
        let frame = (*frame_object).f_frame;
        if what != PY_TRACE_RETURN && !land(py, thread, frame, &armed)? {
            // No room at this instruction: try the next.
            if let Some(unit) = original_unit(frame) {
                armed.from = unit;
            }
            movements().armed.push(armed);
            return Ok(());
        }
        (*frame_object).f_trace_opcodes = armed.f_trace_opcodes;
        // The interpreter turns tracing on again behind us as long as there is a trace function; the
        // landing, or the next frame that leaves its loop, puts ours back if it is still needed.
        (*thread).c_tracefunc = None;
    }
    armed.frame_object.drop_ref(py);
    Ok(())
}

/// Points the executing frame at the landing pad of a copy of its own. False if it does not fit.
///
/// # Safety
/// See [`on_trace`].
unsafe fn land(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
    armed: &Armed,
) -> PyResult<bool> {
    // SAFETY: see on_trace; stack sizes are checked before anything is written.
    unsafe {
        let Some(original) = wanted(py, frame)? else { return Ok(true) };
        let evaluate = _PyInterpreterState_GetEvalFrameFunc((*thread).interp);
        if !ptr::fn_addr_eq(evaluate, _PyEval_EvalFrameDefault as crate::ffi::ceval::FrameEvalFunction) {
            // Somebody else's, or ours for a moment: the pad's call would not be inlined.
            return Ok(false);
        }
        let Some(unit) = original_unit(frame) else { return Ok(false) };
        let code = (*frame).f_code;
        let depth = (*frame).stacktop - (*code).co_nlocalsplus;
        let end = frame
            .cast::<*mut ffi::PyObject>()
            .add(FRAME_SPECIALS_SIZE + (*code).co_nlocalsplus as usize + (*code).co_stacksize as usize);
        let grows = (*frame).owner == FRAME_OWNED_BY_THREAD && end == (*thread).datastack_top;
        if !grows && depth + 2 > (*code).co_stacksize {
            return Ok(false);
        }
        let variant = Variant {
            stack_limit: (!grows).then_some((*code).co_stacksize as u32),
            landing: Some(Landing::At { unit, from: armed.from }),
            wakes_mover: (*frame).is_entry,
        };
        let function = landing_function(py)?;
        let Some(copy) = make(py, &original, variant)? else { return Ok(true) };
        let new_code: CodePtr = copy.as_ptr().cast();
        let Some(pad) = Instrumented::of(new_code).and_then(|copy| copy.rewritten().landing) else {
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
        let stack = (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>();
        stack.add((*frame).stacktop as usize).write(ptr::null_mut());
        stack.add((*frame).stacktop as usize + 1).write(function.into_ptr());
        (*frame).stacktop += 2;
        let before = std::mem::replace(&mut (*frame).f_code, copy.into_ptr().cast());
        (*frame).prev_instr = units(new_code).add(pad.0 as usize);
        movements().left.push((thread as usize, Bound::from_owned_ptr(py, before.cast()).unbind()));
    }
    Ok(true)
}

/// The function that landing pads call: `def …(): hook`, whose return makes the loop read the frame
/// below again. Its hook runs [`landed`].
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
    let empty = py.eval(c"(lambda: None)", None, None)?;
    let bytes: [u8; 10] = [
        opcodes::RESUME,
        0,
        opcodes::LOAD_CONST,
        1,
        opcodes::POP_JUMP_FORWARD_IF_TRUE,
        0,
        opcodes::LOAD_CONST,
        0,
        opcodes::RETURN_VALUE,
        0,
    ];
    let changes = PyDict::new(py);
    changes.set_item("co_code", pyo3::types::PyBytes::new(py, &bytes))?;
    changes.set_item("co_consts", PyTuple::new(py, [py.None().into_bound(py), hook])?)?;
    changes.set_item("co_stacksize", 1)?;
    changes.set_item("co_linetable", pyo3::types::PyBytes::new(py, &[0x80 | (15 << 3) | 4]))?;
    changes.set_item("co_name", "<moving a running frame>")?;
    let code = empty.getattr("__code__")?.call_method("replace", (), Some(&changes))?;
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
        let left: Vec<(usize, Py<PyAny>)> = {
            let mut movements = movements();
            let (gone, stay) =
                std::mem::take(&mut movements.left).into_iter().partition(|left| left.0 == thread as usize);
            movements.left = stay;
            gone
        };
        let py = Python::assume_attached();
        for (_, code) in left {
            code.drop_ref(py);
        }
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
