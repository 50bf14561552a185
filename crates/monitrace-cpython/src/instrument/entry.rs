//! Code that starts after events were set: code given to `exec`, `eval` and `import`, and functions
//! made from code objects.
//!
//! `exec` and its kin raise an audit event just before they run a code object. It arms a frame
//! evaluation function (PEP 523) that waits for that one frame, moves it to its copy and takes itself
//! out again: it must not stay, for it keeps the interpreter from inlining calls.
//!
//! An audit hook cannot be removed; without events it returns after one test.

use super::records::{CodePtr, Instrumented, Original, Variant};
use super::{code_to_run, functions, registry};
use crate::ffi::ceval::{
    _PyEval_EvalFrameDefault, _PyInterpreterState_GetEvalFrameFunc, _PyInterpreterState_SetEvalFrameFunc,
    FrameEvalFunction,
};
use crate::ffi::code::CODE_OFFSET;
use crate::ffi::frame::{FRAME_OWNED_BY_THREAD, FRAME_SPECIALS_SIZE, InterpreterFrame};
use crate::ffi::pystate::{_PyThreadState_UncheckedGet, ThreadState};
use crate::ffi::sysmodule::PySys_AddAuditHook;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static WATCHING: AtomicBool = AtomicBool::new(false);

/// Frames that others start while one is waited for: an audit hook's, another thread's. After so
/// many the awaited one will not come any more, because its `exec` failed.
const PATIENCE: u32 = 10_000;

/// A code object that is about to run.
struct Awaited {
    thread: usize,
    code: usize,
    copy: Py<PyAny>,
}

struct Door {
    awaited: Vec<Awaited>,
    /// The evaluation function that was there before; set while ours is.
    before: Option<FrameEvalFunction>,
    others: u32,
}

fn door() -> MutexGuard<'static, Door> {
    static DOOR: Mutex<Door> = Mutex::new(Door { awaited: Vec::new(), before: None, others: 0 });
    DOOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether new code is looked at.
pub(super) fn watch(on: bool) {
    WATCHING.store(on, Relaxed);
}

/// Whether new code is looked at.
pub(super) fn is_watching() -> bool {
    WATCHING.load(Relaxed)
}

static FUNCTION_NEW: OnceLock<ffi::newfunc> = OnceLock::new();

/// Puts the audit hook and the constructor of functions in place, once.
pub(super) fn patch(py: Python<'_>) -> PyResult<()> {
    static AUDITING: AtomicBool = AtomicBool::new(false);
    if !AUDITING.swap(true, Relaxed) {
        // SAFETY: the hook follows the protocol of audit hooks and needs no data.
        if unsafe { PySys_AddAuditHook(audit, ptr::null_mut()) } < 0 {
            AUDITING.store(false, Relaxed);
            return Err(PyErr::take(py)
                .unwrap_or_else(|| PyRuntimeError::new_err("another audit hook forbids monitrace's")));
        }
    }
    // SAFETY: static type, GIL held.
    unsafe {
        let kind = &raw mut ffi::PyFunction_Type;
        if let Some(new) = (*kind).tp_new
            && !ptr::fn_addr_eq(new, function_new as ffi::newfunc)
        {
            let _ = FUNCTION_NEW.set(new);
            (*kind).tp_new = Some(function_new);
        }
    }
    Ok(())
}

/// Takes the constructor of functions out again.
pub(super) fn unpatch() {
    if let Some(new) = FUNCTION_NEW.get() {
        // SAFETY: static type, GIL held. The pointer stays in FUNCTION_NEW: patch() sets the same one.
        unsafe { ffi::PyFunction_Type.tp_new = Some(*new) };
    }
}

unsafe extern "C" fn audit(event: *const c_char, args: *mut ffi::PyObject, _: *mut c_void) -> c_int {
    if !WATCHING.load(Relaxed) {
        return 0;
    }
    // SAFETY: audit hooks are given a NUL-terminated name and a tuple, with the GIL held.
    unsafe {
        if CStr::from_ptr(event) != c"exec" || args.is_null() || ffi::PyTuple_GET_SIZE(args) < 1 {
            return 0;
        }
        let code = ffi::PyTuple_GET_ITEM(args, 0);
        if super::records::is_code(code) {
            await_code(Python::assume_attached(), code.cast());
        }
    }
    0
}

/// Has the next frame of this code object, on this thread, run its copy.
fn await_code(py: Python<'_>, code: CodePtr) {
    let copy = match code_to_run(py, code) {
        Ok(Some(copy)) => copy,
        Ok(None) => return,
        Err(error) => return error.write_unraisable(py, None),
    };
    // SAFETY: there is a current thread, and the interpreter is its own.
    unsafe {
        let thread = _PyThreadState_UncheckedGet();
        let mut door = door();
        door.awaited.push(Awaited { thread: thread as usize, code: code as usize, copy });
        door.others = 0;
        if door.before.is_none() {
            let interpreter = (*thread).interp;
            door.before = Some(_PyInterpreterState_GetEvalFrameFunc(interpreter));
            _PyInterpreterState_SetEvalFrameFunc(interpreter, enter);
        }
    }
}

