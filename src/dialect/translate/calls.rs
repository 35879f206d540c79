//! Function calls: scalar ones by their signatures, aggregates and window functions, and those that
//! depend on the session, the clock or a sequence.

use super::aggregates::is_aggregate;
use super::coerce::{Context, castable};
use super::names::{fold, parts};
use super::signatures::{SIGNATURES, Signature};
use super::typed::{Typed, literal_sql};
use super::{Need, Result, Translator};
use crate::catalog::functions::{SystemFunction, system_function};
use crate::catalog::is_temporary;
use crate::dialect::functions::zone_named;
use crate::dialect::types::PgType;
use crate::dialect::zone::Zone;
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    OrderByExpr,
};

/// Functions that are NULL for some arguments that are not.
const MAY_BE_NULL: &[&str] = &[
    "array_length",
    "array_upper",
    "array_lower",
    "array_ndims",
    "array_dims",
    "regexp_match",
    "regexp_substr",
    "substring",
];

/// What was written between the parentheses.
pub(super) struct Arguments {
    pub exprs: Vec<Expr>,
    /// The parameter that each is for, where one was named.
    pub names: Vec<Option<String>>,
    pub star: bool,
    pub distinct: bool,
    pub order_by: Vec<OrderByExpr>,
}

fn arguments(function: &Function) -> Result<Arguments> {
    let mut found =
        Arguments { exprs: Vec::new(), names: Vec::new(), star: false, distinct: false, order_by: Vec::new() };
    let list = match &function.args {
        FunctionArguments::None => return Ok(found),
        FunctionArguments::Subquery(query) => {
            // ARRAY(SELECT ..) is told apart by its name.
            found.exprs.push(Expr::Subquery(query.clone()));
            return Ok(found);
        }
        FunctionArguments::List(list) => list,
    };
    found.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    for arg in &list.args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                found.exprs.push(expr.clone());
                found.names.push(None);
            }
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => found.star = true,
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), .. } => {
                found.exprs.push(expr.clone());
                found.names.push(Some(fold(name)));
            }
            _ => return Err(SqlError::new("0A000", "this kind of function argument is not supported")),
        }
    }
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(order) => found.order_by = order.clone(),
            _ => return Err(SqlError::new("0A000", "this function argument clause is not supported")),
        }
    }
    Ok(found)
}

/// The arguments of a call that has two plain ones.
pub(super) fn two_arguments(call: &Function) -> Option<[&Expr; 2]> {
    let FunctionArguments::List(list) = &call.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(first)), FunctionArg::Unnamed(FunctionArgExpr::Expr(second))] => {
            Some([first, second])
        }
        _ => None,
    }
}

