//! CREATE, ALTER, DROP: SQLite DDL together with changes of the catalog's rows.

use super::names::{data_type_of, fold, parts};
use super::table_ddl::{Work, columns_named, sqlite_name};
use super::{Result, Translator, quote_name};
use crate::catalog::{
    Action, Change, Column, Constraint, ConstraintKind, Identity, Index, IndexKey, Object, Schema, Sequence, Table,
    View,
};
use crate::dialect::prepared::{Kind, Notice, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{
    AlterColumnOperation, AlterIndexOperation, AlterTable, AlterTableOperation, CheckConstraint, ColumnDef,
    ColumnOption, CommentObject, ConstraintCharacteristics, CreateIndex, CreateTable, CreateView, DataType,
    DeferrableInitial, DropBehavior, Expr, ForeignKeyConstraint, GeneratedAs, Ident, IndexColumn, IndexType,
    NullsDistinctOption, ObjectName, ObjectType, ReferentialAction, RenameTableNameKind, SchemaName, SequenceOptions,
    Statement, TableConstraint,
};
use std::sync::Arc;

fn unsupported<T>(what: &str) -> Result<T> {
    Err(SqlError::new("0A000", format!("{what} is not supported")))
}

fn action(action: Option<ReferentialAction>) -> Action {
    match action {
        None | Some(ReferentialAction::NoAction) => Action::NoAction,
        Some(ReferentialAction::Restrict) => Action::Restrict,
        Some(ReferentialAction::Cascade) => Action::Cascade,
        Some(ReferentialAction::SetNull) => Action::SetNull,
        Some(ReferentialAction::SetDefault) => Action::SetDefault,
    }
}

fn characteristics(given: Option<&ConstraintCharacteristics>) -> (bool, bool) {
    let deferred = given.and_then(|c| c.initially).is_some_and(|i| matches!(i, DeferrableInitial::Deferred));
    (given.and_then(|c| c.deferrable).unwrap_or(deferred), deferred)
}

/// The serial type that a column is declared with.
fn serial(data_type: &DataType) -> Option<PgType> {
    let DataType::Custom(name, _) = data_type else { return None };
    match parts(name).last()?.as_str() {
        "serial" | "serial4" => Some(PgType::INT4),
        "bigserial" | "serial8" => Some(PgType::INT8),
        "smallserial" | "serial2" => Some(PgType::INT2),
        _ => None,
    }
}

fn index_columns(columns: &[IndexColumn]) -> Result<Vec<Ident>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            Expr::Identifier(ident) => Ok(ident.clone()),
            _ => Err(SqlError::new("42601", "a key of a constraint is a column's name")),
        })
        .collect()
}

