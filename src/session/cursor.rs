//! Results that a client takes in parts: suspended portals and DECLAREd cursors.
//!
//! They are materialised when they open (rule 25): what FETCH shows later cannot depend on what the
//! transaction wrote since, and a re-pin finds no statement open.

use crate::dialect::OutputColumn;
use crate::dialect::utility::FetchCount;
use crate::transaction::{Rows, Value};
use std::rc::Rc;

/// A materialised result and the position in it.
pub struct Cursor {
    /// Columns.
    pub columns: Rc<[OutputColumn]>,
    /// WITH HOLD: it outlives its transaction.
    pub held: bool,
    /// BINARY.
    pub binary: bool,
    rows: Vec<Vec<Value>>,
    /// Rows before the position: 0 is before the first, `rows.len() + 1` after the last one.
    position: usize,
}

impl Cursor {
    /// Over these rows, before the first.
    pub fn new(columns: Rc<[OutputColumn]>, rows: &Rows, held: bool, binary: bool) -> Cursor {
        Cursor { columns, held, binary, rows: rows.to_vec(), position: 0 }
    }

    /// Rows that are left.
    pub fn left(&self) -> usize {
        self.rows.len() - self.position.min(self.rows.len())
    }

    /// Moves, and answers the rows passed over, in the order in which they are sent.
    pub fn fetch(&mut self, count: FetchCount) -> Vec<&[Value]> {
        match count {
            FetchCount::Forward(0) | FetchCount::Backward(0) => self.relative(0),
            FetchCount::Forward(count) => self.forward(usize::try_from(count).unwrap_or(usize::MAX)),
            FetchCount::All => self.forward(usize::MAX),
            FetchCount::Backward(count) => self.backward(usize::try_from(count).unwrap_or(usize::MAX)),
            FetchCount::BackwardAll => self.backward(usize::MAX),
            FetchCount::Absolute(number) => {
                let length = self.rows.len() as i64;
                self.go_to(if number < 0 { length + 1 + number } else { number })
            }
            FetchCount::Relative(step) => self.relative(step),
        }
    }

    fn forward(&mut self, count: usize) -> Vec<&[Value]> {
        let from = self.position.min(self.rows.len());
        let to = from.saturating_add(count).min(self.rows.len());
        // Past the end only if it ran into it.
        self.position = if count > to - from { self.rows.len() + 1 } else { to };
        self.rows[from..to].iter().map(Vec::as_slice).collect()
    }

    fn backward(&mut self, count: usize) -> Vec<&[Value]> {
        let from = self.position.saturating_sub(1).min(self.rows.len());
        let to = from.saturating_sub(count);
        self.position = if count > from - to { 0 } else { to + 1 };
        self.rows[to..from].iter().rev().map(Vec::as_slice).collect()
    }

    fn relative(&mut self, step: i64) -> Vec<&[Value]> {
        self.go_to(self.position as i64 + step)
    }

    fn go_to(&mut self, number: i64) -> Vec<&[Value]> {
        let number = number.clamp(0, self.rows.len() as i64 + 1) as usize;
        self.position = number;
        number.checked_sub(1).and_then(|at| self.rows.get(at)).map(Vec::as_slice).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::ValueRef;

    #[test]
    fn a_cursor_moves_both_ways_and_stops_at_its_ends() {
        let mut rows = Rows { columns: 1, ..Rows::default() };
        for number in 1..=5 {
            rows.push(ValueRef::Integer(number));
            rows.count += 1;
        }
        let mut cursor = Cursor::new(Rc::new([]), &rows, false, false);
        let mut fetch = |count| -> Vec<i64> {
            let number = |row: &&[Value]| match row[0] {
                Value::Integer(number) => number,
                _ => 0,
            };
            cursor.fetch(count).iter().map(number).collect()
        };
        assert_eq!(fetch(FetchCount::Forward(2)), [1, 2]);
        assert_eq!(fetch(FetchCount::Relative(0)), [2]);
        assert_eq!(fetch(FetchCount::Backward(1)), [1]);
        assert_eq!(fetch(FetchCount::All), [2, 3, 4, 5]);
        assert_eq!(fetch(FetchCount::Forward(1)), Vec::<i64>::new());
        assert_eq!(fetch(FetchCount::Backward(2)), [5, 4]);
        assert_eq!(fetch(FetchCount::Absolute(-1)), [5]);
        assert_eq!(fetch(FetchCount::BackwardAll), [4, 3, 2, 1]);
        assert_eq!(fetch(FetchCount::Forward(1)), [1]);
    }
}
