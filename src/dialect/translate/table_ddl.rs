//! Tables as SQLite makes them, and the changes that a DDL statement gathers.
//!
//! SQLite's table is made from the catalog's [`Table`] alone, so creating and rebuilding are one thing:
//! STRICT, integers within their range by constraints named `evesql_int2` and `evesql_int4`, CHECKs named
//! `oid:name`, uniqueness by indexes beside the table, foreign keys written out. Defaults, sequences and
//! lengths are applied by the statements that write, never by the table.

use super::names::fold;
use super::typed::type_range;
use super::{Result, Translator, quote_name};
use crate::catalog::{
    Catalog, Change, Column, Constraint, ConstraintKind, Index, IndexKey, Object, Sequence, Table, View,
};
use crate::dialect::prepared::{IGNORE_FOREIGN_KEYS, KEEP_FOREIGN_KEYS, Kind, Prepared, Tag};
use crate::dialect::types::{PgType, Storage};
use crate::transaction::SqlError;
use sqlparser::ast::Expr;
use std::sync::Arc;

/// Name of a table that is being rebuilt.
const REBUILD: &str = "evesql_rebuild";

/// What a DDL statement does, in order.
pub(super) struct Work {
    pub sql: Vec<String>,
    pub changes: Vec<Change>,
    /// The catalog as it is after the changes so far.
    pub catalog: Catalog,
    first_oid: u32,
}

impl Work {
    pub fn new(catalog: &Catalog) -> Work {
        Work { sql: Vec::new(), changes: Vec::new(), catalog: catalog.clone(), first_oid: catalog.next_oid }
    }
    pub fn oid(&mut self) -> u32 {
        let oid = self.catalog.next_oid;
        self.catalog.next_oid += 1;
        oid
    }
    pub fn change(&mut self, change: Change) {
        self.catalog = self.catalog.after(&change);
        // Only the last state of an object is written.
        let oid_of = |change: &Change| match change {
            Change::Put(object) => object.oid(),
            Change::Remove(oid) => *oid,
            _ => 0,
        };
        let oid = oid_of(&change);
        self.changes.retain(|other| oid_of(other) != oid);
        self.changes.push(change);
    }
    pub fn put_table(&mut self, table: &Table) {
        self.change(Change::Put(Object::Table(Arc::new(table.clone()))));
    }
    pub fn put_view(&mut self, view: View) {
        self.change(Change::Put(Object::View(Arc::new(view))));
    }
    /// Writes a sequence and its row of numbers.
    pub fn create_sequence(&mut self, sequence: &Sequence) {
        self.sql.push(format!(
            "INSERT INTO evesql_sequences VALUES({}, {}, 0, {}, {}, {}, {})",
            sequence.oid,
            sequence.start,
            sequence.increment,
            sequence.minimum,
            sequence.maximum,
            i32::from(sequence.cycle)
        ));
        self.change(Change::Put(Object::Sequence(Arc::new(sequence.clone()))));
    }
    pub fn drop_sequence(&mut self, oid: u32) {
        self.sql.push(format!("DELETE FROM evesql_sequences WHERE oid = {oid}"));
        self.change(Change::Remove(oid));
    }
    /// Drops the sequences that a table's columns own, or one of them does.
    pub fn drop_sequences_of(&mut self, table: u32, column: Option<i16>) {
        let owned =
            self.catalog.sequences_of(table).filter(|(number, _)| column.is_none_or(|column| column == *number));
        for oid in owned.map(|(_, sequence)| sequence.oid).collect::<Vec<_>>() {
            self.drop_sequence(oid);
        }
    }
    /// A name that is not taken in the schema: `base`, else with a number behind it.
    pub fn free_name(&self, schema: &str, base: &str) -> String {
        let base = cut(base, 63);
        let taken = |name: &str| self.catalog.named(schema, name).is_some();
        if !taken(&base) {
            return base;
        }
        (1..).map(|n| format!("{}{n}", cut(&base, 60))).find(|name| !taken(name)).unwrap_or(base)
    }
}

fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_string()
}

/// SQLite's name for an object: the plain one in `public`, else with the schema before it.
pub(super) fn sqlite_name(catalog: &Catalog, schema: &str, name: &str, oid: u32) -> String {
    let plain = if schema == crate::catalog::PUBLIC { name.to_string() } else { format!("{schema}.{name}") };
    // SQLite does not tell letter cases apart.
    let clash = catalog.tables().any(|table| {
        table.sqlite_name.eq_ignore_ascii_case(&plain)
            || table.indexes.iter().any(|i| i.sqlite_name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(&plain)))
    });
    if clash { format!("{plain}:{oid}") } else { plain }
}

fn storage_word(ty: PgType) -> &'static str {
    match ty.storage() {
        Storage::Integer => "INTEGER",
        Storage::Real => "REAL",
        Storage::Text => "TEXT",
        Storage::Blob => "BLOB",
    }
}

impl Translator<'_> {
    /// CREATE TABLE for a table of the catalog.
    pub(super) fn table_sql(&mut self, work: &Work, table: &Table, sqlite_name: &str) -> Result<String> {
        let mut parts = Vec::new();
        for column in &table.columns {
            parts.push(self.column_sql(table, column)?);
        }
        for column in &table.columns {
            let ty = PgType(column.type_oid);
            if let (PgType::INT2 | PgType::INT4, Some((low, high))) = (ty, type_range(ty)) {
                let name = quote_name(&column.name);
                parts.push(format!("CONSTRAINT evesql_{} CHECK ({name} BETWEEN {low} AND {high})", ty.name()));
            }
        }
        for constraint in &table.constraints {
            match &constraint.kind {
                ConstraintKind::Check(text) => {
                    let condition = self.check_sql(table, text)?;
                    let name = super::copy::quoted(&format!("{}:{}", table.oid, constraint.name));
                    parts.push(format!("CONSTRAINT {name} CHECK ({condition})"));
                }
                ConstraintKind::Foreign { .. } => parts.push(foreign_sql(work, table, constraint)?),
                ConstraintKind::Primary | ConstraintKind::Unique => {}
            }
        }
        Ok(format!("CREATE TABLE {}({}) STRICT", quote_name(sqlite_name), parts.join(", ")))
    }

    pub(super) fn check_sql(&mut self, table: &Table, text: &str) -> Result<String> {
        let expr = crate::dialect::parse::parse_expression(text)?;
        let typed = self.table_expression(&expr, table, "CHECK constraints")?;
        Ok(self.condition(typed, "CHECK")?.sql)
    }

    pub(super) fn column_sql(&mut self, table: &Table, column: &Column) -> Result<String> {
        let ty = PgType(column.type_oid);
        let mut sql = format!("{} {}", quote_name(&column.name), storage_word(ty));
        if table.rowid == Some(column.number) {
            return Ok(sql + " PRIMARY KEY");
        }
        if column.not_null {
            sql += " NOT NULL";
        }
        if let Some(text) = &column.generated {
            let expr = crate::dialect::parse::parse_expression(text)?;
            let typed = self.table_expression(&expr, table, "column generation expressions")?;
            let typed = self.assign(typed, column)?;
            sql += &format!(" GENERATED ALWAYS AS ({}) STORED", typed.sql);
        }
        Ok(sql)
    }

    /// CREATE INDEX for an index of the catalog.
    pub(super) fn index_sql(&mut self, table: &Table, index: &Index) -> Result<Option<String>> {
        let Some(name) = &index.sqlite_name else { return Ok(None) };
        let mut keys = Vec::new();
        for key in &index.keys {
            let mut sql = match (key.column, &key.expression) {
                (Some(number), _) => {
                    let column = table
                        .column_numbered(number)
                        .ok_or_else(|| SqlError::new("XX000", "an index has a column that its table has not"))?;
                    let ty = PgType(column.type_oid);
                    if index.unique && (ty == PgType::INTERVAL || ty == PgType::NUMERIC && column.typmod < 0) {
                        return Err(SqlError::new(
                            "0A000",
                            format!("a unique index on {} is not supported", ty.format(column.typmod)),
                        )
                        .with_hint("Give numeric columns a precision and scale, such as numeric(20,6)."));
                    }
                    quote_name(&column.name)
                }
                (None, Some(text)) => {
                    let expr = crate::dialect::parse::parse_expression(text)?;
                    self.table_expression(&expr, table, "index expressions")?.sql
                }
                (None, None) => return Err(SqlError::new("XX000", "an index has an empty key")),
            };
            if key.descending {
                sql += " DESC";
            }
            keys.push(sql);
        }
        let predicate = match &index.predicate {
            Some(text) => format!(" WHERE {}", self.check_sql(table, text)?),
            None => String::new(),
        };
        let unique = if index.unique { "UNIQUE " } else { "" };
        Ok(Some(format!(
            "CREATE {unique}INDEX {} ON {}({}){predicate}",
            quote_name(name),
            quote_name(&table.sqlite_name),
            keys.join(", ")
        )))
    }

    /// Makes a table anew with other columns or constraints and fills it from the old one. `values` are the
    /// columns to fill with SQLite text over the old columns.
    pub(super) fn rebuild(
        &mut self,
        work: &mut Work,
        old: &Table,
        new: &Table,
        values: &[(String, String)],
    ) -> Result<()> {
        let references = references_to(work, new);
        for (referring, constraint) in &references {
            compatible_keys(new, referring, constraint)?;
        }
        let create = self.table_sql(work, new, REBUILD)?;
        let columns: Vec<String> = values.iter().map(|(name, _)| quote_name(name)).collect();
        let sources: Vec<&str> = values.iter().map(|(_, sql)| sql.as_str()).collect();
        let name = quote_name(&old.sqlite_name);
        for column in new.columns.iter().filter(|column| column.not_null) {
            if old.column_numbered(column.number).is_none_or(|before| !before.not_null)
                && let Some((_, source)) = values.iter().find(|(name, _)| *name == column.name)
            {
                work.sql.push(null_guard(old, &column.name, source));
            }
        }
        work.sql.push(create);
        // Rows keep their numbers where the rowid shows in no column, so that indexes and order stay.
        work.sql.push(format!(
            "INSERT INTO {REBUILD}({}) SELECT {} FROM {name}",
            columns.join(", "),
            sources.join(", ")
        ));
        // Dropping a table deletes its rows first, and what refers to them with ON DELETE CASCADE: here they stay.
        if !references.is_empty() {
            work.sql.push(IGNORE_FOREIGN_KEYS.into());
        }
        work.sql.push(format!("DROP TABLE {name}"));
        work.sql.push(format!("ALTER TABLE {REBUILD} RENAME TO {}", quote_name(&new.sqlite_name)));
        if !references.is_empty() {
            work.sql.push(KEEP_FOREIGN_KEYS.into());
        }
        for index in &new.indexes {
            if let Some(sql) = self.index_sql(new, index)? {
                work.sql.push(sql);
            }
        }
        work.sql.extend(references.iter().filter_map(|(referring, constraint)| key_guard(new, referring, constraint)));
        work.put_table(new);
        Ok(())
    }

    /// Columns that both tables have, each taken over as it is.
    pub(super) fn same_columns(old: &Table, new: &Table) -> Vec<(String, String)> {
        new.columns
            .iter()
            .filter(|column| column.generated.is_none())
            .filter_map(|column| {
                let before = old.column_numbered(column.number)?;
                Some((column.name.clone(), quote_name(&before.name)))
            })
            .collect()
    }

    pub(super) fn finish_ddl(&mut self, mut work: Work, tag: &'static str) -> Result<Prepared> {
        if work.catalog.next_oid != work.first_oid {
            let next = work.catalog.next_oid;
            work.changes.push(Change::NextOid(next));
        }
        for change in &mut work.changes {
            if let Change::Put(object) = change
                && object.oid() >= work.first_oid
            {
                self.depends_on_user = true;
                *object = super::grant::owned_by(object, self.settings.owner);
            }
        }
        let mut sql = work.sql;
        sql.extend(work.changes.iter().map(Change::sql));
        if !self.params.is_empty() {
            return Err(SqlError::new("42P02", "there is no parameter $1"));
        }
        let changes = !sql.is_empty();
        let kind = if changes { Kind::Ddl } else { Kind::Nothing };
        let mut prepared = self.finish(kind, sql, Vec::new(), Tag::Fixed(tag), false)?;
        prepared.changes_schema = changes;
        Ok(prepared)
    }

    /// An index for a primary key or a unique constraint; `None` keys it by the rowid.
    pub(super) fn constraint_index(
        &mut self,
        work: &mut Work,
        table: &mut Table,
        name: String,
        kind: ConstraintKind,
        columns: Vec<i16>,
        deferrable: bool,
    ) -> Result<()> {
        if deferrable {
            return Err(SqlError::new("0A000", "deferrable unique constraints are not supported"));
        }
        let primary = kind == ConstraintKind::Primary;
        if primary && table.primary_key().is_some() {
            return Err(SqlError::new(
                "42P16",
                format!("multiple primary keys for table \"{}\" are not allowed", table.name),
            ));
        }
        if work.catalog.named(&table.schema, &name).is_some() || table.indexes.iter().any(|index| index.name == name) {
            return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
        }
        let (index_oid, constraint_oid) = (work.oid(), work.oid());
        let by_rowid = primary && columns.len() == 1 && table.rowid == columns.first().copied();
        let keys = columns.iter().map(|number| IndexKey {
            column: Some(*number),
            expression: None,
            descending: false,
            operator_class: None,
        });
        table.indexes.push(Index {
            oid: index_oid,
            name: name.clone(),
            sqlite_name: if by_rowid {
                None
            } else {
                Some(sqlite_name(&work.catalog, &table.schema, &name, index_oid))
            },
            unique: true,
            primary,
            keys: keys.collect(),
            include: Vec::new(),
            predicate: None,
            method: "btree".into(),
            comment: None,
        });
        table.constraints.push(Constraint {
            oid: constraint_oid,
            name,
            kind,
            columns,
            index: Some(index_oid),
            deferrable: false,
            deferred: false,
            comment: None,
        });
        Ok(())
    }

    /// The text of an expression, once it is known to be one over this table.
    pub(super) fn kept_expression(&mut self, expr: &Expr, table: &Table, clause: &'static str) -> Result<String> {
        self.table_expression(expr, table, clause)?;
        Ok(expr.to_string())
    }
}

