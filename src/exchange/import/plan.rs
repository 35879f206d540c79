//! What is made of a file's tables: their types, their definitions, the order in which they come. Pure.

use super::source::{Column, ForeignKey, Source, Table};
use super::sql::{self, folded, name, names};
use super::types::{Census, Target, decide};
use crate::exchange::quote_text;
use std::collections::BTreeSet;

/// A table to be made, with statements in the order in which they are run.
#[derive(Debug)]
pub struct Planned {
    /// Its place among the file's tables.
    pub at: usize,
    pub name: String,
    /// Types of the columns that are copied; `None` for those that are computed.
    pub targets: Vec<Option<Target>>,
    pub create: String,
    /// What to leave out by this name if the server does not take it: before the rows come.
    pub before: Vec<(String, String)>,
    /// The same, after the rows.
    pub after: Vec<(String, String)>,
    /// Foreign keys that close a circle, after all rows; they cannot be left out.
    pub late_keys: Vec<String>,
    /// The identity column.
    pub identity: Option<String>,
    pub rows: u64,
}

/// The plan for all tables, parents first, and what people should know.
pub struct Plan {
    pub tables: Vec<Planned>,
    pub notes: Vec<String>,
}

/// Makes the plan.
///
/// # Errors
/// The sentence that says which value cannot be brought over.
pub fn plan(source: &Source, counts: &[(Vec<Census>, u64)]) -> Result<Plan, String> {
    let mut plan = Plan { tables: Vec::new(), notes: Vec::new() };
    let order = parents_first(&source.tables);
    for (place, at) in order.iter().enumerate() {
        let made: BTreeSet<String> = order[..place].iter().map(|at| folded(&source.tables[*at].name)).collect();
        let (census, rows) = &counts[*at];
        let mut planned = table(source, &source.tables[*at], census, &made, &mut plan.notes)?;
        (planned.at, planned.rows) = (*at, *rows);
        plan.tables.push(planned);
    }
    Ok(plan)
}

