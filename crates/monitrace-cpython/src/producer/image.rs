//! What C code finds in a code-like that takes every code object for CPython's own struct: the fields of a
//! code object that has the same names and lines, and no instructions.
//!
//! Monitoring callbacks in C do so (line_profiler asks `PyCode_Addr2Line` for the line of every return), and
//! would otherwise read beyond what a code-like is. The fields are copied as they are and never looked
//! at here: which they are is the interpreter's own affair.

#![allow(unsafe_code)]

use pyo3::exceptions::PyImportError;
use pyo3::ffi::{Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyCode;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// Where the fields begin in an object.
const HEAD: usize = size_of::<PyObject>();
/// For each version 144 to 192 bytes are needed: from the first field to the instructions.
const WORDS: usize = 28;

/// The fields of a code object, for one that begins as an object does. It keeps nothing alive.
pub(super) struct Image(#[expect(dead_code, reason = "C reads it")] UnsafeCell<[MaybeUninit<usize>; WORDS]>);

// SAFETY: nothing here ever reads or writes it again; C does so with the GIL held.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// The fields of a code object that was just made and was never run: the interpreter has added
    /// nothing of its own to it yet.
    ///
    /// # Errors
    /// `ImportError` in an interpreter whose code objects have more fields than is known of any.
    pub(super) fn of(code: &Bound<'_, PyCode>) -> PyResult<Image> {
        let end: usize = code.get_type().getattr("__basicsize__")?.extract()?;
        let size = end.checked_sub(HEAD).filter(|&size| size <= size_of::<Image>());
        let size = size.ok_or_else(|| {
            PyImportError::new_err("monitrace does not know this interpreter's code objects")
        })?;
        let mut words = [MaybeUninit::zeroed(); WORDS];
        // SAFETY: every code object has the basic size of its type, of which this is the part behind the
        // head; the image has room for it, says the check above.
        unsafe {
            let fields = code.as_ptr().cast::<u8>().add(HEAD);
            words.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(fields, size);
            // The first field, of a size that depends on the object, says how many instructions lie behind
            // the fields: none.
            words.as_mut_ptr().cast::<Py_ssize_t>().write(0);
        }
        Ok(Image(UnsafeCell::new(words)))
    }
}
