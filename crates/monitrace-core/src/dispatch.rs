//! The one dispatch loop: in which order tools are told of an event, and what their answers do.
//!
//! It owns that order and the meaning of an answer. Where callbacks and states are kept is the
//! caller's affair: this must never lock, allocate or look anything up by itself.

use crate::{Event, MonitorError, Reply, ToolId, ToolSet};

/// Tells each of `tools` of one event, highest id first, by `tell`.
///
/// A tool that answers [`Reply::Disable`] is handed to `disabled`; if the event has no location to be
/// disabled at, to `remove` instead, which is to drop that tool's callback for the event.
///
/// # Errors
/// The first error of `tell`, and [`MonitorError::CannotDisable`]. Tools with a lower id are then not
/// told.
#[inline(always)]
pub fn dispatch<E: From<MonitorError>>(
    event: Event,
    tools: ToolSet,
    mut tell: impl FnMut(ToolId) -> Result<Reply, E>,
    mut disabled: impl FnMut(ToolId),
    mut remove: impl FnMut(ToolId),
) -> Result<(), E> {
    for tool in tools.highest_first() {
        if tell(tool)? == Reply::Disable {
            if !event.can_be_disabled() {
                remove(tool);
                return Err(MonitorError::CannotDisable(event).into());
            }
            disabled(tool);
        }
    }
    Ok(())
}
