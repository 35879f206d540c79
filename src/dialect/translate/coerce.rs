//! From one type to another: literals while translating, everything else by SQLite text.

use super::typed::{Literal, Typed, type_range};
use super::{Result, Translator};
use crate::dialect::codec::{decode_text, to_text};
use crate::dialect::functions;
use crate::dialect::numeric::Numeric;
use crate::dialect::types::{PgType, Storage, numeric_typmod};
use crate::transaction::{SqlError, Value};

/// Who asks for a conversion: each may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Context {
    /// Operators and functions.
    Implicit,
    /// INSERT and UPDATE.
    Assignment,
    /// CAST and `::`.
    Explicit,
}

/// Number types from narrow to wide.
pub(super) fn number_rank(ty: PgType) -> Option<u8> {
    Some(match ty {
        PgType::INT2 => 1,
        PgType::INT4 => 2,
        PgType::INT8 => 3,
        PgType::NUMERIC => 4,
        PgType::FLOAT4 => 5,
        PgType::FLOAT8 => 6,
        _ => return None,
    })
}

fn is_string(ty: PgType) -> bool {
    ty.is_text()
}

/// Least context in which Postgres converts `from` to `to`; `None`: never.
pub(super) fn castable(from: PgType, to: PgType) -> Option<Context> {
    use Context::*;
    if from == to || from == PgType::UNKNOWN {
        return Some(Implicit);
    }
    if let (Some(a), Some(b)) = (number_rank(from), number_rank(to)) {
        return Some(if a < b { Implicit } else { Assignment });
    }
    if is_string(from) && is_string(to) {
        return Some(match (from, to) {
            (PgType::TEXT, PgType::NAME) => Implicit,
            (PgType::NAME | PgType::CHAR, PgType::TEXT) => Implicit,
            (PgType::VARCHAR | PgType::BPCHAR, PgType::TEXT | PgType::VARCHAR | PgType::NAME) => Implicit,
            (PgType::TEXT, PgType::VARCHAR | PgType::BPCHAR) => Implicit,
            (PgType::VARCHAR, PgType::BPCHAR) => Implicit,
            _ => Assignment,
        });
    }
    if from.is_oid_like() && to.is_oid_like() {
        return Some(Implicit);
    }
    if (from.is_integer() && to.is_oid_like()) || (from.is_oid_like() && to == PgType::INT8) {
        return Some(Implicit);
    }
    if from.is_oid_like() && to == PgType::INT4 {
        return Some(Assignment);
    }
    let array_of_text = |ty: PgType| ty.element().is_some_and(is_string);
    match (from, to) {
        (PgType::DATE, PgType::TIMESTAMP | PgType::TIMESTAMPTZ) => Some(Implicit),
        (PgType::TIMESTAMP, PgType::TIMESTAMPTZ) => Some(Implicit),
        (PgType::TIME, PgType::INTERVAL) => Some(Implicit),
        (PgType::TIMESTAMP | PgType::TIMESTAMPTZ, PgType::DATE | PgType::TIME) => Some(Assignment),
        (PgType::TIMESTAMPTZ, PgType::TIMESTAMP) => Some(Assignment),
        (PgType::INTERVAL, PgType::TIME) => Some(Assignment),
        (PgType::JSON, PgType::JSONB) | (PgType::JSONB, PgType::JSON) => Some(Assignment),
        (PgType::CIDR, PgType::INET) => Some(Implicit),
        (PgType::INET, PgType::CIDR) => Some(Assignment),
        (PgType::BOOL, PgType::INT4) | (PgType::INT4, PgType::BOOL) => Some(Explicit),
        (PgType::INT2VECTOR, PgType::INT2_ARRAY) | (PgType::OIDVECTOR, PgType::OID_ARRAY) => Some(Implicit),
        _ if array_of_text(from) && array_of_text(to) => Some(Implicit),
        _ if from.element().is_some() && to.element().is_some() => castable(from.element()?, to.element()?),
        // Any type prints as text, and text is read as any type when asked to.
        _ if is_string(to) => Some(Assignment),
        _ if is_string(from) => Some(Explicit),
        (PgType::JSONB, _) if to.is_number() || to == PgType::BOOL => Some(Explicit),
        _ => None,
    }
}

