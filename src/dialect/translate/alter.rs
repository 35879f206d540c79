//! ALTER TABLE: in place where SQLite can, else by a new table that takes the old one's rows.

use super::create_table::{Pending, pending_of, same_set};
use super::names::{fold, parts};
use super::sequence_ddl::given_options;
use super::table_ddl::{Work, columns_named, sqlite_name};
use super::{Need, Result, Translator, quote_name, unsupported};
use crate::catalog::{Constraint, ConstraintKind, Object, Table};
use crate::dialect::prepared::{Kind, Prepared, Tag};
use crate::dialect::types::PgType;
use crate::transaction::SqlError;
use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, DropBehavior, Expr, GeneratedAs, Ident,
    RenameTableNameKind,
};

impl Translator<'_> {
    pub(super) fn alter_table(&mut self, alter: &AlterTable) -> Result<Prepared> {
        let names = parts(&alter.name);
        let (schema, plain) = self.qualified(&names)?;
        let schema = schema.unwrap_or_else(|| {
            let holds = |schema: &&String| self.catalog.named(schema, &plain).is_some();
            self.settings.search_path.iter().find(holds).cloned().unwrap_or_else(|| crate::catalog::PUBLIC.into())
        });
        // psql and others say ALTER TABLE of views, sequences and indexes, too.
        if let Some(Object::View(_) | Object::Sequence(_)) = self.catalog.named(&schema, &plain) {
            return match alter.operations.as_slice() {
                [AlterTableOperation::OwnerTo { .. }] => self.nothing(Kind::Nothing, Tag::Fixed("ALTER TABLE")),
                _ => unsupported("ALTER TABLE of this"),
            };
        }
        if alter.if_exists && self.catalog.named(&schema, &plain).is_none() {
            self.notice("00000", format!("relation \"{plain}\" does not exist, skipping"));
            return self.nothing(Kind::Nothing, Tag::Fixed("ALTER TABLE"));
        }
        let oid = self.user_table(&alter.name)?.oid;
        self.need(Need::Owner(oid));
        let mut work = Work::new(self.catalog);
        for operation in &alter.operations {
            let Some(table) = work.catalog.table(oid).cloned() else { return unsupported("ALTER TABLE of this") };
            self.alter(&mut work, &table, operation)?;
        }
        self.finish_ddl(work, "ALTER TABLE")
    }

    pub(super) fn no_view_reads(&self, work: &Work, table: &Table, what: &str) -> Result<()> {
        match work.catalog.views_reading(table.oid).next() {
            None => Ok(()),
            Some(view) => {
                unsupported(&format!("{what} of table \"{}\", which view \"{}\" reads,", table.name, view.name))
            }
        }
    }

    pub(super) fn alter(&mut self, work: &mut Work, old: &Table, operation: &AlterTableOperation) -> Result<()> {
        let mut new = old.clone();
        let name = quote_name(&old.sqlite_name);
        match operation {
            AlterTableOperation::OwnerTo { .. }
            | AlterTableOperation::SetLogged
            | AlterTableOperation::SetUnlogged
            | AlterTableOperation::SetOptionsParens { .. }
            | AlterTableOperation::ReplicaIdentity { .. }
            | AlterTableOperation::ValidateConstraint { .. } => Ok(()),
            AlterTableOperation::AddConstraint { constraint, .. } => {
                let pending = pending_of(constraint)?;
                self.add_constraint(work, old, new, pending)
            }
            AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
                let column = fold(&column_def.name);
                if old.column(&column).is_some() {
                    if *if_not_exists {
                        self.notice(
                            "42701",
                            format!("column \"{column}\" of relation \"{}\" already exists, skipping", old.name),
                        );
                        return Ok(());
                    }
                    return Err(SqlError::new(
                        "42701",
                        format!("column \"{column}\" of relation \"{}\" already exists", old.name),
                    ));
                }
                self.alter_add_column(work, old, new, column_def)
            }
            AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                for ident in column_names {
                    let Some(now) = work.catalog.table(old.oid).cloned() else { return Ok(()) };
                    self.drop_column(
                        work,
                        &now,
                        &fold(ident),
                        *if_exists,
                        *drop_behavior == Some(DropBehavior::Cascade),
                    )?;
                }
                Ok(())
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                self.no_view_reads(work, old, "renaming a column")?;
                let (before, after) = (fold(old_column_name), fold(new_column_name));
                if new.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&after)) {
                    return Err(SqlError::new(
                        "42701",
                        format!("column \"{after}\" of relation \"{}\" already exists", old.name),
                    ));
                }
                let column = new.columns.iter_mut().find(|column| column.name == before);
                let column =
                    column.ok_or_else(|| SqlError::new("42703", format!("column \"{before}\" does not exist")))?;
                column.name.clone_from(&after);
                for text in expressions(&mut new) {
                    *text = rename_in(text, &before, &after)?;
                }
                work.sql.push(format!(
                    "ALTER TABLE {name} RENAME COLUMN {} TO {}",
                    quote_name(&before),
                    quote_name(&after)
                ));
                work.put_table(&new);
                Ok(())
            }
            AlterTableOperation::RenameTable { table_name } => {
                self.no_view_reads(work, old, "renaming")?;
                let (RenameTableNameKind::As(to) | RenameTableNameKind::To(to)) = table_name;
                let to = parts(to).pop().unwrap_or_default();
                self.creation_schema(&[old.schema.clone(), to.clone()])?;
                if work.catalog.named(&old.schema, &to).is_some() {
                    return Err(SqlError::new("42P07", format!("relation \"{to}\" already exists")));
                }
                new.sqlite_name = sqlite_name(&work.catalog, &old.schema, &to, old.oid);
                new.name = to;
                work.sql.push(format!("ALTER TABLE {name} RENAME TO {}", quote_name(&new.sqlite_name)));
                work.put_table(&new);
                Ok(())
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => {
                let (before, after) = (fold(old_name), fold(new_name));
                let checked = {
                    let constraint = new.constraints.iter_mut().find(|c| c.name == before).ok_or_else(|| {
                        SqlError::new(
                            "42704",
                            format!("constraint \"{before}\" for table \"{}\" does not exist", old.name),
                        )
                    })?;
                    constraint.name.clone_from(&after);
                    let index = constraint.index;
                    for index in new.indexes.iter_mut().filter(|i| Some(i.oid) == index) {
                        index.name.clone_from(&after);
                    }
                    index.is_none()
                };
                // The name is part of SQLite's table for those that it checks itself.
                if checked {
                    let columns = Self::same_columns(old, &new);
                    return self.rebuild(work, old, &new, &columns);
                }
                work.put_table(&new);
                Ok(())
            }
            AlterTableOperation::DropConstraint { if_exists, name, drop_behavior } => {
                self.drop_constraint(work, old, &fold(name), *if_exists, *drop_behavior == Some(DropBehavior::Cascade))
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(work, old, &fold(column_name), op)
            }
            AlterTableOperation::EnableRowLevelSecurity | AlterTableOperation::ForceRowLevelSecurity => {
                unsupported("row level security")
            }
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                unsupported(&format!("ALTER TABLE {}", words.join(" ").to_uppercase()))
            }
        }
    }

    pub(super) fn add_constraint(
        &mut self,
        work: &mut Work,
        old: &Table,
        mut new: Table,
        pending: Pending<'_>,
    ) -> Result<()> {
        let referred = work.catalog.referring_to(old.oid).next().is_some();
        let primary_columns = match &pending {
            Pending::Primary(_, columns, _) => Some(self.numbers(old, columns)?),
            _ => None,
        };
        let needs_rebuild = match &pending {
            // The rowid cannot become another column later; without it an index serves.
            Pending::Primary(..) => {
                let columns = primary_columns.as_deref().unwrap_or(&[]);
                let single = matches!(columns, [one] if old.column_numbered(*one).is_some_and(|c| PgType(c.type_oid).is_integer() && c.generated.is_none()));
                if single && !referred {
                    new.rowid = columns.first().copied();
                }
                let strict = columns.iter().any(|n| old.column_numbered(*n).is_some_and(|c| !c.not_null));
                new.rowid.is_some() && old.rowid != new.rowid || strict
            }
            Pending::Unique(..) => false,
            Pending::Foreign(..) | Pending::Check(..) => true,
        };
        self.constrain(work, &mut new, vec![pending])?;
        if needs_rebuild {
            let columns = Self::same_columns(old, &new);
            return self.rebuild(work, old, &new, &columns);
        }
        if let Some(index) = new.indexes.last().cloned()
            && let Some(sql) = self.index_sql(&new, &index)?
        {
            work.sql.push(sql);
        }
        work.put_table(&new);
        Ok(())
    }

    pub(super) fn alter_add_column(
        &mut self,
        work: &mut Work,
        old: &Table,
        mut new: Table,
        definition: &ColumnDef,
    ) -> Result<()> {
        let mut pending = Vec::new();
        self.add_column(work, &mut new, definition, &mut pending)?;
        let keyed = !pending.is_empty();
        let primary = pending.iter().any(|p| matches!(p, Pending::Primary(..)));
        self.constrain(work, &mut new, pending)?;
        let Some(column) = new.columns.last().cloned() else { return Ok(()) };
        let default = self.default_of(&column)?;
        let constant = default.value().is_some();
        let range_checked = matches!(PgType(column.type_oid), PgType::INT2 | PgType::INT4);
        let simple =
            constant && !keyed && !primary && column.generated.is_none() && (!column.not_null || !default.nullable);
        if simple {
            let mut sql =
                format!("ALTER TABLE {} ADD COLUMN {}", quote_name(&old.sqlite_name), self.column_sql(&new, &column)?);
            if !default.is_null_literal() {
                sql += &format!(" DEFAULT {}", default.sql);
            }
            if range_checked && let Some((low, high)) = super::typed::type_range(PgType(column.type_oid)) {
                let name = quote_name(&column.name);
                let ty = PgType(column.type_oid).name();
                sql += &format!(" CONSTRAINT evesql_{ty} CHECK ({name} BETWEEN {low} AND {high})");
            }
            work.sql.push(sql);
            work.put_table(&new);
            return Ok(());
        }
        let mut values = Self::same_columns(old, &new);
        if column.generated.is_none() {
            values.push((column.name.clone(), default.sql));
        }
        self.rebuild(work, old, &new, &values)
    }

    pub(super) fn drop_column(
        &mut self,
        work: &mut Work,
        old: &Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(column) = old.column(name).cloned() else {
            if if_exists {
                self.notice(
                    "00000",
                    format!("column \"{name}\" of relation \"{}\" does not exist, skipping", old.name),
                );
                return Ok(());
            }
            return Err(SqlError::new(
                "42703",
                format!("column \"{name}\" of relation \"{}\" does not exist", old.name),
            ));
        };
        self.no_view_reads(work, old, "dropping a column")?;
        let uses = |constraint: &Constraint| constraint.columns.contains(&column.number);
        let what = format!("column {name} of table {}", old.name);
        for (other, constraint) in work.catalog.referring_to(old.oid) {
            if let ConstraintKind::Foreign { columns, .. } = &constraint.kind
                && columns.contains(&column.number)
            {
                let detail = format!("constraint {} on table {} depends on {what}", constraint.name, other.name);
                return if cascade {
                    unsupported("dropping a column that a foreign key refers to")
                } else {
                    Err(Self::depends(&what, detail))
                };
            }
        }
        let mut new = old.clone();
        new.columns.retain(|c| c.number != column.number);
        if new.columns.is_empty() {
            return unsupported("a table without columns");
        }
        let constrained = new.constraints.iter().any(|c| uses(c) && c.index.is_none());
        new.constraints.retain(|c| !uses(c));
        if new.rowid == Some(column.number) {
            new.rowid = None;
        }
        let mut dropped_indexes = Vec::new();
        new.indexes.retain(|index| {
            let by_expression =
                |text: &Option<String>| text.as_ref().is_some_and(|text| mentions(text, old, column.number));
            let hit = index.keys.iter().any(|key| key.column == Some(column.number) || by_expression(&key.expression))
                || index.include.contains(&column.number)
                || by_expression(&index.predicate);
            if hit {
                dropped_indexes.push(index.clone());
            }
            !hit
        });
        work.drop_sequences_of(old.oid, Some(column.number));
        // SQLite drops a plain column itself; one with a range check, a key or a constraint needs a new table.
        let plain =
            !constrained && old.rowid == new.rowid && !matches!(PgType(column.type_oid), PgType::INT2 | PgType::INT4);
        if !plain {
            let columns = Self::same_columns(old, &new);
            return self.rebuild(work, old, &new, &columns);
        }
        for index in &dropped_indexes {
            if let Some(sqlite_name) = &index.sqlite_name {
                work.sql.push(format!("DROP INDEX {}", quote_name(sqlite_name)));
            }
        }
        work.sql.push(format!("ALTER TABLE {} DROP COLUMN {}", quote_name(&old.sqlite_name), quote_name(name)));
        work.put_table(&new);
        Ok(())
    }

    pub(super) fn drop_constraint(
        &mut self,
        work: &mut Work,
        old: &Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let mut new = old.clone();
        let Some(at) = new.constraints.iter().position(|c| c.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", old.name);
            if if_exists {
                self.notice("00000", format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new("42704", message));
        };
        let constraint = new.constraints.remove(at);
        let Some(index) = constraint.index else {
            let columns = Self::same_columns(old, &new);
            return self.rebuild(work, old, &new, &columns);
        };
        let refers = work.catalog.referring_to(old.oid).find(|(_, c)| {
            matches!(&c.kind, ConstraintKind::Foreign { columns, .. } if same_set(columns, &constraint.columns))
        });
        if let Some((other, foreign)) = refers {
            let detail = format!("constraint {} on table {} depends on index {name}", foreign.name, other.name);
            return if cascade {
                unsupported("DROP CONSTRAINT .. CASCADE")
            } else {
                Err(Self::depends(&format!("constraint {name} on table {}", old.name), detail))
            };
        }
        let dropped = new.indexes.iter().position(|i| i.oid == index).map(|at| new.indexes.remove(at));
        match dropped.and_then(|index| index.sqlite_name) {
            Some(sqlite_name) => {
                work.sql.push(format!("DROP INDEX {}", quote_name(&sqlite_name)));
                work.put_table(&new);
                Ok(())
            }
            None => {
                new.rowid = None;
                let columns = Self::same_columns(old, &new);
                self.rebuild(work, old, &new, &columns)
            }
        }
    }

    pub(super) fn alter_column(
        &mut self,
        work: &mut Work,
        old: &Table,
        name: &str,
        op: &AlterColumnOperation,
    ) -> Result<()> {
        let mut new = old.clone();
        let Some(at) = new.columns.iter().position(|column| column.name == name) else {
            return Err(SqlError::new(
                "42703",
                format!("column \"{name}\" of relation \"{}\" does not exist", old.name),
            ));
        };
        match op {
            AlterColumnOperation::SetDefault { value } => {
                let mut column = new.columns[at].clone();
                self.set_default(work, old, &mut column, Some(value))?;
                self.default_of(&column)?;
                new.columns[at] = column;
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::DropDefault => {
                let mut column = new.columns[at].clone();
                self.set_default(work, old, &mut column, None)?;
                new.columns[at] = column;
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::SetNotNull if old.columns[at].not_null => Ok(()),
            AlterColumnOperation::SetNotNull => {
                new.columns[at].not_null = true;
                work.sql.push(super::table_ddl::null_guard(old, name, &quote_name(name)));
                work.sql.push(format!(
                    "ALTER TABLE {} ALTER COLUMN {} SET NOT NULL",
                    quote_name(&old.sqlite_name),
                    quote_name(name)
                ));
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::DropNotNull if !old.columns[at].not_null => Ok(()),
            AlterColumnOperation::DropNotNull => {
                let number = old.columns[at].number;
                if old.primary_key().is_some_and(|key| key.contains(&number)) {
                    return Err(SqlError::new("42P16", format!("column \"{name}\" is in a primary key")));
                }
                new.columns[at].not_null = false;
                work.sql.push(format!(
                    "ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                    quote_name(&old.sqlite_name),
                    quote_name(name)
                ));
                work.put_table(&new);
                Ok(())
            }
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                self.no_view_reads(work, old, "changing a column's type")?;
                let (ty, typmod) = self.data_type(data_type)?;
                let before = old.columns[at].clone();
                new.columns[at].type_oid = ty.0;
                new.columns[at].typmod = typmod;
                let column = new.columns[at].clone();
                let own = Expr::Identifier(Ident::with_quote('"', name));
                let source = using.clone().unwrap_or(own);
                let typed = self.table_expression(&source, old, "transform expressions")?;
                let typed = match using {
                    Some(_) => self.coerce(typed, ty, typmod, super::coerce::Context::Assignment),
                    None => self.coerce(typed, ty, typmod, super::coerce::Context::Assignment),
                }
                .map_err(|error| match error.code() {
                    "42846" => SqlError::new(
                        "42804",
                        format!("column \"{name}\" cannot be cast automatically to type {}", ty.sql_name()),
                    )
                    .with_hint(format!("You might need to specify \"USING {name}::{}\".", ty.sql_name())),
                    _ => error,
                })?
                .settled();
                // Wider text needs no new table: SQLite keeps both alike.
                let text = |ty: PgType| matches!(ty, PgType::TEXT | PgType::VARCHAR);
                let wider = text(PgType(before.type_oid))
                    && text(ty)
                    && using.is_none()
                    && (typmod < 0 || (before.typmod >= 0 && typmod >= before.typmod));
                if wider {
                    work.put_table(&new);
                    return Ok(());
                }
                if let Some(sequence) = column.sequence.filter(|_| !ty.is_integer()) {
                    let _ = sequence;
                    return unsupported("changing the type of a serial column to this");
                }
                if new.rowid == Some(column.number) && !ty.is_integer() {
                    return unsupported("changing the type of an integer primary key to this");
                }
                let values = Self::same_columns(old, &new)
                    .into_iter()
                    .map(|(column, sql)| if column == name { (column, typed.sql.clone()) } else { (column, sql) })
                    .collect::<Vec<_>>();
                // Two integer types differ in the check alone, and that is part of the table.
                self.rebuild(work, old, &new, &values)
            }
            AlterColumnOperation::AddGenerated { generated_as, sequence_options } => {
                let always = matches!(generated_as, Some(GeneratedAs::Always));
                let options = given_options(sequence_options.as_deref().unwrap_or(&[]))?;
                self.add_identity(work, old, name, always, &options)
            }
        }
    }
}

/// All expressions over a table's columns that its definition keeps.
pub(super) fn expressions(table: &mut Table) -> Vec<&mut String> {
    let generated = table.columns.iter_mut().filter_map(|column| column.generated.as_mut());
    let checks = table.constraints.iter_mut().filter_map(|constraint| match &mut constraint.kind {
        ConstraintKind::Check(text) => Some(text),
        _ => None,
    });
    let indexes = table.indexes.iter_mut().flat_map(|index| {
        let keys = index.keys.iter_mut().filter_map(|key| key.expression.as_mut());
        keys.chain(index.predicate.as_mut())
    });
    generated.chain(checks).chain(indexes).collect()
}

/// An expression with a column under its new name.
pub(super) fn rename_in(text: &str, before: &str, after: &str) -> Result<String> {
    use sqlparser::ast::{VisitMut, VisitorMut};
    struct Renamer<'a>(&'a str, &'a str);
    impl VisitorMut for Renamer<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
            let new = || Ident::with_quote('"', self.1);
            match expr {
                Expr::Identifier(ident) if fold(ident) == self.0 => *ident = new(),
                Expr::CompoundIdentifier(idents) => {
                    if let Some(last) = idents.last_mut().filter(|last| fold(last) == self.0) {
                        *last = new();
                    }
                }
                _ => {}
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let mut expr = crate::dialect::parse::parse_expression(text)?;
    let _ = expr.visit(&mut Renamer(before, after));
    Ok(expr.to_string())
}

pub(super) fn mentions(text: &str, table: &Table, number: i16) -> bool {
    crate::dialect::parse::parse_expression(text).is_ok_and(|expr| columns_named(&expr, table).contains(&number))
}
