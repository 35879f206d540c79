//! The server and its sessions: databases, settings, activity, and EveSQL's own relations.

use super::environment::{Database, Setting, Source};
use super::fixed::{SETTINGS, field, lines};
use super::row::{Rows, cell};
pub(super) use crate::catalog::roles::OWNER;
use crate::catalog::roles::Role;
use crate::transaction::Value;

/// Encoding UTF8 in pg_database.
const UTF8: i32 = 6;
/// OID of what the session uses although the node does not list it.
pub(super) const UNLISTED: u32 = 16_100;
const DEFAULT_TABLESPACE: u32 = 1663;

pub(super) fn tablespaces(_: &Source<'_>, rows: &mut Rows) {
    for (oid, name) in [(DEFAULT_TABLESPACE, "pg_default"), (1664, "pg_global")] {
        rows.add([("oid", cell(oid)), ("spcname", cell(name)), ("spcowner", cell(OWNER))]);
    }
}

/// The databases, that of the session among them in any case.
pub(super) fn databases(source: &Source<'_>, rows: &mut Rows) {
    let environment = source.environment;
    let is_known = environment.databases.iter().any(|database| database.name == environment.database);
    let own = Database { oid: UNLISTED, name: environment.database.clone() };
    for database in environment.databases.iter().chain((!is_known).then_some(&own)) {
        let owns = |role: &&Role| role.databases.contains(&database.name);
        let owner = environment.roles.iter().find(owns).map_or(OWNER, |role| role.oid);
        rows.add([
            ("oid", cell(database.oid)),
            ("datname", cell(&database.name)),
            ("datdba", cell(owner)),
            ("encoding", cell(UTF8)),
            ("datlocprovider", cell('c')),
            ("datallowconn", cell(true)),
            ("datconnlimit", cell(-1)),
            ("dattablespace", cell(DEFAULT_TABLESPACE)),
            ("datcollate", cell("C")),
            ("datctype", cell("C")),
        ]);
    }
}

/// Settings that differ from PostgreSQL's defaults in what EveSQL is.
fn own_default(source: &Source<'_>, name: &str) -> Option<String> {
    Some(match name {
        "server_version" => source.environment.server_version.clone(),
        "server_version_num" => {
            let (major, minor) = source.environment.server_version.split_once('.')?;
            format!("{major}{:0>4}", minor)
        }
        "server_encoding" | "client_encoding" => "UTF8".into(),
        "transaction_isolation" | "default_transaction_isolation" => "serializable".into(),
        "TimeZone" => "UTC".into(),
        "jit" => "off".into(),
        _ => return None,
    })
}

/// The value of a setting where the session has none, in any case of letters.
pub(in crate::catalog) fn default_setting(source: &Source<'_>, name: &str) -> Option<String> {
    let (_, mut lines) = lines(SETTINGS);
    let line = lines.find(|line| line[0].eq_ignore_ascii_case(name))?;
    own_default(source, line[0]).or_else(|| Some(line[1].replace("\\N", "")))
}

pub(super) fn settings(source: &Source<'_>, rows: &mut Rows) {
    let (names, lines) = lines(SETTINGS);
    let columns = &rows.table().columns;
    let mut known = Vec::new();
    for line in lines {
        let name = line[0].to_ascii_lowercase();
        let default = own_default(source, line[0]).unwrap_or_else(|| line[1].replace("\\N", ""));
        let setting = source.live.settings.get(&name);
        let row = columns.iter().map(|column| match (column.name, setting) {
            ("setting", Some(Setting { value, .. })) => Value::Text(value.as_str().into()),
            ("reset_val", Some(Setting { reset, .. })) => Value::Text(reset.as_str().into()),
            ("source", Some(setting)) if setting.value != default => Value::Text("session".into()),
            ("setting" | "boot_val" | "reset_val", _) => Value::Text(default.as_str().into()),
            (wanted, _) => match names.iter().position(|name| *name == wanted) {
                // COPY doubles nothing that occurs here, but writes a quote's backslash twice.
                Some(at) => field(column, &line[at].replace("\\\\", "\\")),
                None => super::row::unset(column),
            },
        });
        let row = row.collect();
        rows.add_values(row);
        known.push(name);
    }
    for (name, setting) in source.live.settings.iter().filter(|(name, _)| !known.contains(name)) {
        rows.add([
            ("name", cell(name)),
            ("setting", cell(&setting.value)),
            ("category", cell("Customized Options")),
            ("context", cell("user")),
            ("vartype", cell("string")),
            ("source", cell(if setting.value == setting.reset { "default" } else { "session" })),
            ("boot_val", cell(&setting.reset)),
            ("reset_val", cell(&setting.reset)),
            ("pending_restart", cell(false)),
        ]);
    }
}

