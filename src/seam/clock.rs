//! Wall-clock time in the unit that SQL values use.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds between 1970-01-01 and 2000-01-01, the epoch of Postgres timestamps.
pub const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// Where "now" comes from when a batch is closed or an interactive transaction begins.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 2000-01-01 UTC; may step backwards (batches take the maximum, rule 15).
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since_1970.as_micros() as i64 - POSTGRES_EPOCH_US
    }
}
