//! Typing and translation. One [`Translator`] per statement walks the tree once; expressions come out as
//! SQLite text with their Postgres type ([`typed::Typed`]).

mod aggregates;
mod alter;
mod calls;
mod coerce;
mod comments;
mod containment;
mod copy;
mod create_table;
mod ddl;
mod distinct;
mod dml;
mod drop;
mod enums;
mod errands;
mod expr;
mod from;
mod grant;
mod grouping;
mod keywords;
mod lateral;
mod moments;
mod names;
mod needs;
mod notify;
mod operators;
mod ordered_sets;
mod quantified;
mod record_sets;
mod returning;
mod select;
mod sequence_ddl;
mod sequences;
mod set_operations;
mod sets;
mod signatures;
mod single_row;
mod subscripts;
mod table_ddl;
pub(super) mod temporary;
mod ties;
mod typed;
mod walk;
mod whole_rows;
mod with_changes;

pub(super) use typed::quote_name;

use super::parse::{Ast, Parsed, Places};
use super::prepared::{Kind, Locking, Notice, OutputColumn, Prepared, Tag};
use super::settings::Settings;
use super::types::{PgType, with_names};
use super::utility::Utility;
use crate::catalog::Catalog;
use crate::catalog::definitions::quote_ident;
use crate::catalog::privileges::{Need, Privileges};
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{Ident, SetExpr, Spanned, Statement};
use sqlparser::tokenizer::Location;
use std::collections::BTreeSet;
use typed::{Cte, Output, Scope, Typed};
use with_changes::changes_rows;

type Result<T> = std::result::Result<T, SqlError>;

/// What is not supported is refused by name.
fn unsupported<T>(what: &str) -> Result<T> {
    Err(SqlError::new("0A000", format!("{what} is not supported")))
}

/// Parameters that a statement can have: SQLite's limit.
const PARAMS_MAX: usize = 32_766;

/// The work on one statement.
pub(super) struct Translator<'a> {
    catalog: &'a Catalog,
    settings: &'a Settings,
    places: Places<'a>,
    /// Types of the parameters, as far as known.
    params: Vec<Option<PgType>>,
    /// Query levels, outermost first.
    scopes: Vec<Scope>,
    ctes: Vec<Cte>,
    locking: Vec<Locking>,
    notices: Vec<Notice>,
    uses_system_values: bool,
    /// Name of a function that has the session do something.
    does_errands: Option<String>,
    uses_catalog: bool,
    /// Tables and views that are named.
    reads: BTreeSet<u32>,
    /// What the client must be allowed.
    needs: Vec<Need>,
    depends_on_user: bool,
    /// Views being expanded, against those that contain themselves.
    views: Vec<u32>,
    names_made: u32,
    /// Queries translated so far.
    queries: u32,
    /// OVERRIDING SYSTEM VALUE.
    overriding: bool,
    /// Where the body of the WITH RECURSIVE query is that is being translated; 0: there is none.
    recursive_body: usize,
    /// A statement in WITH is being translated.
    is_part: bool,
    /// Its number, for its RETURNING.
    remember: Option<usize>,
    /// Where the stack was when the work began.
    stack_base: usize,
}

/// Stack that one translation may take; threads have 2 MiB.
const STACK_MAX: usize = 1 << 20;

/// About where the stack is now.
#[inline(never)]
fn stack_place() -> usize {
    let here = 0u8;
    std::ptr::from_ref(&here).addr()
}

impl<'a> Translator<'a> {
    pub(super) fn new(
        whole: &'a str,
        catalog: &'a Catalog,
        param_oids: &[u32],
        settings: &'a Settings,
    ) -> Result<Self> {
        let mut params = Vec::new();
        for oid in param_oids {
            params.push(match PgType(*oid) {
                PgType(0) | PgType::UNKNOWN => None,
                ty if ty.is_built_in() || catalog.enum_of(ty.0).is_some() => Some(ty),
                PgType(oid) => return Err(SqlError::new("42704", format!("type with OID {oid} does not exist"))),
            });
        }
        Ok(Translator {
            catalog,
            settings,
            places: Places::new(whole),
            params,
            scopes: Vec::new(),
            ctes: Vec::new(),
            locking: Vec::new(),
            notices: Vec::new(),
            uses_system_values: false,
            does_errands: None,
            uses_catalog: false,
            reads: BTreeSet::new(),
            needs: Vec::new(),
            depends_on_user: false,
            views: Vec::new(),
            names_made: 0,
            queries: 0,
            overriding: false,
            recursive_body: 0,
            is_part: false,
            remember: None,
            stack_base: stack_place(),
        })
    }

