//! COMMENT ON: part of the definition of what it is about.

use super::names::parts;
use super::table_ddl::Work;
use super::{Need, Result, Translator, unsupported};
use crate::catalog::enums::EnumType;
use crate::catalog::{Change, Object, Schema, Sequence, Table, View};
use crate::dialect::prepared::Prepared;
use crate::transaction::SqlError;
use sqlparser::ast::{CommentObject, ObjectName};
use std::sync::Arc;

impl Translator<'_> {
    pub(super) fn comment(
        &mut self,
        kind: CommentObject,
        name: &ObjectName,
        comment: Option<String>,
    ) -> Result<Prepared> {
        let names = parts(name);
        let mut work = Work::new(self.catalog);
        let comment = comment.filter(|text| !text.is_empty());
        match kind {
            CommentObject::Table => {
                let mut table = Table::clone(&*self.user_table_named(&names)?);
                self.need(Need::Owner(table.oid));
                table.comment = comment;
                work.put_table(&table);
            }
            CommentObject::Column => self.comment_on_column(&mut work, &names, comment)?,
            CommentObject::View | CommentObject::Sequence => {
                let (schema, plain) = self.qualified(&names)?;
                let found = self.find_object(schema.as_deref(), &plain);
                let found = found.ok_or_else(|| self.no_relation(schema.as_deref(), &plain))?;
                self.need(Need::Owner(found.oid()));
                work.change(Change::Put(match (kind, found) {
                    (CommentObject::View, Object::View(view)) => {
                        Object::View(Arc::new(View { comment, ..View::clone(&view) }))
                    }
                    (CommentObject::Sequence, Object::Sequence(sequence)) => {
                        Object::Sequence(Arc::new(Sequence { comment, ..Sequence::clone(&sequence) }))
                    }
                    _ => {
                        let kind = kind.to_string().to_lowercase();
                        return Err(SqlError::new("42809", format!("\"{plain}\" is not a {kind}")));
                    }
                }));
            }
            CommentObject::Index => {
                let (schema, plain) = self.qualified(&names)?;
                let found = self.find_object(schema.as_deref(), &plain);
                let Some(Object::Table(table)) = found else {
                    return Err(self.no_relation(schema.as_deref(), &plain));
                };
                let mut table = Table::clone(&table);
                let index = table.indexes.iter_mut().find(|index| index.name == plain);
                let index = index.ok_or_else(|| SqlError::new("42809", format!("\"{plain}\" is not an index")))?;
                index.comment = comment;
                self.need(Need::Owner(table.oid));
                work.put_table(&table);
            }
            CommentObject::Schema => {
                let name = names.last().map_or("", String::as_str);
                let Some(Object::Schema(schema)) = self.catalog.schema(name) else {
                    return Err(SqlError::new("3F000", format!("schema \"{name}\" does not exist")));
                };
                self.need(Need::Owner(schema.oid));
                work.change(Change::Put(Object::Schema(Arc::new(Schema { comment, ..Schema::clone(&schema) }))));
            }
            CommentObject::Type => {
                let found = EnumType { comment, ..self.own_enum(&names)? };
                work.change(Change::Put(Object::Enum(Arc::new(found))));
            }
            // What CREATE EXTENSION accepts makes no object; dumps of old databases have both.
            CommentObject::Extension => {}
            other => return unsupported(&format!("COMMENT ON {other}")),
        }
        self.finish_ddl(work, "COMMENT")
    }

    fn comment_on_column(&mut self, work: &mut Work, names: &[String], comment: Option<String>) -> Result<()> {
        let Some((column, relation)) = names.split_last() else { return unsupported("COMMENT ON this") };
        let missing = || {
            SqlError::new("42703", format!("column \"{column}\" of relation \"{}\" does not exist", relation.join(".")))
        };
        let (schema, plain) = self.qualified(relation)?;
        if let Some(Object::View(view)) = self.find_object(schema.as_deref(), &plain) {
            let mut view = View::clone(&view);
            self.need(Need::Owner(view.oid));
            view.columns.iter_mut().find(|c| c.name == *column).ok_or_else(missing)?.comment = comment;
            work.put_view(view);
            return Ok(());
        }
        let mut table = Table::clone(&*self.user_table_named(relation)?);
        self.need(Need::Owner(table.oid));
        table.columns.iter_mut().find(|c| c.name == *column).ok_or_else(missing)?.comment = comment;
        work.put_table(&table);
        Ok(())
    }

    pub(super) fn comment_on_constraint(
        &mut self,
        name: &str,
        table: &[String],
        comment: Option<String>,
    ) -> Result<Prepared> {
        let mut table = Table::clone(&*self.user_table_named(table)?);
        self.need(Need::Owner(table.oid));
        let relation = table.name.clone();
        let found = table.constraints.iter_mut().find(|constraint| constraint.name == name);
        let found = found.ok_or_else(|| {
            SqlError::new("42704", format!("constraint \"{name}\" for table \"{relation}\" does not exist"))
        })?;
        found.comment = comment.filter(|text| !text.is_empty());
        let mut work = Work::new(self.catalog);
        work.put_table(&table);
        self.finish_ddl(work, "COMMENT")
    }
}
