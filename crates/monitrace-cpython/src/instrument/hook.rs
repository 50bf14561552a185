//! The hook object: a constant of an instrumented code object whose truth value fires an event.
//!
//! The rewritten bytecode loads the hook and jumps if it is true. It never is: `nb_bool` does the
//! work and answers 0, or -1 with an exception set. A hook is switched off by writing a jump over
//! its first unit. Without room for it on the stack it is asked another way: see `detour`. That of a gate
//! is never off and has no place of its own: `gates` does its work.
//! A hook owns its boxed position, borrows everything else from the record of its code
//! object, and must check that record before it reads anything: a hook can outlive its code.

use super::calls::{Call, Places};
use super::gates::{self, place_of, replace_exception};
use super::quiet::Thread;
use super::records::Instrumented;
use super::stops;
use crate::bytecode::{Operands, Place, Side};
use crate::callback::PythonCallback;
use crate::ffi::classobject::{PyMethod_Type, PyMethodObject};
use crate::ffi::code::CodeUnit;
use crate::ffi::frame::InterpreterFrame;
use crate::ffi::pystate::_PyThreadState_UncheckedGet;
use crate::host::{CPython, Raised, Site};
use monitrace_core::{ByteOffset, CodeId, Event, EventSet, Firing, Monitor, Payload, ToolSet};
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::{Cell, OnceCell};
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
    /// Of a `CALL`: the hook behind the call, or NULL. It lives as long as this one's record.
    behind: Cell<*const Hook>,
    place: u32,
    unit: u32,
    depth: u32,
    /// 0 if the place has none.
    line: u32,
    offset: ByteOffset,
    destination: ByteOffset,
    /// The first unit while the hook is covered.
    covered: Cell<Option<CodeUnit>>,
    /// How often it still counts that it is passed, switched off but not yet covered.
    countdown: Cell<u8>,
    event: Event,
    side: Side,
    skip: u8,
    wakes_mover: bool,
    /// Whether it needs no room on the stack.
    is_tight: bool,
    /// Whether its event is told at its place, and nothing else is to be done.
    is_plain: bool,
    restores_position: bool,
    is_of_anext: bool,
    call: Option<Operands>,
}

