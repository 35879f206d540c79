//! What a statement may do, asked by SQLite while it compiles one (invariant 10: everything by allow-list).

use crate::page_store::sqlite::{Access, Action};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// SQLite's own functions that depend on their arguments alone, or on the transaction through the view's
/// clock (`current_*`). Not here: those that tell of the connection's past, the build or the machine.
const FUNCTIONS: &[&str] = &[
    "->",
    "->>",
    "abs",
    "avg",
    "bm25",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "dense_rank",
    "first_value",
    "format",
    "fts5",
    "fts5_get_locale",
    "fts5_insttoken",
    "fts5_locale",
    "glob",
    "group_concat",
    "hex",
    "highlight",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_insert",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "lower",
    "ltrim",
    "match",
    "max",
    "min",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "printf",
    "quote",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "snippet",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "total",
    "trim",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unistr_quote",
    "unlikely",
    "upper",
    "zeroblob",
];

/// Functions named `sqlite_..` are internal to ALTER TABLE and cannot be called from SQL, but for these.
const CALLABLE_INTERNALS: &[&str] = &[
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_log",
    "sqlite_offset",
    "sqlite_source_id",
    "sqlite_version",
];

/// Read by virtual tables for themselves.
const PRAGMAS_READ: &[&str] = &["data_version", "page_size"];

/// What ALTER TABLE .. ADD COLUMN asks of the rows that are there, if the column has a CHECK or NOT NULL.
const QUICK_CHECK: &str = "quick_check";

/// Virtual table modules that may be created.
const MODULES: &[&str] = &["fts5"];

/// Savepoints and tables of this prefix are ours.
const RESERVED: &str = "evesql";

/// The list, shared between the connection, its functions and its authorizer.
#[derive(Clone)]
pub(super) struct AllowList(Rc<State>);

struct State {
    functions: RefCell<HashSet<Box<str>>>,
    /// Above 0 while EveSQL itself compiles a statement: then anything goes.
    trusted: Cell<u32>,
    temporary: bool,
    /// Set when a compiled statement changes schema or statistics.
    changes_schema: Cell<bool>,
    /// Set when a compiled statement changes rows.
    changes_rows: Cell<bool>,
    recording: RefCell<Option<Vec<Recorded>>>,
}

/// An action of a statement, kept for whoever derives footprints from it.
pub type Recorded = (Action, Option<Box<str>>, Option<Box<str>>, Option<Box<str>>);

/// While it lives, EveSQL itself is at work.
pub(super) struct Trust(AllowList);

impl Drop for Trust {
    fn drop(&mut self) {
        self.0.0.trusted.set(self.0.0.trusted.get() - 1);
    }
}

impl AllowList {
    pub fn new(temporary: bool) -> Self {
        AllowList(Rc::new(State {
            functions: RefCell::new(FUNCTIONS.iter().map(|name| Box::from(*name)).collect()),
            trusted: Cell::new(0),
            temporary,
            changes_schema: Cell::new(false),
            changes_rows: Cell::new(false),
            recording: RefCell::new(None),
        }))
    }

    /// Allows a function.
    pub fn function(&self, name: &str) {
        self.0.functions.borrow_mut().insert(name.to_ascii_lowercase().into());
    }

    /// Anything is allowed while the result lives.
    pub fn trust(&self) -> Trust {
        self.0.trusted.set(self.0.trusted.get() + 1);
        Trust(self.clone())
    }

    /// Whether EveSQL itself is at work.
    pub fn is_trusted(&self) -> bool {
        self.0.trusted.get() > 0
    }

    /// Whether a statement compiled since the last call changes schema or statistics.
    pub fn take_changes_schema(&self) -> bool {
        self.0.changes_schema.take()
    }

    /// Whether a statement compiled since the last call changes rows.
    pub fn take_changes_rows(&self) -> bool {
        self.0.changes_rows.take()
    }

    /// Begins to keep the actions of statements that are compiled.
    pub fn record(&self) {
        self.0.recording.replace(Some(Vec::new()));
    }

    /// The actions since [`AllowList::record`].
    pub fn take_recording(&self) -> Vec<Recorded> {
        self.0.recording.take().unwrap_or_default()
    }

    pub fn allows(&self, access: &Access<'_>) -> bool {
        if let Some(recording) = &mut *self.0.recording.borrow_mut() {
            let text = |text: Option<&str>| text.map(Box::from);
            recording.push((access.action, text(access.first), text(access.second), text(access.database)));
        }
        if matches!(access.action, Action::Insert | Action::Update | Action::Delete) {
            self.0.changes_rows.set(true);
        }
        self.is_trusted() || self.allows_statement(access)
    }

    fn allows_statement(&self, access: &Access<'_>) -> bool {
        let first = access.first.unwrap_or("");
        match access.action {
            Action::Select | Action::Read | Action::Recursive => true,
            Action::Insert | Action::Update | Action::Delete => {
                if first == "evesql_catalog" {
                    self.0.changes_schema.set(true);
                }
                first != "evesql_once"
            }
            Action::Function => self.allows_function(access.second.unwrap_or("")),
            Action::Savepoint => !access.second.unwrap_or("").to_ascii_lowercase().starts_with(RESERVED),
            Action::Pragma => first == QUICK_CHECK || access.second.is_none() && PRAGMAS_READ.contains(&first),
            Action::CreateVirtualTable | Action::DropVirtualTable => {
                self.0.changes_schema.set(true);
                MODULES.contains(&access.second.unwrap_or("").to_ascii_lowercase().as_str())
            }
            Action::AlterTable
            | Action::Analyze
            | Action::CreateIndex
            | Action::CreateTable
            | Action::CreateTrigger
            | Action::CreateView
            | Action::DropIndex
            | Action::DropTable
            | Action::DropTrigger
            | Action::DropView
            | Action::Reindex => {
                self.0.changes_schema.set(true);
                true
            }
            Action::CreateTempIndex
            | Action::CreateTempTable
            | Action::CreateTempTrigger
            | Action::CreateTempView
            | Action::DropTempIndex
            | Action::DropTempTable
            | Action::DropTempTrigger
            | Action::DropTempView => self.0.temporary,
            Action::Attach | Action::Detach | Action::Transaction | Action::Other(_) => false,
        }
    }

    fn allows_function(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        if name.starts_with("sqlite_") {
            return !CALLABLE_INTERNALS.contains(&name.as_str());
        }
        self.0.functions.borrow().contains(name.as_str())
    }
}