    /// Refuses what is nested so deeply that the stack would not hold it.
    fn check_stack(&self) -> Result<()> {
        if stack_place().abs_diff(self.stack_base) > STACK_MAX {
            return Err(SqlError::new("54001", "statement is nested too deeply"));
        }
        Ok(())
    }

    /// A name that no client can have chosen.
    fn fresh(&mut self, prefix: &str) -> String {
        self.names_made += 1;
        format!("{prefix}:{}", self.names_made)
    }

    /// Puts the position of a piece of the tree into an error.
    fn at(&self, error: SqlError, node: &impl Spanned) -> SqlError {
        self.at_place(error, node.span().start)
    }

    /// As [`Self::at`], for a name alone.
    fn at_name(&self, error: SqlError, name: &Ident) -> SqlError {
        self.at_place(error, name.span.start)
    }

    fn at_place(&self, error: SqlError, place: Location) -> SqlError {
        // Inside a view the places are those of another text.
        // Nor does Postgres tell where a value was that did not fit.
        let of_value = matches!(error.code(), "22001" | "22003");
        if error.position.is_some() || of_value || !self.views.is_empty() {
            return error;
        }
        SqlError { position: self.places.position(place), ..error }
    }

    fn statement(&mut self, statement: &Statement) -> Result<Prepared> {
        match statement {
            Statement::Query(query) => self.query_statement(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Truncate(truncate) => self.truncate(truncate),
            other => self.ddl(other),
        }
    }

    fn query_statement(&mut self, query: &sqlparser::ast::Query) -> Result<Prepared> {
        if let Some(with) = query.with.as_ref().filter(|with| changes_rows(with)) {
            return self.with_changes(query, with);
        }
        if let SetExpr::Insert(change) | SetExpr::Update(change) | SetExpr::Delete(change) = query.body.as_ref() {
            let with = match &query.with {
                Some(with) => self.with_clause(with)?,
                None => String::new(),
            };
            let mut prepared = self.statement(change)?;
            if let Some(sql) = prepared.sql.last_mut() {
                *sql = format!("{with}{sql}").into();
            }
            return Ok(prepared);
        }
        if let Some(prepared) = self.notify(query)? {
            return Ok(prepared);
        }
        if let Some(prepared) = self.select_into(query)? {
            return Ok(prepared);
        }
        let (sql, outputs) = self.top_query(query)?;
        let columns = self.output_columns(outputs)?;
        self.finish(Kind::Select, vec![sql], columns, Tag::Select, true)
    }

    /// Result columns for RowDescription; what is still of unknown type becomes text.
    fn output_columns(&mut self, outputs: Vec<Output>) -> Result<Vec<OutputColumn>> {
        Ok(outputs
            .into_iter()
            .map(|Output { name, typed }| {
                let (table_oid, column_number) = typed.column.unwrap_or((0, 0));
                let ty = if typed.ty == PgType::UNKNOWN { PgType::TEXT } else { typed.ty };
                OutputColumn { name, ty, typmod: typed.typmod, table_oid, column_number }
            })
            .collect())
    }

    fn finish(
        &mut self,
        kind: Kind,
        sql: Vec<String>,
        columns: Vec<OutputColumn>,
        tag: Tag,
        read_only: bool,
    ) -> Result<Prepared> {
        let mut params = Vec::with_capacity(self.params.len());
        // What the parts need is gathered for the whole, whose parameters are known at its end.
        if self.is_part {
            return Ok(Prepared::of_part(kind, sql, columns, tag));
        }
        for (at, ty) in self.params.iter().enumerate() {
            params.push(ty.ok_or_else(|| {
                SqlError::new("42P18", format!("could not determine data type of parameter ${}", at + 1))
            })?);
        }
        // Replicas have no pg_catalog: what it says of a node is no input of a change.
        if self.uses_catalog && matches!(kind, Kind::Insert | Kind::Update | Kind::Delete) {
            return Err(SqlError::new("0A000", "a statement that changes data cannot read the system catalogs")
                .with_hint("Read them first, in a statement of their own."));
        }
        let enums =
            params.iter().filter(|ty| ty.is_users()).filter_map(|ty| self.catalog.enum_of(ty.0)).cloned().collect();
        let does_errands =
            self.allow_errands(matches!(kind, Kind::Select | Kind::Explain { .. }) && self.locking.is_empty())?;
        Ok(Prepared {
            kind,
            enums,
            sql: sql.into_iter().map(Into::into).collect(),
            params,
            columns,
            draws: Vec::new(),
            read_only,
            locking: std::mem::take(&mut self.locking),
            uses_system_values: self.uses_system_values,
            does_errands,
            uses_catalog: self.uses_catalog,
            tag,
            changes_schema: false,
            notices: std::mem::take(&mut self.notices),
            needs: std::mem::take(&mut self.needs),
            depends_on_user: self.depends_on_user,
        })
    }

    /// The statement has no result and changes nothing.
    fn nothing(&mut self, kind: Kind, tag: Tag) -> Result<Prepared> {
        self.finish(kind, Vec::new(), Vec::new(), tag, true)
    }

    /// Constant value of an expression without columns and parameters.
    fn constant(&mut self, expr: &sqlparser::ast::Expr, ty: PgType) -> Result<Value> {
        let typed = self.expr(expr)?;
        let typed = self.coerce(typed, ty, -1, coerce::Context::Assignment)?;
        typed.value().cloned().ok_or_else(|| SqlError::new("0A000", "only a constant is supported here"))
    }
}

pub(super) fn prepare(parsed: &Parsed, catalog: &Catalog, param_oids: &[u32], settings: &Settings) -> Result<Prepared> {
    prepare_unnamed(parsed, catalog, param_oids, settings).map_err(|error| with_type_names(error, catalog))
}

/// An error with the names of the types that users made, which a type alone does not know.
fn with_type_names(mut error: SqlError, catalog: &Catalog) -> SqlError {
    let name = |oid| catalog.enum_of(oid).map(|found| quote_ident(&found.name));
    for text in [Some(&mut error.message), error.detail.as_mut(), error.hint.as_mut()].into_iter().flatten() {
        *text = with_names(std::mem::take(text), name);
    }
    error
}

fn prepare_unnamed(parsed: &Parsed, catalog: &Catalog, param_oids: &[u32], settings: &Settings) -> Result<Prepared> {
    let mut translator = Translator::new(&parsed.whole, catalog, param_oids, settings)?;
    match &parsed.ast {
        Ast::Empty => translator.nothing(Kind::Empty, Tag::Fixed("")),
        Ast::Sql(statement) => {
            translator.overriding = parsed.overriding;
            translator.statement(statement)
        }
        Ast::Utility(utility) => prepare_utility(translator, utility, param_oids),
    }
}

fn prepare_utility(mut translator: Translator<'_>, utility: &Utility, param_oids: &[u32]) -> Result<Prepared> {
    let (catalog, settings) = (translator.catalog, translator.settings);
    match utility {
        Utility::Copy { source, to, format } => translator.copy(source, *to, format),
        Utility::Explain { analyze, json, statement } => {
            if *analyze {
                return Err(SqlError::new("0A000", "EXPLAIN ANALYZE is not supported"));
            }
            // Of EXECUTE: what was prepared has parameters, and explaining it has none.
            let prepared = match statement.utility() {
                Some(Utility::Prepare { statement, .. }) => Some(statement),
                _ => None,
            };
            let inner = prepare(prepared.unwrap_or(statement), catalog, param_oids, settings)?;
            let Some(last) = inner.sql.last().filter(|_| !matches!(inner.kind, Kind::Ddl)) else {
                return Err(SqlError::new("0A000", "EXPLAIN of this statement is not supported"));
            };
            let sql = format!("EXPLAIN QUERY PLAN {last}");
            let column = OutputColumn {
                name: "QUERY PLAN".into(),
                ty: if *json { PgType::JSON } else { PgType::TEXT },
                typmod: -1,
                table_oid: 0,
                column_number: 0,
            };
            translator.params = match prepared {
                Some(_) => Vec::new(),
                None => inner.params.iter().map(|ty| Some(*ty)).collect(),
            };
            (translator.needs, translator.depends_on_user) = (inner.needs, inner.depends_on_user);
            translator.finish(Kind::Explain { json: *json }, vec![sql], vec![column], Tag::Fixed("EXPLAIN"), true)
        }
        Utility::Vacuum { analyze: true, tables } => translator.analyze(tables, "VACUUM"),
        Utility::Vacuum { tables, .. } => {
            for table in tables {
                let oid = translator.user_table_named(table)?.oid;
                translator.need(Need::Owner(oid));
            }
            translator.nothing(Kind::Nothing, Tag::Fixed("VACUUM"))
        }
        Utility::Analyze(tables) => translator.analyze(tables, "ANALYZE"),
        Utility::Sequence(command) => translator.sequence_command(command),
        Utility::CommentOnConstraint { constraint, table, text } => {
            translator.comment_on_constraint(constraint, table, text.clone())
        }
        Utility::Checkpoint => translator.nothing(Kind::Nothing, Tag::Fixed("CHECKPOINT")),
        Utility::Ignored(tag) => translator.nothing(Kind::Nothing, Tag::Fixed(tag)),
        Utility::Lock { tables, .. } => {
            for table in tables {
                let oid = translator.user_table_named(table)?.oid;
                translator.need_any(oid, Privileges::UPDATE | Privileges::DELETE | Privileges::TRUNCATE);
            }
            translator.nothing(Kind::Utility(utility.clone()), Tag::Fixed("LOCK TABLE"))
        }
        other => translator.nothing(Kind::Utility(other.clone()), Tag::Fixed(utility_tag(other))),
    }
}

fn utility_tag(utility: &Utility) -> &'static str {
    match utility {
        Utility::Begin(modes) if modes.is_start => "START TRANSACTION",
        Utility::Begin(_) => "BEGIN",
        Utility::Commit { .. } => "COMMIT",
        Utility::Rollback { .. } | Utility::RollbackTo(_) => "ROLLBACK",
        Utility::Savepoint(_) => "SAVEPOINT",
        Utility::Release(_) => "RELEASE",
        Utility::Set { .. } | Utility::SetTransaction { .. } => "SET",
        Utility::Show(_) => "SHOW",
        Utility::Reset(_) => "RESET",
        Utility::Discard(_) => "DISCARD ALL",
        Utility::Prepare { .. } => "PREPARE",
        Utility::Execute { .. } => "EXECUTE",
        Utility::Deallocate(None) => "DEALLOCATE ALL",
        Utility::Deallocate(Some(_)) => "DEALLOCATE",
        Utility::Declare { .. } => "DECLARE CURSOR",
        Utility::Fetch { move_only: true, .. } => "MOVE",
        Utility::Fetch { .. } => "FETCH",
        Utility::Close(None) => "CLOSE CURSOR ALL",
        Utility::Close(Some(_)) => "CLOSE CURSOR",
        Utility::Listen(_) => "LISTEN",
        Utility::Role(command) => command.tag(),
        Utility::Grant(grant) => grant.tag(),
        Utility::Unlisten(_) => "UNLISTEN",
        Utility::Notify { .. } => "NOTIFY",
        _ => "",
    }
}

