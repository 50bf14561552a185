//! What the engine asks of the virtual machine that embeds it.

use crate::{ByteOffset, CodeId, Monitor, MonitorError, Slot};
use std::fmt;

/// Names of a code object, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeInfo {
    /// The name with its classes and functions, `Class.method`.
    pub qualified_name: String,
    /// The file that it was loaded from.
    pub file: String,
    /// Its first line, 1-based.
    pub first_line: u32,
}

/// Where a change of the configuration is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// In all code.
    Everywhere,
    /// Wherever something was disabled: it is enabled again, and nothing else has changed.
    Disabled,
    /// In one code object.
    In(CodeId),
}

/// A virtual machine: its types, how it mutes a thread, and what it does when tools change.
pub trait Host: Send + Sync + Sized + 'static {
    /// The code object as callbacks see it.
    type Code: ?Sized;
    /// A value of the virtual machine.
    type Value: ?Sized;
    /// What callbacks raise.
    type Error: From<MonitorError>;
    /// Keeps the current thread mute until it is dropped.
    type Quiet;
    /// Where a callback is kept. [`SharedSlot`](crate::SharedSlot) does for every host,
    /// [`LocalSlot`](crate::LocalSlot) for one whose code all runs in one thread; one whose threads run in
    /// turns can bring its own.
    type Slot: Slot<Self>;

    /// Mutes the current thread; `None` if it is mute already. Called for every active event.
    fn quiet(&self) -> Option<Self::Quiet>;

    /// The configuration changed: probes that were removed may be wanted again, and new ones too.
    /// Called after every change of [`Monitor::version`], with no lock held.
    fn refresh(&self, monitor: &Monitor<Self>, change: Change);

    /// The key of a code object: the same for as long as it lives.
    fn code_id(&self, code: &Self::Code) -> CodeId;

    /// The names of a code object.
    fn describe(&self, code: &Self::Code) -> CodeInfo;

    /// The 1-based line of the instruction at `offset`. `None`: it has none, or the host knows no
    /// lines.
    fn line(&self, code: &Self::Code, offset: ByteOffset) -> Option<u32> {
        let _ = (code, offset);
        None
    }

    /// Writes a short form of a value. Must not run code of the program, nor raise.
    ///
    /// # Errors
    /// Only those of `out`.
    fn summarize(&self, value: &Self::Value, out: &mut dyn fmt::Write) -> fmt::Result;

    /// A number for the current thread, the same for as long as it lives.
    fn thread(&self) -> u64;
}
