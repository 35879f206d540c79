//! CREATE and ALTER SEQUENCE, and the sequences of identity columns.
//!
//! Two marks tie a sequence to a column. [`Sequence::owner`] is what OWNED BY says: the sequence goes when the column goes.
//! [`Column::sequence`] says that the column draws from it. A serial column has both; so has one that is put together
//! from its parts, as pg_dump does, in whatever order they come.

use super::coerce::Context;
use super::names::parts;
use super::table_ddl::Work;
use super::{Need, Result, Translator};
use crate::catalog::definitions::nextval_of;
use crate::catalog::privileges::Access;
use crate::catalog::{Change, Column, Identity, Object, Sequence, Table};
use crate::dialect::prepared::{Kind, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::dialect::utility::{SequenceCommand, SequenceOption};
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, SequenceOptions};
use std::sync::Arc;

impl Translator<'_> {
    pub(super) fn create_sequence(
        &mut self,
        name: &ObjectName,
        if_not_exists: bool,
        data_type: Option<&DataType>,
        options: &[SequenceOptions],
        owned_by: Option<Vec<String>>,
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
            Some(data_type) => self.data_type(data_type)?.0,
            None => PgType::INT8,
        };
        let mut work = Work::new(self.catalog);
        let oid = work.oid();
        let sequence = sequence_of(oid, &schema, &name, ty, options)?;
        work.create_sequence(&sequence);
        if let Some(owner) = owned_by {
            self.own(&mut work, sequence, Some(&owner))?;
        }
        self.finish_ddl(work, "CREATE SEQUENCE")
    }

    pub(super) fn sequence_command(&mut self, command: &SequenceCommand) -> Result<Prepared> {
        match command {
            SequenceCommand::Alter { name, if_exists, options } => self.alter_sequence(name, *if_exists, options),
            SequenceCommand::RestartColumn { table, column, value } => self.restart_column(table, column, *value),
            SequenceCommand::AddIdentity { table, column, always, options } => {
                let found = self.user_table_named(table)?;
                self.need(Need::Owner(found.oid));
                let mut work = Work::new(self.catalog);
                self.add_identity(&mut work, &found, column, *always, options)?;
                self.finish_ddl(work, "ALTER TABLE")
            }
        }
    }

    fn alter_sequence(&mut self, name: &[String], if_exists: bool, options: &[SequenceOption]) -> Result<Prepared> {
        let sequence = match self.user_sequence_named(name) {
            Err(error) if if_exists && error.code() == "42P01" => {
                let plain = name.last().map_or("", String::as_str);
                self.notice("00000", format!("relation \"{plain}\" does not exist, skipping"));
                return self.nothing(Kind::Nothing, Tag::Fixed("ALTER SEQUENCE"));
            }
            found => found?,
        };
        self.need(Need::Owner(sequence.oid));
        if let [SequenceOption::Restart(value)] = options {
            return self.restart(&sequence, *value, "ALTER SEQUENCE");
        }
        let mut work = Work::new(self.catalog);
        let changed = altered(&sequence, options, false)?;
        let Sequence { oid, increment, minimum, maximum, cycle, .. } = changed;
        if changed != *sequence {
            let cycle = i32::from(cycle);
            work.sql.push(format!(
                "UPDATE evesql_sequences SET increment = {increment}, minimum = {minimum}, maximum = {maximum}, \
                 cycle = {cycle} WHERE oid = {oid}"
            ));
            work.change(Change::Put(Object::Sequence(Arc::new(changed.clone()))));
        }
        for option in options {
            match option {
                SequenceOption::Restart(value) => work.sql.push(restart_sql(&changed, *value)?),
                SequenceOption::OwnedBy(owner) => {
                    let now = work.catalog.sequence(oid).map_or_else(|| changed.clone(), |now| Sequence::clone(now));
                    self.own(&mut work, now, owner.as_deref())?;
                }
                SequenceOption::Name(_) => return Err(SqlError::new("42601", "a sequence has its name already")),
                _ => {}
            }
        }
        self.finish_ddl(work, "ALTER SEQUENCE")
    }

    fn restart_column(&mut self, table: &[String], column: &str, value: Option<i64>) -> Result<Prepared> {
        let table = self.user_table_named(table)?;
        self.need(Need::Owner(table.oid));
        let relation = &table.name;
        let found = table.column(column).ok_or_else(|| no_column(column, relation))?;
        let known = found.identity.and(found.sequence).and_then(|oid| self.catalog.sequence(oid)).cloned();
        let sequence = known.ok_or_else(|| {
            let text = format!("column \"{column}\" of relation \"{relation}\" is not an identity column");
            SqlError::new("55000", text)
        })?;
        self.restart(&sequence, value, "ALTER TABLE")
    }

    /// The number that comes next; the catalog stays as it is.
    fn restart(&mut self, sequence: &Sequence, value: Option<i64>, tag: &'static str) -> Result<Prepared> {
        let sql = restart_sql(sequence, value)?;
        self.finish(Kind::Truncate, vec![sql], Vec::new(), Tag::Fixed(tag), false)
    }

    /// Makes a column an identity column, with a sequence of its own.
    pub(super) fn add_identity(
        &mut self,
        work: &mut Work,
        old: &Table,
        name: &str,
        always: bool,
        options: &[SequenceOption],
    ) -> Result<()> {
        let mut table = old.clone();
        let relation = &old.name;
        let column = table.columns.iter_mut().find(|column| column.name == name);
        let column = column.ok_or_else(|| no_column(name, relation))?;
        let wrong =
            |code, what: &str| SqlError::new(code, format!("column \"{name}\" of relation \"{relation}\" {what}"));
        let ty = PgType(column.type_oid);
        if !ty.is_integer() {
            return Err(SqlError::new("22023", "identity column type must be smallint, integer, or bigint"));
        }
        if column.identity.is_some() {
            return Err(wrong("55000", "is already an identity column"));
        }
        if column.default.is_some() || column.sequence.is_some() {
            return Err(wrong("55000", "already has a default value"));
        }
        if !column.not_null {
            return Err(wrong("55000", "must be declared NOT NULL before identity can be added"));
        }
        let oid = work.oid();
        let named = options.iter().find_map(|option| match option {
            SequenceOption::Name(name) => Some(name),
            _ => None,
        });
        let (schema, free) = match named {
            Some(named) => {
                let (schema, plain) = self.creation_schema(named)?;
                if work.catalog.named(&schema, &plain).is_some() {
                    return Err(SqlError::new("42P07", format!("relation \"{plain}\" already exists")));
                }
                (schema, plain)
            }
            None => (old.schema.clone(), work.free_name(&old.schema, &format!("{relation}_{name}_seq"))),
        };
        let mut sequence = altered(&sequence_of(oid, &schema, &free, ty, &[])?, options, true)?;
        sequence.owner = Some((old.oid, column.number));
        sequence.access = Access::owned_by(old.access.owner());
        column.identity = Some(if always { Identity::Always } else { Identity::ByDefault });
        column.sequence = Some(oid);
        work.create_sequence(&sequence);
        work.put_table(&table);
        Ok(())
    }

    /// OWNED BY.
    fn own(&mut self, work: &mut Work, mut sequence: Sequence, owner: Option<&[String]>) -> Result<()> {
        let oid = sequence.oid;
        if let Some((table, number)) = sequence.owner
            && let Some(table) = work.catalog.table(table)
        {
            let mut table = Table::clone(table);
            if let Some(column) = table.columns.iter_mut().find(|column| column.number == number) {
                if column.identity.is_some() {
                    let detail = format!("Sequence \"{}\" is linked to table \"{}\".", sequence.name, table.name);
                    return Err(
                        SqlError::new("0A000", "cannot change ownership of identity sequence").with_detail(detail)
                    );
                }
                if column.sequence == Some(oid) {
                    column.sequence = None;
                    column.default = Some(nextval_of(&sequence));
                }
            }
            work.put_table(&table);
        }
        sequence.owner = None;
        if let Some(owner) = owner {
            let Some((name, table)) = owner.split_last().filter(|(_, table)| !table.is_empty()) else {
                return Err(SqlError::new("42601", "invalid OWNED BY option")
                    .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
            };
            let found = self.user_table_named(table)?;
            self.need(Need::Owner(found.oid));
            // A sequence that this statement makes has its owner only when it ends.
            if self.catalog.sequence(oid).is_some() && found.access.owner() != sequence.access.owner() {
                return Err(SqlError::new("55000", "sequence must have same owner as table it is linked to"));
            }
            if found.schema != sequence.schema {
                return Err(SqlError::new("55000", "sequence must be in same schema as table it is linked to"));
            }
            let mut table = work.catalog.table(found.oid).map_or_else(|| Table::clone(&found), |now| Table::clone(now));
            let relation = table.name.clone();
            let column = table.columns.iter_mut().find(|column| column.name == *name);
            let column = column.ok_or_else(|| no_column(name, &relation))?;
            sequence.owner = Some((found.oid, column.number));
            if column.default.as_deref() == Some(&nextval_of(&sequence)) {
                (column.default, column.sequence) = (None, Some(oid));
            }
            work.put_table(&table);
        }
        work.change(Change::Put(Object::Sequence(Arc::new(sequence))));
        Ok(())
    }

    /// Gives a column this default, or none: nextval of the sequence that it owns makes it serial.
    pub(super) fn set_default(
        &mut self,
        work: &Work,
        table: &Table,
        column: &mut Column,
        to: Option<&Expr>,
    ) -> Result<()> {
        if column.identity.is_some() {
            let text = format!("column \"{}\" of relation \"{}\" is an identity column", column.name, table.name);
            return Err(SqlError::new("42601", text));
        }
        (column.default, column.sequence) = (None, None);
        let Some(expr) = to else { return Ok(()) };
        match self.drawn_from(expr)?.and_then(|oid| work.catalog.sequence(oid)) {
            Some(sequence) if sequence.owner == Some((table.oid, column.number)) => {
                column.sequence = Some(sequence.oid)
            }
            _ => column.default = Some(self.kept_default(expr)?),
        }
        Ok(())
    }

    /// The text of a default; a sequence in it has its schema, so that it is found whatever is looked through later.
    pub(super) fn kept_default(&mut self, expr: &Expr) -> Result<String> {
        let drawn = self.drawn_from(expr)?.and_then(|oid| self.catalog.sequence(oid));
        Ok(drawn.map_or_else(|| expr.to_string(), |sequence| nextval_of(sequence)))
    }

    /// The sequence of an expression that is one call of nextval.
    fn drawn_from(&mut self, expr: &Expr) -> Result<Option<u32>> {
        let Expr::Function(function) = expr else { return Ok(None) };
        let FunctionArguments::List(list) = &function.args else { return Ok(None) };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_slice() else { return Ok(None) };
        if parts(&function.name).last().is_none_or(|name| name != "nextval") {
            return Ok(None);
        }
        let needs = self.needs.len();
        let typed = self.expr(argument)?;
        let typed = self.coerce(typed, PgType::REGCLASS, -1, Context::Explicit)?;
        self.needs.truncate(needs);
        Ok(match typed.value() {
            Some(Value::Integer(oid)) => u32::try_from(*oid).ok(),
            _ => None,
        })
    }
}