/// Places of the tables so that whoever is referred to comes first, as far as they refer in no circle.
fn parents_first(tables: &[Table]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..tables.len()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let waits = |at: &usize| {
            let parents = tables[*at].foreign_keys.iter().map(|key| &key.parent);
            parents
                .filter(|parent| !parent.eq_ignore_ascii_case(&tables[*at].name))
                .any(|parent| left.iter().any(|other| other != at && tables[*other].name.eq_ignore_ascii_case(parent)))
        };
        let next = left.iter().position(|at| !waits(at)).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

/// Columns that some unique index or key has.
fn keyed(table: &Table) -> BTreeSet<String> {
    let unique = table.indexes.iter().filter(|index| index.unique);
    let of_indexes = unique.flat_map(|index| index.columns.iter().flatten().map(|column| folded(column)));
    of_indexes.chain(table.key().iter().map(|column| folded(&column.name))).collect()
}

fn table(
    source: &Source,
    table: &Table,
    census: &[Census],
    made: &BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Result<Planned, String> {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut named = table.text.named.clone();
    let indexes: Vec<_> = table.indexes.iter().map(|index| index_sql(table, index, &columns, &mut named)).collect();
    let keyed = keyed(table);
    let mut planned = Planned {
        at: 0,
        name: name(&table.name),
        targets: Vec::new(),
        create: String::new(),
        before: Vec::new(),
        after: Vec::new(),
        late_keys: Vec::new(),
        identity: None,
        rows: 0,
    };
    if table.text.unknown {
        notes.push(format!("table {}: its text cannot be read, so CHECK constraints were left out", table.name));
    }
    let mut parts = Vec::new();
    for (at, (column, census)) in table.columns.iter().zip(census).enumerate() {
        let own = folded(&column.name);
        let (plain, unique) = (named.contains(&own), keyed.contains(&own));
        let decision = decide(&column.declared, census, plain, unique).map_err(|(which, what)| {
            let declared = if column.declared.is_empty() { "nothing" } else { &column.declared };
            format!(
                "column {} of table {}, declared as {declared}, holds {what} beside other values ({which})",
                column.name, table.name
            )
        })?;
        if decision.differs {
            let (declared, ty) = (&column.declared, decision.target.sql());
            notes.push(format!(
                "column {} of table {}: declared as {declared}, became {ty} by what it holds",
                column.name, table.name
            ));
        }
        if table.text.ignores_case.contains(&own) {
            notes
                .push(format!("column {} of table {}: compares letters with their case here", column.name, table.name));
        }
        let is_rowid = table.rowid_column() == Some(at);
        parts.push(column_sql(table, column, decision.target, is_rowid, &mut planned));
        if is_rowid {
            planned.identity = Some(name(&column.name));
        }
    }
    let key = table.key();
    if !key.is_empty() {
        let nulls = key.iter().any(|column| {
            let at = table.columns.iter().position(|other| other.name == column.name);
            at.is_some_and(|at| census[at].nulls.count > 0 && planned.identity.is_none())
        });
        if nulls {
            notes.push(format!("table {}: its primary key holds NULL, so it became UNIQUE", table.name));
        }
        let kind = if nulls { "UNIQUE" } else { "PRIMARY KEY" };
        parts.push(format!("{kind} ({})", names(key.iter().map(|column| column.name.as_str()))));
    }
    for index in table.indexes.iter().filter(|index| index.text.is_none() && index.ignores_case.is_empty()) {
        if let Some(columns) = &index.columns {
            parts.push(format!("UNIQUE ({})", names(columns.iter().map(String::as_str))));
        }
    }
    for key in &table.foreign_keys {
        let definition = foreign_sql(source, table, key)?;
        if made.contains(&folded(&key.parent)) {
            parts.push(definition);
        } else {
            planned.late_keys.push(format!("ALTER TABLE {} ADD {definition}", planned.name));
        }
    }
    planned.create = format!("CREATE TABLE {} (\n    {}\n)", planned.name, parts.join(",\n    "));
    for (given, condition) in &table.text.checks {
        let constraint = given.as_ref().map(|given| format!(" CONSTRAINT {}", name(given))).unwrap_or_default();
        let sql = format!("ALTER TABLE {} ADD{constraint} CHECK ({condition})", planned.name);
        planned.before.push((format!("table {}: CHECK ({condition})", table.name), sql));
    }
    planned.after = indexes.into_iter().flatten().collect();
    Ok(planned)
}

fn column_sql(table: &Table, column: &Column, target: Target, is_rowid: bool, planned: &mut Planned) -> String {
    let mut sql = format!("{} {}", name(&column.name), target.sql());
    if is_rowid {
        planned.targets.push(Some(target));
        return sql + " GENERATED BY DEFAULT AS IDENTITY";
    }
    let own = folded(&column.name);
    let generated = table.text.generated.iter().find(|(name, _)| *name == own);
    planned.targets.push(if column.generated && generated.is_some() { None } else { Some(target) });
    if let (true, Some((_, expression))) = (column.generated, generated) {
        sql += &format!(" GENERATED ALWAYS AS ({expression}) STORED");
    }
    if column.not_null {
        sql += " NOT NULL";
    }
    if let (Some(text), false) = (&column.default, column.generated) {
        let default = default_sql(text, target);
        planned.before.push((
            format!("table {}: DEFAULT {text} of column {}", table.name, column.name),
            format!("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {default}", planned.name, name(&column.name)),
        ));
    }
    sql
}

/// A default in Postgres' words.
fn default_sql(text: &str, target: Target) -> String {
    let upper = text.trim().to_ascii_uppercase();
    let now = |form: &str| match target {
        Target::Text => format!("to_char(now() AT TIME ZONE 'UTC', '{form}')"),
        target => format!("(now() AT TIME ZONE 'UTC')::{}", target.sql()),
    };
    match (upper.as_str(), target) {
        ("CURRENT_TIMESTAMP", _) => now("YYYY-MM-DD HH24:MI:SS"),
        ("CURRENT_DATE", _) => now("YYYY-MM-DD"),
        ("CURRENT_TIME", _) => now("HH24:MI:SS"),
        ("0" | "FALSE", Target::Boolean) => "false".into(),
        ("1" | "TRUE", Target::Boolean) => "true".into(),
        (_, Target::Bytea) if upper.starts_with("X'") => {
            quote_text(&format!("\\x{}", text.trim()[2..].trim_end_matches('\'')))
        }
        _ if text.len() > 1 && text.starts_with('"') && text.ends_with('"') => quote_text(&text[1..text.len() - 1]),
        _ => text.to_string(),
    }
}

fn foreign_sql(source: &Source, table: &Table, key: &ForeignKey) -> Result<String, String> {
    let parent = source.tables.iter().find(|other| other.name.eq_ignore_ascii_case(&key.parent));
    let parent =
        parent.ok_or_else(|| format!("table {} refers to table {}, which is not there", table.name, key.parent))?;
    let to = match &key.parent_columns {
        Some(columns) => columns.clone(),
        None => parent.key().iter().map(|column| column.name.clone()).collect(),
    };
    let mut sql = format!(
        "FOREIGN KEY ({}) REFERENCES {} ({})",
        names(key.columns.iter().map(String::as_str)),
        name(&parent.name),
        names(to.iter().map(String::as_str))
    );
    for (words, action) in [("ON UPDATE", &key.on_update), ("ON DELETE", &key.on_delete)] {
        if action != "NO ACTION" {
            sql += &format!(" {words} {action}");
        }
    }
    let own: Vec<String> = key.columns.iter().map(|column| folded(column)).collect();
    if table.text.deferred.contains(&own) {
        sql += " DEFERRABLE INITIALLY DEFERRED";
    }
    Ok(sql)
}

/// CREATE INDEX, with what it is called; none where CREATE TABLE makes it.
fn index_sql(
    table: &Table,
    index: &super::source::Index,
    columns: &[&str],
    named: &mut BTreeSet<String>,
) -> Option<(String, String)> {
    let label = format!("index {} of table {}", index.name, table.name);
    let unique = if index.unique { "UNIQUE " } else { "" };
    let nocase = &index.ignores_case;
    // What SQLite compares without case is compared in small letters.
    let key = |column: &String| {
        let column = folded(column);
        if nocase.contains(&column) { format!("lower({})", name(&column)) } else { name(&column) }
    };
    let (keys, predicate) = match (&index.text, &index.columns) {
        (Some(text), _) => sql::index_text(text, columns, nocase, named).unwrap_or_default(),
        (None, Some(columns)) if !nocase.is_empty() => (columns.iter().map(key).collect(), None),
        (None, _) => return None,
    };
    let predicate = predicate.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
    // SQLite's own names of constraints' indexes are reserved here, too.
    let named = if index.text.is_some() { name(&index.name) } else { String::new() };
    let sql = format!("CREATE {unique}INDEX {named} ON {} ({}){predicate}", name(&table.name), keys.join(", "));
    Some((label, sql))
}
