//! CPython 3.11: makes ordinary code fire events by running rewritten copies of it.
//!
//! ```text
//! namespace   sys.monitoring's functions, over the engine
//! entry       code that starts after events were set: exec, new functions
//! functions   functions that exist already: one walk over the heap
//! frames      frames that run already: moved to a copy where they stand
//! mover       those in the middle of a C call, until they go on
//! landing     how an executing frame is made to run other code
//! tracer      the trace function of a thread: the program's, or the mover in front of it
//! records     what is kept with a code object and with its copy
//! hook        the constant that fires an event
//! detour      the same where the stack has no room for it
//! gates       what tools are told of an exception on its way
//! calls       the calls under way, for the events that tell how they end
//! stops       the iterators that have just ended, for the loops that asked them
//! identity    shows the program its own code objects, never a copy
//! producer    events of code that is not Python
//! probe       looks whether this interpreter is laid out as `ffi` says
//! quiet       mutes a thread while a callback runs
//! ```
//!
//! The GIL guards everything here. What a change of the configuration asks for is done in
//! [`refresh`]; no evaluation hook or tracer stays in the steady state.

mod bare;
mod calls;
mod detour;
mod entry;
mod frames;
mod functions;
mod gates;
mod hook;
mod identity;
mod landing;
mod mover;
mod namespace;
mod probe;
pub(crate) mod producer;
mod quiet;
mod records;
mod slot;
mod stops;
mod tracer;

pub(crate) use bare::Bare;
pub use quiet::Quiet;
pub(crate) use quiet::quiet;
pub use slot::Slot;

use crate::co_branches::{self, Branch};
use crate::host::CPython;
use monitrace_core::{Change, CodeId, EventSet, Monitor, Tool, ToolId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use records::{CodePtr, Instrumented, Original};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The interpreter's tools, events and callbacks.
pub(crate) fn monitor() -> &'static Monitor<CPython> {
    static MONITOR: OnceLock<Monitor<CPython>> = OnceLock::new();
    MONITOR.get_or_init(|| Monitor::new(CPython))
}

/// The longest that code objects wait to be settled, in code objects.
const MOST_PATIENT: usize = 1 << 14;

/// What is known of all copies together.
#[derive(Default)]
struct Registry {
    /// Addresses of the records of living copies.
    copies: HashSet<usize>,
    /// Addresses of the living code objects that have a record, by their number. Numbers are never
    /// given twice, so nothing that is remembered under one is ever taken for another's.
    numbered: HashMap<CodeId, usize>,
    /// The code objects whose hooks are all off, so that their functions run the original.
    settled: HashSet<CodeId>,
    /// How many of those still have functions that run a copy, at most.
    unswept: usize,
    /// Addresses of the records of living copies in which something is disabled.
    disabled: HashSet<usize>,
    /// The code objects whose hooks are all off, but that were not settled yet.
    unsettled: Vec<CodeId>,
    /// How many of these there have to be before any is settled: it takes a walk over the heap to take that back,
    /// and some tools restart events all the time.
    patience: usize,
    /// How often the first event was set.
    times_on: usize,
    /// The events that copies are made for: grows with every event that is set, anywhere, so that
    /// setting it for one more code object needs no new copy; empty once nothing is wanted.
    interest: EventSet,
    /// Whether every function has been looked at since events were last set for all code.
    covers_all: bool,
}

struct Guarded(Mutex<Registry>);

fn registry() -> &'static Guarded {
    static REGISTRY: OnceLock<Guarded> = OnceLock::new();
    REGISTRY.get_or_init(|| Guarded(Mutex::default()))
}

impl Guarded {
    /// Never held across a call that could run Python code.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, copy: *const Instrumented) {
        self.lock().copies.insert(copy as usize);
    }

    fn remove(&self, copy: *const Instrumented) {
        let mut registry = self.lock();
        registry.copies.remove(&(copy as usize));
        registry.disabled.remove(&(copy as usize));
    }

    /// Something was disabled in a copy.
    fn note_disabled(&self, copy: *const Instrumented) {
        self.lock().disabled.insert(copy as usize);
    }

    /// Whether a code object whose hooks are all off is to be settled now, and which with it.
    fn may_settle(&self, code: CodeId) -> Option<Vec<CodeId>> {
        let mut registry = self.lock();
        if registry.unsettled.len() < registry.patience {
            registry.unsettled.push(code);
            return None;
        }
        Some(std::mem::take(&mut registry.unsettled))
    }

    /// Whether thin copies are worth their making: nobody has had restarted what was switched off.
    fn may_thin(&self) -> bool {
        self.lock().patience == 0
    }

    /// Gives a code object its number.
    fn number(&self, code: CodePtr) -> CodeId {
        let id = crate::code_ids::next();
        self.lock().numbered.insert(id, code as usize);
        id
    }

    /// The record of a code object by its number; `None` once it is gone.
    fn numbered(&self, id: CodeId) -> Option<Rc<Original>> {
        let code = self.lock().numbered.get(&id).copied()?;
        Original::known(code as CodePtr)
    }

    fn forget(&self, id: CodeId) {
        let mut registry = self.lock();
        registry.numbered.remove(&id);
        registry.settled.remove(&id);
    }

    fn interest(&self) -> EventSet {
        self.lock().interest
    }

    /// The living copies, held.
    fn copies(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let registry = self.lock();
        hold(py, &registry.copies)
    }

    /// Those of them in which something is disabled, held. They are noted anew if it still is.
    fn take_disabled(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let mut registry = self.lock();
        hold(py, &std::mem::take(&mut registry.disabled))
    }
}

