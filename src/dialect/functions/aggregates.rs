//! Aggregates that SQLite has not, or not exactly.

use super::{Aggregate, AggregateFunction, Arguments, Result, bytes, integer, real, string, text};
use crate::dialect::datetime::Interval;
use crate::dialect::numeric::Numeric;
use crate::transaction::{SqlError, Value};
use std::collections::VecDeque;

/// Exact sum and average of integers and numerics. Integers are gathered in 128 bits.
struct Exact {
    sum: Numeric,
    small: i128,
    count: i64,
    /// How many values of each scale there are: the sum shows the greatest.
    scales: std::collections::BTreeMap<u32, i64>,
    average: bool,
    integers: bool,
}

impl Exact {
    fn boxed(average: bool, integers: bool) -> Box<dyn Aggregate> {
        Box::new(Exact { sum: Numeric::from(0i64), small: 0, count: 0, scales: Default::default(), average, integers })
    }
    fn take(&mut self, args: &Arguments<'_>, direction: i64) -> Result<()> {
        if args[0].is_null() {
            return Ok(());
        }
        self.count += direction;
        if self.integers {
            self.small += i128::from(integer(args[0])?) * i128::from(direction);
            return Ok(());
        }
        let number = Numeric::decode(bytes(args[0])?)?;
        if let Numeric::Finite(decimal) = &number {
            *self.scales.entry(decimal.scale()).or_insert(0) += direction;
        } else if direction < 0 {
            return Err(SqlError::new("0A000", "sum of infinite numerics over a moving window is not supported"));
        }
        self.sum = if direction > 0 { self.sum.add(&number)? } else { self.sum.subtract(&number)? };
        Ok(())
    }
}

impl Aggregate for Exact {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.take(args, 1)
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.take(args, -1)
    }
    fn value(&self) -> Result<Value> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let mut sum = if self.integers { Numeric::from(self.small) } else { self.sum.clone() };
        if !self.integers {
            let scale = self.scales.iter().rev().find(|(_, count)| **count > 0).map_or(0, |(scale, _)| *scale);
            sum = sum.rescale(scale as i32, false);
        }
        let result = if self.average { sum.divide(&Numeric::from(self.count))? } else { sum };
        Ok(Value::Blob(result.encode().into()))
    }
}

/// Sum, average and spread of doubles; rows are kept, because taking one back would not be exact.
struct Floats {
    values: VecDeque<f64>,
    kind: FloatKind,
}

#[derive(Clone, Copy)]
enum FloatKind {
    Sum,
    Average,
    Variance { sample: bool, root: bool },
}

impl Floats {
    fn boxed(kind: FloatKind) -> Box<dyn Aggregate> {
        Box::new(Floats { values: VecDeque::new(), kind })
    }
}

impl Aggregate for Floats {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.values.push_back(real(args[0])?);
        }
        Ok(())
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.values.pop_front();
        }
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        let count = self.values.len() as f64;
        if self.values.is_empty() {
            return Ok(Value::Null);
        }
        let sum: f64 = self.values.iter().sum();
        let result = match self.kind {
            FloatKind::Sum => sum,
            FloatKind::Average => sum / count,
            FloatKind::Variance { sample, root } => {
                if sample && self.values.len() < 2 {
                    return Ok(Value::Null);
                }
                // Youngs and Cramer's recurrence, as in Postgres.
                let (mut n, mut running, mut squares) = (0.0f64, 0.0f64, 0.0f64);
                for value in &self.values {
                    n += 1.0;
                    running += value;
                    if n > 1.0 {
                        let deviation = value * n - running;
                        squares += deviation * deviation / (n * (n - 1.0));
                    }
                }
                let variance = squares / if sample { count - 1.0 } else { count };
                if root { libm::sqrt(variance) } else { variance }
            }
        };
        if result.is_nan() {
            return Err(SqlError::new("0A000", "NaN is not supported in floating-point values"));
        }
        if result.is_infinite() && self.values.iter().all(|value| value.is_finite()) {
            return Err(SqlError::new("22003", "value out of range: overflow"));
        }
        Ok(Value::Real(result))
    }
}

struct Intervals {
    sum: Interval,
    count: i64,
    average: bool,
}

