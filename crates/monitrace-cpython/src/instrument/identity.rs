//! Shows the program its own code objects and positions, never those of a copy.
//!
//! Every way by which Python code reaches a running code object or a position in it is patched, and
//! all of them together: with only some, tracebacks and debuggers see a code object of one and
//! an offset of the other. C code that reads the structs sees the copy, whose names and lines agree.

use super::records::{CodePtr, Instrumented};
use super::{entry, mover};
use crate::ffi::ceval::PY_TRACE_LINE;
use crate::ffi::frame::PyFrameObject;
use crate::ffi::genobject::PyGenObject;
use crate::ffi::pystate::_PyThreadState_UncheckedGet;
use crate::ffi::traceback::PyTracebackObject;
use monitrace_core::UnitIndex;
use pyo3::exceptions::{PySystemError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

/// One attribute of one type that is read through a function of ours.
struct Attribute {
    kind: fn() -> *mut ffi::PyTypeObject,
    name: &'static CStr,
    get: ffi::getter,
    /// Also replaced; the original setter runs first.
    set: Option<ffi::setter>,
}

fn function_type() -> *mut ffi::PyTypeObject {
    &raw mut ffi::PyFunction_Type
}
fn frame_type() -> *mut ffi::PyTypeObject {
    &raw mut ffi::PyFrame_Type
}
fn traceback_type() -> *mut ffi::PyTypeObject {
    &raw mut ffi::PyTraceBack_Type
}
fn generator_type() -> *mut ffi::PyTypeObject {
    &raw mut ffi::PyGen_Type
}
fn coroutine_type() -> *mut ffi::PyTypeObject {
    &raw mut ffi::PyCoro_Type
}
fn async_generator_type() -> *mut ffi::PyTypeObject {
    &raw mut ffi::PyAsyncGen_Type
}

const FUNCTION_CODE: usize = 0;
const FRAME_CODE: usize = 1;
const FRAME_LASTI: usize = 2;
const FRAME_LINENO: usize = 3;
const TRACEBACK_LINENO: usize = 5;
const FRAME_TRACE_OPCODES: usize = 9;

static ATTRIBUTES: [Attribute; 10] = [
    Attribute { kind: function_type, name: c"__code__", get: function_code, set: Some(set_function_code) },
    Attribute { kind: frame_type, name: c"f_code", get: frame_code, set: None },
    Attribute { kind: frame_type, name: c"f_lasti", get: frame_lasti, set: None },
    Attribute { kind: frame_type, name: c"f_lineno", get: frame_lineno, set: Some(set_frame_lineno) },
    Attribute { kind: traceback_type, name: c"tb_lasti", get: traceback_lasti, set: None },
    Attribute { kind: traceback_type, name: c"tb_lineno", get: traceback_lineno, set: None },
    Attribute { kind: generator_type, name: c"gi_code", get: generator_code, set: None },
    Attribute { kind: coroutine_type, name: c"cr_code", get: generator_code, set: None },
    Attribute { kind: async_generator_type, name: c"ag_code", get: generator_code, set: None },
    Attribute {
        kind: frame_type,
        name: c"f_trace_opcodes",
        get: frame_trace_opcodes,
        set: Some(set_frame_trace_opcodes),
    },
];

/// What an attribute was before.
#[derive(Clone, Copy)]
enum Before {
    /// A getset descriptor whose functions were exchanged.
    Functions { descriptor: *mut ffi::PyGetSetDescrObject, definition: *mut ffi::PyGetSetDef },
    /// A member descriptor that was replaced in the type's dictionary; owned.
    Descriptor(*mut ffi::PyObject),
}

// SAFETY: the pointers are to objects that live as long as the interpreter, and are used with the GIL.
unsafe impl Send for Before {}

static PATCHES: Mutex<[Option<Before>; ATTRIBUTES.len()]> = Mutex::new([None; ATTRIBUTES.len()]);

/// Puts our getters in place, once.
pub(super) fn patch(py: Python<'_>) -> PyResult<()> {
    let mut patches = PATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    for (attribute, patch) in ATTRIBUTES.iter().zip(patches.iter_mut()) {
        if patch.is_none() {
            *patch = Some(patch_one(py, attribute)?);
        }
    }
    // SAFETY: static type, GIL held.
    unsafe {
        let kind = traceback_type();
        if let Some(new) = (*kind).tp_new
            && !ptr::fn_addr_eq(new, traceback_new as ffi::newfunc)
        {
            let _ = TRACEBACK_NEW.set(new);
            (*kind).tp_new = Some(traceback_new);
        }
    }
    Ok(())
}

fn patch_one(py: Python<'_>, attribute: &Attribute) -> PyResult<Before> {
    let kind = (attribute.kind)();
    // SAFETY: static types with dictionaries of descriptors; what is found is checked before it is cast.
    // Our definition is leaked on purpose: a
    // descriptor that somebody holds may still point at it after unpatching.
    unsafe {
        let dict = (*kind).tp_dict;
        let found = ffi::PyDict_GetItemString(dict, attribute.name.as_ptr());
        let missing = || {
            PySystemError::new_err(format!(
                "monitrace: {:?} is not the attribute that 3.11 has",
                attribute.name
            ))
        };
        if found.is_null() {
            return Err(missing());
        }
        if ffi::Py_TYPE(found) == &raw mut ffi::PyGetSetDescr_Type {
            let descriptor = found.cast::<ffi::PyGetSetDescrObject>();
            let before = (*descriptor).d_getset;
            let definition = Box::into_raw(Box::new(ffi::PyGetSetDef {
                get: Some(attribute.get),
                set: attribute.set.or((*before).set),
                ..*before
            }));
            (*descriptor).d_getset = definition;
            Ok(Before::Functions { descriptor, definition: before })
        } else if ffi::Py_TYPE(found) == &raw mut ffi::PyMemberDescr_Type {
            let definition = Box::into_raw(Box::new(ffi::PyGetSetDef {
                name: attribute.name.as_ptr(),
                get: Some(attribute.get),
                set: attribute.set,
                doc: ptr::null(),
                closure: ptr::null_mut(),
            }));
            ffi::Py_INCREF(found);
            let descriptor = Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewGetSet(kind, definition))?;
            replace_in_type(py, kind, attribute.name, descriptor.as_ptr())?;
            Ok(Before::Descriptor(found))
        } else {
            Err(missing())
        }
    }
}

