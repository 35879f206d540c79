//! What a statement does to which table: as the authorizer tells, and what foreign keys make of it.

use super::schema::{ForeignAction, Kind, Schema, Table};
use super::template::Action;
use std::collections::{BTreeMap, BTreeSet};

/// Table-valued functions that read nothing but their arguments.
const PURE_TABLES: &[&str] = &["json_each", "json_tree", "jsonb_each", "jsonb_tree"];
/// The schema as SQLite shows it: it changes by DDL alone, which conflicts with everything.
const SCHEMA_TABLES: &[&str] = &["sqlite_master", "sqlite_schema"];
/// EveSQL's own tables of which a change is more than a change of rows.
const OWN_TABLES: &[&str] = &["evesql_catalog", "evesql_once"];
/// The sequences, a row for each.
pub(super) const SEQUENCES: &str = "evesql_sequences";

/// What is done to one table.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub reads: bool,
    pub inserts: bool,
    pub deletes: bool,
    /// Columns that are updated, in lower case.
    pub updates: BTreeSet<String>,
    /// A hidden rowid is seen.
    pub shows_rowid: bool,
    /// Foreign keys read any of its rows.
    pub scanned: bool,
    /// Foreign keys write any of its rows.
    pub carried_along: bool,
}

impl Done {
    pub fn writes(&self) -> bool {
        self.inserts || self.deletes || !self.updates.is_empty()
    }
}

/// What a statement does.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// By name in lower case.
    pub tables: BTreeMap<String, Done>,
    /// Views or triggers are in it: its text tells less than it does.
    pub indirect: bool,
    /// Functions on sequences are called.
    pub uses_sequences: bool,
}

impl Facts {
    /// From the authorizer's actions; none if it must be taken for everything.
    pub fn of(schema: &Schema, actions: &[Action<'_>]) -> Option<Facts> {
        let mut facts = Facts::default();
        for action in actions {
            match *action {
                Action::Read(table, column) => facts.read(schema, table, column)?,
                Action::Insert(table) => facts.written(schema, table)?.inserts = true,
                Action::Delete(table) => facts.written(schema, table)?.deletes = true,
                Action::Update(table, column) => {
                    let column = column.to_ascii_lowercase();
                    facts.written(schema, table)?.updates.insert(column);
                }
                Action::Function(name) => {
                    facts.uses_sequences |=
                        name.eq_ignore_ascii_case("evesql_nextval") || name.eq_ignore_ascii_case("evesql_setval");
                }
                Action::Harmless => {}
                Action::Other => return None,
            }
        }
        facts.follow_foreign_keys(schema);
        facts.indirect |=
            facts.tables.iter().any(|(name, done)| done.writes() && schema.table(name).is_some_and(|t| t.has_triggers));
        Some(facts)
    }

    fn read(&mut self, schema: &Schema, name: &str, column: &str) -> Option<()> {
        let name = name.to_ascii_lowercase();
        let Some(table) = schema.table(&name) else {
            // An unknown name is a module's, or a table of another database.
            return (PURE_TABLES.contains(&&*name) || SCHEMA_TABLES.contains(&&*name)).then_some(());
        };
        match table.kind {
            Kind::Virtual => return None,
            Kind::View => {
                self.indirect = true;
                return Some(());
            }
            Kind::Table => {}
        }
        let hidden = column.eq_ignore_ascii_case("rowid") && table.column(column).is_none();
        let done = self.tables.entry(name).or_default();
        done.reads = true;
        done.shows_rowid |= hidden;
        Some(())
    }

    fn written(&mut self, schema: &Schema, name: &str) -> Option<&mut Done> {
        let name = name.to_ascii_lowercase();
        let table = schema.table(&name)?;
        if table.kind == Kind::Virtual || name.starts_with("sqlite_") || OWN_TABLES.contains(&&*name) {
            return None;
        }
        // A view that is written has triggers that do so.
        self.indirect |= table.kind == Kind::View;
        Some(self.tables.entry(name).or_default())
    }

    /// Adds what foreign keys read and write, and what that entails.
    fn follow_foreign_keys(&mut self, schema: &Schema) {
        let mut todo: Vec<(String, bool, BTreeSet<String>)> = self
            .tables
            .iter()
            .filter(|(_, done)| done.deletes || !done.updates.is_empty())
            .map(|(name, done)| (name.clone(), done.deletes, done.updates.clone()))
            .collect();
        let mut seen: BTreeSet<(String, String, usize, bool)> = BTreeSet::new();
        while let Some((parent, deletes, updates)) = todo.pop() {
            let Some(table) = schema.table(&parent) else { continue };
            for (child_name, at) in &table.children {
                let Some((child, key)) = schema.table(child_name).and_then(|t| Some((t, t.foreign_keys.get(*at)?)))
                else {
                    continue;
                };
                let changes = changes_key(table, table.referenced(key).as_deref(), &updates);
                if !deletes && !changes {
                    continue;
                }
                let done = self.tables.entry(child_name.to_string()).or_default();
                done.scanned = true;
                let carried = |applies: bool, action: ForeignAction| applies && action != ForeignAction::Refuse;
                if !carried(deletes, key.on_delete) && !carried(changes, key.on_update) {
                    continue;
                }
                done.carried_along = true;
                let own = |column: &usize| child.columns[*column].name.to_string();
                let columns: BTreeSet<String> = key.columns.iter().map(own).collect();
                done.updates.extend(columns.iter().cloned());
                let child_deletes = deletes && key.on_delete == ForeignAction::Cascade;
                done.deletes |= child_deletes;
                // Other values need parents too.
                if carried(changes, key.on_update) || deletes && key.on_delete == ForeignAction::Set {
                    for other in &child.foreign_keys {
                        self.tables.entry(other.parent.to_string()).or_default().scanned = true;
                    }
                }
                if seen.insert((parent.clone(), child_name.to_string(), *at, child_deletes)) {
                    todo.push((child_name.to_string(), child_deletes, columns));
                }
            }
        }
        let named: BTreeSet<String> = self
            .tables
            .iter()
            .filter(|(_, done)| done.inserts || !done.updates.is_empty())
            .filter_map(|(name, _)| schema.table(name))
            .flat_map(|table| table.foreign_keys.iter().map(|key| key.parent.to_string()))
            .collect();
        for parent in named {
            self.tables.entry(parent).or_default().reads = true;
        }
        self.tables.retain(|name, _| schema.table(name).is_some());
    }

    /// Adds what deleting rows of a table entails, where the authorizer does not call it so (REPLACE).
    pub fn also_deletes(&mut self, schema: &Schema, table: &str) {
        if let Some(done) = self.tables.get_mut(table) {
            done.deletes = true;
        }
        self.follow_foreign_keys(schema);
    }
}

/// Whether updating these columns may change the ones that a foreign key refers to.
pub(super) fn changes_key(table: &Table, key: Option<&[usize]>, updates: &BTreeSet<String>) -> bool {
    let Some(key) = key else { return !updates.is_empty() };
    !updates.is_empty()
        && key.iter().any(|column| {
            let column = &table.columns[*column];
            column.generated || updates.contains(&*column.name)
        })
}
