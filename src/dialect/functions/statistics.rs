//! Spread of exact numbers, and statistics of pairs of doubles.

use super::{Aggregate, AggregateFunction, Arguments, Result, bytes, real};
use crate::dialect::numeric::{Moments, Numeric};
use crate::transaction::{SqlError, Value, ValueRef};
use std::collections::{BTreeMap, VecDeque};

/// Variance and standard deviation of integers and numerics.
struct Spread {
    count: i64,
    sum: Numeric,
    squares: Numeric,
    /// How many values of each scale there are: the sum has the greatest.
    scales: BTreeMap<u32, i64>,
    /// NaN and infinities among them.
    unusual: i64,
    sample: bool,
    root: bool,
}

impl Spread {
    fn boxed(sample: bool, root: bool) -> Box<dyn Aggregate> {
        let (sum, squares) = (Numeric::from(0i64), Numeric::from(0i64));
        Box::new(Spread { count: 0, sum, squares, scales: BTreeMap::new(), unusual: 0, sample, root })
    }
    fn take(&mut self, args: &Arguments<'_>, direction: i64) -> Result<()> {
        let number = match args[0] {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(number) => Numeric::from(number),
            stored => Numeric::decode(bytes(stored)?)?,
        };
        self.count += direction;
        let Numeric::Finite(decimal) = &number else {
            self.unusual += direction;
            return Ok(());
        };
        *self.scales.entry(decimal.scale()).or_insert(0) += direction;
        let square = number.multiply(&number)?;
        let add = if direction > 0 { Numeric::add } else { Numeric::subtract };
        (self.sum, self.squares) = (add(&self.sum, &number)?, add(&self.squares, &square)?);
        Ok(())
    }
}

impl Aggregate for Spread {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.take(args, 1)
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.take(args, -1)
    }
    fn value(&self) -> Result<Value> {
        let scale = self.scales.iter().rev().find(|(_, count)| **count > 0).map_or(0, |(scale, _)| *scale as i32);
        let sum = if self.unusual > 0 { Numeric::NotANumber } else { self.sum.rescale(scale, false) };
        let moments = Moments { count: self.count, sum, squares: self.squares.rescale(2 * scale, false) };
        let spread = moments.spread(self.sample, self.root)?;
        Ok(spread.map_or(Value::Null, |number| Value::Blob(number.encode().into())))
    }
}

/// Sums over pairs of doubles, by Youngs and Cramer's recurrence as in PostgreSQL (float8_regr_accum).
#[derive(Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn of<'a>(pairs: impl Iterator<Item = &'a (f64, f64)>) -> Sums {
        let mut sums = Sums::default();
        for (y, x) in pairs {
            let before = sums.n;
            sums.n += 1.0;
            sums.x += x;
            sums.y += y;
            if before > 0.0 {
                let (dx, dy) = (x * sums.n - sums.x, y * sums.n - sums.y);
                let scale = 1.0 / (sums.n * before);
                sums.xx += dx * dx * scale;
                sums.yy += dy * dy * scale;
                sums.xy += dx * dy * scale;
            }
        }
        sums
    }
}

/// Statistics of pairs (y, x): rows are kept, because taking one back would not be exact.
struct Pairs {
    pairs: VecDeque<(f64, f64)>,
    /// The result of at least one pair.
    result: fn(&Sums) -> Option<f64>,
}

fn pair(args: &Arguments<'_>) -> Result<Option<(f64, f64)>> {
    if super::strict(args) { Ok(None) } else { Ok(Some((real(args[0])?, real(args[1])?))) }
}

impl Aggregate for Pairs {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.pairs.extend(pair(args)?);
        Ok(())
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        if pair(args)?.is_some() {
            self.pairs.pop_front();
        }
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        if self.pairs.is_empty() {
            return Ok(Value::Null);
        }
        let Some(result) = (self.result)(&Sums::of(self.pairs.iter())) else { return Ok(Value::Null) };
        if result.is_nan() {
            return Err(SqlError::new("0A000", "NaN is not supported in floating-point values"));
        }
        if result.is_infinite() && self.pairs.iter().all(|(y, x)| y.is_finite() && x.is_finite()) {
            return Err(SqlError::new("22003", "value out of range: overflow"));
        }
        Ok(Value::Real(result))
    }
}

/// How many pairs there are without NULL.
struct PairCount(i64);

impl Aggregate for PairCount {
    fn step(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.0 += i64::from(!super::strict(args));
        Ok(())
    }
    fn inverse(&mut self, args: &Arguments<'_>) -> Result<()> {
        self.0 -= i64::from(!super::strict(args));
        Ok(())
    }
    fn value(&self) -> Result<Value> {
        Ok(Value::Integer(self.0))
    }
}

fn some_if(is_defined: bool, result: f64) -> Option<f64> {
    is_defined.then_some(result)
}

macro_rules! pairs {
    ($($name:literal $result:expr;)*) => {
        &[
            $(AggregateFunction {
                name: $name,
                args: 2,
                start: || Box::new(Pairs { pairs: VecDeque::new(), result: $result }),
            },)*
            AggregateFunction { name: "evesql_regr_count", args: 2, start: || Box::new(PairCount(0)) },
            AggregateFunction { name: "evesql_stddev_samp_numeric", args: 1, start: || Spread::boxed(true, true) },
            AggregateFunction { name: "evesql_stddev_pop_numeric", args: 1, start: || Spread::boxed(false, true) },
            AggregateFunction { name: "evesql_var_samp_numeric", args: 1, start: || Spread::boxed(true, false) },
            AggregateFunction { name: "evesql_var_pop_numeric", args: 1, start: || Spread::boxed(false, false) },
        ]
    };
}

pub(super) const TABLE: &[AggregateFunction] = pairs! {
    "evesql_corr" |s| some_if(s.xx != 0.0 && s.yy != 0.0, s.xy / libm::sqrt(s.xx * s.yy));
    "evesql_covar_pop" |s| Some(s.xy / s.n);
    "evesql_covar_samp" |s| some_if(s.n > 1.0, s.xy / (s.n - 1.0));
    "evesql_regr_sxx" |s| Some(s.xx);
    "evesql_regr_syy" |s| Some(s.yy);
    "evesql_regr_sxy" |s| Some(s.xy);
    "evesql_regr_avgx" |s| Some(s.x / s.n);
    "evesql_regr_avgy" |s| Some(s.y / s.n);
    "evesql_regr_slope" |s| some_if(s.xx != 0.0, s.xy / s.xx);
    "evesql_regr_intercept" |s| some_if(s.xx != 0.0, (s.y - s.x * s.xy / s.xx) / s.n);
    "evesql_regr_r2" |s| some_if(s.xx != 0.0, if s.yy == 0.0 { 1.0 } else { (s.xy * s.xy) / (s.xx * s.yy) });
};
