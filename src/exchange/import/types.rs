//! Which type a column gets: what it was declared as, if all that is stored in it is so; else what is stored, if that is
//! of one kind; else none. Pure: counts in, a decision out.

/// Integers up to here are exact as floating point.
const EXACT: i64 = 1 << 53;

/// Types of Postgres that a column of SQLite's can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Boolean,
    Bigint,
    Double,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
}

impl Target {
    /// As SQL writes it.
    pub fn sql(self) -> &'static str {
        match self {
            Target::Boolean => "boolean",
            Target::Bigint => "bigint",
            Target::Double => "double precision",
            Target::Numeric => "numeric",
            Target::Text => "text",
            Target::Bytea => "bytea",
            Target::Date => "date",
            Target::Time => "time",
            Target::Timestamp => "timestamp",
        }
    }
}

/// How many values of a kind there are, and which row has the first: `rowid 7`, or `row 7` of a table without rowids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub count: u64,
    pub first: String,
    /// Place of that row, from 1.
    pub place: u64,
}

/// What is stored in a column.
#[derive(Clone, Debug, Default)]
pub struct Census {
    pub nulls: Seen,
    pub integers: Seen,
    pub reals: Seen,
    pub texts: Seen,
    pub blobs: Seen,
    /// Integers other than 0 and 1.
    pub beyond_bits: bool,
    /// Integers that floating point does not hold exactly.
    pub beyond_exact: bool,
    /// Infinite reals.
    pub infinite: bool,
    /// Texts that are no date, no time, no timestamp, in the form in which Postgres writes them.
    pub no_date: bool,
    pub no_time: bool,
    pub no_timestamp: bool,
}

impl Census {
    /// Notes an integer's size.
    pub fn integer(&mut self, number: i64) {
        self.beyond_bits |= !matches!(number, 0 | 1);
        self.beyond_exact |= number.unsigned_abs() > EXACT.unsigned_abs();
    }
    fn has_only(&self, kinds: [bool; 4]) -> bool {
        let seen = [&self.integers, &self.reals, &self.texts, &self.blobs];
        seen.iter().zip(kinds).all(|(seen, allowed)| allowed || seen.count == 0)
    }
    fn is_empty(&self) -> bool {
        self.has_only([false; 4])
    }
}

/// A decision: the type, and what people should know about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    pub target: Target,
    /// What was stored decided, not what was declared.
    pub differs: bool,
}

/// The kind that a declared type asks for, by SQLite's rules of affinity, and beyond them for dates and truth values.
fn declared_as(declared: &str) -> Option<Target> {
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    Some(match declared {
        "" => return None,
        "DATE" => Target::Date,
        "TIME" => Target::Time,
        _ if declared.starts_with("DATETIME") || declared.starts_with("TIMESTAMP") => Target::Timestamp,
        _ if has(&["BOOL"]) => Target::Boolean,
        _ if has(&["INT"]) => Target::Bigint,
        _ if has(&["CHAR", "CLOB", "TEXT"]) => Target::Text,
        _ if has(&["BLOB"]) => Target::Bytea,
        _ if has(&["REAL", "FLOA", "DOUB"]) => Target::Double,
        // The type of a STRICT table that is none.
        "ANY" => return None,
        _ => Target::Numeric,
    })
}

/// Decides. `plain` columns stand in expressions that SQLite computes with numbers and texts: they become no truth values
/// and no dates. `keyed` ones are unique, which EveSQL does not keep for numeric without a scale.
///
/// # Errors
/// The row that does not go with the others, and what is in it.
pub fn decide(declared: &str, census: &Census, plain: bool, keyed: bool) -> Result<Decision, (String, &'static str)> {
    let wanted = declared_as(declared);
    let numbers = census.has_only([true, true, false, false]);
    let integers = census.has_only([true, false, false, false]);
    let texts = census.has_only([false, false, true, false]);
    let exact = numbers && !(census.beyond_exact && census.reals.count > 0);
    let fits = |target: Target| match target {
        Target::Boolean => integers && !census.beyond_bits && !plain,
        Target::Bigint => integers,
        Target::Double => numbers && !census.beyond_exact,
        Target::Numeric => numbers && !census.infinite && !keyed,
        Target::Text => texts,
        Target::Bytea => census.has_only([false, false, false, true]),
        Target::Date => texts && !census.no_date && !plain,
        Target::Time => texts && !census.no_time && !plain,
        Target::Timestamp => texts && !census.no_timestamp && !plain,
    };
    if let Some(target) = wanted.filter(|target| fits(*target)) {
        return Ok(Decision { target, differs: false });
    }
    // Truth values and dates are SQLite's numbers and texts: nothing is lost where they stay that.
    let stored = [Target::Bigint, Target::Text, Target::Bytea, Target::Double, Target::Numeric];
    let found = match census.is_empty() {
        true => Some(match wanted {
            Some(Target::Boolean) => Target::Bigint,
            Some(Target::Numeric) => Target::Double,
            _ => Target::Text,
        }),
        false => stored.into_iter().find(|target| fits(*target) && (*target != Target::Double || exact)),
    };
    match found {
        Some(target) => Ok(Decision { target, differs: wanted.is_some_and(|wanted| !alike(wanted, target)) }),
        None => Err(stranger(wanted, census)),
    }
}