/// Raises 23502 if a column that is to be NOT NULL holds a NULL.
pub(super) fn null_guard(table: &Table, column: &str, source: &str) -> String {
    let message = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
    format!(
        "SELECT evesql_raise('23502', {}) FROM {} WHERE {source} IS NULL LIMIT 1",
        super::typed::quote_text(&message),
        quote_name(&table.sqlite_name)
    )
}

/// Foreign keys that refer to a table, its own included.
fn references_to(work: &Work, table: &Table) -> Vec<(Table, Constraint)> {
    let others =
        work.catalog.referring_to(table.oid).map(|(other, constraint)| (Table::clone(other), constraint.clone()));
    let refers = |c: &&Constraint| matches!(c.kind, ConstraintKind::Foreign { table: oid, .. } if oid == table.oid);
    let own = table.constraints.iter().filter(refers).map(|constraint| (table.clone(), constraint.clone()));
    others.chain(own).collect()
}

/// The columns of a foreign key, each with the one that it refers to.
fn key_pairs<'a>(
    table: &'a Table,
    referring: &'a Table,
    constraint: &'a Constraint,
) -> impl Iterator<Item = (&'a Column, &'a Column)> {
    let referred = match &constraint.kind {
        ConstraintKind::Foreign { columns, .. } => &columns[..],
        _ => &[],
    };
    let pairs = constraint.columns.iter().zip(referred);
    pairs.filter_map(|(from, to)| Some((referring.column_numbered(*from)?, table.column_numbered(*to)?)))
}

