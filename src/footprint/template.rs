//! The footprint of a statement's text, worked out once; parameters fill in the keys.

use super::key::{Added, Bound, Part, Source, bind};
use super::schema::Schema;
use super::{Access, Extent, Item};
use crate::transaction::Value;
use std::fmt;
use std::sync::Arc;

/// What SQLite's authorizer said of a statement while it was compiled, as far as footprints care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Reads a column of a table or view; an empty name if it only counts rows, `ROWID` for a hidden rowid.
    Read(&'a str, &'a str),
    /// Inserts into a table or view.
    Insert(&'a str),
    /// Updates a column of a table or view.
    Update(&'a str, &'a str),
    /// Deletes from a table or view.
    Delete(&'a str),
    /// Calls a function.
    Function(&'a str),
    /// Nothing that touches rows.
    Harmless,
    /// Something else: DDL, ANALYZE, a pragma, another database.
    Other,
}

/// Which rows of a space.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    All,
    /// These.
    Fixed(Extent),
    /// By the values of the key: of all its columns, or of the first one alone.
    Key(Box<[Part]>),
}

/// What an item is if a part of its key is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnNull {
    /// Nothing: NULL equals nothing.
    Nothing,
    /// The key with a NULL in it.
    Key,
    /// All rows: the row gets another key.
    All,
}

/// What a space is called, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub table: Box<str>,
    pub index: Option<Box<str>>,
    pub columns: Vec<Box<str>>,
}

/// One access of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Touch {
    pub space: u64,
    pub access: Access,
    pub rows: Rows,
    pub on_null: OnNull,
    /// A draw from a sequence, which touches nothing if the numbers are known.
    pub draw: bool,
    pub name: Arc<Name>,
}

/// One access of a statement, by names.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<'a> {
    /// The space.
    pub space: u64,
    /// How.
    pub access: Access,
    /// The table.
    pub table: &'a str,
    /// The unique index of it whose keys these are.
    pub index: Option<&'a str>,
    /// Which rows.
    pub rows: NamedRows<'a>,
}

/// Rows of a [`Named`] access.
#[derive(Clone, Debug, PartialEq)]
pub enum NamedRows<'a> {
    /// All.
    All,
    /// Others, which the text does not tell by columns and values.
    Some,
    /// Those in which these columns have these values.
    Key(Vec<(&'a str, NamedValue<'a>)>),
}

/// A value of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NamedValue<'a> {
    /// The parameter of this number, from 1.
    Parameter(u32),
    /// One that stands in the text.
    Constant(&'a Value),
}

/// Footprint of one SQLite statement's text, open in its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    pub(super) everything: bool,
    pub(super) touches: Vec<Touch>,
}

impl Template {
    /// Of a statement about which nothing is known.
    pub fn everything() -> Self {
        Template { everything: true, touches: Vec::new() }
    }

    /// Of a SQLite statement, from its text, the schema, and the actions that the authorizer was asked about when it
    /// was compiled for this schema. What is not understood is all rows of its table, or everything.
    pub fn derive(sql: &str, schema: &Schema, actions: &[Action<'_>]) -> Template {
        super::derive::derive(sql, schema, actions)
    }

    /// Whether it conflicts with every other statement.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Adds the items of a run with these parameters (`?1` first) to `out`. Of a template that is
    /// [`Template::is_everything`] there are none.
    pub fn bind(&self, parameters: &[Value], out: &mut Vec<Item>) {
        self.bind_drawn(parameters, &[], out);
    }

    /// As [`Template::bind`], for a run whose numbers from sequences are known: rows that they name have keys, and
    /// the sequences are not touched. An empty list says that they are not known.
    pub fn bind_drawn(&self, parameters: &[Value], drawn: &[i64], out: &mut Vec<Item>) {
        let bound = Bound { parameters, drawn };
        out.extend(self.touches.iter().filter_map(|touch| touch.item(&bound)));
    }

    /// Adds items that hold whatever the parameters are.
    pub fn bind_all(&self, out: &mut Vec<Item>) {
        out.extend(self.touches.iter().map(|touch| match touch.rows {
            Rows::Fixed(extent) => touch.with(extent),
            _ => touch.with(Extent::All),
        }));
    }

    /// Numbers of sequences that one run takes for keys.
    pub(super) fn draws(&self) -> usize {
        let parts = self.touches.iter().filter_map(|touch| match &touch.rows {
            Rows::Key(parts) => Some(parts),
            _ => None,
        });
        let draws = parts.flatten().filter_map(|part| match part.operand.source {
            Source::Draw(at) => Some(at as usize + 1),
            _ => None,
        });
        draws.max().unwrap_or(0)
    }

    /// What a run with these parameters touches, for people: `reads item(i_id = 5)`, `writes orders(*)`.
    pub fn describe(&self, parameters: &[Value]) -> Vec<String> {
        self.lines(Some(&Bound { parameters, drawn: &[] }))
    }

    /// What it touches, each with the name of its space.
    pub fn accesses(&self) -> impl Iterator<Item = Named<'_>> {
        self.touches.iter().map(Touch::named)
    }

