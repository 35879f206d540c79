//! A translated expression with all that is known of its value, and the scopes that names are found in.

use crate::dialect::types::PgType;
use crate::transaction::Value;

/// A constant that is known while translating.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// A quoted string whose type is still open.
    Unknown(String),
    /// A value in stored form, of the expression's type.
    Value(Value),
}

/// A translated expression.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    /// SQLite's text for it; binds tighter than any operator.
    pub sql: String,
    /// Where `sql` may leave the type's range: text that raises 22003 then.
    pub checked: Option<String>,
    /// Type; unknown for quoted strings, NULL and parameters that nothing has typed yet.
    pub ty: PgType,
    /// Type modifier or -1.
    pub typmod: i32,
    /// Numeric: all its values have so many digits after the point.
    pub scale: Option<u32>,
    /// May be NULL.
    pub nullable: bool,
    /// Known value.
    pub literal: Option<Literal>,
    /// It is this parameter alone, counted from 0, and its type is open.
    pub param: Option<usize>,
    /// It is this column alone: (table OID, column number).
    pub column: Option<(u32, i16)>,
    /// Bounds of an integer.
    pub range: Option<(i128, i128)>,
}

impl Typed {
    pub fn new(sql: impl Into<String>, ty: PgType) -> Typed {
        Typed {
            sql: sql.into(),
            checked: None,
            ty,
            typmod: -1,
            scale: None,
            nullable: true,
            literal: None,
            param: None,
            column: None,
            range: type_range(ty),
        }
    }
    /// Whether values that are equal to PostgreSQL may be different bytes: `1.5` and `1.50`, a month and 30 days.
    pub fn has_equals_of_other_bytes(&self) -> bool {
        match self.ty.element().unwrap_or(self.ty) {
            PgType::NUMERIC => self.scale.is_none() && self.literal.is_none(),
            element => matches!(element, PgType::INTERVAL | PgType::JSONB),
        }
    }
    pub fn not_null(mut self) -> Typed {
        self.nullable = false;
        self
    }
    pub fn nullable_if(mut self, nullable: bool) -> Typed {
        self.nullable = nullable;
        self
    }
    /// A constant in stored form.
    pub fn constant(value: Value, ty: PgType) -> Typed {
        let mut typed = Typed::new(literal_sql(&value), ty);
        typed.nullable = value == Value::Null;
        if let Value::Integer(number) = value {
            typed.range = Some((i128::from(number), i128::from(number)));
        }
        if let (PgType::NUMERIC, Value::Blob(bytes)) = (ty, &value) {
            use crate::dialect::numeric::Numeric;
            if let Ok(Numeric::Finite(decimal)) = Numeric::decode(bytes) {
                typed.scale = Some(decimal.scale());
            }
        }
        typed.literal = Some(Literal::Value(value));
        typed
    }
    /// The value, if it is a constant of a known type.
    pub fn value(&self) -> Option<&Value> {
        match &self.literal {
            Some(Literal::Value(value)) => Some(value),
            _ => None,
        }
    }
    /// The text of a quoted string of open type.
    pub fn unknown_text(&self) -> Option<&str> {
        match &self.literal {
            Some(Literal::Unknown(text)) => Some(text),
            _ => None,
        }
    }
    pub fn is_null_literal(&self) -> bool {
        self.value() == Some(&Value::Null)
    }
    /// The form that raises an error rather than leave the type's range.
    pub fn settled(mut self) -> Typed {
        if let Some(checked) = self.checked.take() {
            self.sql = checked;
            self.range = type_range(self.ty);
        }
        self
    }
}

/// Bounds of an integer type.
pub(super) fn type_range(ty: PgType) -> Option<(i128, i128)> {
    match ty {
        PgType::INT2 => Some((i128::from(i16::MIN), i128::from(i16::MAX))),
        PgType::INT4 => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
        PgType::INT8 => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
        _ if ty.is_oid_like() => Some((0, i128::from(u32::MAX))),
        _ => None,
    }
}

/// A value as SQLite writes it.
pub(super) fn literal_sql(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(i64::MIN) => "(-9223372036854775807 - 1)".into(),
        Value::Integer(number) if *number < 0 => format!("({number})"),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) if number.is_infinite() => if *number > 0.0 { "9e999" } else { "(-9e999)" }.into(),
        Value::Real(number) if number.is_sign_negative() => format!("({number:e})"),
        Value::Real(number) => format!("{number:e}"),
        Value::Text(text) => quote_text(text),
        Value::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("X'{digits}'")
        }
    }
}

