//! From SQLite's pragmas to a [`Schema`].

use super::key::Affinity;
use super::schema::{Column, ForeignAction, ForeignKey, Key, Kind, Schema, Table, UniqueIndex};
use crate::transaction::Value;
use std::collections::HashMap;

const TABLES: &str = "SELECT s.name, l.type, l.wr, l.strict, coalesce(s.sql, '') FROM main.sqlite_schema s \
    JOIN pragma_table_list l ON l.name = s.name AND l.schema = 'main' WHERE s.type IN ('table', 'view')";
const COLUMNS: &str = "SELECT s.name, x.name, x.type, x.\"notnull\", x.dflt_value IS NOT NULL, x.pk, x.hidden \
    FROM main.sqlite_schema s JOIN pragma_table_xinfo(s.name, 'main') x WHERE s.type IN ('table', 'view') \
    ORDER BY s.name, x.cid";
const INDEXES: &str = "SELECT s.name, l.name, l.origin, l.partial, x.cid, x.coll, l.\"unique\" \
    FROM main.sqlite_schema s JOIN pragma_index_list(s.name, 'main') l JOIN pragma_index_xinfo(l.name, 'main') x \
    WHERE s.type = 'table' AND x.key ORDER BY s.name, l.name, x.seqno";
/// Where no column of the parent is said, its primary key is meant.
const FOREIGN_KEYS: &str = "SELECT s.name, f.id, f.\"table\", f.\"from\", \
    coalesce(f.\"to\", (SELECT p.name FROM pragma_table_xinfo(f.\"table\", 'main') p WHERE p.pk = f.seq + 1)), \
    f.on_update, f.on_delete FROM main.sqlite_schema s JOIN pragma_foreign_key_list(s.name, 'main') f \
    WHERE s.type = 'table' ORDER BY s.name, f.id, f.seq";
const TRIGGERS: &str = "SELECT DISTINCT tbl_name FROM main.sqlite_schema WHERE type = 'trigger'";

type Rows = Vec<Vec<Value>>;

/// An index as the pragmas tell it.
struct Listed {
    name: Box<str>,
    unique: bool,
    /// `c` made by CREATE INDEX, `u` a UNIQUE, `pk` the primary key.
    origin: Box<str>,
    partial: bool,
    /// Columns; none for an expression or the rowid.
    columns: Vec<Option<usize>>,
    binary: bool,
}

pub(super) fn load<E>(mut query: impl FnMut(&str) -> Result<Rows, E>) -> Result<Schema, E> {
    let tables = query(TABLES)?;
    let mut columns = by_table(query(COLUMNS)?);
    let mut indexes = by_table(query(INDEXES)?);
    let mut foreign_keys = by_table(query(FOREIGN_KEYS)?);
    let mut triggers = by_table(query(TRIGGERS)?);
    let mut schema = Schema::default();
    for row in &tables {
        let name = lower(&row[0]);
        let rows = |of: &mut HashMap<Box<str>, Rows>| of.remove(&name).unwrap_or_default();
        let (unique, others): (Vec<Listed>, Vec<Listed>) =
            listed(&rows(&mut indexes)).into_iter().partition(|index| index.unique);
        let mut table = table(row, &rows(&mut columns), unique);
        table.foreign_keys = foreign_keys_of(&table, &rows(&mut foreign_keys));
        table.has_triggers = !rows(&mut triggers).is_empty();
        partition(&mut table, &others);
        schema.add(table);
    }
    schema.link();
    Ok(schema)
}

fn by_table(rows: Rows) -> HashMap<Box<str>, Rows> {
    let mut tables: HashMap<Box<str>, Rows> = HashMap::new();
    for row in rows {
        tables.entry(lower(&row[0])).or_default().push(row);
    }
    tables
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

fn lower(value: &Value) -> Box<str> {
    text(value).to_ascii_lowercase().into()
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        _ => 0,
    }
}