fn no_column(column: &str, relation: &str) -> SqlError {
    SqlError::new("42703", format!("column \"{column}\" of relation \"{relation}\" does not exist"))
}

fn restart_sql(sequence: &Sequence, value: Option<i64>) -> Result<String> {
    let Sequence { oid, start, minimum, maximum, .. } = *sequence;
    let next = value.unwrap_or(start);
    let outside = [(next < minimum, "less than MINVALUE", minimum), (next > maximum, "greater than MAXVALUE", maximum)];
    if let Some((_, what, bound)) = outside.iter().find(|(outside, ..)| *outside) {
        return Err(SqlError::new("22023", format!("RESTART value ({next}) cannot be {what} ({bound})")));
    }
    Ok(format!("UPDATE evesql_sequences SET last_value = {next}, is_called = 0 WHERE oid = {oid}"))
}

/// Bounds of what a sequence of this type can count.
fn bounds(ty: PgType) -> Result<(i64, i64)> {
    super::typed::type_range(ty)
        .filter(|_| ty.is_integer())
        .map(|(low, high)| (low as i64, high as i64))
        .ok_or_else(|| SqlError::new("22023", "sequence type must be smallint, integer, or bigint"))
}

/// The sequence with these options; what they leave open stays, or, of a new one, follows from the others.
fn altered(before: &Sequence, options: &[SequenceOption], new: bool) -> Result<Sequence> {
    let mut sequence = before.clone();
    let (mut minimum, mut maximum, mut start) = (None, None, None);
    for option in options {
        match option {
            SequenceOption::Type(name) => {
                let ty = PgType::by_name(name)
                    .ok_or_else(|| SqlError::new("42704", format!("type \"{name}\" does not exist")))?;
                let (old, now) = (bounds(PgType(before.type_oid))?, bounds(ty)?);
                sequence.type_oid = ty.0;
                // Bounds that were the type's own are those of the new one.
                sequence.minimum = if before.minimum == old.0 { now.0 } else { before.minimum };
                sequence.maximum = if before.maximum == old.1 { now.1 } else { before.maximum };
            }
            SequenceOption::Increment(by) => sequence.increment = *by,
            SequenceOption::Minimum(value) => minimum = Some(*value),
            SequenceOption::Maximum(value) => maximum = Some(*value),
            SequenceOption::Start(value) => start = Some(*value),
            SequenceOption::Cycle(cycle) => sequence.cycle = *cycle,
            _ => {}
        }
    }
    let (low, high) = bounds(PgType(sequence.type_oid))?;
    let up = sequence.increment > 0;
    let (lowest, highest) = (if up { 1 } else { low }, if up { high } else { -1 });
    sequence.minimum = minimum.or(new.then_some(None)).map_or(sequence.minimum, |value| value.unwrap_or(lowest));
    sequence.maximum = maximum.or(new.then_some(None)).map_or(sequence.maximum, |value| value.unwrap_or(highest));
    let first = if up { sequence.minimum } else { sequence.maximum };
    sequence.start = start.unwrap_or(if new { first } else { sequence.start });
    checked(sequence)
}