/// A constraint that waits until all columns are known.
enum Pending<'a> {
    Primary(Option<&'a Ident>, Vec<Ident>, bool),
    Unique(Option<&'a Ident>, Vec<Ident>, bool),
    Foreign(Option<&'a Ident>, &'a ForeignKeyConstraint, Vec<Ident>),
    Check(Option<&'a Ident>, &'a CheckConstraint, Option<&'a Ident>),
}

impl Translator<'_> {
    pub(super) fn ddl(&mut self, statement: &Statement) -> Result<Prepared> {
        match statement {
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::CreateView(create) => self.create_view(create),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::AlterIndex { name, operation: AlterIndexOperation::RenameIndex { index_name } } => {
                self.rename_index(name, index_name)
            }
            Statement::Drop { object_type, if_exists, names, cascade, .. } => {
                self.drop(object_type, *if_exists, names, *cascade)
            }
            Statement::CreateSequence { if_not_exists, name, data_type, sequence_options, owned_by, temporary } => {
                if *temporary {
                    return unsupported("CREATE TEMPORARY SEQUENCE");
                }
                let _ = owned_by;
                self.create_sequence(name, *if_not_exists, data_type.as_ref(), sequence_options)
            }
            Statement::CreateSchema { schema_name, if_not_exists, .. } => {
                self.create_schema(schema_name, *if_not_exists)
            }
            Statement::CreateDatabase { db_name, .. } => {
                let name = parts(db_name).pop().unwrap_or_default();
                self.finish(Kind::CreateDatabase(name), Vec::new(), Vec::new(), Tag::Fixed("CREATE DATABASE"), false)
            }
            Statement::Comment { object_type, object_name, comment, .. } => {
                self.comment(*object_type, object_name, comment.clone())
            }
            Statement::CreateExtension(extension) => match fold(&extension.name).as_str() {
                "plpgsql" | "pgcrypto" | "uuid-ossp" => self.nothing(Kind::Nothing, Tag::Fixed("CREATE EXTENSION")),
                other => unsupported(&format!("extension \"{other}\"")),
            },
            Statement::DropExtension(_) => self.nothing(Kind::Nothing, Tag::Fixed("DROP EXTENSION")),
            Statement::Grant(_) => self.nothing(Kind::Nothing, Tag::Fixed("GRANT")),
            Statement::Revoke(_) => self.nothing(Kind::Nothing, Tag::Fixed("REVOKE")),
            Statement::Merge(_) => unsupported("MERGE"),
            Statement::CreateFunction(_) => unsupported("CREATE FUNCTION"),
            Statement::CreateTrigger(_) => unsupported("CREATE TRIGGER"),
            Statement::CreateProcedure { .. } => unsupported("CREATE PROCEDURE"),
            Statement::CreateType { .. } => unsupported("CREATE TYPE"),
            Statement::CreateDomain(_) => unsupported("CREATE DOMAIN"),
            Statement::CreateRole(_) | Statement::CreateUser(_) => unsupported("CREATE ROLE"),
            Statement::CreatePolicy(_) => unsupported("CREATE POLICY"),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                unsupported(&words.join(" ").to_uppercase())
            }
        }
    }

    fn create_table(&mut self, create: &CreateTable) -> Result<Prepared> {
        if create.temporary {
            return unsupported("CREATE TEMPORARY TABLE");
        }
        if create.partition_by.is_some() || create.partition_of.is_some() {
            return unsupported("a partitioned table");
        }
        if create.inherits.is_some() {
            return unsupported("INHERITS");
        }
        if create.like.is_some() {
            return unsupported("CREATE TABLE .. LIKE");
        }
        let (schema, name) = self.creation_schema(&parts(&create.name)).map_err(|e| self.at(e, &create.name))?;
        if self.catalog.named(&schema, &name).is_some() {
            if create.if_not_exists {
                self.notice("42P07", format!("relation \"{name}\" already exists, skipping"));
                return self.nothing(Kind::Nothing, Tag::Fixed("CREATE TABLE"));
            }
            return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
        }
        let mut work = Work::new(self.catalog);
        let oid = work.oid();
        let mut table = Table {
            oid,
            sqlite_name: sqlite_name(&work.catalog, &schema, &name, oid),
            schema,
            name,
            next_column: 1,
            ..Table::default()
        };
        if let Some(query) = &create.query {
            return self.create_table_as(work, table, query, &create.columns);
        }
        let mut pending = Vec::new();
        for definition in &create.columns {
            self.add_column(&mut work, &mut table, definition, &mut pending)?;
        }
        for constraint in &create.constraints {
            pending.push(pending_of(constraint)?);
        }
        self.settle_rowid(&mut table, &pending);
        self.constrain(&mut work, &mut table, pending)?;
        self.check_defaults(&table)?;
        let sql = self.table_sql(&work, &table, &table.sqlite_name.clone())?;
        work.sql.insert(0, sql);
        for index in table.indexes.clone() {
            if let Some(sql) = self.index_sql(&table, &index)? {
                work.sql.push(sql);
            }
        }
        work.put_table(&table);
        self.finish_ddl(work, "CREATE TABLE")
    }

    fn create_table_as(
        &mut self,
        mut work: Work,
        mut table: Table,
        query: &sqlparser::ast::Query,
        named: &[ColumnDef],
    ) -> Result<Prepared> {
        let (sql, outputs) = self.query(query, None, true)?;
        for (at, output) in outputs.iter().enumerate() {
            let ty = if output.typed.ty == PgType::UNKNOWN { PgType::TEXT } else { output.typed.ty };
            table.columns.push(Column {
                number: table.next_column,
                name: named.get(at).map_or_else(|| output.name.clone(), |column| fold(&column.name)),
                type_oid: ty.0,
                typmod: output.typed.typmod,
                ..Column::default()
            });
            table.next_column += 1;
        }
        let create = self.table_sql(&work, &table, &table.sqlite_name.clone())?;
        work.sql.push(create);
        work.sql.push(format!("INSERT INTO {} {sql}", quote_name(&table.sqlite_name)));
        work.put_table(&table);
        self.finish_ddl(work, "SELECT")
    }

    fn notice(&mut self, code: &'static str, message: String) {
        self.notices.push(Notice { severity: "NOTICE", code, message });
    }

    /// One integer column as primary key is SQLite's own row number.
    fn settle_rowid(&self, table: &mut Table, pending: &[Pending<'_>]) {
        for constraint in pending {
            if let Pending::Primary(_, columns, _) = constraint
                && let [column] = columns.as_slice()
                && let Some(column) = table.column(&fold(column))
                && PgType(column.type_oid).is_integer()
                && column.generated.is_none()
            {
                table.rowid = Some(column.number);
            }
        }
    }

    /// Adds a column; its constraints are put aside.
    fn add_column<'d>(
        &mut self,
        work: &mut Work,
        table: &mut Table,
        definition: &'d ColumnDef,
        pending: &mut Vec<Pending<'d>>,
    ) -> Result<()> {
        let name = fold(&definition.name);
        if table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&name)) {
            return Err(SqlError::new("42701", format!("column \"{name}\" specified more than once")));
        }
        let (ty, typmod) =
            data_type_of(&definition.data_type).map_err(|error| self.at_name(error, &definition.name))?;
        if matches!(ty, PgType::UNKNOWN | PgType::VOID | PgType::RECORD | PgType::ANYARRAY) {
            return Err(SqlError::new("42P16", format!("column \"{name}\" has pseudo-type {}", ty.sql_name())));
        }
        let mut column =
            Column { number: table.next_column, name: name.clone(), type_oid: ty.0, typmod, ..Column::default() };
        table.next_column += 1;
        let own = || vec![definition.name.clone()];
        let mut sequence: Option<Vec<SequenceOptions>> = None;
        if serial(&definition.data_type).is_some() {
            sequence = Some(Vec::new());
            column.not_null = true;
        }
        for option in &definition.options {
            let constraint_name = option.name.as_ref();
            match &option.option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Default(expr) => column.default = Some(expr.to_string()),
                ColumnOption::PrimaryKey(key) => {
                    column.not_null = true;
                    pending.push(Pending::Primary(
                        constraint_name.or(key.name.as_ref()),
                        own(),
                        characteristics(key.characteristics.as_ref()).0,
                    ));
                }
                ColumnOption::Unique(unique) => {
                    pending.push(Pending::Unique(
                        constraint_name.or(unique.name.as_ref()),
                        own(),
                        characteristics(unique.characteristics.as_ref()).0,
                    ));
                }
                ColumnOption::ForeignKey(key) => {
                    pending.push(Pending::Foreign(constraint_name.or(key.name.as_ref()), key, own()))
                }
                ColumnOption::Check(check) => {
                    pending.push(Pending::Check(
                        constraint_name.or(check.name.as_ref()),
                        check,
                        Some(&definition.name),
                    ));
                }
                ColumnOption::Generated { generated_as, generation_expr: Some(expr), .. } => {
                    let _ = generated_as;
                    column.generated = Some(expr.to_string());
                }
                ColumnOption::Generated { generated_as, sequence_options, generation_expr: None, .. } => {
                    if !ty.is_integer() {
                        return Err(SqlError::new(
                            "22023",
                            "identity column type must be smallint, integer, or bigint",
                        ));
                    }
                    column.identity =
                        Some(if *generated_as == GeneratedAs::Always { Identity::Always } else { Identity::ByDefault });
                    column.not_null = true;
                    sequence = Some(sequence_options.clone().unwrap_or_default());
                }
                ColumnOption::Collation(name) => {
                    let name = parts(name).pop().unwrap_or_default();
                    if !matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
                        return unsupported(&format!("collation \"{name}\""));
                    }
                }
                ColumnOption::Comment(_) | ColumnOption::Options(_) => {}
                other => return unsupported(&format!("the column option {other}")),
            }
        }
        if let Some(options) = sequence {
            let sequence_oid = work.oid();
            let schema = table.schema.clone();
            let free = work.free_name(&schema, &format!("{}_{name}_seq", table.name));
            let mut made = sequence_of(sequence_oid, &schema, &free, ty, &options)?;
            made.owner = Some((table.oid, column.number));
            work.create_sequence(&made);
            column.sequence = Some(sequence_oid);
        }
        table.columns.push(column);
        Ok(())
    }

    fn check_defaults(&mut self, table: &Table) -> Result<()> {
        for column in &table.columns {
            self.default_of(column)?;
        }
        Ok(())
    }

    fn numbers(&self, table: &Table, columns: &[Ident]) -> Result<Vec<i16>> {
        let mut numbers = Vec::new();
        for ident in columns {
            let name = fold(ident);
            let column = table.column(&name).ok_or_else(|| {
                self.at_name(SqlError::new("42703", format!("column \"{name}\" named in key does not exist")), ident)
            })?;
            if numbers.contains(&column.number) {
                return Err(SqlError::new("42701", format!("column \"{name}\" appears twice in a key")));
            }
            numbers.push(column.number);
        }
        Ok(numbers)
    }

    /// Adds constraints to a table whose columns are complete. A table that refers to itself sees its keys.
    fn constrain(&mut self, work: &mut Work, table: &mut Table, mut pending: Vec<Pending<'_>>) -> Result<()> {
        pending.sort_by_key(|constraint| match constraint {
            Pending::Primary(..) => 0,
            Pending::Unique(..) => 1,
            Pending::Check(..) => 2,
            Pending::Foreign(..) => 3,
        });
        for constraint in pending {
            let joined = |columns: &[Ident]| columns.iter().map(fold).collect::<Vec<_>>().join("_");
            match constraint {
                Pending::Primary(name, columns, deferrable) => {
                    let name =
                        name.map_or_else(|| work.free_name(&table.schema, &format!("{}_pkey", table.name)), fold);
                    let numbers = self.numbers(table, &columns)?;
                    for column in &mut table.columns {
                        column.not_null |= numbers.contains(&column.number);
                    }
                    self.constraint_index(work, table, name, ConstraintKind::Primary, numbers, deferrable)?;
                }
                Pending::Unique(name, columns, deferrable) => {
                    let base = format!("{}_{}_key", table.name, joined(&columns));
                    let mut free = work.free_name(&table.schema, &base);
                    while table.indexes.iter().any(|index| index.name == free) {
                        free += "1";
                    }
                    let name = name.map_or(free, fold);
                    let numbers = self.numbers(table, &columns)?;
                    self.constraint_index(work, table, name, ConstraintKind::Unique, numbers, deferrable)?;
                }
                Pending::Check(name, check, column) => {
                    let numbers = columns_named(&check.expr, table);
                    let base = match (column, numbers.as_slice()) {
                        (_, [one]) => {
                            let column = table.column_numbered(*one).map_or("", |c| c.name.as_str());
                            format!("{}_{column}_check", table.name)
                        }
                        _ => format!("{}_check", table.name),
                    };
                    let name = name.map_or_else(|| free_constraint(table, &base), fold);
                    refuse_twice(table, &name)?;
                    let text = self.kept_expression(&check.expr, table, "check constraints")?;
                    self.check_sql(table, &text)?;
                    let oid = work.oid();
                    table.constraints.push(Constraint {
                        oid,
                        name,
                        kind: ConstraintKind::Check(text),
                        columns: numbers,
                        index: None,
                        deferrable: false,
                        deferred: false,
                    });
                }
                Pending::Foreign(name, key, columns) => {
                    let base = format!("{}_{}_fkey", table.name, joined(&columns));
                    let name = name.map_or_else(|| free_constraint(table, &base), fold);
                    refuse_twice(table, &name)?;
                    let constraint = self.foreign_key(work, table, name, key, &columns)?;
                    table.constraints.push(constraint);
                }
            }
        }
        Ok(())
    }

    fn foreign_key(
        &mut self,
        work: &mut Work,
        table: &Table,
        name: String,
        key: &ForeignKeyConstraint,
        columns: &[Ident],
    ) -> Result<Constraint> {
        let (schema, parent_name) = self.qualified(&parts(&key.foreign_table))?;
        let own = parent_name == table.name && schema.as_ref().is_none_or(|schema| *schema == table.schema);
        let parent: Arc<Table> = if own { Arc::new(table.clone()) } else { self.user_table(&key.foreign_table)? };
        let numbers = self.numbers(table, columns)?;
        let referred = if key.referred_columns.is_empty() {
            parent.primary_key().map(<[i16]>::to_vec).ok_or_else(|| {
                SqlError::new("42704", format!("there is no primary key for referenced table \"{}\"", parent.name))
            })?
        } else {
            let mut numbers = Vec::new();
            for ident in &key.referred_columns {
                let column = parent.column(&fold(ident)).ok_or_else(|| {
                    SqlError::new(
                        "42703",
                        format!("column \"{}\" referenced in foreign key constraint does not exist", fold(ident)),
                    )
                })?;
                numbers.push(column.number);
            }
            numbers
        };
        if referred.len() != numbers.len() {
            return Err(SqlError::new(
                "42830",
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let unique = parent.constraints.iter().any(|c| c.index.is_some() && same_set(&c.columns, &referred))
            || parent.indexes.iter().any(|i| {
                i.unique
                    && i.predicate.is_none()
                    && i.keys.len() == referred.len()
                    && i.keys.iter().all(|k| k.column.is_some_and(|n| referred.contains(&n)))
            });
        if !unique {
            return Err(SqlError::new(
                "42830",
                format!("there is no unique constraint matching given keys for referenced table \"{}\"", parent.name),
            ));
        }
        for (number, other) in numbers.iter().zip(&referred) {
            let (a, b) = (table.column_numbered(*number), parent.column_numbered(*other));
            if let (Some(a), Some(b)) = (a, b) {
                let (x, y) = (PgType(a.type_oid), PgType(b.type_oid));
                let fits = x == y || x.is_integer() && y.is_integer() || x.is_text() && y.is_text();
                let same_scale = x != PgType::NUMERIC || a.typmod == b.typmod;
                if !fits || !same_scale {
                    return Err(SqlError::new(
                        "42804",
                        format!("foreign key constraint \"{name}\" cannot be implemented"),
                    )
                    .with_detail(format!(
                        "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                        a.name,
                        b.name,
                        x.format(a.typmod),
                        y.format(b.typmod)
                    )));
                }
            }
        }
        if key
            .match_kind
            .as_ref()
            .is_some_and(|kind| kind.to_string().to_uppercase().contains("FULL") && numbers.len() > 1)
        {
            return unsupported("MATCH FULL");
        }
        let (deferrable, deferred) = characteristics(key.characteristics.as_ref());
        Ok(Constraint {
            oid: work.oid(),
            name,
            kind: ConstraintKind::Foreign {
                table: parent.oid,
                columns: referred,
                on_update: action(key.on_update),
                on_delete: action(key.on_delete),
            },
            columns: numbers,
            index: None,
            deferrable,
            deferred,
        })
    }

    fn create_index(&mut self, create: &CreateIndex) -> Result<Prepared> {
        let table = self.user_table(&create.table_name)?;
        if create.nulls_distinct == Some(false) {
            return unsupported("NULLS NOT DISTINCT");
        }
        let mut work = Work::new(self.catalog);
        let mut table = Table::clone(&table);
        let mut keys = Vec::new();
        let mut words = Vec::new();
        for column in &create.columns {
            let options = &column.column.options;
            let descending = matches!(options.sort, Some(sqlparser::ast::OrderBySort::Desc));
            let operator_class = column.operator_class.as_ref().and_then(|name| parts(name).pop());
            let expr = match &column.column.expr {
                Expr::Nested(inner) => inner.as_ref(),
                other => other,
            };
            let key = match expr {
                Expr::Identifier(ident) => {
                    let name = fold(ident);
                    let found = table.column(&name).ok_or_else(|| {
                        self.at_name(SqlError::new("42703", format!("column \"{name}\" does not exist")), ident)
                    })?;
                    words.push(name);
                    IndexKey { column: Some(found.number), expression: None, descending, operator_class }
                }
                expr => {
                    words.push(match super::select::column_name(expr) {
                        name if name == "?column?" => "expr".into(),
                        name => name,
                    });
                    let text = self.kept_expression(expr, &table, "index expressions")?;
                    IndexKey { column: None, expression: Some(text), descending, operator_class }
                }
            };
            keys.push(key);
        }
        let name = match &create.name {
            Some(name) => parts(name).pop().unwrap_or_default(),
            None => work.free_name(&table.schema, &format!("{}_{}_idx", table.name, words.join("_"))),
        };
        if work.catalog.named(&table.schema, &name).is_some() {
            if create.if_not_exists {
                self.notice("42P07", format!("relation \"{name}\" already exists, skipping"));
                return self.nothing(Kind::Nothing, Tag::Fixed("CREATE INDEX"));
            }
            return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
        }
        let predicate =
            create.predicate.as_ref().map(|expr| self.kept_expression(expr, &table, "index predicates")).transpose()?;
        let method = match &create.using {
            None | Some(IndexType::BTree) => "btree".to_string(),
            Some(IndexType::Hash) => "hash".into(),
            Some(IndexType::Custom(name)) if fold(name) == "btree" => "btree".into(),
            Some(other) => return unsupported(&format!("index access method {other}")),
        };
        let oid = work.oid();
        let index = Index {
            oid,
            sqlite_name: Some(sqlite_name(&work.catalog, &table.schema, &name, oid)),
            name,
            unique: create.unique,
            primary: false,
            keys,
            include: self.numbers(&table, &create.include)?,
            predicate,
            method,
        };
        if let Some(sql) = self.index_sql(&table, &index)? {
            work.sql.push(sql);
        }
        table.indexes.push(index);
        work.put_table(&table);
        self.finish_ddl(work, "CREATE INDEX")
    }

    fn create_view(&mut self, create: &CreateView) -> Result<Prepared> {
        if create.materialized {
            return unsupported("CREATE MATERIALIZED VIEW");
        }
        if create.temporary {
            return unsupported("CREATE TEMPORARY VIEW");
        }
        let (schema, name) = self.creation_schema(&parts(&create.name))?;
        let existing = match self.catalog.named(&schema, &name) {
            Some(Object::View(view)) if create.or_replace => Some(view.clone()),
            Some(_) => return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists"))),
            None => None,
        };
        self.reads.clear();
        let (_, outputs) = self.query(&create.query, None, true)?;
        let mut columns = Vec::new();
        for (at, output) in outputs.iter().enumerate() {
            if output.name.contains(":dup") {
                return Err(SqlError::new(
                    "42701",
                    format!("column \"{}\" specified more than once", output.name.split(":dup").next().unwrap_or("")),
                ));
            }
            let ty = if output.typed.ty == PgType::UNKNOWN { PgType::TEXT } else { output.typed.ty };
            columns.push(Column {
                number: at as i16 + 1,
                name: create.columns.get(at).map_or_else(|| output.name.clone(), |column| fold(&column.name)),
                type_oid: ty.0,
                typmod: output.typed.typmod,
                ..Column::default()
            });
        }
        if let Some(old) = &existing {
            let kept = old.columns.iter().zip(&columns).all(|(a, b)| a.name == b.name && a.type_oid == b.type_oid);
            if old.columns.len() > columns.len() || !kept {
                return Err(SqlError::new("42P16", "cannot drop or change columns of a view with CREATE OR REPLACE"));
            }
        }
        let mut work = Work::new(self.catalog);
        let query = self.written_out(&create.query)?;
        let oid = existing.map_or_else(|| work.oid(), |view| view.oid);
        let reads = self.reads.iter().copied().collect();
        work.put_view(View { oid, schema, name, query, columns, reads, comment: None });
        self.finish_ddl(work, "CREATE VIEW")
    }

    /// The query with the `*` of its select list replaced by the columns of now.
    fn written_out(&mut self, query: &sqlparser::ast::Query) -> Result<String> {
        use sqlparser::ast::{SelectItem, SetExpr};
        let mut query = query.clone();
        let has_star = |select: &sqlparser::ast::Select| {
            select
                .projection
                .iter()
                .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
        };
        if let SetExpr::Select(select) = query.body.as_mut()
            && has_star(select)
            && query.with.is_none()
        {
            let item = self.tables_of(&select.from)?;
            let shared: Vec<String> = item.merged.iter().map(|column| column.name.clone()).collect();
            let mut projection = Vec::new();
            for old in std::mem::take(&mut select.projection) {
                let wanted = match &old {
                    SelectItem::Wildcard(_) => None,
                    SelectItem::QualifiedWildcard(
                        sqlparser::ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                        _,
                    ) => Some(parts(name).pop().unwrap_or_default()),
                    _ => {
                        projection.push(old);
                        continue;
                    }
                };
                let quoted = |name: &str| Ident::with_quote('"', name);
                if wanted.is_none() {
                    projection
                        .extend(shared.iter().map(|name| SelectItem::UnnamedExpr(Expr::Identifier(quoted(name)))));
                }
                for relation in &item.relations {
                    if wanted.as_ref().is_some_and(|wanted| *wanted != relation.alias) {
                        continue;
                    }
                    for column in relation.columns.iter().filter(|column| wanted.is_some() || !column.hidden) {
                        let names = vec![quoted(&relation.alias), quoted(&column.name)];
                        projection.push(SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)));
                    }
                }
            }
            select.projection = projection;
        }
        Ok(query.to_string())
    }

    fn create_sequence(
        &mut self,
        name: &ObjectName,
        if_not_exists: bool,
        data_type: Option<&DataType>,
        options: &[SequenceOptions],
    ) -> Result<Prepared> {
        let (schema, name) = self.creation_schema(&parts(name))?;
        if self.catalog.named(&schema, &name).is_some() {
            if if_not_exists {
                self.notice("42P07", format!("relation \"{name}\" already exists, skipping"));
                return self.nothing(Kind::Nothing, Tag::Fixed("CREATE SEQUENCE"));
            }
            return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
        }
        let ty = match data_type {
            Some(data_type) => data_type_of(data_type)?.0,
            None => PgType::INT8,
        };
        let mut work = Work::new(self.catalog);
        let oid = work.oid();
        let sequence = sequence_of(oid, &schema, &name, ty, options)?;
        work.create_sequence(&sequence);
        self.finish_ddl(work, "CREATE SEQUENCE")
    }

    fn create_schema(&mut self, name: &SchemaName, if_not_exists: bool) -> Result<Prepared> {
        let name = match name {
            SchemaName::Simple(name) | SchemaName::NamedAuthorization(name, _) => parts(name).pop().unwrap_or_default(),
            SchemaName::UnnamedAuthorization(user) => fold(user),
        };
        if name.starts_with("pg_") {
            return Err(SqlError::new("42939", format!("unacceptable schema name \"{name}\"")));
        }
        if self.catalog.schema_oid(&name).is_some() {
            if if_not_exists {
                self.notice("42P06", format!("schema \"{name}\" already exists, skipping"));
                return self.nothing(Kind::Nothing, Tag::Fixed("CREATE SCHEMA"));
            }
            return Err(SqlError::new("42P06", format!("schema \"{name}\" already exists")));
        }
        let mut work = Work::new(self.catalog);
        let oid = work.oid();
        work.change(Change::Put(Object::Schema(Arc::new(Schema { oid, name }))));
        self.finish_ddl(work, "CREATE SCHEMA")
    }

    fn comment(&mut self, kind: CommentObject, name: &ObjectName, comment: Option<String>) -> Result<Prepared> {
        let names = parts(name);
        let mut work = Work::new(self.catalog);
        match kind {
            CommentObject::Table => {
                let mut table = Table::clone(&*self.user_table_named(&names)?);
                table.comment = comment;
                work.put_table(&table);
            }
            CommentObject::Column => {
                let Some((column, table)) = names.split_last() else { return unsupported("COMMENT ON this") };
                let mut table = Table::clone(&*self.user_table_named(table)?);
                let known = table.columns.iter_mut().find(|c| c.name == *column);
                let found =
                    known.ok_or_else(|| SqlError::new("42703", format!("column \"{column}\" does not exist")))?;
                found.comment = comment;
                work.put_table(&table);
            }
            _ => {}
        }
        self.finish_ddl(work, "COMMENT")
    }

    fn drop(&mut self, kind: &ObjectType, if_exists: bool, names: &[ObjectName], cascade: bool) -> Result<Prepared> {
        let mut work = Work::new(self.catalog);
        let tag = match kind {
            ObjectType::Table => "DROP TABLE",
            ObjectType::View => "DROP VIEW",
            ObjectType::Index => "DROP INDEX",
            ObjectType::Sequence => "DROP SEQUENCE",
            ObjectType::Schema => "DROP SCHEMA",
            ObjectType::Type => "DROP TYPE",
            ObjectType::Database => {
                let name = names.first().and_then(|name| parts(name).pop()).unwrap_or_default();
                return self.finish(
                    Kind::DropDatabase { name, if_exists },
                    Vec::new(),
                    Vec::new(),
                    Tag::Fixed("DROP DATABASE"),
                    false,
                );
            }
            other => return unsupported(&format!("DROP {other}")),
        };
        let mut tables = Vec::new();
        for name in names {
            let (schema, plain) = self.qualified(&parts(name))?;
            let missing = |what: &str, code: &'static str| (format!("{what} \"{plain}\" does not exist"), code);
            let found = match &schema {
                Some(schema) => self.catalog.named(schema, &plain).cloned(),
                None => self.settings.search_path.iter().find_map(|schema| self.catalog.named(schema, &plain)).cloned(),
            };
            let lost = match (kind, found) {
                (ObjectType::Table, Some(Object::Table(table))) if table.name == plain => {
                    tables.push(table);
                    continue;
                }
                (ObjectType::View, Some(Object::View(view))) => {
                    let together: Vec<u32> = names
                        .iter()
                        .filter_map(|name| self.catalog.named(&view.schema, parts(name).last()?))
                        .map(Object::oid)
                        .collect();
                    self.drop_readers(&mut work, view.oid, cascade, &format!("view {plain}"), &together)?;
                    work.change(Change::Remove(view.oid));
                    continue;
                }
                (ObjectType::Sequence, Some(Object::Sequence(sequence))) => {
                    if let Some((table, _)) = sequence.owner.filter(|(table, _)| self.catalog.table(*table).is_some()) {
                        let table = self.catalog.table(table).map_or("", |table| &table.name);
                        return Err(SqlError::new(
                            "2BP01",
                            format!("cannot drop sequence {plain} because other objects depend on it"),
                        )
                        .with_detail(format!("A column of table {table} depends on it.")));
                    }
                    work.drop_sequence(sequence.oid);
                    continue;
                }
                (ObjectType::Index, Some(Object::Table(table))) if table.name != plain => {
                    self.drop_index(&mut work, table.oid, &plain)?;
                    continue;
                }
                (ObjectType::Schema, _) => match self
                    .catalog
                    .objects()
                    .find(|o| matches!(o, Object::Schema(s) if s.name == plain))
                {
                    Some(schema) => {
                        if self.catalog.objects().any(|o| !matches!(o, Object::Schema(_)) && o.full_name().0 == plain) {
                            return Err(SqlError::new(
                                "2BP01",
                                format!("cannot drop schema {plain} because other objects depend on it"),
                            ));
                        }
                        work.change(Change::Remove(schema.oid()));
                        continue;
                    }
                    None => missing("schema", "3F000"),
                },
                (ObjectType::Type, _) => missing("type", "42704"),
                (_, Some(_)) => {
                    return Err(SqlError::new("42809", format!("\"{plain}\" is not a {}", tag[5..].to_lowercase())));
                }
                (ObjectType::Table, None) => missing("table", "42P01"),
                (ObjectType::View, None) => missing("view", "42P01"),
                (ObjectType::Sequence, None) => missing("sequence", "42P01"),
                (ObjectType::Index, None) => missing("index", "42704"),
                _ => missing("object", "42704"),
            };
            if super::names::hidden_name(&plain) {
                return Err(SqlError::new("42501", format!("permission denied for table {plain}")));
            }
            if !if_exists {
                return Err(self.at(SqlError::new(lost.1, lost.0), name))
                    .map_err(|error| SqlError { position: None, ..error });
            }
            self.notice("00000", format!("{}, skipping", lost.0));
        }
        self.drop_tables(&mut work, tables, cascade)?;
        self.finish_ddl(work, tag)
    }

    fn depends(what: &str, detail: String) -> SqlError {
        SqlError::new("2BP01", format!("cannot drop {what} because other objects depend on it"))
            .with_detail(detail)
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
    }

    fn drop_readers(&mut self, work: &mut Work, oid: u32, cascade: bool, what: &str, dropped: &[u32]) -> Result<()> {
        let views: Vec<Arc<View>> =
            work.catalog.views_reading(oid).filter(|view| !dropped.contains(&view.oid)).cloned().collect();
        for view in views {
            if !cascade {
                return Err(Self::depends(what, format!("view {} depends on {what}", view.name)));
            }
            self.notice("00000", format!("drop cascades to view {}", view.name));
            self.drop_readers(work, view.oid, true, what, dropped)?;
            work.change(Change::Remove(view.oid));
        }
        Ok(())
    }

    fn drop_tables(&mut self, work: &mut Work, tables: Vec<Arc<Table>>, cascade: bool) -> Result<()> {
        let dropped: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        for table in &tables {
            let what = format!("table {}", table.name);
            self.drop_readers(work, table.oid, cascade, &what, &dropped)?;
            let referring: Vec<(Arc<Table>, Constraint)> = work
                .catalog
                .referring_to(table.oid)
                .filter(|(other, _)| !dropped.contains(&other.oid))
                .map(|(other, constraint)| (other.clone(), constraint.clone()))
                .collect();
            for (other, constraint) in referring {
                let detail = format!("constraint {} on table {} depends on {what}", constraint.name, other.name);
                if !cascade {
                    return Err(Self::depends(&what, detail));
                }
                self.notice(
                    "00000",
                    format!("drop cascades to constraint {} on table {}", constraint.name, other.name),
                );
                // As it is by now: another of the tables may have been taken from it already.
                let now = work.catalog.table(other.oid).cloned().unwrap_or(other);
                let mut without = Table::clone(&now);
                without.constraints.retain(|c| c.oid != constraint.oid);
                let columns = Self::same_columns(&now, &without);
                self.rebuild(work, &now, &without, &columns)?;
            }
        }
        for table in super::dml::children_first(tables) {
            work.sql.push(format!("DROP TABLE {}", quote_name(&table.sqlite_name)));
            for oid in table.columns.iter().filter_map(|column| column.sequence) {
                work.drop_sequence(oid);
            }
            work.change(Change::Remove(table.oid));
        }
        Ok(())
    }

    fn drop_index(&mut self, work: &mut Work, table: u32, name: &str) -> Result<()> {
        let Some(table) = work.catalog.table(table).cloned() else { return unsupported("DROP INDEX of this") };
        let mut table = Table::clone(&table);
        let Some(at) = table.indexes.iter().position(|index| index.name == name) else {
            return unsupported("DROP INDEX of this");
        };
        let index = table.indexes.remove(at);
        if let Some(constraint) = table.constraints.iter().find(|c| c.index == Some(index.oid)) {
            return Err(SqlError::new(
                "2BP01",
                format!(
                    "cannot drop index {name} because constraint {} on table {} requires it",
                    constraint.name, table.name
                ),
            )
            .with_hint(format!("You can drop constraint {} on table {} instead.", constraint.name, table.name)));
        }
        if let Some(sqlite_name) = &index.sqlite_name {
            work.sql.push(format!("DROP INDEX {}", quote_name(sqlite_name)));
        }
        work.put_table(&table);
        Ok(())
    }

    fn rename_index(&mut self, name: &ObjectName, new_name: &ObjectName) -> Result<Prepared> {
        let (schema, plain) = self.qualified(&parts(name))?;
        let new_name = parts(new_name).pop().unwrap_or_default();
        let schema = schema.unwrap_or_else(|| crate::catalog::PUBLIC.into());
        let Some((table, index)) = self.catalog.index(&schema, &plain) else {
            return Err(SqlError::new("42P01", format!("relation \"{plain}\" does not exist")));
        };
        if self.catalog.named(&schema, &new_name).is_some() {
            return Err(SqlError::new("42P07", format!("relation \"{new_name}\" already exists")));
        }
        let (mut table, oid) = (Table::clone(table), index.oid);
        let mut work = Work::new(self.catalog);
        for index in table.indexes.iter_mut().filter(|index| index.oid == oid) {
            // The name in SQLite stays: nobody sees it.
            index.name.clone_from(&new_name);
        }
        for constraint in table.constraints.iter_mut().filter(|c| c.index == Some(oid)) {
            constraint.name.clone_from(&new_name);
        }
        work.put_table(&table);
        self.finish_ddl(work, "ALTER INDEX")
    }

    fn alter_table(&mut self, alter: &AlterTable) -> Result<Prepared> {
        let names = parts(&alter.name);
        let (schema, plain) = self.qualified(&names)?;
        let schema = schema.unwrap_or_else(|| {
            let holds = |schema: &&String| self.catalog.named(schema, &plain).is_some();
            self.settings.search_path.iter().find(holds).cloned().unwrap_or_else(|| crate::catalog::PUBLIC.into())
        });
        // psql and others say ALTER TABLE of views, sequences and indexes, too.
        if let Some(Object::View(_) | Object::Sequence(_)) = self.catalog.named(&schema, &plain) {
            return match alter.operations.as_slice() {
                [AlterTableOperation::OwnerTo { .. }] => self.nothing(Kind::Nothing, Tag::Fixed("ALTER TABLE")),
                _ => unsupported("ALTER TABLE of this"),
            };
        }
        if alter.if_exists && self.catalog.named(&schema, &plain).is_none() {
            self.notice("00000", format!("relation \"{plain}\" does not exist, skipping"));
            return self.nothing(Kind::Nothing, Tag::Fixed("ALTER TABLE"));
        }
        let oid = self.user_table(&alter.name)?.oid;
        let mut work = Work::new(self.catalog);
        for operation in &alter.operations {
            let Some(table) = work.catalog.table(oid).cloned() else { return unsupported("ALTER TABLE of this") };
            self.alter(&mut work, &table, operation)?;
        }
        self.finish_ddl(work, "ALTER TABLE")
    }

    fn no_view_reads(&self, work: &Work, table: &Table, what: &str) -> Result<()> {
        match work.catalog.views_reading(table.oid).next() {
            None => Ok(()),
            Some(view) => {
                unsupported(&format!("{what} of table \"{}\", which view \"{}\" reads,", table.name, view.name))
            }
        }
    }

    fn alter(&mut self, work: &mut Work, old: &Table, operation: &AlterTableOperation) -> Result<()> {
        let mut new = old.clone();
        let name = quote_name(&old.sqlite_name);
        match operation {
            AlterTableOperation::OwnerTo { .. }
            | AlterTableOperation::SetLogged
            | AlterTableOperation::SetUnlogged
            | AlterTableOperation::SetOptionsParens { .. }
            | AlterTableOperation::ReplicaIdentity { .. }
            | AlterTableOperation::ValidateConstraint { .. } => Ok(()),
            AlterTableOperation::AddConstraint { constraint, .. } => {
                let pending = pending_of(constraint)?;
                self.add_constraint(work, old, new, pending)
            }
            AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
                let column = fold(&column_def.name);
                if old.column(&column).is_some() {
                    if *if_not_exists {
                        self.notice(
                            "42701",
                            format!("column \"{column}\" of relation \"{}\" already exists, skipping", old.name),
                        );
                        return Ok(());
                    }
                    return Err(SqlError::new(
                        "42701",
                        format!("column \"{column}\" of relation \"{}\" already exists", old.name),
                    ));
                }
                self.alter_add_column(work, old, new, column_def)
            }
            AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                for ident in column_names {
                    let Some(now) = work.catalog.table(old.oid).cloned() else { return Ok(()) };
                    self.drop_column(
                        work,
                        &now,
                        &fold(ident),
                        *if_exists,
                        *drop_behavior == Some(DropBehavior::Cascade),
                    )?;
                }
                Ok(())
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                self.no_view_reads(work, old, "renaming a column")?;
                let (before, after) = (fold(old_column_name), fold(new_column_name));
                if new.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&after)) {
                    return Err(SqlError::new(
                        "42701",
                        format!("column \"{after}\" of relation \"{}\" already exists", old.name),
                    ));
                }
                let column = new.columns.iter_mut().find(|column| column.name == before);
                let column =
                    column.ok_or_else(|| SqlError::new("42703", format!("column \"{before}\" does not exist")))?;
                column.name.clone_from(&after);
                for text in expressions(&mut new) {
                    *text = rename_in(text, &before, &after)?;
                }
                work.sql.push(format!(
                    "ALTER TABLE {name} RENAME COLUMN {} TO {}",
                    quote_name(&before),
                    quote_name(&after)
                ));
                work.put_table(&new);
                Ok(())
            }
            AlterTableOperation::RenameTable { table_name } => {
                self.no_view_reads(work, old, "renaming")?;
                let (RenameTableNameKind::As(to) | RenameTableNameKind::To(to)) = table_name;
                let to = parts(to).pop().unwrap_or_default();
                self.creation_schema(&[old.schema.clone(), to.clone()])?;
                if work.catalog.named(&old.schema, &to).is_some() {
                    return Err(SqlError::new("42P07", format!("relation \"{to}\" already exists")));
                }
                new.sqlite_name = sqlite_name(&work.catalog, &old.schema, &to, old.oid);
                new.name = to;
                work.sql.push(format!("ALTER TABLE {name} RENAME TO {}", quote_name(&new.sqlite_name)));
                work.put_table(&new);
                Ok(())
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => {
                let (before, after) = (fold(old_name), fold(new_name));
                let checked = {
                    let constraint = new.constraints.iter_mut().find(|c| c.name == before).ok_or_else(|| {
                        SqlError::new(
                            "42704",
                            format!("constraint \"{before}\" for table \"{}\" does not exist", old.name),
                        )
                    })?;
                    constraint.name.clone_from(&after);
                    let index = constraint.index;
                    for index in new.indexes.iter_mut().filter(|i| Some(i.oid) == index) {
                        index.name.clone_from(&after);
                    }
                    index.is_none()
                };
                // The name is part of SQLite's table for those that it checks itself.
                if checked {
                    let columns = Self::same_columns(old, &new);
                    return self.rebuild(work, old, &new, &columns);
                }
                work.put_table(&new);
                Ok(())
            }
            AlterTableOperation::DropConstraint { if_exists, name, drop_behavior } => {
                self.drop_constraint(work, old, &fold(name), *if_exists, *drop_behavior == Some(DropBehavior::Cascade))
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(work, old, &fold(column_name), op)
            }
            AlterTableOperation::EnableRowLevelSecurity | AlterTableOperation::ForceRowLevelSecurity => {
                unsupported("row level security")
            }
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                unsupported(&format!("ALTER TABLE {}", words.join(" ").to_uppercase()))
            }
        }
    }

    fn add_constraint(&mut self, work: &mut Work, old: &Table, mut new: Table, pending: Pending<'_>) -> Result<()> {
        let referred = work.catalog.referring_to(old.oid).next().is_some();
        let primary_columns = match &pending {
            Pending::Primary(_, columns, _) => Some(self.numbers(old, columns)?),
            _ => None,
        };
        let needs_rebuild = match &pending {
            // The rowid cannot become another column later; without it an index serves.
            Pending::Primary(..) => {
                let columns = primary_columns.as_deref().unwrap_or(&[]);
                let single = matches!(columns, [one] if old.column_numbered(*one).is_some_and(|c| PgType(c.type_oid).is_integer() && c.generated.is_none()));
                if single && !referred {
                    new.rowid = columns.first().copied();
                }
                let strict = columns.iter().any(|n| old.column_numbered(*n).is_some_and(|c| !c.not_null));
                new.rowid.is_some() && old.rowid != new.rowid || strict
            }
            Pending::Unique(..) => false,
            Pending::Foreign(..) | Pending::Check(..) => true,
        };
        self.constrain(work, &mut new, vec![pending])?;
        if needs_rebuild {
            let columns = Self::same_columns(old, &new);
            return self.rebuild(work, old, &new, &columns);
        }
        if let Some(index) = new.indexes.last().cloned()
            && let Some(sql) = self.index_sql(&new, &index)?
        {
            work.sql.push(sql);
        }
        work.put_table(&new);
        Ok(())
    }

    fn alter_add_column(&mut self, work: &mut Work, old: &Table, mut new: Table, definition: &ColumnDef) -> Result<()> {
        let mut pending = Vec::new();
        self.add_column(work, &mut new, definition, &mut pending)?;
        let keyed = !pending.is_empty();
        let primary = pending.iter().any(|p| matches!(p, Pending::Primary(..)));
        self.constrain(work, &mut new, pending)?;
        let Some(column) = new.columns.last().cloned() else { return Ok(()) };
        let default = self.default_of(&column)?;
        let constant = default.value().is_some();
        let range_checked = matches!(PgType(column.type_oid), PgType::INT2 | PgType::INT4);
        let simple =
            constant && !keyed && !primary && column.generated.is_none() && (!column.not_null || !default.nullable);
        if simple {
            let mut sql =
                format!("ALTER TABLE {} ADD COLUMN {}", quote_name(&old.sqlite_name), self.column_sql(&new, &column)?);
            if !default.is_null_literal() {
                sql += &format!(" DEFAULT {}", default.sql);
            }
            if range_checked && let Some((low, high)) = super::typed::type_range(PgType(column.type_oid)) {
                let name = quote_name(&column.name);
                let ty = PgType(column.type_oid).name();
                sql += &format!(" CONSTRAINT evesql_{ty} CHECK ({name} BETWEEN {low} AND {high})");
            }
            work.sql.push(sql);
            work.put_table(&new);
            return Ok(());
        }
        let mut values = Self::same_columns(old, &new);
        if column.generated.is_none() {
            values.push((column.name.clone(), default.sql));
        }
        self.rebuild(work, old, &new, &values)
    }

    fn drop_column(&mut self, work: &mut Work, old: &Table, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let Some(column) = old.column(name).cloned() else {
            if if_exists {
                self.notice(
                    "00000",
                    format!("column \"{name}\" of relation \"{}\" does not exist, skipping", old.name),
                );
                return Ok(());
            }
            return Err(SqlError::new(
                "42703",
                format!("column \"{name}\" of relation \"{}\" does not exist", old.name),
            ));
        };
        self.no_view_reads(work, old, "dropping a column")?;
        let uses = |constraint: &Constraint| constraint.columns.contains(&column.number);
        let what = format!("column {name} of table {}", old.name);
        for (other, constraint) in work.catalog.referring_to(old.oid) {
            if let ConstraintKind::Foreign { columns, .. } = &constraint.kind
                && columns.contains(&column.number)
            {
                let detail = format!("constraint {} on table {} depends on {what}", constraint.name, other.name);
                return if cascade {
                    unsupported("dropping a column that a foreign key refers to")
                } else {
                    Err(Self::depends(&what, detail))
                };
            }
        }
        let mut new = old.clone();
        new.columns.retain(|c| c.number != column.number);
        if new.columns.is_empty() {
            return unsupported("a table without columns");
        }
        let constrained = new.constraints.iter().any(|c| uses(c) && c.index.is_none());
        new.constraints.retain(|c| !uses(c));
        if new.rowid == Some(column.number) {
            new.rowid = None;
        }
        let mut dropped_indexes = Vec::new();
        new.indexes.retain(|index| {
            let by_expression =
                |text: &Option<String>| text.as_ref().is_some_and(|text| mentions(text, old, column.number));
            let hit = index.keys.iter().any(|key| key.column == Some(column.number) || by_expression(&key.expression))
                || index.include.contains(&column.number)
                || by_expression(&index.predicate);
            if hit {
                dropped_indexes.push(index.clone());
            }
            !hit
        });
        if let Some(sequence) = column.sequence {
            work.drop_sequence(sequence);
        }
        // SQLite drops a plain column itself; one with a range check, a key or a constraint needs a new table.
        let plain =
            !constrained && old.rowid == new.rowid && !matches!(PgType(column.type_oid), PgType::INT2 | PgType::INT4);
        if !plain {
            let columns = Self::same_columns(old, &new);
            return self.rebuild(work, old, &new, &columns);
        }
        for index in &dropped_indexes {
            if let Some(sqlite_name) = &index.sqlite_name {
                work.sql.push(format!("DROP INDEX {}", quote_name(sqlite_name)));
            }
        }
        work.sql.push(format!("ALTER TABLE {} DROP COLUMN {}", quote_name(&old.sqlite_name), quote_name(name)));
        work.put_table(&new);
        Ok(())
    }

    fn drop_constraint(
        &mut self,
        work: &mut Work,
        old: &Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let mut new = old.clone();
        let Some(at) = new.constraints.iter().position(|c| c.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", old.name);
            if if_exists {
                self.notice("00000", format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new("42704", message));
        };
        let constraint = new.constraints.remove(at);
        let Some(index) = constraint.index else {
            let columns = Self::same_columns(old, &new);
            return self.rebuild(work, old, &new, &columns);
        };
        let refers = work.catalog.referring_to(old.oid).find(|(_, c)| {
            matches!(&c.kind, ConstraintKind::Foreign { columns, .. } if same_set(columns, &constraint.columns))
        });
        if let Some((other, foreign)) = refers {
            let detail = format!("constraint {} on table {} depends on index {name}", foreign.name, other.name);
            return if cascade {
                unsupported("DROP CONSTRAINT .. CASCADE")
            } else {
                Err(Self::depends(&format!("constraint {name} on table {}", old.name), detail))
            };
        }
        let dropped = new.indexes.iter().position(|i| i.oid == index).map(|at| new.indexes.remove(at));
        match dropped.and_then(|index| index.sqlite_name) {
            Some(sqlite_name) => {
                work.sql.push(format!("DROP INDEX {}", quote_name(&sqlite_name)));
                work.put_table(&new);
                Ok(())
            }
            None => {
                new.rowid = None;
                let columns = Self::same_columns(old, &new);
                self.rebuild(work, old, &new, &columns)
            }
        }
    }

    fn alter_column(&mut self, work: &mut Work, old: &Table, name: &str, op: &AlterColumnOperation) -> Result<()> {
        let mut new = old.clone();
        let Some(at) = new.columns.iter().position(|column| column.name == name) else {
            return Err(SqlError::new(
                "42703",
                format!("column \"{name}\" of relation \"{}\" does not exist", old.name),
            ));
        };
        match op {
            AlterColumnOperation::SetDefault { value } => {
                new.columns[at].default = Some(value.to_string());
                self.default_of(&new.columns[at])?;
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::DropDefault => {
                new.columns[at].default = None;
                if new.columns[at].identity.is_none() {
                    new.columns[at].sequence = None;
                }
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::SetNotNull if old.columns[at].not_null => Ok(()),
            AlterColumnOperation::SetNotNull => {
                new.columns[at].not_null = true;
                work.sql.push(super::table_ddl::null_guard(old, name, &quote_name(name)));
                work.sql.push(format!(
                    "ALTER TABLE {} ALTER COLUMN {} SET NOT NULL",
                    quote_name(&old.sqlite_name),
                    quote_name(name)
                ));
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::DropNotNull if !old.columns[at].not_null => Ok(()),
            AlterColumnOperation::DropNotNull => {
                let number = old.columns[at].number;
                if old.primary_key().is_some_and(|key| key.contains(&number)) {
                    return Err(SqlError::new("42P16", format!("column \"{name}\" is in a primary key")));
                }
                new.columns[at].not_null = false;
                work.sql.push(format!(
                    "ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                    quote_name(&old.sqlite_name),
                    quote_name(name)
                ));
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                self.no_view_reads(work, old, "changing a column's type")?;
                let (ty, typmod) = data_type_of(data_type)?;
                let before = old.columns[at].clone();
                new.columns[at].type_oid = ty.0;
                new.columns[at].typmod = typmod;
                let column = new.columns[at].clone();
                let own = Expr::Identifier(Ident::with_quote('"', name));
                let source = using.clone().unwrap_or(own);
                let typed = self.table_expression(&source, old, "transform expressions")?;
                let typed = match using {
                    Some(_) => self.coerce(typed, ty, typmod, super::coerce::Context::Assignment),
                    None => self.coerce(typed, ty, typmod, super::coerce::Context::Assignment),
                }
                .map_err(|error| match error.code() {
                    "42846" => SqlError::new(
                        "42804",
                        format!("column \"{name}\" cannot be cast automatically to type {}", ty.sql_name()),
                    )
                    .with_hint(format!("You might need to specify \"USING {name}::{}\".", ty.sql_name())),
                    _ => error,
                })?
                .settled();
                // Wider text needs no new table: SQLite keeps both alike.
                let text = |ty: PgType| matches!(ty, PgType::TEXT | PgType::VARCHAR);
                let wider = text(PgType(before.type_oid))
                    && text(ty)
                    && using.is_none()
                    && (typmod < 0 || (before.typmod >= 0 && typmod >= before.typmod));
                if wider {
                    work.put_table(&new);
                    return Ok(());
                }
                if let Some(sequence) = column.sequence.filter(|_| !ty.is_integer()) {
                    let _ = sequence;
                    return unsupported("changing the type of a serial column to this");
                }
                if new.rowid == Some(column.number) && !ty.is_integer() {
                    return unsupported("changing the type of an integer primary key to this");
                }
                let values = Self::same_columns(old, &new)
                    .into_iter()
                    .map(|(column, sql)| if column == name { (column, typed.sql.clone()) } else { (column, sql) })
                    .collect::<Vec<_>>();
                // Two integer types differ in the check alone, and that is part of the table.
                self.rebuild(work, old, &new, &values)
            }
            AlterColumnOperation::AddGenerated { generated_as, sequence_options } => {
                let ty = PgType(new.columns[at].type_oid);
                let oid = work.oid();
                let schema = old.schema.clone();
                let free = work.free_name(&schema, &format!("{}_{name}_seq", old.name));
                let mut sequence = sequence_of(oid, &schema, &free, ty, sequence_options.as_deref().unwrap_or(&[]))?;
                sequence.owner = Some((old.oid, new.columns[at].number));
                work.create_sequence(&sequence);
                let always = matches!(generated_as, Some(GeneratedAs::Always));
                new.columns[at].identity = Some(if always { Identity::Always } else { Identity::ByDefault });
                new.columns[at].sequence = Some(oid);
                work.put_table(&new);
                Ok(())
            }
        }
    }

    /// Value of an option of a sequence.
    pub(super) fn constant_integer(expr: &Expr) -> Result<i64> {
        let text = expr.to_string().replace(' ', "");
        text.parse().map_err(|_| SqlError::new("22023", format!("invalid sequence option value {text}")))
    }
}

fn sequence_of(oid: u32, schema: &str, name: &str, ty: PgType, options: &[SequenceOptions]) -> Result<Sequence> {
    let (low, high) = super::typed::type_range(ty)
        .filter(|_| ty.is_integer())
        .ok_or_else(|| SqlError::new("22023", "sequence type must be smallint, integer, or bigint"))?;
    let mut increment = 1;
    let (mut minimum, mut maximum, mut start, mut cycle) = (None, None, None, false);
    for option in options {
        match option {
            SequenceOptions::IncrementBy(expr, _) => increment = Translator::constant_integer(expr)?,
            SequenceOptions::MinValue(expr) => minimum = expr.as_ref().map(Translator::constant_integer).transpose()?,
            SequenceOptions::MaxValue(expr) => maximum = expr.as_ref().map(Translator::constant_integer).transpose()?,
            SequenceOptions::StartWith(expr, _) => start = Some(Translator::constant_integer(expr)?),
            SequenceOptions::Cache(_) => {}
            // The parser's flag says NO.
            SequenceOptions::Cycle(no) => cycle = !no,
        }
    }
    if increment == 0 {
        return Err(SqlError::new("22023", "INCREMENT must not be zero"));
    }
    let minimum = minimum.unwrap_or(if increment > 0 { 1 } else { low as i64 });
    let maximum = maximum.unwrap_or(if increment > 0 { high as i64 } else { -1 });
    let start = start.unwrap_or(if increment > 0 { minimum } else { maximum });
    if minimum >= maximum {
        return Err(SqlError::new("22023", format!("MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")));
    }
    if start < minimum || start > maximum {
        return Err(SqlError::new("22023", format!("START value ({start}) cannot be outside MINVALUE and MAXVALUE")));
    }
    Ok(Sequence {
        oid,
        schema: schema.to_string(),
        name: name.to_string(),
        type_oid: ty.0,
        start,
        increment,
        minimum,
        maximum,
        cycle,
        owner: None,
    })
}

fn pending_of(constraint: &TableConstraint) -> Result<Pending<'_>> {
    Ok(match constraint {
        TableConstraint::PrimaryKey(key) => Pending::Primary(
            key.name.as_ref(),
            index_columns(&key.columns)?,
            characteristics(key.characteristics.as_ref()).0,
        ),
        TableConstraint::Unique(unique) => {
            if unique.nulls_distinct == NullsDistinctOption::NotDistinct {
                return unsupported("NULLS NOT DISTINCT");
            }
            Pending::Unique(
                unique.name.as_ref(),
                index_columns(&unique.columns)?,
                characteristics(unique.characteristics.as_ref()).0,
            )
        }
        TableConstraint::ForeignKey(key) => Pending::Foreign(key.name.as_ref(), key, key.columns.clone()),
        TableConstraint::Check(check) => Pending::Check(check.name.as_ref(), check, None),
        TableConstraint::Exclude(_) => return unsupported("EXCLUDE"),
        _ => return unsupported("this table constraint"),
    })
}

fn same_set(a: &[i16], b: &[i16]) -> bool {
    a.len() == b.len() && a.iter().all(|number| b.contains(number))
}

fn free_constraint(table: &Table, base: &str) -> String {
    let taken = |name: &str| table.constraint(name).is_some();
    if !taken(base) {
        return base.to_string();
    }
    (1..).map(|n| format!("{base}{n}")).find(|name| !taken(name)).unwrap_or_default()
}

fn refuse_twice(table: &Table, name: &str) -> Result<()> {
    if table.constraint(name).is_some() {
        return Err(SqlError::new(
            "42710",
            format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
        ));
    }
    Ok(())
}

/// All expressions over a table's columns that its definition keeps.
fn expressions(table: &mut Table) -> Vec<&mut String> {
    let generated = table.columns.iter_mut().filter_map(|column| column.generated.as_mut());
    let checks = table.constraints.iter_mut().filter_map(|constraint| match &mut constraint.kind {
        ConstraintKind::Check(text) => Some(text),
        _ => None,
    });
    let indexes = table.indexes.iter_mut().flat_map(|index| {
        let keys = index.keys.iter_mut().filter_map(|key| key.expression.as_mut());
        keys.chain(index.predicate.as_mut())
    });
    generated.chain(checks).chain(indexes).collect()
}

/// An expression with a column under its new name.
fn rename_in(text: &str, before: &str, after: &str) -> Result<String> {
    use sqlparser::ast::{VisitMut, VisitorMut};
    struct Renamer<'a>(&'a str, &'a str);
    impl VisitorMut for Renamer<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
            let new = || Ident::with_quote('"', self.1);
            match expr {
                Expr::Identifier(ident) if fold(ident) == self.0 => *ident = new(),
                Expr::CompoundIdentifier(idents) => {
                    if let Some(last) = idents.last_mut().filter(|last| fold(last) == self.0) {
                        *last = new();
                    }
                }
                _ => {}
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let mut expr = crate::dialect::parse::parse_expression(text)?;
    let _ = expr.visit(&mut Renamer(before, after));
    Ok(expr.to_string())
}

fn mentions(text: &str, table: &Table, number: i16) -> bool {
    crate::dialect::parse::parse_expression(text).is_ok_and(|expr| columns_named(&expr, table).contains(&number))
}
