//! Aggregates that keep their rows: the extreme one, the most frequent one, percentiles, objects, arrays of arrays.

use super::array_parts::dimensions;
use super::arrays::{elements, parse};
use super::{Aggregate, AggregateFunction, Arguments, Result, integer, real, strict, string, text};
use crate::dialect::codec::{array_from_json, array_to_json};
use crate::dialect::types::PgType;
use crate::transaction::{SqlError, Value, ValueRef};
use serde_json::Value as Json;
use std::collections::{BTreeSet, VecDeque};

/// What the translator never asks of aggregates that are not called over windows.
fn no_window() -> SqlError {
    SqlError::new("0A000", "this aggregate over a moving window is not supported")
}

/// min and max of what sorts by a key. Arguments: value, key. Of the rows in the frame only those are kept that can
/// still become the result, best first.
struct Extreme {
    greatest: bool,
    kept: VecDeque<(u64, Value, Value)>,
    arrived: u64,
    left: u64,
}

impl Extreme {
    fn boxed(greatest: bool) -> Box<dyn Aggregate> {
        Box::new(Extreme { greatest, kept: VecDeque::new(), arrived: 0, left: 0 })
    }
}

impl Aggregate for Extreme {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        let at = self.arrived;
        self.arrived += 1;
        if strict(args) {
            return Ok(());
        }
        let key = super::bytes(args[1])?;
        let is_worse = |kept: &(u64, Value, Value)| match &kept.2 {
            Value::Blob(other) if self.greatest => other.as_ref() < key,
            Value::Blob(other) => other.as_ref() > key,
            _ => true,
        };
        while self.kept.back().is_some_and(is_worse) {
            self.kept.pop_back();
        }
        self.kept.push_back((at, args[0].to_value(), Value::Blob(key.into())));
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        if self.kept.front().is_some_and(|(at, _, _)| *at == self.left) {
            self.kept.pop_front();
        }
        self.left += 1;
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        Ok(self.kept.front().map_or(Value::Null, |(_, value, _)| value.clone()))
    }
}

/// json_object_agg and jsonb_object_agg. Arguments: key as text, value as JSON, whether it is jsonb.
struct Object {
    fields: VecDeque<(String, String)>,
    is_binary: bool,
}

impl Aggregate for Object {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if args[0].is_null() {
            return Err(SqlError::new("22023", "field name must not be null"));
        }
        self.is_binary = integer(args[2])? != 0;
        let value = if args[1].is_null() { "null" } else { string(args[1])? };
        self.fields.push_back((string(args[0])?.to_string(), value.to_string()));
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        self.fields.pop_front();
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        if self.fields.is_empty() {
            return Ok(Value::Null);
        }
        if !self.is_binary {
            // json keeps order and doubles.
            let fields = self.fields.iter().map(|(key, value)| format!("{} : {value}", Json::from(key.as_str())));
            return Ok(text(format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))));
        }
        let mut all = serde_json::Map::new();
        for (key, value) in &self.fields {
            all.insert(key.clone(), parse(ValueRef::Text(value))?);
        }
        Ok(super::arrays::shown(&Json::Object(all), false))
    }
}

/// array_agg of arrays, which must have the same dimensions.
#[derive(Default)]
struct Arrays {
    items: VecDeque<String>,
    dimensions: Vec<usize>,
}

impl Aggregate for Arrays {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if args[0].is_null() {
            return Err(SqlError::new("22004", "cannot accumulate null arrays"));
        }
        let found = dimensions(&elements(args[0])?);
        let wrong = |message: &str| Err(SqlError::new("2202E", message));
        if found.is_empty() {
            return wrong("cannot accumulate empty arrays");
        }
        if !self.items.is_empty() && found != self.dimensions {
            return wrong("cannot accumulate arrays of different dimensionality");
        }
        self.dimensions = found;
        self.items.push_back(string(args[0])?.to_string());
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        self.items.pop_front();
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        Ok(super::aggregates::json_list(&self.items, ","))
    }
}

/// string_agg(DISTINCT ..): PostgreSQL sorts to find what is equal. Arguments: text, separator, whether the last comes
/// first.
#[derive(Default)]
struct DistinctTexts {
    texts: BTreeSet<(String, String)>,
    is_descending: bool,
}

impl Aggregate for DistinctTexts {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if args[0].is_null() {
            return Ok(());
        }
        self.is_descending = integer(args[2])? != 0;
        let separator = if args[1].is_null() { "" } else { string(args[1])? };
        self.texts.insert((string(args[0])?.to_string(), separator.to_string()));
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        Err(no_window())
    }
    fn value(&self) -> Result<Value> {
        let mut joined: Option<String> = None;
        let mut add = |(value, separator): &(String, String)| match &mut joined {
            Some(joined) => {
                joined.push_str(separator);
                joined.push_str(value);
            }
            None => joined = Some(value.clone()),
        };
        match self.is_descending {
            true => self.texts.iter().rev().for_each(&mut add),
            false => self.texts.iter().for_each(&mut add),
        }
        Ok(joined.map_or(Value::Null, text))
    }
}