pub(super) fn no_function(name: &str, args: &[Typed]) -> SqlError {
    let types: Vec<String> = args.iter().map(|arg| arg.ty.sql_name()).collect();
    SqlError::new("42883", format!("function {name}({}) does not exist", types.join(", ")))
        .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

impl Translator<'_> {
    pub(super) fn function(&mut self, function: &Function) -> Result<Typed> {
        let names = parts(&function.name);
        let Some((name, schema)) = names.split_last() else {
            return Err(SqlError::new("42601", "a function needs a name"));
        };
        if schema
            .last()
            .is_some_and(|schema| !matches!(schema.as_str(), "pg_catalog" | "public" | "information_schema"))
        {
            return Err(SqlError::new("42883", format!("function {} does not exist", names.join("."))));
        }
        if !function.within_group.is_empty() && !super::ordered_sets::is_ordered_set(name) {
            return Err(SqlError::new("0A000", format!("WITHIN GROUP with {name}() is not supported")));
        }
        let args = arguments(function)?;
        if name == "make_interval" && function.over.is_none() {
            return self.make_interval(&args);
        }
        if args.names.iter().any(Option::is_some) {
            return Err(SqlError::new("0A000", "named function arguments are not supported"));
        }
        if name == "array" && matches!(function.args, FunctionArguments::Subquery(_)) {
            return self.array_of_query(&args.exprs);
        }
        if is_aggregate(name) {
            return self.aggregate(name, function, args);
        }
        if name == "grouping" {
            return self.grouping(&args.exprs);
        }
        if let Some(over) = &function.over {
            return self.window_function(name, args, over, function);
        }
        if super::aggregates::is_window_function(name) {
            return Err(SqlError::new("42809", format!("window function {name} requires an OVER clause")));
        }
        if args.star || args.distinct || function.filter.is_some() {
            return Err(SqlError::new("42809", format!("{name} is not an aggregate function")));
        }
        if let Some(typed) = self.special(name, &args.exprs)? {
            return Ok(typed);
        }
        if name == "evesql_drill" {
            self.need(Need::Superuser("must be superuser to break something on purpose", None));
        }
        let mut typed = Vec::new();
        for expr in &args.exprs {
            let arg = self.expr(expr)?;
            typed.push(self.parameter_type(arg));
        }
        self.scalar(name, typed)
    }

    /// A function of fixed argument types.
    fn scalar(&mut self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let Some(signature) = choose(name, &args) else {
            if let Some(function) = system_function(name) {
                return self.system_call(function, args);
            }
            // A type's name as a function is a cast.
            if let (Some(ty), [arg]) = (PgType::by_name(name), args.as_slice())
                && castable(arg.ty, ty).is_some()
            {
                return self.coerce(arg.clone(), ty, -1, Context::Explicit);
            }
            return Err(no_function(name, &args));
        };
        let mut nullable = false;
        let mut sql = signature.sql.to_string();
        let mut texts = Vec::new();
        for (arg, ty) in args.into_iter().zip(signature.args) {
            let arg = match ty {
                &PgType::ANYARRAY if arg.ty.element().is_some() => arg,
                &PgType::ANYARRAY => self.coerce(arg, PgType::TEXT_ARRAY, -1, Context::Implicit)?,
                &PgType::PG_NODE_TREE => self.coerce(arg, PgType::TEXT, -1, Context::Explicit)?,
                ty => self.coerce(arg, *ty, -1, Context::Implicit)?,
            };
            nullable |= arg.nullable;
            texts.push(arg.sql);
        }
        for (at, text) in texts.iter().enumerate() {
            sql = sql.replace(&format!("{{{at}}}"), text);
        }
        Ok(Typed::new(sql, signature.result).nullable_if(nullable || MAY_BE_NULL.contains(&signature.name)))
    }

    /// A function over the catalog or the session, which only connections that read have.
    fn system_call(&mut self, function: &SystemFunction, args: Vec<Typed>) -> Result<Typed> {
        if !(function.required..=function.arguments.len()).contains(&args.len()) {
            return Err(no_function(function.name, &args));
        }
        self.uses_catalog = true;
        let mut list = Vec::new();
        for (arg, oid) in args.iter().zip(function.arguments) {
            // OIDs, their names and texts are read by the function itself.
            let wanted = PgType(*oid);
            let named = wanted.is_oid_like() || wanted.is_text() || wanted == PgType::PG_NODE_TREE;
            let taken =
                arg.ty.is_oid_like() || arg.ty.is_integer() || arg.ty.is_text() || arg.ty == PgType::PG_NODE_TREE;
            list.push(match named && taken {
                true => arg.sql.clone(),
                false => {
                    let as_text =
                        wanted == PgType::PG_NODE_TREE || wanted.is_oid_like() && arg.unknown_text().is_some();
                    self.coerce(arg.clone(), if as_text { PgType::TEXT } else { wanted }, -1, Context::Implicit)?.sql
                }
            });
        }
        Ok(Typed::new(format!("{}({})", super::quote_name(function.name), list.join(", ")), PgType(function.result)))
    }

    fn array_of_query(&mut self, exprs: &[Expr]) -> Result<Typed> {
        let [Expr::Subquery(query)] = exprs else {
            return Err(SqlError::new("0A000", "ARRAY of this is not supported"));
        };
        let (sql, outputs) = self.query(query, None, true)?;
        let [output] = outputs.as_slice() else {
            return Err(SqlError::new("42601", "subquery must return only one column"));
        };
        let ty = if output.typed.ty == PgType::UNKNOWN { PgType::TEXT } else { output.typed.ty };
        let column = super::quote_name(&output.name);
        if ty.element().is_some() {
            let sql = format!("(SELECT ifnull(evesql_array_agg(q.{column}), '[]') FROM ({sql}) AS q)");
            return Ok(Typed::new(sql, ty).not_null());
        }
        let array = ty.array().ok_or_else(|| {
            SqlError::new("42704", format!("could not find array type for data type {}", ty.sql_name()))
        })?;
        let item = self.json_item(&Typed::new(format!("q.{column}"), ty), false);
        Ok(Typed::new(format!("(SELECT json_group_array({item}) FROM ({sql}) AS q)"), array).not_null())
    }

    pub(super) fn strict_args(&mut self, exprs: &[Expr], count: usize, name: &str) -> Result<Vec<Typed>> {
        let mut args = Vec::new();
        for expr in exprs {
            let arg = self.expr(expr)?;
            args.push(self.parameter_type(arg));
        }
        if args.len() == count { Ok(args) } else { Err(no_function(name, &args)) }
    }

    /// Functions with rules of their own.
    fn special(&mut self, name: &str, exprs: &[Expr]) -> Result<Option<Typed>> {
        let zone = self.settings.time_zone.zone;
        let zone_sql = zone.sql();
        let shift = |sql: &str| match zone {
            Zone::Fixed(0) => sql.to_string(),
            Zone::Fixed(offset_s) => format!("({sql} + {})", i64::from(offset_s) * 1_000_000),
            Zone::Place(_) => format!("evesql_at_time_zone({sql}, {zone_sql}, 1)"),
        };
        let text = |value: &str| Typed::constant(Value::Text(value.into()), PgType::TEXT);
        let typed = match (name, exprs) {
            ("now" | "transaction_timestamp" | "current_timestamp" | "statement_timestamp", []) => {
                Typed::new("evesql_now()", PgType::TIMESTAMPTZ).not_null()
            }
            ("clock_timestamp", []) => {
                self.uses_system_values = true;
                Typed::new("evesql_clock()", PgType::TIMESTAMPTZ).not_null()
            }
            ("localtimestamp", []) => Typed::new(shift("evesql_now()"), PgType::TIMESTAMP).not_null(),
            ("current_timestamp", [digits]) => {
                self.clock_of_digits(Typed::new("evesql_now()", PgType::TIMESTAMPTZ), digits)?
            }
            ("localtimestamp", [digits]) => {
                self.clock_of_digits(Typed::new(shift("evesql_now()"), PgType::TIMESTAMP), digits)?
            }
            ("localtime", [digits]) => {
                let now = format!("({} % 86400000000)", shift("evesql_now()"));
                self.clock_of_digits(Typed::new(now, PgType::TIME), digits)?
            }
            ("make_timestamptz", _) => self.make_timestamptz(exprs)?,
            ("age", [_]) => {
                let since = self.strict_args(exprs, 1, name)?.remove(0);
                if !since.ty.is_moment() && since.ty != PgType::UNKNOWN {
                    return Err(no_function(name, &[since]));
                }
                let since = self.coerce(since, PgType::TIMESTAMP, -1, Context::Explicit)?;
                let today = format!("({0} - {0} % 86400000000)", shift("evesql_now()"));
                Typed::new(format!("evesql_age({today}, {})", since.sql), PgType::INTERVAL)
            }
            ("current_date", []) => {
                Typed::new(format!("({} / 86400000000)", shift("evesql_now()")), PgType::DATE).not_null()
            }
            ("localtime", []) => {
                Typed::new(format!("({} % 86400000000)", shift("evesql_now()")), PgType::TIME).not_null()
            }
            ("current_user" | "session_user" | "user" | "current_role", []) => {
                self.depends_on_user = true;
                let user = if name == "session_user" { &self.settings.session_user } else { &self.settings.user };
                Typed { ty: PgType::NAME, ..text(user) }
            }
            ("current_database" | "current_catalog", []) => Typed { ty: PgType::NAME, ..text(&self.settings.database) },
            ("current_schema", []) => {
                let is_there = |s: &&String| self.catalog.schema_oid(s).is_some() && !is_temporary(s);
                let schema = self.settings.search_path.iter().find(is_there);
                match schema {
                    Some(schema) => Typed { ty: PgType::NAME, ..text(schema) },
                    None => Typed::constant(Value::Null, PgType::NAME),
                }
            }
            ("current_schemas", [_]) => {
                let implicit = self.strict_args(exprs, 1, name)?.remove(0);
                let mut schemas = Vec::new();
                if implicit.value() == Some(&Value::Integer(1)) {
                    schemas.extend(self.temporary_schema().map(|schema| Value::Text(schema.into())));
                    schemas.push(Value::Text("pg_catalog".into()));
                }
                let named = self.settings.search_path.iter().filter(|s| !is_temporary(s));
                schemas.extend(named.map(|s| Value::Text(s.as_str().into())));
                let json = crate::dialect::codec::array_to_json(&schemas);
                Typed::constant(Value::Text(json.into()), PgType::NAME_ARRAY)
            }
            ("version", []) => text(concat!("PostgreSQL 15.0 (EveSQL ", env!("CARGO_PKG_VERSION"), ")")),
            ("set_config", [_, _, _]) => {
                let mut args = self.strict_args(exprs, 3, name)?;
                let local = self.condition(args.remove(2), "set_config")?;
                let value = self.coerce(args.remove(1), PgType::TEXT, -1, Context::Implicit)?;
                let parameter = self.coerce(args.remove(0), PgType::TEXT, -1, Context::Implicit)?;
                self.uses_catalog = true;
                let sql = format!("set_config({}, {}, {})", parameter.sql, value.sql, local.sql);
                Typed::new(sql, PgType::TEXT)
            }
            ("pg_typeof", [_]) => {
                let arg = self.strict_args(exprs, 1, name)?.remove(0);
                Typed::constant(Value::Integer(i64::from(arg.ty.0)), PgType::REGTYPE)
            }
            ("coalesce", [_, ..]) => {
                let mut args = Vec::new();
                for expr in exprs {
                    args.push(self.expr(expr)?);
                }
                let scales: Vec<Option<u32>> = args.iter().map(|arg| arg.scale).collect();
                let (args, ty, typmod) = self.unify(args, "COALESCE")?;
                let nullable = args.iter().all(|arg| arg.nullable);
                let list: Vec<String> = args.iter().map(|arg| arg.sql.clone()).collect();
                let sql = if list.len() == 1 { list[0].clone() } else { format!("coalesce({})", list.join(", ")) };
                let mut typed = Typed::new(sql, ty).nullable_if(nullable);
                typed.typmod = typmod;
                typed.scale = scales[0].filter(|scale| scales.iter().all(|s| *s == Some(*scale)));
                typed
            }
            ("nullif", [_, _]) => {
                let args = self.strict_args(exprs, 2, name)?;
                // What is of no type yet takes that of the other.
                let other = if args[1].ty == PgType::VARCHAR { PgType::TEXT } else { args[1].ty };
                let first = match args[0].ty == PgType::UNKNOWN && other != PgType::UNKNOWN {
                    true => self.coerce(args[0].clone(), other, -1, Context::Implicit)?,
                    false => self.as_text_if_unknown(args[0].clone())?,
                };
                let test = self.compare("=", first.clone(), args[1].clone())?;
                let mut typed = Typed::new(format!("iif({}, NULL, {})", test.sql, first.sql), first.ty);
                typed.scale = first.scale;
                typed.typmod = first.typmod;
                typed
            }
            ("greatest" | "least", [_, ..]) => self.extreme(name, exprs)?,
            ("enum_first" | "enum_last", [_]) | ("enum_range", [_] | [_, _]) => {
                let args = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
                self.enum_function(name, &args)?.ok_or_else(|| no_function(name, &args))?
            }
            ("concat" | "concat_ws", _) => {
                let mut list = Vec::new();
                for expr in exprs {
                    list.push(self.output_text(expr)?);
                }
                match name {
                    "concat" if list.is_empty() => return Err(no_function(name, &[])),
                    "concat" => {
                        let all: Vec<String> = list.iter().map(|item| format!("ifnull({item}, '')")).collect();
                        Typed::new(format!("({})", all.join(" || ")), PgType::TEXT).not_null()
                    }
                    _ => Typed::new(format!("evesql_concat_ws({})", list.join(", ")), PgType::TEXT),
                }
            }
            ("format", [_, ..]) => {
                let mut list = Vec::new();
                for expr in exprs {
                    list.push(self.output_text(expr)?);
                }
                Typed::new(format!("evesql_format({})", list.join(", ")), PgType::TEXT)
            }
            ("date_trunc", [_, value]) => {
                let field = self.expr(&exprs[0])?;
                let value = self.expr(value)?;
                self.date_trunc(field, value)?
            }
            ("date_trunc", [_, _, _]) => {
                // As the clocks of that zone show it, and back.
                let mut args = self.strict_args(exprs, 3, name)?;
                let zone = args.remove(2);
                let moment = self.coerce(args.remove(1), PgType::TIMESTAMPTZ, -1, Context::Implicit)?;
                let shown = self.at_time_zone(moment, zone.clone())?;
                let cut = self.date_trunc(args.remove(0), shown)?;
                self.at_time_zone(cut, zone)?
            }
            ("date_part", [_, value]) => {
                let field = self.expr(&exprs[0])?;
                let field = match self.literal_text(&field) {
                    Some(field) => super::typed::quote_text(&field.to_lowercase()),
                    None => format!("lower({})", self.coerce(field, PgType::TEXT, -1, Context::Implicit)?.sql),
                };
                let value = self.expr(value)?;
                self.extract(&field, value, false)?
            }
            ("timezone", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                let moment = args.remove(1);
                self.at_time_zone(moment, args.remove(0))?
            }
            ("to_char", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                let picture = self.coerce(args.remove(1), PgType::TEXT, -1, Context::Implicit)?;
                let value = args.remove(0);
                if !(value.ty.is_number()
                    || matches!(value.ty, PgType::DATE | PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::INTERVAL))
                {
                    return Err(no_function(name, &[value, picture]));
                }
                Typed::new(
                    format!("evesql_to_char({}, {}, {}, {zone_sql})", value.sql, picture.sql, value.ty.0),
                    PgType::TEXT,
                )
            }
            ("to_date" | "to_timestamp", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                let picture = self.coerce(args.remove(1), PgType::TEXT, -1, Context::Implicit)?;
                let value = self.coerce(args.remove(0), PgType::TEXT, -1, Context::Implicit)?;
                let ty = if name == "to_date" { PgType::DATE } else { PgType::TIMESTAMPTZ };
                Typed::new(format!("evesql_{name}({}, {}, {zone_sql})", value.sql, picture.sql), ty)
            }
            ("age", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                if !args.iter().all(|arg| arg.ty.is_moment() || arg.ty == PgType::UNKNOWN) {
                    return Err(no_function(name, &args));
                }
                let other = self.coerce(args.remove(1), PgType::TIMESTAMP, -1, Context::Explicit)?;
                let value = self.coerce(args.remove(0), PgType::TIMESTAMP, -1, Context::Explicit)?;
                Typed::new(format!("evesql_age({}, {})", value.sql, other.sql), PgType::INTERVAL)
            }
            ("nextval" | "currval" | "setval", [_, ..]) => self.sequence_function(name, exprs)?,
            ("lastval", []) => {
                self.uses_system_values = true;
                Typed::new("evesql_lastval()", PgType::INT8)
            }
            ("array_to_string", [_, _] | [_, _, _]) => {
                let mut args = Vec::new();
                for expr in exprs {
                    args.push(self.expr(expr)?);
                }
                let array = match args[0].ty.element() {
                    Some(_) => args[0].clone(),
                    None => self.coerce(args[0].clone(), PgType::TEXT_ARRAY, -1, Context::Implicit)?,
                };
                let mut list = vec![array.sql.clone(), array.ty.0.to_string()];
                for arg in args.into_iter().skip(1) {
                    list.push(self.coerce(arg, PgType::TEXT, -1, Context::Implicit)?.sql);
                }
                Typed::new(format!("evesql_array_to_string({})", list.join(", ")), PgType::TEXT)
            }
            ("array_position", [_, _] | [_, _, _]) => {
                let mut args = self.strict_args(exprs, exprs.len(), name)?;
                let start = match args.len() {
                    3 => self.coerce(args.remove(2), PgType::INT4, -1, Context::Implicit)?.sql,
                    _ => "1".into(),
                };
                let element = args[0].ty.element().ok_or_else(|| no_function(name, &args))?;
                let item = self.coerce(args[1].clone(), element, -1, Context::Explicit)?;
                let value = self.element_sql("value", element);
                let sql = format!(
                    "(SELECT min(key) + 1 FROM json_each({}) WHERE {value} IS {} AND key + 1 >= {start})",
                    args[0].sql, item.sql
                );
                Typed::new(sql, PgType::INT4)
            }
            ("array_remove", [_, _]) => {
                let args = self.strict_args(exprs, 2, name)?;
                let element = args[0].ty.element().ok_or_else(|| no_function(name, &args))?;
                let item = self.coerce(args[1].clone(), element, -1, Context::Explicit)?;
                let sql = format!("evesql_array_remove({}, {}, {})", args[0].sql, item.sql, args[0].ty.0);
                Typed::new(sql, args[0].ty)
            }
            ("array_positions", [_, _]) | ("array_replace", [_, _, _]) => {
                let args = self.strict_args(exprs, exprs.len(), name)?;
                let element = args[0].ty.element().ok_or_else(|| no_function(name, &args))?;
                let mut list = vec![args[0].sql.clone(), args[0].ty.0.to_string()];
                for arg in &args[1..] {
                    list.push(self.coerce(arg.clone(), element, -1, Context::Implicit)?.sql);
                }
                let ty = if name == "array_replace" { args[0].ty } else { PgType::INT4_ARRAY };
                Typed::new(format!("evesql_{name}({})", list.join(", ")), ty)
            }
            ("array_fill", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                let item = self.as_text_if_unknown(args.remove(0))?;
                let array = item.ty.array().ok_or_else(|| no_function(name, &[item.clone(), args[0].clone()]))?;
                let lengths = self.coerce(args.remove(0), PgType::INT4_ARRAY, -1, Context::Implicit)?;
                let item = self.json_item(&item, false);
                Typed::new(format!("evesql_array_fill(json_array({item}), {})", lengths.sql), array).not_null()
            }
            ("array_to_json", [_]) => {
                let array = self.strict_args(exprs, 1, name)?.remove(0);
                array.ty.element().ok_or_else(|| no_function(name, std::slice::from_ref(&array)))?;
                Typed::new(
                    format!("evesql_json_build_value(0, {zone_sql}, {}, {})", array.sql, array.ty.0),
                    PgType::JSON,
                )
                .nullable_if(array.nullable)
            }
            ("width_bucket", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                let element = args[1].ty.element().ok_or_else(|| no_function(name, &args))?;
                let bounds = args.remove(1);
                let operand = self.coerce(args.remove(0), element, -1, Context::Implicit)?;
                let sql = format!("evesql_bucket_of({}, {}, {})", operand.sql, bounds.sql, bounds.ty.0);
                Typed::new(sql, PgType::INT4).nullable_if(operand.nullable || bounds.nullable)
            }
            ("quote_literal" | "quote_nullable", [_]) => {
                let value = self.strict_args(exprs, 1, name)?.remove(0);
                let value = self.coerce(value, PgType::TEXT, -1, Context::Explicit)?;
                let quoted = format!("evesql_quote_literal({})", value.sql);
                match name {
                    "quote_literal" => Typed::new(quoted, PgType::TEXT).nullable_if(value.nullable),
                    _ => Typed::new(format!("ifnull({quoted}, 'NULL')"), PgType::TEXT).not_null(),
                }
            }
            ("trim_array", [_, _]) => {
                let args = self.strict_args(exprs, 2, name)?;
                args[0].ty.element().ok_or_else(|| no_function(name, &args))?;
                let count = self.coerce(args[1].clone(), PgType::INT4, -1, Context::Implicit)?;
                Typed::new(format!("evesql_trim_array({}, {})", args[0].sql, count.sql), args[0].ty)
            }
            ("array_prepend", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                if args[1].ty.element().is_none() && args[1].ty != PgType::UNKNOWN {
                    return Err(no_function(name, &args));
                }
                if let Some(element) = args[1].ty.element() {
                    args[0] = self.coerce(args[0].clone(), element, -1, Context::Implicit)?;
                }
                self.binary(&sqlparser::ast::BinaryOperator::StringConcat, args[0].clone(), args[1].clone())?
            }
            (
                "json_extract_path" | "jsonb_extract_path" | "json_extract_path_text" | "jsonb_extract_path_text",
                [_, _, ..],
            ) => {
                let mut args = self.strict_args(exprs, exprs.len(), name)?;
                let ty = if name.starts_with("jsonb") { PgType::JSONB } else { PgType::JSON };
                let json = self.coerce(args.remove(0), ty, -1, Context::Implicit)?;
                let mut path = Vec::new();
                for step in args {
                    path.push(self.coerce(step, PgType::TEXT, -1, Context::Implicit)?.sql);
                }
                let as_text = name.ends_with("text");
                let path = path.join(", ");
                let sql = format!("evesql_json_path({}, json_array({path}), {})", json.sql, i32::from(as_text));
                Typed::new(sql, if as_text { PgType::TEXT } else { ty })
            }
            ("num_nulls" | "num_nonnulls", [_, ..]) => {
                let args = self.strict_args(exprs, exprs.len(), name)?;
                let word = if name == "num_nulls" { "IS NULL" } else { "IS NOT NULL" };
                let all: Vec<String> = args.iter().map(|arg| format!("({} {word})", arg.sql)).collect();
                Typed::new(format!("({})", all.join(" + ")), PgType::INT4).not_null()
            }
            ("array_append" | "array_cat", [_, _]) => {
                let mut args = self.strict_args(exprs, 2, name)?;
                if args[0].ty.element().is_none() && args[0].ty != PgType::UNKNOWN {
                    return Err(no_function(name, &args));
                }
                if let (Some(element), "array_append") = (args[0].ty.element(), name) {
                    args[1] = self.coerce(args[1].clone(), element, -1, Context::Implicit)?;
                }
                self.binary(&sqlparser::ast::BinaryOperator::StringConcat, args[0].clone(), args[1].clone())?
            }
            (
                "json_build_object" | "jsonb_build_object" | "json_build_array" | "jsonb_build_array" | "to_json"
                | "to_jsonb" | "row_to_json",
                _,
            ) => self.json_build(name, exprs)?,
            (
                "generate_series"
                | "unnest"
                | "json_array_elements"
                | "jsonb_array_elements"
                | "regexp_split_to_table"
                | "regexp_matches"
                | "string_to_table"
                | "json_each"
                | "json_each_text"
                | "jsonb_each"
                | "jsonb_each_text"
                | "generate_subscripts",
                _,
            ) => {
                return Err(SqlError::new("0A000", format!("{name}() outside of FROM is not supported")));
            }
            _ => return self.errand_call(name, exprs),
        };
        Ok(Some(typed))
    }

    /// A value as the client would see it: a boolean is `t` there and `true` in a cast.
    fn output_text(&mut self, expr: &Expr) -> Result<String> {
        let arg = self.expr(expr)?;
        if arg.ty == PgType::BOOL {
            return Ok(format!("iif({0} IS NULL, NULL, iif({0}, 't', 'f'))", arg.sql));
        }
        Ok(self.as_text(arg)?.sql)
    }

    fn extreme(&mut self, name: &str, exprs: &[Expr]) -> Result<Typed> {
        let mut args = Vec::new();
        for expr in exprs {
            args.push(self.expr(expr)?);
        }
        let scales: Vec<Option<u32>> = args.iter().map(|arg| arg.scale).collect();
        let (args, ty, typmod) = self.unify(args, &name.to_uppercase())?;
        if args.len() == 1 {
            return Ok(args[0].clone());
        }
        if ty == PgType::JSON {
            return Err(SqlError::new("42883", "could not identify a comparison function for type json"));
        }
        if ty == PgType::JSONB || ty.element().is_some() {
            let direction = if name == "greatest" { 1 } else { -1 };
            let pairs: Vec<String> = args.iter().map(|arg| format!("{}, {}", arg.sql, self.sort_key(arg))).collect();
            let nullable = args.iter().all(|arg| arg.nullable);
            let sql = format!("evesql_extreme({direction}, {})", pairs.join(", "));
            return Ok(Typed::new(sql, ty).nullable_if(nullable));
        }
        // SQLite's max(a, b) is NULL if one is; ours skip them.
        let key = |arg: &Typed| self.enum_rank(arg).unwrap_or_else(|| arg.sql.clone());
        let sql = format!("evesql_{name}({})", args.iter().map(key).collect::<Vec<_>>().join(", "));
        if ty.is_enum() {
            return self.enum_at_rank(&sql, ty);
        }
        let mut typed = Typed::new(sql, ty).nullable_if(args.iter().all(|arg| arg.nullable));
        typed.typmod = typmod;
        typed.scale = scales[0].filter(|scale| scales.iter().all(|s| *s == Some(*scale)));
        Ok(typed)
    }

    fn json_build(&mut self, name: &str, exprs: &[Expr]) -> Result<Typed> {
        let ty = if name.contains("jsonb") { PgType::JSONB } else { PgType::JSON };
        let mut list = Vec::new();
        for expr in exprs {
            let arg = match self.row_as_json(expr)? {
                Some(row) => row,
                None if name == "row_to_json" => {
                    return Err(SqlError::new("0A000", "row_to_json() of this expression is not supported"));
                }
                None => self.expr(expr)?,
            };
            let arg = self.as_text_if_unknown(arg)?;
            list.push(super::whole_rows::shown(&arg));
            list.push(arg.ty.0.to_string());
        }
        let zone_sql = self.settings.time_zone.zone.sql();
        let kind = match name {
            "json_build_object" | "jsonb_build_object" => "object",
            "json_build_array" | "jsonb_build_array" => "array",
            _ if exprs.len() != 1 => return Err(no_function(name, &[])),
            _ => "value",
        };
        list.insert(0, zone_sql);
        list.insert(0, i32::from(ty == PgType::JSONB).to_string());
        Ok(Typed::new(format!("evesql_json_build_{kind}({})", list.join(", ")), ty))
    }

    /// EXTRACT, or date_part if it is not exact; `field` is SQLite's text for the field's name.
    pub(super) fn extract(&mut self, field: &str, value: Typed, exact: bool) -> Result<Typed> {
        let value = self.parameter_type(value);
        let value = if value.ty == PgType::UNKNOWN {
            self.coerce(value, PgType::TIMESTAMPTZ, -1, Context::Implicit)?
        } else {
            value
        };
        if !matches!(value.ty, PgType::DATE | PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::TIME | PgType::INTERVAL)
        {
            return Err(SqlError::new(
                "42883",
                format!("function pg_catalog.extract(unknown, {}) does not exist", value.ty.sql_name()),
            ));
        }
        let zone_sql = self.settings.time_zone.zone.sql();
        let (name, ty) = if exact { ("evesql_extract", PgType::NUMERIC) } else { ("evesql_date_part", PgType::FLOAT8) };
        Ok(Typed::new(format!("{name}({field}, {}, {}, {zone_sql})", value.sql, value.ty.0), ty))
    }

    fn date_trunc(&mut self, field: Typed, value: Typed) -> Result<Typed> {
        let field = self.coerce(field, PgType::TEXT, -1, Context::Implicit)?;
        let value = self.parameter_type(value);
        let ty = match value.ty {
            PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::INTERVAL => value.ty,
            PgType::DATE | PgType::UNKNOWN => PgType::TIMESTAMPTZ,
            ty => {
                return Err(SqlError::new(
                    "42883",
                    format!("function date_trunc(text, {}) does not exist", ty.sql_name()),
                ));
            }
        };
        let value = self.coerce(value, ty, -1, Context::Implicit)?;
        let zone = if ty == PgType::TIMESTAMPTZ { self.settings.time_zone.zone } else { Zone::UTC };
        let zone_sql = zone.sql();
        let nullable = value.nullable || field.nullable;
        Ok(Typed::new(format!("evesql_date_trunc({}, {}, {}, {zone_sql})", field.sql, value.sql, ty.0), ty)
            .nullable_if(nullable))
    }

    pub(super) fn at_time_zone(&mut self, moment: Typed, zone: Typed) -> Result<Typed> {
        let moment = self.parameter_type(moment);
        let ty = match moment.ty {
            PgType::TIMESTAMP | PgType::TIMESTAMPTZ => moment.ty,
            PgType::DATE | PgType::UNKNOWN => PgType::TIMESTAMPTZ,
            ty => {
                return Err(SqlError::new(
                    "42883",
                    format!("function pg_catalog.timezone(unknown, {}) does not exist", ty.sql_name()),
                ));
            }
        };
        let moment = self.coerce(moment, ty, -1, Context::Implicit)?;
        let zone = self.coerce(zone, PgType::TEXT, -1, Context::Implicit)?;
        let (direction, result) =
            if ty == PgType::TIMESTAMP { (-1, PgType::TIMESTAMPTZ) } else { (1, PgType::TIMESTAMP) };
        if let Some(Value::Text(name)) = zone.value() {
            let sql = match zone_named(name)? {
                Zone::Fixed(0) => moment.sql,
                Zone::Fixed(offset_s) => {
                    let us = i64::from(offset_s) * 1_000_000 * direction;
                    format!("({} + {})", moment.sql, literal_sql(&Value::Integer(us)))
                }
                place => format!("evesql_at_time_zone({}, {}, {direction})", moment.sql, place.sql()),
            };
            return Ok(Typed::new(sql, result).nullable_if(moment.nullable));
        }
        Ok(Typed::new(format!("evesql_at_time_zone({}, {}, {direction})", moment.sql, zone.sql), result))
    }
}

