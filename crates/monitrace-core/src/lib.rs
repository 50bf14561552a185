//! The execution monitoring engine: which tools want which events where, and one dispatch loop.
//!
//! It knows events and tools, not Python: any virtual machine that implements [`Host`] can embed
//! it. It owns tool ids, event sets, callbacks and disabled locations; it must never hold a lock
//! while a callback runs, allocate between an active event and its callback, or walk code.
//!
//! The way of one event: the virtual machine reaches a location, looks at the location's
//! [`EventState`] (one byte; zero means go on), builds a [`Firing`] and calls [`Monitor::fire`],
//! which calls each tool's [`Callback`], highest id first.
//!
//! # A virtual machine with events
//!
//! All that one needs: it adds numbers, one on each line, and has two kinds of events.
//!
//! ```
//! use monitrace_core::*;
//! use std::{cell::Cell, fmt::{self, Write}, sync::{Arc, Mutex}};
//!
//! struct Adder;
//! struct Sum { numbers: Vec<i64>, scope: Scope }
//! thread_local!(static MUTE: Cell<bool> = const { Cell::new(false) });
//! struct Quiet;
//! impl Drop for Quiet { fn drop(&mut self) { MUTE.set(false); } }
//!
//! impl Host for Adder {
//!     type Code = Sum;
//!     type Value = i64;
//!     type Error = MonitorError;
//!     type Quiet = Quiet;
//!     type Slot = LocalSlot<Self>;
//!     fn quiet(&self) -> Option<Quiet> { (!MUTE.replace(true)).then_some(Quiet) }
//!     fn refresh(&self, _: &Monitor<Self>, _: Change) {} // It removes no place, so none comes back.
//!     fn code_id(&self, code: &Sum) -> CodeId { code.scope.code() }
//!     fn describe(&self, _: &Sum) -> CodeInfo { CodeInfo::default() }
//!     fn summarize(&self, value: &i64, out: &mut dyn Write) -> fmt::Result { write!(out, "{value}") }
//!     fn thread(&self) -> u64 { 0 }
//! }
//!
//! fn run(monitor: &Monitor<Adder>, code: &Sum) -> Result<i64, MonitorError> {
//!     let reach = |place: usize, event, payload| {
//!         monitor.enter(&code.scope);
//!         if code.scope.state(place).active().is_empty() {
//!             return Ok(()); // What nearly every event comes to.
//!         }
//!         let firing = Firing { event, offset: ByteOffset(place as u32), code, payload };
//!         monitor.fire(&code.scope, place, &firing).map(drop)
//!     };
//!     let mut sum = 0;
//!     for (place, number) in code.numbers.iter().enumerate() {
//!         reach(place, Event::Line, Payload::Line(place as u32 + 1))?;
//!         sum += number;
//!     }
//!     reach(code.numbers.len(), Event::PyReturn, Payload::Value(&sum))?;
//!     Ok(sum)
//! }
//!
//! let monitor = Monitor::new(Adder);
//! let places = [Event::Line, Event::Line, Event::PyReturn];
//! let code = Sum { numbers: vec![2, 3], scope: Scope::new(CodeId(0), places) };
//! static TOLD: Mutex<String> = Mutex::new(String::new());
//! let callback: Arc<dyn Callback<Adder>> = Arc::new(|firing: &Firing<'_, Adder>| {
//!     let mut log = TOLD.lock().unwrap();
//!     match firing.payload {
//!         Payload::Line(line) => { write!(log, "line {line}, ").unwrap(); Ok(Reply::Disable) }
//!         Payload::Value(sum) => { write!(log, "returns {sum}; ").unwrap(); Ok(Reply::Continue) }
//!         _ => unreachable!("it listens to nothing else"),
//!     }
//! });
//! let tool = Tool::new("log").on(Event::Line, Arc::clone(&callback)).on(Event::PyReturn, callback);
//! monitor.attach(ToolId::COVERAGE, tool)?;
//! assert_eq!((run(&monitor, &code)?, run(&monitor, &code)?), (5, 5));
//! monitor.restart_events();
//! run(&monitor, &code)?;
//! assert_eq!(*TOLD.lock().unwrap(), "line 1, line 2, returns 5; returns 5; line 1, line 2, returns 5; ");
//! # Ok::<(), MonitorError>(())
//! ```

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
pub use slot::{LocalSlot, SharedSlot, Slot};
pub use tool::{Tool, ToolId, ToolSet};
