//! The hook object: a constant of an instrumented code object whose truth value fires an event.
//!
//! The rewritten bytecode loads the hook and jumps if it is true. It never is: `nb_bool` does the
//! work and answers 0, or -1 with an exception set. A hook is switched off by writing a jump over
//! its first unit. It owns its boxed position, borrows everything else from the record of its code
//! object, and must check that record before it reads anything: a hook can outlive its code.

use super::records::Instrumented;
use crate::ffi::code::{CODE_OFFSET, CodeUnit};
use crate::ffi::pystate::_PyThreadState_UncheckedGet;
use crate::host::{CPython, Site};
use monitrace_core::{ByteOffset, CodeId, Event, Firing, Payload, Reply};
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

/// `JUMP_FORWARD` of CPython 3.11, which a switched-off hook starts with.
const JUMP_FORWARD: u8 = crate::bytecode::opcodes::JUMP_FORWARD;

/// A place of an instrumented code object, as an object that bytecode can load.
#[repr(C)]
pub(super) struct Hook {
    base: ffi::PyObject,
    /// The code is borrowed: the record holds it.
    site: ManuallyDrop<Site>,
    /// NULL once the instrumented code object is gone.
    record: Cell<*const Instrumented>,
    place: u32,
    unit: u32,
    depth: u32,
    line: u32,
    offset: ByteOffset,
    /// The first unit while the hook is switched off.
    covered: Cell<Option<CodeUnit>>,
    event: Event,
    skip: u8,
    wakes_mover: bool,
    restores_position: bool,
}

/// What a hook is made from.
pub(super) struct HookParts {
    /// The code object that the program knows; borrowed.
    pub(super) code: *mut ffi::PyObject,
    /// Its number.
    pub(super) id: CodeId,
    pub(super) event: Event,
    pub(super) place: u32,
    /// The hook's first unit in the copy.
    pub(super) unit: u32,
    /// The units that a switched-off hook jumps over.
    pub(super) skip: u8,
    /// Values on the stack before the hook.
    pub(super) depth: u32,
    pub(super) offset: ByteOffset,
    /// 0 if the place has none.
    pub(super) line: u32,
    /// Whether a frame that waits further down the stack is to be moved after this place.
    pub(super) wakes_mover: bool,
    /// See `bytecode::Place::restores_position`.
    pub(super) restores_position: bool,
}

struct HookType(*mut ffi::PyTypeObject);
// SAFETY: a type object; it is only used with the GIL held.
unsafe impl Send for HookType {}
// SAFETY: as above.
unsafe impl Sync for HookType {}

static HOOK_TYPE: OnceLock<HookType> = OnceLock::new();

fn hook_type(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    if let Some(hook_type) = HOOK_TYPE.get() {
        return Ok(hook_type.0);
    }
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_nb_bool, pfunc: hook_bool as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: hook_dealloc as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"monitrace.Hook".as_ptr(),
        basicsize: size_of::<Hook>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec is complete and outlives the call; the slots have the types of their ids.
    let made = unsafe { ffi::PyType_FromSpec(&mut spec) };
    if made.is_null() {
        return Err(PyErr::fetch(py));
    }
    Ok(HOOK_TYPE.get_or_init(|| HookType(made.cast())).0)
}

