//! Gives every code object a number that no other object ever has, and so every other object that
//! events are made for. A tool that remembers something under it never tells of the wrong code.

use crate::by_code::ByCode;
use monitrace_core::CodeId;
use pyo3::prelude::*;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static IDS: LazyLock<ByCode<CodeId>> = LazyLock::new(ByCode::new);

/// A number that was never given before.
pub(crate) fn next() -> CodeId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    CodeId(NEXT.fetch_add(1, Relaxed))
}

/// The number of an object, the same for as long as it lives and never given to another. An object
/// to which no weak reference can be made gets a new one each time: nothing would tell when its
/// address is another's.
pub(crate) fn code_id(code: &Bound<'_, PyAny>) -> CodeId {
    // There a code object has a record, and its number stands in that.
    #[cfg(not(Py_3_12))]
    if let Some(id) = crate::instrument::number_of(code) {
        return id;
    }
    IDS.keep(code, next, |id| *id).unwrap_or_else(|_| next())
}
