//! Enum types: CREATE, ALTER and DROP TYPE, and what their values are in SQLite.
//!
//! A value is its label, so equality, indexes and files that people open with sqlite3 need nothing. Values compare by
//! the order of the labels, which the statement spells out.

use super::coerce::Context;
use super::names::parts;
use super::table_ddl::Work;
use super::typed::{Typed, quote_text};
use super::{Need, Result, Translator, quote_name};
use crate::catalog::enums::{EnumLabel, EnumType, LABEL_BYTES_MAX};
use crate::catalog::{Catalog, Change, Object, Table};
use crate::dialect::prepared::{Kind, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    AlterType, AlterTypeAddValue, AlterTypeAddValuePosition, AlterTypeOperation, Ident, ObjectName,
    UserDefinedTypeRepresentation,
};
use std::sync::Arc;

/// The labels as a JSON array in SQLite's quotes.
fn labels_sql(found: &EnumType) -> String {
    quote_text(&serde_json::Value::from(found.names().collect::<Vec<_>>()).to_string())
}

fn missing(name: &str) -> SqlError {
    SqlError::new("42704", format!("type \"{name}\" does not exist"))
}

impl Translator<'_> {
    /// The type that users made under a name, or its array type where that is named (`_mood`).
    pub(super) fn users_type(&self, names: &[String]) -> Option<PgType> {
        let (schema, name) = self.qualified(names).ok()?;
        let within = |schema: &str, name: &str| self.catalog.enum_named(schema, name).map(|found| found.oid);
        let find = |name: &str| match &schema {
            Some(schema) => within(schema, name),
            None => self.settings.search_path.iter().find_map(|schema| within(schema, name)),
        };
        let array = || name.strip_prefix('_').and_then(find).map(|oid| PgType(oid + 1));
        find(&name).map(PgType).or_else(array)
    }

    /// The enum type that a type is, or is the array of.
    pub(super) fn enum_of(&self, ty: PgType) -> Result<&Arc<EnumType>> {
        self.catalog
            .enum_of(ty.0)
            .ok_or_else(|| SqlError::new("42704", format!("type with OID {} does not exist", ty.0)))
    }

    /// Text for the place of a value among the labels, by which values compare.
    pub(super) fn enum_rank(&self, typed: &Typed) -> Option<String> {
        let found = self.catalog.enum_of(typed.ty.0).filter(|_| typed.ty.is_enum())?;
        if found.labels.is_empty() {
            return Some(typed.sql.clone());
        }
        let arms = found.names().enumerate().map(|(at, name)| format!(" WHEN {} THEN {at}", quote_text(name)));
        Some(format!("(CASE {}{} END)", typed.sql, arms.collect::<String>()))
    }

    /// Text for the places of the values of an array of one dimension, itself an array, by which arrays of enums sort.
    pub(super) fn enum_ranks(&self, typed: &Typed) -> Option<String> {
        let rank = self.enum_rank(&Typed::new("e.value", typed.ty.element()?))?;
        let ranks = format!("SELECT json_group_array({rank}) FROM json_each({}) AS e", typed.sql);
        Some(format!("iif({} IS NULL, NULL, ({ranks}))", typed.sql))
    }

    /// The label at a place: the other way round.
    pub(super) fn enum_at_rank(&self, rank: &str, ty: PgType) -> Result<Typed> {
        let found = self.enum_of(ty)?;
        Ok(Typed::new(format!("json_extract({}, '$[' || {rank} || ']')", labels_sql(found)), ty))
    }

    /// Reads text as a value of an enum type.
    pub(super) fn enum_from_text(&self, typed: &Typed, ty: PgType) -> Result<Typed> {
        let found = self.enum_of(ty)?;
        let name = quote_text(&crate::catalog::definitions::quote_ident(&found.name));
        let sql = format!("evesql_enum({}, {name}, {})", typed.sql, labels_sql(found));
        Ok(Typed::new(sql, ty).nullable_if(typed.nullable))
    }

    /// Refuses a constant, of an enum type or an array of one, that is none of the labels.
    pub(super) fn check_enum_value(&self, value: &Value, ty: PgType) -> Result<()> {
        match ty.is_users() {
            true => self.enum_of(ty)?.check_value(value, !ty.is_enum()),
            false => Ok(()),
        }
    }

    /// enum_first, enum_last, enum_range: they go by the type of their argument alone.
    pub(super) fn enum_function(&mut self, name: &str, args: &[Typed]) -> Result<Option<Typed>> {
        let Some(ty) = args.iter().map(|arg| arg.ty).find(|ty| ty.is_enum()) else { return Ok(None) };
        let args = args.iter().map(|arg| self.coerce(arg.clone(), ty, -1, Context::Implicit));
        let args = args.collect::<Result<Vec<Typed>>>()?;
        let found = self.enum_of(ty)?;
        let label = |label: Option<&EnumLabel>| {
            let value = label.map_or(Value::Null, |label| Value::Text(label.name.as_str().into()));
            Typed::constant(value, ty)
        };
        Ok(match (name, args.as_slice()) {
            ("enum_first", [_]) => Some(label(found.labels.first())),
            ("enum_last", [_]) => Some(label(found.labels.last())),
            ("enum_range", [_]) => {
                let all = serde_json::Value::from(found.names().collect::<Vec<_>>()).to_string();
                Some(Typed::constant(Value::Text(all.into()), PgType(found.array_oid())))
            }
            ("enum_range", [low, high]) => {
                // An open end is NULL.
                let place = |bound: &Typed| match bound.value() {
                    Some(Value::Text(label)) => found.labels.iter().position(|known| *known.name == **label).map(Some),
                    Some(Value::Null) => Some(None),
                    _ => None,
                };
                let (Some(low), Some(high)) = (place(low), place(high)) else {
                    return Err(SqlError::new("0A000", "enum_range of values that are no constants is not supported"));
                };
                let within = |at: &usize| low.is_none_or(|low| *at >= low) && high.is_none_or(|high| *at <= high);
                let names = found.names().enumerate().filter(|(at, _)| within(at)).map(|(_, name)| name);
                let part = serde_json::Value::from(names.collect::<Vec<_>>()).to_string();
                Some(Typed::constant(Value::Text(part.into()), PgType(found.array_oid())))
            }
            _ => None,
        })
    }

    pub(super) fn create_type(
        &mut self,
        name: &ObjectName,
        representation: Option<&UserDefinedTypeRepresentation>,
    ) -> Result<Prepared> {
        let labels = match representation {
            Some(UserDefinedTypeRepresentation::Enum { labels }) => labels,
            Some(UserDefinedTypeRepresentation::Composite { .. }) => {
                return Err(SqlError::new("0A000", "CREATE TYPE of a composite type is not supported"));
            }
            Some(UserDefinedTypeRepresentation::Range { .. }) => {
                return Err(SqlError::new("0A000", "CREATE TYPE of a range type is not supported"));
            }
            _ => return Err(SqlError::new("0A000", "CREATE TYPE of a base type is not supported")),
        };
        let (schema, name) = self.creation_schema(&parts(name))?;
        self.refuse_taken(&schema, &name)?;
        let mut work = Work::new(self.catalog);
        if work.catalog.next_oid % 2 == 1 {
            work.oid();
        }
        let oid = work.oid();
        // The array type's.
        work.oid();
        let mut found = EnumType { oid, schema, name, labels: Vec::new(), comment: None, access: Default::default() };
        for label in labels {
            let label = EnumLabel { oid: work.oid(), name: label_of(label)? };
            if found.has(&label.name) {
                let text = "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"";
                return Err(SqlError::new("23505", text));
            }
            found.labels.push(label);
        }
        work.change(Change::Put(Object::Enum(Arc::new(found))));
        self.finish_ddl(work, "CREATE TYPE")
    }

    fn refuse_taken(&self, schema: &str, name: &str) -> Result<()> {
        let of_relation = self.catalog.named(schema, name).is_some_and(|object| object.full_name() == (schema, name));
        if self.catalog.enum_named(schema, name).is_some() || of_relation {
            return Err(SqlError::new("42710", format!("type \"{name}\" already exists")));
        }
        Ok(())
    }

    /// An enum type that the client may change.
    pub(super) fn own_enum(&mut self, names: &[String]) -> Result<EnumType> {
        let ty = self.users_type(names).ok_or_else(|| match names {
            [name] if PgType::by_name(name).is_some() => {
                SqlError::new("42809", format!("{} is not an enum", quote_name(name)))
            }
            _ => missing(&names.join(".")),
        })?;
        self.need(Need::Owner(ty.0 & !1));
        Ok(EnumType::clone(self.enum_of(ty)?))
    }

    pub(super) fn alter_type(&mut self, alter: &AlterType) -> Result<Prepared> {
        let mut found = self.own_enum(&parts(&alter.name))?;
        let mut work = Work::new(self.catalog);
        match &alter.operation {
            AlterTypeOperation::Rename(rename) => {
                let name = super::names::fold(&rename.new_name);
                self.refuse_taken(&found.schema, &name)?;
                self.refuse_where(self.catalog, &found, "renaming", |text, _| has_word(text, &found.name))?;
                found.name = name;
            }
            AlterTypeOperation::AddValue(add) => {
                if found.has(&label_of(&add.value)?) && add.if_not_exists {
                    self.notice("42710", format!("enum label \"{}\" already exists, skipping", add.value.value));
                    return self.nothing(Kind::Nothing, Tag::Fixed("ALTER TYPE"));
                }
                self.refuse_where(self.catalog, &found, "adding a value to", |_, sql| spells_out(&found, sql))?;
                add_value(&mut work, &mut found, add)?;
            }
            AlterTypeOperation::RenameValue(rename) => {
                let (from, to) = (label_of(&rename.from)?, label_of(&rename.to)?);
                if found.has(&to) {
                    return Err(SqlError::new("42710", format!("enum label \"{to}\" already exists")));
                }
                let quoted = quote_text(&from);
                let names = |text: &str, sql: &str| text.contains(&quoted) || spells_out(&found, sql);
                self.refuse_where(self.catalog, &found, "renaming a value of", names)?;
                let label = found.labels.iter_mut().find(|label| label.name == from);
                label.ok_or_else(|| not_a_label(&from))?.name.clone_from(&to);
                rename_stored(self.catalog, &mut work, &found, &from, &to)?;
            }
        }
        work.change(Change::Put(Object::Enum(Arc::new(found))));
        self.finish_ddl(work, "ALTER TYPE")
    }

    /// Takes an enum type out of the catalog, after the tables that are dropped with it.
    pub(super) fn drop_type(&mut self, work: &mut Work, found: &EnumType, cascade: bool) -> Result<()> {
        let what = format!("type {}", found.name);
        let users: Vec<(Arc<Table>, String)> = columns_of(&work.catalog, found.oid);
        for (table, column) in users {
            if !cascade {
                let detail = format!("column {column} of table {} depends on {what}", table.name);
                return Err(Self::depends(&what, detail));
            }
            let now = work.catalog.table(table.oid).cloned().unwrap_or(table);
            self.notice("00000", format!("drop cascades to column {column} of table {}", now.name));
            self.drop_column(work, &now, &column, false, true)?;
        }
        let has_type = |oid: u32| oid & !1 == found.oid;
        if let Some(view) = work.catalog.views().find(|view| view.columns.iter().any(|c| has_type(c.type_oid))) {
            return Err(Self::depends(&what, format!("view {} depends on {what}", view.name)));
        }
        let now = work.catalog.clone();
        self.refuse_where(&now, found, "dropping", |text, _| has_word(text, &found.name))?;
        work.change(Change::Remove(found.oid));
        Ok(())
    }

    /// Refuses a change of a type which the texts of checks, generated columns, indexes, defaults and views would not fit
    /// any more. `outdated` gets each as it was written and, where SQLite keeps it, as SQLite has it.
    fn refuse_where(
        &mut self,
        catalog: &Catalog,
        found: &EnumType,
        what: &str,
        outdated: impl Fn(&str, &str) -> bool,
    ) -> Result<()> {
        let refuse = |name: &str| {
            let text = format!("{what} a type that an expression of \"{name}\" goes by is not supported");
            Err(SqlError::new("0A000", text))
        };
        for table in catalog.tables() {
            let defaults = table.columns.iter().filter(|column| column.type_oid & !1 != found.oid);
            if defaults.filter_map(|column| column.default.as_deref()).any(|text| outdated(text, "")) {
                return refuse(&table.name);
            }
            let mut copy = Table::clone(table);
            for text in super::alter::expressions(&mut copy) {
                let expr = crate::dialect::parse::parse_expression(text)?;
                let sql = self.table_expression(&expr, table, "expressions")?.settled().sql;
                if outdated(text, &sql) {
                    return refuse(&table.name);
                }
            }
        }
        match catalog.views().find(|view| outdated(&view.query, "")) {
            Some(view) => refuse(&view.name),
            None => Ok(()),
        }
    }
}