/// string_agg of bytes. Arguments: bytes, separator.
#[derive(Default)]
struct Bytes(VecDeque<(Vec<u8>, Vec<u8>)>);

impl Aggregate for Bytes {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            let separator = if args[1].is_null() { &[] } else { super::bytes(args[1])? };
            self.0.push_back((super::bytes(args[0])?.to_vec(), separator.to_vec()));
        }
        Ok(())
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        if !args[0].is_null() {
            self.0.pop_front();
        }
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        let Some((first, _)) = self.0.front() else { return Ok(Value::Null) };
        let mut joined = first.clone();
        for (value, separator) in self.0.iter().skip(1) {
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value);
        }
        Ok(Value::Blob(joined.into()))
    }
}

/// mode(): of rows in order the first of the most frequent. Arguments: value, key that is equal if values are.
#[derive(Default)]
struct Mode {
    best: Option<(Value, u64)>,
    current: Option<(Value, Value, u64)>,
}

impl Aggregate for Mode {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        if strict(args) {
            return Ok(());
        }
        let count = match &mut self.current {
            Some((_, key, count)) if key.as_ref() == args[1] => {
                *count += 1;
                *count
            }
            current => {
                *current = Some((args[0].to_value(), args[1].to_value(), 1));
                1
            }
        };
        if self.best.as_ref().is_none_or(|(_, most)| count > *most) {
            self.best = self.current.as_ref().map(|(value, _, count)| (value.clone(), *count));
        }
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        Err(no_window())
    }
    fn value(&self) -> Result<Value> {
        Ok(self.best.as_ref().map_or(Value::Null, |(value, _)| value.clone()))
    }
}

/// percentile_disc, and percentile_cont of doubles. Arguments: a fraction or an array of them, value; rows come in order.
struct Percentile {
    is_continuous: bool,
    fraction: Value,
    values: Vec<Value>,
}

impl Percentile {
    fn boxed(is_continuous: bool) -> Box<dyn Aggregate> {
        Box::new(Percentile { is_continuous, fraction: Value::Null, values: Vec::new() })
    }
    /// The value at a fraction of the way.
    fn at(&self, fraction: f64) -> Result<Value> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(SqlError::new("22003", format!("percentile value {fraction} is not between 0 and 1")));
        }
        if self.values.is_empty() {
            return Ok(Value::Null);
        }
        let count = self.values.len() as f64;
        if !self.is_continuous {
            let place = libm::ceil(fraction * count).max(1.0) as usize;
            return Ok(self.values[place.min(self.values.len()) - 1].clone());
        }
        let place = fraction * (count - 1.0);
        let (low, high) = (libm::floor(place), libm::ceil(place));
        let (first, second) = (real(self.values[low as usize].as_ref())?, real(self.values[high as usize].as_ref())?);
        Ok(Value::Real(if low == high { first } else { first + (place - low) * (second - first) }))
    }
}

impl Aggregate for Percentile {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.fraction = args[0].to_value();
        if !args[1].is_null() {
            self.values.push(args[1].to_value());
        }
        Ok(())
    }
    fn inverse(&mut self, _: &Arguments<'_>) -> Result<()> {
        Err(no_window())
    }
    fn value(&self) -> Result<Value> {
        match &self.fraction {
            Value::Null => Ok(Value::Null),
            Value::Text(_) if self.values.is_empty() => Ok(Value::Null),
            Value::Text(fractions) => {
                let mut found = Vec::new();
                for fraction in array_from_json(fractions, PgType::FLOAT8)? {
                    found.push(if fraction == Value::Null { Value::Null } else { self.at(real(fraction.as_ref())?)? });
                }
                Ok(text(array_to_json(&found)))
            }
            fraction => self.at(real(fraction.as_ref())?),
        }
    }
}

const fn table(name: &'static str, args: i32, start: fn() -> Box<dyn Aggregate>) -> AggregateFunction {
    AggregateFunction { name, args, start }
}

pub(super) const TABLE: &[AggregateFunction] = &[
    table("evesql_min_by_key", 2, || Extreme::boxed(false)),
    table("evesql_max_by_key", 2, || Extreme::boxed(true)),
    table("evesql_json_object_agg", 3, || Box::new(Object { fields: VecDeque::new(), is_binary: false })),
    table("evesql_array_agg", 1, || Box::new(Arrays::default())),
    table("evesql_string_agg_distinct", 3, || Box::new(DistinctTexts::default())),
    table("evesql_string_agg_bytes", 2, || Box::new(Bytes::default())),
    table("evesql_mode", 2, || Box::new(Mode::default())),
    table("evesql_percentile_disc", 2, || Percentile::boxed(false)),
    table("evesql_percentile_cont", 2, || Percentile::boxed(true)),
];
