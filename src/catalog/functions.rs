//! The functions that clients call over the catalog: names of objects, definitions, privileges, the session.
//!
//! Each is a plain function of a [`Source`] and its arguments; `engine::system_catalog` registers them all
//! on the connections that read, and statements are typed by the signatures here. OIDs may come as numbers
//! or, as PostgreSQL's own literals do, as text.

mod names;
mod objects;
mod privileges;
mod session;

pub use session::{SettingChange, set_config};

use super::relations::Source;
use crate::transaction::{SqlError, Value, ValueRef};

/// What a function's result depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depends {
    /// The catalog and the arguments.
    Catalog,
    /// Server and session too: not to be called by a statement that is executed on all replicas.
    Session,
}

/// What carries a function out.
pub type Call = fn(&Source<'_>, &[ValueRef<'_>]) -> Result<Value, SqlError>;

/// A function over the catalog.
pub struct SystemFunction {
    /// Name; in the schema pg_catalog.
    pub name: &'static str,
    /// OIDs of the types of its arguments.
    pub arguments: &'static [u32],
    /// How many of them must be given.
    pub required: usize,
    /// OID of its result's type.
    pub result: u32,
    /// What its result depends on.
    pub depends: Depends,
    /// What carries it out.
    pub call: Call,
}

const BOOL: u32 = 16;
const CHAR: u32 = 18;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const REGPROC: u32 = 24;
const TEXT: u32 = 25;
const OID: u32 = 26;
const XID8: u32 = 5069;
const NODE: u32 = 194;
const NAMES: u32 = 1003;
const ACLITEMS: u32 = 1034;
const TIMESTAMPTZ: u32 = 1184;
const REGCLASS: u32 = 2205;
const REGTYPE: u32 = 2206;
const REGNAMESPACE: u32 = 4089;
const REGROLE: u32 = 4096;

const fn over_catalog(
    name: &'static str,
    arguments: &'static [u32],
    required: usize,
    result: u32,
    call: Call,
) -> SystemFunction {
    SystemFunction { name, arguments, required, result, depends: Depends::Catalog, call }
}

const fn over_session(
    name: &'static str,
    arguments: &'static [u32],
    required: usize,
    result: u32,
    call: Call,
) -> SystemFunction {
    SystemFunction { name, arguments, required, result, depends: Depends::Session, call }
}