/// Puts the interpreter's own getters back.
pub(super) fn unpatch(py: Python<'_>) -> PyResult<()> {
    let mut patches = PATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(new) = TRACEBACK_NEW.get() {
        // SAFETY: static type, GIL held. The pointer stays in TRACEBACK_NEW: patch() sets the same one.
        unsafe { (*traceback_type()).tp_new = Some(*new) };
    }
    for (attribute, patch) in ATTRIBUTES.iter().zip(patches.iter_mut()) {
        let Some(done) = patch.take() else { continue };
        // SAFETY: what patch_one found there.
        unsafe {
            match done {
                Before::Functions { descriptor, definition } => (*descriptor).d_getset = definition,
                Before::Descriptor(descriptor) => {
                    let descriptor = Bound::from_owned_ptr(py, descriptor);
                    replace_in_type(py, (attribute.kind)(), attribute.name, descriptor.as_ptr())?;
                }
            }
        }
    }
    Ok(())
}

/// # Safety
/// `kind` is a static type of the interpreter.
unsafe fn replace_in_type(
    py: Python<'_>,
    kind: *mut ffi::PyTypeObject,
    name: &CStr,
    descriptor: *mut ffi::PyObject,
) -> PyResult<()> {
    // SAFETY: see above; the method cache is told.
    unsafe {
        if ffi::PyDict_SetItemString((*kind).tp_dict, name.as_ptr(), descriptor) < 0 {
            return Err(PyErr::fetch(py));
        }
        ffi::PyType_Modified(kind);
    }
    Ok(())
}

/// The interpreter's own definition of an attribute that has getset functions.
fn own(index: usize) -> Option<*mut ffi::PyGetSetDef> {
    match PATCHES.lock().unwrap_or_else(PoisonError::into_inner)[index]? {
        Before::Functions { definition, .. } => Some(definition),
        Before::Descriptor(_) => None,
    }
}