/// A string literal.
pub(super) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An identifier, quoted unless it is plainly no keyword.
pub(in crate::dialect) fn quote_name(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if plain && !KEYWORDS.contains(&name) { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// SQLite's keywords.
static KEYWORDS: &[&str] = &[
    "abort",
    "action",
    "add",
    "after",
    "all",
    "alter",
    "always",
    "analyze",
    "and",
    "as",
    "asc",
    "attach",
    "autoincrement",
    "before",
    "begin",
    "between",
    "by",
    "cascade",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "commit",
    "conflict",
    "constraint",
    "create",
    "cross",
    "current",
    "current_date",
    "current_time",
    "current_timestamp",
    "database",
    "default",
    "deferrable",
    "deferred",
    "delete",
    "desc",
    "detach",
    "distinct",
    "do",
    "drop",
    "each",
    "else",
    "end",
    "escape",
    "except",
    "exclude",
    "exclusive",
    "exists",
    "explain",
    "fail",
    "false",
    "filter",
    "first",
    "following",
    "for",
    "foreign",
    "from",
    "full",
    "generated",
    "glob",
    "group",
    "groups",
    "having",
    "if",
    "ignore",
    "immediate",
    "in",
    "index",
    "indexed",
    "initially",
    "inner",
    "insert",
    "instead",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "key",
    "last",
    "left",
    "like",
    "limit",
    "match",
    "materialized",
    "natural",
    "no",
    "not",
    "nothing",
    "notnull",
    "null",
    "nulls",
    "of",
    "offset",
    "on",
    "or",
    "order",
    "others",
    "outer",
    "over",
    "partition",
    "plan",
    "pragma",
    "preceding",
    "primary",
    "query",
    "raise",
    "range",
    "recursive",
    "references",
    "regexp",
    "reindex",
    "release",
    "rename",
    "replace",
    "restrict",
    "returning",
    "right",
    "rollback",
    "row",
    "rows",
    "savepoint",
    "select",
    "set",
    "table",
    "temp",
    "temporary",
    "then",
    "ties",
    "to",
    "transaction",
    "trigger",
    "true",
    "unbounded",
    "union",
    "unique",
    "update",
    "using",
    "vacuum",
    "values",
    "view",
    "virtual",
    "when",
    "where",
    "window",
    "with",
    "within",
    "without",
];

/// A column that a name can mean.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Name in Postgres.
    pub name: String,
    /// What stands for it.
    pub typed: Typed,
    /// Not in `*`: taken in by a USING column, or a system column.
    pub hidden: bool,
}

impl Column {
    /// A column that every table has and that only its name brings out.
    pub fn is_system(&self) -> bool {
        self.name == "tableoid"
    }
}

/// A relation of a FROM clause.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// Alias or name.
    pub alias: String,
    /// Schema, if it was not given an alias.
    pub schema: Option<String>,
    /// OID of a table of the catalog.
    pub table: Option<u32>,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A GROUP BY key.
#[derive(Clone, Debug)]
pub(super) struct GroupKey {
    pub expr: sqlparser::ast::Expr,
    pub typed: Typed,
    /// Another grouping of the same query groups by it; this one does not, and it is NULL.
    pub is_absent: bool,
}

/// What one query level can name.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub relations: Vec<Relation>,
    /// USING columns, which an unqualified name means before all others.
    pub merged: Vec<Column>,
    /// Set while expressions over groups are translated.
    pub grouped: Option<Vec<GroupKey>>,
    /// Tables whose whole primary key is grouped by: all their columns are fixed in a group.
    pub fixed_tables: Vec<u32>,
    /// Inside an aggregate's arguments, where every column may be named.
    pub inside_aggregate: bool,
    /// Aggregates may be called here.
    pub aggregates_allowed: bool,
    /// What forbids them, for the message.
    pub clause: &'static str,
    /// Windows of the WINDOW clause.
    pub windows: Vec<String>,
}

/// A WITH query.
#[derive(Clone, Debug)]
pub(super) struct Cte {
    pub name: String,
    pub sql_name: String,
    pub columns: Vec<Output>,
}

/// A result column of a query.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub name: String,
    pub typed: Typed,
}

/// What a column of a query must become, for whom asks for it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub ty: PgType,
    pub typmod: i32,
    /// Equal values must have equal bytes.
    pub align: bool,
    /// The column that it is stored in.
    pub column: Option<crate::catalog::Column>,
}

/// One target for each column; `None` where it may stay as it is.
pub(super) type Targets<'a> = Option<&'a [Option<Target>]>;
