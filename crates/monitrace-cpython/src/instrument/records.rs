//! What is kept with code objects: [`Original`] with one that the program knows, [`Instrumented`]
//! with a rewritten copy of it.
//!
//! Both hang on their code object's `co_extra` and go when it goes. Who holds whom: a copy owns its
//! hooks (constants) and its original; an original only borrows its current copy, and hooks only
//! borrow their record. Code objects are not tracked by the garbage collector, so there must never
//! be a cycle of owned references among them: while no events are set, and nothing runs its current copy,
//! an original may own that, and then the copy only borrows its original.

use super::calls::{Call, Calls, ENDS, Places};
use super::gates::place_of;
use super::hook::{Hook, HookParts};
use super::stops::{ENDINGS, Stops};
use crate::bytecode::{Analysis, CodeBytes, Landing, Plan, RAISING, Rewritten, Side};
use crate::co_branches::Branch;
use crate::ffi::code::{
    _PyCode_GetExtra, _PyCode_SetExtra, CODE_OFFSET, CodeUnit, PyCode_GetCellvars, PyCode_GetCode,
    PyCode_GetFreevars, PyCode_GetVarnames, PyCode_NewWithPosOnlyArgs, PyCodeObject,
};
use crate::ffi::frame::InterpreterFrame;
use monitrace_core::{ByteOffset, CodeId, Event, EventSet, Scope, UnitIndex};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;
use std::sync::OnceLock;

/// A borrowed pointer to a code object: one of the program's, or a copy.
pub(super) type CodePtr = *mut PyCodeObject;

struct ExtraIndexes {
    original: ffi::Py_ssize_t,
    instrumented: ffi::Py_ssize_t,
}

fn extra_indexes() -> &'static ExtraIndexes {
    static INDEXES: OnceLock<ExtraIndexes> = OnceLock::new();
    INDEXES.get_or_init(|| {
        // SAFETY: called with the GIL held; the functions free what the slots hold.
        let (original, instrumented) = unsafe {
            (
                ffi::PyUnstable_Eval_RequestCodeExtraIndex(free_original),
                ffi::PyUnstable_Eval_RequestCodeExtraIndex(free_instrumented),
            )
        };
        assert!(original >= 0 && instrumented >= 0, "all slots for extra data of code objects are taken");
        ExtraIndexes { original, instrumented }
    })
}

fn extra(code: CodePtr, index: ffi::Py_ssize_t) -> *mut c_void {
    let mut extra = ptr::null_mut();
    // SAFETY: `code` is a live code object and the GIL is held; an unset slot reads as NULL.
    unsafe { _PyCode_GetExtra(code.cast(), index, &mut extra) };
    extra
}

fn set_extra(py: Python<'_>, code: CodePtr, index: ffi::Py_ssize_t, extra: *mut c_void) -> PyResult<()> {
    // SAFETY: as above; the slot's free function knows what it is given.
    match unsafe { _PyCode_SetExtra(code.cast(), index, extra) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(py)),
    }
}

/// The flags of code whose calls make generators and their kin.
pub(super) const GENERATORS: i32 = ffi::CO_GENERATOR | ffi::CO_COROUTINE | ffi::CO_ASYNC_GENERATOR;

/// Whether the object is exactly a code object.
pub(super) fn is_code(object: *mut ffi::PyObject) -> bool {
    // SAFETY: a live object; reading a type's address is always allowed.
    unsafe { ffi::Py_TYPE(object) == &raw mut ffi::PyCode_Type }
}

/// What is known of a code object of the program.
pub(super) struct Original {
    code: CodePtr,
    scope: Scope,
    /// The copy that new calls run; NULL if there is none. Cleared when that copy goes.
    current: Cell<*const Instrumented>,
    /// That copy, while it is kept for the next time that events are set.
    parked: Cell<Option<Py<PyAny>>>,
    /// All living copies, those of single frames included. Each takes itself out when it goes.
    copies: RefCell<Vec<*const Instrumented>>,
    /// Every hook is off and its functions have been given the original back.
    settled: Cell<bool>,
    /// The code object whose constant it is, if that was instrumented.
    parent: Cell<Option<CodeId>>,
}

impl Original {
    /// The record of a code object of the program, made at the first call. If its bytecode was
    /// refused it has no place for any event, and runs unmonitored.
    pub(super) fn of(py: Python<'_>, code: CodePtr) -> PyResult<Rc<Original>> {
        Ok(Original::of_and_analysis(py, code)?.0)
    }

    /// The same, with the analysis if the record had to be made: nobody should make another at once.
    pub(super) fn of_and_analysis(
        py: Python<'_>,
        code: CodePtr,
    ) -> PyResult<(Rc<Original>, Option<Analysis>)> {
        if let Some(known) = Original::known(code) {
            return Ok((known, None));
        }
        let analysis = analyse(py, code)?;
        let events = analysis.iter().flat_map(|analysis| analysis.places()).map(|place| place.event);
        let id = super::registry().number(code);
        let record = Rc::new(Original {
            code,
            scope: Scope::new(id, events),
            current: Cell::new(ptr::null()),
            parked: Cell::new(None),
            copies: RefCell::default(),
            settled: Cell::new(false),
            parent: Cell::new(None),
        });
        set_extra(py, code, extra_indexes().original, Rc::into_raw(Rc::clone(&record)).cast_mut().cast())?;
        Ok((record, analysis))
    }

