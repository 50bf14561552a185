//! CPython's own structs and functions that pyo3-ffi does not declare, one file per header: most are
//! of 3.11, where code is rewritten; 3.12 and later need but the thread state.
//!
//! Declarations and nothing else. `tests/layout.rs` compares every field in [`LAYOUT`] with what
//! the C compiler says of the headers of the interpreter that is built for.

#![allow(missing_docs, reason = "the headers document these")]

#[cfg(not(Py_3_12))]
pub mod ceval;
#[cfg(not(Py_3_12))]
pub mod classobject;
#[cfg(not(Py_3_12))]
pub mod code;
#[cfg(Py_3_13)]
pub mod debug_offsets;
#[cfg(not(Py_3_12))]
pub mod frame;
#[cfg(not(Py_3_12))]
pub mod genobject;
pub mod pystate;
#[cfg(not(Py_3_12))]
pub mod sysmodule;
#[cfg(not(Py_3_12))]
pub mod traceback;

/// One field as declared here: C struct, C field, offset and size in bytes.
pub type Field = (&'static str, &'static str, usize, usize);

/// The size in bytes of the field that `get` projects to.
pub(crate) const fn size_of_field<S, F>(_get: fn(*const S) -> *const F) -> usize {
    size_of::<F>()
}

/// Lists fields of a struct for [`LAYOUT`]: `$rust` is the type here, `$c` the C type.
macro_rules! fields {
    ($rust:ty as $c:literal: $($field:ident),* $(,)?) => {
        &[$(($c, stringify!($field), core::mem::offset_of!($rust, $field), {
            // SAFETY: the projection computes an address and never runs; its type alone is used.
            $crate::ffi::size_of_field(|s: *const $rust| unsafe { &raw const (*s).$field })
        })),*]
    };
}
pub(crate) use fields;

/// Every field that this crate reads or writes through a declaration of its own.
#[cfg(Py_3_12)]
pub const LAYOUT: &[&[Field]] = &[
    pystate::THREAD_FIELDS,
    #[cfg(Py_3_13)]
    debug_offsets::FIELDS,
];

/// Every field that this crate reads or writes through a declaration of its own.
#[cfg(not(Py_3_12))]
pub const LAYOUT: &[&[Field]] = &[
    classobject::FIELDS,
    code::FIELDS,
    frame::INTERPRETER_FRAME_FIELDS,
    frame::FRAME_OBJECT_FIELDS,
    genobject::FIELDS,
    pystate::THREAD_FIELDS,
    pystate::CFRAME_FIELDS,
    traceback::FIELDS,
];

/// The names of a type: a new reference, or NULL. `PyType_GetDict`, which came with 3.12.
///
/// # Safety
/// A type that is ready.
#[cfg(not(Py_3_14))]
pub(crate) unsafe fn type_dict(kind: *mut pyo3::ffi::PyTypeObject) -> *mut pyo3::ffi::PyObject {
    // SAFETY: see above.
    unsafe {
        #[cfg(Py_3_12)]
        return pyo3::ffi::PyType_GetDict(kind);
        #[cfg(not(Py_3_12))]
        return pyo3::ffi::Py_XNewRef((*kind).tp_dict);
    }
}