/// Calls the interpreter's own getter.
///
/// # Safety
/// As for any getter: the GIL is held, `object` is of the type, `closure` the definition's own.
unsafe fn own_get(index: usize, object: *mut ffi::PyObject, closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: see above.
    unsafe {
        match own(index).and_then(|definition| (*definition).get) {
            Some(get) => get(object, closure),
            None => {
                ffi::PyErr_SetString(ffi::PyExc_SystemError, c"monitrace: patched twice".as_ptr());
                ptr::null_mut()
            }
        }
    }
}

/// The original instead of a copy; owned in, owned out; NULL stays NULL.
///
/// # Safety
/// NULL or an owned reference.
unsafe fn shown(code: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: see above; a copy holds its original.
    unsafe {
        if code.is_null() || !super::records::is_code(code) {
            return code;
        }
        let Some(copy) = Instrumented::of(code.cast()) else { return code };
        let original = copy.original().code().cast();
        ffi::Py_INCREF(original);
        ffi::Py_DECREF(code);
        original
    }
}

unsafe extern "C" fn function_code(object: *mut ffi::PyObject, closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of functions.
    unsafe { shown(own_get(FUNCTION_CODE, object, closure)) }
}

unsafe extern "C" fn set_function_code(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    closure: *mut c_void,
) -> c_int {
    // SAFETY: a setter of functions, called with the GIL held.
    unsafe {
        let Some(set) = own(FUNCTION_CODE).and_then(|definition| (*definition).set) else { return -1 };
        let result = set(object, value, closure);
        if result == 0 && entry::is_watching() {
            Python::attach(|py| entry::adopt_new(py, object));
        }
        result
    }
}

unsafe extern "C" fn frame_code(object: *mut ffi::PyObject, closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of frames.
    unsafe { shown(own_get(FRAME_CODE, object, closure)) }
}

unsafe extern "C" fn frame_trace_opcodes(object: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of frames.
    unsafe {
        let frame = object.cast::<PyFrameObject>();
        let flag = mover::own_trace_opcodes(frame).unwrap_or((*frame).f_trace_opcodes != 0);
        ffi::PyBool_FromLong(flag.into())
    }
}

unsafe extern "C" fn set_frame_trace_opcodes(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _: *mut c_void,
) -> c_int {
    let before = PATCHES.lock().unwrap_or_else(PoisonError::into_inner)[FRAME_TRACE_OPCODES];
    // SAFETY: a setter of frames, called with the GIL held. The interpreter's own descriptor is a member's, which
    // checks the value.
    unsafe {
        let set = match before {
            Some(Before::Descriptor(own)) => (*ffi::Py_TYPE(own)).tp_descr_set.map(|set| (set, own)),
            _ => None,
        };
        let Some((set, descriptor)) = set else {
            ffi::PyErr_SetString(ffi::PyExc_SystemError, c"monitrace: patched twice".as_ptr());
            return -1;
        };
        let result = set(descriptor, object, value);
        if result == 0 {
            mover::note_trace_opcodes(object.cast());
        }
        result
    }
}

/// The copy that a frame runs, if it runs one.
///
/// # Safety
/// A live frame object.
unsafe fn frame_copy<'a>(frame: *mut PyFrameObject) -> Option<&'a Instrumented> {
    // SAFETY: a frame object's frame and its code live as long as it does; cleared frames have none.
    unsafe {
        let frame = (*frame).f_frame;
        if frame.is_null() || (*frame).f_code.is_null() {
            return None;
        }
        Instrumented::of((*frame).f_code)
    }
}

unsafe extern "C" fn frame_lasti(object: *mut ffi::PyObject, closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of frames, whose own value is an int that fits.
    unsafe {
        let own = own_get(FRAME_LASTI, object, closure);
        match frame_copy(object.cast()) {
            Some(copy) if !own.is_null() => {
                let lasti = ffi::PyLong_AsLong(own) as i32;
                ffi::Py_DECREF(own);
                ffi::PyLong_FromLong(copy.original_offset(lasti).into())
            }
            _ => own,
        }
    }
}

