//! Native tools over the engine, for any host.
//!
//! They know code objects by [`CodeId`](monitrace_core::CodeId) and
//! [`CodeInfo`](monitrace_core::CodeInfo), and values by the host's summaries. They must never
//! import a host, call the virtual machine, or hold a lock while a method of the host runs.

#![forbid(unsafe_code)]

mod count;
mod files;
pub mod trace;

pub use count::Count;
pub use files::{Files, PatternError};
