//! One occurrence of an event, and who is told of it.

use crate::{ByteOffset, CodeId, Event, Host, Location};
use std::any::Any;

/// What a callback wants of this location from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Tell me again.
    Continue,
    /// Not at this location again, until the next restart.
    Disable,
}

/// What an event carries besides its location.
pub enum Payload<'a, V: ?Sized> {
    /// Nothing: `PY_START`, `PY_RESUME`, `INSTRUCTION`.
    None,
    /// The 1-based line of a `LINE`.
    Line(u32),
    /// The value of a `PY_RETURN` or `PY_YIELD`.
    Value(&'a V),
    /// The callable of `CALL`, `C_RETURN` and `C_RAISE`, and its first argument if it has one.
    Call {
        /// What is called.
        callable: &'a V,
        /// The first argument; for methods, the instance.
        arg0: Option<&'a V>,
    },
    /// The exception of `RAISE` and its kin.
    Exception(&'a V),
    /// Where a jump or a branch goes.
    Destination(ByteOffset),
}

impl<V: ?Sized> Clone for Payload<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V: ?Sized> Copy for Payload<'_, V> {}

/// One occurrence of an event: borrowed for the length of the callback.
pub struct Firing<'a, H: Host> {
    /// Which event.
    pub event: Event,
    /// Where in the code object.
    pub offset: ByteOffset,
    /// The code object, as the host shows it to callbacks.
    pub code: &'a H::Code,
    /// What it carries.
    pub payload: Payload<'a, H::Value>,
}

impl<H: Host> Firing<'_, H> {
    /// The code object's key. Asked of the host, which may have to look it up: events whose
    /// callbacks need no key do not pay for one.
    pub fn code_id(&self, host: &H) -> CodeId {
        host.code_id(self.code)
    }

    /// Where, with the code object's key.
    pub fn location(&self, host: &H) -> Location {
        Location { code: self.code_id(host), offset: self.offset }
    }
}

/// Receives the events of one tool and kind. May be called from any thread that runs monitored
/// code, but never within a callback on the same thread. An error comes out of the monitored code
/// at the event's location, and tools with a lower id are not told of it.
pub trait Callback<H: Host>: Any + Send + Sync {
    /// One event happened.
    ///
    /// # Errors
    /// Whatever the host's code may raise.
    fn call(&self, firing: &Firing<'_, H>) -> Result<Reply, H::Error>;
}

impl<H: Host, F> Callback<H> for F
where
    F: Fn(&Firing<'_, H>) -> Result<Reply, H::Error> + Send + Sync + 'static,
{
    fn call(&self, firing: &Firing<'_, H>) -> Result<Reply, H::Error> {
        self(firing)
    }
}
