//! From a statement's text, the schema and the authorizer's word to a [`Template`].
//!
//! The authorizer names every table that the statement touches, however it comes to. Each of them gets an access to
//! all its rows, unless it is proved that only rows of certain keys matter:
//!
//! 1. No views and no triggers are in it, and the text is understood.
//! 2. The text names the table once, as the target or in the outermost FROM, or not at all and a foreign key of the
//!    target refers to it.
//! 3. The key, or its first column (a partition), is fixed by the values of an INSERT, or by conditions that must hold (see `narrow`).

use super::facts::{Done, Facts, SEQUENCES, changes_key};
use super::key::{Added, Affinity, Bound, Operand, Part, Source, bind};
use super::narrow::{KEYS_MAX, keys};
use super::row::{Row, is_null, new_key, parent_key, parts, rows_by_column};
use super::schema::{ForeignKey, Key, Kind, Schema, Table};
use super::shape::{Act, Shape, Sources};
use super::template::{Action, Name, OnNull, Rows, Template, Touch, equality};
use super::{Access, Extent, space};
use crate::transaction::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(super) fn derive(sql: &str, schema: &Schema, actions: &[Action<'_>]) -> Template {
    let Some(mut facts) = Facts::of(schema, actions) else { return Template::everything() };
    let mut shape = if facts.indirect { None } else { Shape::of(sql) };
    match shape.as_ref().map(|shape| &shape.act) {
        Some(Act::Insert { table, replaces, .. }) => {
            if *replaces || schema.table(table).is_some_and(|table| table.resolves_conflicts) {
                facts.also_deletes(schema, table);
            }
        }
        // The text may say REPLACE.
        Some(Act::Update { .. }) | None => {
            let written: Vec<String> =
                facts.tables.iter().filter(|(_, done)| done.writes()).map(|(name, _)| name.clone()).collect();
            let or = matches!(&shape, Some(Shape { act: Act::Update { resolves_conflicts: false, .. }, .. }));
            for table in written {
                if !or || schema.table(&table).is_some_and(|table| table.resolves_conflicts) {
                    facts.also_deletes(schema, &table);
                }
            }
        }
        Some(Act::Select | Act::Delete) => {}
    }
    if facts.tables.iter().any(|(name, done)| done.writes() && schema.table(name).is_some_and(|t| t.has_triggers)) {
        shape = None;
    }
    let mut deriving = Deriving { schema, facts: &facts, touches: Vec::new() };
    let target = shape.as_ref().and_then(|shape| deriving.target(shape));
    let shape = shape.filter(|shape| matches!(shape.act, Act::Select) || target.is_some());
    for (name, done) in &facts.tables {
        deriving.table(name, done, shape.as_ref(), target);
    }
    if let (Some(shape), Some(target)) = (&shape, target) {
        deriving.change(shape, target);
    }
    if facts.uses_sequences {
        deriving.sequences(shape.as_ref());
    }
    Template { everything: false, touches: deriving.finish() }
}

struct Deriving<'a> {
    schema: &'a Schema,
    facts: &'a Facts,
    touches: Vec<Touch>,
}