impl Hook {
    /// Makes a hook that belongs to no record yet.
    pub(super) fn make(py: Python<'_>, parts: &HookParts) -> PyResult<Py<PyAny>> {
        let boxed = if parts.event == Event::Line { parts.line } else { parts.offset.0 };
        let position = boxed.into_pyobject(py)?.into_any().unbind();
        let hook_type = hook_type(py)?;
        // SAFETY: the type's basic size is that of Hook and it has no items and no GC header.
        let hook = unsafe { ffi::PyType_GenericAlloc(hook_type, 0) }.cast::<Hook>();
        if hook.is_null() {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: freshly allocated with room for a Hook; every field after the header is written
        // before anything can read it. `code` outlives the hook's record (see records.rs), and
        // ManuallyDrop keeps its count untouched.
        unsafe {
            let code = std::mem::transmute::<*mut ffi::PyObject, Py<PyAny>>(parts.code);
            let site = Site { code, position: position.into(), id: Some(parts.id), destination: None };
            ptr::addr_of_mut!((*hook).site).write(ManuallyDrop::new(site));
            ptr::addr_of_mut!((*hook).record).write(Cell::new(ptr::null()));
            ptr::addr_of_mut!((*hook).place).write(parts.place);
            ptr::addr_of_mut!((*hook).unit).write(parts.unit);
            ptr::addr_of_mut!((*hook).depth).write(parts.depth);
            ptr::addr_of_mut!((*hook).line).write(parts.line);
            ptr::addr_of_mut!((*hook).offset).write(parts.offset);
            ptr::addr_of_mut!((*hook).covered).write(Cell::new(None));
            ptr::addr_of_mut!((*hook).event).write(parts.event);
            ptr::addr_of_mut!((*hook).skip).write(parts.skip);
            ptr::addr_of_mut!((*hook).wakes_mover).write(parts.wakes_mover);
            ptr::addr_of_mut!((*hook).restores_position).write(parts.restores_position);
            Ok(Bound::from_owned_ptr(py, hook.cast()).unbind())
        }
    }

    /// Ties the hook to the record of its code object, or cuts it off with NULL.
    pub(super) fn set_record(&self, record: *const Instrumented) {
        self.record.set(record);
    }

    pub(super) fn place(&self) -> usize {
        self.place as usize
    }

    pub(super) fn wakes_mover(&self) -> bool {
        self.wakes_mover
    }

    pub(super) fn is_on(&self) -> bool {
        self.covered.get().is_none()
    }

    /// Writes the jump over the hook. The caller keeps the record's count.
    pub(super) fn switch_off(&self, record: &Instrumented) {
        if self.is_on() {
            let jump = CodeUnit::from_le_bytes([JUMP_FORWARD, self.skip]);
            self.covered.set(Some(record.replace_unit(self.unit, jump)));
        }
    }

    /// Takes the jump away again. The caller keeps the record's count.
    pub(super) fn switch_on(&self, record: &Instrumented) {
        if let Some(unit) = self.covered.take() {
            record.replace_unit(self.unit, unit);
        }
    }

    /// Runs between two instructions of the monitored code. -1: an exception is set.
    fn fire(&self, py: Python<'_>) -> c_int {
        // SAFETY: the record clears this pointer before it goes away, and the GIL is held.
        let Some(record) = (unsafe { self.record.get().as_ref() }) else { return 0 };
        if self.wakes_mover || super::frames::caller_is_armed() {
            super::frames::wake();
        }
        if self.event == Event::PyStart {
            self.stand_at_resume(record);
        }
        let monitor = super::monitor();
        let scope = record.scope();
        monitor.enter(scope);
        if scope.state(self.place()).active().is_empty() {
            Python::attach(|py| record.switch_off(py, self));
            return 0;
        }
        let value: *mut ffi::PyObject;
        let payload = match self.event {
            Event::Line if self.restores_position && self.comes_from_its_line(record) => return 0,
            Event::Line => Payload::Line(self.line),
            Event::PyReturn => match self.operand(record, 1) {
                Some(operand) => {
                    value = operand;
                    // SAFETY: Py<PyAny> is a transparent, non-null object pointer; the frame owns
                    // the object for longer than the callback runs.
                    Payload::Value(unsafe { &*(&raw const value).cast::<Py<PyAny>>() })
                }
                None => return 0,
            },
            _ => Payload::None,
        };
        let firing: Firing<'_, CPython> =
            Firing { event: self.event, offset: self.offset, code: &self.site, payload };
        match monitor.fire(scope, self.place(), &firing) {
            Ok(Reply::Continue) => 0,
            Ok(Reply::Disable) => {
                Python::attach(|py| record.switch_off(py, self));
                0
            }
            Err(raised) => {
                raised.0.restore(py);
                -1
            }
        }
    }

    /// Moves the frame's position from this hook, which has no line, to the `RESUME` in front of it.
    /// C code that asks for the line sees it there, and so does whoever looks at a traceback.
    fn stand_at_resume(&self, record: &Instrumented) {
        // SAFETY: the current thread has a frame when Python code runs; if that frame runs our code
        // object, then a unit of that is a place where it can stand. The loop does not read this
        // before it has written it again, for its next instruction.
        unsafe {
            let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
            if !frame.is_null() && (*frame).f_code == record.code() {
                let units = record.code().cast::<u8>().add(CODE_OFFSET).cast::<CodeUnit>();
                (*frame).prev_instr = units.add(self.unit as usize - 1);
            }
        }
    }

    /// Whether the position that a re-raising has restored, second on the stack of a handler, is on the
    /// hook's own line.
    fn comes_from_its_line(&self, record: &Instrumented) -> bool {
        let Some(position) = self.operand(record, 2) else { return false };
        // SAFETY: the frame owns the value, and the record its original, which has the line table.
        unsafe {
            if ffi::PyLong_CheckExact(position) == 0 {
                return false;
            }
            let offset = record.original_offset(ffi::PyLong_AsLong(position) as i32 * 2);
            let line = ffi::PyCode_Addr2Line(record.original().code().cast(), offset);
            u32::try_from(line) == Ok(self.line)
        }
    }

    /// The `nth` value from the top of the stack of the frame that runs the hook (1 is the top), read
    /// in place. `None` if the hook is not run by its own code: somebody got hold of the object.
    fn operand(&self, record: &Instrumented, nth: u32) -> Option<*mut ffi::PyObject> {
        // SAFETY: the current thread has a frame when Python code runs; if that frame runs our code
        // object, then it stands at this hook, where the stack holds `depth` values.
        unsafe {
            let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
            if frame.is_null() || (*frame).f_code != record.code() || self.depth < nth {
                return None;
            }
            let slot = (*record.code()).co_nlocalsplus as usize + (self.depth - nth) as usize;
            let operand = *(&raw const (*frame).localsplus).cast::<*mut ffi::PyObject>().add(slot);
            (!operand.is_null()).then_some(operand)
        }
    }
}

unsafe extern "C" fn hook_bool(hook: *mut ffi::PyObject) -> c_int {
    // SAFETY: nb_bool is called with the GIL held and an instance of the type.
    let (py, hook) = unsafe { (Python::assume_attached(), &*hook.cast::<Hook>()) };
    // Callbacks are instrumented too, and their hooks run as often as the program's.
    if super::quiet::is_quiet() && !hook.wakes_mover {
        return 0;
    }
    catch_unwind(AssertUnwindSafe(|| hook.fire(py))).unwrap_or_else(|_| {
        PySystemError::new_err("monitrace: a native callback panicked").restore(py);
        -1
    })
}

unsafe extern "C" fn hook_dealloc(hook: *mut ffi::PyObject) {
    // SAFETY: called once, with the GIL held, for an object that Hook::make made. Only the boxed
    // position is owned; a heap type is kept alive by its instances.
    unsafe {
        let site = ptr::read(&raw const (*hook.cast::<Hook>()).site);
        let Site { code, position, id: _, destination: _ } = ManuallyDrop::into_inner(site);
        std::mem::forget(code);
        // Not left to the drop: without a thread that PyO3 knows of, that would be put off.
        if let Some(position) = position.into_inner() {
            position.drop_ref(Python::assume_attached());
        }
        let hook_type = ffi::Py_TYPE(hook);
        ffi::PyObject_Free(hook.cast());
        ffi::Py_DECREF(hook_type.cast());
    }
}
