//! Exact decimal numbers: `numeric` as Postgres computes it, and the bytes in which SQLite keeps it.
//!
//! Storage is a BLOB whose bytes sort as the numbers do, so that indexes and comparisons need no
//! collation (`docs/decisions/value-storage.md`). Two numbers that are equal but print differently
//! (`1.1`, `1.10`) differ in their last two bytes only, the display scale; the translator aligns the
//! scales of both sides of a comparison where they are not known to be equal.
//!
//! Bytes: one class byte (0x10 -Infinity, 0x20 negative, 0x30 zero, 0x40 positive, 0x50 Infinity, 0x60
//! NaN); for finite non-zero numbers 0.d1d2.. x 10^e the exponent e + 0x8000 as three bytes big-endian, then pairs
//! of digits as 1..=100 and a closing 0, all of these inverted if negative; for finite numbers the scale
//! as u16 big-endian.

use limbs::*;
pub use spread::Moments;

mod limbs;
mod spread;
mod transcendental;

use crate::transaction::SqlError;
use std::cmp::Ordering;

/// Most digits after the point that a value may have, as in Postgres.
pub const SCALE_MAX: u32 = 16383;
/// Most digits before the point that a value may have, as in Postgres.
const WEIGHT_MAX: i64 = 131072;

/// A `numeric` value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numeric {
    /// Smaller than all others.
    NegativeInfinity,
    /// `(-1)^negative * digits / 10^scale`
    Finite(Decimal),
    /// Greater than all finite ones.
    Infinity,
    /// Equal to itself and greater than all others.
    NotANumber,
}

/// A finite decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Base 10^9, least first, without leading zeros; empty is zero.
    limbs: Vec<u32>,
    /// Digits after the point, shown even if zero.
    scale: u32,
}

fn overflow() -> SqlError {
    SqlError::new("22003", "value overflows numeric format")
}

/// Division by zero.
pub fn division_by_zero() -> SqlError {
    SqlError::new("22012", "division by zero")
}

