//! What one command remembers of the rows that it changes, for functions that translated SQL calls beside each of them.
//!
//! SQLite evaluates RETURNING for each row right after it was changed, and the condition of DO UPDATE right before. So
//! `evesql_changed(rowid)` in the one and `evesql_unchanged(rowid)` in the other notice a row that a command would
//! change twice. In the same way `evesql_keep(value, rowid, n, x, ..)` in SET, which is evaluated where the tables of
//! FROM can be seen, hands columns of theirs to `evesql_kept(rowid, n)` in RETURNING, where they cannot. If several
//! rows of FROM meet one row, the last one counts, as it does for SQLite's SET. `evesql_remember(n, row)` in the RETURNING
//! of a statement in WITH keeps its rows for `evesql_remembered(n)` in the statements that come after it.

use super::{Arguments, BYTES_MAX, Result, integer, text, too_large};
use crate::transaction::{SqlError, Value, ValueRef};
use std::collections::{HashMap, HashSet};

/// Names and numbers of arguments of the functions that [`CommandRows::call`] knows.
pub const COMMAND_FUNCTIONS: [(&str, i32); 6] = [
    ("evesql_changed", 1),
    ("evesql_unchanged", 1),
    ("evesql_keep", -1),
    ("evesql_kept", 2),
    ("evesql_remember", 2),
    ("evesql_remembered", 1),
];

/// Rows whose change one command can remember.
const CHANGED_MAX: usize = 8 << 20;

/// The memory of one command; nothing of it outlives the command, and no order within it shows.
#[derive(Default)]
pub struct CommandRows {
    changed: HashSet<i64>,
    kept: HashMap<i64, Vec<(i64, Value)>>,
    kept_bytes: usize,
    /// JSON arrays of rows, without their last bracket.
    returned: HashMap<i64, String>,
}

impl CommandRows {
    /// Forgets all: a new command begins.
    pub fn clear(&mut self) {
        if !self.changed.is_empty() || !self.kept.is_empty() || !self.returned.is_empty() {
            *self = CommandRows::default();
        }
    }

    /// Calls the function of this name.
    ///
    /// # Errors
    /// 21000 for a row that would be changed twice; 54000 if more would have to be remembered than is allowed.
    pub fn call(&mut self, name: &str, args: &Arguments<'_>) -> std::result::Result<Value, SqlError> {
        match (name, args) {
            ("evesql_changed", [row]) => {
                self.changed.insert(integer(*row)?);
                if self.changed.len() > CHANGED_MAX { Err(too_large()) } else { Ok(Value::Null) }
            }
            ("evesql_unchanged", [row]) if self.changed.contains(&integer(*row)?) => Err(twice()),
            ("evesql_unchanged", _) => Ok(Value::Integer(1)),
            ("evesql_keep", [value, row, columns @ ..]) => {
                self.keep(integer(*row)?, columns)?;
                Ok(value.to_value())
            }
            ("evesql_kept", [row, number]) => {
                let (row, number) = (integer(*row)?, integer(*number)?);
                let found = self.kept.get(&row).and_then(|columns| columns.iter().find(|column| column.0 == number));
                Ok(found.map_or(Value::Null, |column| column.1.clone()))
            }
            ("evesql_remember", [number, ValueRef::Text(row)]) => {
                self.kept_bytes += row.len() + 1;
                if self.kept_bytes > BYTES_MAX {
                    return Err(too_large());
                }
                let rows = self.returned.entry(integer(*number)?).or_default();
                rows.push(if rows.is_empty() { '[' } else { ',' });
                rows.push_str(row);
                Ok(Value::Null)
            }
            ("evesql_remembered", [number]) => Ok(match self.returned.get(&integer(*number)?) {
                Some(rows) => text(format!("{rows}]")),
                None => text("[]"),
            }),
            _ => Err(SqlError::new("XX000", format!("{name} was called with {} arguments", args.len()))),
        }
    }

    fn keep(&mut self, row: i64, columns: &Arguments<'_>) -> Result<()> {
        let mut kept = Vec::with_capacity(columns.len() / 2);
        for pair in columns.chunks_exact(2) {
            self.kept_bytes += size_of::<(i64, Value)>()
                + match pair[1] {
                    ValueRef::Text(text) => text.len(),
                    ValueRef::Blob(bytes) => bytes.len(),
                    _ => 0,
                };
            kept.push((integer(pair[0])?, pair[1].to_value()));
        }
        if self.kept_bytes > BYTES_MAX {
            return Err(too_large());
        }
        self.kept.insert(row, kept);
        Ok(())
    }
}

fn twice() -> SqlError {
    let error = SqlError::new("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time");
    error.with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_changed_once_and_what_is_kept_of_it_is_the_last() {
        let mut rows = CommandRows::default();
        let row = ValueRef::Integer(7);
        assert_eq!(rows.call("evesql_unchanged", &[row]), Ok(Value::Integer(1)));
        assert_eq!(rows.call("evesql_changed", &[row]), Ok(Value::Null));
        assert_eq!(rows.call("evesql_unchanged", &[row]).unwrap_err().code(), "21000");
        for text in ["a", "b"] {
            let args = [ValueRef::Integer(1), row, ValueRef::Integer(3), ValueRef::Text(text)];
            assert_eq!(rows.call("evesql_keep", &args), Ok(Value::Integer(1)));
        }
        assert_eq!(rows.call("evesql_kept", &[row, ValueRef::Integer(3)]), Ok(Value::Text("b".into())));
        assert_eq!(rows.call("evesql_kept", &[row, ValueRef::Integer(4)]), Ok(Value::Null));
        rows.clear();
        assert_eq!(rows.call("evesql_unchanged", &[row]), Ok(Value::Integer(1)));
    }

    #[test]
    fn what_a_command_keeps_is_bounded() {
        let mut rows = CommandRows::default();
        let text = "x".repeat(BYTES_MAX / 2);
        let args = [ValueRef::Null, ValueRef::Integer(1), ValueRef::Integer(0), ValueRef::Text(&text)];
        assert!(rows.call("evesql_keep", &args).is_ok());
        assert_eq!(rows.call("evesql_keep", &args).unwrap_err().code(), "54000");
    }
}