/// Whether SQLite itself makes no difference between the two.
fn alike(wanted: Target, found: Target) -> bool {
    match wanted {
        Target::Boolean => found == Target::Bigint,
        Target::Date | Target::Time | Target::Timestamp => found == Target::Text,
        Target::Numeric => matches!(found, Target::Bigint | Target::Double),
        _ => false,
    }
}

/// The first row that is not as declared, or not as most are.
fn stranger(wanted: Option<Target>, census: &Census) -> (String, &'static str) {
    let numbers = census.integers.count + census.reals.count;
    let expected = match wanted {
        Some(Target::Text | Target::Date | Target::Time | Target::Timestamp) => 1,
        Some(Target::Bytea) => 2,
        Some(_) => 0,
        None if numbers >= census.texts.count && numbers >= census.blobs.count => 0,
        None if census.texts.count >= census.blobs.count => 1,
        None => 2,
    };
    let kinds = [
        (0, &census.integers, "an integer"),
        (0, &census.reals, "a floating point number"),
        (1, &census.texts, "a text"),
        (2, &census.blobs, "a blob"),
    ];
    let others = kinds.iter().filter(|(kind, seen, _)| *kind != expected && seen.count > 0);
    let first = others.min_by_key(|(_, seen, _)| seen.place);
    // Numbers alone: integers that floating point does not hold, beside reals.
    let (_, seen, what) = first.unwrap_or(&kinds[1]);
    (seen.first.clone(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(count: u64, place: u64) -> Seen {
        Seen { count, first: format!("rowid {place}"), place }
    }

    #[test]
    fn what_is_stored_is_kept_whatever_was_declared() {
        let integers = Census { integers: seen(3, 1), beyond_bits: true, ..Census::default() };
        let bits = Census { integers: seen(3, 1), ..Census::default() };
        let reals = Census { reals: seen(1, 1), ..Census::default() };
        let mixed = Census { integers: seen(2, 1), reals: seen(1, 3), ..Census::default() };
        let large = Census { beyond_exact: true, ..mixed.clone() };
        let texts = Census { texts: seen(2, 1), no_date: true, no_time: true, no_timestamp: true, ..Census::default() };
        let dates = Census { texts: seen(2, 1), ..Census::default() };
        let blobs = Census { blobs: seen(1, 1), ..Census::default() };
        let cases = [
            ("INTEGER", &integers, Target::Bigint, false),
            ("", &integers, Target::Bigint, false),
            ("BOOLEAN", &bits, Target::Boolean, false),
            ("BOOLEAN", &integers, Target::Bigint, false),
            ("INTEGER", &texts, Target::Text, true),
            ("INTEGER", &mixed, Target::Double, true),
            ("DECIMAL(10,2)", &mixed, Target::Numeric, false),
            ("DECIMAL(10,2)", &large, Target::Numeric, false),
            ("REAL", &reals, Target::Double, false),
            ("VARCHAR(20)", &texts, Target::Text, false),
            ("DATE", &dates, Target::Date, false),
            ("DATE", &texts, Target::Text, false),
            ("DATETIME", &dates, Target::Timestamp, false),
            ("TEXT", &blobs, Target::Bytea, true),
            ("BLOB", &texts, Target::Text, true),
            ("", &blobs, Target::Bytea, false),
        ];
        for (declared, census, target, differs) in cases {
            assert_eq!(
                decide(declared, census, false, false),
                Ok(Decision { target, differs }),
                "{declared} {census:?}"
            );
        }
        assert_eq!(decide("DATE", &dates, true, false).unwrap().target, Target::Text);
        assert_eq!(decide("NUMERIC", &mixed, false, true).unwrap().target, Target::Double);
    }

    #[test]
    fn a_column_of_two_kinds_is_refused_with_the_row_that_is_otherwise() {
        let census = Census { integers: seen(5, 1), texts: seen(1, 4), ..Census::default() };
        assert_eq!(decide("INTEGER", &census, false, false), Err(("rowid 4".into(), "a text")));
        let census = Census { texts: seen(5, 1), blobs: seen(1, 9), ..Census::default() };
        assert_eq!(decide("TEXT", &census, false, false), Err(("rowid 9".into(), "a blob")));
        assert_eq!(decide("", &census, false, false), Err(("rowid 9".into(), "a blob")));
    }
}
