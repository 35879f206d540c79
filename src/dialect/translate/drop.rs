//! DROP of tables, views, indexes, sequences and schemas, with what depends on them.

use super::names::parts;
use super::table_ddl::Work;
use super::{Need, Result, Translator, quote_name, unsupported};
use crate::catalog::enums::EnumType;
use crate::catalog::{Change, Constraint, Object, Table, View};
use crate::dialect::prepared::{Kind, Prepared, Tag};
use crate::transaction::SqlError;
use sqlparser::ast::{ObjectName, ObjectType};
use std::sync::Arc;

impl Translator<'_> {
    pub(super) fn drop(
        &mut self,
        kind: &ObjectType,
        if_exists: bool,
        names: &[ObjectName],
        cascade: bool,
    ) -> Result<Prepared> {
        let mut work = Work::new(self.catalog);
        let tag = match kind {
            ObjectType::Table => "DROP TABLE",
            ObjectType::View => "DROP VIEW",
            ObjectType::Index => "DROP INDEX",
            ObjectType::Sequence => "DROP SEQUENCE",
            ObjectType::Schema => "DROP SCHEMA",
            ObjectType::Type => "DROP TYPE",
            ObjectType::Database => {
                let name = names.first().and_then(|name| parts(name).pop()).unwrap_or_default();
                self.need(Need::DropDatabase(name.clone()));
                return self.finish(
                    Kind::DropDatabase { name, if_exists },
                    Vec::new(),
                    Vec::new(),
                    Tag::Fixed("DROP DATABASE"),
                    false,
                );
            }
            other => return unsupported(&format!("DROP {other}")),
        };
        let (mut tables, mut types) = (Vec::new(), Vec::new());
        for name in names {
            let (schema, plain) = self.qualified(&parts(name))?;
            if *kind == ObjectType::Type && self.users_type(&parts(name)).is_some() {
                types.push(self.own_enum(&parts(name))?);
                continue;
            }
            let missing = |what: &str, code: &'static str| (format!("{what} \"{plain}\" does not exist"), code);
            let found = match &schema {
                Some(schema) => self.catalog.named(schema, &plain).cloned(),
                None => self.settings.search_path.iter().find_map(|schema| self.catalog.named(schema, &plain)).cloned(),
            };
            let lost = match (kind, found) {
                (ObjectType::Table, Some(Object::Table(table))) if table.name == plain => {
                    self.need(Need::Owner(table.oid));
                    tables.push(table);
                    continue;
                }
                (ObjectType::View, Some(Object::View(view))) => {
                    self.need(Need::Owner(view.oid));
                    let together: Vec<u32> = names
                        .iter()
                        .filter_map(|name| self.catalog.named(&view.schema, parts(name).last()?))
                        .map(Object::oid)
                        .collect();
                    self.drop_readers(&mut work, view.oid, cascade, &format!("view {plain}"), &together)?;
                    work.change(Change::Remove(view.oid));
                    continue;
                }
                (ObjectType::Sequence, Some(Object::Sequence(sequence))) => {
                    self.need(Need::Owner(sequence.oid));
                    if let Some((table, _)) = sequence.owner.filter(|(table, _)| self.catalog.table(*table).is_some()) {
                        let table = self.catalog.table(table).map_or("", |table| &table.name);
                        return Err(SqlError::new(
                            "2BP01",
                            format!("cannot drop sequence {plain} because other objects depend on it"),
                        )
                        .with_detail(format!("A column of table {table} depends on it.")));
                    }
                    work.drop_sequence(sequence.oid);
                    continue;
                }
                (ObjectType::Index, Some(Object::Table(table))) if table.name != plain => {
                    self.need(Need::Owner(table.oid));
                    self.drop_index(&mut work, table.oid, &plain)?;
                    continue;
                }
                (ObjectType::Schema, _) => match self.catalog.schema(&plain) {
                    Some(Object::Schema(schema)) => {
                        self.need(Need::Owner(schema.oid));
                        self.empty_schema(&mut work, &plain, cascade, &mut tables, &mut types)?;
                        work.change(schema.dropped());
                        continue;
                    }
                    _ => missing("schema", "3F000"),
                },
                (ObjectType::Type, _) => missing("type", "42704"),
                (_, Some(_)) => {
                    return Err(SqlError::new("42809", format!("\"{plain}\" is not a {}", tag[5..].to_lowercase())));
                }
                (ObjectType::Table, None) => missing("table", "42P01"),
                (ObjectType::View, None) => missing("view", "42P01"),
                (ObjectType::Sequence, None) => missing("sequence", "42P01"),
                (ObjectType::Index, None) => missing("index", "42704"),
                _ => missing("object", "42704"),
            };
            if super::names::hidden_name(&plain) {
                return Err(SqlError::new("42501", format!("permission denied for table {plain}")));
            }
            if !if_exists {
                return Err(self.at(SqlError::new(lost.1, lost.0), name))
                    .map_err(|error| SqlError { position: None, ..error });
            }
            self.notice("00000", format!("{}, skipping", lost.0));
        }
        self.drop_tables(&mut work, tables, cascade)?;
        types.iter().try_for_each(|found| self.drop_type(&mut work, found, cascade))?;
        self.finish_ddl(work, tag)
    }

    /// Drops what is in a schema: views and sequences at once, tables and types by way of the lists.
    fn empty_schema(
        &mut self,
        work: &mut Work,
        name: &str,
        cascade: bool,
        tables: &mut Vec<Arc<Table>>,
        types: &mut Vec<EnumType>,
    ) -> Result<()> {
        let is_inside = |object: &&Object| !matches!(object, Object::Schema(_)) && object.full_name().0 == name;
        let inside: Vec<Object> = self.catalog.objects().filter(is_inside).cloned().collect();
        for object in inside {
            let what = format!("{} {}", object.kind(), object.full_name().1);
            if !cascade {
                return Err(Self::depends(&format!("schema {name}"), format!("{what} depends on schema {name}")));
            }
            // What tables own goes with them.
            let is_owned = matches!(&object, Object::Sequence(sequence) if sequence.owner.is_some());
            if !is_owned {
                self.notice("00000", format!("drop cascades to {what}"));
            }
            match object {
                Object::Table(table) => tables.push(table),
                Object::Enum(found) => types.push(EnumType::clone(&found)),
                Object::View(view) => {
                    self.drop_readers(work, view.oid, true, &what, &[])?;
                    work.change(Change::Remove(view.oid));
                }
                Object::Sequence(sequence) if !is_owned => work.drop_sequence(sequence.oid),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn depends(what: &str, detail: String) -> SqlError {
        SqlError::new("2BP01", format!("cannot drop {what} because other objects depend on it"))
            .with_detail(detail)
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
    }

    pub(super) fn drop_readers(
        &mut self,
        work: &mut Work,
        oid: u32,
        cascade: bool,
        what: &str,
        dropped: &[u32],
    ) -> Result<()> {
        let views: Vec<Arc<View>> =
            work.catalog.views_reading(oid).filter(|view| !dropped.contains(&view.oid)).cloned().collect();
        for view in views {
            if !cascade {
                return Err(Self::depends(what, format!("view {} depends on {what}", view.name)));
            }
            self.notice("00000", format!("drop cascades to view {}", view.name));
            self.drop_readers(work, view.oid, true, what, dropped)?;
            work.change(Change::Remove(view.oid));
        }
        Ok(())
    }

    pub(super) fn drop_tables(&mut self, work: &mut Work, tables: Vec<Arc<Table>>, cascade: bool) -> Result<()> {
        let dropped: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        for table in &tables {
            let what = format!("table {}", table.name);
            self.drop_readers(work, table.oid, cascade, &what, &dropped)?;
            let referring: Vec<(Arc<Table>, Constraint)> = work
                .catalog
                .referring_to(table.oid)
                .filter(|(other, _)| !dropped.contains(&other.oid))
                .map(|(other, constraint)| (other.clone(), constraint.clone()))
                .collect();
            for (other, constraint) in referring {
                let detail = format!("constraint {} on table {} depends on {what}", constraint.name, other.name);
                if !cascade {
                    return Err(Self::depends(&what, detail));
                }
                self.notice(
                    "00000",
                    format!("drop cascades to constraint {} on table {}", constraint.name, other.name),
                );
                // As it is by now: another of the tables may have been taken from it already.
                let now = work.catalog.table(other.oid).cloned().unwrap_or(other);
                let mut without = Table::clone(&now);
                without.constraints.retain(|c| c.oid != constraint.oid);
                let columns = Self::same_columns(&now, &without);
                self.rebuild(work, &now, &without, &columns)?;
            }
        }
        for table in super::dml::children_first(tables) {
            work.sql.push(format!("DROP TABLE {}", quote_name(&table.sqlite_name)));
            work.drop_sequences_of(table.oid, None);
            work.change(Change::Remove(table.oid));
        }
        Ok(())
    }

    pub(super) fn drop_index(&mut self, work: &mut Work, table: u32, name: &str) -> Result<()> {
        let Some(table) = work.catalog.table(table).cloned() else { return unsupported("DROP INDEX of this") };
        let mut table = Table::clone(&table);
        let Some(at) = table.indexes.iter().position(|index| index.name == name) else {
            return unsupported("DROP INDEX of this");
        };
        let index = table.indexes.remove(at);
        if let Some(constraint) = table.constraints.iter().find(|c| c.index == Some(index.oid)) {
            return Err(SqlError::new(
                "2BP01",
                format!(
                    "cannot drop index {name} because constraint {} on table {} requires it",
                    constraint.name, table.name
                ),
            )
            .with_hint(format!("You can drop constraint {} on table {} instead.", constraint.name, table.name)));
        }
        if let Some(sqlite_name) = &index.sqlite_name {
            work.sql.push(format!("DROP INDEX {}", quote_name(sqlite_name)));
        }
        work.put_table(&table);
        Ok(())
    }

    pub(super) fn rename_index(&mut self, name: &ObjectName, new_name: &ObjectName) -> Result<Prepared> {
        let (schema, plain) = self.qualified(&parts(name))?;
        let new_name = parts(new_name).pop().unwrap_or_default();
        let schema = schema.unwrap_or_else(|| crate::catalog::PUBLIC.into());
        let Some((table, index)) = self.catalog.index(&schema, &plain) else {
            return Err(SqlError::new("42P01", format!("relation \"{plain}\" does not exist")));
        };
        if self.catalog.named(&schema, &new_name).is_some() {
            return Err(SqlError::new("42P07", format!("relation \"{new_name}\" already exists")));
        }
        let (mut table, oid) = (Table::clone(table), index.oid);
        self.need(Need::Owner(table.oid));
        let mut work = Work::new(self.catalog);
        for index in table.indexes.iter_mut().filter(|index| index.oid == oid) {
            // The name in SQLite stays: nobody sees it.
            index.name.clone_from(&new_name);
        }
        for constraint in table.constraints.iter_mut().filter(|c| c.index == Some(oid)) {
            constraint.name.clone_from(&new_name);
        }
        work.put_table(&table);
        self.finish_ddl(work, "ALTER INDEX")
    }
}
