//! Rows under construction: columns are set by name, the others take what PostgreSQL would have there.

use super::shape::{Form, SystemColumn, SystemTable};
use crate::transaction::Value;
use std::sync::Arc;

/// The rows of one relation.
pub(super) struct Rows {
    table: &'static SystemTable,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    pub(super) fn new(table: &'static SystemTable) -> Self {
        Rows { table, rows: Vec::new() }
    }
    /// The relation.
    pub(super) fn table(&self) -> &'static SystemTable {
        self.table
    }
    /// Adds a row with these columns set. A NOT NULL column that is not named is zero, false or empty, any
    /// other NULL; a name that the relation lacks is passed over, so that two relations may share a producer.
    pub(super) fn add<const N: usize>(&mut self, cells: [(&str, Cell); N]) {
        let mut row: Vec<Value> = self.table.columns.iter().map(unset).collect();
        for (name, Cell(value)) in cells {
            if let Some(at) = self.table.columns.iter().position(|column| column.name == name) {
                row[at] = value;
            }
        }
        self.rows.push(row);
    }
    /// Adds a row of values in the order of the columns.
    pub(super) fn add_values(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }
    pub(super) fn into_rows(self) -> Vec<Vec<Value>> {
        self.rows
    }
}

/// What a column that a producer does not name holds.
pub(super) fn unset(column: &SystemColumn) -> Value {
    match (column.not_null, column.form) {
        (false, _) => Value::Null,
        (true, Form::Integer | Form::Boolean) => Value::Integer(0),
        (true, Form::Real) => Value::Real(0.0),
        (true, Form::Text) => Value::Text("".into()),
        (true, Form::Array) => Value::Text("[]".into()),
    }
}

/// A value on its way into a row.
pub(super) struct Cell(pub(super) Value);

/// Makes a [`Cell`]: `("relname", cell(&table.name))`.
pub(super) fn cell(value: impl Into<Cell>) -> Cell {
    value.into()
}

macro_rules! integers {
    ($($ty:ty),*) => {$(impl From<$ty> for Cell {
        fn from(number: $ty) -> Cell {
            Cell(Value::Integer(i64::from(number)))
        }
    })*};
}
integers!(i16, i32, u32, i64, bool);

impl From<f64> for Cell {
    fn from(number: f64) -> Cell {
        Cell(Value::Real(number))
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell(Value::Text(text.into()))
    }
}
impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        Cell(Value::Text(text.as_str().into()))
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell(Value::Text(Arc::from(text)))
    }
}
impl From<char> for Cell {
    fn from(c: char) -> Cell {
        Cell(Value::Text(c.to_string().into()))
    }
}
impl From<Value> for Cell {
    fn from(value: Value) -> Cell {
        Cell(value)
    }
}
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell(Value::Null), Into::into)
    }
}
impl From<&[i16]> for Cell {
    fn from(numbers: &[i16]) -> Cell {
        array(numbers)
    }
}
impl From<&[u32]> for Cell {
    fn from(numbers: &[u32]) -> Cell {
        array(numbers)
    }
}
impl From<Vec<String>> for Cell {
    fn from(texts: Vec<String>) -> Cell {
        cell(texts.as_slice())
    }
}
impl From<&[String]> for Cell {
    fn from(texts: &[String]) -> Cell {
        Cell(Value::Text(serde_json::Value::from(texts).to_string().into()))
    }
}

fn array<T: ToString>(numbers: &[T]) -> Cell {
    let items: Vec<String> = numbers.iter().map(T::to_string).collect();
    Cell(Value::Text(format!("[{}]", items.join(",")).into()))
}

/// `YES` or `NO`, as information_schema says it.
pub(super) fn yes_no(truth: bool) -> Cell {
    cell(if truth { "YES" } else { "NO" })
}