impl<'a> Deriving<'a> {
    /// The one table that the text changes.
    fn target(&self, shape: &Shape) -> Option<&'a Table> {
        let name = match &shape.act {
            Act::Select => return None,
            Act::Insert { table, .. } => table,
            Act::Update { .. } | Act::Delete => &shape.sources.places.first()?.table,
        };
        let table = self.schema.table(name)?;
        let others_are_explained =
            self.facts.tables.iter().all(|(other, done)| other == name || !done.writes() || done.carried_along);
        (table.kind == Kind::Table && self.facts.tables.get(name)?.writes() && others_are_explained).then_some(table)
    }

    fn touch(&mut self, table: &Table, index: Option<&str>, columns: &[usize], access: Access, rows: Rows) {
        self.touch_or(table, index, columns, access, rows, OnNull::Nothing);
    }

    fn touch_or(
        &mut self,
        table: &Table,
        index: Option<&str>,
        columns: &[usize],
        access: Access,
        rows: Rows,
        on_null: OnNull,
    ) {
        #[cfg(feature = "unsound-footprints")]
        if index.is_some() || access == Access::Read {
            return;
        }
        let rows = match rows {
            Rows::Key(parts) if parts.iter().all(|part| matches!(part.operand.source, Source::Constant(_))) => {
                match (bind(&parts, &Bound::default()), on_null) {
                    ((Added::Null, _), OnNull::Nothing) => return,
                    ((Added::Unknown, _), _) | ((Added::Null, _), OnNull::All) => Rows::All,
                    // Its parts stay for people to read.
                    ((_, Extent::Partition(_)), _) => Rows::Key(parts[..1].into()),
                    _ => Rows::Key(parts),
                }
            }
            rows => rows,
        };
        let name = Name {
            table: table.name.clone(),
            index: index.map(Into::into),
            columns: columns.iter().map(|column| table.columns[*column].name.clone()).collect(),
        };
        self.touches.push(Touch {
            space: space(&table.name, index),
            access,
            rows,
            on_null,
            draw: false,
            name: Arc::new(name),
        });
    }

    fn all(&mut self, table: &Table, access: Access) {
        self.touch(table, None, &[], access, Rows::All);
    }

    /// Any table but for what the statement does to its target on purpose.
    fn table(&mut self, name: &str, done: &Done, shape: Option<&Shape>, target: Option<&Table>) {
        let Some(table) = self.schema.table(name).filter(|table| table.kind == Kind::Table) else { return };
        if done.inserts && table.autoincrement {
            match self.schema.table("sqlite_sequence") {
                Some(counters) => self.all(counters, Access::Write),
                // It is there as soon as the first such table is.
                None => return self.all(table, Access::Write),
            }
        }
        let Some(shape) = shape else {
            return self.all(table, if done.writes() { Access::Write } else { Access::Read });
        };
        if done.carried_along {
            return self.all(table, Access::Write);
        }
        if done.scanned {
            self.all(table, Access::Read);
        }
        let is_target = target.is_some_and(|target| std::ptr::eq(target, table));
        match shape.occurrences(name) {
            0 if target.is_some_and(|target| is_parent_only(target, name)) && !self.carries_along() => {}
            // The rest of it is told by `change`.
            1 if is_target => {}
            1 => match place_of(&shape.sources, name).and_then(|place| keys(self.schema, &shape.sources, place, table))
            {
                Some(keys) => self.keyed(table, Access::Read, keys, OnNull::Nothing),
                None => self.all(table, Access::Read),
            },
            _ if is_target => self.all(table, Access::Write),
            _ => self.all(table, Access::Read),
        }
        if done.shows_rowid {
            self.all(table, if is_target { Access::Write } else { Access::Read });
        }
    }

    fn carries_along(&self) -> bool {
        self.facts.tables.values().any(|done| done.carried_along)
    }

    fn keyed(&mut self, table: &Table, access: Access, keys: Vec<Box<[Part]>>, on_null: OnNull) {
        let columns = table.key_columns().unwrap_or_default().to_vec();
        for key in keys {
            self.touch_or(table, None, &columns, access, Rows::Key(key), on_null);
        }
    }

    /// What the statement does to its target.
    fn change(&mut self, shape: &Shape, target: &'a Table) {
        let Some(done) = self.facts.tables.get(&*target.name.to_ascii_lowercase()) else { return };
        let named_once = shape.occurrences(&target.name.to_ascii_lowercase()) == 1;
        match &shape.act {
            Act::Select => {}
            Act::Delete => {
                let keys = if named_once { keys(self.schema, &shape.sources, 0, target) } else { None };
                match keys {
                    Some(keys) => {
                        self.keyed(target, Access::Write, keys, OnNull::Nothing);
                        self.all_of_indexes(target, None);
                    }
                    None => self.all(target, Access::Write),
                }
            }
            Act::Update { set, resolves_conflicts } => {
                let narrow = named_once && !resolves_conflicts && !target.resolves_conflicts;
                let keys = if narrow { keys(self.schema, &shape.sources, 0, target) } else { None };
                self.update(target, done, set, keys);
            }
            Act::Insert { columns, rows, resolves_conflicts, .. } => {
                let rows = rows.as_deref().filter(|rows| rows.len() <= KEYS_MAX && !target.draws);
                let rows = rows.and_then(|rows| rows_by_column(target, columns, rows));
                let resolves = *resolves_conflicts || target.resolves_conflicts;
                // A hidden rowid may be given.
                let plain = named_once && columns.iter().all(|name| target.column(name).is_some());
                self.insert(target, done, rows.as_deref(), resolves, plain);
            }
        }
    }

    /// Writes to all unique indexes that hold one of these columns, or to all.
    fn all_of_indexes(&mut self, table: &Table, updates: Option<&BTreeSet<String>>) {
        for index in &table.unique {
            let holds = |columns: &Vec<usize>, updates: &BTreeSet<String>| {
                columns.iter().any(|column| updates.contains(&*table.columns[*column].name))
            };
            let spared = match (&index.columns, updates) {
                (Some(columns), Some(updates)) => !holds(columns, updates),
                _ => false,
            };
            if !spared {
                self.touch(table, Some(&index.name), &[], Access::Write, Rows::All);
            }
        }
    }

    fn update(
        &mut self,
        target: &Table,
        done: &Done,
        set: &HashMap<String, Option<Operand>>,
        keys: Option<Vec<Box<[Part]>>>,
    ) {
        let mut row: Row<'_> = HashMap::new();
        for name in &done.updates {
            match target.column(name) {
                Some(column) => row.insert(column, set.get(name).and_then(Option::as_ref)),
                // A hidden rowid is set.
                None => return self.wide_update(target, done),
            };
        }
        let Some(keys) = keys else { return self.wide_update(target, done) };
        let key_columns = target.key_columns().unwrap_or_default();
        if key_columns.iter().any(|column| row.contains_key(column)) {
            let new = keys.iter().map(|old| new_key(target, key_columns, old, &row)).collect::<Option<Vec<_>>>();
            let Some(new) = new else { return self.wide_update(target, done) };
            self.keyed(target, Access::Write, keys, OnNull::Nothing);
            let on_null = if matches!(target.key, Key::Rowid(_)) { OnNull::All } else { OnNull::Key };
            self.keyed(target, Access::Write, new, on_null);
        } else {
            self.keyed(target, Access::Write, keys, OnNull::Nothing);
        }
        self.all_of_indexes(target, Some(&done.updates));
        self.parents_of_update(target, done, &row);
    }

    fn wide_update(&mut self, target: &Table, done: &Done) {
        self.all(target, Access::Write);
        self.parents_of_update(target, done, &HashMap::new());
    }

    fn parents_of_update(&mut self, target: &Table, done: &Done, row: &Row<'_>) {
        for foreign_key in &target.foreign_keys {
            if changes_key(target, Some(&foreign_key.columns), &done.updates) {
                self.parent(target, foreign_key, row, false);
            }
        }
    }

    /// Reads the parent's row that a foreign key names. What `row` does not say is the default in an inserted row,
    /// and what it was in an updated one.
    fn parent(&mut self, child: &Table, foreign_key: &ForeignKey, row: &Row<'_>, inserted: bool) {
        let Some(parent) = self.schema.table(&foreign_key.parent) else { return };
        let is_null = |column: &usize| {
            let column_is_null = || parts(child, &[*column], row).is_some_and(|parts| is_null(&parts[0]));
            (inserted || row.contains_key(column)) && column_is_null()
        };
        if foreign_key.columns.iter().any(is_null) {
            return;
        }
        match parent_key(child, foreign_key, parent, row) {
            Some(key) => self.keyed(parent, Access::Read, vec![key], OnNull::Nothing),
            None => self.all(parent, Access::Read),
        }
    }

    fn insert(&mut self, target: &Table, done: &Done, rows: Option<&[Row<'_>]>, resolves: bool, plain: bool) {
        let updates_key = target
            .key_columns()
            .is_some_and(|key| key.iter().any(|column| done.updates.contains(&*target.columns[*column].name)));
        let wide = !plain || updates_key || resolves && !target.unique.is_empty();
        if wide {
            self.all(target, Access::Write);
        } else {
            self.new_rows(target, rows, resolves);
            self.new_index_keys(target, rows);
        }
        for foreign_key in &target.foreign_keys {
            match rows {
                Some(rows) => rows.iter().for_each(|row| self.parent(target, foreign_key, row, true)),
                None => self.parent(target, foreign_key, &HashMap::new(), false),
            }
            if changes_key(target, Some(&foreign_key.columns), &done.updates) {
                self.parent(target, foreign_key, &HashMap::new(), false);
            }
        }
    }

    fn new_rows(&mut self, target: &Table, rows: Option<&[Row<'_>]>, resolves: bool) {
        let Some(columns) = target.key_columns() else { return self.all(target, Access::Append) };
        let Some(rows) = rows else { return self.all(target, Access::Write) };
        for row in rows {
            match parts(target, columns, row) {
                Some(key) => {
                    let drawn = key.iter().any(|part| matches!(part.operand.source, Source::Draw(_)));
                    let on_null = if matches!(target.key, Key::Rowid(_)) { OnNull::All } else { OnNull::Key };
                    let access = if drawn && !resolves { Access::Append } else { Access::Write };
                    self.keyed(target, access, vec![key], on_null);
                }
                None => self.all(target, Access::Write),
            }
        }
    }

    fn new_index_keys(&mut self, target: &Table, rows: Option<&[Row<'_>]>) {
        for index in &target.unique {
            let (Some(columns), Some(rows)) = (&index.columns, rows) else {
                self.touch(target, Some(&index.name), &[], Access::Write, Rows::All);
                continue;
            };
            for row in rows {
                let key = parts(target, columns, row).map_or(Rows::All, Rows::Key);
                self.touch(target, Some(&index.name), columns, Access::Write, key);
            }
        }
    }

    /// A sequence is the row of [`SEQUENCES`] with its OID.
    fn sequences(&mut self, shape: Option<&Shape>) {
        let known = shape.filter(|_| {
            let tables = self.facts.tables.keys().filter_map(|name| self.schema.table(name));
            !tables.into_iter().any(|table| table.draws)
        });
        let found: Vec<(Option<i64>, bool)> = match known {
            Some(shape) if !shape.sequences.is_empty() => shape.sequences.clone(),
            _ => vec![(None, true)],
        };
        for (oid, sets) in found {
            let operand = |oid| Operand { source: Source::Constant(Value::Integer(oid)), characters_max: None };
            let part = |oid| Part { operand: operand(oid), affinity: Affinity::Integer };
            let key = oid.map(|oid| Box::from([part(oid)]));
            let name = Name { table: SEQUENCES.into(), index: None, columns: vec!["oid".into()] };
            let draw = key.is_some() && !sets;
            self.touches.push(Touch {
                space: space(SEQUENCES, None),
                access: if draw { Access::Append } else { Access::Write },
                rows: key.map_or(Rows::All, Rows::Key),
                on_null: OnNull::All,
                draw,
                name: Arc::new(name),
            });
        }
    }

    /// Each access once, and none to rows of which all or the partition are written anyway.
    fn finish(self) -> Vec<Touch> {
        let wide: Vec<(u64, Access)> = self
            .touches
            .iter()
            .filter(|touch| touch.rows == Rows::All && touch.access != Access::Append)
            .map(|touch| (touch.space, touch.access))
            .collect();
        let covered = |touch: &Touch| {
            let all = |access| wide.contains(&(touch.space, access));
            let own = touch.rows == Rows::All && touch.access == Access::Write;
            !own && (all(Access::Write) || touch.access == Access::Read && touch.rows != Rows::All && all(Access::Read))
                || self.touches.iter().any(|other| other.access == Access::Write && in_partition(touch, other))
        };
        let mut touches: Vec<Touch> = Vec::new();
        for touch in self.touches.iter().filter(|touch| !covered(touch)) {
            if !touches.contains(touch) {
                touches.push(touch.clone());
            }
        }
        touches.iter_mut().for_each(fix);
        touches
    }
}

/// Whether one is of a row, and the other of its partition.
fn in_partition(touch: &Touch, partition: &Touch) -> bool {
    let (Rows::Key(row), Rows::Key(of)) = (&touch.rows, &partition.rows) else { return false };
    touch.space == partition.space && row.len() > 1 && of.len() == 1 && row[0] == of[0]
}

/// Hashes keys of constants once for all.
fn fix(touch: &mut Touch) {
    if let Rows::Key(parts) = &touch.rows
        && parts.iter().all(|part| matches!(part.operand.source, Source::Constant(_)))
    {
        let (_, extent) = bind(parts, &Bound::default());
        let name = Name {
            columns: touch.name.columns.iter().zip(parts).map(|(c, part)| equality(c, part, None)).collect(),
            ..(*touch.name).clone()
        };
        (touch.rows, touch.name) = (Rows::Fixed(extent), Arc::new(name));
    }
}

fn place_of(sources: &Sources, table: &str) -> Option<usize> {
    sources.places.iter().position(|place| place.table == table)
}

/// Whether a table is touched only because foreign keys of the target refer to it.
fn is_parent_only(target: &Table, name: &str) -> bool {
    target.foreign_keys.iter().any(|key| &*key.parent == name)
}
