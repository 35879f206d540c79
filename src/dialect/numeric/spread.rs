//! Variance and standard deviation of numerics, digit by digit as PostgreSQL computes them
//! (numeric_stddev_internal): from the count, the sum and the sum of squares, which are exact; and width_bucket.

use super::{Decimal, Numeric};
use crate::transaction::SqlError;

/// What is known of a group of numbers.
pub struct Moments {
    /// How many there are.
    pub count: i64,
    /// Their sum, with as many digits after the point as any of them has.
    pub sum: Numeric,
    /// The sum of their squares.
    pub squares: Numeric,
}

impl Moments {
    /// The variance, or with `root` the standard deviation, of a sample or of the whole population. `None` of too few.
    ///
    /// # Errors
    /// 22003 for what overflows.
    pub fn spread(&self, sample: bool, root: bool) -> Result<Option<Numeric>, SqlError> {
        if self.count < 1 + i64::from(sample) {
            return Ok(None);
        }
        let count = Numeric::from(self.count);
        let over_count = count.multiply(&self.squares)?.subtract(&self.sum.multiply(&self.sum)?)?;
        let Numeric::Finite(above) = &over_count else { return Ok(Some(Numeric::NotANumber)) };
        if above.is_zero() || above.is_negative() {
            return Ok(Some(Numeric::from(0i64)));
        }
        let below = Decimal::new(i128::from(self.count) * i128::from(self.count - i64::from(sample)), 0);
        let scale = above.quotient_scale(&below);
        let variance = above.divide(&below, scale, false)?;
        Ok(Some(Numeric::Finite(if root { variance.root_to(scale)? } else { variance })))
    }
}

impl Numeric {
    /// In which of `count` buckets of equal width between two bounds it falls: 0 before the first, count + 1 behind the
    /// last. The bounds may be the wrong way round, but not equal.
    ///
    /// # Errors
    /// 2201G for bounds and counts that make no buckets.
    pub fn bucket(&self, low: &Numeric, high: &Numeric, count: i64) -> Result<i64, SqlError> {
        let wrong = |message: &str| SqlError::new("2201G", message);
        if count <= 0 {
            return Err(wrong("count must be greater than zero"));
        }
        if [self, low, high].contains(&&Numeric::NotANumber) {
            return Err(wrong("operand, lower bound, and upper bound cannot be NaN"));
        }
        let (Numeric::Finite(_), Numeric::Finite(_)) = (low, high) else {
            return Err(wrong("lower and upper bounds must be finite"));
        };
        let order = low.compare(high);
        if order.is_eq() {
            return Err(wrong("lower bound cannot equal upper bound"));
        }
        let (before, behind) = match order.is_lt() {
            true => (self.compare(low).is_lt(), self.compare(high).is_ge()),
            false => (self.compare(low).is_gt(), self.compare(high).is_le()),
        };
        if before || behind {
            return Ok(if before { 0 } else { count + 1 });
        }
        let share = self.subtract(low)?.multiply(&Numeric::from(count))?.divide(&high.subtract(low)?)?;
        // Rounding may have made a whole of the last bucket.
        Ok(share.whole(false)?.to_i64()?.min(count - 1) + 1)
    }

    /// `1 * 2 * .. * number`
    ///
    /// # Errors
    /// 22003 for negative numbers and for those whose factorial has too many digits.
    pub fn factorial(number: i64) -> Result<Numeric, SqlError> {
        /// The greatest whose factorial PostgreSQL lets a numeric hold.
        const MOST: i64 = 32_177;
        if number < 0 {
            return Err(SqlError::new("22003", "factorial of a negative number is undefined"));
        }
        if number > MOST {
            return Err(super::overflow());
        }
        (2..=number).try_fold(Numeric::from(1i64), |product, factor| product.multiply(&Numeric::from(factor)))
    }
}
