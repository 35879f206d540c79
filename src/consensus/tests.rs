//! Three nodes in one process.