/// The signature that takes these types: as Postgres chooses, the one with most arguments as they are, then
/// the one with most of the types that it prefers, then the first.
fn choose(name: &str, args: &[Typed]) -> Option<&'static Signature> {
    let takes = |want: PgType, have: PgType| match want {
        PgType::ANYARRAY => have.element().is_some() || have == PgType::UNKNOWN,
        _ => castable(have, want) == Some(Context::Implicit) || want.is_text() && have.is_text(),
    };
    let score = |signature: &Signature| {
        let pairs = || signature.args.iter().zip(args);
        let same = pairs().filter(|(want, have)| **want == have.ty || have.ty == PgType::UNKNOWN && want.is_text());
        let preferred =
            pairs().filter(|(want, _)| matches!(**want, PgType::FLOAT8 | PgType::TEXT | PgType::TIMESTAMPTZ));
        (same.count(), preferred.count())
    };
    let mut best: Option<(&'static Signature, (usize, usize))> = None;
    for signature in SIGNATURES.iter().filter(|s| s.name == name && s.args.len() == args.len()) {
        if !signature.args.iter().zip(args).all(|(want, have)| takes(*want, have.ty)) {
            continue;
        }
        let score = score(signature);
        if best.is_none_or(|(_, found)| score > found) {
            best = Some((signature, score));
        }
    }
    best.map(|(signature, _)| signature)
}
