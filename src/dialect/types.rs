//! Postgres types as clients know them (OID, names, array types), and how SQLite stores each of them.

use crate::catalog::FIRST_OID;
use std::fmt;

/// A type by its OID. Copyable; what is known of it is in [`TypeInfo`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PgType(pub u32);

/// In which form SQLite holds a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// 64-bit integer: also booleans (0, 1), dates (days) and times (microseconds).
    Integer,
    /// IEEE double.
    Real,
    /// UTF-8; arrays as JSON text.
    Text,
    /// Bytes: bytea, uuid (16), numeric, interval, inet and cidr (bytes that sort as the values do).
    Blob,
}

/// What is fixed about a type.
#[derive(Debug)]
pub struct TypeInfo {
    /// OID.
    pub oid: u32,
    /// Name in pg_type.
    pub name: &'static str,
    /// Name as format_type prints it.
    pub sql_name: &'static str,
    /// typlen: bytes, -1 variable, -2 C string.
    pub len: i16,
    /// typcategory.
    pub category: char,
    /// OID of the array type over it, or 0.
    pub array: u32,
    /// Form in SQLite.
    pub storage: Storage,
}

macro_rules! types {
    ($($constant:ident $oid:literal $name:literal $sql:literal $len:literal $category:literal $array:literal $storage:ident;)*) => {
        impl PgType {
            $(#[doc = concat!("`", $sql, "`")] pub const $constant: PgType = PgType($oid);)*
        }
        /// All built-in scalar types.
        pub static TYPES: &[TypeInfo] = &[$(TypeInfo {
            oid: $oid, name: $name, sql_name: $sql, len: $len, category: $category, array: $array,
            storage: Storage::$storage,
        }),*];
    };
}

types! {
    BOOL 16 "bool" "boolean" 1 'B' 1000 Integer;
    BYTEA 17 "bytea" "bytea" -1 'U' 1001 Blob;
    CHAR 18 "char" "\"char\"" 1 'Z' 1002 Text;
    NAME 19 "name" "name" 64 'S' 1003 Text;
    INT8 20 "int8" "bigint" 8 'N' 1016 Integer;
    INT2 21 "int2" "smallint" 2 'N' 1005 Integer;
    INT2VECTOR 22 "int2vector" "int2vector" -1 'A' 1006 Text;
    INT4 23 "int4" "integer" 4 'N' 1007 Integer;
    REGPROC 24 "regproc" "regproc" 4 'N' 1008 Integer;
    TEXT 25 "text" "text" -1 'S' 1009 Text;
    OID 26 "oid" "oid" 4 'N' 1028 Integer;
    TID 27 "tid" "tid" 6 'U' 1010 Text;
    XID 28 "xid" "xid" 4 'U' 1011 Integer;
    CID 29 "cid" "cid" 4 'U' 1012 Integer;
    OIDVECTOR 30 "oidvector" "oidvector" -1 'A' 1013 Text;
    JSON 114 "json" "json" -1 'U' 199 Text;
    XML 142 "xml" "xml" -1 'U' 143 Text;
    PG_NODE_TREE 194 "pg_node_tree" "pg_node_tree" -1 'Z' 0 Text;
    CIDR 650 "cidr" "cidr" -1 'I' 651 Blob;
    FLOAT4 700 "float4" "real" 4 'N' 1021 Real;
    FLOAT8 701 "float8" "double precision" 8 'N' 1022 Real;
    UNKNOWN 705 "unknown" "unknown" -2 'X' 0 Text;
    INET 869 "inet" "inet" -1 'I' 1041 Blob;
    ACLITEM 1033 "aclitem" "aclitem" 12 'U' 1034 Text;
    BPCHAR 1042 "bpchar" "character" -1 'S' 1014 Text;
    VARCHAR 1043 "varchar" "character varying" -1 'S' 1015 Text;
    DATE 1082 "date" "date" 4 'D' 1182 Integer;
    TIME 1083 "time" "time without time zone" 8 'D' 1183 Integer;
    TIMESTAMP 1114 "timestamp" "timestamp without time zone" 8 'D' 1115 Integer;
    TIMESTAMPTZ 1184 "timestamptz" "timestamp with time zone" 8 'D' 1185 Integer;
    INTERVAL 1186 "interval" "interval" 16 'T' 1187 Blob;
    TIMETZ 1266 "timetz" "time with time zone" 12 'D' 1270 Text;
    NUMERIC 1700 "numeric" "numeric" -1 'N' 1231 Blob;
    REGPROCEDURE 2202 "regprocedure" "regprocedure" 4 'N' 2207 Integer;
    REGOPER 2203 "regoper" "regoper" 4 'N' 2208 Integer;
    REGOPERATOR 2204 "regoperator" "regoperator" 4 'N' 2209 Integer;
    REGCLASS 2205 "regclass" "regclass" 4 'N' 2210 Integer;
    REGTYPE 2206 "regtype" "regtype" 4 'N' 2211 Integer;
    RECORD 2249 "record" "record" -1 'P' 2287 Text;
    CSTRING 2275 "cstring" "cstring" -2 'P' 1263 Text;
    ANYARRAY 2277 "anyarray" "anyarray" -1 'P' 0 Text;
    VOID 2278 "void" "void" 4 'P' 0 Text;
    UUID 2950 "uuid" "uuid" 16 'U' 2951 Blob;
    PG_LSN 3220 "pg_lsn" "pg_lsn" 8 'U' 3221 Text;
    REGCONFIG 3734 "regconfig" "regconfig" 4 'N' 3735 Integer;
    JSONB 3802 "jsonb" "jsonb" -1 'U' 3807 Text;
    REGNAMESPACE 4089 "regnamespace" "regnamespace" 4 'N' 4090 Integer;
    REGROLE 4096 "regrole" "regrole" 4 'N' 4097 Integer;
    XID8 5069 "xid8" "xid8" 8 'U' 271 Integer;
}

/// Fields of an interval's type modifier, greatest first, with their bits in its upper half.
pub const INTERVAL_FIELDS: [(&str, i32); 6] =
    [("year", 1 << 2), ("month", 1 << 1), ("day", 1 << 3), ("hour", 1 << 10), ("minute", 1 << 11), ("second", 1 << 12)];
/// The lower half of an interval's type modifier where no digits of seconds were asked for.
pub const INTERVAL_ALL_DIGITS: i32 = 0xffff;

/// The type modifier of an interval with the fields from `first` to `last`, all of them if neither is named, and so many
/// digits of seconds. `None` for fields that do not go together.
pub fn interval_typmod(fields: Option<(&str, &str)>, digits: Option<u64>) -> Option<i32> {
    let place = |name: &str| INTERVAL_FIELDS.iter().position(|(field, _)| *field == name);
    let bits = match fields {
        None => 0x7fff,
        Some((first, last)) => {
            let (from, to) = (place(first)?, place(last)?);
            if from > to || (from < 2) != (to < 2) {
                return None;
            }
            INTERVAL_FIELDS[from..=to].iter().map(|(_, bit)| bit).sum()
        }
    };
    let digits = digits.map_or(INTERVAL_ALL_DIGITS, |digits| digits.min(6) as i32);
    Some(if fields.is_none() && digits == INTERVAL_ALL_DIGITS { -1 } else { bits << 16 | digits })
}

/// What an interval's type modifier says, as format_type prints it: ` day to second(3)`.
fn interval_fields(typmod: i32) -> String {
    let (bits, digits) = (typmod >> 16 & 0x7fff, typmod & 0xffff);
    let digits = if digits == INTERVAL_ALL_DIGITS { String::new() } else { format!("({digits})") };
    let mut named = INTERVAL_FIELDS.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| name);
    match (named.next(), named.next_back()) {
        _ if bits == 0x7fff => digits,
        (Some(first), Some(last)) => format!(" {first} to {last}{digits}"),
        (Some(only), None) => format!(" {only}{digits}"),
        _ => String::new(),
    }
}