impl Translator<'_> {
    /// Converts to a type and modifier.
    pub(super) fn coerce(&mut self, typed: Typed, ty: PgType, typmod: i32, context: Context) -> Result<Typed> {
        let typed = typed.settled();
        if let Some(at) = typed.param {
            // An earlier use may have typed it meanwhile.
            // The name of an object is looked up where the statement runs: until then it is a text.
            let named = ty.is_oid_like() && ty != PgType::OID && context == Context::Explicit;
            let known = *self.params[at].get_or_insert(if named { PgType::TEXT } else { ty });
            let found = Typed { ty: known, param: None, range: type_range(known), ..typed };
            return self.coerce(found, ty, typmod, context);
        }
        if let Some(text) = typed.unknown_text() {
            let style = self.settings.style();
            let number = text.trim().parse::<u32>().is_ok();
            let value = match ty {
                PgType::REGCLASS => Value::Integer(self.relation_oid(text)?),
                _ if ty.is_oid_like() && ty != PgType::OID && !number => {
                    let sql = self.object_oid_sql(&super::typed::quote_text(text), ty)?;
                    return Ok(Typed::new(sql, ty).not_null());
                }
                _ => decode_text(text.as_bytes(), ty, &style)?,
            };
            self.check_enum_value(&value, ty)?;
            let typed = Typed::constant(value, ty);
            return self.fit(typed, ty, typmod, context == Context::Explicit);
        }
        if typed.is_null_literal() {
            return Ok(Typed { ty, typmod, scale: None, ..typed });
        }
        if typed.ty == ty {
            return self.fit(typed, ty, typmod, context == Context::Explicit);
        }
        let least = castable(typed.ty, ty).ok_or_else(|| cannot_cast(typed.ty, ty))?;
        if least > context {
            return Err(cannot_cast(typed.ty, ty));
        }
        let converted = self.convert(typed, ty)?;
        self.fit(converted, ty, typmod, context == Context::Explicit)
    }

    /// Converts between two different types; whether that is allowed has been settled.
    fn convert(&mut self, typed: Typed, ty: PgType) -> Result<Typed> {
        let from = typed.ty;
        let zone = self.settings.time_zone.zone;
        let shows_name = from.is_oid_like() && from != PgType::OID && is_string(ty);
        if let Some(value) = typed.value().filter(|_| !shows_name) {
            let value = functions::cast(value.as_ref(), from, ty, zone)?;
            self.check_enum_value(&value, ty)?;
            return Ok(Typed::constant(value, ty));
        }
        let mut result = Typed::new(String::new(), ty).nullable_if(typed.nullable);
        let sql = &typed.sql;
        let same_form = |result: &mut Typed| result.sql.clone_from(sql);
        match (from, ty) {
            // Narrowing needs a check, widening none.
            _ if from.is_integer() && ty.is_integer() => {
                let fits = matches!((typed.range, type_range(ty)), (Some(a), Some(b)) if a.0 >= b.0 && a.1 <= b.1);
                result.range = typed.range;
                if fits {
                    same_form(&mut result);
                } else {
                    result.checked = Some(format!("evesql_{}({sql})", ty.name()));
                    same_form(&mut result);
                }
            }
            _ if (from.is_integer() || from.is_oid_like()) && (ty.is_oid_like() || ty.is_integer()) => {
                same_form(&mut result);
            }
            _ if from.is_integer() && ty.is_float() => result.sql = format!("CAST({sql} AS REAL)"),
            _ if from.is_integer() && ty == PgType::NUMERIC => {
                result.sql = format!("evesql_numeric({sql})");
                result.scale = Some(0);
            }
            (PgType::FLOAT4, PgType::FLOAT8) => same_form(&mut result),
            (PgType::BOOL, PgType::INT4) => same_form(&mut result),
            (PgType::INT4, PgType::BOOL) => result.sql = format!("({sql} <> 0)"),
            // char(n) is stored without padding, and becomes other strings without it.
            _ if is_string(from) && is_string(ty) && !matches!(ty, PgType::NAME | PgType::CHAR | PgType::BPCHAR) => {
                same_form(&mut result);
            }
            _ if is_string(from) && ty == PgType::BPCHAR => result.sql = format!("rtrim({sql}, ' ')"),
            _ if from.is_integer() && matches!(ty, PgType::TEXT | PgType::VARCHAR) => {
                result.sql = format!("CAST({sql} AS TEXT)");
            }
            _ if from.element().is_some() && ty.element().is_some() && same_elements(from, ty) => {
                same_form(&mut result);
            }
            (PgType::JSONB, PgType::JSON) | (PgType::CIDR, PgType::INET) => same_form(&mut result),
            _ if from.is_enum() && is_string(ty) => same_form(&mut result),
            _ if ty.is_enum() => return self.enum_from_text(&typed, ty),
            _ if ty.is_users() => {
                let text = format!("converting {} to {} is not supported", from.sql_name(), ty.sql_name());
                return Err(SqlError::new("0A000", text));
            }
            _ if from.is_oid_like() && from != PgType::OID && is_string(ty) => {
                result.sql = self.object_name_sql(sql, from);
            }
            _ if is_string(from) && ty.is_oid_like() && ty != PgType::OID => {
                result.sql = self.object_oid_sql(sql, ty)?;
            }
            _ => result.sql = format!("evesql_cast({sql}, {}, {}, {})", from.0, ty.0, zone.sql()),
        }
        Ok(result)
    }

    /// Applies a type modifier: lengths, precision and scale.
    pub(super) fn fit(&mut self, mut typed: Typed, ty: PgType, typmod: i32, explicit: bool) -> Result<Typed> {
        if typmod < 0 || typed.typmod == typmod {
            return Ok(typed);
        }
        let explicit = i32::from(explicit);
        let call = match ty {
            PgType::VARCHAR | PgType::BPCHAR => {
                format!("evesql_{}({}, {}, {explicit})", ty.name(), typed.sql, typmod - 4)
            }
            PgType::NUMERIC => {
                let (precision, scale) = numeric_typmod(typmod);
                if let (Some(Value::Blob(_)), true) = (typed.value(), true) {
                    let value =
                        functions::fit(typed.value().unwrap_or(&Value::Null).as_ref(), ty, typmod, explicit != 0)?;
                    typed = Typed::constant(value, ty);
                }
                typed.typmod = typmod;
                typed.scale = Some(scale.max(0) as u32);
                if typed.literal.is_some() {
                    return Ok(typed);
                }
                format!("evesql_numeric_fit({}, {precision}, {scale})", typed.sql)
            }
            PgType::TIMESTAMP | PgType::TIMESTAMPTZ | PgType::TIME if typmod < 6 => {
                format!("evesql_time_fit({}, {typmod})", typed.sql)
            }
            PgType::INTERVAL => format!("evesql_interval_fit({}, {typmod})", typed.sql),
            _ if ty.element().is_some_and(has_modifier) => {
                format!("evesql_array_fit({}, {}, {typmod}, {explicit})", typed.sql, ty.0)
            }
            _ => {
                typed.typmod = typmod;
                return Ok(typed);
            }
        };
        if let Some(value) = typed.value() {
            let value = functions::fit(value.as_ref(), ty, typmod, explicit != 0)?;
            typed = Typed::constant(value, ty);
        } else {
            typed.sql = call;
            typed.column = None;
        }
        typed.typmod = typmod;
        Ok(typed)
    }

    /// Converts what an INSERT or UPDATE stores, with Postgres' message if it does not fit the column.
    pub(super) fn assign(&mut self, typed: Typed, column: &crate::catalog::Column) -> Result<Typed> {
        let ty = PgType(column.type_oid);
        // Integer columns keep their range by a constraint in SQLite, and STRICT refuses the reals that
        // overflow makes: the plain operator will do.
        if typed.ty == ty && ty.is_integer() {
            return Ok(typed);
        }
        let from = typed.ty;
        self.coerce(typed, ty, column.typmod, Context::Assignment).map_err(|error| {
            if error.code() != "42846" {
                return error;
            }
            SqlError::new(
                "42804",
                format!(
                    "column \"{}\" is of type {} but expression is of type {}",
                    column.name,
                    ty.sql_name(),
                    from.sql_name()
                ),
            )
            .with_hint("You will need to rewrite or cast the expression.")
        })
    }

    /// What is of no type yet becomes text.
    pub(super) fn as_text_if_unknown(&mut self, typed: Typed) -> Result<Typed> {
        if typed.ty == PgType::UNKNOWN { self.coerce(typed, PgType::TEXT, -1, Context::Implicit) } else { Ok(typed) }
    }

    /// One type for CASE, COALESCE, UNION, VALUES and their like.
    pub(super) fn common_type(&self, all: &[&Typed], what: &str) -> Result<(PgType, i32)> {
        let mut found: Option<PgType> = None;
        for typed in all {
            let ty = match typed.param {
                Some(at) => self.params[at].unwrap_or(PgType::UNKNOWN),
                None => typed.ty,
            };
            if ty == PgType::UNKNOWN {
                continue;
            }
            found = Some(match found {
                None => ty,
                Some(before) if before == ty => ty,
                Some(before) if before.is_text() && ty.is_text() => {
                    if before == PgType::CHAR {
                        PgType::TEXT
                    } else {
                        before
                    }
                }
                Some(before) if before.category() != ty.category() => {
                    return Err(SqlError::new(
                        "42804",
                        format!("{what} types {} and {} cannot be matched", before.sql_name(), ty.sql_name()),
                    ));
                }
                // Preferred types end the search; else the one that the other converts to.
                Some(before) if castable(before, ty) == Some(Context::Implicit) && !preferred(before) => ty,
                Some(before) => before,
            });
        }
        let ty = found.unwrap_or(PgType::TEXT);
        let known = || all.iter().filter(|t| !t.is_null_literal());
        let typmod = known().map(|t| t.typmod).next().unwrap_or(-1);
        let same = known().all(|t| t.ty == ty && t.typmod == typmod);
        Ok((ty, if same { typmod } else { -1 }))
    }

    /// Brings expressions to their common type.
    pub(super) fn unify(&mut self, all: Vec<Typed>, what: &str) -> Result<(Vec<Typed>, PgType, i32)> {
        let (ty, typmod) = self.common_type(&all.iter().collect::<Vec<_>>(), what)?;
        let all: Result<Vec<Typed>> =
            all.into_iter().map(|typed| self.coerce(typed, ty, -1, Context::Implicit)).collect();
        Ok((all?, ty, typmod))
    }

    /// Text of a form in which equal values are equal bytes, which sort as the values do: for DISTINCT, GROUP BY, ORDER BY,
    /// UNION.
    pub(super) fn sort_key(&self, typed: &Typed) -> String {
        match typed.ty {
            PgType::NUMERIC if typed.scale.is_none() => format!("evesql_numeric_align({}, 0)", typed.sql),
            PgType::INTERVAL => format!("evesql_interval_key({})", typed.sql),
            PgType::JSONB => format!("evesql_jsonb_key({})", typed.sql),
            // Their texts do not sort as they do.
            ty if ty.element().is_some() => match self.enum_ranks(typed) {
                Some(ranks) => format!("evesql_array_key({ranks}, {})", PgType::INT4.array().unwrap_or(ty).0),
                None => format!("evesql_array_key({}, {})", typed.sql, ty.0),
            },
            _ => self.enum_rank(typed).unwrap_or_else(|| typed.sql.clone()),
        }
    }

    /// As [`Self::sort_key`], but still a value of the type.
    pub(super) fn normal_form(&self, mut typed: Typed) -> Typed {
        if typed.ty != PgType::NUMERIC {
            return typed;
        }
        if let Some(Value::Blob(bytes)) = typed.value() {
            let Ok(number) = Numeric::decode(bytes) else { return typed };
            let mut aligned = Typed::constant(Value::Blob(number.align(0).encode().into()), PgType::NUMERIC);
            aligned.scale = None;
            return aligned;
        }
        if typed.literal.is_none() {
            typed.sql = format!("evesql_numeric_align({}, 0)", typed.sql);
            (typed.column, typed.scale) = (None, None);
        }
        typed
    }

    /// A constant's text, for messages and for folding `||`.
    pub(super) fn literal_text(&self, typed: &Typed) -> Option<String> {
        match &typed.literal {
            Some(Literal::Unknown(text)) => Some(text.clone()),
            Some(Literal::Value(Value::Null)) | None => None,
            Some(Literal::Value(value)) => to_text(value.as_ref(), typed.ty, typed.typmod, &self.settings.style()).ok(),
        }
    }
}

/// Types whose modifier changes values.
fn has_modifier(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::VARCHAR
            | PgType::BPCHAR
            | PgType::NUMERIC
            | PgType::TIMESTAMP
            | PgType::TIMESTAMPTZ
            | PgType::TIME
            | PgType::INTERVAL
    )
}

fn preferred(ty: PgType) -> bool {
    matches!(ty, PgType::TEXT | PgType::FLOAT8 | PgType::TIMESTAMPTZ | PgType::BOOL | PgType::INTERVAL | PgType::OID)
}

fn same_elements(from: PgType, to: PgType) -> bool {
    let (Some(a), Some(b)) = (from.element(), to.element()) else { return false };
    a == b
        || ((a.is_text() || a.is_enum()) && b.is_text())
        || (a.storage() == Storage::Integer
            && b.storage() == Storage::Integer
            && (a.is_integer() || a.is_oid_like())
            && (b == PgType::INT8 || b.is_oid_like() || a == PgType::INT2))
}

fn cannot_cast(from: PgType, to: PgType) -> SqlError {
    SqlError::new("42846", format!("cannot cast type {} to {}", from.sql_name(), to.sql_name()))
}