/// Of a row of [`TABLES`], its rows of [`COLUMNS`] and its unique indexes.
fn table(row: &[Value], columns: &[Vec<Value>], indexes: Vec<Listed>) -> Table {
    let kind = match text(&row[1]) {
        "view" => Kind::View,
        "virtual" => Kind::Virtual,
        _ => Kind::Table,
    };
    let (without_rowid, strict) = (number(&row[2]) != 0, number(&row[3]) != 0);
    let declaration = text(&row[4]).to_ascii_uppercase();
    // Collations of columns are in no pragma; EveSQL's own tables name none.
    let binary = !declaration.contains("COLLATE");
    let table_columns: Vec<Column> = columns
        .iter()
        .map(|row| Column {
            name: lower(&row[1]),
            affinity: Affinity::of_type(text(&row[2]), strict),
            binary,
            not_null: number(&row[3]) != 0 || without_rowid && number(&row[5]) != 0,
            has_default: number(&row[4]) != 0,
            generated: number(&row[6]) >= 2,
        })
        .collect();
    let mut primary: Vec<(i64, usize)> =
        columns.iter().enumerate().map(|(at, row)| (number(&row[5]), at)).filter(|(place, _)| *place > 0).collect();
    primary.sort_unstable();
    let primary: Vec<usize> = primary.into_iter().map(|(_, at)| at).collect();
    let is_rowid = |column: usize| {
        // INTEGER PRIMARY KEY DESC is not the rowid; it has an index.
        text(&columns[column][2]).eq_ignore_ascii_case("INTEGER")
            && !without_rowid
            && !indexes.iter().any(|index| &*index.origin == "pk")
    };
    let (key, index) = match primary.as_slice() {
        [column] if is_rowid(*column) => (Key::Rowid(*column), None),
        [] => index_as_key(&table_columns, &indexes),
        columns => {
            let index = indexes.iter().position(|index| &*index.origin == "pk");
            let known = index.is_none_or(|index| indexes[index].binary)
                && columns.iter().all(|column| table_columns[*column].binary);
            // Compared otherwise than byte by byte: rows cannot be named by hashes.
            (if known { Key::Columns(columns.to_vec()) } else { Key::Hidden }, index.filter(|_| known))
        }
    };
    let unique = indexes
        .into_iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != index)
        .map(|(_, listed)| UniqueIndex { columns: plain(&table_columns, &listed), name: listed.name })
        .collect();
    Table {
        name: text(&row[0]).into(),
        kind,
        columns: table_columns,
        key,
        unique,
        foreign_keys: Vec::new(),
        children: Vec::new(),
        has_triggers: false,
        has_rowids: kind == Kind::Table && !without_rowid,
        autoincrement: declaration.contains("AUTOINCREMENT"),
        draws: declaration.contains("EVESQL_NEXTVAL") || declaration.contains("EVESQL_SETVAL"),
        resolves_conflicts: declaration.contains("CONFLICT"),
    }
}

/// Puts the column that makes partitions before the others of the key (see [`Key::Columns`]). What belongs together is
/// looked for by such a column: the lines of an order are numbered, and found by the order that they belong to.
fn partition(table: &mut Table, others: &[Listed]) {
    let Key::Columns(key) = &mut table.key else { return };
    let refers = |column: &usize| table.foreign_keys.iter().any(|foreign_key| foreign_key.columns.contains(column));
    let unique = table.unique.iter().filter_map(|index| index.columns.as_ref()?.first().copied());
    let others = others.iter().filter(|index| !index.partial).filter_map(|index| *index.columns.first()?);
    let leading: Vec<usize> = unique.chain(others).collect();
    let leads = |column: &usize| leading.contains(column);
    if let Some(at) = key.iter().position(refers).or_else(|| key.iter().position(leads)) {
        key[..=at].rotate_right(1);
    }
}

/// Columns that alone make an index's keys.
fn plain(columns: &[Column], index: &Listed) -> Option<Vec<usize>> {
    let plain = |column: &Option<usize>| column.filter(|column| !columns[*column].generated && columns[*column].binary);
    if index.partial || !index.binary { None } else { index.columns.iter().map(plain).collect() }
}

/// The unique index that names the rows of a table without a primary key: by preference one that is called so.
fn index_as_key(columns: &[Column], indexes: &[Listed]) -> (Key, Option<usize>) {
    let usable = indexes.iter().enumerate().filter_map(|(at, index)| {
        let plain = plain(columns, index)?;
        plain.iter().all(|column| columns[*column].not_null).then_some((at, index, plain))
    });
    let rank = |index: &Listed, plain: &[usize]| (!index.name.contains("_pkey"), plain.len(), index.name.clone());
    match usable.min_by_key(|(_, index, plain)| rank(index, plain)) {
        Some((at, _, plain)) => (Key::Columns(plain), Some(at)),
        None => (Key::Hidden, None),
    }
}

/// From rows of [`INDEXES`].
fn listed(rows: &[Vec<Value>]) -> Vec<Listed> {
    let mut indexes: Vec<Listed> = Vec::new();
    for row in rows {
        let name = text(&row[1]);
        if indexes.last().is_none_or(|last| &*last.name != name) {
            indexes.push(Listed {
                name: name.into(),
                unique: number(&row[6]) != 0,
                origin: text(&row[2]).into(),
                partial: number(&row[3]) != 0,
                columns: Vec::new(),
                binary: true,
            });
        }
        if let Some(index) = indexes.last_mut() {
            // -1 is the rowid, -2 an expression.
            index.columns.push(usize::try_from(number(&row[4])).ok());
            index.binary &= text(&row[5]).eq_ignore_ascii_case("BINARY");
        }
    }
    indexes
}

/// From rows of [`FOREIGN_KEYS`].
fn foreign_keys_of(table: &Table, rows: &[Vec<Value>]) -> Vec<ForeignKey> {
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for row in rows {
        let id = number(&row[1]);
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let key = ForeignKey {
                columns: Vec::new(),
                parent: lower(&row[2]),
                parent_columns: Vec::new(),
                on_update: action(&row[5]),
                on_delete: action(&row[6]),
            };
            keys.push((id, key));
        }
        if let (Some((_, key)), Some(column)) = (keys.last_mut(), table.column(text(&row[3]))) {
            key.columns.push(column);
            key.parent_columns.extend(Some(lower(&row[4])).filter(|name| !name.is_empty()));
        }
    }
    keys.into_iter().map(|(_, key)| key).collect()
}

fn action(value: &Value) -> ForeignAction {
    match text(value) {
        "CASCADE" => ForeignAction::Cascade,
        "SET NULL" | "SET DEFAULT" => ForeignAction::Set,
        _ => ForeignAction::Refuse,
    }
}