impl Decimal {
    /// `number / 10^scale`
    pub fn new(number: i128, scale: u32) -> Decimal {
        Decimal { negative: number < 0, limbs: limbs_of(number.unsigned_abs()), scale }
    }
    /// From a sign, decimal digits (most significant first) and the number of them after the point.
    pub fn from_digits(negative: bool, digits: &[u8], scale: u32) -> Decimal {
        let limbs = limbs_from_digits(digits);
        Decimal { negative: negative && !limbs.is_empty(), limbs, scale }
    }
    /// Digits after the point.
    pub fn scale(&self) -> u32 {
        self.scale
    }
    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }
    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }
    /// Digits before the point (zero or negative for fractions).
    fn weight(&self) -> i64 {
        let digits = match self.limbs.last() {
            None => 0,
            Some(top) => (self.limbs.len() as i64 - 1) * 9 + i64::from(top.ilog10()) + 1,
        };
        digits - i64::from(self.scale)
    }
    /// Decimal digits without sign and point, and the sign.
    pub fn digits(&self) -> (bool, Vec<u8>) {
        (self.negative, digits_of(&self.limbs))
    }
    fn limbs_at(&self, scale: u32) -> Vec<u32> {
        if scale == self.scale { self.limbs.clone() } else { multiply_limbs(&self.limbs, &ten_to(scale - self.scale)) }
    }
    fn signed(negative: bool, limbs: Vec<u32>, scale: u32) -> Result<Decimal, SqlError> {
        let value = Decimal { negative: negative && !limbs.is_empty(), limbs, scale };
        if value.weight() > WEIGHT_MAX { Err(overflow()) } else { Ok(value) }
    }
    fn compare(&self, other: &Decimal) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (negative, _) => {
                let scale = self.scale.max(other.scale);
                let order = compare_limbs(&self.limbs_at(scale), &other.limbs_at(scale));
                if negative { order.reverse() } else { order }
            }
        }
    }
    fn add(&self, other: &Decimal, subtract: bool) -> Result<Decimal, SqlError> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.limbs_at(scale), other.limbs_at(scale));
        let other_negative = other.negative != subtract;
        if self.negative == other_negative {
            return Decimal::signed(self.negative, add_limbs(&a, &b), scale);
        }
        match compare_limbs(&a, &b) {
            Ordering::Less => Decimal::signed(other_negative, subtract_limbs(&b, &a), scale),
            _ => Decimal::signed(self.negative, subtract_limbs(&a, &b), scale),
        }
    }
    /// Rounds half away from zero, or cuts, to `scale` digits after the point (may be negative).
    pub fn rescale(&self, scale: i32, cut: bool) -> Decimal {
        let shown = scale.max(0) as u32;
        if scale >= self.scale as i32 {
            return Decimal { negative: self.negative, limbs: self.limbs_at(shown), scale: shown };
        }
        let dropped = (self.scale as i64 - i64::from(scale)) as u32;
        let divisor = ten_to(dropped);
        let (mut kept, rest) = divide_limbs(&self.limbs, &divisor);
        if !cut && compare_limbs(&add_limbs(&rest, &rest), &divisor) != Ordering::Less {
            kept = add_limbs(&kept, &[1]);
        }
        if scale < 0 {
            kept = multiply_limbs(&kept, &ten_to(scale.unsigned_abs()));
        }
        Decimal { negative: self.negative && !kept.is_empty(), limbs: kept, scale: shown }
    }
    /// The same number with as few digits after the point as it needs, but not fewer than `least`.
    pub fn shortened(&self, least: u32) -> Decimal {
        let mut shortest = self.clone();
        while shortest.scale > least {
            let mut limbs = shortest.limbs.clone();
            if divide_small(&mut limbs, 10) != 0 {
                break;
            }
            shortest = Decimal { negative: self.negative, limbs, scale: shortest.scale - 1 };
        }
        shortest
    }
    /// Quotient with `scale` digits after the point, rounded half away from zero unless `cut`.
    fn divide(&self, other: &Decimal, scale: u32, cut: bool) -> Result<Decimal, SqlError> {
        if other.is_zero() {
            return Err(division_by_zero());
        }
        // One more digit than wanted would round twice; the remainder decides instead.
        let shift = i64::from(scale) + i64::from(other.scale) - i64::from(self.scale);
        let (mut a, mut b) = (self.limbs.clone(), other.limbs.clone());
        if shift >= 0 {
            a = multiply_limbs(&a, &ten_to(shift as u32));
        } else {
            b = multiply_limbs(&b, &ten_to(-shift as u32));
        }
        let (mut quotient, rest) = divide_limbs(&a, &b);
        if !cut && compare_limbs(&add_limbs(&rest, &rest), &b) != Ordering::Less {
            quotient = add_limbs(&quotient, &[1]);
        }
        Decimal::signed(self.negative != other.negative, quotient, scale)
    }
    /// Postgres' select_div_scale: at least 16 significant digits, counted in its groups of four.
    fn quotient_scale(&self, other: &Decimal) -> u32 {
        let group = |value: &Decimal| -> (i64, i64) {
            if value.is_zero() {
                return (0, 0);
            }
            let weight = value.weight();
            // Position of the first group of four digits, and that group's value.
            let first_group = (weight - 1).div_euclid(4);
            let take = (weight - first_group * 4) as usize;
            let digits = digits_of(&value.limbs);
            let first = (0..take).fold(0i64, |n, i| n * 10 + i64::from(digits.get(i).copied().unwrap_or(0)));
            (first_group, first)
        };
        let ((weight1, first1), (weight2, first2)) = (group(self), group(other));
        let mut weight = weight1 - weight2;
        if first1 <= first2 {
            weight -= 1;
        }
        let scale = (16 - weight * 4).max(i64::from(self.scale)).max(i64::from(other.scale));
        scale.clamp(0, 1000) as u32
    }
    /// The integer value, rounded half away from zero.
    pub fn to_i128(&self) -> Option<i128> {
        let whole = self.rescale(0, false);
        let mut number = 0i128;
        for &limb in whole.limbs.iter().rev() {
            number = number.checked_mul(BASE as i128)?.checked_add(i128::from(limb))?;
        }
        Some(if whole.negative { -number } else { number })
    }
    fn square_root(&self) -> Result<Decimal, SqlError> {
        if self.negative {
            return Err(SqlError::new("2201F", "cannot take square root of a negative number"));
        }
        // At least 16 significant digits, as Postgres counts them in groups of four.
        let group = if self.is_zero() { 0 } else { (self.weight() - 1).div_euclid(4) };
        let scale = (16 - ((group + 1) * 2 - 1)).max(i64::from(self.scale)).clamp(0, 1000) as u32;
        self.root_to(scale)
    }
    /// The square root of what is not negative, with `scale` digits after the point.
    fn root_to(&self, scale: u32) -> Result<Decimal, SqlError> {
        if self.is_zero() {
            return Ok(Decimal { negative: false, limbs: Vec::new(), scale });
        }
        // Integer root of the number shifted by twice (scale + 1) digits, then one rounding.
        let shift = 2 * (scale + 1);
        let target = if shift >= self.scale {
            multiply_limbs(&self.limbs, &ten_to(shift - self.scale))
        } else {
            divide_limbs(&self.limbs, &ten_to(self.scale - shift)).0
        };
        let mut guess = ten_to((digits_of(&target).len() as u32).div_ceil(2));
        loop {
            let (quotient, _) = divide_limbs(&target, &guess);
            let mut next = add_limbs(&guess, &quotient);
            divide_small(&mut next, 2);
            if compare_limbs(&next, &guess) != Ordering::Less {
                break;
            }
            guess = next;
        }
        Ok(Decimal { negative: false, limbs: guess, scale: scale + 1 }.rescale(scale as i32, false))
    }
}

