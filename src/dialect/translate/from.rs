//! FROM clauses: tables, views, WITH queries, subqueries, set-returning functions, joins.

use super::coerce::Context;
use super::names::{Found, fold, parts};
use super::typed::{Column, Relation, Scope, Typed};
use super::{Result, Translator, quote_name, unsupported};
use crate::catalog::Table;
use crate::dialect::types::{PgType, numeric_typmod};
use crate::transaction::{SqlError, Value};
use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor,
    TableWithJoins,
};

/// A piece of a FROM clause.
#[derive(Default)]
pub(super) struct Item {
    pub sql: String,
    pub relations: Vec<Relation>,
    pub merged: Vec<Column>,
    /// Has a RIGHT or FULL join, whose place among its neighbours matters.
    pub(super) outer: bool,
}

/// A column of a stored table, seen through an alias.
pub(super) fn table_column(alias: &str, table: &Table, column: &crate::catalog::Column) -> Column {
    let ty = PgType(column.type_oid);
    let mut typed = Typed::new(format!("{}.{}", quote_name(alias), quote_name(&column.name)), ty);
    typed.typmod = column.typmod;
    if ty == PgType::NUMERIC && column.typmod >= 0 {
        typed.scale = Some(numeric_typmod(column.typmod).1.max(0) as u32);
    }
    typed.nullable = !column.not_null;
    typed.column = Some((table.oid, column.number));
    Column { name: column.name.clone(), typed, hidden: false }
}

/// The system column `tableoid`.
fn own_oid(oid: u32) -> Column {
    let typed = Typed::constant(Value::Integer(i64::from(oid)), PgType::OID);
    Column { name: "tableoid".into(), typed, hidden: true }
}