pub(super) fn activity(source: &Source<'_>, rows: &mut Rows) {
    let environment = source.environment;
    let database = |name: &str| environment.databases.iter().find(|d| d.name == name).map(|d| d.oid);
    let role = |name: &str| environment.roles.named(name).map(|role| role.oid);
    for session in &source.live.activity {
        let (address, port) = session.client.clone().unzip();
        rows.add([
            ("datid", cell(database(&session.database))),
            ("datname", cell(&session.database)),
            ("pid", cell(session.pid)),
            ("usesysid", cell(role(&session.user))),
            ("usename", cell(&session.user)),
            ("application_name", cell(&session.application)),
            ("client_addr", cell(address)),
            ("client_port", cell(port.map_or(-1, i32::from))),
            ("backend_start", cell(session.started_us)),
            ("xact_start", cell(session.transaction_started_us)),
            ("query_start", cell(session.query_started_us)),
            ("state_change", cell(session.query_started_us)),
            ("state", cell(&session.state)),
            ("query", cell(&session.query)),
            ("backend_type", cell("client backend")),
        ]);
    }
}

pub(super) fn replicas(source: &Source<'_>, rows: &mut Rows) {
    for (id, role, state, accepted, root) in &source.live.replicas {
        rows.add([
            ("id", cell(*id)),
            ("role", cell(role)),
            ("state", cell(state)),
            ("accepted_index", cell(*accepted)),
            ("root", cell(root)),
        ]);
    }
}

pub(super) fn divergences(source: &Source<'_>, rows: &mut Rows) {
    for divergence in &source.live.divergences {
        rows.add([
            ("index", cell(divergence.index)),
            ("mode", cell(&divergence.mode)),
            ("minority", cell(divergence.minority.as_slice())),
            ("tables", cell(divergence.tables.as_slice())),
            ("pages", cell(divergence.pages)),
            ("rows", cell(divergence.rows.as_slice())),
            ("healed_at", cell(divergence.healed_at_us)),
        ]);
    }
}

pub(super) fn templates(source: &Source<'_>, rows: &mut Rows) {
    for template in &source.live.templates {
        rows.add([
            ("statement", cell(&template.statement)),
            ("calls", cell(template.calls)),
            ("mode", cell(&template.mode)),
            ("groups", cell(template.groups)),
            ("mean_us", cell(template.mean_us)),
            ("rows", cell(template.rows)),
            ("conflicts", cell(template.conflicts)),
            ("reexecutions", cell(template.reexecutions)),
        ]);
    }
}

pub(super) fn batches(source: &Source<'_>, rows: &mut Rows) {
    for batch in &source.live.batches {
        rows.add([
            ("index", cell(batch.index)),
            ("mode", cell(&batch.mode)),
            ("transactions", cell(batch.transactions)),
            ("groups", cell(batch.groups)),
            ("width", cell(batch.width)),
            ("conflicts", cell(batch.conflicts)),
            ("executing_us", cell(batch.executing_us)),
            ("ahead_us", cell(batch.ahead_us)),
            ("applying_us", cell(batch.applying_us)),
            ("verifying_us", cell(batch.verifying_us)),
        ]);
    }
}

pub(super) fn audits(source: &Source<'_>, rows: &mut Rows) {
    for audit in &source.live.audits {
        rows.add([
            ("node", cell(audit.node)),
            ("index", cell(audit.index)),
            ("result", cell(&audit.result)),
            ("transaction", cell(audit.transaction)),
            ("table_name", cell(audit.table.as_deref())),
            ("detail", cell(audit.detail.as_deref())),
            ("file", cell(audit.file.as_deref())),
        ]);
    }
}
