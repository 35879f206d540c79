//! CREATE, ALTER, DROP: SQLite DDL together with changes of the catalog's rows.

use super::names::{fold, parts};
use super::table_ddl::Work;
use super::{Need, Result, Translator, unsupported};
use crate::catalog::definitions::quote_ident;
use crate::catalog::privileges::Access;
use crate::catalog::{Change, Column, Object, PUBLIC, PUBLIC_OID, Schema, View, is_temporary};
use crate::dialect::prepared::{Kind, Notice, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{
    AlterIndexOperation, CreateView, Expr, Ident, ObjectName, ObjectNamePart, SchemaName, Statement, Visit, Visitor,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Names of the WITH queries of a query.
#[derive(Default)]
struct Ctes {
    names: BTreeSet<String>,
}

impl Visitor for Ctes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &sqlparser::ast::Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.names.extend(with.map(|cte| fold(&cte.alias.name)));
        ControlFlow::Continue(())
    }
}

/// The SELECT that names a query's columns.
fn first_select(body: &mut sqlparser::ast::SetExpr) -> Option<&mut sqlparser::ast::Select> {
    use sqlparser::ast::SetExpr;
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_select(left),
        SetExpr::Query(query) => first_select(&mut query.body),
        _ => None,
    }
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
                let owned_by = owned_by.as_ref().map(parts).filter(|owner| *owner != ["none"]);
                self.create_sequence(name, *if_not_exists, data_type.as_ref(), sequence_options, owned_by)
            }
            Statement::CreateSchema { schema_name, if_not_exists, .. } => {
                self.create_schema(schema_name, *if_not_exists)
            }
            Statement::CreateDatabase { db_name, .. } => {
                let name = parts(db_name).pop().unwrap_or_default();
                self.need(Need::CreateDatabase);
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
            Statement::Merge(_) => unsupported("MERGE"),
            Statement::CreateFunction(_) => unsupported("CREATE FUNCTION"),
            Statement::CreateTrigger(_) => unsupported("CREATE TRIGGER"),
            Statement::CreateProcedure { .. } => unsupported("CREATE PROCEDURE"),
            Statement::CreateType { name, representation } => self.create_type(name, representation.as_ref()),
            Statement::AlterType(alter) => self.alter_type(alter),
            Statement::CreateDomain(_) => unsupported("CREATE DOMAIN"),
            Statement::CreatePolicy(_) => unsupported("CREATE POLICY"),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                unsupported(&words.join(" ").to_uppercase())
            }
        }
    }

    pub(super) fn notice(&mut self, code: &'static str, message: String) {
        self.notices.push(Notice { severity: "NOTICE", code, message });
    }

    pub(super) fn create_view(&mut self, create: &CreateView) -> Result<Prepared> {
        if create.materialized {
            return unsupported("CREATE MATERIALIZED VIEW");
        }
        if create.temporary {
            return unsupported("CREATE TEMPORARY VIEW");
        }
        let (schema, name) = self.creation_schema(&parts(&create.name))?;
        let existing = match self.catalog.named(&schema, &name) {
            Some(Object::View(view)) if create.or_replace => {
                let view = view.clone();
                self.need(Need::Owner(view.oid));
                Some(view)
            }
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
        let is_temporary_table = |oid: &u32| self.catalog.table(*oid).is_some_and(|table| is_temporary(&table.schema));
        if self.reads.iter().any(is_temporary_table) {
            return unsupported("a view of a temporary table");
        }
        let mut work = Work::new(self.catalog);
        let named = create.columns.iter().zip(&outputs);
        let names: Vec<Option<&Ident>> =
            named.map(|(column, output)| Some(&column.name).filter(|name| fold(name) != output.name)).collect();
        let query = self.written_out(&create.query, &names)?;
        let access = existing.as_ref().map(|view| view.access.clone()).unwrap_or_default();
        let oid = existing.map_or_else(|| work.oid(), |view| view.oid);
        let reads = self.reads.iter().copied().collect();
        // What it reads is asked of its owner when it is used.
        self.needs.retain(|need| !matches!(need, Need::On { .. }));
        work.put_view(View { oid, schema, name, query, columns, reads, comment: None, access });
        self.finish_ddl(work, "CREATE VIEW")
    }

    /// The query with the `*` of its select list replaced by the columns of now, and with these names
    /// for its columns where they are others.
    pub(super) fn written_out(&mut self, query: &sqlparser::ast::Query, names: &[Option<&Ident>]) -> Result<String> {
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
        if query.order_by.is_none()
            && let Some(select) = first_select(&mut query.body)
        {
            for (item, name) in select.projection.iter_mut().zip(names) {
                let Some(name) = name else { continue };
                let alias = Ident::clone(name);
                *item = match std::mem::replace(item, SelectItem::Wildcard(Default::default())) {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                        SelectItem::ExprWithAlias { expr, alias }
                    }
                    // Nobody knows which columns these are.
                    other => other,
                };
            }
        }
        self.qualify(&mut query);
        Ok(query.to_string())
    }

    /// Puts the schema before names of tables, sequences and views, so that they mean the same whatever is looked
    /// through later.
    fn qualify(&self, query: &mut sqlparser::ast::Query) {
        let mut made = Ctes::default();
        let _ = query.visit(&mut made);
        let _ = sqlparser::ast::visit_relations_mut(query, |name: &mut ObjectName| {
            if let [own] = parts(name).as_slice()
                && !made.names.contains(own)
                && let Some(object) = self.find_object(None, own)
            {
                let (schema, _) = object.full_name();
                let plain = quote_ident(schema) == schema;
                let schema = if plain { Ident::new(schema) } else { Ident::with_quote('"', schema) };
                name.0.insert(0, ObjectNamePart::Identifier(schema));
            }
            ControlFlow::<()>::Continue(())
        });
    }

    pub(super) fn create_schema(&mut self, name: &SchemaName, if_not_exists: bool) -> Result<Prepared> {
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
        let oid = if name == PUBLIC { PUBLIC_OID } else { work.oid() };
        self.need(Need::Superuser("must be superuser to create schemas", None));
        let schema = Schema { oid, name, comment: None, access: Access::default(), is_gone: false };
        work.change(Change::Put(Object::Schema(Arc::new(schema))));
        self.finish_ddl(work, "CREATE SCHEMA")
    }
}
