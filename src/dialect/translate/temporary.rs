//! Temporary tables: tables of a schema of the session's own, which stands first in its search path and goes with the
//! session (docs/decisions/temporary_tables.md).

use super::names::parts;
use super::table_ddl::Work;
use super::{Result, Translator};
use crate::catalog::privileges::Access;
use crate::catalog::{Change, Object, Schema, Table, is_temporary};
use crate::dialect::prepared::Prepared;
use crate::transaction::SqlError;
use sqlparser::ast::{CreateTable, Expr, Ident, ObjectName, ObjectType, OnCommit, Query, Select, SelectInto, SetExpr};
use std::sync::Arc;

/// The schema by which a session calls its own.
pub(super) const OWN: &str = "pg_temp";

impl Translator<'_> {
    /// The schema of the session's temporary tables, if it may have any.
    pub(super) fn temporary_schema(&self) -> Option<&str> {
        self.settings.search_path.first().map(String::as_str).filter(|schema| is_temporary(schema))
    }

    /// A schema that was named: its real name, unless it is another session's.
    pub(super) fn own_schema(&self, schema: &str) -> Result<String> {
        match self.temporary_schema() {
            Some(own) if schema == OWN || schema == own => Ok(own.to_owned()),
            _ if is_temporary(schema) => {
                Err(SqlError::new("0A000", "cannot access temporary tables of other sessions"))
            }
            _ => Ok(schema.to_owned()),
        }
    }

    /// Schema and name of a table that is to be made.
    pub(super) fn schema_of_new(
        &mut self,
        name: &ObjectName,
        is_temporary_table: bool,
        on_commit: Option<&OnCommit>,
        work: &mut Work,
    ) -> Result<(String, String)> {
        let named = parts(name);
        let is_own = named.len() > 1 && named[named.len() - 2] == OWN;
        if !is_temporary_table && !is_own {
            if on_commit.is_some() {
                return Err(SqlError::new("42P16", "ON COMMIT can only be used on temporary tables"));
            }
            return self.creation_schema(&named).map_err(|error| self.at(error, name));
        }
        if let Some(OnCommit::DeleteRows) = on_commit {
            return Err(SqlError::new("0A000", "ON COMMIT DELETE ROWS is not supported"));
        }
        let Some(own) = self.temporary_schema().map(str::to_owned) else {
            return Err(SqlError::new("0A000", "a temporary table cannot be made here"));
        };
        let (schema, plain) = self.qualified(&named)?;
        if schema.is_some_and(|schema| schema != own) {
            let error = SqlError::new("42P16", "cannot create temporary relation in non-temporary schema");
            return Err(self.at(error, name));
        }
        if super::names::hidden_name(&plain) {
            return Err(SqlError::new("42501", format!("the name \"{plain}\" is reserved")));
        }
        if work.catalog.schema_oid(&own).is_none() {
            let schema =
                Schema { oid: work.oid(), name: own.clone(), comment: None, access: Access::default(), is_gone: false };
            work.change(Change::Put(Object::Schema(Arc::new(schema))));
        }
        Ok((own, plain))
    }

    /// Foreign keys do not lead from what stays to what goes, nor back.
    pub(super) fn may_refer(&self, table: &Table, parent: &Table) -> Result<()> {
        match (is_temporary(&table.schema), is_temporary(&parent.schema)) {
            (true, false) => Err("constraints on temporary tables may reference only temporary tables"),
            (false, true) => Err("constraints on permanent tables may reference only permanent tables"),
            _ => Ok(()),
        }
        .map_err(|message| SqlError::new("42P16", message))
    }

    /// `SELECT .. INTO t`: CREATE TABLE .. AS; none of another query.
    pub(super) fn select_into(&mut self, query: &Query) -> Result<Option<Prepared>> {
        let SetExpr::Select(select) = query.body.as_ref() else { return Ok(None) };
        let Some(SelectInto { temporary, targets, .. }) = &select.into else { return Ok(None) };
        let names: Vec<Ident> = match targets.as_slice() {
            [Expr::Identifier(name)] => vec![name.clone()],
            [Expr::CompoundIdentifier(names)] => names.clone(),
            _ => return Err(SqlError::new("0A000", "SELECT INTO of this is not supported")),
        };
        let plain = Select { into: None, ..Select::clone(select) };
        let body = Box::new(SetExpr::Select(Box::new(plain)));
        let mut work = Work::new(self.catalog);
        let name = ObjectName::from(names);
        let (schema, name) = self.schema_of_new(&name, *temporary, None, &mut work)?;
        let table = self.new_table(&mut work, schema, name)?;
        self.create_table_as(work, table, &Query { body, ..query.clone() }, &[]).map(Some)
    }

    /// Drops all that a session's schema holds, and the schema.
    pub(super) fn drop_temporary(&mut self, schema: &str) -> Result<Option<Prepared>> {
        if self.catalog.schema_oid(schema).is_none() {
            return Ok(None);
        }
        let name = ObjectName::from(vec![Ident::with_quote('"', schema)]);
        self.drop(&ObjectType::Schema, false, &[name], true).map(Some)
    }
}

/// Whether a CREATE TABLE makes a temporary table.
pub(in crate::dialect) fn is_of_temporary(create: &CreateTable) -> bool {
    let named = parts(&create.name);
    create.temporary || named.len() > 1 && named[named.len() - 2] == OWN
}