impl Translator<'_> {
    pub(super) fn tables_of(&mut self, from: &[TableWithJoins]) -> Result<Item> {
        let mut whole = Item::default();
        let mut pieces = Vec::new();
        for table in from {
            let item = self.joined(table, &whole.relations)?;
            pieces.push(if item.outer && from.len() > 1 { format!("({})", item.sql) } else { item.sql });
            whole.relations.extend(item.relations);
            whole.merged.extend(item.merged);
        }
        for (at, relation) in whole.relations.iter().enumerate() {
            if whole.relations[..at]
                .iter()
                .any(|other| other.alias == relation.alias && (other.schema == relation.schema))
            {
                return Err(SqlError::new(
                    "42712",
                    format!("table name \"{}\" specified more than once", relation.alias),
                ));
            }
        }
        whole.sql = pieces.join(", ");
        Ok(whole)
    }

    fn joined(&mut self, table: &TableWithJoins, siblings: &[Relation]) -> Result<Item> {
        let mut left = self.factor(&table.relation, siblings)?;
        for join in &table.joins {
            let mut visible = siblings.to_vec();
            visible.extend(left.relations.iter().cloned());
            let all_to_the_right = matches!(
                join.join_operator,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
            );
            // Rows of the right side that belong to none of the left have nothing there to see.
            let right = match self.factor(&join.relation, if all_to_the_right { &[] } else { &visible }) {
                Err(_) if all_to_the_right && self.dry(|this| this.factor(&join.relation, &visible)).is_ok() => {
                    let error = SqlError::new("42P10", "invalid reference to FROM-clause entry");
                    Err(error.with_detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."))
                }
                right => right,
            }?;
            left = self.join(left, join, right)?;
        }
        Ok(left)
    }

    fn join(&mut self, mut left: Item, join: &Join, mut right: Item) -> Result<Item> {
        let (word, constraint, null_left, null_right) = match &join.join_operator {
            JoinOperator::Join(c) | JoinOperator::Inner(c) => ("JOIN", Some(c), false, false),
            JoinOperator::CrossJoin(_) => ("JOIN", None, false, false),
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => ("LEFT JOIN", Some(c), false, true),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => ("RIGHT JOIN", Some(c), true, false),
            JoinOperator::FullOuter(c) => ("FULL JOIN", Some(c), true, true),
            _ => return unsupported("this kind of join"),
        };
        let make_nullable = |item: &mut Item| {
            for column in item.relations.iter_mut().flat_map(|r| &mut r.columns).chain(&mut item.merged) {
                column.typed.nullable = true;
            }
        };
        let shared: Vec<String> = match constraint {
            Some(JoinConstraint::Using(columns)) => columns.iter().filter_map(|name| parts(name).pop()).collect(),
            Some(JoinConstraint::Natural) => {
                let names = |item: &Item| -> Vec<String> { visible_columns(item).map(|c| c.name.clone()).collect() };
                let right_names = names(&right);
                names(&left).into_iter().filter(|name| right_names.contains(name)).collect()
            }
            _ => Vec::new(),
        };
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for name in &shared {
            let (a, b) = (one_column(&left, name, "left")?, one_column(&right, name, "right")?);
            let test = self.compare("=", a.typed.clone(), b.typed.clone())?;
            conditions.push(test.sql);
            let typed = match (null_left, null_right) {
                (false, _) => a.typed,
                (true, false) => b.typed,
                (true, true) => {
                    let (both, ty, _) = self.unify(vec![a.typed, b.typed], "JOIN/USING")?;
                    Typed::new(format!("coalesce({}, {})", both[0].sql, both[1].sql), ty)
                }
            };
            merged.push(Column { name: name.clone(), typed, hidden: false });
        }
        if let Some(JoinConstraint::On(condition)) = constraint {
            let mut scope = Scope { clause: "JOIN conditions", ..Scope::default() };
            scope.relations = left.relations.iter().chain(&right.relations).cloned().collect();
            scope.merged = left.merged.iter().chain(&right.merged).cloned().collect();
            self.scopes.push(scope);
            let typed = self.expr(condition).and_then(|typed| self.condition(typed, "JOIN/ON"));
            self.scopes.pop();
            conditions.push(typed?.sql);
        }
        if null_left {
            make_nullable(&mut left);
        }
        if null_right {
            make_nullable(&mut right);
        }
        for column in left.relations.iter_mut().chain(&mut right.relations).flat_map(|r| &mut r.columns) {
            column.hidden |= shared.contains(&column.name);
        }
        left.merged.retain(|column| !shared.contains(&column.name));
        right.merged.retain(|column| !shared.contains(&column.name));
        merged.extend(left.merged);
        merged.extend(right.merged);
        let on = if conditions.is_empty() { String::new() } else { format!(" ON {}", conditions.join(" AND ")) };
        // A join on the right side binds first.
        let right_sql = if right.sql.contains(" JOIN ") && !right.sql.starts_with('(') {
            format!("({})", right.sql)
        } else {
            right.sql
        };
        let mut relations = left.relations;
        relations.extend(right.relations);
        let outer = left.outer || right.outer || null_left;
        Ok(Item { sql: format!("{} {word} {right_sql}{on}", left.sql), relations, merged, outer })
    }

    fn factor(&mut self, factor: &TableFactor, visible: &[Relation]) -> Result<Item> {
        match factor {
            TableFactor::Table { name, alias, args: None, sample, version, with_ordinality: false, .. } => {
                if sample.is_some() {
                    return unsupported("TABLESAMPLE");
                }
                if version.is_some() {
                    return unsupported("a version of a table");
                }
                self.named_relation(name, alias.as_ref()).map_err(|error| self.at(error, name))
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.table_function(name, &args.args, alias.as_ref(), *with_ordinality, visible)
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                self.table_function(name, args, alias.as_ref(), *with_ordinality, visible)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } => {
                let [array] = array_exprs.as_slice() else {
                    let (name, arrays) = (super::sets::in_step_name(), super::sets::several_arrays(array_exprs));
                    return self.table_function(&name, &arrays, alias.as_ref(), *with_ordinality, visible);
                };
                let arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(array.clone()));
                let name = ObjectName::from(vec![sqlparser::ast::Ident::new("unnest")]);
                self.table_function(&name, &[arg], alias.as_ref(), *with_ordinality, visible)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                let alias = alias.as_ref();
                if *lateral {
                    return self.lateral(subquery, alias, visible);
                }
                // A subquery does not see its neighbours, only the queries around.
                let (sql, outputs) = self.query(subquery, None, true)?;
                let name = match alias {
                    Some(alias) => fold(&alias.name),
                    None => {
                        return Err(SqlError::new("42601", "subquery in FROM must have an alias")
                            .with_hint("For example, FROM (SELECT ...) [AS] foo."));
                    }
                };
                let columns = outputs
                    .into_iter()
                    .map(|output| {
                        let sql = format!("{}.{}", quote_name(&name), quote_name(&output.name));
                        Column {
                            typed: Typed { sql, param: None, literal: None, checked: None, ..output.typed },
                            name: output.name,
                            hidden: false,
                        }
                    })
                    .collect();
                let sql = format!("({sql}) AS {}", quote_name(&name));
                let mut relation = Relation { alias: name, schema: None, table: None, columns };
                rename(&mut relation, alias)?;
                // Names that were made unique inside show as they were written.
                for column in &mut relation.columns {
                    column.name = super::select::plain_name(&column.name).to_string();
                }
                Ok(Item { sql, relations: vec![relation], ..Item::default() })
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let item = self.joined(table_with_joins, visible)?;
                Ok(Item { sql: format!("({})", item.sql), outer: false, ..item })
            }
            _ => unsupported("this form of FROM"),
        }
    }

    fn named_relation(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Item> {
        let own_name = parts(name).pop().unwrap_or_default();
        let shown = alias.map_or_else(|| own_name.clone(), |alias| fold(&alias.name));
        let (sql, mut relation) = match self.find_relation(name)? {
            Found::Cte(at) => {
                let cte = self.ctes[at].clone();
                let columns = cte.columns.into_iter().map(|output| {
                    let sql = format!("{}.{}", quote_name(&shown), quote_name(&output.name));
                    let shown_name = super::select::plain_name(&output.name).to_string();
                    Column { name: shown_name, typed: Typed { sql, ..output.typed }, hidden: false }
                });
                let relation = Relation { alias: shown.clone(), schema: None, table: None, columns: columns.collect() };
                (quote_name(&cte.sql_name), relation)
            }
            Found::Table(table) => {
                let mut columns: Vec<Column> =
                    table.columns.iter().map(|column| table_column(&shown, &table, column)).collect();
                columns.push(own_oid(table.oid));
                let schema = alias.is_none().then(|| table.schema.clone());
                (
                    quote_name(&table.sqlite_name),
                    Relation { alias: shown.clone(), schema, table: Some(table.oid), columns },
                )
            }
            Found::System(table) => {
                let mut columns: Vec<Column> =
                    table.columns.iter().map(|column| table_column(&shown, table, column)).collect();
                columns.push(own_oid(table.oid));
                let schema = alias.is_none().then(|| table.schema.clone());
                let sql = format!("{}.{}", quote_name(&table.schema), quote_name(&table.sqlite_name));
                (sql, Relation { alias: shown.clone(), schema, table: None, columns })
            }
            Found::Sequence(oid) => {
                let column = |(name, ty): (&str, PgType)| {
                    let typed = Typed::new(format!("{}.{name}", quote_name(&shown)), ty).not_null();
                    Column { name: name.into(), typed, hidden: false }
                };
                let columns =
                    [("last_value", PgType::INT8), ("log_cnt", PgType::INT8), ("is_called", PgType::BOOL)].map(column);
                let sql = format!(
                    "(SELECT last_value, 0 AS log_cnt, is_called FROM evesql_sequences WHERE evesql_sequences.oid = {oid})"
                );
                (sql, Relation { alias: shown.clone(), schema: None, table: None, columns: columns.into() })
            }
            Found::View(view) => {
                if self.views.contains(&view.oid) || self.views.len() > 32 {
                    return Err(SqlError::new(
                        "42P17",
                        format!("infinite recursion detected in view \"{}\"", view.name),
                    ));
                }
                self.views.push(view.oid);
                let result = self.view_body(&view);
                self.views.pop();
                let sql = result?;
                let columns = view.columns.iter().map(|column| {
                    let placeholder = Table::default();
                    let mut made = table_column(&shown, &placeholder, column);
                    made.typed.column = None;
                    made.typed.scale = None;
                    made.typed.nullable = true;
                    made
                });
                let schema = alias.is_none().then(|| view.schema.clone());
                let relation = Relation { alias: shown.clone(), schema, table: None, columns: columns.collect() };
                (format!("({sql})"), relation)
            }
        };
        rename(&mut relation, alias)?;
        let quoted = quote_name(&shown);
        let sql = if sql == quoted { sql } else { format!("{sql} AS {quoted}") };
        Ok(Item { sql, relations: vec![relation], ..Item::default() })
    }

    /// A view's query, outside of all scopes, with the view's column names.
    fn view_body(&mut self, view: &crate::catalog::View) -> Result<String> {
        let query = crate::dialect::parse::parse_query(&view.query)?;
        let (scopes, ctes) = (std::mem::take(&mut self.scopes), std::mem::take(&mut self.ctes));
        let result = self.query(&query, None, true);
        self.scopes = scopes;
        self.ctes = ctes;
        let (sql, outputs) = result?;
        let list: Vec<String> = outputs
            .iter()
            .zip(&view.columns)
            .map(|(output, column)| format!("v.{} AS {}", quote_name(&output.name), quote_name(&column.name)))
            .collect();
        if outputs.iter().zip(&view.columns).all(|(output, column)| output.name == column.name) {
            return Ok(sql);
        }
        Ok(format!("SELECT {} FROM ({sql}) AS v", list.join(", ")))
    }

    /// Set-returning functions: json_each over an array.
    fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        with_ordinality: bool,
        visible: &[Relation],
    ) -> Result<Item> {
        let function = parts(name).pop().unwrap_or_default();
        if super::sets::is_in_step(name) {
            let shown = alias.map_or_else(|| "unnest".to_string(), |alias| fold(&alias.name));
            let mut item = self.in_step(args, &shown, with_ordinality, visible)?;
            item.relations.iter_mut().try_for_each(|relation| rename(relation, alias))?;
            return Ok(item);
        }
        if function == "pg_options_to_table" {
            return Ok(no_options(alias));
        }
        if function == "pg_get_keywords" && args.is_empty() && !with_ordinality {
            let mut item = super::keywords::keywords(alias);
            item.relations.iter_mut().try_for_each(|relation| rename(relation, alias))?;
            return Ok(item);
        }
        if let Some(item) = self.record_set(&function, args, alias, with_ordinality, visible)? {
            return Ok(item);
        }
        self.scopes.push(Scope { relations: visible.to_vec(), clause: "functions in FROM", ..Scope::default() });
        let result = self.set_of(&function, args);
        self.scopes.pop();
        let (json, element) = result?;
        let shown = alias.map_or_else(|| function.clone(), |alias| fold(&alias.name));
        let quoted = quote_name(&shown);
        let value = self.element_sql(&format!("{quoted}.value"), element);
        // Named by the function itself, whatever the table is called.
        let is_value = function.ends_with("_elements") || function.ends_with("_elements_text");
        let name = if is_value { "value".to_string() } else { shown.clone() };
        let mut columns = vec![Column { name, typed: Typed::new(value, element), hidden: false }];
        if with_ordinality {
            let typed = Typed::new(format!("({quoted}.key + 1)"), PgType::INT8).not_null();
            columns.push(Column { name: "ordinality".into(), typed, hidden: false });
        }
        let mut relation = Relation { alias: shown, schema: None, table: None, columns };
        rename(&mut relation, alias)?;
        Ok(Item { sql: format!("json_each({json}) AS {quoted}"), relations: vec![relation], ..Item::default() })
    }

    /// The array that holds a function's rows, and the type of its elements.
    pub(super) fn set_of(&mut self, function: &str, args: &[FunctionArg]) -> Result<(String, PgType)> {
        let mut typed = Vec::new();
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                    let arg = self.expr(expr)?;
                    typed.push(self.parameter_type(arg));
                }
                _ => return unsupported("a named argument"),
            }
        }
        match (function, typed.as_slice()) {
            ("unnest", [array]) => {
                let array = match array.ty.element() {
                    Some(_) => array.clone(),
                    None => self.coerce(array.clone(), PgType::TEXT_ARRAY, -1, Context::Implicit)?,
                };
                Ok((array.sql, array.ty.element().unwrap_or(PgType::TEXT)))
            }
            ("generate_series", [start, stop]) | ("generate_series", [start, stop, _]) => {
                let (both, mut ty, _) = self.unify(vec![start.clone(), stop.clone()], "generate_series")?;
                let step = typed.get(2).cloned();
                if ty.is_integer() && step.as_ref().is_some_and(|step| step.ty == PgType::NUMERIC) {
                    ty = PgType::NUMERIC;
                }
                match ty {
                    PgType::NUMERIC => {
                        let mut list = Vec::new();
                        let one = Typed::constant(Value::Integer(1), PgType::INT4);
                        for number in both.into_iter().chain([step.unwrap_or(one)]) {
                            list.push(self.coerce(number, ty, -1, Context::Implicit)?.sql);
                        }
                        Ok((format!("evesql_series_numeric({})", list.join(", ")), ty))
                    }
                    _ if ty.is_integer() => {
                        let step = match step {
                            Some(step) => self.coerce(step, PgType::INT8, -1, Context::Implicit)?,
                            None => Typed::constant(Value::Integer(1), PgType::INT8),
                        };
                        let sql = format!("evesql_series({}, {}, {})", both[0].sql, both[1].sql, step.sql);
                        Ok((
                            sql,
                            if ty == PgType::INT8
                                || step.ty == PgType::INT8 && typed.len() == 3 && typed[2].ty == PgType::INT8
                            {
                                PgType::INT8
                            } else {
                                PgType::INT4
                            },
                        ))
                    }
                    PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::DATE => {
                        let Some(step) = step else {
                            return unsupported("generate_series of timestamps without a step");
                        };
                        let step = self.coerce(step, PgType::INTERVAL, -1, Context::Implicit)?;
                        let ty = if ty == PgType::DATE { PgType::TIMESTAMPTZ } else { ty };
                        let mut ends = Vec::new();
                        for end in both {
                            ends.push(self.coerce(end, ty, -1, Context::Implicit)?.sql);
                        }
                        Ok((format!("evesql_series_time({}, {}, {})", ends[0], ends[1], step.sql), ty))
                    }
                    _ => unsupported("generate_series of this type"),
                }
            }
            ("generate_subscripts", [array, dimension]) => {
                let zero_based = matches!(array.ty, PgType::INT2VECTOR | PgType::OIDVECTOR);
                let first = i32::from(!zero_based);
                let sql = format!(
                    "evesql_series({first}, evesql_array_length({}, {}) - {}, 1)",
                    array.sql,
                    dimension.sql,
                    1 - first
                );
                Ok((sql, PgType::INT4))
            }
            ("jsonb_array_elements", [json]) => {
                let json = self.coerce(json.clone(), PgType::JSONB, -1, Context::Implicit)?;
                Ok((format!("evesql_jsonb_elements({})", json.sql), PgType::JSONB))
            }
            ("json_object_keys" | "jsonb_object_keys", [json]) => {
                let is_binary = function == "jsonb_object_keys";
                let (ty, kind) = if is_binary { (PgType::JSONB, "jsonb") } else { (PgType::JSON, "json") };
                let json = self.coerce(json.clone(), ty, -1, Context::Implicit)?;
                Ok((format!("evesql_{kind}_keys({})", json.sql), PgType::TEXT))
            }
            ("json_array_elements" | "json_array_elements_text", [json]) => {
                let json = self.coerce(json.clone(), PgType::JSON, -1, Context::Implicit)?;
                let as_text = function.ends_with("_text");
                let ty = if as_text { PgType::TEXT } else { PgType::JSON };
                Ok((format!("evesql_json_elements({}, {})", json.sql, i32::from(as_text)), ty))
            }
            ("jsonb_array_elements_text", [json]) => {
                let json = self.coerce(json.clone(), PgType::JSONB, -1, Context::Implicit)?;
                Ok((format!("evesql_json_texts({})", json.sql), PgType::TEXT))
            }
            ("regexp_matches" | "regexp_split_to_table", [_, _] | [_, _, _])
            | ("string_to_table", [_, _] | [_, _, _]) => {
                let mut list = Vec::new();
                for arg in &typed {
                    list.push(self.coerce(arg.clone(), PgType::TEXT, -1, Context::Implicit)?.sql);
                }
                if list.len() == 2 && function != "string_to_table" {
                    list.push("''".into());
                }
                let list = list.join(", ");
                Ok(match function {
                    "regexp_matches" => (format!("evesql_regex_matches({list})"), PgType::TEXT_ARRAY),
                    "regexp_split_to_table" => (format!("evesql_regex_split({list}, 1)"), PgType::TEXT),
                    _ => (format!("ifnull(evesql_string_to_array({list}), '[]')"), PgType::TEXT),
                })
            }
            ("pg_listening_channels", []) => {
                self.does_errands = Some(function.to_owned());
                self.uses_system_values = true;
                Ok((format!("evesql_system('{}channels')", crate::dialect::ERRAND), PgType::TEXT))
            }
            ("pg_partition_ancestors", [oid]) => {
                Ok((format!("iif({} IS NULL, NULL, '[]')", oid.sql), PgType::REGCLASS))
            }
            ("pg_get_keywords" | "pg_timezone_names" | "pg_show_all_settings" | "_pg_expandarray", _) => {
                unsupported(&format!("{function}()"))
            }
            _ => {
                let types: Vec<String> = typed.iter().map(|arg| arg.ty.sql_name()).collect();
                Err(SqlError::new("42883", format!("function {function}({}) does not exist", types.join(", "))))
            }
        }
    }
}