/// Drops what a session's schema of temporary tables holds, and the schema.
pub(super) fn drop_temporary(catalog: &Catalog, schema: &str) -> Result<Option<Prepared>> {
    let settings = Settings { search_path: vec![schema.to_owned()], ..Settings::default() };
    Translator::new("", catalog, &[], &settings)?.drop_temporary(schema)
}

/// GRANT, REVOKE, OWNER TO.
pub(super) fn prepare_grant(
    grant: &super::role_command::Grant,
    catalog: &Catalog,
    settings: &Settings,
    resolve: grant::Resolve<'_>,
) -> Result<Prepared> {
    Translator::new(&grant.text, catalog, &[], settings)?.grant(grant, resolve)
}

/// The type that PREPARE names.
pub(super) fn type_named(
    data_type: &sqlparser::ast::DataType,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<PgType> {
    Ok(Translator::new("", catalog, &[], settings)?.data_type(data_type)?.0)
}

/// Values of the arguments of EXECUTE for parameters of these types.
pub(super) fn execute_arguments(
    name: &str,
    arguments: &[String],
    types: &[PgType],
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Vec<Value>> {
    if arguments.len() != types.len() {
        let text = format!("wrong number of parameters for prepared statement \"{name}\"");
        let detail = format!("Expected {} parameters but got {}.", types.len(), arguments.len());
        return Err(SqlError::new("42601", text).with_detail(detail));
    }
    arguments
        .iter()
        .zip(types)
        .map(|(text, ty)| {
            let expr = super::parse::parse_expression(text)?;
            let value = Translator::new(text, catalog, &[], settings)?.constant(&expr, *ty);
            value.map_err(|error| with_type_names(error, catalog))
        })
        .collect()
}

impl Translator<'_> {
    /// The text of a parameter, and its type if it has one.
    fn parameter(&mut self, placeholder: &str) -> Result<Typed> {
        let number: usize = placeholder
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
            .filter(|number| (1..=PARAMS_MAX).contains(number))
            .ok_or_else(|| SqlError::new("42P02", format!("there is no parameter {placeholder}")))?;
        if self.params.len() < number {
            self.params.resize(number, None);
        }
        let mut typed = Typed::new(format!("?{number}"), self.params[number - 1].unwrap_or(PgType::UNKNOWN));
        if self.params[number - 1].is_none() {
            typed.param = Some(number - 1);
        }
        Ok(typed)
    }
}
