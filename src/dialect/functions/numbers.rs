//! Arithmetic as Postgres does it: integers in their range, exact numerics, floats that overflow loudly.

use super::{Arguments, Result, ScalarFunction, bytes, integer, pure, real, strict};
use crate::dialect::numeric::{Numeric, division_by_zero};
use crate::transaction::{SqlError, Value, ValueRef};

fn range(name: &str) -> SqlError {
    SqlError::new("22003", format!("{name} out of range"))
}

fn within(number: Option<i64>, low: i64, high: i64, name: &str) -> Result<Value> {
    match number {
        Some(number) if (low..=high).contains(&number) => Ok(Value::Integer(number)),
        _ => Err(range(name)),
    }
}

const INT2: (i64, i64, &str) = (i16::MIN as i64, i16::MAX as i64, "smallint");
const INT4: (i64, i64, &str) = (i32::MIN as i64, i32::MAX as i64, "integer");
const INT8: (i64, i64, &str) = (i64::MIN, i64::MAX, "bigint");

fn check(args: &Arguments<'_>, (low, high, name): (i64, i64, &str)) -> Result<Value> {
    match args[0] {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => within(Some(number), low, high, name),
        _ => Err(range(name)),
    }
}

fn pair(args: &Arguments<'_>, kind: (i64, i64, &str), f: fn(i64, i64) -> Option<i64>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let number = f(integer(args[0])?, integer(args[1])?);
    within(number, kind.0, kind.1, kind.2)
}

fn divide(args: &Arguments<'_>, kind: (i64, i64, &str), f: fn(i64, i64) -> Option<i64>) -> Result<Value> {
    if !strict(args) && integer(args[1])? == 0 {
        return Err(division_by_zero());
    }
    pair(args, kind, f)
}

fn remainder(a: i64, b: i64) -> Option<i64> {
    Some(a.wrapping_rem(b))
}

fn shift(args: &Arguments<'_>, bits: u32, left: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (number, count) = (integer(args[0])?, integer(args[1])? as u32 & if bits == 64 { 63 } else { 31 });
    let shifted = if left { number.checked_shl(count).unwrap_or(0) } else { number >> count };
    Ok(Value::Integer(match bits {
        16 => i64::from(shifted as i16),
        32 => i64::from(shifted as i32),
        _ => shifted,
    }))
}

fn numeric(value: ValueRef<'_>) -> Result<Numeric> {
    Numeric::decode(bytes(value)?)
}

fn stored(number: Numeric) -> Value {
    Value::Blob(number.encode().into())
}

fn one(args: &Arguments<'_>, f: impl Fn(Numeric) -> Result<Numeric>) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { f(numeric(args[0])?).map(stored) }
}

fn two(args: &Arguments<'_>, f: fn(&Numeric, &Numeric) -> Result<Numeric>) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { f(&numeric(args[0])?, &numeric(args[1])?).map(stored) }
}

fn add(args: &Arguments<'_>) -> Result<Value> {
    two(args, Numeric::add)
}
fn sub(args: &Arguments<'_>) -> Result<Value> {
    two(args, Numeric::subtract)
}
fn mul(args: &Arguments<'_>) -> Result<Value> {
    two(args, Numeric::multiply)
}
fn div(args: &Arguments<'_>) -> Result<Value> {
    two(args, Numeric::divide)
}
fn modulo(args: &Arguments<'_>) -> Result<Value> {
    two(args, Numeric::remainder)
}

/// The function behind an operator on numerics, for folding constants.
pub(in crate::dialect) fn numeric_operator(name: &str) -> fn(&Arguments<'_>) -> Result<Value> {
    match name {
        "add" => add,
        "sub" => sub,
        "mul" => mul,
        "div" => div,
        _ => modulo,
    }
}

fn rescale(args: &Arguments<'_>, cut: bool) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let scale = integer(args[1])?.clamp(-2000, 2000) as i32;
    one(&args[..1], |number| Ok(number.rescale(scale, cut)))
}