/// The copies whose records have these addresses. The registry is locked, so that they are there.
fn hold(py: Python<'_>, records: &HashSet<usize>) -> Vec<Py<PyAny>> {
    // SAFETY: records leave the registry before they go, and hold the address of the code object that owns
    // them.
    let hold = |&record: &usize| unsafe {
        Bound::from_borrowed_ptr(py, (*(record as *const Instrumented)).code().cast()).unbind()
    };
    records.iter().map(hold).collect()
}

/// Brings all code in line with a changed configuration.
pub(crate) fn refresh(monitor: &Monitor<CPython>, change: Change) {
    Python::attach(|py| {
        if let Err(error) = try_refresh(py, monitor, change) {
            error.write_unraisable(py, None);
        }
    });
}

fn try_refresh(py: Python<'_>, monitor: &Monitor<CPython>, change: Change) -> PyResult<()> {
    let wanted = calls::complete(monitor.wanted_anywhere());
    let interest = registry().interest();
    if wanted.is_empty() && interest.is_empty() {
        return Ok(());
    }
    activate(py)?;
    let everywhere = !monitor.wanted().is_empty();
    let mut look_at_all = !interest.contains(wanted);
    // Whatever no function runs again goes with this.
    let _unparked = if interest.is_empty() { unpark_all(py) } else { Vec::new() };
    let parks = {
        let mut registry = registry().lock();
        registry.interest = if wanted.is_empty() { EventSet::empty() } else { interest | wanted };
        registry.times_on += usize::from(interest.is_empty());
        if wanted.is_empty() {
            // How often the next tools restart events is their affair.
            registry.patience = 0;
        }
        look_at_all |= wanted.is_empty() || (everywhere && !registry.covers_all);
        registry.covers_all = everywhere;
        // A tool that came back once may come back again.
        wanted.is_empty() && registry.times_on > 1
    };
    entry::watch(!wanted.is_empty());
    match change {
        // Hooks that are reached all the same find that nobody wants them, and switch themselves off.
        _ if wanted.is_empty() => {}
        Change::Everywhere | Change::Disabled => {
            let disabled = registry().take_disabled(py);
            let changed = if change == Change::Disabled { disabled } else { registry().copies(py) };
            let mut revived = update(py, changed);
            let settled: Vec<CodeId> = {
                let mut registry = registry().lock();
                registry.unsettled.clear();
                registry.settled.iter().copied().collect()
            };
            for original in settled.into_iter().filter_map(|code| registry().numbered(code)) {
                revived |= is_wanted(&original) && unsettle(&original);
            }
            if revived {
                let mut registry = registry().lock();
                registry.patience = (2 * registry.patience).clamp(MOST_PATIENT / 256, MOST_PATIENT);
            }
            look_at_all |= revived;
        }
        Change::In(code) => {
            let known = registry().numbered(code);
            if known.as_ref().is_none_or(|original| original.current().is_none()) {
                look_at_all = true;
            }
            if let Some(original) = known {
                look_at_all |= update(py, original.copies(py));
                look_at_all |= is_wanted(&original) && unsettle(&original);
            }
        }
    }
    if look_at_all {
        let copies = registry().copies(py);
        for copy in &copies {
            if let Some(record) = Instrumented::of(copy.as_ptr().cast()) {
                record.adopt_nested(py)?;
            }
        }
        functions::adopt_all(py)?;
        frames::adopt_all(py)?;
        if parks {
            for copy in copies {
                Instrumented::park(py, copy);
            }
        }
    }
    Ok(())
}

/// Takes the copies back that were kept while no events were set.
fn unpark_all(py: Python<'_>) -> Vec<Py<PyAny>> {
    let copies = registry().copies(py);
    let records = copies.iter().filter_map(|copy| Instrumented::of(copy.as_ptr().cast()));
    records.filter_map(|record| record.unpark(py)).collect()
}

/// Switches the hooks of copies on and off as the configuration asks. Whether settling was taken back for any, or one is too
/// thin by now.
fn update(py: Python<'_>, copies: Vec<Py<PyAny>>) -> bool {
    let mut revived = false;
    for copy in copies {
        if let Some(record) = Instrumented::of(copy.as_ptr().cast()) {
            record.update(py);
            revived |= record.lacks_hooks();
            revived |= record.is_on() && unsettle(record.original());
        }
    }
    revived
}

/// Whether somebody listens at any place of a code object.
fn is_wanted(original: &Original) -> bool {
    let interest = registry().interest();
    let scope = original.scope();
    monitor().enter(scope);
    scope.places().any(|(event, state)| interest.contains(event.set()) && !state.active().is_empty())
}

