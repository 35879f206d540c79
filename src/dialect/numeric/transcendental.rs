//! exp, ln, logarithms and fractional powers, with as many digits as PostgreSQL 15 shows (its numeric.c says how many).

use super::limbs::multiply_limbs;
use super::{Decimal, Numeric, SCALE_MAX, overflow};
use crate::transaction::SqlError;

/// Significant digits that are shown at least.
const DIGITS_MIN: i64 = 16;
/// Largest scale that is shown.
const SHOWN_MAX: i64 = 1_000;
/// Beyond this the result of exp is too large or, below its negative, zero.
const EXPONENT_MAX: f64 = 6_000.0;
/// ln(10) and log10(e), as PostgreSQL estimates with them.
const LN_10: f64 = std::f64::consts::LN_10;
const LOG_E: f64 = std::f64::consts::LOG10_E;
/// Digits beyond those that are wanted.
const GUARD: u32 = 10;

impl Decimal {
    fn float(&self) -> f64 {
        Numeric::Finite(self.clone()).to_f64()
    }

    /// Product, rounded to `scale`.
    fn times(&self, other: &Decimal, scale: u32) -> Result<Decimal, SqlError> {
        let limbs = multiply_limbs(&self.limbs, &other.limbs);
        Ok(Decimal::signed(self.negative != other.negative, limbs, self.scale + other.scale)?
            .rescale(scale as i32, false))
    }

    /// e to this, by the Taylor series of a small part of it, squared again.
    fn exponential(&self, scale: u32) -> Result<Decimal, SqlError> {
        let value = self.float();
        let whole_digits = (value * LOG_E).max(0.0) as u32;
        let halvings = libm::ceil(libm::log2((value.abs() * 1_000.0).max(1.0))) as u32;
        // Each squaring doubles the relative error.
        let work = scale + whole_digits + halvings / 3 + GUARD;
        let small = self.divide(&Decimal::new(1i128 << halvings, 0), work, false)?;
        let (mut sum, mut term) = (Decimal::new(1, 0).add(&small, false)?, small.clone());
        let mut n = 1;
        while !term.is_zero() {
            n += 1;
            term = term.times(&small, work)?.divide(&Decimal::new(n, 0), work, false)?;
            sum = sum.add(&term, false)?;
        }
        for _ in 0..halvings {
            sum = sum.times(&sum, work)?;
        }
        Ok(sum.rescale(scale as i32, false))
    }

    /// Natural logarithm of a number that is greater than 0: that of its digits and that of its power of ten.
    fn logarithm(&self, scale: u32) -> Result<Decimal, SqlError> {
        let weight = self.weight();
        let work = scale + GUARD;
        let digits = Decimal { scale: (i64::from(self.scale) + weight) as u32, ..self.clone() };
        let mut sum = digits.near_logarithm(work)?;
        if weight != 0 {
            let ten = Decimal::new(10, 0).near_logarithm(work)?;
            sum = sum.add(&ten.times(&Decimal::new(i128::from(weight), 0), work)?, false)?;
        }
        Ok(sum.rescale(scale as i32, false))
    }

    /// Natural logarithm where a double knows its first digits: Halley's iteration triples them.
    fn near_logarithm(&self, scale: u32) -> Result<Decimal, SqlError> {
        let Numeric::Finite(mut guess) = Numeric::parse(&format!("{:.17}", libm::log(self.float())))? else {
            return Err(overflow());
        };
        let mut known = 12;
        while known < scale {
            let power = guess.exponential(scale)?;
            let step = self.add(&power, true)?.divide(&self.add(&power, false)?, scale, false)?;
            guess = guess.add(&step.times(&Decimal::new(2, 0), scale)?, false)?;
            known *= 3;
        }
        Ok(guess)
    }

    /// Decimal weight of the natural logarithm, as PostgreSQL estimates it.
    fn logarithm_weight(&self) -> Result<i64, SqlError> {
        let value = self.float();
        if (0.9..=1.1).contains(&value) {
            let beyond = self.add(&Decimal::new(1, 0), true)?;
            return Ok(if beyond.is_zero() { 0 } else { beyond.weight() - 1 });
        }
        let weight = self.weight();
        let digits = Decimal { scale: (i64::from(self.scale) + weight) as u32, ..self.clone() };
        Ok(libm::log10((libm::log(digits.float()) + weight as f64 * LN_10).abs()) as i64)
    }
}

fn shown(scale: i64) -> u32 {
    scale.clamp(0, SHOWN_MAX.min(i64::from(SCALE_MAX))) as u32
}

fn positive(number: &Numeric) -> Result<(), SqlError> {
    match number.sign() {
        0 => Err(SqlError::new("2201E", "cannot take logarithm of zero")),
        -1 => Err(SqlError::new("2201E", "cannot take logarithm of a negative number")),
        _ => Ok(()),
    }
}