/// The line of a byte offset, for code whose copy has none there: a hook behind RESUME.
///
/// # Safety
/// The record's code object is alive.
unsafe fn original_line(copy: &Instrumented, offset: i32) -> c_int {
    // SAFETY: see above; the original is held by the copy.
    unsafe { ffi::PyCode_Addr2Line(copy.original().code().cast(), copy.original_offset(offset)) }
}

unsafe extern "C" fn frame_lineno(object: *mut ffi::PyObject, closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of frames.
    unsafe {
        let own = own_get(FRAME_LINENO, object, closure);
        if own != ffi::Py_None() {
            return own;
        }
        let Some(copy) = frame_copy(object.cast()) else { return own };
        let frame = (*object.cast::<PyFrameObject>()).f_frame;
        let first = copy.code().cast::<u8>().add(crate::ffi::code::CODE_OFFSET);
        let offset = (*frame).prev_instr.cast::<u8>().offset_from(first) as i32;
        match original_line(copy, offset) {
            line if line < 0 => own,
            line => {
                ffi::Py_DECREF(own);
                ffi::PyLong_FromLong(line.into())
            }
        }
    }
}

/// Jumps in the program's own code, which alone has lines where the program knows them, and then goes on at the
/// same place of the copy.
unsafe extern "C" fn set_frame_lineno(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    closure: *mut c_void,
) -> c_int {
    // SAFETY: a setter of frames, called with the GIL held. A copy holds its original, so that the frame may
    // name that one for a moment; both have the same variables, and their stacks are alike between two
    // instructions of the original, where alone the interpreter lets a frame jump.
    unsafe {
        let Some(set) = own(FRAME_LINENO).and_then(|definition| (*definition).set) else { return -1 };
        let Some(copy) = frame_copy(object.cast()) else { return set(object, value, closure) };
        if !value.is_null() && (*object.cast::<PyFrameObject>()).f_trace.is_null() {
            // Not in a trace function, but perhaps in a callback.
            let py = Python::assume_attached();
            let line = Bound::from_borrowed_ptr(py, value);
            match jump_later(py, object.cast(), copy, &line) {
                Ok(true) => return 0,
                Ok(false) => {}
                Err(error) => {
                    error.restore(py);
                    return -1;
                }
            }
        }
        let frame = (*object.cast::<PyFrameObject>()).f_frame;
        let units = |code: CodePtr| code.cast::<u8>().add(crate::ffi::code::CODE_OFFSET).cast::<u16>();
        let (code, original) = (copy.code(), copy.original().code());
        let here = (*frame).prev_instr;
        let Ok(unit) = u32::try_from(here.offset_from(units(code))) else {
            return set(object, value, closure);
        };
        let unit = copy.rewritten().original_unit(UnitIndex(unit));
        let start = units(original).add(unit.0 as usize);
        (*frame).f_code = original;
        (*frame).prev_instr = start;
        let result = set(object, value, closure);
        let jumped = (*frame).prev_instr != start;
        let unit = (*frame).prev_instr.offset_from(units(original)) as u32;
        (*frame).f_code = code;
        let entered = copy.rewritten().enter_from_elsewhere(UnitIndex(unit)).filter(|_| jumped);
        (*frame).prev_instr = entered.map_or(here, |entered| units(code).add(entered.0 as usize));
        result
    }
}