/// Refuses a table whose keys have another type than what refers to them.
fn compatible_keys(table: &Table, referring: &Table, constraint: &Constraint) -> Result<()> {
    let family = |ty: PgType| match ty {
        PgType::INT2 | PgType::INT4 | PgType::INT8 => PgType::INT8,
        PgType::VARCHAR | PgType::BPCHAR => PgType::TEXT,
        other => other,
    };
    for (from, to) in key_pairs(table, referring, constraint) {
        let (from_type, to_type) = (PgType(from.type_oid), PgType(to.type_oid));
        if family(from_type) != family(to_type) {
            let name = |ty: PgType, typmod| crate::catalog::definitions::format_type(ty.0, typmod);
            let message = format!("foreign key constraint \"{}\" cannot be implemented", constraint.name);
            return Err(SqlError::new("42804", message).with_detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                from.name,
                to.name,
                name(from_type, from.typmod),
                name(to_type, to.typmod)
            )));
        }
    }
    Ok(())
}

/// A row that refers to nothing any more is an error.
fn key_guard(table: &Table, referring: &Table, constraint: &Constraint) -> Option<String> {
    let pairs: Vec<_> = key_pairs(table, referring, constraint).collect();
    if pairs.is_empty() {
        return None;
    }
    let terms = pairs.iter().map(|(from, to)| format!("k.{} = r.{}", quote_name(&to.name), quote_name(&from.name)));
    let given = pairs.iter().map(|(from, _)| format!("r.{} IS NOT NULL", quote_name(&from.name)));
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        referring.name, constraint.name
    );
    Some(format!(
        "SELECT evesql_raise('23503', {}) FROM {} AS r WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS k WHERE {}) LIMIT 1",
        super::typed::quote_text(&message),
        quote_name(&referring.sqlite_name),
        given.collect::<Vec<_>>().join(" AND "),
        quote_name(&table.sqlite_name),
        terms.collect::<Vec<_>>().join(" AND ")
    ))
}

