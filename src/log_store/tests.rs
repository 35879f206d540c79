//! Tests of the log on a crashing disk.