    /// The record, if there is one already.
    pub(super) fn known(code: CodePtr) -> Option<Rc<Original>> {
        let record = extra(code, extra_indexes().original).cast_const().cast::<Original>();
        if record.is_null() {
            return None;
        }
        // SAFETY: the slot holds one count of an Rc made by into_raw; the GIL keeps it from going
        // while another count is taken.
        unsafe {
            Rc::increment_strong_count(record);
            Some(Rc::from_raw(record))
        }
    }

    pub(super) fn code(&self) -> CodePtr {
        self.code
    }

    pub(super) fn id(&self) -> CodeId {
        self.scope.code()
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The copy that new calls run.
    pub(super) fn current(&self) -> Option<&Instrumented> {
        // SAFETY: cleared when the copy goes (free_instrumented), with the GIL held.
        unsafe { self.current.get().as_ref() }
    }

    /// Whether nobody listens at a place. A call's end is told where its beginning has a hook; loops that end are always
    /// looked at.
    fn is_idle(&self, place: usize, event: Event) -> bool {
        match event {
            Event::StopIteration => false,
            Event::Call => Places::of_call(&self.scope, place).tools().is_empty(),
            Event::CReturn => self.is_idle(place - 1, Event::Call),
            _ => self.scope.state(place).active().is_empty(),
        }
    }

    /// All living copies, held: new calls run only one of them.
    pub(super) fn copies(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        // SAFETY: a copy takes itself out of this before it goes (free_instrumented), and knows its code object.
        let hold = |&copy: &*const Instrumented| unsafe {
            Bound::from_borrowed_ptr(py, (*copy).code.cast()).unbind()
        };
        self.copies.borrow().iter().map(hold).collect()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    pub(super) fn settle(&self) {
        self.settled.set(true);
        super::registry().lock().settled.insert(self.id());
    }

    /// Takes that back. Whether it was settled.
    pub(super) fn unsettle(&self) -> bool {
        let changes = self.settled.replace(false);
        if changes {
            super::registry().lock().settled.remove(&self.id());
        }
        changes
    }

    /// The code object whose constant this is, if that was instrumented and is still there.
    pub(super) fn parent(&self) -> Option<Rc<Original>> {
        super::registry().numbered(self.parent.get()?)
    }
}

/// The rewritten copy of a code object.
pub(super) struct Instrumented {
    code: CodePtr,
    original: Rc<Original>,
    /// Keeps the original alive: callbacks are given it, and running frames may still use its constants. `None`
    /// while the original keeps this alive.
    original_object: Cell<Option<Py<PyAny>>>,
    rewritten: Rewritten,
    /// Borrowed from the constants; in the order of their places.
    hooks: Vec<*const Hook>,
    /// The one of all gates; NULL if there are none.
    gate: *const Hook,
    /// The hooks where loops end, by the unit of the loop's instruction.
    ends: Vec<(u32, *const Hook)>,
    /// The lines that its gates tell of, in the order of their offsets.
    thrown_lines: Vec<ThrownLine>,
    calls: Calls,
    stops: Stops,
    /// The unit at which something was raised last, and the one of the original that it stands for.
    last_raising: Cell<(UnitIndex, UnitIndex)>,
    /// A frame that tells of an event while it is shown at another unit than that of its hook, or NULL.
    shown_elsewhere: Cell<*mut InterpreterFrame>,
    /// Whether a hook stands before each return and yield.
    has_hooks_at_exits: bool,
    /// Whether these, and its gates, are there for the mover, too: they stay on.
    wakes_mover: bool,
    /// The hook that each call passes first, if it is to count them once it is off. NULL: there is nothing to count.
    first: *const Hook,
    /// The places that have no hook for nobody listened there, in a thin copy.
    left_out: Vec<(usize, Event)>,
    /// Whether somebody listens at one of them now.
    lacks_hooks: Cell<bool>,
    /// How many hooks are not switched off.
    on: Cell<usize>,
    /// Whether its gates are counted as one of them.
    gates_are_on: Cell<bool>,
    events: EventSet,
    /// Which constants are code objects, and the original's, which it keeps alive.
    nested: Vec<(usize, CodePtr)>,
}

/// The events that a copy needs gates for.
const GATED: EventSet = ENDINGS
    .union(ENDS)
    .union(EventSet::RERAISE)
    .union(EventSet::EXCEPTION_HANDLED)
    .union(EventSet::PY_UNWIND)
    .union(EventSet::PY_THROW);

/// A line that begins when something is thrown into a generator that waits for another.
#[derive(Clone, Copy)]
pub(super) struct ThrownLine {
    /// Where the generator waits.
    pub(super) offset: ByteOffset,
    pub(super) line: u32,
    /// The index of its place.
    pub(super) place: usize,
}

/// How a copy is to differ from the one that new calls run.
#[derive(Default)]
pub(super) struct Variant {
    /// A running frame has no more stack than this.
    pub(super) stack_limit: Option<u32>,
    /// Where a running frame enters it.
    pub(super) landing: Option<Landing>,
    /// Its frame is the last that its evaluation loop leaves: each return, yield and exception wakes the mover.
    pub(super) wakes_mover: bool,
    /// It has no hook where nobody listens.
    pub(super) is_thin: bool,
}

/// After so many calls, code that runs past hooks which are off gets a thin copy: what that costs is then little beside
/// what it has cost to run.
const CALLS_BEFORE_THIN: u8 = 128;

impl Variant {
    fn is_current(&self) -> bool {
        self.stack_limit.is_none() && self.landing.is_none()
    }
}

impl Instrumented {
    /// The record of a copy; `None` for every other code object.
    pub(super) fn of<'a>(code: CodePtr) -> Option<&'a Instrumented> {
        // SAFETY: the slot holds a Box that goes with the code object. Callers hold the code object
        // for as long as they use the record.
        unsafe { extra(code, extra_indexes().instrumented).cast_const().cast::<Instrumented>().as_ref() }
    }

    /// Makes a copy with hooks for `events`. It becomes the current one unless it is a variant for
    /// one frame. `None` if the rewriter refuses.
    pub(super) fn make(
        py: Python<'_>,
        original: &Rc<Original>,
        events: EventSet,
        variant: Variant,
    ) -> PyResult<Option<Py<PyAny>>> {
        match analyse(py, original.code)? {
            Some(analysis) => Self::make_from(py, original, &analysis, events, variant),
            None => Ok(None),
        }
    }

    /// The same, from an analysis of the original.
    pub(super) fn make_from(
        py: Python<'_>,
        original: &Rc<Original>,
        analysis: &Analysis,
        events: EventSet,
        variant: Variant,
    ) -> PyResult<Option<Py<PyAny>>> {
        let code = original.code;
        let places = analysis.places();
        let is_current = variant.is_current();
        let leaves = |event| matches!(event, Event::PyReturn | Event::PyYield);
        let wakes = |event| variant.wakes_mover && leaves(event);
        let needs = |event| match event {
            Event::StopIteration => events.intersects(ENDINGS),
            event => events.contains(event.set()),
        };
        let mut thrown_lines = Vec::new();
        for (index, place) in places.iter().enumerate().filter(|_| events.contains(EventSet::LINE)) {
            if let (Event::Line, Side::Raising, Some(line)) = (place.event, place.side, place.line) {
                thrown_lines.push(ThrownLine { offset: place.offset, line, place: index });
            }
        }
        super::monitor().enter(&original.scope);
        let mut left_out = Vec::new();
        if variant.is_thin {
            let is_left_out = |&(index, event): &(usize, Event)| {
                needs(event) && places[index].side != Side::Raising && original.is_idle(index, event)
            };
            let all = places.iter().map(|place| place.event).enumerate();
            left_out.extend(all.filter(is_left_out));
        }
        let has_hook = |place: &usize| left_out.binary_search_by_key(place, |&(place, _)| place).is_err();
        let plan = Plan {
            wanted: &|place| needs(places[place].event) && has_hook(&place) || wakes(places[place].event),
            gates: events.intersects(GATED) || !thrown_lines.is_empty() || variant.wakes_mover,
            stack_limit: variant.stack_limit,
            landing: variant.landing,
        };
        let Ok(mut rewritten) = analysis.assemble(&plan) else { return Ok(None) };

        // SAFETY: `code` is a live code object whose co_consts is a tuple; both stay as they are while
        // this function holds the original.
        let original_object = unsafe { Bound::from_borrowed_ptr(py, code.cast()).unbind() };
        // SAFETY: as above.
        let consts =
            unsafe { Bound::from_borrowed_ptr(py, (*code).co_consts).cast_into_unchecked::<PyTuple>() };
        let mut values: Vec<Py<PyAny>> = Vec::with_capacity(consts.len() + rewritten.added_consts() as usize);
        let mut nested = Vec::new();
        for (index, value) in consts.iter().enumerate() {
            if is_code(value.as_ptr()) {
                nested.push((index, value.as_ptr().cast()));
            }
            values.push(value.unbind());
        }
        let mut hooks = Vec::with_capacity(rewritten.hooks.len());
        let parts = HookParts {
            code: code.cast(),
            id: original.id(),
            place: None,
            unit: 0,
            skip: 0,
            is_tight: false,
            wakes_mover: false,
        };
        let mut ends = Vec::new();
        let mut exits = places.iter().filter(|place| leaves(place.event)).count();
        for hook in &rewritten.hooks {
            let place = &places[hook.place];
            exits -= usize::from(leaves(place.event));
            let parts = HookParts {
                place: Some((hook.place, place)),
                unit: hook.unit.0,
                skip: hook.skip,
                is_tight: hook.is_tight,
                wakes_mover: wakes(place.event),
                ..parts
            };
            let object = Hook::make(py, &parts)?;
            let hook = object.as_ptr().cast_const().cast::<Hook>();
            // SAFETY: just made, and held by `values` from here on.
            if unsafe { (*hook).is_of_end() }
                && let Some(unit) = rewritten.copy_unit(UnitIndex(place.offset.0 / 2))
            {
                ends.push((unit.0, hook));
            }
            hooks.push(hook);
            values.push(object);
        }
        ends.sort_unstable();
        let begins = |event| matches!(event, Event::PyStart | Event::Line | Event::Instruction);
        let counts = |first: &&crate::bytecode::Hook| {
            is_current && !variant.is_thin && begins(places[first.place].event)
        };
        let first = rewritten.hooks.first().filter(counts).and(hooks.first().copied());
        let mut gate = ptr::null();
        if !rewritten.gates.is_empty() {
            let object = Hook::make(py, &parts)?;
            gate = object.as_ptr().cast_const().cast::<Hook>();
            values.push(object);
        }
        let tight_gate = rewritten.has_tight_gates().then_some(gate);
        let tight = rewritten.hooks.iter().zip(&hooks).filter(|(hook, _)| hook.is_tight);
        let names: Vec<*const Hook> = tight.map(|(_, &hook)| hook).chain(tight_gate).collect();
        let copy = new_code(py, code, &rewritten, PyTuple::new(py, values)?, &names)?;
        // SAFETY: as above; the copy owns them now. The places of a call are next to each other.
        unsafe {
            hooks.sort_by_key(|&hook| (*hook).place());
            for pair in hooks.windows(2).filter(|pair| (*pair[1]).is_behind_call()) {
                (*pair[0]).set_behind(pair[1]);
            }
        }
        rewritten.code = Vec::new();
        let record = Box::new(Instrumented {
            code: copy.as_ptr().cast(),
            original: Rc::clone(original),
            original_object: Cell::new(Some(original_object)),
            rewritten,
            first: first.unwrap_or(ptr::null()),
            left_out,
            lacks_hooks: Cell::new(false),
            on: Cell::new(hooks.len()),
            gates_are_on: Cell::new(false),
            hooks,
            gate,
            ends,
            thrown_lines,
            calls: Calls::default(),
            stops: Stops::default(),
            last_raising: Cell::new((UnitIndex(0), UnitIndex(0))),
            shown_elsewhere: Cell::new(ptr::null_mut()),
            has_hooks_at_exits: exits == 0,
            wakes_mover: variant.wakes_mover,
            events,
            nested,
        });
        let record: *const Instrumented = Box::into_raw(record);
        set_extra(py, copy.as_ptr().cast(), extra_indexes().instrumented, record.cast_mut().cast())?;
        // SAFETY: the code object owns the record now and `copy` holds the code object.
        let record = unsafe { &*record };
        for hook in record.hooks_and_gate() {
            hook.set_record(record);
        }
        if is_current {
            original.current.set(record);
        }
        original.copies.borrow_mut().push(record);
        super::registry().add(record);
        record.adopt_nested(py)?;
        record.update(py);
        Ok(Some(copy))
    }

    pub(super) fn code(&self) -> CodePtr {
        self.code
    }

    pub(super) fn original(&self) -> &Rc<Original> {
        &self.original
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.original.scope
    }

    /// The events that it has hooks for.
    pub(super) fn events(&self) -> EventSet {
        self.events
    }

    /// Whether it has a hook wherever somebody listens to one of these events.
    pub(super) fn has_hooks_for(&self, events: EventSet) -> bool {
        self.events.contains(events) && !self.lacks_hooks.get()
    }

    /// Whether somebody listens where a thin copy has no hook.
    pub(super) fn lacks_hooks(&self) -> bool {
        self.lacks_hooks.get()
    }

    /// Whether a copy without the hooks that are off would be worth its making.
    pub(super) fn is_mostly_off(&self) -> bool {
        self.left_out.is_empty() && 2 * self.on.get() <= self.hooks.len()
    }

    /// The maps between the copy's units and the original's.
    pub(super) fn rewritten(&self) -> &Rewritten {
        &self.rewritten
    }

    /// Whether it is what new calls of its original run.
    pub(super) fn is_current(&self) -> bool {
        ptr::eq(self.original.current.get(), self)
    }

    /// Lets the original keep a copy that nothing else holds, while no events are set. Lets go of any other.
    pub(super) fn park(py: Python<'_>, copy: Py<PyAny>) {
        // SAFETY: a live object; the reference that was given is one of those counted.
        let is_held_once = unsafe { ffi::Py_REFCNT(copy.as_ptr()) } == 1;
        let idle = |record: &&Instrumented| record.is_current() && is_held_once;
        let original = match Instrumented::of(copy.as_ptr().cast()).filter(idle) {
            Some(record) => {
                let original = record.original_object.take();
                record.original.parked.set(Some(copy));
                original
            }
            None => Some(copy),
        };
        // This may be the end of the original, and with it of the copy.
        if let Some(original) = original {
            original.drop_ref(py);
        }
    }

    /// The copy, if it was parked. From now on it keeps its original alive again.
    pub(super) fn unpark(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        // Only a current copy is ever parked.
        let copy = self.is_current().then(|| self.original.parked.take())??;
        // SAFETY: a code object that has a parked copy is alive, for it takes that along.
        let original = unsafe { Bound::from_borrowed_ptr(py, self.original.code.cast()).unbind() };
        self.original_object.set(Some(original));
        Some(copy)
    }

    /// Whether any hook is on.
    pub(super) fn is_on(&self) -> bool {
        self.on.get() != 0
    }

    /// Whether every hook is off, here and in the code that is nested in it. What is nested and has no copy may want
    /// one at any time, and nobody would know where.
    pub(super) fn is_quiet(&self) -> bool {
        let is_quiet = |nested: &Original| match nested.current() {
            Some(copy) => copy.is_quiet(),
            None => nested.is_settled(),
        };
        let mut nested = self.nested.iter().map(|&(_, nested)| Original::known(nested));
        !self.is_on() && nested.all(|nested| nested.is_some_and(|nested| is_quiet(&nested)))
    }

    /// The iterators that have just ended in it.
    pub(super) fn stops(&self) -> &Stops {
        &self.stops
    }

    /// The calls that are under way in it.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Takes over a call that was begun in another copy of the same code, if its end can be told here.
    pub(super) fn adopt_call(&self, py: Python<'_>, mut call: Call) {
        // SAFETY: the copy that the call was noted with is still there.
        let place = unsafe { (*call.hook).place() };
        match (self.hook_at(place), self.hook_at(place + 1)) {
            (Some(hook), Some(behind)) => {
                call.hook = hook;
                // It is off if the call was disabled when it began, whose end is told all the same.
                self.switch_on(behind);
                if let Some(older) = self.calls.begin(call) {
                    older.forget(py);
                }
            }
            _ => call.forget(py),
        }
    }

    /// Its first unit.
    pub(super) fn units(&self) -> *mut CodeUnit {
        self.code.cast::<u8>().wrapping_add(CODE_OFFSET).cast()
    }

    /// The frame that tells of an event while it is shown elsewhere than at its hook; NULL for none. Exact
    /// for the current thread, unless another one does the same in this code at the same time.
    pub(super) fn shown_elsewhere(&self) -> *mut InterpreterFrame {
        self.shown_elsewhere.get()
    }

    /// Says which frame that is.
    pub(super) fn show_elsewhere(&self, frame: *mut InterpreterFrame) {
        self.shown_elsewhere.set(frame);
    }

    /// The hook at a place.
    pub(super) fn hook_at(&self, place: usize) -> Option<&Hook> {
        let index = self.hooks.binary_search_by_key(&place, |&hook| {
            // SAFETY: see hooks().
            unsafe { (*hook).place() }
        });
        index.ok().and_then(|index| self.hooks().nth(index))
    }

    /// Whether what is raised passes gates.
    pub(super) fn has_gates(&self) -> bool {
        !self.gate.is_null()
    }

    /// Whether its frames are left behind a hook, unless by an exception.
    pub(super) fn has_hooks_at_exits(&self) -> bool {
        self.has_hooks_at_exits
    }

    /// Whether the mover is woken wherever its frames are left.
    pub(super) fn wakes_mover(&self) -> bool {
        self.wakes_mover && self.has_hooks_at_exits && self.has_gates()
    }

    /// The hook whose truth is asked for at this unit.
    pub(super) fn hook_that_asks_at(&self, unit: u32) -> Option<&Hook> {
        self.hooks().find(|hook| hook.asks_at() == unit)
    }

    /// How many slots of the stack are in use where a tight hook, or the one of all tight gates, is asked for its
    /// truth. `None` if it is not asked at this unit.
    pub(super) fn depth_at_tight(&self, hook: &Hook, unit: u32) -> Option<u32> {
        if ptr::eq(hook, self.gate) {
            return self.rewritten.gate_at(unit).filter(|gate| gate.is_tight).map(|gate| gate.depth);
        }
        (hook.is_tight() && hook.asks_at() == unit).then_some(hook.depth() as u32)
    }

    /// Whether it has a hook for what is handled by this instruction.
    pub(super) fn tells_of_handling(&self, unit: UnitIndex) -> bool {
        let offset = ByteOffset::from(unit);
        self.hooks().any(|hook| hook.is_of_handling() && hook.offset() == offset)
    }

    /// The hook that a loop passes when it ends, by the unit of the instruction that asks its iterator.
    pub(super) fn hook_of_end(&self, unit: u32) -> Option<&Hook> {
        let index = self.ends.binary_search_by_key(&unit, |&(unit, _)| unit).ok()?;
        // SAFETY: see hooks().
        Some(unsafe { &*self.ends[index].1 })
    }

    /// The line that begins when something is thrown into a frame that waits there.
    pub(super) fn thrown_line(&self, offset: ByteOffset) -> Option<ThrownLine> {
        let index = self.thrown_lines.binary_search_by_key(&offset, |line| line.offset).ok()?;
        Some(self.thrown_lines[index])
    }

    fn hooks_and_gate(&self) -> impl Iterator<Item = &Hook> {
        // SAFETY: see hooks().
        self.hooks().chain(unsafe { self.gate.as_ref() })
    }

    /// All hooks, in the order of their places.
    pub(super) fn hooks(&self) -> impl Iterator<Item = &Hook> {
        // SAFETY: the code object's constants own the hooks, and the code object owns this record.
        self.hooks.iter().map(|hook| unsafe { &**hook })
    }

    /// Switches each hook on or off as the configuration asks.
    pub(super) fn update(&self, py: Python<'_>) {
        super::monitor().enter(self.scope());
        // Its gates are never covered, and count as one hook.
        self.gates_are_on.set(self.wants_gates());
        let mut on = usize::from(self.gates_are_on.get());
        // Who ends a loop looks for its hook, which is off until then.
        let ends = |hook: &Hook| hook.is_of_end() && !self.scope().state(hook.place()).active().is_empty();
        on += usize::from(self.hooks().any(ends));
        let mut left_out = self.left_out.iter();
        self.lacks_hooks.set(left_out.any(|&(place, event)| !self.original.is_idle(place, event)));
        let is_disabled = |line: &ThrownLine| !self.scope().state(line.place).disabled().is_empty();
        let mut any_disabled = !self.left_out.is_empty() || self.thrown_lines.iter().any(is_disabled);
        for hook in self.hooks() {
            if hook.is_wanted(self) || hook.wakes_mover() {
                hook.switch_on(self);
                on += 1;
            } else {
                self.put_off(hook);
                any_disabled |= !self.scope().state(hook.place()).disabled().is_empty();
            }
        }
        if any_disabled {
            super::registry().note_disabled(self);
        }
        self.on.set(on);
        if on == 0 {
            super::functions::settle(py, self);
        }
    }

    /// Whether what passes its gates is to be told of. The scope must have been entered.
    fn wants_gates(&self) -> bool {
        let lines = self.thrown_lines.iter().map(|line| line.place);
        let is_active = |place| !self.scope().state(place).active().is_empty();
        !self.gate.is_null() && RAISING.map(place_of).into_iter().chain(lines).any(is_active)
    }

    /// Whether anything that passes its gates is to be told of, but for how calls end.
    pub(super) fn are_gates_on(&self) -> bool {
        self.gates_are_on.get()
    }

    /// Counts its gates no more if nothing that passes them is to be told of.
    pub(super) fn switch_off_gates_unless_wanted(&self, py: Python<'_>) {
        super::monitor().enter(self.scope());
        if self.gates_are_on.get() && !self.wants_gates() {
            self.gates_are_on.set(false);
            self.count_off(py);
        }
    }

    /// Switches one hook on.
    pub(super) fn switch_on(&self, hook: &Hook) {
        if !hook.is_on() {
            hook.switch_on(self);
            self.on.set(self.on.get() + 1);
        }
    }

    /// Switches one hook off, which no tool wants any more.
    pub(super) fn switch_off(&self, py: Python<'_>, hook: &Hook) {
        if hook.is_on() && !hook.wakes_mover() {
            self.put_off(hook);
            self.count_off(py);
        } else if hook.has_counted() {
            hook.switch_off(self);
            super::functions::thin(py, self);
        }
    }

    /// Switches one hook off, be it on or not; the one that each call passes first when it has counted calls.
    fn put_off(&self, hook: &Hook) {
        if ptr::eq(hook, self.first) {
            hook.count_down(CALLS_BEFORE_THIN);
        } else {
            hook.switch_off(self);
        }
    }

    /// One that was on is off.
    fn count_off(&self, py: Python<'_>) {
        super::registry().note_disabled(self);
        self.on.set(self.on.get() - 1);
        if self.on.get() == 0 {
            super::functions::settle(py, self);
        }
    }

    /// Writes one code unit and gives back the one before.
    pub(super) fn replace_unit(&self, unit: u32, value: CodeUnit) -> CodeUnit {
        // SAFETY: the unit is one of this code object's (from the rewriter), and nothing else writes
        // to it: hooks are preceded by no instruction that specialisation merges with them, and
        // neither of their own two is ever specialised.
        unsafe { self.units().add(unit as usize).replace(value) }
    }

    /// Puts into the constants what functions that are made from the nested code are to run.
    pub(super) fn adopt_nested(&self, py: Python<'_>) -> PyResult<()> {
        for &(index, nested) in &self.nested {
            let copy = super::code_to_run(py, nested)?;
            let wanted = copy.as_ref().map_or(nested.cast(), |copy| copy.as_ptr());
            if self.is_current()
                && let Some(nested) = Original::known(nested)
            {
                nested.parent.set(Some(self.original.id()));
            }
            // SAFETY: the constants are this copy's own tuple, the index is one of a code object in
            // it, and the GIL is held. The old value is released after the slot has the new one.
            unsafe {
                let consts = (*self.code).co_consts;
                let before = ffi::PyTuple_GET_ITEM(consts, index as ffi::Py_ssize_t);
                if before != wanted {
                    ffi::Py_INCREF(wanted);
                    ffi::PyTuple_SET_ITEM(consts, index as ffi::Py_ssize_t, wanted);
                    ffi::Py_DECREF(before);
                }
            }
        }
        Ok(())
    }

    /// The original's unit for a unit at which something was raised: often the one at which it was before.
    pub(super) fn original_of_raising(&self, unit: UnitIndex) -> UnitIndex {
        let (last, original) = self.last_raising.get();
        if last == unit {
            return original;
        }
        let original = self.rewritten.original_unit(unit);
        self.last_raising.set((unit, original));
        original
    }

    /// The byte offset in the original that a byte offset in the copy stands for. Negative ones (a
    /// frame that has not begun) stay as they are.
    pub(super) fn original_offset(&self, offset: i32) -> i32 {
        match u32::try_from(offset) {
            Ok(offset) => (self.rewritten.original_unit(UnitIndex(offset / 2)).0 * 2 + offset % 2) as i32,
            Err(_) => offset,
        }
    }

    /// The byte offset in the copy that stands for one in the original; itself if there is none.
    pub(super) fn copy_offset(&self, offset: i32) -> i32 {
        let unit =
            u32::try_from(offset).ok().and_then(|offset| self.rewritten.copy_unit(UnitIndex(offset / 2)));
        unit.map_or(offset, |unit| (unit.0 * 2) as i32 + offset % 2)
    }
}

unsafe extern "C" fn free_original(extra: *mut c_void) {
    if extra.is_null() {
        return;
    }
    // SAFETY: the slot's own count, given up here; the interpreter calls this once, with the GIL held.
    let record = unsafe { Rc::from_raw(extra.cast_const().cast::<Original>()) };
    super::registry().forget(record.id());
    super::monitor().forget(record.id());
    if let Some(copy) = record.parked.take() {
        // SAFETY: see above.
        copy.drop_ref(unsafe { Python::assume_attached() });
    }
}

unsafe extern "C" fn free_instrumented(extra: *mut c_void) {
    if extra.is_null() {
        return;
    }
    // SAFETY: the Box that make() put there; the interpreter calls this once, with the GIL held,
    // before it releases the code object's constants.
    let record = unsafe { Box::from_raw(extra.cast::<Instrumented>()) };
    super::registry().remove(&raw const *record);
    for hook in record.hooks_and_gate() {
        hook.set_record(ptr::null());
    }
    if record.is_current() {
        record.original.current.set(ptr::null());
    }
    record.original.copies.borrow_mut().retain(|&copy| !ptr::eq(copy, &raw const *record));
    // Not left to the drop: without a thread that PyO3 knows of, that would be put off.
    // SAFETY: see above.
    let py = unsafe { Python::assume_attached() };
    while let Some(call) = record.calls.take_any() {
        call.forget(py);
    }
    while let Some(stop) = record.stops.take_any() {
        stop.exception.drop_ref(py);
    }
    if let Some(original) = record.original_object.take() {
        original.drop_ref(py);
    }
}

/// The branches of a code object of the program, in the order of its code. One that was refused has none.
pub(super) fn branches_of(py: Python<'_>, code: CodePtr) -> PyResult<Vec<Branch>> {
    let analysis = analyse(py, code)?;
    let mut branches: BTreeMap<u32, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for place in analysis.iter().flat_map(|analysis| analysis.places()) {
        let Some(destination) = place.destination else { continue };
        let sides = match place.event {
            Event::BranchLeft => (Some(destination.0), None),
            Event::BranchRight => (None, Some(destination.0)),
            _ => continue,
        };
        let (left, right) = branches.entry(place.offset.0).or_default();
        (*left, *right) = (left.or(sides.0), right.or(sides.1));
    }
    Ok(branches.into_iter().filter_map(|(from, (left, right))| Some((from, left?, right?))).collect())
}

/// See [`Analysis::depth_before`].
pub(super) fn depth_before(py: Python<'_>, code: CodePtr, unit: UnitIndex) -> Option<u32> {
    analyse(py, code).ok().flatten()?.depth_before(unit)
}

/// The slots of a frame's stack that hold positions: see [`Analysis::positions_on_stack`].
pub(super) fn positions_on_stack(
    py: Python<'_>,
    code: CodePtr,
    unit: UnitIndex,
    depth: u32,
) -> PyResult<Vec<u32>> {
    // SAFETY: a live code object, whose exception table is bytes.
    if unsafe { ffi::Py_SIZE((*code).co_exceptiontable) } == 0 {
        return Ok(Vec::new());
    }
    let analysis = analyse(py, code)?;
    Ok(analysis.map_or_else(Vec::new, |analysis| analysis.positions_on_stack(unit, depth).collect()))
}

/// Decodes a code object's bytes. `None` if the rewriter refuses them.
fn analyse(py: Python<'_>, code: CodePtr) -> PyResult<Option<Analysis>> {
    // SAFETY: a live code object, and the GIL is held. PyCode_GetCode keeps its result in _co_code;
    // if nobody had asked for it before, that is released again, for it would double every code
    // object's size. The fields read are bytes and tuples by the type's own rules.
    unsafe {
        let was_cached = !(*code)._co_code.is_null();
        let bytes = PyCode_GetCode(code);
        if bytes.is_null() {
            return Err(PyErr::fetch(py));
        }
        let bytes = Bound::from_owned_ptr(py, bytes).cast_into_unchecked::<PyBytes>();
        if !was_cached {
            let cached = std::mem::replace(&mut (*code)._co_code, ptr::null_mut());
            ffi::Py_XDECREF(cached);
        }
        let exception_table =
            Bound::from_borrowed_ptr(py, (*code).co_exceptiontable).cast_into_unchecked::<PyBytes>();
        let line_table = Bound::from_borrowed_ptr(py, (*code).co_linetable).cast_into_unchecked::<PyBytes>();
        Ok(Analysis::new(&CodeBytes {
            code: bytes.as_bytes(),
            exception_table: exception_table.as_bytes(),
            line_table: line_table.as_bytes(),
            first_line: (*code).co_firstlineno,
            stack_size: (*code).co_stacksize as u32,
            const_count: ffi::PyTuple_GET_SIZE((*code).co_consts) as u32,
            name_count: ffi::PyTuple_GET_SIZE((*code).co_names) as u32,
            is_generator: (*code).co_flags & GENERATORS != 0,
        })
        .ok())
    }
}

/// A code object like `code` with other bytes and constants, some of which are names as well.
fn new_code(
    py: Python<'_>,
    code: CodePtr,
    rewritten: &Rewritten,
    consts: Bound<'_, PyTuple>,
    names: &[*const Hook],
) -> PyResult<Py<PyAny>> {
    let bytes = PyBytes::new(py, &rewritten.code);
    let line_table = PyBytes::new(py, &rewritten.line_table);
    let exception_table = PyBytes::new(py, &rewritten.exception_table);
    // SAFETY: a live code object gives its own parts back, in the order and of the types that the
    // constructor asks for; the bytes were assembled from it. Every new reference is owned by a
    // Bound.
    unsafe {
        let all_names = names_with(py, code, names.len())?;
        let varnames = Bound::from_owned_ptr_or_err(py, PyCode_GetVarnames(code))?;
        let freevars = Bound::from_owned_ptr_or_err(py, PyCode_GetFreevars(code))?;
        let cellvars = Bound::from_owned_ptr_or_err(py, PyCode_GetCellvars(code))?;
        let copy = PyCode_NewWithPosOnlyArgs(
            (*code).co_argcount,
            (*code).co_posonlyargcount,
            (*code).co_kwonlyargcount,
            (*code).co_nlocals,
            rewritten.stack_size as i32,
            (*code).co_flags,
            bytes.as_ptr(),
            consts.as_ptr(),
            all_names.as_ptr(),
            varnames.as_ptr(),
            freevars.as_ptr(),
            cellvars.as_ptr(),
            (*code).co_filename,
            (*code).co_name,
            (*code).co_qualname,
            (*code).co_firstlineno,
            line_table.as_ptr(),
            exception_table.as_ptr(),
        );
        let copy = Bound::from_owned_ptr_or_err(py, copy.cast())?.unbind();
        let known = ffi::PyTuple_GET_SIZE((*code).co_names);
        for (i, &hook) in names.iter().enumerate() {
            // The interpreter looks them up as it does names, but would not let them be any.
            let index = known + i as ffi::Py_ssize_t;
            let before = ffi::PyTuple_GET_ITEM(all_names.as_ptr(), index);
            ffi::Py_INCREF(hook.cast_mut().cast());
            ffi::PyTuple_SET_ITEM(all_names.as_ptr(), index, hook.cast_mut().cast());
            ffi::Py_DECREF(before);
        }
        Ok(copy)
    }
}

/// The names of a code object, with room for so many more.
fn names_with(py: Python<'_>, code: CodePtr, more: usize) -> PyResult<Bound<'_, PyTuple>> {
    // SAFETY: a live code object's names are a tuple.
    let names = unsafe { Bound::from_borrowed_ptr(py, (*code).co_names).cast_into_unchecked::<PyTuple>() };
    if more == 0 {
        return Ok(names);
    }
    let mut all: Vec<Bound<'_, PyAny>> = names.iter().collect();
    all.resize(all.len() + more, PyString::intern(py, "hook").into_any());
    PyTuple::new(py, all)
}