/// Takes settling back for a code object, and for those that it is nested in: these hand its copy out. Whether that
/// changes any.
fn unsettle(original: &Original) -> bool {
    let mut changes = original.unsettle();
    let mut around = original.parent();
    while let Some(original) = around {
        changes |= original.unsettle();
        around = original.parent();
    }
    changes
}

/// What new calls of a code object of the program are to run: a copy, or `None` for itself.
fn code_to_run(py: Python<'_>, code: CodePtr) -> PyResult<Option<Py<PyAny>>> {
    let interest = registry().interest();
    if interest.is_empty() || !wants_events(code) {
        return Ok(None);
    }
    let (original, analysis) = Original::of_and_analysis(py, code)?;
    if original.is_settled() {
        return Ok(None);
    }
    if let Some(copy) = original.current().filter(|copy| copy.has_hooks_for(interest)) {
        // SAFETY: a record's code object is alive.
        return Ok(Some(unsafe { Bound::from_borrowed_ptr(py, copy.code().cast()).unbind() }));
    }
    let variant = records::Variant::default();
    let copy = match analysis {
        Some(analysis) => Instrumented::make_from(py, &original, &analysis, interest, variant)?,
        None => Instrumented::make(py, &original, interest, variant)?,
    };
    Ok(copy.filter(|_| !original.is_settled()))
}

/// The number of a code object of the program, by its record; `None` for every other object.
pub(crate) fn number_of(code: &Bound<'_, PyAny>) -> Option<CodeId> {
    if !records::is_code(code.as_ptr()) {
        return None;
    }
    Original::of(code.py(), code.as_ptr().cast()).ok().map(|original| original.id())
}

fn is_generator(code: CodePtr) -> bool {
    // SAFETY: a live code object.
    unsafe { (*code).co_flags & records::GENERATORS != 0 }
}

/// Whether some tool wants events in this code object or in one that is nested in it.
fn wants_events(code: CodePtr) -> bool {
    {
        let registry = registry().lock();
        // Loops in other code ask how a generator ends.
        if registry.covers_all || (registry.interest.intersects(stops::ENDINGS) && is_generator(code)) {
            return true;
        }
    }
    if Original::known(code).is_some_and(|known| !monitor().wanted_in(known.id()).is_empty()) {
        return true;
    }
    // SAFETY: a live code object's constants are a tuple of live objects.
    unsafe {
        let consts = (*code).co_consts;
        (0..ffi::PyTuple_GET_SIZE(consts)).any(|i| {
            let value = ffi::PyTuple_GET_ITEM(consts, i);
            records::is_code(value) && wants_events(value.cast())
        })
    }
}

/// Whether and how this host makes events: the other one is `native`.
pub(crate) struct Attached(ToolId);

impl Attached {
    pub(crate) fn detach(self, _py: Python<'_>) -> PyResult<()> {
        monitor().free_tool_id(self.0);
        Ok(())
    }
}

/// Attaches a native tool under a free id.
pub(crate) fn attach(_py: Python<'_>, tool: Tool<CPython>) -> PyResult<Attached> {
    let id = crate::door::free_id(tool.name(), |id| Ok(monitor().tool(id)))?;
    monitor().attach(id, tool).map_err(|error| crate::Raised::from(error).0)?;
    Ok(Attached(id))
}

/// Prepares the interpreter, at the first event that is wanted.
fn activate(py: Python<'_>) -> PyResult<()> {
    probe::check(py)?;
    identity::patch(py)?;
    entry::patch(py)
}

/// The module over the tools of this process, whether or not it is `sys.monitoring`.
pub(crate) fn monitoring(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    namespace::module(py)
}

/// The branches of a code object, in the order of its code.
pub(crate) fn branches_of(code: &Bound<'_, PyAny>) -> PyResult<Vec<Branch>> {
    records::branches_of(code.py(), code.as_ptr().cast())
}

/// Makes the module `sys.monitoring`, and gives code objects what 3.14's have.
pub(crate) fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    probe::check(py)?;
    co_branches::install(py)?;
    let module = namespace::module(py)?;
    py.import("sys")?.setattr("monitoring", &module)?;
    Ok(module)
}

/// Takes the module and the patches away again. The audit hook stays, for good, and returns after one
/// test.
pub(crate) fn uninstall(py: Python<'_>) -> PyResult<()> {
    let in_use: Vec<String> =
        ToolId::all().filter_map(|tool| Some(format!("{tool} ({})", monitor().tool(tool)?))).collect();
    if !in_use.is_empty() {
        let tools = in_use.join(", ");
        return Err(PyRuntimeError::new_err(format!("cannot uninstall while tools are in use: {tools}")));
    }
    functions::restore_all(py)?;
    unpark_all(py).into_iter().for_each(|copy| copy.drop_ref(py));
    entry::unpatch();
    identity::unpatch(py)?;
    let sys = py.import("sys")?;
    if sys
        .getattr_opt("monitoring")?
        .is_some_and(|installed| namespace::module(py).is_ok_and(|module| installed.is(&module)))
    {
        sys.delattr("monitoring")?;
        co_branches::uninstall(py)?;
    }
    Ok(())
}