/// The evaluation function that is in place while a code object is awaited.
unsafe extern "C" fn enter(
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
    throw: c_int,
) -> *mut ffi::PyObject {
    // SAFETY: called by the interpreter with a frame that has not begun, and the GIL held.
    unsafe {
        let (awaited, evaluate) = {
            let mut door = door();
            let code = (*frame).f_code as usize;
            let index = door
                .awaited
                .iter()
                .position(|awaited| awaited.thread == thread as usize && awaited.code == code)
                .filter(|_| throw == 0);
            let evaluate = door.before.unwrap_or(_PyEval_EvalFrameDefault);
            let awaited = match index {
                Some(index) => vec![door.awaited.swap_remove(index)],
                None if door.others >= PATIENCE => std::mem::take(&mut door.awaited),
                None => {
                    door.others += 1;
                    Vec::new()
                }
            };
            if door.awaited.is_empty()
                && let Some(before) = door.before.take()
            {
                _PyInterpreterState_SetEvalFrameFunc((*thread).interp, before);
            }
            (awaited, evaluate)
        };
        let py = Python::assume_attached();
        for awaited in awaited {
            if awaited.code == (*frame).f_code as usize && awaited.thread == thread as usize {
                move_in(py, thread, frame, awaited.copy);
            } else {
                awaited.copy.drop_ref(py);
            }
        }
        evaluate(thread, frame, throw)
    }
}

/// Exchanges the code of a frame that has not begun.
///
/// # Safety
/// The frame is the thread's newest and `copy` is an instrumented copy of its code.
unsafe fn move_in(py: Python<'_>, thread: *mut ThreadState, frame: *mut InterpreterFrame, copy: Py<PyAny>) {
    // SAFETY: see above. The frame's stack ends where the thread's free space begins; it is extended
    // before the new code can use more of it. A function that only this call knows of goes along, since
    // generators take their size from it.
    unsafe {
        let before = (*frame).f_code;
        let end = frame
            .cast::<*mut ffi::PyObject>()
            .add(FRAME_SPECIALS_SIZE + (*before).co_nlocalsplus as usize + (*before).co_stacksize as usize);
        if (*frame).owner != FRAME_OWNED_BY_THREAD || end != (*thread).datastack_top {
            return;
        }
        let mut copy = copy;
        let growth = |code: CodePtr| ((*code).co_stacksize - (*before).co_stacksize).max(0) as isize;
        if growth(copy.as_ptr().cast()) >= (*thread).datastack_limit.offset_from((*thread).datastack_top) {
            let room = Variant { stack_limit: Some((*before).co_stacksize as u32), ..Variant::default() };
            let fitting = Original::of(py, before)
                .and_then(|original| Instrumented::make(py, &original, registry().interest(), room));
            match fitting {
                Ok(Some(fitting)) => copy = fitting,
                Ok(None) => return,
                Err(error) => return error.write_unraisable(py, None),
            }
        }
        let code: CodePtr = copy.into_ptr().cast();
        (*thread).datastack_top = (*thread).datastack_top.offset(growth(code));
        (*frame).f_code = code;
        (*frame).prev_instr = code.cast::<u8>().add(CODE_OFFSET).cast::<u16>().wrapping_sub(1);
        let function = (*frame).f_func;
        if (*function).func_code == before.cast() {
            ffi::Py_INCREF(code.cast());
            (*function).func_code = code.cast();
            (*function).func_version = 0;
            ffi::Py_DECREF(before.cast());
        }
        ffi::Py_DECREF(before.cast());
    }
}

/// `function.__new__`.
unsafe extern "C" fn function_new(
    kind: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some(new) = FUNCTION_NEW.get() else { return ptr::null_mut() };
    // SAFETY: the original constructor, with its own arguments.
    let function = unsafe { new(kind, args, kwargs) };
    if !function.is_null() && is_watching() {
        // SAFETY: constructors run with the GIL held and return functions.
        unsafe { adopt_new(Python::assume_attached(), function) };
    }
    function
}

/// Gives a function that was just made, or was just given other code, the code that it is to run.
///
/// # Safety
/// `function` is a live function object.
pub(super) unsafe fn adopt_new(py: Python<'_>, function: *mut ffi::PyObject) {
    if let Err(error) = functions::adopt(py, function.cast()) {
        error.write_unraisable(py, None);
    }
}