/// Rows of `pg_options_to_table`: nothing here has options.
fn no_options(alias: Option<&TableAlias>) -> Item {
    let shown = alias.map_or_else(|| "pg_options_to_table".to_string(), |alias| fold(&alias.name));
    let quoted = quote_name(&shown);
    let column = |name: &str| {
        let typed = Typed::new(format!("{quoted}.{name}"), PgType::TEXT);
        Column { name: name.into(), typed, hidden: false }
    };
    let columns = ["option_name", "option_value"].map(column).into();
    Item {
        sql: format!("(SELECT '' AS option_name, '' AS option_value WHERE false) AS {quoted}"),
        relations: vec![Relation { alias: shown, schema: None, table: None, columns }],
        ..Item::default()
    }
}

/// Gives columns the names of an alias's column list.
pub(super) fn rename(relation: &mut Relation, alias: Option<&TableAlias>) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    if alias.columns.len() > relation.columns.len() {
        return Err(SqlError::new(
            "42P10",
            format!(
                "table \"{}\" has {} columns available but {} columns specified",
                relation.alias,
                relation.columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, name) in relation.columns.iter_mut().zip(&alias.columns) {
        column.name = fold(&name.name);
    }
    Ok(())
}

fn visible_columns(item: &Item) -> impl Iterator<Item = &Column> {
    item.merged.iter().chain(item.relations.iter().flat_map(|r| &r.columns).filter(|c| !c.hidden))
}

fn one_column(item: &Item, name: &str, side: &str) -> Result<Column> {
    let mut found = visible_columns(item).filter(|column| column.name == name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column.clone()),
        (None, _) => Err(SqlError::new(
            "42703",
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
        _ => {
            Err(SqlError::new("42702", format!("common column name \"{name}\" appears more than once in {side} table")))
        }
    }
}
