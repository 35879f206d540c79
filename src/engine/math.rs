//! Math from one bundled libm: the C library's pow, exp and sin differ between CPU types [M], and replicas
//! would differ with them (invariant 10).

use crate::transaction::{SqlError, Value, ValueRef};

type One = (&'static str, fn(f64) -> f64);
type Two = (&'static str, fn(f64, f64) -> f64);

/// Functions of one number.
pub(super) const ONE: &[One] = &[
    ("acos", libm::acos),
    ("acosh", libm::acosh),
    ("asin", libm::asin),
    ("asinh", libm::asinh),
    ("atan", libm::atan),
    ("atanh", libm::atanh),
    ("cbrt", libm::cbrt),
    ("ceil", libm::ceil),
    ("ceiling", libm::ceil),
    ("cos", libm::cos),
    ("cosh", libm::cosh),
    ("cot", |x| 1.0 / libm::tan(x)),
    ("degrees", |x| x * (180.0 / std::f64::consts::PI)),
    ("exp", libm::exp),
    ("floor", libm::floor),
    ("ln", libm::log),
    ("log", libm::log10),
    ("log10", libm::log10),
    ("log2", libm::log2),
    ("radians", |x| x * (std::f64::consts::PI / 180.0)),
    ("sin", libm::sin),
    ("sinh", libm::sinh),
    ("sqrt", libm::sqrt),
    ("tan", libm::tan),
    ("tanh", libm::tanh),
    ("trunc", libm::trunc),
];

/// Functions of two numbers.
pub(super) const TWO: &[Two] = &[
    ("atan2", libm::atan2),
    ("log", |base, x| libm::log(x) / libm::log(base)),
    ("mod", libm::fmod),
    ("pow", libm::pow),
    ("power", libm::pow),
];

/// A number among the arguments; `None` for NULL.
pub(super) fn number(value: ValueRef<'_>) -> Result<Option<f64>, SqlError> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number as f64)),
        ValueRef::Real(number) => Ok(Some(number)),
        ValueRef::Text(text) => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(SqlError::new("22P02", format!("invalid input for a number: \"{text}\""))),
        },
        ValueRef::Blob(_) => Err(SqlError::new("42804", "bytes are no number")),
    }
}

/// The result, or Postgres' error where it has no value.
pub(super) fn result(name: &str, arguments: &[f64], result: f64) -> Result<Value, SqlError> {
    if result.is_nan() && !arguments.iter().any(|argument| argument.is_nan()) {
        return Err(match name {
            "ln" | "log" | "log10" | "log2" => SqlError::new("2201E", "cannot take logarithm of a negative number"),
            "sqrt" => SqlError::new("2201F", "cannot take square root of a negative number"),
            "pow" | "power" => SqlError::new("2201F", "a negative number raised to a non-integer power"),
            "mod" => SqlError::new("22012", "division by zero"),
            _ => SqlError::new("22003", "input is out of range"),
        });
    }
    if result.is_infinite() && arguments.iter().all(|argument| argument.is_finite()) {
        return Err(match name {
            "ln" | "log" | "log10" | "log2" => SqlError::new("2201E", "cannot take logarithm of zero"),
            _ => SqlError::new("22003", "value out of range: overflow"),
        });
    }
    Ok(Value::Real(result))
}
