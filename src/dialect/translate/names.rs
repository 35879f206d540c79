//! Names: of relations through CTEs, the search path and the system schemas; of columns through the
//! scopes; of objects in `regclass` and its relatives; of types.

use super::typed::{Column, Typed};
use super::{Need, Privileges, Result, Translator};
use crate::catalog::{Object, Sequence, Table, View, is_temporary, system};
use crate::dialect::types::{PgType, numeric_typmod_of};
use crate::transaction::SqlError;
use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Ident, ObjectName, ObjectNamePart, TimezoneInfo,
};
use std::sync::Arc;

/// An identifier as Postgres reads it: folded to lower case unless quoted.
pub(super) fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The parts of a dotted name.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => fold(ident),
            ObjectNamePart::Function(function) => fold(&function.name),
        })
        .collect()
}

/// What a relation's name means.
pub(super) enum Found {
    /// Index into the WITH queries.
    Cte(usize),
    /// A table.
    Table(Arc<Table>),
    /// A view.
    View(Arc<View>),
    /// A sequence, by its OID.
    Sequence(u32),
    /// A system relation.
    System(&'static Table),
}

pub(super) fn hidden_name(name: &str) -> bool {
    name.starts_with("evesql_") || name.starts_with("sqlite_")
}

fn permission(name: &str) -> SqlError {
    SqlError::new("42501", format!("permission denied for table {name}"))
}

impl Translator<'_> {
    /// Schema (if named) and name of `[database.][schema.]name`.
    pub(super) fn qualified(&self, parts: &[String]) -> Result<(Option<String>, String)> {
        match parts {
            [name] => Ok((None, name.clone())),
            [schema, name] => Ok((Some(self.own_schema(schema)?), name.clone())),
            [database, schema, name] if *database == self.settings.database => {
                Ok((Some(self.own_schema(schema)?), name.clone()))
            }
            [_, _, _] => Err(SqlError::new(
                "0A000",
                format!("cross-database references are not implemented: \"{}\"", parts.join(".")),
            )),
            _ => Err(SqlError::new("42601", format!("improper relation name: {}", parts.join(".")))),
        }
    }

    pub(super) fn find_object(&self, schema: Option<&str>, name: &str) -> Option<Object> {
        match schema {
            Some(schema) => self.catalog.named(schema, name).cloned(),
            None => self.settings.search_path.iter().find_map(|schema| self.catalog.named(schema, name)).cloned(),
        }
    }