/// A float result: SQLite would turn NaN into NULL, and Postgres reports overflow.
fn float(result: f64, from: &[f64]) -> Result<Value> {
    if result.is_nan() {
        return Err(SqlError::new("0A000", "NaN is not supported in floating-point values"));
    }
    if result.is_infinite() && from.iter().all(|number| number.is_finite()) {
        return Err(SqlError::new("22003", "value out of range: overflow"));
    }
    Ok(Value::Real(result))
}

fn float1(args: &Arguments<'_>, f: fn(f64) -> f64) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let x = real(args[0])?;
    float(f(x), &[x])
}

fn float2(args: &Arguments<'_>, f: fn(f64, f64) -> f64) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (x, y) = (real(args[0])?, real(args[1])?);
    let result = f(x, y);
    float(result, &[x, y])
}

fn single(args: &Arguments<'_>, f: fn(f32, f32) -> f32) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (x, y) = (real(args[0])? as f32, real(args[1])? as f32);
    float(f64::from(f(x, y)), &[f64::from(x), f64::from(y)])
}

fn float_div(args: &Arguments<'_>, f: fn(&Arguments<'_>) -> Result<Value>) -> Result<Value> {
    if !strict(args) && real(args[1])? == 0.0 {
        return Err(division_by_zero());
    }
    f(args)
}

fn logarithm(args: &Arguments<'_>, f: fn(f64) -> f64) -> Result<Value> {
    if !strict(args) {
        let x = real(args[0])?;
        if x == 0.0 {
            return Err(SqlError::new("2201E", "cannot take logarithm of zero"));
        }
        if x < 0.0 {
            return Err(SqlError::new("2201E", "cannot take logarithm of a negative number"));
        }
    }
    float1(args, f)
}

fn square_root(args: &Arguments<'_>) -> Result<Value> {
    if !strict(args) && real(args[0])? < 0.0 {
        return Err(SqlError::new("2201F", "cannot take square root of a negative number"));
    }
    float1(args, libm::sqrt)
}