impl PgType {
    /// `int4[]`
    pub const INT4_ARRAY: PgType = PgType(1007);
    /// `text[]`
    pub const TEXT_ARRAY: PgType = PgType(1009);
    /// `name[]`
    pub const NAME_ARRAY: PgType = PgType(1003);
    /// `oid[]`
    pub const OID_ARRAY: PgType = PgType(1028);
    /// `int2[]`
    pub const INT2_ARRAY: PgType = PgType(1005);

    /// What is fixed about it; `None` for arrays and types that users made.
    pub fn info(self) -> Option<&'static TypeInfo> {
        TYPES.binary_search_by_key(&self.0, |info| info.oid).ok().map(|at| &TYPES[at])
    }
    /// The element type of an array type. The vectors of the catalog count as arrays.
    pub fn element(self) -> Option<PgType> {
        match self {
            PgType::INT2VECTOR => Some(PgType::INT2),
            PgType::OIDVECTOR => Some(PgType::OID),
            PgType::ANYARRAY => Some(PgType::TEXT),
            _ if self.is_users() => (!self.0.is_multiple_of(2)).then(|| PgType(self.0 - 1)),
            _ => TYPES.iter().find(|info| info.array == self.0 && self.0 != 0).map(|info| PgType(info.oid)),
        }
    }
    /// The array type over this one.
    pub fn array(self) -> Option<PgType> {
        if self.is_enum() {
            return Some(PgType(self.0 + 1));
        }
        self.info().map(|info| info.array).filter(|oid| *oid != 0).map(PgType)
    }
    /// Whether users made it: an enum type, whose OID is even, or the array over one. What is known of it is in the
    /// catalog.
    pub fn is_users(self) -> bool {
        self.0 >= FIRST_OID
    }
    /// Whether it is a date or a timestamp.
    pub fn is_moment(self) -> bool {
        matches!(self, PgType::DATE | PgType::TIMESTAMP | PgType::TIMESTAMPTZ)
    }
    /// Whether it is an enum type.
    pub fn is_enum(self) -> bool {
        self.is_users() && self.0.is_multiple_of(2)
    }
    /// Whether it is built in.
    pub fn is_built_in(self) -> bool {
        !self.is_users() && (self.info().is_some() || self.element().is_some())
    }
    /// Name in pg_type: `int4`, `_int4`; of a type that users made, see [`PgType::sql_name`].
    pub fn name(self) -> String {
        match (self.info(), self.element()) {
            (Some(info), _) => info.name.to_string(),
            (None, Some(element)) => format!("_{}", element.name()),
            _ => self.place_of_name(),
        }
    }
    /// Where a message is to have the name of a type that only the catalog knows.
    fn place_of_name(self) -> String {
        format!("{NAME_PLACE}{}{NAME_PLACE}", self.0)
    }
    /// Name as error messages and format_type print it: `integer`, `integer[]`. Of a type that users made it is a place
    /// that [`with_names`] fills.
    pub fn sql_name(self) -> String {
        match (self.info(), self.element()) {
            (Some(info), _) => info.sql_name.to_string(),
            (None, Some(element)) => format!("{}[]", element.sql_name()),
            _ => self.place_of_name(),
        }
    }
    /// format_type: the name with its modifier, `numeric(10,2)`.
    pub fn format(self, typmod: i32) -> String {
        if typmod < 0 {
            return self.sql_name();
        }
        match self {
            PgType::VARCHAR | PgType::BPCHAR => format!("{}({})", self.sql_name(), typmod - 4),
            PgType::NUMERIC => {
                let (precision, scale) = numeric_typmod(typmod);
                format!("numeric({precision},{scale})")
            }
            PgType::TIMESTAMP => format!("timestamp({typmod}) without time zone"),
            PgType::TIMESTAMPTZ => format!("timestamp({typmod}) with time zone"),
            PgType::TIME => format!("time({typmod}) without time zone"),
            PgType::INTERVAL => format!("interval{}", interval_fields(typmod)),
            _ => match self.element() {
                Some(element) => format!("{}[]", element.format(typmod)),
                None => self.sql_name(),
            },
        }
    }
    /// typlen.
    pub fn type_len(self) -> i16 {
        self.info().map_or(if self.is_enum() { 4 } else { -1 }, |info| info.len)
    }
    /// typcategory: `N` numbers, `S` strings, `D` dates, `B` booleans, `A` arrays, ...
    pub fn category(self) -> char {
        match self.info() {
            Some(info) => info.category,
            None if self.element().is_some() => 'A',
            None if self.is_enum() => 'E',
            None => 'U',
        }
    }
    /// Form in SQLite.
    pub fn storage(self) -> Storage {
        self.info().map_or(Storage::Text, |info| info.storage)
    }
    /// int2, int4, int8.
    pub fn is_integer(self) -> bool {
        matches!(self, PgType::INT2 | PgType::INT4 | PgType::INT8)
    }
    /// oid and the types that are an oid with a name.
    pub fn is_oid_like(self) -> bool {
        matches!(
            self,
            PgType::OID
                | PgType::REGCLASS
                | PgType::REGTYPE
                | PgType::REGPROC
                | PgType::REGPROCEDURE
                | PgType::REGNAMESPACE
                | PgType::REGROLE
                | PgType::REGOPER
                | PgType::REGOPERATOR
                | PgType::REGCONFIG
        )
    }
    /// Integers, numeric and floats.
    pub fn is_number(self) -> bool {
        self.is_integer() || matches!(self, PgType::NUMERIC | PgType::FLOAT4 | PgType::FLOAT8)
    }
    /// float4, float8.
    pub fn is_float(self) -> bool {
        matches!(self, PgType::FLOAT4 | PgType::FLOAT8)
    }
    /// text, varchar, char(n), name.
    pub fn is_text(self) -> bool {
        matches!(self, PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR | PgType::NAME | PgType::CHAR)
    }
    /// The type of this name in pg_type or in SQL, in lower case, without modifier and `[]`.
    pub fn by_name(name: &str) -> Option<PgType> {
        if let Some(element) = name.strip_prefix('_') {
            return PgType::by_name(element).and_then(PgType::array);
        }
        let alias = match name {
            "int" | "integer" => "int4",
            "bigint" => "int8",
            "smallint" => "int2",
            "decimal" | "dec" => "numeric",
            "real" => "float4",
            "float" | "double precision" | "double" => "float8",
            "boolean" => "bool",
            "character varying" => "varchar",
            "character" => "bpchar",
            "timestamp with time zone" => "timestamptz",
            "timestamp without time zone" => "timestamp",
            "time without time zone" => "time",
            "time with time zone" => "timetz",
            other => other,
        };
        TYPES.iter().find(|info| info.name == alias).map(|info| PgType(info.oid))
    }
}

