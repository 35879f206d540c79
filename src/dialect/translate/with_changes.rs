//! Statements in WITH that change rows. SQLite has no such thing: each becomes a statement of its own, which runs before
//! the one that it belongs to, and the rows that it returns are remembered for those that come after it
//! ([`crate::dialect::functions::CommandRows`]).
//!
//! In PostgreSQL all of them see the same snapshot. So no part may read or change what a part before it changed; where
//! that is so, it makes no difference that they run one after the other.

use super::names::fold;
use super::typed::{Cte, Output, Typed};
use super::{Result, Translator, quote_name, unsupported};
use crate::catalog::{Action, Constraint, ConstraintKind};
use crate::dialect::prepared::{Kind, OutputColumn, Prepared, Tag};
use crate::transaction::SqlError;
use sqlparser::ast::{Query, SetExpr, Statement, TableAliasColumnDef, TableFactor, TableObject, With};
use std::collections::BTreeSet;

/// Functions whose value is another one at each call.
const VOLATILE: [&str; 7] =
    ["random(", "randomblob(", "nextval(", "setval(", "gen_random_uuid(", "evesql_clock(", "evesql_system("];

/// A query of WITH.
struct Part {
    sql_name: String,
    /// `name(columns) AS (query)`.
    sql: String,
    reads: BTreeSet<u32>,
    /// It changes rows, and returns none.
    is_silent: bool,
    changes: Option<Change>,
    /// Statements that name it.
    uses: usize,
}

/// What a statement changes.
struct Change {
    table: u32,
    /// The table, and those that foreign keys have changed along with it.
    written: BTreeSet<u32>,
    /// Tables that would have to be changed before, lest a foreign key is broken in between.
    before: BTreeSet<u32>,
}

fn change_of(body: &SetExpr) -> Option<&Statement> {
    match body {
        SetExpr::Insert(change) | SetExpr::Update(change) | SetExpr::Delete(change) => Some(change),
        _ => None,
    }
}

/// Whether a statement in WITH changes rows.
pub(super) fn changes_rows(with: &With) -> bool {
    with.cte_tables.iter().any(|cte| change_of(&cte.query.body).is_some())
}

/// Whether an SQLite text has this name as a word.
fn names(sql: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | ':');
    sql.match_indices(name).any(|(at, _)| {
        !sql[..at].chars().next_back().is_some_and(is_part)
            && !sql[at + name.len()..].chars().next().is_some_and(is_part)
    })
}

/// Gives columns the names that the WITH query says.
fn rename(query: &str, columns: &mut [OutputColumn], names: &[TableAliasColumnDef]) -> Result<()> {
    if names.len() > columns.len() {
        let (available, given) = (columns.len(), names.len());
        let message = format!("WITH query \"{query}\" has {available} columns available but {given} columns specified");
        return Err(SqlError::new("42P10", message));
    }
    columns.iter_mut().zip(names).for_each(|(column, name)| column.name = fold(&name.name));
    Ok(())
}