    fn lines(&self, bound: Option<&Bound<'_>>) -> Vec<String> {
        if self.everything {
            return vec!["everything".into()];
        }
        self.touches.iter().filter_map(|touch| touch.line(bound)).collect()
    }
}

impl fmt::Display for Template {
    /// One access a line, parameters as `?1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(None).join("\n"))
    }
}

impl Touch {
    fn named(&self) -> Named<'_> {
        let rows = match &self.rows {
            Rows::All => NamedRows::All,
            Rows::Fixed(_) => NamedRows::Some,
            Rows::Key(parts) => named_key(&self.name.columns, parts).map_or(NamedRows::Some, NamedRows::Key),
        };
        let (table, index) = (&*self.name.table, self.name.index.as_deref());
        Named { space: self.space, access: self.access, table, index, rows }
    }

    fn with(&self, extent: Extent) -> Item {
        Item { space: self.space, extent, access: self.access }
    }

    fn item(&self, bound: &Bound<'_>) -> Option<Item> {
        if self.draw && !bound.drawn.is_empty() {
            return None;
        }
        match &self.rows {
            Rows::All => Some(self.with(Extent::All)),
            Rows::Fixed(extent) => Some(self.with(*extent)),
            Rows::Key(parts) => {
                let (added, extent) = bind(parts, bound);
                match (added, self.on_null) {
                    (Added::Unknown, _) | (Added::Null, OnNull::All) => Some(self.with(Extent::All)),
                    (Added::Null, OnNull::Nothing) => None,
                    (Added::Known, _) | (Added::Null, OnNull::Key) => {
                        // A new row whose number is known is like any other.
                        let access = if self.draw || self.access == Access::Read { self.access } else { Access::Write };
                        Some(Item { access, ..self.with(extent) })
                    }
                }
            }
        }
    }

    fn line(&self, bound: Option<&Bound<'_>>) -> Option<String> {
        let verb = match (self.draw, self.access) {
            (true, Access::Append) => "draws from",
            (_, Access::Read) => "reads",
            (_, Access::Write) => "writes",
            (_, Access::Append) => "appends to",
        };
        let index = self.name.index.as_ref().map_or(String::new(), |index| format!(".{index}"));
        // Columns of which the values count; of all rows none.
        let counting = match bound {
            None => usize::MAX,
            Some(bound) => match self.item(bound)?.extent {
                Extent::All => 0,
                Extent::Partition(_) => 1,
                Extent::Row { .. } => usize::MAX,
            },
        };
        let key = match &self.rows {
            Rows::Key(parts) if counting > 0 => {
                let part = |(column, part)| String::from(equality(column, part, bound));
                let columns = self.name.columns.iter().map(|column| &**column);
                columns.zip(parts).take(counting).map(part).collect::<Vec<_>>().join(", ")
            }
            // Told with their values.
            Rows::Fixed(_) => self.name.columns.join(", "),
            _ => "*".into(),
        };
        Some(format!("{verb} {}{index}({key})", self.name.table))
    }
}

/// Columns with their values; none if one of these is drawn when the statement runs.
fn named_key<'a>(columns: &'a [Box<str>], parts: &'a [Part]) -> Option<Vec<(&'a str, NamedValue<'a>)>> {
    let value = |part: &'a Part| match &part.operand.source {
        Source::Parameter(number) => Some(NamedValue::Parameter(*number)),
        Source::Constant(value) => Some(NamedValue::Constant(value)),
        Source::Draw(_) => None,
    };
    columns.iter().zip(parts).map(|(column, part)| Some((&**column, value(part)?))).collect()
}

/// A column with its value.
pub(super) fn equality(column: &str, part: &Part, bound: Option<&Bound<'_>>) -> Box<str> {
    format!("{column} = {}", shown(part, bound)).into()
}

/// Characters of a value that people are shown.
const SHOWN_CHARACTERS_MAX: usize = 40;

fn shown(part: &Part, bound: Option<&Bound<'_>>) -> String {
    let value = match (&part.operand.source, bound) {
        (Source::Constant(value), _) => value,
        (Source::Parameter(number), None) => return format!("?{number}"),
        (Source::Parameter(number), Some(bound)) => match bound.parameters.get((*number as usize).wrapping_sub(1)) {
            Some(value) => value,
            None => return format!("?{number}"),
        },
        (Source::Draw(_), _) => return "next number".into(),
    };
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) if text.chars().count() > SHOWN_CHARACTERS_MAX => {
            format!("'{}..'", text.chars().take(SHOWN_CHARACTERS_MAX).collect::<String>().replace('\'', "''"))
        }
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => {
            let digits: String =
                bytes.iter().take(SHOWN_CHARACTERS_MAX / 2).map(|byte| format!("{byte:02x}")).collect();
            format!("X'{digits}{}'", if bytes.len() > SHOWN_CHARACTERS_MAX / 2 { ".." } else { "" })
        }
    }
}