impl Numeric {
    /// e to this number.
    pub fn exp(&self) -> Result<Numeric, SqlError> {
        let Numeric::Finite(x) = self else {
            return Ok(if *self == Numeric::NegativeInfinity { Numeric::from(0i64) } else { self.clone() });
        };
        let value = x.float();
        let scale = shown((DIGITS_MIN - (value * LOG_E).clamp(-2_000.0, 2_000.0) as i64).max(i64::from(x.scale)));
        if value >= EXPONENT_MAX {
            return Err(overflow());
        }
        if value <= -EXPONENT_MAX {
            return Ok(Numeric::Finite(Decimal::new(0, scale)));
        }
        x.exponential(scale).map(Numeric::Finite)
    }

    /// Natural logarithm.
    pub fn ln(&self) -> Result<Numeric, SqlError> {
        positive(self)?;
        let Numeric::Finite(x) = self else { return Ok(self.clone()) };
        let scale = shown((DIGITS_MIN - x.logarithm_weight()?).max(i64::from(x.scale)));
        x.logarithm(scale).map(Numeric::Finite)
    }

    /// Logarithm to a base.
    pub fn log(&self, base: &Numeric) -> Result<Numeric, SqlError> {
        positive(base)?;
        positive(self)?;
        let (Numeric::Finite(x), Numeric::Finite(base)) = (self, base) else {
            return Ok(match (self, base) {
                (Numeric::NotANumber, _) | (_, Numeric::NotANumber) => Numeric::NotANumber,
                (Numeric::Infinity, Numeric::Infinity) => Numeric::NotANumber,
                (Numeric::Infinity, _) => Numeric::Infinity,
                _ => Numeric::from(0i64),
            });
        };
        let weight = x.logarithm_weight()? - base.logarithm_weight()?;
        let scale = shown((DIGITS_MIN - weight).max(i64::from(x.scale)).max(i64::from(base.scale)));
        let work = scale + weight.unsigned_abs() as u32 + 2 * GUARD;
        x.logarithm(work)?.divide(&base.logarithm(work)?, scale, false).map(Numeric::Finite)
    }

    /// A power whose exponent has a fraction.
    pub(super) fn fractional_power(base: &Decimal, exponent: &Decimal) -> Result<Numeric, SqlError> {
        if base.negative {
            let message = "a negative number raised to a non-integer power yields a complex result";
            return Err(SqlError::new("2201F", message));
        }
        if base.is_zero() {
            if exponent.negative {
                return Err(SqlError::new("2201F", "zero raised to a negative power is undefined"));
            }
            return Ok(Numeric::Finite(Decimal::new(0, DIGITS_MIN as u32)));
        }
        let rough = base.logarithm(shown(8 - base.logarithm_weight()?) + 8)?.float() * exponent.float();
        if rough >= EXPONENT_MAX {
            return Err(overflow());
        }
        let digits = (rough * LOG_E).clamp(-2_000.0, 2_000.0) as i64;
        let scale = shown((DIGITS_MIN - digits).max(i64::from(base.scale)).max(i64::from(exponent.scale)));
        if rough <= -EXPONENT_MAX {
            return Ok(Numeric::Finite(Decimal::new(0, scale)));
        }
        let work = scale + digits.unsigned_abs() as u32 + exponent.weight().max(0) as u32 + GUARD;
        let power = base.logarithm(work)?.times(exponent, work)?;
        power.exponential(scale).map(Numeric::Finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of PostgreSQL 15.
    #[test]
    fn as_many_digits_as_postgres_shows() {
        let number = |text: &str| Numeric::parse(text).unwrap();
        for (x, expected) in [
            ("0.0", "1.0000000000000000"),
            ("1.0", "2.7182818284590452"),
            ("-1", "0.3678794411714423"),
            ("10.5", "36315.502674246638"),
            ("0.00001", "1.0000100000500002"),
        ] {
            assert_eq!(number(x).exp().unwrap().to_string(), expected, "exp({x})");
        }
        for (x, expected) in [
            ("10.0", "2.3025850929940457"),
            ("2.0", "0.6931471805599453"),
            ("1.0", "0.0000000000000000"),
            ("0.5", "-0.6931471805599453"),
            ("1.001", "0.0009995003330835332"),
            ("12345678901234567890", "43.959837789202521"),
        ] {
            assert_eq!(number(x).ln().unwrap().to_string(), expected, "ln({x})");
        }
        assert_eq!(number("100.0").log(&number("10")).unwrap().to_string(), "2.0000000000000000");
        assert_eq!(number("64.0").log(&number("2.0")).unwrap().to_string(), "6.0000000000000000");
        assert_eq!(number("2").power(&number("0.5")).unwrap().to_string(), "1.4142135623730950");
        assert_eq!(number("0").ln().unwrap_err().code(), "2201E");
    }
}
