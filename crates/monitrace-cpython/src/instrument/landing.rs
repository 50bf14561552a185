//! How an executing frame is made to run other code: it lands there.
//!
//! The loop reads code, constants and position again from memory when an inlined call returns. So the frame is
//! pointed at a landing pad in its new code, which calls a function of ours. A copy has such a pad (see `bytecode`);
//! an original has none, and the call stands in two instructions that belong to no code object.

use super::frames::{make, original_unit, retarget_positions, units, wakes_mover, wanted};
use super::records::{CodePtr, Instrumented, Variant};
use super::stops;
use crate::bytecode::{self, opcodes};
use crate::ffi::ceval::{_PyEval_EvalFrameDefault, _PyInterpreterState_GetEvalFrameFunc};
use crate::ffi::code::CodeUnit;
use crate::ffi::frame::{FRAME_OWNED_BY_THREAD, FRAME_SPECIALS_SIZE, InterpreterFrame};
use crate::ffi::pystate::{_PyThreadState_UncheckedGet, ThreadState};
use monitrace_core::Event;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

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

fn landings() -> MutexGuard<'static, Vec<Landing>> {
    static LANDINGS: Mutex<Vec<Landing>> = Mutex::new(Vec::new());
    LANDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a frame of a thread is on its way.
pub(super) fn is_under_way(thread: *mut ThreadState) -> bool {
    landings().iter().any(|landing| landing.thread == thread as usize)
}

/// Whether a frame is about to run an instruction of its landing pad.
///
/// # Safety
/// The frame is live.
pub(super) unsafe fn is_on_pad(frame: *mut InterpreterFrame) -> bool {
    // SAFETY: prev_instr points into the frame's code.
    let (code, unit) = unsafe { ((*frame).f_code, (*frame).prev_instr.offset_from(units((*frame).f_code))) };
    let pad = Instrumented::of(code).and_then(|copy| copy.rewritten().landing);
    pad.is_some_and(|pad| unit >= pad.0 as isize)
}

/// Points the executing frame at the landing pad of a copy of its own. False if it does not fit.
///
/// # Safety
/// The frame is what the current thread's loop is executing, and is about to run the instruction that prev_instr
/// points at (DO_TRACING in ceval.c).
pub(super) unsafe fn land(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
    way: bytecode::Landing,
    stop: Option<(Event, Py<PyAny>)>,
) -> PyResult<bool> {
    // SAFETY: see above; stack sizes are checked before anything is written.
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
            is_thin: false,
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
        landings().push(Landing { thread: thread as usize, left, kept, next });
    }
    Ok(true)
}

/// Sends the executing frame back to its original, which has no landing pad: it calls the landing
/// function from two instructions that belong to no code object, and the function returns what was on
/// top of the stack. False while there is nothing on it.
///
/// # Safety
/// The frame is what the current thread's loop is executing, and is about to run the instruction that prev_instr
/// points at (DO_TRACING in ceval.c).
pub(super) unsafe fn land_back(
    py: Python<'_>,
    thread: *mut ThreadState,
    frame: *mut InterpreterFrame,
) -> PyResult<bool> {
    // SAFETY: see above; that there are two slots, with that of the value that is taken off, is checked first.
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
        landings().push(Landing {
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
            let mut landings = landings();
            let index = landings.iter().rposition(|landing| landing.thread == thread as usize);
            index.map(|index| landings.swap_remove(index))
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
    }
    0
}