impl Translator<'_> {
    /// A statement with a WITH of which [`changes_rows`] is true.
    pub(super) fn with_changes(&mut self, query: &Query, with: &With) -> Result<Prepared> {
        let ctes = self.ctes.len();
        let mut parts: Vec<Part> = Vec::new();
        let mut statements = Vec::new();
        for cte in &with.cte_tables {
            let name = fold(&cte.alias.name);
            if self.ctes[ctes..].iter().any(|before| before.name == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(self.at_name(SqlError::new("42712", message), &cte.alias.name));
            }
            let part = match change_of(&cte.query.body) {
                Some(change) => {
                    if cte.query.with.is_some() {
                        return unsupported("WITH before a data-modifying statement in WITH");
                    }
                    let (sql, mut columns, changes, reads) = self.part(change, statements.len())?;
                    rename(&name, &mut columns, &cte.alias.columns)?;
                    statements.push(self.with_parts(&mut parts, sql, &reads, Some(&changes))?);
                    let number = statements.len() - 1;
                    Part { changes: Some(changes), ..self.remembered(&name, number, columns) }
                }
                None => {
                    let reads = std::mem::take(&mut self.reads);
                    let one = With { cte_tables: vec![cte.clone()], ..with.clone() };
                    let sql = self.with_list(&one)?;
                    let reads = std::mem::replace(&mut self.reads, reads);
                    let sql_name = self.ctes.last().map_or_else(String::new, |cte| cte.sql_name.clone());
                    Part { sql_name, sql, reads, is_silent: false, changes: None, uses: 0 }
                }
            };
            parts.push(part);
        }
        let prepared = self.last_part(query, &mut parts)?;
        self.ctes.truncate(ctes);
        let Some(last) = prepared.sql.last() else { return unsupported("this form of WITH") };
        let sql = statements.into_iter().map(Into::into).chain([last.clone()]).collect();
        Ok(Prepared { sql, ..prepared })
    }

    /// A statement in WITH: its text, its result columns, what it changes and reads.
    fn part(
        &mut self,
        change: &Statement,
        number: usize,
    ) -> Result<(String, Vec<OutputColumn>, Change, BTreeSet<u32>)> {
        let reads = std::mem::take(&mut self.reads);
        (self.remember, self.is_part) = (Some(number), true);
        let prepared = self.statement(change);
        (self.remember, self.is_part) = (None, false);
        let own = std::mem::replace(&mut self.reads, reads);
        let prepared = prepared?;
        let [sql] = prepared.sql.as_slice() else { return unsupported("this statement in WITH") };
        Ok((sql.to_string(), prepared.columns, self.change(change)?, own))
    }

    /// The query by which those that follow see what a statement returned.
    fn remembered(&mut self, name: &str, number: usize, columns: Vec<OutputColumn>) -> Part {
        let sql_name =
            if self.ctes.iter().any(|other| other.name == name) { self.fresh(name) } else { name.to_string() };
        let mut outputs: Vec<Output> = Vec::new();
        let mut list = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let value = self.element_sql(&format!("json_extract(value, '$[{at}]')"), column.ty);
            let is_known = outputs.iter().any(|other| other.name == column.name);
            let name = if is_known { format!("{}:dup{at}", column.name) } else { column.name.clone() };
            list.push(format!("{value} AS {}", quote_name(&name)));
            let typed = Typed { typmod: column.typmod, ..Typed::new("", column.ty) };
            outputs.push(Output { name, typed });
        }
        let names: Vec<String> = outputs.iter().map(|output| quote_name(&output.name)).collect();
        let sql = format!(
            "{}({}) AS (SELECT {} FROM json_each(evesql_remembered({number})))",
            quote_name(&sql_name),
            names.join(", "),
            list.join(", ")
        );
        let is_silent = outputs.is_empty();
        self.ctes.push(Cte { name: name.to_string(), sql_name: sql_name.clone(), columns: outputs });
        Part { sql_name, sql, reads: BTreeSet::new(), is_silent, changes: None, uses: 0 }
    }

    /// What stands behind the WITH.
    fn last_part(&mut self, query: &Query, parts: &mut [Part]) -> Result<Prepared> {
        let reads = std::mem::take(&mut self.reads);
        let (prepared, changes) = match change_of(&query.body) {
            Some(change) => (self.statement(change)?, Some(self.change(change)?)),
            None => {
                let (sql, outputs) = self.top_query(&Query { with: None, ..query.clone() })?;
                let columns = self.output_columns(outputs)?;
                (self.finish(Kind::Update, vec![sql], columns, Tag::Select, false)?, None)
            }
        };
        let own = std::mem::replace(&mut self.reads, reads);
        let Some(last) = prepared.sql.last() else { return unsupported("this form of WITH") };
        let sql = self.with_parts(parts, last.to_string(), &own, changes.as_ref())?;
        Ok(Prepared { sql: vec![sql.into()], ..prepared })
    }

    /// A statement with the queries of WITH that it names. To SQLite they may recurse without the word.
    fn with_parts(
        &self,
        parts: &mut [Part],
        sql: String,
        reads: &BTreeSet<u32>,
        changes: Option<&Change>,
    ) -> Result<String> {
        let mut touched: BTreeSet<u32> = reads.clone();
        touched.extend(changes.iter().flat_map(|change| &change.written));
        let mut used: Vec<String> = Vec::new();
        for part in parts.iter_mut().rev() {
            let name = quote_name(&part.sql_name);
            if !names(&sql, &name) && !used.iter().any(|other| names(other, &name)) {
                continue;
            }
            if part.is_silent {
                let message = format!("WITH query \"{}\" does not have a RETURNING clause", part.sql_name);
                return Err(SqlError::new("0A000", message));
            }
            part.uses += 1;
            let varies = part.sql.contains(" LIMIT ") || VOLATILE.iter().any(|name| part.sql.contains(name));
            if part.uses > 1 && varies && part.changes.is_none() {
                return unsupported("a WITH query that varies beside one that changes rows");
            }
            touched.extend(&part.reads);
            used.insert(0, part.sql.clone());
        }
        for change in parts.iter().filter_map(|part| part.changes.as_ref()) {
            let too_late = changes.is_some_and(|later| change.before.contains(&later.table));
            if too_late || !change.written.is_disjoint(&touched) {
                return unsupported("reading or changing what a statement in WITH changes");
            }
        }
        Ok(if used.is_empty() { sql } else { format!("WITH {} {sql}", used.join(", ")) })
    }

    /// What a statement changes.
    fn change(&mut self, change: &Statement) -> Result<Change> {
        let name = match change {
            Statement::Insert(insert) => match &insert.table {
                TableObject::TableName(name) => Some(name),
                _ => None,
            },
            Statement::Update(update) => match &update.table.relation {
                TableFactor::Table { name, .. } => Some(name),
                _ => None,
            },
            Statement::Delete(delete) => super::dml::deleted_from(delete),
            _ => None,
        };
        let Some(name) = name else { return unsupported("this statement in WITH") };
        let table = self.user_table(name)?.oid;
        let (deletes, inserts) = (
            matches!(change, Statement::Delete(_)),
            matches!(change, Statement::Insert(insert) if insert.on.is_none()),
        );
        let mut written = BTreeSet::from([table]);
        let mut todo = vec![table];
        while let (Some(oid), false) = (todo.pop(), inserts) {
            for (child, constraint) in self.catalog.referring_to(oid) {
                if follows(constraint) && written.insert(child.oid) {
                    todo.push(child.oid);
                }
            }
        }
        let mut before = BTreeSet::new();
        if !inserts {
            before.extend(self.catalog.referring_to(table).map(|(child, _)| child.oid));
        }
        if !deletes && let Some(table) = self.catalog.table(table) {
            before.extend(table.constraints.iter().filter_map(|constraint| match constraint.kind {
                ConstraintKind::Foreign { table, .. } => Some(table),
                _ => None,
            }));
        }
        Ok(Change { table, written, before })
    }
}

/// Whether rows that refer to one that goes or changes may change with it.
fn follows(constraint: &Constraint) -> bool {
    let refuses = |action: Action| matches!(action, Action::NoAction | Action::Restrict);
    match constraint.kind {
        ConstraintKind::Foreign { on_update, on_delete, .. } => !refuses(on_update) || !refuses(on_delete),
        _ => false,
    }
}