impl From<i64> for Numeric {
    fn from(number: i64) -> Numeric {
        Numeric::Finite(Decimal::new(i128::from(number), 0))
    }
}

impl From<i128> for Numeric {
    fn from(number: i128) -> Numeric {
        Numeric::Finite(Decimal::new(number, 0))
    }
}

impl Numeric {
    /// Reads what Postgres accepts: digits with point and exponent, `NaN`, `Infinity`.
    pub fn parse(text: &str) -> Result<Numeric, SqlError> {
        let wrong = || SqlError::new("22P02", format!("invalid input syntax for type numeric: \"{text}\""));
        let body = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let (negative, body) = match body.as_bytes().first() {
            Some(b'-') => (true, &body[1..]),
            Some(b'+') => (false, &body[1..]),
            _ => (false, body),
        };
        if body.eq_ignore_ascii_case("nan") {
            return Ok(Numeric::NotANumber);
        }
        if body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf") {
            return Ok(if negative { Numeric::NegativeInfinity } else { Numeric::Infinity });
        }
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            None => (body, 0i64),
            Some(at) => {
                let exponent = &body[at + 1..];
                let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(wrong());
                }
                (&body[..at], exponent.parse::<i64>().map_err(|_| overflow())?)
            }
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let mut digits: Vec<u8> = all().map(|b| b - b'0').collect();
        let mut scale = fraction.len() as i64 - exponent;
        if scale < 0 {
            if -scale > WEIGHT_MAX {
                return Err(overflow());
            }
            digits.resize(digits.len() + (-scale) as usize, 0);
            scale = 0;
        }
        if scale > i64::from(SCALE_MAX) {
            return Err(overflow());
        }
        let limbs = limbs_from_digits(&digits);
        Decimal::signed(negative, limbs, scale as u32).map(Numeric::Finite)
    }
    /// The shortest decimal that reads back as this double, with at most 15 digits as in Postgres' cast.
    pub fn from_f64(number: f64, digits: usize) -> Result<Numeric, SqlError> {
        if number.is_nan() {
            return Ok(Numeric::NotANumber);
        }
        if number.is_infinite() {
            return Ok(if number > 0.0 { Numeric::Infinity } else { Numeric::NegativeInfinity });
        }
        match Numeric::parse(&format!("{number:.*e}", digits - 1))? {
            Numeric::Finite(decimal) => Ok(Numeric::Finite(decimal.shortened(0))),
            other => Ok(other),
        }
    }
    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        match self {
            Numeric::NegativeInfinity => f64::NEG_INFINITY,
            Numeric::Infinity => f64::INFINITY,
            Numeric::NotANumber => f64::NAN,
            Numeric::Finite(_) => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }
    /// The nearest 64-bit integer.
    pub fn to_i64(&self) -> Result<i64, SqlError> {
        match self {
            Numeric::Finite(decimal) => decimal
                .to_i128()
                .and_then(|number| i64::try_from(number).ok())
                .ok_or_else(|| SqlError::new("22003", "bigint out of range")),
            Numeric::NotANumber => Err(SqlError::new("0A000", "cannot convert NaN to bigint")),
            _ => Err(SqlError::new("0A000", "cannot convert infinity to bigint")),
        }
    }
    /// Bytes that sort as the numbers do.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Numeric::NegativeInfinity => vec![0x10],
            Numeric::Infinity => vec![0x50],
            Numeric::NotANumber => vec![0x60],
            Numeric::Finite(decimal) => encode_decimal(decimal),
        }
    }
    /// Reads what [`Numeric::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Numeric, SqlError> {
        decode(bytes).ok_or_else(|| SqlError::new("XX001", "stored numeric value is damaged"))
    }
    /// The total order of Postgres: NaN is greatest.
    pub fn compare(&self, other: &Numeric) -> Ordering {
        let class = |value: &Numeric| match value {
            Numeric::NegativeInfinity => 0,
            Numeric::Finite(_) => 1,
            Numeric::Infinity => 2,
            Numeric::NotANumber => 3,
        };
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => a.compare(b),
            _ => class(self).cmp(&class(other)),
        }
    }
    /// Sum.
    pub fn add(&self, other: &Numeric) -> Result<Numeric, SqlError> {
        use Numeric::*;
        Ok(match (self, other) {
            (Finite(a), Finite(b)) => Finite(a.add(b, false)?),
            (NotANumber, _) | (_, NotANumber) | (Infinity, NegativeInfinity) | (NegativeInfinity, Infinity) => {
                NotANumber
            }
            (Infinity | NegativeInfinity, _) => self.clone(),
            _ => other.clone(),
        })
    }
    /// Difference.
    pub fn subtract(&self, other: &Numeric) -> Result<Numeric, SqlError> {
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => Ok(Numeric::Finite(a.add(b, true)?)),
            _ => self.add(&other.negate()),
        }
    }
    /// The number with the other sign.
    pub fn negate(&self) -> Numeric {
        match self {
            Numeric::NegativeInfinity => Numeric::Infinity,
            Numeric::Infinity => Numeric::NegativeInfinity,
            Numeric::NotANumber => Numeric::NotANumber,
            Numeric::Finite(d) => {
                Numeric::Finite(Decimal { negative: !d.negative && !d.limbs.is_empty(), ..d.clone() })
            }
        }
    }
    /// Sign: -1, 0 or 1 (NaN counts as 1).
    pub fn sign(&self) -> i32 {
        match self {
            Numeric::NegativeInfinity => -1,
            Numeric::Finite(d) if d.negative => -1,
            Numeric::Finite(d) if d.is_zero() => 0,
            _ => 1,
        }
    }
    /// Product; its scale is the sum of the scales.
    pub fn multiply(&self, other: &Numeric) -> Result<Numeric, SqlError> {
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => {
                let exact =
                    Decimal::signed(a.negative != b.negative, multiply_limbs(&a.limbs, &b.limbs), a.scale + b.scale)?;
                Ok(Numeric::Finite(if exact.scale > SCALE_MAX {
                    exact.rescale(SCALE_MAX as i32, false)
                } else {
                    exact
                }))
            }
            (Numeric::NotANumber, _) | (_, Numeric::NotANumber) => Ok(Numeric::NotANumber),
            _ => Ok(match self.sign() * other.sign() {
                0 => Numeric::NotANumber,
                1 => Numeric::Infinity,
                _ => Numeric::NegativeInfinity,
            }),
        }
    }
    /// Quotient, with at least 16 significant digits.
    pub fn divide(&self, other: &Numeric) -> Result<Numeric, SqlError> {
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => Ok(Numeric::Finite(a.divide(b, a.quotient_scale(b), false)?)),
            (Numeric::NotANumber, _) | (_, Numeric::NotANumber) => Ok(Numeric::NotANumber),
            (Numeric::Finite(_), _) => Ok(Numeric::from(0i64)),
            (_, Numeric::Finite(b)) if b.is_zero() => Err(division_by_zero()),
            (_, Numeric::Finite(_)) if other.sign() < 0 => Ok(self.negate()),
            (_, Numeric::Finite(_)) => Ok(self.clone()),
            _ => Ok(Numeric::NotANumber),
        }
    }
    /// Remainder with the dividend's sign.
    pub fn remainder(&self, other: &Numeric) -> Result<Numeric, SqlError> {
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => {
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                let scale = a.scale.max(b.scale);
                let (_, rest) = divide_limbs(&a.limbs_at(scale), &b.limbs_at(scale));
                Ok(Numeric::Finite(Decimal::signed(a.negative, rest, scale)?))
            }
            (Numeric::Finite(_), Numeric::Infinity | Numeric::NegativeInfinity) => Ok(self.clone()),
            _ => Ok(Numeric::NotANumber),
        }
    }
    /// Square root.
    pub fn square_root(&self) -> Result<Numeric, SqlError> {
        match self {
            Numeric::Finite(d) => d.square_root().map(Numeric::Finite),
            Numeric::NegativeInfinity => Err(SqlError::new("2201F", "cannot take square root of a negative number")),
            other => Ok(other.clone()),
        }
    }
    /// This to a power; whole ones are exact up to the scale that Postgres gives (16 significant digits at least).
    pub fn power(&self, exponent: &Numeric) -> Result<Numeric, SqlError> {
        let (Numeric::Finite(base), Numeric::Finite(exponent)) = (self, exponent) else {
            return Err(SqlError::new("0A000", "power of an infinite numeric is not supported"));
        };
        let whole = exponent.shortened(0);
        if whole.scale != 0 {
            return Numeric::fractional_power(base, exponent);
        }
        let count = whole.to_i128().filter(|n| n.unsigned_abs() <= 10_000).ok_or_else(overflow)?;
        let mut product = Numeric::from(1i64);
        for _ in 0..count.unsigned_abs() {
            product = product.multiply(self)?;
        }
        // At least 16 digits after the point, as in Postgres.
        let scale = base.scale.max(16) as i32;
        let Numeric::Finite(exact) = product else { return Err(overflow()) };
        if count >= 0 {
            return Ok(Numeric::Finite(exact.rescale(scale, false)));
        }
        Ok(Numeric::Finite(Decimal::new(1, 0).divide(&exact, scale as u32, false)?))
    }
    /// Rounds (or cuts) to `scale` digits after the point.
    pub fn rescale(&self, scale: i32, cut: bool) -> Numeric {
        match self {
            Numeric::Finite(d) => Numeric::Finite(d.rescale(scale.clamp(-(WEIGHT_MAX as i32), SCALE_MAX as i32), cut)),
            other => other.clone(),
        }
    }
    /// Rounds down (`up` false) or up to a whole number.
    pub fn whole(&self, up: bool) -> Result<Numeric, SqlError> {
        let Numeric::Finite(d) = self else { return Ok(self.clone()) };
        let cut = Numeric::Finite(d.rescale(0, true));
        match (cut.compare(self), up) {
            (Ordering::Less, true) => cut.add(&Numeric::from(1i64)),
            (Ordering::Greater, false) => cut.subtract(&Numeric::from(1i64)),
            _ => Ok(cut),
        }
    }
    /// Applies `numeric(precision, scale)`: rounds, and refuses what does not fit.
    pub fn fit(&self, precision: i32, scale: i32) -> Result<Numeric, SqlError> {
        let too_big = |detail: String| SqlError::new("22003", "numeric field overflow").with_detail(detail);
        match self {
            Numeric::NotANumber => Ok(Numeric::NotANumber),
            Numeric::Finite(d) => {
                let rounded = d.rescale(scale, false);
                if !rounded.is_zero() && rounded.weight() > i64::from(precision - scale) {
                    return Err(too_big(format!(
                        "A field with precision {precision}, scale {scale} must round to an absolute value less than {}{}.",
                        if precision > scale { "10^" } else { "" },
                        if precision > scale { (precision - scale).to_string() } else { "1".into() }
                    )));
                }
                Ok(Numeric::Finite(rounded))
            }
            _ => Err(too_big(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            ))),
        }
    }
    /// The same number shown with `scale` digits after the point where that loses nothing, else with as
    /// few as possible: equal numbers aligned to one scale have equal bytes.
    pub fn align(&self, scale: u32) -> Numeric {
        match self {
            Numeric::Finite(d) => {
                let short = d.shortened(0);
                let shown = scale.max(short.scale);
                Numeric::Finite(Decimal { negative: short.negative, limbs: short.limbs_at(shown), scale: shown })
            }
            other => other.clone(),
        }
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimal = match self {
            Numeric::NegativeInfinity => return f.write_str("-Infinity"),
            Numeric::Infinity => return f.write_str("Infinity"),
            Numeric::NotANumber => return f.write_str("NaN"),
            Numeric::Finite(decimal) => decimal,
        };
        let mut text: String = digits_of(&decimal.limbs).iter().map(|d| char::from(b'0' + d)).collect();
        let scale = decimal.scale as usize;
        if text.len() <= scale {
            text.insert_str(0, &"0".repeat(scale + 1 - text.len()));
        }
        let (whole, fraction) = text.split_at(text.len() - scale);
        let sign = if decimal.negative { "-" } else { "" };
        if scale == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

fn encode_decimal(decimal: &Decimal) -> Vec<u8> {
    let mut digits = digits_of(&decimal.limbs);
    let exponent = digits.len() as i64 - i64::from(decimal.scale);
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        let mut bytes = vec![0x30];
        bytes.extend_from_slice(&(decimal.scale as u16).to_be_bytes());
        return bytes;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 2 + 7);
    bytes.push(if decimal.negative { 0x20 } else { 0x40 });
    // Exponents reach from -16383 to 131072; the bias leaves room for both in 24 bits' worth of order.
    let biased = (exponent + 0x8000) as u32;
    bytes.extend_from_slice(&biased.to_be_bytes()[1..]);
    bytes.extend(digits.chunks(2).map(|pair| pair[0] * 10 + pair.get(1).copied().unwrap_or(0) + 1));
    bytes.push(0);
    if decimal.negative {
        bytes[1..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    bytes.extend_from_slice(&(decimal.scale as u16).to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Numeric> {
    let (&class, rest) = bytes.split_first()?;
    let negative = match class {
        0x10 => return Some(Numeric::NegativeInfinity),
        0x50 => return Some(Numeric::Infinity),
        0x60 => return Some(Numeric::NotANumber),
        0x30 => {
            let scale = u16::from_be_bytes(rest.try_into().ok()?);
            return Some(Numeric::Finite(Decimal { negative: false, limbs: Vec::new(), scale: u32::from(scale) }));
        }
        0x20 => true,
        0x40 => false,
        _ => return None,
    };
    let (body, scale) = rest.split_at_checked(rest.len().checked_sub(2)?)?;
    let scale = u32::from(u16::from_be_bytes(scale.try_into().ok()?));
    let flip = if negative { 0xFF } else { 0 };
    let (head, pairs) = body.split_at_checked(3)?;
    let exponent = head.iter().fold(0i64, |n, b| n << 8 | i64::from(b ^ flip)) - 0x8000;
    let (&end, pairs) = pairs.split_last()?;
    if end ^ flip != 0 {
        return None;
    }
    let mut digits = Vec::with_capacity(pairs.len() * 2);
    for pair in pairs {
        let pair = (pair ^ flip).checked_sub(1).filter(|p| *p < 100)?;
        digits.extend([pair / 10, pair % 10]);
    }
    let wanted = usize::try_from(exponent + i64::from(scale)).ok()?;
    if digits.len() > wanted && digits[wanted..].iter().any(|d| *d != 0) {
        return None;
    }
    digits.resize(wanted, 0);
    let limbs = limbs_from_digits(&digits);
    Some(Numeric::Finite(Decimal { negative, limbs, scale }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Numeric {
        Numeric::parse(text).unwrap()
    }

    #[test]
    fn arithmetic_prints_as_postgres_prints_it() {
        let cases: &[(&str, char, &str, &str)] = &[
            ("1.10", '+', "2.20", "3.30"),
            ("0.1", '+', "0.2", "0.3"),
            ("9999999999999999.99", '+', "0.01", "10000000000000000.00"),
            ("1.5", '*', "2.25", "3.375"),
            ("1", '/', "3", "0.33333333333333333333"),
            ("10", '/', "3", "3.3333333333333333"),
            ("2", '/', "1", "2.0000000000000000"),
            ("1000000", '/', "7", "142857.142857142857"),
            ("100000000000000000000", '/', "3", "33333333333333333333"),
            ("-7", '%', "3", "-1"),
            ("7.5", '%', "2", "1.5"),
            ("123456789012345678901234567890", '/', "987654321", "124999998873437499902"),
            ("5", '-', "7.25", "-2.25"),
        ];
        for (a, op, b, expected) in cases {
            let (a, b) = (number(a), number(b));
            let result = match op {
                '+' => a.add(&b),
                '-' => a.subtract(&b),
                '*' => a.multiply(&b),
                '/' => a.divide(&b),
                _ => a.remainder(&b),
            };
            assert_eq!(result.unwrap().to_string(), *expected, "{a} {op} {b}");
        }
        assert_eq!(number("2").square_root().unwrap().to_string(), "1.414213562373095");
        assert_eq!(number("0.0004").square_root().unwrap().to_string(), "0.02000000000000000");
        assert_eq!(number("200000000").square_root().unwrap().to_string(), "14142.13562373095");
        assert_eq!(number("2").power(&number("10")).unwrap().to_string(), "1024.0000000000000000");
        assert_eq!(number("2").power(&number("-2")).unwrap().to_string(), "0.2500000000000000");
        assert_eq!(number("1").divide(&number("0")).unwrap_err().code(), "22012");
    }

    #[test]
    fn bytes_sort_as_the_numbers_do_and_read_back() {
        let ordered = [
            "-Infinity",
            "-1e30",
            "-100.5",
            "-100",
            "-99.99",
            "-1.10",
            "-0.5",
            "-0.0001",
            "0",
            "0.00001",
            "0.1",
            "0.11",
            "1",
            "1.1",
            "9",
            "10",
            "10.01",
            "99999",
            "1e30",
            "Infinity",
            "NaN",
        ];
        for pair in ordered.windows(2) {
            let (a, b) = (number(pair[0]), number(pair[1]));
            assert!(a.encode() < b.encode(), "{a} < {b}");
            assert_eq!(a.compare(&b), Ordering::Less, "{a} < {b}");
        }
        for text in ordered.into_iter().chain(["1.100", "0.00", "-5.0", "1200.00"]) {
            assert_eq!(Numeric::decode(&number(text).encode()).unwrap(), number(text));
        }
    }

    #[test]
    fn equal_numbers_aligned_to_one_scale_have_equal_bytes() {
        assert_eq!(number("1.1").align(2).encode(), number("1.100").align(2).encode());
        assert_eq!(number("120").align(0).encode(), number("120.00").align(0).encode());
        assert!(number("1.10").align(2).encode() < number("1.105").align(2).encode());
    }

    #[test]
    fn precision_and_scale_round_and_refuse() {
        assert_eq!(number("1.005").fit(5, 2).unwrap().to_string(), "1.01");
        assert_eq!(number("-1.005").fit(5, 2).unwrap().to_string(), "-1.01");
        assert_eq!(number("999.995").fit(5, 2).unwrap_err().code(), "22003");
        assert_eq!(number("-1.5").whole(false).unwrap().to_string(), "-2");
        assert_eq!(number("-1.5").whole(true).unwrap().to_string(), "-1");
        assert_eq!(number("1234.5").rescale(-2, false).to_string(), "1200");
    }

    #[test]
    fn long_division_agrees_with_multiplication() {
        let a = number("98765432109876543210987654321098765432109876543210");
        for divisor in
            ["999999999", "1000000000", "999999999999999999", "123456789123456789123", "1000000000000000000001"]
        {
            let (a, b) = match (&a, number(divisor)) {
                (Numeric::Finite(a), Numeric::Finite(b)) => (a.clone(), b),
                _ => unreachable!(),
            };
            let (quotient, rest) = divide_limbs(&a.limbs, &b.limbs);
            assert_eq!(compare_limbs(&rest, &b.limbs), Ordering::Less);
            assert_eq!(add_limbs(&multiply_limbs(&quotient, &b.limbs), &rest), a.limbs, "{divisor}");
        }
    }
}
