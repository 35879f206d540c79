//! CREATE TABLE and CREATE INDEX: columns, keys, checks and foreign keys from their definitions.

use super::names::{fold, parts};
use super::sequence_ddl::sequence_of;
use super::table_ddl::{Work, columns_named, sqlite_name};
use super::{Need, Privileges, Result, Translator, quote_name, unsupported};
use crate::catalog::{Action, Column, Constraint, ConstraintKind, Identity, Index, IndexKey, Table};
use crate::dialect::prepared::{Kind, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{
    CheckConstraint, ColumnDef, ColumnOption, ConstraintCharacteristics, CreateIndex, CreateTable, DataType,
    DeferrableInitial, Expr, ForeignKeyConstraint, GeneratedAs, Ident, IndexColumn, IndexType, NullsDistinctOption,
    ReferentialAction, SequenceOptions, TableConstraint,
};
use std::sync::Arc;

pub(super) fn action(action: Option<ReferentialAction>) -> Action {
    match action {
        None | Some(ReferentialAction::NoAction) => Action::NoAction,
        Some(ReferentialAction::Restrict) => Action::Restrict,
        Some(ReferentialAction::Cascade) => Action::Cascade,
        Some(ReferentialAction::SetNull) => Action::SetNull,
        Some(ReferentialAction::SetDefault) => Action::SetDefault,
    }
}

pub(super) fn characteristics(given: Option<&ConstraintCharacteristics>) -> (bool, bool) {
    let deferred = given.and_then(|c| c.initially).is_some_and(|i| matches!(i, DeferrableInitial::Deferred));
    (given.and_then(|c| c.deferrable).unwrap_or(deferred), deferred)
}

/// The serial type that a column is declared with.
pub(super) fn serial(data_type: &DataType) -> Option<PgType> {
    let DataType::Custom(name, _) = data_type else { return None };
    match parts(name).last()?.as_str() {
        "serial" | "serial4" => Some(PgType::INT4),
        "bigserial" | "serial8" => Some(PgType::INT8),
        "smallserial" | "serial2" => Some(PgType::INT2),
        _ => None,
    }
}

pub(super) fn index_columns(columns: &[IndexColumn]) -> Result<Vec<Ident>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            Expr::Identifier(ident) => Ok(ident.clone()),
            _ => Err(SqlError::new("42601", "a key of a constraint is a column's name")),
        })
        .collect()
}

/// A constraint that waits until all columns are known.
pub(super) enum Pending<'a> {
    Primary(Option<&'a Ident>, Vec<Ident>, bool),
    Unique(Option<&'a Ident>, Vec<Ident>, bool),
    Foreign(Option<&'a Ident>, &'a ForeignKeyConstraint, Vec<Ident>),
    Check(Option<&'a Ident>, &'a CheckConstraint, Option<&'a Ident>),
}

impl Translator<'_> {
    pub(super) fn create_table(&mut self, create: &CreateTable) -> Result<Prepared> {
        if create.partition_by.is_some() || create.partition_of.is_some() {
            return unsupported("a partitioned table");
        }
        if create.inherits.is_some() {
            return unsupported("INHERITS");
        }
        if create.like.is_some() {
            return unsupported("CREATE TABLE .. LIKE");
        }
        let mut work = Work::new(self.catalog);
        let on_commit = create.on_commit.as_ref();
        let (schema, name) = self.schema_of_new(&create.name, create.temporary, on_commit, &mut work)?;
        if create.if_not_exists && self.catalog.named(&schema, &name).is_some() {
            self.notice("42P07", format!("relation \"{name}\" already exists, skipping"));
            return self.nothing(Kind::Nothing, Tag::Fixed("CREATE TABLE"));
        }
        let mut table = self.new_table(&mut work, schema, name)?;
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

    /// A table without columns yet, of a name that is free.
    pub(super) fn new_table(&self, work: &mut Work, schema: String, name: String) -> Result<Table> {
        if self.catalog.named(&schema, &name).is_some() {
            return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
        }
        let oid = work.oid();
        let sqlite_name = sqlite_name(&work.catalog, &schema, &name, oid);
        Ok(Table { oid, sqlite_name, schema, name, next_column: 1, ..Table::default() })
    }

    pub(super) fn create_table_as(
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

    /// One integer column as primary key is SQLite's own row number.
    pub(super) fn settle_rowid(&self, table: &mut Table, pending: &[Pending<'_>]) {
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
    pub(super) fn add_column<'d>(
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
            self.data_type(&definition.data_type).map_err(|error| self.at_name(error, &definition.name))?;
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
                ColumnOption::Default(expr) => column.default = Some(self.kept_default(expr)?),
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

    pub(super) fn check_defaults(&mut self, table: &Table) -> Result<()> {
        for column in &table.columns {
            self.default_of(column)?;
        }
        Ok(())
    }

    pub(super) fn numbers(&self, table: &Table, columns: &[Ident]) -> Result<Vec<i16>> {
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
    pub(super) fn constrain(
        &mut self,
        work: &mut Work,
        table: &mut Table,
        mut pending: Vec<Pending<'_>>,
    ) -> Result<()> {
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
                        comment: None,
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

    pub(super) fn foreign_key(
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
        self.may_refer(table, &parent)?;
        if !own {
            self.need_on(parent.oid, Privileges::REFERENCES);
        }
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
            comment: None,
        })
    }

    pub(super) fn create_index(&mut self, create: &CreateIndex) -> Result<Prepared> {
        let table = self.user_table(&create.table_name)?;
        self.need(Need::Owner(table.oid));
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
                    words.push(match super::walk::column_name(expr) {
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
            comment: None,
        };
        if let Some(sql) = self.index_sql(&table, &index)? {
            work.sql.push(sql);
        }
        table.indexes.push(index);
        work.put_table(&table);
        self.finish_ddl(work, "CREATE INDEX")
    }
}

pub(super) fn pending_of(constraint: &TableConstraint) -> Result<Pending<'_>> {
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

pub(super) fn same_set(a: &[i16], b: &[i16]) -> bool {
    a.len() == b.len() && a.iter().all(|number| b.contains(number))
}

pub(super) fn free_constraint(table: &Table, base: &str) -> String {
    let taken = |name: &str| table.constraint(name).is_some();
    if !taken(base) {
        return base.to_string();
    }
    (1..).map(|n| format!("{base}{n}")).find(|name| !taken(name)).unwrap_or_default()
}

pub(super) fn refuse_twice(table: &Table, name: &str) -> Result<()> {
    if table.constraint(name).is_some() {
        return Err(SqlError::new(
            "42710",
            format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
        ));
    }
    Ok(())
}
