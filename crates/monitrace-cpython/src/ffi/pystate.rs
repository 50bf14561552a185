//! `Include/cpython/pystate.h` (3.11, and the beginning of the thread state of 3.12 to 3.15).

#[cfg(not(Py_3_12))]
pub use of_3_11::*;
#[cfg(Py_3_12)]
pub use since_3_12::*;

#[cfg(not(Py_3_12))]
mod of_3_11 {
    use crate::ffi::code::PyCodeObject;
    use crate::ffi::frame::{InterpreterFrame, PyFrameObject};
    use pyo3::ffi::{PyInterpreterState, PyObject};
    use std::ffi::{c_char, c_int, c_ulong, c_void};

    /// `Py_tracefunc`.
    pub type TraceFunction =
        unsafe extern "C" fn(*mut PyObject, *mut PyFrameObject, c_int, *mut PyObject) -> c_int;

    /// `_PyErr_StackItem`.
    #[repr(C)]
    pub struct ErrStackItem {
        pub exc_value: *mut PyObject,
        pub previous_item: *mut ErrStackItem,
    }

    /// `_PyCFrame`: one for each C call of the evaluation loop.
    #[repr(C)]
    pub struct CFrame {
        /// 0 or 255: or'ed into each opcode, which sends the loop to its tracing branch.
        pub use_tracing: u8,
        pub current_frame: *mut InterpreterFrame,
        pub previous: *mut CFrame,
    }

    /// `PyTraceInfo`, which holds a `PyCodeAddressRange` (`Include/cpython/code.h`).
    #[repr(C)]
    pub struct TraceInfo {
        pub code: *mut PyCodeObject,
        pub ar_start: c_int,
        pub ar_end: c_int,
        pub ar_line: c_int,
        pub opaque: AddressRangeOpaque,
    }

    /// The `opaque` of a `PyCodeAddressRange`.
    #[repr(C)]
    pub struct AddressRangeOpaque {
        pub computed_line: c_int,
        pub lo_next: *const c_char,
        pub limit: *const c_char,
    }

    /// `PyThreadState`.
    #[repr(C)]
    pub struct ThreadState {
        pub prev: *mut ThreadState,
        pub next: *mut ThreadState,
        pub interp: *mut PyInterpreterState,
        pub _initialized: c_int,
        pub _static: c_int,
        pub recursion_remaining: c_int,
        pub recursion_limit: c_int,
        pub recursion_headroom: c_int,
        pub tracing: c_int,
        pub tracing_what: c_int,
        pub cframe: *mut CFrame,
        pub c_profilefunc: Option<TraceFunction>,
        pub c_tracefunc: Option<TraceFunction>,
        pub c_profileobj: *mut PyObject,
        pub c_traceobj: *mut PyObject,
        pub curexc_type: *mut PyObject,
        pub curexc_value: *mut PyObject,
        pub curexc_traceback: *mut PyObject,
        pub exc_info: *mut ErrStackItem,
        pub dict: *mut PyObject,
        pub gilstate_counter: c_int,
        pub async_exc: *mut PyObject,
        pub thread_id: c_ulong,
        pub native_thread_id: c_ulong,
        pub trash_delete_nesting: c_int,
        pub trash_delete_later: *mut PyObject,
        pub on_delete: *mut c_void,
        pub on_delete_data: *mut c_void,
        pub coroutine_origin_tracking_depth: c_int,
        pub async_gen_firstiter: *mut PyObject,
        pub async_gen_finalizer: *mut PyObject,
        pub context: *mut PyObject,
        pub context_ver: u64,
        pub id: u64,
        pub trace_info: TraceInfo,
        pub datastack_chunk: *mut c_void,
        pub datastack_top: *mut *mut PyObject,
        pub datastack_limit: *mut *mut PyObject,
    }

    pub const THREAD_FIELDS: &[crate::ffi::Field] = crate::ffi::fields!(ThreadState as "PyThreadState":
        interp, tracing, tracing_what, cframe, c_profilefunc, c_tracefunc, c_traceobj, curexc_type, datastack_top, datastack_limit,
    );

    pub const CFRAME_FIELDS: &[crate::ffi::Field] = crate::ffi::fields!(CFrame as "_PyCFrame":
        use_tracing, current_frame, previous,
    );

    unsafe extern "C" {
        pub fn _PyThreadState_UncheckedGet() -> *mut ThreadState;
        pub fn PyInterpreterState_ThreadHead(interp: *mut PyInterpreterState) -> *mut ThreadState;
        pub fn PyThreadState_Next(thread: *mut ThreadState) -> *mut ThreadState;
        pub fn PyThreadState_GetFrame(thread: *mut ThreadState) -> *mut PyFrameObject;
        pub fn PyFrame_GetBack(frame: *mut PyFrameObject) -> *mut PyFrameObject;
    }
}

#[cfg(Py_3_12)]
mod since_3_12 {
    use pyo3::ffi::{PyInterpreterState, PyObject};
    use std::ffi::{c_int, c_uint, c_void};

    /// The beginning of `PyThreadState`. Never made here, only pointed to: there is more behind it.
    #[repr(C)]
    pub struct ThreadState {
        pub prev: *mut ThreadState,
        pub next: *mut ThreadState,
        pub interp: *mut PyInterpreterState,
        #[cfg(Py_3_13)]
        pub eval_breaker: usize,
        pub _status: c_uint,
        #[cfg(Py_3_14)]
        pub holds_gil: c_int,
        #[cfg(Py_3_15)]
        pub gil_requested: c_int,
        #[cfg(Py_3_13)]
        pub _whence: c_int,
        #[cfg(Py_3_13)]
        pub state: c_int,
        pub py_recursion_remaining: c_int,
        pub py_recursion_limit: c_int,
        #[cfg(not(Py_3_14))]
        pub c_recursion_remaining: c_int,
        pub recursion_headroom: c_int,
        pub tracing: c_int,
        pub what_event: c_int,
        /// `cframe` on 3.12.
        pub current_frame: *mut c_void,
        #[cfg(Py_3_15)]
        pub base_frame: *mut c_void,
        #[cfg(Py_3_15)]
        pub last_profiled_frame: *mut c_void,
        #[cfg(Py_3_15)]
        pub last_profiled_frame_seq: usize,
        pub c_profilefunc: Option<unsafe extern "C" fn()>,
        pub c_tracefunc: Option<unsafe extern "C" fn()>,
        pub c_profileobj: *mut PyObject,
        pub c_traceobj: *mut PyObject,
        pub current_exception: *mut PyObject,
    }

    pub const THREAD_FIELDS: &[crate::ffi::Field] = crate::ffi::fields!(ThreadState as "PyThreadState":
        interp, py_recursion_remaining, py_recursion_limit, recursion_headroom, tracing, what_event,
        c_profilefunc, c_tracefunc, c_profileobj, c_traceobj, current_exception,
    );
}
