//! INSERT, UPDATE, DELETE, TRUNCATE.

use super::from::{Item, table_column};
use super::names::{fold, parts};
use super::returning::Returning;
use super::typed::{Relation, Scope, Target, Typed, quote_text};
use super::{Privileges, Result, Translator, quote_name, unsupported};
use crate::catalog::{Column, ConstraintKind, Identity, Sequence, Table};
use crate::dialect::prepared::{Kind, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    Assignment, AssignmentTarget, CascadeOption, ConflictTarget, Delete, Expr, FromTable, Insert, ObjectName,
    OnConflictAction, OnInsert, Query, SetExpr, TableFactor, TableObject, TableWithJoins, Truncate,
    TruncateIdentityOption, Update, UpdateTableFromKind,
};
use std::sync::Arc;

fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// Rows of an INSERT of which the session learns the numbers that they were given.
const ROWS_DRAWN_MAX: usize = 100;

/// The name by which SQLite addresses a table's rows.
pub(super) fn rowid_name(table: &Table) -> &'static str {
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)))
        .unwrap_or("rowid")
}

/// A table as the statement's target sees it.
pub(super) fn target_relation(table: &Table, alias: Option<String>) -> Relation {
    let schema = alias.is_none().then(|| table.schema.clone());
    let shown = alias.unwrap_or_else(|| table.name.clone());
    let sql_alias = if schema.is_some() { &table.sqlite_name } else { &shown };
    let columns = table.columns.iter().map(|column| table_column(sql_alias, table, column)).collect();
    Relation { alias: shown, schema, table: Some(table.oid), columns }
}

