//! The table of functions: what the package gives to C and Rust, as `monitrace.h` declares it.
//!
//! It owns the layout, in Rust; `tests/header.rs` compares it with the header. It is for the package, which
//! fills it; producers have no use for it. It must never call anything.

#![forbid(unsafe_code)]

use pyo3_ffi::{Py_ssize_t, PyObject};
use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU64, Ordering::Relaxed};

/// Grows when the meaning of a field changes; fields that are added at the end only grow the size.
pub const VERSION: u32 = 1;
/// The name of the capsule that holds the table, and where it is.
pub const CAPSULE: &CStr = c"monitrace._native._C_API";
/// The list, in the interpreter's dictionary, of the producers that found no package: capsules of this
/// name hold the addresses of their pointers to the table.
pub const WAITING: &CStr = c"monitrace.waiting.1";

/// `PyMonitoringState`: which tools listen to one event of one scope, a bit for each. The producer's memory.
///
/// Read and written by threads that hold the GIL; atomic so that it need not be promised.
#[repr(C)]
#[derive(Debug)]
pub struct State {
    active: AtomicU8,
    /// Those that listen only because they want the event of some code-like: whether of the one that it
    /// comes from is to be seen when it does. CPython calls the byte opaque, and leaves it alone.
    local: AtomicU8,
}

impl State {
    /// A state to which these tools listen.
    pub const fn new(tools: u8) -> State {
        State { active: AtomicU8::new(tools), local: AtomicU8::new(0) }
    }

    /// The tools that listen.
    #[inline]
    pub fn active(&self) -> u8 {
        self.active.load(Relaxed)
    }

    /// Those of them that may want the event of other code-likes only.
    pub fn local(&self) -> u8 {
        self.local.load(Relaxed)
    }

    /// Says which tools listen.
    pub fn set(&self, active: u8, local: u8) {
        self.active.store(active, Relaxed);
        self.local.store(local, Relaxed);
    }

    /// The interpreter has filled the other byte, and knows no code-likes.
    pub fn forget_local(&self) {
        self.local.store(0, Relaxed);
    }

    /// Takes tools out that have disabled the event here.
    pub fn disable(&self, tools: u8) {
        self.active.store(self.active() & !tools, Relaxed);
    }
}

/// `PyMonitoringState *`.
pub type StatePtr = *mut State;

/// What producers look at by themselves, without a call. Only the package writes it.
#[repr(C)]
#[derive(Debug)]
pub struct Words {
    /// Where the configuration's version stands: a scope is up to date if its version is the sum of
    /// that and the generation. Before 3.13 only.
    pub configuration: AtomicPtr<u64>,
    /// Grows with the local events of code-likes, in steps that leave room for the versions.
    pub generation: AtomicU64,
    /// Whether a scope may go straight to the interpreter: on 3.13 and later, while no code-like has
    /// local events.
    pub direct: AtomicI32,
    reserved: i32,
}

/// Between two generations lie this many versions of the configuration.
pub const GENERATION: u64 = 1 << 32;

impl Words {
    /// Words of a configuration that stands nowhere yet.
    pub const fn new() -> Words {
        // Not 0: that is the version of a scope that was never entered.
        Words::with(std::ptr::null_mut(), GENERATION)
    }

    pub(crate) const fn with(configuration: *mut u64, generation: u64) -> Words {
        Words {
            configuration: AtomicPtr::new(configuration),
            generation: AtomicU64::new(generation),
            direct: AtomicI32::new(cfg!(Py_3_13) as i32),
            reserved: 0,
        }
    }

    /// Makes every scope ask again, of the interpreter if `direct` and it can.
    pub fn raise(&self, direct: bool) {
        self.generation.fetch_add(GENERATION, Relaxed);
        self.direct.store((direct && cfg!(Py_3_13)) as i32, Relaxed);
    }
}

impl Default for Words {
    fn default() -> Self {
        Words::new()
    }
}

/// `PyMonitoring_EnterScope`.
pub type Enter = unsafe extern "C" fn(StatePtr, *mut u64, *const u8, Py_ssize_t) -> c_int;
/// `PyMonitoring_ExitScope`.
pub type Exit = unsafe extern "C" fn() -> c_int;
/// Fires an event that carries nothing, or the current exception.
pub type Place = unsafe extern "C" fn(StatePtr, *mut PyObject, i32) -> c_int;
/// Fires an event that carries an object.
pub type Value = unsafe extern "C" fn(StatePtr, *mut PyObject, i32, *mut PyObject) -> c_int;
/// Fires `CALL`.
pub type CallEvent =
    unsafe extern "C" fn(StatePtr, *mut PyObject, i32, *mut PyObject, *mut PyObject) -> c_int;
/// Fires `LINE`.
pub type LineEvent = unsafe extern "C" fn(StatePtr, *mut PyObject, i32, c_int) -> c_int;

/// `Monitrace_Api`. Each function is called as the one of the Monitoring C API whose name it has.
#[allow(missing_docs, reason = "the Monitoring C API's document says it")]
#[repr(C)]
#[derive(Debug)]
pub struct Api {
    pub version: u32,
    pub size: u32,
    pub words: &'static Words,
    pub enter_scope: Enter,
    pub exit_scope: Exit,
    pub fire_py_start: Place,
    pub fire_py_resume: Place,
    pub fire_py_return: Value,
    pub fire_py_yield: Value,
    pub fire_call: CallEvent,
    pub fire_line: LineEvent,
    pub fire_jump: Value,
    pub fire_branch: Value,
    pub fire_branch_left: Value,
    pub fire_branch_right: Value,
    pub fire_c_return: Value,
    pub fire_py_throw: Place,
    pub fire_raise: Place,
    pub fire_c_raise: Place,
    pub fire_reraise: Place,
    pub fire_exception_handled: Place,
    pub fire_py_unwind: Place,
    pub fire_stop_iteration: Value,
}
