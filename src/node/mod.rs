//! The top of the system: one node wired from its parts, and the programs over several of them.

use crate::config::Config;
use std::path::Path;

/// Why a server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Not wired yet.
    #[error("this build does not serve yet")]
    Unwired,
}

/// Runs `evesql serve` until a signal asks it to stop.
pub fn serve(_config: Config) -> Result<(), NodeError> {
    Err(NodeError::Unwired)
}

/// Runs `evesql check`: 0 sound, 1 damaged.
pub fn check(_data: &Path) -> Result<u8, NodeError> {
    Err(NodeError::Unwired)
}