    fn find_system(&self, schema: Option<&str>, name: &str) -> Option<&'static Table> {
        match schema {
            Some(schema) => system::relation(schema, name),
            None => system::relation("pg_catalog", name)
                .or_else(|| self.settings.search_path.iter().find_map(|schema| system::relation(schema, name))),
        }
    }

    /// What a name in a FROM clause means.
    pub(super) fn find_relation(&mut self, name: &ObjectName) -> Result<Found> {
        let parts = parts(name);
        let (schema, name) = self.qualified(&parts)?;
        if schema.is_none()
            && let Some(at) = self.ctes.iter().rposition(|cte| cte.name == name)
        {
            return Ok(Found::Cte(at));
        }
        if let Some(table) = self.find_system(schema.as_deref(), &name) {
            self.uses_catalog = true;
            self.need_system(&table.name);
            return Ok(Found::System(table));
        }
        if hidden_name(&name) {
            return Err(permission(&name));
        }
        match self.find_object(schema.as_deref(), &name) {
            Some(Object::Table(table)) if table.name == name => {
                self.reads.insert(table.oid);
                self.need_schema(&table.schema);
                self.need_on(table.oid, Privileges::SELECT);
                Ok(Found::Table(table))
            }
            Some(Object::View(view)) => {
                self.reads.insert(view.oid);
                self.need_schema(&view.schema);
                self.need_on(view.oid, Privileges::SELECT);
                Ok(Found::View(view))
            }
            Some(Object::Sequence(sequence)) => {
                self.reads.insert(sequence.oid);
                self.need_schema(&sequence.schema);
                self.need_on(sequence.oid, Privileges::SELECT);
                Ok(Found::Sequence(sequence.oid))
            }
            _ => Err(self.no_relation(schema.as_deref(), &name)),
        }
    }

    pub(super) fn no_relation(&self, schema: Option<&str>, name: &str) -> SqlError {
        if let Some(schema) = schema {
            if self.catalog.schema_oid(schema).is_none() {
                return SqlError::new("42P01", format!("relation \"{schema}.{name}\" does not exist"));
            }
            return SqlError::new("42P01", format!("relation \"{schema}.{name}\" does not exist"));
        }
        SqlError::new("42P01", format!("relation \"{name}\" does not exist"))
    }

    /// The table that a statement changes.
    pub(super) fn user_table(&mut self, name: &ObjectName) -> Result<Arc<Table>> {
        self.user_table_named(&parts(name)).map_err(|error| self.at(error, name))
    }

    pub(super) fn user_table_named(&mut self, parts: &[String]) -> Result<Arc<Table>> {
        let (schema, name) = self.qualified(parts)?;
        if hidden_name(&name) {
            return Err(permission(&name));
        }
        match self.find_object(schema.as_deref(), &name) {
            Some(Object::Table(table)) if table.name == name => {
                self.reads.insert(table.oid);
                self.need_schema(&table.schema);
                Ok(table)
            }
            Some(Object::View(_)) => {
                Err(SqlError::new("0A000", format!("changing the view \"{name}\" is not supported")))
            }
            Some(Object::Sequence(_)) => Err(SqlError::new("42809", format!("\"{name}\" is not a table"))),
            _ if self.find_system(schema.as_deref(), &name).is_some() => {
                Err(SqlError::new("42501", format!("permission denied: \"{name}\" is a system catalog")))
            }
            _ => Err(self.no_relation(schema.as_deref(), &name)),
        }
    }

    /// The sequence of this name.
    pub(super) fn user_sequence_named(&self, parts: &[String]) -> Result<Arc<Sequence>> {
        let (schema, name) = self.qualified(parts)?;
        match self.find_object(schema.as_deref(), &name) {
            Some(Object::Sequence(sequence)) => Ok(sequence),
            Some(_) => Err(SqlError::new("42809", format!("\"{name}\" is not a sequence"))),
            None => Err(self.no_relation(schema.as_deref(), &name)),
        }
    }

    /// Schema in which an object of this name is to be made.
    pub(super) fn creation_schema(&mut self, parts: &[String]) -> Result<(String, String)> {
        let (schema, name) = self.qualified(parts)?;
        if hidden_name(&name) {
            return Err(SqlError::new("42501", format!("the name \"{name}\" is reserved"))
                .with_hint("Names that begin with evesql_ or sqlite_ belong to the system."));
        }
        let schema = match schema {
            Some(schema) => schema,
            None => self
                .settings
                .search_path
                .iter()
                .find(|schema| {
                    self.catalog.schema_oid(schema).is_some() && *schema != "pg_catalog" && !is_temporary(schema)
                })
                .cloned()
                .ok_or_else(|| SqlError::new("3F000", "no schema has been selected to create in"))?,
        };
        if matches!(schema.as_str(), "pg_catalog" | "information_schema") {
            return Err(SqlError::new("42501", format!("permission denied for schema {schema}")));
        }
        if self.catalog.schema_oid(&schema).is_none() {
            return Err(SqlError::new("3F000", format!("schema \"{schema}\" does not exist")));
        }
        self.need(Need::CreateIn(schema.clone()));
        Ok((schema, name))
    }

    /// Looks an unqualified column up, innermost query first.
    pub(super) fn column(&mut self, name: &str) -> Result<Typed> {
        for level in (0..self.scopes.len()).rev() {
            let scope = &self.scopes[level];
            let merged = scope.merged.iter().filter(|column| column.name == name);
            let mut found: Vec<(Option<u32>, &Column)> = merged.map(|column| (None, column)).collect();
            if found.is_empty() {
                for relation in &scope.relations {
                    let matching = relation
                        .columns
                        .iter()
                        .filter(|column| column.name == name && (!column.hidden || column.is_system()));
                    found.extend(matching.map(|column| (relation.table, column)));
                }
            }
            match found.as_slice() {
                [] => {}
                [(table, column)] => {
                    let (table, typed) = (*table, column.typed.clone());
                    // Of what a statement changes its columns are read only if it names them.
                    if let Some(table) = table {
                        self.need_on(table, Privileges::SELECT);
                    }
                    return self.in_group(level, table, name, typed);
                }
                _ => return Err(SqlError::new("42702", format!("column reference \"{name}\" is ambiguous"))),
            }
        }
        if self.scopes.iter().any(|scope| scope.relations.iter().any(|relation| relation.alias == name)) {
            return Err(SqlError::new("0A000", format!("the whole row \"{name}\" as a value is not supported")));
        }
        Err(SqlError::new("42703", format!("column \"{name}\" does not exist")))
    }

    /// Looks `relation.column` up.
    pub(super) fn qualified_column(&mut self, qualifier: &[String], name: &str) -> Result<Typed> {
        for level in (0..self.scopes.len()).rev() {
            let Some(relation) = self.relation_at(level, qualifier) else { continue };
            let found = relation.columns.iter().find(|column| column.name == name);
            return match found.map(|column| (relation.table, column.typed.clone())) {
                Some((table, typed)) => {
                    if let Some(table) = table {
                        self.need_on(table, Privileges::SELECT);
                    }
                    self.in_group(level, table, &format!("{}.{name}", qualifier.join(".")), typed)
                }
                None => Err(SqlError::new(
                    "42703",
                    format!("column {}.{name} does not exist", qualifier.last().map_or("", String::as_str)),
                )),
            };
        }
        Err(SqlError::new(
            "42P01",
            format!("missing FROM-clause entry for table \"{}\"", qualifier.last().map_or("", String::as_str)),
        ))
    }

    pub(super) fn relation_at(&self, level: usize, qualifier: &[String]) -> Option<&super::typed::Relation> {
        let (schema, alias) = match qualifier {
            [alias] => (None, alias),
            [.., schema, alias] => (Some(schema), alias),
            [] => return None,
        };
        self.scopes[level]
            .relations
            .iter()
            .find(|relation| relation.alias == *alias && (schema.is_none() || relation.schema.as_ref() == schema))
    }

    /// A column outside of aggregates must be fixed within a group.
    pub(super) fn in_group(&self, level: usize, table: Option<u32>, name: &str, typed: Typed) -> Result<Typed> {
        let scope = &self.scopes[level];
        let Some(keys) = &scope.grouped else { return Ok(typed) };
        let fixed = scope.inside_aggregate
            || keys.iter().any(|key| key.typed.sql == typed.sql)
            || table.is_some_and(|oid| scope.fixed_tables.contains(&oid));
        if fixed {
            return Ok(typed);
        }
        let shown = typed.sql.replace('"', "");
        let name = if shown.contains('.') { shown.as_str() } else { name };
        Err(SqlError::new(
            "42803",
            format!("column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"),
        ))
    }

    /// OID of the relation that a constant names, for `'t'::regclass`.
    pub(super) fn relation_oid(&mut self, text: &str) -> Result<i64> {
        if let Ok(oid) = text.trim().parse::<u32>() {
            return Ok(i64::from(oid));
        }
        if text == "-" {
            return Ok(0);
        }
        let (schema, name) = self.qualified(&split_name(text))?;
        if let Some(table) = self.find_system(schema.as_deref(), &name) {
            return Ok(i64::from(table.oid));
        }
        match self.find_object(schema.as_deref(), &name) {
            Some(Object::Table(table)) if table.name != name => {
                let index = table.indexes.iter().find(|index| index.name == name);
                Ok(index.map_or(0, |index| i64::from(index.oid)))
            }
            Some(object) => Ok(i64::from(object.oid())),
            None => Err(SqlError::new("42P01", format!("relation \"{text}\" does not exist"))),
        }
    }

    /// SQLite text for the name of an object whose OID an expression gives.
    pub(super) fn object_name_sql(&mut self, sql: &str, ty: PgType) -> String {
        match ty {
            PgType::REGCLASS | PgType::REGTYPE | PgType::REGPROC | PgType::REGNAMESPACE | PgType::REGROLE => {
                self.uses_catalog = true;
                format!("{}out({sql})", ty.name())
            }
            _ => format!("CAST({sql} AS TEXT)"),
        }
    }

    /// SQLite text for the OID of the object that an expression names.
    pub(super) fn object_oid_sql(&mut self, sql: &str, ty: PgType) -> Result<String> {
        match ty {
            PgType::REGCLASS | PgType::REGTYPE | PgType::REGPROC | PgType::REGNAMESPACE | PgType::REGROLE => {
                self.uses_catalog = true;
                Ok(format!("{}in({sql})", ty.name()))
            }
            _ => Err(SqlError::new("0A000", format!("reading {} from text is not supported", ty.sql_name()))),
        }
    }

    /// A type as SQL names it, with its modifier.
    pub(super) fn data_type(&self, data_type: &DataType) -> Result<(PgType, i32)> {
        data_type_of(data_type, &|names| self.users_type(names))
    }
}