impl fmt::Debug for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Stands around the OID of a type in messages, until its name is put there. No client's text in a message has it: it is
/// not among the characters that Unicode gives a meaning.
const NAME_PLACE: char = '\u{ffffe}';

/// A message with the names of types that users made.
pub fn with_names(message: String, name: impl Fn(u32) -> Option<String>) -> String {
    if !message.contains(NAME_PLACE) {
        return message;
    }
    let mut pieces = message.split(NAME_PLACE);
    let mut named = pieces.next().unwrap_or_default().to_owned();
    while let Some(oid) = pieces.next() {
        let known = oid.parse().ok().and_then(&name);
        named.push_str(known.as_deref().unwrap_or(oid));
        named.push_str(pieces.next().unwrap_or_default());
    }
    named
}

/// Precision and scale of a numeric type modifier.
pub fn numeric_typmod(typmod: i32) -> (i32, i32) {
    let packed = typmod - 4;
    // The scale has 11 bits and a sign, as in Postgres 15.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    (packed >> 16 & 0xffff, scale)
}

/// The modifier of `numeric(precision, scale)`.
pub fn numeric_typmod_of(precision: i32, scale: i32) -> i32 {
    (precision << 16 | scale & 0x7ff) + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_oid_name_and_element() {
        assert!(TYPES.windows(2).all(|pair| pair[0].oid < pair[1].oid), "the table is searched by bisection");
        assert_eq!(PgType(23), PgType::INT4);
        assert_eq!(PgType::by_name("character varying"), Some(PgType::VARCHAR));
        assert_eq!(PgType::by_name("_int4"), Some(PgType::INT4_ARRAY));
        assert_eq!(PgType::INT4_ARRAY.element(), Some(PgType::INT4));
        assert_eq!(PgType::INT4_ARRAY.sql_name(), "integer[]");
        assert_eq!(PgType::NUMERIC.format(numeric_typmod_of(10, 2)), "numeric(10,2)");
        assert_eq!(numeric_typmod(numeric_typmod_of(5, -2)), (5, -2));
    }
}
