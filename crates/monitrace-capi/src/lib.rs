//! The Monitoring C API: the table of functions behind `monitrace.h`.
//!
//! It owns the table's layout, and what C may get wrong: NULL, numbers out of range, exceptions that
//! are set or missing. Every call from C comes in through `trampoline`. It must never dispatch: what
//! an event does is in `monitrace_cpython::producer`.

mod functions;
mod table;
mod trampoline;

pub use table::publish;
