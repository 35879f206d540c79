//! A drill: a statement that ends the process wherever a replica executes it (rule 14).
//!
//! `evesql_crash(evesql_system('drill:crash-statement'))` is what `evesql_drill('crash-statement')` becomes. The system
//! value is there only if the session's server allows drills, and travels with the transaction. On the session's own
//! view nothing happens: it is the batch that crashes.

use super::connection::Role;
use crate::page_store::sqlite::{Connection, FunctionFlags, SqliteError};
use crate::transaction::ValueRef;
use std::time::Duration;

/// The drill's name, and the value that makes it happen.
pub const CRASH_DRILL: &str = "crash-statement";

/// What crashes at once may crash before it is in the log; then no restart meets it. The drill is about the others.
const LOGGED_AFTER: Duration = Duration::from_millis(100);

/// Registers the function, which returns its argument if the process survives.
pub(super) fn register(connection: &Connection, role: Role) -> Result<(), SqliteError> {
    connection.register_function("evesql_crash", 1, FunctionFlags::CONTEXT, move |arguments| {
        if role == Role::Canonical && matches!(arguments[0], ValueRef::Text(CRASH_DRILL)) {
            tracing::error!("a drill ends this process");
            std::thread::sleep(LOGGED_AFTER);
            std::process::abort();
        }
        Ok(arguments[0].to_value())
    })
}