/// Whether SQLite's text of an expression has all the labels in it, which a change of the type would leave as they were.
fn spells_out(found: &EnumType, sql: &str) -> bool {
    let ranked = found.names().next().map(|first| format!(" WHEN {} THEN 0", quote_text(first)));
    sql.contains(&labels_sql(found)) || ranked.is_some_and(|ranked| sql.contains(&ranked))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found.eq_ignore_ascii_case(word))
}

/// The columns of tables that have a type or are arrays of it.
fn columns_of(catalog: &Catalog, oid: u32) -> Vec<(Arc<Table>, String)> {
    let of_table = |table: &Arc<Table>| {
        let columns = table.columns.iter().filter(|column| column.type_oid & !1 == oid);
        columns.map(|column| (table.clone(), column.name.clone())).collect::<Vec<_>>()
    };
    catalog.tables().flat_map(of_table).collect()
}

fn not_a_label(label: &str) -> SqlError {
    SqlError::new("22023", format!("\"{label}\" is not an existing enum label"))
}

/// A label as it is written: in quotes, up to 63 bytes.
fn label_of(label: &Ident) -> Result<String> {
    if label.value.len() > LABEL_BYTES_MAX {
        return Err(SqlError::new("42602", format!("invalid enum label \"{}\"", label.value))
            .with_detail(format!("Labels must be {LABEL_BYTES_MAX} bytes or less.")));
    }
    Ok(label.value.clone())
}

