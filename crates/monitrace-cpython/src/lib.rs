//! CPython as a host of the engine: the events of Python programs on CPython 3.11 to 3.15.
//!
//! On 3.12 and later the interpreter owns tool ids, disabled locations and the dispatch
//! (`native`). It knows tools only through `monitrace-core`, and must never import one.

mod code_ids;
mod door;
pub mod event_ids;
mod host;
#[cfg(Py_3_12)]
mod native;
mod summary;

pub use code_ids::code_id;
pub use door::{ToolHandle, attach, install, monitoring, uninstall};
pub use host::{CPython, Raised, Site};
