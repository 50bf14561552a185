//! The beginning of `_PyRuntime` on 3.13 and later, which tells debuggers where things are:
//! `Include/internal/pycore_debug_offsets.h`, and `pycore_runtime.h` of 3.13.

/// The beginning of `_Py_DebugOffsets`, with which `_PyRuntime` begins.
#[repr(C)]
pub struct DebugOffsets {
    pub cookie: [u8; 8],
    /// `PY_VERSION_HEX`.
    pub version: u64,
    pub free_threaded: u64,
    pub runtime_state: [u64; 3],
    /// `interpreter_state.size`
    pub interpreter_state_size: u64,
}

/// `_Py_Debug_Cookie`: the offsets are filled in.
pub const COOKIE: [u8; 8] = *b"xdebugpy";

pub const FIELDS: &[crate::ffi::Field] = &[
    ("_Py_DebugOffsets", "cookie", core::mem::offset_of!(DebugOffsets, cookie), 8),
    ("_Py_DebugOffsets", "version", core::mem::offset_of!(DebugOffsets, version), 8),
    (
        "_Py_DebugOffsets",
        "interpreter_state.size",
        core::mem::offset_of!(DebugOffsets, interpreter_state_size),
        8,
    ),
];

unsafe extern "C" {
    pub static _PyRuntime: DebugOffsets;
}