/// The columns that an expression names, folded.
pub(super) fn columns_named(expr: &Expr, table: &Table) -> Vec<i16> {
    let mut numbers = Vec::new();
    super::walk::walk(expr, &mut |part| {
        let name = match part {
            Expr::Identifier(ident) => Some(fold(ident)),
            Expr::CompoundIdentifier(idents) => idents.last().map(fold),
            _ => None,
        };
        if let Some(column) = name.and_then(|name| table.column(&name))
            && !numbers.contains(&column.number)
        {
            numbers.push(column.number);
        }
    });
    numbers
}

fn foreign_sql(work: &Work, table: &Table, constraint: &Constraint) -> Result<String> {
    let ConstraintKind::Foreign { table: parent, columns, on_update, on_delete } = &constraint.kind else {
        return Ok(String::new());
    };
    let own = table.oid == *parent;
    let parent = if own {
        table
    } else {
        work.catalog.table(*parent).ok_or_else(|| SqlError::new("XX000", "a foreign key refers to no table"))?.as_ref()
    };
    let names = |table: &Table, numbers: &[i16]| -> String {
        let names: Vec<String> = numbers
            .iter()
            .filter_map(|number| table.column_numbered(*number))
            .map(|column| quote_name(&column.name))
            .collect();
        names.join(", ")
    };
    let mut sql = format!(
        "CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {}({})",
        super::copy::quoted(&format!("{}:{}", table.oid, constraint.name)),
        names(table, &constraint.columns),
        quote_name(&parent.sqlite_name),
        names(parent, columns)
    );
    for (when, action) in [("UPDATE", on_update), ("DELETE", on_delete)] {
        if *action != Default::default() {
            sql += &format!(" ON {when} {}", action.sql());
        }
    }
    // Postgres checks at the end of the statement, and so does SQLite.
    if constraint.deferrable && constraint.deferred {
        sql += " DEFERRABLE INITIALLY DEFERRED";
    }
    Ok(sql)
}
