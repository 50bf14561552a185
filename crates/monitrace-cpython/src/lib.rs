//! CPython as a host of the engine: the events of Python programs on CPython 3.11 to 3.15.
//!
//! On 3.11, which makes no events, code is rewritten (`bytecode`, bytes in, bytes out) and put in
//! place (`instrument`), and the engine dispatches. On 3.12 and later the interpreter owns tool ids,
//! disabled locations and the dispatch (`native`). Tools are known only through `monitrace-core`: this
//! must never import one.

#[cfg(not(Py_3_14))]
mod arguments;
mod by_code;
pub mod bytecode;
#[cfg(not(Py_3_12))]
mod callback;
#[cfg(not(Py_3_14))]
mod co_branches;
mod code_ids;
mod door;
pub mod event_ids;
pub mod ffi;
mod host;
#[cfg(not(Py_3_12))]
mod instrument;
#[cfg(Py_3_12)]
mod native;
pub mod producer;
mod summary;

pub use door::{ToolHandle, attach, install, monitoring, uninstall};
pub use host::{CPython, Raised, Site};
#[cfg(not(Py_3_12))]
pub use instrument::{Quiet, Slot};
#[cfg(Py_3_12)]
#[doc(hidden)]
pub use native::{cells, quiet};