fn checked(sequence: Sequence) -> Result<Sequence> {
    let Sequence { increment, minimum, maximum, start, .. } = sequence;
    let (low, high) = bounds(PgType(sequence.type_oid))?;
    let name = PgType(sequence.type_oid).sql_name();
    let wrong = |message: String| Err(SqlError::new("22023", message));
    if increment == 0 {
        return wrong("INCREMENT must not be zero".into());
    }
    if minimum < low || minimum > high {
        return wrong(format!("MINVALUE ({minimum}) is out of range for sequence data type {name}"));
    }
    if maximum > high || maximum < low {
        return wrong(format!("MAXVALUE ({maximum}) is out of range for sequence data type {name}"));
    }
    if minimum >= maximum {
        return wrong(format!("MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})"));
    }
    if start < minimum {
        return wrong(format!("START value ({start}) cannot be less than MINVALUE ({minimum})"));
    }
    if start > maximum {
        return wrong(format!("START value ({start}) cannot be greater than MAXVALUE ({maximum})"));
    }
    Ok(sequence)
}

/// A new sequence.
pub(super) fn sequence_of(
    oid: u32,
    schema: &str,
    name: &str,
    ty: PgType,
    options: &[SequenceOptions],
) -> Result<Sequence> {
    let plain = Sequence {
        oid,
        schema: schema.to_string(),
        name: name.to_string(),
        type_oid: ty.0,
        start: 1,
        increment: 1,
        minimum: 1,
        maximum: bounds(ty)?.1,
        cycle: false,
        owner: None,
        comment: None,
        access: Access::default(),
    };
    altered(&plain, &given_options(options)?, true)
}

/// Options as the parser has them.
pub(super) fn given_options(options: &[SequenceOptions]) -> Result<Vec<SequenceOption>> {
    let bound = |expr: &Option<Expr>| expr.as_ref().map(constant_integer).transpose();
    let given = options.iter().map(|option| {
        Ok(match option {
            SequenceOptions::IncrementBy(expr, _) => SequenceOption::Increment(constant_integer(expr)?),
            SequenceOptions::MinValue(expr) => SequenceOption::Minimum(bound(expr)?),
            SequenceOptions::MaxValue(expr) => SequenceOption::Maximum(bound(expr)?),
            SequenceOptions::StartWith(expr, _) => SequenceOption::Start(constant_integer(expr)?),
            SequenceOptions::Cache(expr) => SequenceOption::Cache(constant_integer(expr)?),
            // The parser's flag says NO.
            SequenceOptions::Cycle(no) => SequenceOption::Cycle(!no),
        })
    });
    given.collect()
}

/// Value of an option of a sequence.
fn constant_integer(expr: &Expr) -> Result<i64> {
    let text = expr.to_string().replace(' ', "");
    text.parse().map_err(|_| SqlError::new("22023", format!("invalid sequence option value {text}")))
}