/// All of them. [`set_config`] stands apart, because it changes something.
pub static SYSTEM_FUNCTIONS: &[SystemFunction] = &[
    // Names and OIDs.
    over_catalog("format_type", &[OID, INT4], 2, TEXT, names::format_type),
    over_catalog("quote_ident", &[TEXT], 1, TEXT, names::quote_ident),
    over_catalog("regclassin", &[TEXT], 1, REGCLASS, names::regclass_in),
    over_catalog("regclassout", &[REGCLASS], 1, TEXT, names::regclass_out),
    over_catalog("regtypein", &[TEXT], 1, REGTYPE, names::regtype_in),
    over_catalog("regtypeout", &[REGTYPE], 1, TEXT, names::regtype_out),
    over_catalog("regprocin", &[TEXT], 1, REGPROC, names::regproc_in),
    over_catalog("regprocout", &[REGPROC], 1, TEXT, names::regproc_out),
    over_catalog("regnamespacein", &[TEXT], 1, REGNAMESPACE, names::regnamespace_in),
    over_catalog("regnamespaceout", &[REGNAMESPACE], 1, TEXT, names::regnamespace_out),
    over_catalog("regrolein", &[TEXT], 1, REGROLE, names::regrole_in),
    over_catalog("regroleout", &[REGROLE], 1, TEXT, names::regrole_out),
    over_catalog("to_regclass", &[TEXT], 1, REGCLASS, names::to_regclass),
    over_catalog("to_regtype", &[TEXT], 1, REGTYPE, names::to_regtype),
    over_catalog("to_regproc", &[TEXT], 1, REGPROC, names::to_regproc),
    over_catalog("to_regnamespace", &[TEXT], 1, REGNAMESPACE, names::to_regnamespace),
    over_catalog("to_regrole", &[TEXT], 1, REGROLE, names::to_regrole),
    over_catalog("pg_get_userbyid", &[OID], 1, NAME, names::user_by_id),
    over_catalog("pg_encoding_to_char", &[INT4], 1, NAME, names::encoding_name),
    over_catalog("pg_char_to_encoding", &[NAME], 1, INT4, names::encoding_number),
    over_catalog("pg_encoding_max_length", &[INT4], 1, INT4, names::encoding_max_length),
    // Visibility.
    over_catalog("pg_table_is_visible", &[OID], 1, BOOL, names::table_is_visible),
    over_catalog("pg_type_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_function_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_operator_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_opclass_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_opfamily_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_collation_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_conversion_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_statistics_obj_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_ts_config_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_ts_dict_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_ts_parser_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    over_catalog("pg_ts_template_is_visible", &[OID], 1, BOOL, names::builtin_is_visible),
    // Definitions.
    over_catalog("pg_get_expr", &[NODE, OID, BOOL], 2, TEXT, objects::expression),
    over_catalog("pg_get_constraintdef", &[OID, BOOL], 1, TEXT, objects::constraint),
    over_catalog("pg_get_indexdef", &[OID, INT4, BOOL], 1, TEXT, objects::index),
    over_catalog("pg_get_viewdef", &[REGCLASS, BOOL], 1, TEXT, objects::view),
    over_catalog("pg_get_serial_sequence", &[TEXT, TEXT], 2, TEXT, objects::serial_sequence),
    over_catalog("acldefault", &[CHAR, OID], 2, ACLITEMS, privileges::default_acl),
    over_catalog("obj_description", &[OID, NAME], 1, TEXT, objects::object_comment),
    over_catalog("col_description", &[OID, INT4], 2, TEXT, objects::column_comment),
    over_catalog("shobj_description", &[OID, NAME], 2, TEXT, objects::nothing),
    over_catalog("pg_get_functiondef", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_function_arguments", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_function_identity_arguments", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_function_result", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_function_sqlbody", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_triggerdef", &[OID, BOOL], 1, TEXT, objects::nothing),
    over_catalog("pg_get_ruledef", &[OID, BOOL], 1, TEXT, objects::nothing),
    over_catalog("pg_get_partkeydef", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_partition_constraintdef", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_statisticsobjdef", &[OID], 1, TEXT, objects::nothing),
    over_catalog("pg_get_statisticsobjdef_columns", &[OID], 1, TEXT, objects::nothing),
    // There are no partitions, so a relation has no ancestors.
    over_catalog("pg_partition_ancestors", &[REGCLASS], 1, REGCLASS, objects::nothing),
    over_catalog("pg_partition_root", &[REGCLASS], 1, REGCLASS, objects::nothing),
    over_catalog("pg_relation_is_publishable", &[REGCLASS], 1, BOOL, objects::is_publishable),
    over_catalog("pg_tablespace_location", &[OID], 1, TEXT, objects::empty_text),
    over_catalog("row_security_active", &[OID], 1, BOOL, objects::no),
    over_catalog("pg_index_column_has_property", &[REGCLASS, INT4, TEXT], 3, BOOL, objects::index_property),
    // Sizes: EveSQL does not know them by relation.
    over_catalog("pg_relation_size", &[REGCLASS, TEXT], 1, INT8, objects::zero),
    over_catalog("pg_table_size", &[REGCLASS], 1, INT8, objects::zero),
    over_catalog("pg_indexes_size", &[REGCLASS], 1, INT8, objects::zero),
    over_catalog("pg_total_relation_size", &[REGCLASS], 1, INT8, objects::zero),
    over_catalog("pg_database_size", &[NAME], 1, INT8, objects::zero),
    over_catalog("pg_tablespace_size", &[NAME], 1, INT8, objects::zero),
    over_catalog("pg_size_pretty", &[INT8], 1, TEXT, objects::size_pretty),
    // Privileges.
    over_catalog("has_table_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, privileges::on_table),
    over_catalog("has_any_column_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, privileges::on_table),
    over_catalog("has_column_privilege", &[TEXT, TEXT, TEXT, TEXT], 3, BOOL, privileges::on_column),
    over_catalog("has_schema_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, privileges::on_schema),
    over_catalog("has_database_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, privileges::on_database),
    over_catalog("has_sequence_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, privileges::on_table),
    over_catalog("has_function_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, objects::yes),
    over_catalog("has_language_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, objects::yes),
    over_catalog("has_type_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, objects::yes),
    over_catalog("has_tablespace_privilege", &[TEXT, TEXT, TEXT], 2, BOOL, objects::yes),
    over_catalog("pg_has_role", &[NAME, NAME, TEXT], 2, BOOL, privileges::has_role),
    // Server and session.
    over_session("version", &[], 0, TEXT, session::version),
    over_session("current_database", &[], 0, NAME, session::current_database),
    over_session("current_catalog", &[], 0, NAME, session::current_database),
    over_session("current_user", &[], 0, NAME, session::current_user),
    over_session("current_role", &[], 0, NAME, session::current_user),
    over_session("session_user", &[], 0, NAME, session::session_user),
    over_session("user", &[], 0, NAME, session::current_user),
    over_session("getpgusername", &[], 0, NAME, session::current_user),
    over_session("current_schema", &[], 0, NAME, session::current_schema),
    over_session("current_schemas", &[BOOL], 1, NAMES, session::current_schemas),
    over_session("current_setting", &[TEXT, BOOL], 1, TEXT, session::current_setting),
    over_session("pg_backend_pid", &[], 0, INT4, session::backend_pid),
    over_session("pg_postmaster_start_time", &[], 0, TIMESTAMPTZ, session::started),
    over_session("pg_conf_load_time", &[], 0, TIMESTAMPTZ, session::started),
    over_session("inet_client_addr", &[], 0, TEXT, session::client_address),
    over_session("inet_client_port", &[], 0, INT4, session::client_port),
    over_session("inet_server_addr", &[], 0, TEXT, session::server_address),
    over_session("inet_server_port", &[], 0, INT4, session::server_port),
    over_session("pg_client_encoding", &[], 0, NAME, session::client_encoding),
    over_session("getdatabaseencoding", &[], 0, NAME, session::client_encoding),
    over_session("pg_is_in_recovery", &[], 0, BOOL, objects::no),
    over_session("pg_is_wal_replay_paused", &[], 0, BOOL, objects::no),
    over_session("pg_my_temp_schema", &[], 0, OID, objects::zero),
    over_session("pg_is_other_temp_schema", &[OID], 1, BOOL, objects::no),
    over_session("txid_current", &[], 0, INT8, session::snapshot_index),
    over_session("txid_current_if_assigned", &[], 0, INT8, objects::nothing),
    over_session("pg_current_xact_id", &[], 0, XID8, session::snapshot_index),
    over_session("pg_current_xact_id_if_assigned", &[], 0, XID8, objects::nothing),
    over_session("pg_trigger_depth", &[], 0, INT4, objects::zero),
    over_session("pg_jit_available", &[], 0, BOOL, objects::no),
    over_session("pg_export_snapshot", &[], 0, TEXT, session::no_snapshots),
    over_session("pg_control_system", &[], 0, INT2, objects::nothing),
];

/// The function of this name.
pub fn system_function(name: &str) -> Option<&'static SystemFunction> {
    SYSTEM_FUNCTIONS.iter().find(|function| function.name == name)
}

fn text(value: impl Into<std::sync::Arc<str>>) -> Result<Value, SqlError> {
    Ok(Value::Text(value.into()))
}

fn truth(value: bool) -> Result<Value, SqlError> {
    Ok(Value::Integer(i64::from(value)))
}

/// A text argument, if it is there and not NULL.
fn text_at<'a>(arguments: &[ValueRef<'a>], at: usize) -> Option<&'a str> {
    match arguments.get(at) {
        Some(ValueRef::Text(text)) => Some(text),
        _ => None,
    }
}

/// A number, also written as text.
fn number_at(arguments: &[ValueRef<'_>], at: usize) -> Option<i64> {
    match arguments.get(at)? {
        ValueRef::Integer(number) => Some(*number),
        ValueRef::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn oid_at(arguments: &[ValueRef<'_>], at: usize) -> Option<u32> {
    number_at(arguments, at).and_then(|number| u32::try_from(number).ok())
}

fn truth_at(arguments: &[ValueRef<'_>], at: usize) -> bool {
    match arguments.get(at) {
        Some(ValueRef::Text(text)) => matches!(*text, "t" | "true" | "on" | "yes" | "1"),
        _ => number_at(arguments, at).is_some_and(|number| number != 0),
    }
}

#[cfg(test)]
mod tests;
