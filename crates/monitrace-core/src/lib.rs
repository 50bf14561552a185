//! The execution monitoring engine: which tools want which events where, and one dispatch loop.
//!
//! It knows events and tools, not Python: any virtual machine that implements [`Host`] can embed
//! it. It owns tool ids, event sets, callbacks and disabled locations; it must never hold a lock
//! while a callback runs, allocate between an active event and its callback, or walk code.
//!
//! The way of one event: the virtual machine reaches a location, looks at the location's
//! [`EventState`] (one byte; zero means go on), builds a [`Firing`] and calls [`Monitor::fire`],
//! which calls each tool's [`Callback`], highest id first.

#![forbid(unsafe_code)]

mod callback;
mod dispatch;
mod error;
mod event;
mod host;
mod location;
mod monitor;
mod restart;
mod scope;
mod slot;
mod sync;
mod tool;

pub use callback::{Callback, Firing, Payload, Reply};
pub use dispatch::dispatch;
pub use error::MonitorError;
pub use event::{Event, EventKind, EventSet, UnknownEvent};
pub use host::{Change, CodeInfo, Host};
pub use location::{ByteOffset, CodeId, Location, UnitIndex};
pub use monitor::Monitor;
pub use restart::Restart;
pub use scope::{EventState, Scope};
pub use slot::{SharedSlot, Slot};
pub use tool::{Tool, ToolId, ToolSet};