impl Translator<'_> {
    fn target_column<'t>(&self, table: &'t Table, name: &str) -> Result<&'t Column> {
        table.column(name).ok_or_else(|| {
            SqlError::new("42703", format!("column \"{name}\" of relation \"{}\" does not exist", table.name))
        })
    }

    /// What a column gets when nothing is said.
    pub(super) fn default_of(&mut self, column: &Column) -> Result<Typed> {
        if let Some(oid) = column.sequence {
            return Ok(Typed::new(format!("evesql_nextval({oid})"), PgType(column.type_oid)).not_null());
        }
        let Some(text) = &column.default else {
            return Ok(Typed::constant(Value::Null, PgType(column.type_oid)));
        };
        let expr = crate::dialect::parse::parse_expression(text)?;
        let scopes = std::mem::take(&mut self.scopes);
        let needs = self.needs.len();
        let typed = self.expr(&expr).and_then(|typed| self.assign(typed, column));
        // The table draws from its sequences itself.
        self.needs.truncate(needs);
        self.scopes = scopes;
        typed
    }

    /// SQLite numbers a NULL rowid by itself; Postgres refuses it.
    fn stored(&self, table: &Table, column: &Column, typed: &Typed) -> String {
        if table.rowid == Some(column.number) && typed.nullable {
            return format!(
                "coalesce({}, evesql_not_null({}, {}))",
                typed.sql,
                quote_text(&table.name),
                quote_text(&column.name)
            );
        }
        typed.sql.clone()
    }

    pub(super) fn insert(&mut self, insert: &Insert) -> Result<Prepared> {
        if insert.or.is_some()
            || insert.ignore
            || insert.overwrite
            || insert.replace_into
            || !insert.assignments.is_empty()
        {
            return Err(SqlError::new("42601", "this form of INSERT is not Postgres"));
        }
        let TableObject::TableName(name) = &insert.table else { return unsupported("INSERT into a function") };
        let ctes = self.ctes.len();
        let table = self.user_table(name)?;
        self.need_on(table.oid, Privileges::INSERT);
        let alias = insert.table_alias.as_ref().map(|alias| fold(&alias.alias));
        let mut columns: Vec<Column> = Vec::new();
        for name in &insert.columns {
            let column =
                self.target_column(&table, &parts(name).pop().unwrap_or_default()).map_err(|e| self.at(e, name))?;
            if columns.iter().any(|other| other.number == column.number) {
                return Err(SqlError::new("42701", format!("column \"{}\" specified more than once", column.name)));
            }
            columns.push(column.clone());
        }
        let explicit = !columns.is_empty();
        let drawn = self.drawn_columns(insert, &table, &columns);
        if !explicit {
            columns = table.columns.clone();
        }
        let (with, body) = match &insert.source {
            Some(source) => self.insert_source(&table, columns, explicit, source, insert.on.is_some())?,
            None => (String::new(), self.insert_rows(&table, Vec::new(), &[Vec::new()])?),
        };
        let as_alias = alias.as_ref().map_or(String::new(), |alias| format!(" AS {}", quote_name(alias)));
        let mut sql = format!("{with}INSERT INTO {}{as_alias}{body}", quote_name(&table.sqlite_name));
        let watched = may_meet_a_row_twice(insert);
        if let Some(on) = &insert.on {
            sql += &self.on_conflict(on, &table, alias.clone(), watched)?;
        }
        let Returning { sql: mut returning, outputs, .. } =
            self.returning(insert.returning.as_deref(), &table, alias, &Item::default())?;
        // Behind what the client asked for, and not shown to it.
        let hidden = drawn.iter().map(|(_, name)| quote_name(name));
        for hidden in hidden.chain(watched.then(|| format!("evesql_changed({})", rowid_name(&table)))) {
            returning += if returning.is_empty() { " RETURNING " } else { ", " };
            returning += &hidden;
        }
        self.ctes.truncate(ctes);
        let columns = self.output_columns(outputs)?;
        let prepared = self.finish(Kind::Insert, vec![sql + &returning], columns, Tag::Insert, false)?;
        Ok(Prepared { draws: drawn.into_iter().map(|(oid, _)| oid).collect(), ..prepared })
    }

    /// Columns that sequences number in each row of an INSERT, with the sequences. None where it is not known that each
    /// row is inserted, or where so many are that nobody asks for the last one's number.
    fn drawn_columns(&self, insert: &Insert, table: &Table, columns: &[Column]) -> Vec<(u32, String)> {
        let rows = match insert.source.as_deref().map(|source| source.body.as_ref()) {
            None => 1,
            Some(SetExpr::Values(values)) if !columns.is_empty() => values.rows.len(),
            Some(_) => return Vec::new(),
        };
        if insert.on.is_some() || rows > ROWS_DRAWN_MAX {
            return Vec::new();
        }
        let numbered = table.columns.iter().filter(|column| !columns.iter().any(|named| named.number == column.number));
        numbered.filter_map(|column| Some((column.sequence?, column.name.clone()))).collect()
    }

    /// `(columns) VALUES (..)`, with the defaults of the columns that were not named.
    fn insert_rows(&mut self, table: &Table, columns: Vec<Column>, rows: &[Vec<Expr>]) -> Result<String> {
        let extras = self.extra_columns(table, &columns);
        let mut list = Vec::new();
        self.scopes.push(Scope { clause: "VALUES", ..Scope::default() });
        let mut translate = || -> Result<()> {
            for row in rows {
                let mut values = Vec::new();
                for (expr, column) in row.iter().zip(&columns) {
                    if column.generated.is_some() && is_default(expr) {
                        continue;
                    }
                    let typed = match is_default(expr) {
                        true => self.default_of(column)?,
                        false => {
                            self.may_be_set(column, &table.name)?;
                            let typed = self.raw(expr)?;
                            let typed = self.assign(typed, column).map_err(|error| self.at(error, expr))?;
                            if table.rowid == Some(column.number) { typed.settled() } else { typed }
                        }
                    };
                    values.push(self.stored(table, column, &typed));
                }
                for column in &extras {
                    let typed = self.default_of(column)?;
                    values.push(self.stored(table, column, &typed));
                }
                list.push(format!("({})", values.join(", ")));
            }
            Ok(())
        };
        let result = translate();
        self.scopes.pop();
        result?;
        // All that one can say of a generated column is DEFAULT, and SQLite does not want to hear it.
        let set = columns.iter().filter(|column| column.generated.is_none());
        let names: Vec<String> = set.chain(&extras).map(|column| quote_name(&column.name)).collect();
        if names.is_empty() {
            return Ok(" DEFAULT VALUES".into());
        }
        Ok(format!("({}) VALUES {}", names.join(", "), list.join(", ")))
    }

    fn may_be_set(&self, column: &Column, _table: &str) -> Result<()> {
        let refuse = |detail: String| {
            Err(SqlError::new("428C9", format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name))
                .with_detail(detail))
        };
        if column.generated.is_some() {
            return refuse(format!("Column \"{}\" is a generated column.", column.name));
        }
        if column.identity == Some(Identity::Always) && !self.overriding {
            return refuse(format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name))
                .map_err(|error: SqlError| error.with_hint("Use OVERRIDING SYSTEM VALUE to override."));
        }
        Ok(())
    }

    /// Columns that were not named but get a value: defaults, sequences, and a rowid that must not number itself.
    fn extra_columns(&self, table: &Table, named: &[Column]) -> Vec<Column> {
        table
            .columns
            .iter()
            .filter(|column| !named.iter().any(|other| other.number == column.number))
            .filter(|column| {
                column.default.is_some() || column.sequence.is_some() || table.rowid == Some(column.number)
            })
            .cloned()
            .collect()
    }

    fn insert_source(
        &mut self,
        table: &Table,
        mut columns: Vec<Column>,
        explicit: bool,
        source: &Query,
        conflict: bool,
    ) -> Result<(String, String)> {
        let fitting = |columns: &mut Vec<Column>, width: usize| -> Result<()> {
            if width > columns.len() {
                return Err(SqlError::new("42601", "INSERT has more expressions than target columns"));
            }
            if width < columns.len() {
                if explicit {
                    return Err(SqlError::new("42601", "INSERT has more target columns than expressions"));
                }
                columns.truncate(width);
            }
            Ok(())
        };
        let plain = source.with.is_none()
            && source.order_by.is_none()
            && source.limit_clause.is_none()
            && source.fetch.is_none();
        if let (SetExpr::Values(values), true) = (source.body.as_ref(), plain) {
            let rows: Vec<Vec<Expr>> = values.rows.iter().map(|row| row.content.clone()).collect();
            let width = rows.first().map_or(0, Vec::len);
            if rows.iter().any(|row| row.len() != width) {
                return Err(SqlError::new("42601", "VALUES lists must all be the same length"));
            }
            fitting(&mut columns, width)?;
            return Ok((String::new(), self.insert_rows(table, columns, &rows)?));
        }
        let width = self.dry(|this| this.query(source, None, true))?.1.len();
        fitting(&mut columns, width)?;
        for column in &columns {
            self.may_be_set(column, &table.name)?;
        }
        let targets: Vec<Option<Target>> = columns
            .iter()
            .map(|column| {
                Some(Target {
                    ty: PgType(column.type_oid),
                    typmod: column.typmod,
                    align: false,
                    column: Some(column.clone()),
                })
            })
            .collect();
        let extras = self.extra_columns(table, &columns);
        let (query, outputs) = self.query(source, Some(&targets), true)?;
        let names: Vec<String> = columns.iter().chain(&extras).map(|column| quote_name(&column.name)).collect();
        let mut list = Vec::new();
        for (output, column) in outputs.iter().zip(&columns) {
            let typed = Typed::new(format!("s.{}", quote_name(&output.name)), PgType(column.type_oid));
            list.push(self.stored(table, column, &typed));
        }
        for column in &extras {
            let typed = self.default_of(column)?;
            list.push(self.stored(table, column, &typed));
        }
        let guarded = table.rowid.is_some_and(|number| columns.iter().any(|column| column.number == number));
        if extras.is_empty() && !guarded && !conflict {
            return Ok((String::new(), format!("({}) {query}", names.join(", "))));
        }
        // Numbers are drawn in the order of the rows: the LIMIT keeps SQLite from merging the two queries and
        // computing them before it sorts. The WHERE tells ON CONFLICT from a join's ON.
        let ordered = source.order_by.is_some() && source.limit_clause.is_none() && source.fetch.is_none();
        let limit = if ordered { " LIMIT -1" } else { "" };
        Ok((
            String::new(),
            format!("({}) SELECT {} FROM ({query}{limit}) AS s WHERE 1", names.join(", "), list.join(", ")),
        ))
    }

    fn on_conflict(
        &mut self,
        on: &OnInsert,
        table: &Arc<Table>,
        alias: Option<String>,
        watched: bool,
    ) -> Result<String> {
        let OnInsert::OnConflict(on) = on else {
            return Err(SqlError::new("42601", "ON DUPLICATE KEY is not Postgres"));
        };
        let columns: Option<Vec<i16>> = match &on.conflict_target {
            None => None,
            Some(ConflictTarget::Columns(names)) => {
                let mut numbers = Vec::new();
                for name in names {
                    numbers.push(self.target_column(table, &fold(name)).map_err(|e| self.at_name(e, name))?.number);
                }
                let same = |keys: Vec<Option<i16>>| {
                    keys.len() == numbers.len() && numbers.iter().all(|number| keys.contains(&Some(*number)))
                };
                let unique = table.indexes.iter().any(|index| {
                    index.unique && index.predicate.is_none() && same(index.keys.iter().map(|key| key.column).collect())
                });
                if !unique {
                    return Err(SqlError::new(
                        "42P10",
                        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                    ));
                }
                Some(numbers)
            }
            Some(ConflictTarget::OnConstraint(name)) => {
                let name = parts(name).pop().unwrap_or_default();
                let constraint = table.constraint(&name).filter(|c| c.index.is_some()).ok_or_else(|| {
                    SqlError::new("42704", format!("constraint \"{name}\" for table \"{}\" does not exist", table.name))
                })?;
                Some(constraint.columns.clone())
            }
        };
        let mut sql = String::from(" ON CONFLICT");
        if let Some(numbers) = &columns {
            let names: Vec<String> = numbers
                .iter()
                .filter_map(|number| table.column_numbered(*number))
                .map(|column| quote_name(&column.name))
                .collect();
            sql += &format!(" ({})", names.join(", "));
        }
        match &on.action {
            OnConflictAction::DoNothing => sql += " DO NOTHING",
            OnConflictAction::DoUpdate(update) => {
                self.need_on(table.oid, Privileges::UPDATE);
                if columns.is_none() {
                    return Err(SqlError::new(
                        "42601",
                        "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                    ));
                }
                let excluded = table.columns.iter().map(|column| {
                    let mut made = table_column("excluded", table, column);
                    made.typed.column = None;
                    made
                });
                let excluded =
                    Relation { alias: "excluded".into(), schema: None, table: None, columns: excluded.collect() };
                let shown = alias.clone().unwrap_or_else(|| table.sqlite_name.clone());
                let unchanged =
                    watched.then(|| format!("evesql_unchanged({}.{})", quote_name(&shown), rowid_name(table)));
                let relations = vec![target_relation(table, alias), hide(excluded)];
                self.scopes.push(Scope { relations, clause: "UPDATE", ..Scope::default() });
                let result = self.set_list(&update.assignments, table).and_then(|list| {
                    let condition = match &update.selection {
                        Some(selection) => {
                            let typed = self.expr(selection)?;
                            Some(self.condition(typed, "WHERE")?.sql)
                        }
                        None => None,
                    };
                    let conditions: Vec<String> = unchanged.into_iter().chain(condition).collect();
                    let word = if conditions.is_empty() { "" } else { " WHERE " };
                    Ok(format!(" DO UPDATE SET {}{word}{}", set_sql(&list), conditions.join(" AND ")))
                });
                self.scopes.pop();
                sql += &result?;
            }
        }
        Ok(sql)
    }

    /// The SET list of an UPDATE: what is set, and to what.
    fn set_list(&mut self, assignments: &[Assignment], table: &Arc<Table>) -> Result<Vec<(String, String)>> {
        let mut list = Vec::new();
        let mut seen: Vec<i16> = Vec::new();
        let mut check = |column: &Column| -> Result<()> {
            if seen.contains(&column.number) {
                return Err(SqlError::new("42601", format!("multiple assignments to same column \"{}\"", column.name)));
            }
            seen.push(column.number);
            Ok(())
        };
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(name) => {
                    let names = parts(name);
                    let column = self
                        .target_column(table, names.last().map_or("", String::as_str))
                        .map_err(|error| self.at(error, name))?
                        .clone();
                    check(&column)?;
                    let value = self.set_value(&assignment.value, &column, table)?;
                    list.push((quote_name(&column.name), value));
                }
                AssignmentTarget::Tuple(names) => {
                    let mut columns = Vec::new();
                    for name in names {
                        let column = self.target_column(table, &parts(name).pop().unwrap_or_default())?.clone();
                        check(&column)?;
                        columns.push(column);
                    }
                    let values = match &assignment.value {
                        Expr::Tuple(values) => values.as_slice(),
                        Expr::Nested(value) if columns.len() == 1 => std::slice::from_ref(value.as_ref()),
                        Expr::Subquery(query) => {
                            let targets: Vec<Option<Target>> = columns
                                .iter()
                                .map(|column| {
                                    Some(Target {
                                        ty: PgType(column.type_oid),
                                        typmod: column.typmod,
                                        align: false,
                                        column: Some(column.clone()),
                                    })
                                })
                                .collect();
                            let (_, outputs) = self.dry(|this| this.query(query, None, false))?;
                            if outputs.len() != columns.len() {
                                return Err(SqlError::new(
                                    "42601",
                                    "number of columns does not match number of values",
                                ));
                            }
                            let (sql, _) = self.query(query, Some(&targets), false)?;
                            let names: Vec<String> = columns.iter().map(|column| quote_name(&column.name)).collect();
                            list.push((format!("({})", names.join(", ")), format!("({sql})")));
                            continue;
                        }
                        _ => {
                            return Err(SqlError::new(
                                "0A000",
                                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                            ));
                        }
                    };
                    if values.len() != columns.len() {
                        return Err(SqlError::new("42601", "number of columns does not match number of values"));
                    }
                    for (value, column) in values.iter().zip(&columns) {
                        let value = self.set_value(value, column, table)?;
                        list.push((quote_name(&column.name), value));
                    }
                }
            }
        }
        Ok(list)
    }

    fn set_value(&mut self, expr: &Expr, column: &Column, table: &Arc<Table>) -> Result<String> {
        if is_default(expr) {
            let typed = self.default_of(column)?;
            return Ok(self.stored(table, column, &typed));
        }
        if column.generated.is_some() || column.identity == Some(Identity::Always) {
            return Err(SqlError::new("428C9", format!("column \"{}\" can only be updated to DEFAULT", column.name)));
        }
        let typed = self.raw(expr)?;
        let typed = self.assign(typed, column).map_err(|error| self.at(error, expr))?;
        let typed = if table.rowid == Some(column.number) { typed.settled() } else { typed };
        Ok(self.stored(table, column, &typed))
    }

    /// The table and alias that UPDATE or DELETE names.
    fn single_table(&mut self, table: &TableWithJoins) -> Result<(Arc<Table>, Option<String>)> {
        match &table.relation {
            TableFactor::Table { name, alias, args: None, .. } if table.joins.is_empty() => {
                Ok((self.user_table(name)?, alias.as_ref().map(|alias| fold(&alias.name))))
            }
            _ => unsupported("this target of UPDATE or DELETE"),
        }
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<Prepared> {
        if update.or.is_some() || !update.order_by.is_empty() || update.limit.is_some() {
            return Err(SqlError::new("42601", "this form of UPDATE is not Postgres"));
        }
        let (table, alias) = self.single_table(&update.table)?;
        self.need_on(table.oid, Privileges::UPDATE);
        let relation = target_relation(&table, alias.clone());
        let from: &[TableWithJoins] = match &update.from {
            None => &[],
            Some(UpdateTableFromKind::AfterSet(tables) | UpdateTableFromKind::BeforeSet(tables)) => tables,
        };
        let from = self.tables_of(from)?;
        let mut relations = vec![relation];
        relations.extend(from.relations.iter().cloned());
        self.scopes.push(Scope { relations, merged: from.merged.clone(), clause: "UPDATE", ..Scope::default() });
        let result = self.set_list(&update.assignments, &table).and_then(|list| {
            if let Some(scope) = self.scopes.last_mut() {
                scope.clause = "WHERE";
            }
            let condition = self.where_of(update.selection.as_ref())?;
            Ok((list, condition))
        });
        self.scopes.pop();
        let (mut list, condition) = result?;
        let as_alias = alias.as_ref().map_or(String::new(), |alias| format!(" AS {}", quote_name(alias)));
        let returning = self.returning(update.returning.as_deref(), &table, alias.clone(), &from)?;
        if !returning.kept.is_empty() {
            keep_in_set(&mut list, &table, alias.as_deref(), &returning)?;
        }
        let from = if from.sql.is_empty() { String::new() } else { format!(" FROM {}", from.sql) };
        let sql = format!(
            "UPDATE {}{as_alias} SET {}{from}{condition}{}",
            quote_name(&table.sqlite_name),
            set_sql(&list),
            returning.sql
        );
        let columns = self.output_columns(returning.outputs)?;
        self.finish(Kind::Update, vec![sql], columns, Tag::Update, false)
    }

    fn where_of(&mut self, selection: Option<&Expr>) -> Result<String> {
        let Some(selection) = selection else { return Ok(String::new()) };
        if matches!(selection, Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("current")) {
            return unsupported("WHERE CURRENT OF");
        }
        let typed = self.expr(selection)?;
        Ok(format!(" WHERE {}", self.condition(typed, "WHERE")?.sql))
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<Prepared> {
        if !delete.order_by.is_empty() || delete.limit.is_some() || !delete.tables.is_empty() {
            return Err(SqlError::new("42601", "this form of DELETE is not Postgres"));
        }
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let [target] = from.as_slice() else { return unsupported("DELETE from several tables") };
        let (table, alias) = self.single_table(target)?;
        self.need_on(table.oid, Privileges::DELETE);
        let relation = target_relation(&table, alias.clone());
        let using = self.tables_of(delete.using.as_deref().unwrap_or(&[]))?;
        let mut relations = vec![relation];
        relations.extend(using.relations.iter().cloned());
        self.scopes.push(Scope { relations, merged: using.merged.clone(), clause: "WHERE", ..Scope::default() });
        let condition = self.where_of(delete.selection.as_ref());
        self.scopes.pop();
        let condition = condition?;
        let name = quote_name(&table.sqlite_name);
        let as_alias = alias.as_ref().map_or(String::new(), |alias| format!(" AS {}", quote_name(alias)));
        let returning = self.returning(delete.returning.as_deref(), &table, alias.clone(), &using)?;
        let sql = if using.sql.is_empty() {
            format!("DELETE FROM {name}{as_alias}{condition}{}", returning.sql)
        } else {
            let (rowid, row) = (rowid_name(&table), row_of(&table, alias.as_deref()));
            format!(
                "DELETE FROM {name} WHERE {rowid} IN (SELECT {} FROM {name}{as_alias}, {}{condition}){}",
                returning.keeping(&row, &row),
                using.sql,
                returning.sql
            )
        };
        let columns = self.output_columns(returning.outputs)?;
        self.finish(Kind::Delete, vec![sql], columns, Tag::Delete, false)
    }

    pub(super) fn truncate(&mut self, truncate: &Truncate) -> Result<Prepared> {
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for target in &truncate.table_names {
            let table = self.user_table(&target.name)?;
            self.need_on(table.oid, Privileges::TRUNCATE);
            if !tables.iter().any(|other| other.oid == table.oid) {
                tables.push(table);
            }
        }
        let cascade = matches!(truncate.cascade, Some(CascadeOption::Cascade));
        let mut at = 0;
        while at < tables.len() {
            let referring: Vec<Arc<Table>> =
                self.catalog.referring_to(tables[at].oid).map(|(table, _)| table.clone()).collect();
            for other in referring {
                if tables.iter().any(|table| table.oid == other.oid) {
                    continue;
                }
                if !cascade {
                    return Err(SqlError::new(
                        "0A000",
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .with_detail(format!("Table \"{}\" references \"{}\".", other.name, tables[at].name))
                    .with_hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        other.name
                    )));
                }
                self.notices.push(super::Notice {
                    severity: "NOTICE",
                    code: "00000",
                    message: format!("truncate cascades to table \"{}\"", other.name),
                });
                self.need_on(other.oid, Privileges::TRUNCATE);
                tables.push(other);
            }
            at += 1;
        }
        let mut sql = Vec::new();
        for table in children_first(tables.clone()) {
            sql.push(format!("DELETE FROM {}", quote_name(&table.sqlite_name)));
        }
        if matches!(truncate.identity, Some(TruncateIdentityOption::Restart)) {
            for (_, sequence) in tables.iter().flat_map(|table| self.catalog.sequences_of(table.oid)) {
                let Sequence { oid, start, .. } = **sequence;
                sql.push(format!("UPDATE evesql_sequences SET last_value = {start}, is_called = 0 WHERE oid = {oid}"));
            }
        }
        self.finish(Kind::Truncate, sql, Vec::new(), Tag::Fixed("TRUNCATE TABLE"), false)
    }
}