fn add_value(work: &mut Work, found: &mut EnumType, add: &AlterTypeAddValue) -> Result<()> {
    let label = label_of(&add.value)?;
    if found.has(&label) {
        return Err(SqlError::new("42710", format!("enum label \"{label}\" already exists")));
    }
    let place = |neighbour: &Ident| {
        let at = found.labels.iter().position(|known| known.name == neighbour.value);
        at.ok_or_else(|| not_a_label(&neighbour.value))
    };
    let at = match &add.position {
        Some(AlterTypeAddValuePosition::Before(neighbour)) => place(neighbour)?,
        Some(AlterTypeAddValuePosition::After(neighbour)) => place(neighbour)? + 1,
        None => found.labels.len(),
    };
    found.labels.insert(at, EnumLabel { oid: work.oid(), name: label });
    Ok(())
}

/// Rows and defaults keep labels: those of a renamed value are written anew.
fn rename_stored(catalog: &Catalog, work: &mut Work, found: &EnumType, from: &str, to: &str) -> Result<()> {
    let (old, new) = (quote_text(from), quote_text(to));
    for (table, column) in columns_of(catalog, found.oid) {
        let mut changed = work.catalog.table(table.oid).map_or_else(|| Table::clone(&table), |now| Table::clone(now));
        for default in changed.columns.iter_mut().filter(|c| c.name == column).filter_map(|c| c.default.as_mut()) {
            *default = default.replace(&old, &new);
        }
        work.put_table(&changed);
        if table.column(&column).is_some_and(|column| column.type_oid != found.oid) {
            let text = format!("renaming a value of a type of which there is an array in table \"{}\"", table.name);
            return Err(SqlError::new("0A000", format!("{text} is not supported")));
        }
        let (table, column) = (quote_name(&table.sqlite_name), quote_name(&column));
        work.sql.push(format!("UPDATE {table} SET {column} = {new} WHERE {column} = {old}"));
    }
    Ok(())
}
