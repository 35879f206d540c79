//! SET, SHOW, RESET, DISCARD, SET TRANSACTION.

use super::client::{Done, Session};
use super::encode::{Formats, RowWriter};
use super::settings::Settings;
use super::utility::{notice, tagged};
use crate::dialect::utility::{Isolation, TransactionModes};
use crate::dialect::{OutputColumn, PgType};
use crate::transaction::{SqlError, ValueRef};
use crate::wire::{Outbox, message};
use std::rc::Rc;

fn text_column(name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), ty: PgType::TEXT, typmod: -1, table_oid: 0, column_number: 0 }
}

/// Columns of SHOW.
pub fn show_columns(name: &str) -> Rc<[OutputColumn]> {
    match name {
        "all" => Rc::new([text_column("name"), text_column("setting"), text_column("description")]),
        name => Rc::new([text_column(&Settings::display_name(name))]),
    }
}

impl Session {
    pub(super) fn set(&mut self, name: &str, value: Option<&str>, local: bool, out: &mut Outbox) -> Done {
        match name {
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => {
                let mut modes = TransactionModes::default();
                let value = value.unwrap_or("").to_ascii_lowercase();
                match name {
                    "transaction_isolation" => modes.isolation = Some(isolation(&value)?),
                    "transaction_read_only" => modes.read_only = Some(matches!(value.as_str(), "on" | "true" | "1")),
                    _ => {}
                }
                self.set_modes(&modes)?;
            }
            // Not settings: accepted as Postgres does.
            "constraints" | "seed" => {}
            _ => {
                if local && self.transaction.is_none() {
                    out.notice("WARNING", &notice("25P01", "SET LOCAL can only be used in transaction blocks"));
                } else if let Some(told) = self.settings.set(name, value, local)? {
                    let value = self.settings.get(told)?;
                    message::parameter_status(&mut out.buffer, told, &value);
                }
            }
        }
        tagged("SET", out)
    }

    pub(super) fn set_transaction(&mut self, modes: &TransactionModes, session: bool, out: &mut Outbox) -> Done {
        if session {
            if let Some(isolation) = modes.isolation {
                self.settings.set("default_transaction_isolation", Some(isolation_name(isolation)), false)?;
            }
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                self.settings.set("default_transaction_read_only", Some(value), false)?;
            }
        } else if self.transaction.is_none() {
            out.notice("WARNING", &notice("25P01", "SET TRANSACTION can only be used in transaction blocks"));
        } else {
            self.set_modes(modes)?;
        }
        tagged("SET", out)
    }

    pub(super) fn show(&mut self, name: &str, formats: &Formats, describe: bool, out: &mut Outbox) -> Done {
        let columns = show_columns(name);
        let rows: Vec<Vec<String>> = match name {
            "all" => {
                let all = self.settings.all().into_iter();
                all.map(|(name, value)| vec![name.to_owned(), value, String::new()]).collect()
            }
            "transaction_isolation" => vec![vec![self.isolation()]],
            "transaction_read_only" => {
                let active = self.settings.active().read_only_by_default;
                let read_only = self.transaction.as_ref().map_or(active, |block| block.read_only);
                vec![vec![if read_only { "on" } else { "off" }.to_owned()]]
            }
            name => vec![vec![self.settings.get(name)?]],
        };
        let style = self.settings.active().style;
        let writer = RowWriter { columns: &columns, formats, style: &style, copy: None };
        if describe {
            writer.head(&mut out.buffer);
        }
        for row in &rows {
            writer.row(&mut out.buffer, |column| ValueRef::Text(&row[column]))?;
        }
        tagged("SHOW", out)
    }

    pub(super) fn isolation(&self) -> String {
        let read_committed = match &self.transaction {
            Some(block) => block.read_committed,
            None => self.settings.active().read_committed_by_default,
        };
        let default = self.settings.get("default_transaction_isolation").unwrap_or_default();
        match read_committed {
            true => "read committed".to_owned(),
            false if default.starts_with("read ") => "serializable".to_owned(),
            false => default,
        }
    }

    pub(super) fn reset(&mut self, name: Option<&str>, out: &mut Outbox) -> Done {
        match name {
            Some(name) => {
                if let Some(told) = self.settings.set(name, None, false)? {
                    let value = self.settings.get(told)?;
                    message::parameter_status(&mut out.buffer, told, &value);
                }
            }
            None => self.reset_all(out),
        }
        tagged("RESET", out)
    }

    pub(super) fn reset_all(&mut self, out: &mut Outbox) {
        let before = self.settings.reported();
        self.settings.reset_all();
        for ((name, old), (_, new)) in before.into_iter().zip(self.settings.reported()) {
            if old != new {
                message::parameter_status(&mut out.buffer, name, &new);
            }
        }
    }

    pub(super) fn discard(&mut self, what: &str, out: &mut Outbox) -> Done {
        if what.eq_ignore_ascii_case("all") {
            if self.transaction.is_some() {
                return Err(SqlError::new("25001", "DISCARD ALL cannot run inside a transaction block").into());
            }
            self.statements.clear();
            self.portals.clear();
            self.cursors.clear();
            self.listener = None;
            self.unlock_all();
            self.facts.current.borrow_mut().clear();
            self.facts.last.set(None);
            self.reset_all(out);
            return tagged("DISCARD ALL", out);
        }
        tagged(&format!("DISCARD {}", what.to_ascii_uppercase()), out)
    }
}

fn isolation(text: &str) -> Result<Isolation, SqlError> {
    match text {
        "serializable" => Ok(Isolation::Serializable),
        "repeatable read" => Ok(Isolation::RepeatableRead),
        "read committed" | "read uncommitted" => Ok(Isolation::ReadCommitted),
        _ => Err(SqlError::new("22023", format!("invalid value for parameter \"transaction_isolation\": \"{text}\""))),
    }
}

fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Serializable => "serializable",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::ReadCommitted => "read committed",
    }
}