fn power(args: &Arguments<'_>) -> Result<Value> {
    if !strict(args) {
        let (x, y) = (real(args[0])?, real(args[1])?);
        if x == 0.0 && y < 0.0 {
            return Err(SqlError::new("2201F", "zero raised to a negative power is undefined"));
        }
        if x < 0.0 && libm::trunc(y) != y {
            return Err(SqlError::new(
                "2201F",
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
    }
    float2(args, libm::pow)
}

fn inverse_trigonometric(args: &Arguments<'_>, f: fn(f64) -> f64) -> Result<Value> {
    if !strict(args) && !(-1.0..=1.0).contains(&real(args[0])?) {
        return Err(SqlError::new("22003", "input is out of range"));
    }
    float1(args, f)
}

fn gcd(a: i64, b: i64) -> Option<i64> {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).ok()
}

fn lcm(a: i64, b: i64) -> Option<i64> {
    if a == 0 || b == 0 {
        return Some(0);
    }
    (a / gcd(a, b)?).checked_mul(b)?.checked_abs()
}

fn counted(args: &Arguments<'_>, none: i64, code: &str, clause: &str) -> Result<Value> {
    match args[0] {
        ValueRef::Null => Ok(Value::Integer(none)),
        ValueRef::Integer(number) if number >= 0 => Ok(Value::Integer(number)),
        _ => Err(SqlError::new(code, format!("{clause} must not be negative"))),
    }
}

fn bucket_numeric(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let bucket = numeric(args[0])?.bucket(&numeric(args[1])?, &numeric(args[2])?, integer(args[3])?)?;
    within(Some(bucket), INT4.0, INT4.1, INT4.2)
}

/// width_bucket of doubles, rounded as in PostgreSQL (width_bucket_float8).
fn bucket_float(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) {
        return Ok(Value::Null);
    }
    let (x, low, high, count) = (real(args[0])?, real(args[1])?, real(args[2])?, integer(args[3])?);
    let wrong = |message: &str| Err(SqlError::new("2201G", message));
    if count <= 0 {
        return wrong("count must be greater than zero");
    }
    if low.is_infinite() || high.is_infinite() {
        return wrong("lower and upper bounds must be finite");
    }
    if low == high {
        return wrong("lower bound cannot equal upper bound");
    }
    let (before, behind) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    let bucket = match (before, behind) {
        (true, _) => 0,
        (_, true) => count + 1,
        _ if (high - low).is_finite() => ((count as f64 * ((x - low) / (high - low))) as i64).min(count - 1) + 1,
        // Halved, lest the width overflow.
        _ => ((count as f64 * ((x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0))) as i64).min(count - 1) + 1,
    };
    within(Some(bucket), INT4.0, INT4.1, INT4.2)
}

fn factorial(args: &Arguments<'_>) -> Result<Value> {
    if strict(args) { Ok(Value::Null) } else { Numeric::factorial(integer(args[0])?).map(stored) }
}

pub(super) const TABLE: &[ScalarFunction] = &[
    pure("evesql_factorial", 1, factorial),
    pure("evesql_width_bucket_numeric", 4, bucket_numeric),
    pure("evesql_width_bucket_float8", 4, bucket_float),
    pure("evesql_int2", 1, |args| check(args, INT2)),
    pure("evesql_int4", 1, |args| check(args, INT4)),
    pure("evesql_int8", 1, |args| check(args, INT8)),
    pure("evesql_int8_add", 2, |args| pair(args, INT8, i64::checked_add)),
    pure("evesql_int8_sub", 2, |args| pair(args, INT8, i64::checked_sub)),
    pure("evesql_int8_mul", 2, |args| pair(args, INT8, i64::checked_mul)),
    pure("evesql_int8_abs", 1, |args| pair(&[args[0], ValueRef::Integer(0)], INT8, |a, _| a.checked_abs())),
    pure("evesql_int2_div", 2, |args| divide(args, INT2, i64::checked_div)),
    pure("evesql_int4_div", 2, |args| divide(args, INT4, i64::checked_div)),
    pure("evesql_int8_div", 2, |args| divide(args, INT8, i64::checked_div)),
    pure("evesql_int2_mod", 2, |args| divide(args, INT2, remainder)),
    pure("evesql_int4_mod", 2, |args| divide(args, INT4, remainder)),
    pure("evesql_int8_mod", 2, |args| divide(args, INT8, remainder)),
    pure("evesql_int2_shl", 2, |args| shift(args, 16, true)),
    pure("evesql_int4_shl", 2, |args| shift(args, 32, true)),
    pure("evesql_int8_shl", 2, |args| shift(args, 64, true)),
    pure("evesql_int2_shr", 2, |args| shift(args, 16, false)),
    pure("evesql_int4_shr", 2, |args| shift(args, 32, false)),
    pure("evesql_int8_shr", 2, |args| shift(args, 64, false)),
    pure("evesql_xor", 2, |args| pair(args, INT8, |a, b| Some(a ^ b))),
    pure("evesql_gcd", 2, |args| pair(args, INT8, gcd)),
    pure("evesql_lcm", 2, |args| pair(args, INT8, lcm)),
    pure("evesql_numeric", 1, |args| match args[0] {
        ValueRef::Null => Ok(Value::Null),
        value => Ok(stored(Numeric::from(integer(value)?))),
    }),
    pure("evesql_numeric_add", 2, add),
    pure("evesql_numeric_sub", 2, sub),
    pure("evesql_numeric_mul", 2, mul),
    pure("evesql_numeric_div", 2, div),
    pure("evesql_numeric_mod", 2, modulo),
    pure("evesql_numeric_neg", 1, |args| one(args, |n| Ok(n.negate()))),
    pure("evesql_numeric_abs", 1, |args| one(args, |n| Ok(if n.sign() < 0 { n.negate() } else { n }))),
    pure("evesql_numeric_ceil", 1, |args| one(args, |n| n.whole(true))),
    pure("evesql_numeric_floor", 1, |args| one(args, |n| n.whole(false))),
    pure("evesql_numeric_round", 2, |args| rescale(args, false)),
    pure("evesql_numeric_trunc", 2, |args| rescale(args, true)),
    pure("evesql_numeric_sign", 1, |args| one(args, |n| Ok(Numeric::from(i64::from(n.sign()))))),
    pure("evesql_numeric_sqrt", 1, |args| one(args, |n| n.square_root())),
    pure("evesql_numeric_power", 2, |args| two(args, Numeric::power)),
    pure("evesql_float8_abs", 1, |args| float1(args, f64::abs)),
    pure("evesql_numeric_exp", 1, |args| one(args, |n| n.exp())),
    pure("evesql_numeric_ln", 1, |args| one(args, |n| n.ln())),
    pure("evesql_numeric_log", 2, |args| two(args, |base, n| n.log(base))),
    pure("evesql_numeric_shortest", 1, |args| one(args, |n| Ok(n.align(0)))),
    pure("evesql_numeric_scale", 1, |args| {
        if strict(args) {
            return Ok(Value::Null);
        }
        Ok(match numeric(args[0])? {
            Numeric::Finite(decimal) => Value::Integer(i64::from(decimal.scale())),
            _ => Value::Null,
        })
    }),
    pure("evesql_numeric_align", 2, |args| {
        if strict(args) {
            return Ok(Value::Null);
        }
        let scale = integer(args[1])?.clamp(0, 16383) as u32;
        one(&args[..1], |n| Ok(n.align(scale)))
    }),
    pure("evesql_numeric_fit", 3, |args| {
        if strict(args) {
            return Ok(Value::Null);
        }
        let (precision, scale) = (integer(args[1])? as i32, integer(args[2])? as i32);
        one(&args[..1], |n| n.fit(precision, scale))
    }),
    pure("evesql_float8_add", 2, |args| float2(args, |a, b| a + b)),
    pure("evesql_float8_sub", 2, |args| float2(args, |a, b| a - b)),
    pure("evesql_float8_mul", 2, |args| float2(args, |a, b| a * b)),
    pure("evesql_float8_div", 2, |args| float_div(args, |args| float2(args, |a, b| a / b))),
    pure("evesql_float4_add", 2, |args| single(args, |a, b| a + b)),
    pure("evesql_float4_sub", 2, |args| single(args, |a, b| a - b)),
    pure("evesql_float4_mul", 2, |args| single(args, |a, b| a * b)),
    pure("evesql_float4_div", 2, |args| float_div(args, |args| single(args, |a, b| a / b))),
    pure("evesql_ceil", 1, |args| float1(args, libm::ceil)),
    pure("evesql_floor", 1, |args| float1(args, libm::floor)),
    pure("evesql_rint", 1, |args| float1(args, libm::rint)),
    pure("evesql_trunc", 1, |args| float1(args, libm::trunc)),
    pure("evesql_sqrt", 1, square_root),
    pure("evesql_cbrt", 1, |args| float1(args, libm::cbrt)),
    pure("evesql_power", 2, power),
    pure("evesql_exp", 1, |args| float1(args, libm::exp)),
    pure("evesql_ln", 1, |args| logarithm(args, libm::log)),
    pure("evesql_log10", 1, |args| logarithm(args, libm::log10)),
    pure("evesql_degrees", 1, |args| float1(args, |x| x / (std::f64::consts::PI / 180.0))),
    pure("evesql_radians", 1, |args| float1(args, |x| x * (std::f64::consts::PI / 180.0))),
    pure("evesql_sin", 1, |args| float1(args, libm::sin)),
    pure("evesql_sinh", 1, |args| float1(args, libm::sinh)),
    pure("evesql_cosh", 1, |args| float1(args, libm::cosh)),
    pure("evesql_tanh", 1, |args| float1(args, libm::tanh)),
    pure("evesql_asinh", 1, |args| float1(args, libm::asinh)),
    pure("evesql_cot", 1, |args| float1(args, |x| 1.0 / libm::tan(x))),
    pure("evesql_cos", 1, |args| float1(args, libm::cos)),
    pure("evesql_tan", 1, |args| float1(args, libm::tan)),
    pure("evesql_asin", 1, |args| inverse_trigonometric(args, libm::asin)),
    pure("evesql_acos", 1, |args| inverse_trigonometric(args, libm::acos)),
    pure("evesql_atan", 1, |args| float1(args, libm::atan)),
    pure("evesql_atan2", 2, |args| float2(args, libm::atan2)),
    pure("evesql_limit", 1, |args| counted(args, -1, "2201W", "LIMIT")),
    pure("evesql_offset", 1, |args| counted(args, 0, "2201X", "OFFSET")),
];