/// What a hook is made from.
pub(super) struct HookParts<'a> {
    /// The code object that the program knows; borrowed.
    pub(super) code: *mut ffi::PyObject,
    /// Its number.
    pub(super) id: CodeId,
    /// The place and its index; `None` for gates.
    pub(super) place: Option<(usize, &'a Place)>,
    /// The hook's first unit in the copy.
    pub(super) unit: u32,
    /// The units that a switched-off hook jumps over.
    pub(super) skip: u8,
    /// Whether it needs no room on the stack.
    pub(super) is_tight: bool,
    /// Whether a frame that waits further down the stack is to be moved after this place.
    pub(super) wakes_mover: bool,
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
        ffi::PyType_Slot { slot: ffi::Py_tp_hash, pfunc: super::detour::hash as *mut c_void },
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
    pub(super) fn make(py: Python<'_>, parts: &HookParts<'_>) -> PyResult<Py<PyAny>> {
        let hook_type = hook_type(py)?;
        let (index, place) = parts.place.unzip();
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
            let site = Site { code, position: OnceCell::new(), id: Some(parts.id), destination: None };
            ptr::addr_of_mut!((*hook).site).write(ManuallyDrop::new(site));
            ptr::addr_of_mut!((*hook).record).write(Cell::new(ptr::null()));
            ptr::addr_of_mut!((*hook).behind).write(Cell::new(ptr::null()));
            ptr::addr_of_mut!((*hook).place).write(index.map_or(u32::MAX, |index| index as u32));
            ptr::addr_of_mut!((*hook).unit).write(parts.unit);
            ptr::addr_of_mut!((*hook).depth).write(place.map_or(0, |place| place.depth));
            ptr::addr_of_mut!((*hook).line).write(place.and_then(|place| place.line).unwrap_or(0));
            ptr::addr_of_mut!((*hook).offset).write(place.map_or(ByteOffset(0), |place| place.offset));
            let destination = place.and_then(|place| place.destination);
            ptr::addr_of_mut!((*hook).destination).write(destination.unwrap_or_default());
            ptr::addr_of_mut!((*hook).covered).write(Cell::new(None));
            ptr::addr_of_mut!((*hook).countdown).write(Cell::new(0));
            ptr::addr_of_mut!((*hook).event).write(place.map_or(Event::Raise, |place| place.event));
            ptr::addr_of_mut!((*hook).side).write(place.map_or(Side::Raising, |place| place.side));
            ptr::addr_of_mut!((*hook).skip).write(parts.skip);
            ptr::addr_of_mut!((*hook).wakes_mover).write(parts.wakes_mover);
            let is_plain = place.is_some_and(|place| {
                let more = EventSet::PY_START
                    | EventSet::CALL
                    | EventSet::C_RETURN
                    | EventSet::EXCEPTION_HANDLED
                    | EventSet::STOP_ITERATION;
                place.side != Side::Raising && !more.contains(place.event.set())
            });
            ptr::addr_of_mut!((*hook).is_plain).write(is_plain);
            ptr::addr_of_mut!((*hook).is_tight).write(parts.is_tight);
            let restores = place.is_some_and(|place| place.restores_position);
            ptr::addr_of_mut!((*hook).restores_position).write(restores);
            ptr::addr_of_mut!((*hook).is_of_anext).write(place.is_some_and(|place| place.is_of_anext));
            ptr::addr_of_mut!((*hook).call).write(place.and_then(|place| place.call));
            Ok(Bound::from_owned_ptr(py, hook.cast()).unbind())
        }
    }

    /// Ties the hook to the record of its code object, or cuts it off with NULL.
    pub(super) fn set_record(&self, record: *const Instrumented) {
        self.record.set(record);
    }

    /// Says which hook stands behind the call that this one is in front of.
    pub(super) fn set_behind(&self, behind: *const Hook) {
        self.behind.set(behind);
    }

    /// Whether an object is a hook.
    pub(super) fn is_hook(object: *mut ffi::PyObject) -> bool {
        // SAFETY: a live object; reading a type's address is always allowed.
        HOOK_TYPE.get().is_some_and(|kind| unsafe { ffi::Py_TYPE(object) } == kind.0)
    }

    pub(super) fn place(&self) -> usize {
        self.place as usize
    }

    /// How many values are on the stack before the hook.
    pub(super) fn depth(&self) -> usize {
        self.depth as usize
    }

    /// The unit of the copy that asks for its truth.
    pub(super) fn asks_at(&self) -> u32 {
        self.unit + u32::from(self.skip)
    }

    /// Whether its callbacks may have the frame jump, as in CPython 3.14 (Objects/frameobject.c).
    pub(super) fn lets_jump(&self) -> bool {
        let lets = EventSet::LINE
            | EventSet::INSTRUCTION
            | EventSet::JUMP
            | EventSet::BRANCH_LEFT
            | EventSet::BRANCH_RIGHT;
        lets.contains(self.event.set())
    }

    /// Whether it stands where a loop ends.
    pub(super) fn is_of_end(&self) -> bool {
        self.event == Event::StopIteration && self.side == Side::Taken
    }

    pub(super) fn is_tight(&self) -> bool {
        self.is_tight
    }

    /// Whether it stands behind a call.
    pub(super) fn is_behind_call(&self) -> bool {
        self.event == Event::CReturn
    }

    /// Whether it stands in front of a handler.
    pub(super) fn is_of_handling(&self) -> bool {
        self.side == Side::Handler
    }

    /// Whether it stands on one of the ways that lead away from its instruction.
    pub(super) fn is_on_a_way(&self) -> bool {
        matches!(self.side, Side::Taken | Side::Behind)
    }

    pub(super) fn offset(&self) -> ByteOffset {
        self.offset
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// Whether it has anything to do. The record's scope must have been entered.
    pub(super) fn is_wanted(&self, record: &Instrumented) -> bool {
        let scope = record.scope();
        match self.event {
            Event::Call => !Places::of_call(scope, self.place()).tools().is_empty(),
            // The hook before a call opens it if the end of that is an event. What was noted there is to be taken out
            // here, whoever listens then.
            Event::CReturn => record.calls().has(self.place() - 1),
            Event::StopIteration => match self.side {
                Side::Taken => {
                    let awaits = self.is_of_anext && !scope.state(place_of(Event::Raise)).active().is_empty();
                    awaits || record.stops().has(self)
                }
                // It notes what loops elsewhere may want to know.
                _ => true,
            },
            _ => !scope.state(self.place()).active().is_empty(),
        }
    }

    pub(super) fn wakes_mover(&self) -> bool {
        self.wakes_mover
    }

    pub(super) fn is_on(&self) -> bool {
        self.covered.get().is_none() && self.countdown.get() == 0
    }

    /// Has it count how often it is passed, now that it is off, before it is covered.
    pub(super) fn count_down(&self, from: u8) {
        if self.covered.get().is_none() {
            self.countdown.set(from);
        }
    }

    /// It was passed. Whether it has counted to the end.
    pub(super) fn has_counted(&self) -> bool {
        match self.countdown.get() {
            0 => false,
            left => {
                self.countdown.set(left - 1);
                left == 1
            }
        }
    }

    /// Writes the jump over the hook. The caller keeps the record's count.
    pub(super) fn switch_off(&self, record: &Instrumented) {
        self.countdown.set(0);
        if self.is_on() {
            let jump = CodeUnit::from_le_bytes([JUMP_FORWARD, self.skip]);
            self.covered.set(Some(record.replace_unit(self.unit, jump)));
        }
    }

    /// Takes the jump away again. The caller keeps the record's count.
    pub(super) fn switch_on(&self, record: &Instrumented) {
        self.countdown.set(0);
        if let Some(unit) = self.covered.take() {
            record.replace_unit(self.unit, unit);
        }
    }

    /// Answers the bytecode that asks for its truth: 0, or -1 with an exception set.
    pub(super) fn ask(&self, py: Python<'_>) -> c_int {
        // Callbacks are instrumented too, and their hooks run as often as the program's.
        let thread = Thread::current(py);
        if thread.is_quiet() && !self.wakes_mover {
            return 0;
        }
        catch_unwind(AssertUnwindSafe(|| self.fire(thread))).unwrap_or_else(|_| {
            PySystemError::new_err("monitrace: a native callback panicked").restore(py);
            -1
        })
    }

    /// Runs between two instructions of the monitored code. -1: an exception is set.
    fn fire(&self, thread: Thread<'_>) -> c_int {
        // SAFETY: the record clears this pointer before it goes away, and the GIL is held.
        let Some(record) = (unsafe { self.record.get().as_ref() }) else { return 0 };
        if super::mover::caller_is_armed() && (self.wakes_mover || self.may_leave(record)) {
            super::mover::wake();
        }
        let monitor = super::monitor();
        monitor.enter(record.scope());
        let told = match self.is_plain {
            true => self.fire_place(thread, monitor, record),
            false => self.fire_otherwise(thread, monitor, record),
        };
        match told {
            Ok(()) => 0,
            Err(raised) => {
                raised.0.restore(thread.py());
                -1
            }
        }
    }

    /// The same for the events that are more than what is told at one place.
    #[inline(never)]
    fn fire_otherwise(
        &self,
        thread: Thread<'_>,
        monitor: &Monitor<CPython>,
        record: &Instrumented,
    ) -> Result<(), Raised> {
        let py = thread.py();
        match self.event {
            _ if self.side == Side::Raising => {
                gates::fire(py, record);
                Ok(())
            }
            Event::ExceptionHandled => {
                self.fire_handled(py, record);
                Ok(())
            }
            Event::StopIteration if self.side == Side::Taken => self.fire_end(py, record),
            Event::StopIteration => self.note_end(py, record),
            Event::PyStart => {
                self.stand_at_resume(record);
                let told = self.fire_place(thread, monitor, record);
                record.show_elsewhere(ptr::null_mut());
                told
            }
            Event::Call => self.fire_call(thread, monitor, record),
            Event::CReturn => self.fire_return(py, record),
            _ => self.fire_place(thread, monitor, record),
        }
    }

    /// Whether the frame may be left behind it, before the next hook.
    fn may_leave(&self, record: &Instrumented) -> bool {
        match self.event {
            Event::PyReturn | Event::PyYield => true,
            _ if self.side == Side::Raising => {
                // SAFETY: the current thread has a frame when Python code runs; if that frame runs our code
                // object, then it stands at one of its gates.
                let unit = unsafe {
                    let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
                    (*frame).prev_instr.offset_from(record.units())
                };
                let gate = u32::try_from(unit).ok().and_then(|unit| record.rewritten().gate_at(unit));
                gate.is_some_and(|gate| gate.leaves)
            }
            _ => !record.has_hooks_at_exits(),
        }
    }

    /// Tells of the event of its place.
    #[inline(always)]
    fn fire_place(
        &self,
        thread: Thread<'_>,
        monitor: &Monitor<CPython>,
        record: &Instrumented,
    ) -> Result<(), Raised> {
        let scope = record.scope();
        let state = scope.state(self.place());
        let before = state.active();
        if before.is_empty() {
            record.switch_off(thread.py(), self);
            return Ok(());
        }
        let value: *mut ffi::PyObject;
        let payload = match self.event {
            Event::Line if self.restores_position && self.comes_from_its_line(record) => return Ok(()),
            Event::Line => Payload::Line(self.line),
            Event::PyReturn | Event::PyYield => match self.operand(record, 1) {
                Some(operand) => {
                    value = operand;
                    Payload::Value(as_object(&value))
                }
                None => return Ok(()),
            },
            Event::Jump | Event::BranchLeft | Event::BranchRight => Payload::Destination(self.destination),
            _ => Payload::None,
        };
        let firing: Firing<'_, CPython> =
            Firing { event: self.event, offset: self.offset, code: &self.site, payload };
        let Some(muted) = thread.mute() else { return Ok(()) };
        monitor.fire_muted(scope, state, &firing)?;
        drop(muted);
        let after = state.active();
        if before != after {
            self.some_disabled(thread.py(), record, before.without(after), after);
        }
        Ok(())
    }

    /// Callbacks have disabled it, for all tools or some.
    #[cold]
    fn some_disabled(&self, py: Python<'_>, record: &Instrumented, tools: ToolSet, left: ToolSet) {
        if matches!(self.event, Event::BranchLeft | Event::BranchRight) {
            self.disable_other_side(record, tools);
        }
        if left.is_empty() {
            record.switch_off(py, self);
        }
    }

    /// Disables the other side of a branch too, for those of the tools whose callback is for both.
    fn disable_other_side(&self, record: &Instrumented, tools: ToolSet) {
        let is_other = |hook: &&Hook| {
            matches!(hook.event, Event::BranchLeft | Event::BranchRight)
                && hook.event != self.event
                && hook.offset == self.offset
        };
        let Some(other) = record.hooks().find(is_other) else { return };
        for tool in tools.highest_first() {
            let is_of_both = super::monitor().read_callback(tool, self.event, PythonCallback::is_of_branch);
            if is_of_both == Some(true) {
                super::monitor().disable_at(record.scope(), other.place(), tool);
            }
        }
        other.switch_off_unless_wanted(record);
    }

    /// Before a call: tells of it, and notes it if its end is to be told.
    fn fire_call(
        &self,
        thread: Thread<'_>,
        monitor: &Monitor<CPython>,
        record: &Instrumented,
    ) -> Result<(), Raised> {
        let (py, scope) = (thread.py(), record.scope());
        let places = Places::of_call(scope, self.place());
        let tools = places.tools();
        if tools.is_empty() {
            record.switch_off(py, self);
            return Ok(());
        }
        let Some(frame) = self.frame_of(thread, record) else { return Ok(()) };
        let Some(operands) = self.call_operands(py, record, frame)? else { return Ok(()) };
        let callable = as_object(&operands.callable);
        let arg0 = (!operands.arg0.is_null()).then(|| as_object(&operands.arg0));
        let state = scope.state(self.place());
        if !state.active().is_empty() {
            let firing: Firing<'_, CPython> = Firing {
                event: Event::Call,
                offset: self.offset,
                code: &self.site,
                payload: Payload::Call { callable, arg0 },
            };
            let Some(muted) = thread.mute() else { return Ok(()) };
            monitor.fire_muted(scope, state, &firing)?;
            drop(muted);
        }
        if operands.has_end && !(tools & places.hearing_ends()).is_empty() {
            let (callable, arg0) = (callable.clone_ref(py), arg0.map(|arg0| arg0.clone_ref(py)));
            let older = record.calls().begin(Call { frame, hook: self, tools, callable, arg0 });
            if let Some(older) = older {
                older.forget(py);
            }
            // SAFETY: see the field.
            if let Some(behind) = unsafe { self.behind.get().as_ref() } {
                record.switch_on(behind);
            }
        }
        monitor.enter(scope);
        if places.tools().is_empty() {
            record.switch_off(py, self);
        }
        Ok(())
    }

    /// Behind a call: tells of its end if it was noted. The next call is probably one whose end is an event, too.
    fn fire_return(&self, py: Python<'_>, record: &Instrumented) -> Result<(), Raised> {
        let call = self.frame(record).and_then(|frame| record.calls().take(frame));
        let has_end = call.is_some();
        let told = call.map_or(Ok(()), |call| call.end(py, record, Event::CReturn));
        let scope = record.scope();
        super::monitor().enter(scope);
        let goes_on = has_end && !Places::of_return(scope, self.place()).tools_for_ends().is_empty();
        if !goes_on && !record.calls().has(self.place() - 1) {
            record.switch_off(py, self);
        }
        told
    }

    /// In front of a handler. What the callback raises is what is handled, as CPython 3.14 has it; there it is
    /// told of once more for each time.
    fn fire_handled(&self, py: Python<'_>, record: &Instrumented) {
        let Some(slot) = self.slot(record, 1) else { return };
        for _ in 0..2 {
            // SAFETY: the frame that runs the hook owns the value in the slot.
            let exception = unsafe { as_object(&*slot) };
            let payload = Payload::Exception(exception);
            let firing: Firing<'_, CPython> =
                Firing { event: self.event, offset: self.offset, code: &self.site, payload };
            match super::monitor().fire(record.scope(), self.place(), &firing) {
                Ok(_) => break,
                // SAFETY: as above.
                Err(raised) => unsafe { replace_exception(py, slot, raised) },
            }
        }
        self.switch_off_unless_wanted(record);
    }

    /// Behind a loop: tells how its iterator ended if that was noted.
    fn fire_end(&self, py: Python<'_>, record: &Instrumented) -> Result<(), Raised> {
        if self.is_of_anext
            && let (Some(iterator), Some(item)) = (self.operand(record, 2), self.operand(record, 1))
        {
            // SAFETY: the frame owns both values.
            unsafe { stops::yielded(py, self, record, iterator, as_object(&item))? };
        }
        let stop = self.frame(record).and_then(|frame| record.stops().take(frame, self));
        let told = stop.map_or(Ok(()), |stop| {
            let place = match stop.event {
                Event::StopIteration => self.place(),
                _ => place_of(stop.event),
            };
            let payload = Payload::Exception(&stop.exception);
            let firing: Firing<'_, CPython> =
                Firing { event: stop.event, offset: self.offset, code: &self.site, payload };
            let told = super::monitor().fire(record.scope(), place, &firing);
            stop.exception.drop_ref(py);
            told.map(|_| ())
        });
        self.switch_off_unless_wanted(record);
        told
    }

    /// Before a generator returns: notes what, if it ends a loop.
    fn note_end(&self, py: Python<'_>, record: &Instrumented) -> Result<(), Raised> {
        if let (Some(frame), Some(value)) = (self.frame(record), self.operand(record, 1)) {
            // SAFETY: the thread's newest frame runs this hook, and owns the value.
            unsafe { stops::returned(py, frame, as_object(&value))? };
        }
        Ok(())
    }

    pub(super) fn switch_off_unless_wanted(&self, record: &Instrumented) {
        super::monitor().enter(record.scope());
        if !self.is_wanted(record) {
            Python::attach(|py| record.switch_off(py, self));
        }
    }

    /// The frame that runs this hook. `None` if it is not run by its own code: somebody got hold of the
    /// object.
    pub(super) fn frame(&self, record: &Instrumented) -> Option<*mut InterpreterFrame> {
        // SAFETY: hooks run in threads that hold the GIL.
        self.frame_of(Thread::current(unsafe { Python::assume_attached() }), record)
    }

    /// The same, of a thread that was looked up.
    fn frame_of(&self, thread: Thread<'_>, record: &Instrumented) -> Option<*mut InterpreterFrame> {
        let frame = thread.frame();
        // SAFETY: the current thread has a frame when Python code runs; the hook's units are the copy's.
        unsafe {
            let here = record.units().add(self.asks_at() as usize);
            (!frame.is_null() && (*frame).prev_instr == here).then_some(frame)
        }
    }

    /// What is about to be called. The objects are borrowed from the stack. `None` if the call itself is to
    /// find out that the arguments cannot be unpacked.
    ///
    /// # Errors
    /// Whatever unpacking them raises.
    fn call_operands(
        &self,
        py: Python<'_>,
        record: &Instrumented,
        frame: *mut InterpreterFrame,
    ) -> PyResult<Option<CallOperands>> {
        // SAFETY: the frame stands at this hook, where the stack holds `depth` values, and the rewriter found
        // these operands there: at most the lowest is NULL. Nobody else changes the stack of a frame
        // that runs.
        unsafe {
            let locals = (&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>();
            let top = locals.add((*record.code()).co_nlocalsplus as usize + self.depth as usize);
            Ok(match self.call {
                None => None,
                Some(Operands::Each(count)) => {
                    let first = top.sub(count as usize);
                    let (below, next) = (*first.sub(2), *first.sub(1));
                    let arg0 = if count == 0 { ptr::null_mut() } else { *first };
                    let (callable, arg0) = match (below.is_null(), bound_method(next), bound_method(below)) {
                        (true, None, _) => (next, arg0),
                        (true, Some(bound), _) => bound,
                        // `__exit__` at the end of a `with`; a decorator is not taken apart.
                        (false, _, Some(bound)) if count > 0 => bound,
                        (false, _, _) => (below, next),
                    };
                    let has_end = ffi::PyFunction_Check(callable) == 0;
                    Some(CallOperands { callable, arg0, has_end })
                }
                Some(Operands::Packed { named }) => {
                    let packed = top.sub(1 + usize::from(named));
                    let callable = *packed.sub(1);
                    if ffi::PyTuple_CheckExact(*packed) == 0 {
                        // As CPython 3.14: unpacked before the event, with the same errors as without it.
                        if (*ffi::Py_TYPE(*packed)).tp_iter.is_none() && ffi::PySequence_Check(*packed) == 0 {
                            return Ok(None);
                        }
                        let tuple = Bound::from_owned_ptr_or_err(py, ffi::PySequence_Tuple(*packed))?;
                        drop(Bound::from_owned_ptr(py, packed.replace(tuple.into_ptr())));
                    }
                    let has_first = ffi::PyTuple_GET_SIZE(*packed) > 0;
                    let arg0 = if has_first { ffi::PyTuple_GET_ITEM(*packed, 0) } else { ptr::null_mut() };
                    let has_end = ffi::PyFunction_Check(callable) == 0 && bound_method(callable).is_none();
                    Some(CallOperands { callable, arg0, has_end })
                }
            })
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
                (*frame).prev_instr = record.units().add(self.unit as usize - 1);
                record.show_elsewhere(frame);
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
        // SAFETY: the slot is one of the frame's.
        self.slot(record, nth).map(|slot| unsafe { *slot }).filter(|operand| !operand.is_null())
    }

    /// Where the topmost value on the stack of the frame is that runs this hook and stands so many units behind the
    /// one that asks for its truth, if it is tight. `None` if no frame does.
    pub(super) fn slot_on_top(&self, units: i32) -> Option<*mut *mut ffi::PyObject> {
        // SAFETY: the record clears this pointer before it goes away, and the GIL is held. The current thread has a
        // frame when Python code runs; if that frame runs our code object, then prev_instr points into it.
        unsafe {
            let record = self.record.get().as_ref()?;
            let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
            if frame.is_null() || (*frame).f_code != record.code() {
                return None;
            }
            let unit = (*frame).prev_instr.offset_from(record.units()) - units as isize;
            let depth = record.depth_at_tight(self, u32::try_from(unit).ok()?)?;
            let slot = (*record.code()).co_nlocalsplus as usize + depth as usize - 1;
            Some((&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>().add(slot))
        }
    }

    /// Where that value is.
    fn slot(&self, record: &Instrumented, nth: u32) -> Option<*mut *mut ffi::PyObject> {
        // SAFETY: the current thread has a frame when Python code runs; if that frame runs our code
        // object, then it stands at this hook, where the stack holds `depth` values.
        unsafe {
            let frame = (*(*_PyThreadState_UncheckedGet()).cframe).current_frame;
            if frame.is_null() || (*frame).f_code != record.code() || self.depth < nth {
                return None;
            }
            let slot = (*record.code()).co_nlocalsplus as usize + (self.depth - nth) as usize;
            Some((&raw mut (*frame).localsplus).cast::<*mut ffi::PyObject>().add(slot))
        }
    }
}

/// What is about to be called: borrowed.
struct CallOperands {
    callable: *mut ffi::PyObject,
    /// NULL if there is no argument.
    arg0: *mut ffi::PyObject,
    /// Whether the end of the call is an event: it is not for functions in Python.
    has_end: bool,
}

/// The function and the instance of a bound method; `None` for NULL and everything else.
///
/// # Safety
/// NULL or a live object, for as long as the result is used.
unsafe fn bound_method(object: *mut ffi::PyObject) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
    // SAFETY: reading the type of a live object is always allowed, and a method has both.
    unsafe {
        let is_method = !object.is_null() && ffi::Py_TYPE(object) == &raw mut PyMethod_Type;
        let method = object.cast::<PyMethodObject>();
        is_method.then(|| ((*method).im_func, (*method).im_self))
    }
}

/// An object that somebody else keeps alive for as long as the reference to its pointer.
pub(super) fn as_object(pointer: &*mut ffi::PyObject) -> &Py<PyAny> {
    // SAFETY: Py<PyAny> is a transparent, non-null object pointer; callers pass operands, which the stack
    // of the frame that runs the hook owns.
    unsafe { &*ptr::from_ref(pointer).cast::<Py<PyAny>>() }
}

unsafe extern "C" fn hook_bool(hook: *mut ffi::PyObject) -> c_int {
    // SAFETY: nb_bool is called with the GIL held and an instance of the type.
    let (py, hook) = unsafe { (Python::assume_attached(), &*hook.cast::<Hook>()) };
    hook.ask(py)
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