/// Has a frame jump when the callback is over that it waits for; false if it waits for none that lets it. Only
/// then is it known whether the stack is the same there: if not, the error has nobody to go to but
/// `sys.unraisablehook`.
///
/// # Safety
/// A live frame object, which runs the copy; the GIL is held.
///
/// # Errors
/// `ValueError` for a line that the code does not have, in CPython's words.
unsafe fn jump_later(
    py: Python<'_>,
    frame: *mut PyFrameObject,
    copy: &Instrumented,
    line: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    // SAFETY: see above; the copy holds its original.
    let (cframe, code) = unsafe {
        let cframe = mover::loop_that_lets_jump(frame);
        (cframe, Bound::from_borrowed_ptr(py, copy.original().code().cast()))
    };
    let Some(cframe) = cframe else { return Ok(false) };
    let number: i64 = line.extract()?;
    let first: i64 = code.getattr("co_firstlineno")?.extract()?;
    let mut last = first;
    for range in code.call_method0("co_lines")?.try_iter()? {
        let (_, _, line): (u32, u32, Option<i64>) = range?.extract()?;
        last = last.max(line.unwrap_or(first));
    }
    let where_to = match number {
        _ if number < first => "before",
        _ if number > last => "after",
        // SAFETY: the frame still waits for the callback that has come here.
        _ => return Ok(unsafe { mover::jump_after_callback(py, cframe, frame, line) }),
    };
    Err(PyValueError::new_err(format!("line {number} comes {where_to} the current code block")))
}

/// Has a frame jump to a line, within a trace function of ours.
///
/// # Safety
/// The frame is what its loop executes, on the current thread, which runs a trace function for it.
///
/// # Errors
/// Those of setting `f_lineno`.
pub(super) unsafe fn jump(
    py: Python<'_>,
    frame: *mut PyFrameObject,
    line: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: see above. The interpreter lets a frame jump that has a trace function, at the event of a line;
    // both are put back.
    let result = unsafe {
        let thread = _PyThreadState_UncheckedGet();
        let what = std::mem::replace(&mut (*thread).tracing_what, PY_TRACE_LINE);
        let function = std::mem::replace(&mut (*frame).f_trace, ffi::Py_None());
        let result = set_frame_lineno(frame.cast(), line.as_ptr(), ptr::null_mut());
        (*frame).f_trace = function;
        (*thread).tracing_what = what;
        result
    };
    if result == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
}

unsafe extern "C" fn traceback_lasti(object: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of tracebacks, which hold their frame.
    unsafe {
        let traceback = object.cast::<PyTracebackObject>();
        let lasti = (*traceback).tb_lasti;
        let shown = frame_copy((*traceback).tb_frame).map_or(lasti, |copy| copy.original_offset(lasti));
        ffi::PyLong_FromLong(shown.into())
    }
}

static TRACEBACK_NEW: OnceLock<ffi::newfunc> = OnceLock::new();

/// `traceback.__new__`: a program that makes one knows the offset in its own code, and the
/// interpreter prints what is in that of the copy.
unsafe extern "C" fn traceback_new(
    kind: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some(new) = TRACEBACK_NEW.get() else { return ptr::null_mut() };
    // SAFETY: the original constructor, with its own arguments; what it makes holds its frame.
    unsafe {
        let object = new(kind, args, kwargs);
        if let Some(traceback) = object.cast::<PyTracebackObject>().as_mut()
            && let Some(copy) = frame_copy(traceback.tb_frame)
        {
            traceback.tb_lasti = copy.copy_offset(traceback.tb_lasti);
        }
        object
    }
}

unsafe extern "C" fn traceback_lineno(
    object: *mut ffi::PyObject,
    closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: a getter of tracebacks, which hold their frame.
    unsafe {
        let traceback = object.cast::<PyTracebackObject>();
        let own = own_get(TRACEBACK_LINENO, object, closure);
        if own != ffi::Py_None() {
            return own;
        }
        let Some(copy) = frame_copy((*traceback).tb_frame) else { return own };
        match original_line(copy, (*traceback).tb_lasti) {
            line if line < 0 => own,
            line => {
                ffi::Py_DECREF(own);
                ffi::PyLong_FromLong(line.into())
            }
        }
    }
}

unsafe extern "C" fn generator_code(object: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: a getter of generators and their kin, which begin alike and hold their code.
    unsafe {
        let code: CodePtr = (*object.cast::<PyGenObject>()).gi_code;
        if code.is_null() {
            {
                let none = ffi::Py_None();
                ffi::Py_INCREF(none);
                none
            }
        } else {
            ffi::Py_INCREF(code.cast());
            shown(code.cast())
        }
    }
}
