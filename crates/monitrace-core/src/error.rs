//! What can go wrong in the engine. Hosts choose the exception and may choose other words.

use crate::{Event, ToolId};

/// A refusal of the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// The number is no tool id.
    #[error("invalid tool {0} (must be between 0 and 5)")]
    InvalidTool(i64),
    /// The tool id has not been claimed.
    #[error("tool {0} is not in use")]
    ToolNotInUse(ToolId),
    /// The tool id has been claimed already.
    #[error("tool {0} is already in use")]
    ToolInUse(ToolId),
    /// `C_RETURN` or `C_RAISE` without `CALL` and each other.
    #[error("cannot set C_RETURN or C_RAISE events independently")]
    AncillaryAlone,
    /// A callback answered `Disable` to an event that has no location; it has been removed.
    #[error("Cannot disable {0} events. Callback removed.")]
    CannotDisable(Event),
}