/// The parts of a dotted name in text, unquoted and folded.
pub(super) fn split_name(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.trim().chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => {
                let last = parts.len() - 1;
                if quoted { parts[last].push(c) } else { parts[last].extend(c.to_lowercase()) }
            }
        }
    }
    parts
}

fn length(length: &Option<CharacterLength>, default: i32, name: &str) -> Result<i32> {
    match length {
        None | Some(CharacterLength::Max) => Ok(default),
        Some(CharacterLength::IntegerLength { length, .. }) => match i32::try_from(*length) {
            Ok(0) => Err(SqlError::new("22023", format!("length for type {name} must be at least 1"))),
            Ok(length) if length <= 10_485_760 => Ok(length + 4),
            _ => Err(SqlError::new("22023", format!("length for type {name} cannot exceed 10485760"))),
        },
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<(PgType, i32)> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok((PgType::NUMERIC, -1)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=1000).contains(&precision) {
        return Err(SqlError::new("22023", format!("NUMERIC precision {precision} must be between 1 and 1000")));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(SqlError::new("22023", format!("NUMERIC scale {scale} must be between -1000 and 1000")));
    }
    Ok((PgType::NUMERIC, numeric_typmod_of(precision as i32, scale as i32)))
}

fn time_typmod(precision: &Option<u64>) -> i32 {
    precision.map_or(-1, |precision| precision.min(6) as i32)
}

/// A type as the parser read it; `users` finds those that users made.
pub(super) fn data_type_of(data_type: &DataType, users: &dyn Fn(&[String]) -> Option<PgType>) -> Result<(PgType, i32)> {
    let zoned = |zone: &TimezoneInfo| matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz);
    let unsupported = || SqlError::new("0A000", format!("type {data_type} is not supported"));
    Ok(match data_type {
        DataType::Character(n) | DataType::Char(n) => (PgType::BPCHAR, length(n, 5, "character")?),
        DataType::CharacterVarying(n) | DataType::CharVarying(n) | DataType::Varchar(n) | DataType::Nvarchar(n) => {
            (PgType::VARCHAR, length(n, -1, "varchar")?)
        }
        DataType::Text => (PgType::TEXT, -1),
        DataType::Uuid => (PgType::UUID, -1),
        DataType::Bytea => (PgType::BYTEA, -1),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Int2(_) | DataType::SmallInt(_) => (PgType::INT2, -1),
        DataType::Int(_) | DataType::Int4(_) | DataType::Integer(_) => (PgType::INT4, -1),
        DataType::Int8(_) | DataType::BigInt(_) => (PgType::INT8, -1),
        DataType::Float4 | DataType::Real => (PgType::FLOAT4, -1),
        DataType::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => (PgType::FLOAT4, -1),
        DataType::Float(_) | DataType::Float8 | DataType::Double(_) | DataType::DoublePrecision => (PgType::FLOAT8, -1),
        DataType::Bool | DataType::Boolean => (PgType::BOOL, -1),
        DataType::Date => (PgType::DATE, -1),
        DataType::Time(precision, zone) if !zoned(zone) => (PgType::TIME, time_typmod(precision)),
        DataType::Timestamp(precision, zone) => {
            (if zoned(zone) { PgType::TIMESTAMPTZ } else { PgType::TIMESTAMP }, time_typmod(precision))
        }
        DataType::Interval { fields, precision } => {
            let fields = fields.as_ref().map(|fields| fields.to_string().to_lowercase());
            let ends = fields.as_deref().map(|fields| fields.split_once(" to ").unwrap_or((fields, fields)));
            (PgType::INTERVAL, crate::dialect::types::interval_typmod(ends, *precision).unwrap_or(-1))
        }
        DataType::JSON => (PgType::JSON, -1),
        DataType::JSONB => (PgType::JSONB, -1),
        DataType::Regclass => (PgType::REGCLASS, -1),
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::Qualified(element, _)
            | ArrayElemTypeDef::Parenthesis(element)
            | ArrayElemTypeDef::AngleBracket(element),
        ) => {
            let (element, typmod) = data_type_of(element, users)?;
            // An array of arrays is an array of more dimensions: one type.
            let array = if element.element().is_some() { Some(element) } else { element.array() };
            (array.ok_or_else(unsupported)?, typmod)
        }
        DataType::Custom(name, modifiers) => {
            let quoted_char = matches!(name.0.last(), Some(ObjectNamePart::Identifier(i)) if i.quote_style.is_some() && i.value == "char");
            let parts = parts(name);
            let last = parts.last().map_or("", String::as_str);
            match last {
                "serial" | "serial4" => return Ok((PgType::INT4, -1)),
                "bigserial" | "serial8" => return Ok((PgType::INT8, -1)),
                "smallserial" | "serial2" => return Ok((PgType::INT2, -1)),
                _ => {}
            }
            let ty = match last {
                "char" if quoted_char => PgType::CHAR,
                "char" => PgType::BPCHAR,
                "timetz" | "money" | "xml" => return Err(unsupported()),
                name => PgType::by_name(name)
                    .or_else(|| users(&parts))
                    .ok_or_else(|| SqlError::new("42704", format!("type \"{}\" does not exist", parts.join("."))))?,
            };
            let number = modifiers.first().and_then(|text| text.parse::<u64>().ok());
            let typmod = match (ty, number) {
                (PgType::VARCHAR | PgType::BPCHAR, Some(n)) => {
                    length(&Some(CharacterLength::IntegerLength { length: n, unit: None }), -1, last)?
                }
                (PgType::TIMESTAMP | PgType::TIMESTAMPTZ, precision) => time_typmod(&precision),
                _ => -1,
            };
            (ty, typmod)
        }
        _ => return Err(unsupported()),
    })
}