/// The table that a DELETE names.
pub(super) fn deleted_from(delete: &Delete) -> Option<&ObjectName> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    match from.as_slice() {
        [TableWithJoins { relation: TableFactor::Table { name, .. }, .. }] => Some(name),
        _ => None,
    }
}

/// Whether an INSERT proposes more than one row, and updates what it meets.
fn may_meet_a_row_twice(insert: &Insert) -> bool {
    let updates =
        matches!(&insert.on, Some(OnInsert::OnConflict(on)) if matches!(on.action, OnConflictAction::DoUpdate(_)));
    let one_row = match insert.source.as_deref().map(|source| source.body.as_ref()) {
        None => true,
        Some(SetExpr::Values(values)) => values.rows.len() == 1,
        Some(_) => false,
    };
    updates && !one_row
}

fn set_sql(list: &[(String, String)]) -> String {
    let pairs: Vec<String> = list.iter().map(|(target, value)| format!("{target} = {value}")).collect();
    pairs.join(", ")
}

/// The number of a row of the target, where other tables can be seen too.
fn row_of(table: &Table, alias: Option<&str>) -> String {
    format!("{}.{}", quote_name(alias.unwrap_or(&table.sqlite_name)), rowid_name(table))
}

/// Has the first column that is set keep what RETURNING needs of other tables.
fn keep_in_set(list: &mut [(String, String)], table: &Table, alias: Option<&str>, returning: &Returning) -> Result<()> {
    let key = table.rowid.and_then(|number| table.column_numbered(number)).map(|column| quote_name(&column.name));
    let sets = |target: &str, name: &str| target.trim_matches(['(', ')']).split(", ").any(|part| part == name);
    // RETURNING would look for the row under its new number.
    if key.is_some_and(|key| list.iter().any(|(target, _)| sets(target, &key))) {
        return unsupported("RETURNING of other tables' columns where UPDATE changes the primary key");
    }
    let Some((_, value)) = list.iter_mut().find(|(target, _)| !target.starts_with('(')) else {
        return unsupported("RETURNING of other tables' columns where UPDATE sets a list of columns");
    };
    *value = returning.keeping(value, &row_of(table, alias));
    Ok(())
}

/// Tables ordered so that foreign keys do not hinder deleting: who refers comes first.
pub(super) fn children_first(mut tables: Vec<Arc<Table>>) -> Vec<Arc<Table>> {
    let mut ordered = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let refers = |child: &Table, parent: u32| {
            child.constraints.iter().any(
                |c| matches!(c.kind, ConstraintKind::Foreign { table, .. } if table == parent && table != child.oid),
            )
        };
        // Of a circle any will do: its deferred keys decide.
        let free = (0..tables.len()).find(|at| !tables.iter().any(|other| refers(other, tables[*at].oid))).unwrap_or(0);
        ordered.push(tables.remove(free));
    }
    ordered
}

/// The row that could not be inserted is named only with its qualifier.
fn hide(mut relation: Relation) -> Relation {
    relation.columns.iter_mut().for_each(|column| column.hidden = true);
    relation
}