impl Intervals {
    fn boxed(average: bool) -> Box<dyn Aggregate> {
        Box::new(Intervals { sum: Interval::default(), count: 0, average })
    }
}

impl Aggregate for Intervals {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.sum = self.sum.add(&Interval::decode(bytes(args[0])?)?)?;
            self.count += 1;
        }
        Ok(())
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.sum = self.sum.add(&Interval::decode(bytes(args[0])?)?.negate())?;
            self.count -= 1;
        }
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let result = if self.average { self.sum.divide(self.count as f64)? } else { self.sum };
        Ok(Value::Blob(result.encode().into()))
    }
}

/// json_agg: items are JSON already.
struct JsonArray {
    items: VecDeque<String>,
    separator: &'static str,
}

impl JsonArray {
    fn boxed(separator: &'static str) -> Box<dyn Aggregate> {
        Box::new(JsonArray { items: VecDeque::new(), separator })
    }
}

impl Aggregate for JsonArray {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.items.push_back(if args[0].is_null() { "null".into() } else { string(args[0])?.to_string() });
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        self.items.pop_front();
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        Ok(json_list(&self.items, self.separator))
    }
}

/// An array of these items, which are JSON; NULL for none.
pub(super) fn json_list(items: &VecDeque<String>, separator: &str) -> Value {
    if items.is_empty() {
        return Value::Null;
    }
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    text(format!("[{}]", items.join(separator)))
}

/// bit_and, bit_or and bit_xor keep all values, so that one can leave.
struct Bits {
    values: VecDeque<i64>,
    join: fn(i64, i64) -> i64,
}

impl Bits {
    fn boxed(join: fn(i64, i64) -> i64) -> Box<dyn Aggregate> {
        Box::new(Bits { values: VecDeque::new(), join })
    }
}

impl Aggregate for Bits {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.values.push_back(integer(args[0])?);
        }
        Ok(())
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.values.pop_front();
        }
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        let folded = self.values.iter().copied().reduce(self.join);
        Ok(folded.map_or(Value::Null, Value::Integer))
    }
}

/// The value of a query that may have one row only.
struct Single(Option<Value>);

impl Aggregate for Single {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if self.0.is_some() {
            return Err(SqlError::new("21000", "more than one row returned by a subquery used as an expression"));
        }
        self.0 = Some(args[0].to_value());
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        self.0 = None;
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        Ok(self.0.clone().unwrap_or(Value::Null))
    }
}

const fn one(name: &'static str, start: fn() -> Box<dyn Aggregate>) -> AggregateFunction {
    AggregateFunction { name, args: 1, start }
}

pub(super) const TABLE: &[AggregateFunction] = &[
    one("evesql_sum_int8", || Exact::boxed(false, true)),
    one("evesql_sum_numeric", || Exact::boxed(false, false)),
    one("evesql_avg_int", || Exact::boxed(true, true)),
    one("evesql_avg_numeric", || Exact::boxed(true, false)),
    one("evesql_sum_float8", || Floats::boxed(FloatKind::Sum)),
    one("evesql_avg_float8", || Floats::boxed(FloatKind::Average)),
    one("evesql_stddev_samp", || Floats::boxed(FloatKind::Variance { sample: true, root: true })),
    one("evesql_stddev_pop", || Floats::boxed(FloatKind::Variance { sample: false, root: true })),
    one("evesql_var_samp", || Floats::boxed(FloatKind::Variance { sample: true, root: false })),
    one("evesql_var_pop", || Floats::boxed(FloatKind::Variance { sample: false, root: false })),
    one("evesql_sum_interval", || Intervals::boxed(false)),
    one("evesql_avg_interval", || Intervals::boxed(true)),
    one("evesql_single", || Box::new(Single(None))),
    one("evesql_bit_and", || Bits::boxed(|a, b| a & b)),
    one("evesql_bit_or", || Bits::boxed(|a, b| a | b)),
    one("evesql_bit_xor", || Bits::boxed(|a, b| a ^ b)),
    one("evesql_json_agg", || JsonArray::boxed(", ")),
    // Rows and arrays stand each on a line of its own.
    one("evesql_json_agg_lines", || JsonArray::boxed(", \n ")),
];
