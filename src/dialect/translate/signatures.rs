//! The scalar functions of Postgres that are known: argument types, result type, and SQLite text in which
//! `{0}`, `{1}` are the arguments and `{*}` is all of them.

use crate::dialect::types::PgType;

/// One way to call a function.
pub(super) struct Signature {
    pub name: &'static str,
    pub args: &'static [PgType],
    pub result: PgType,
    pub sql: &'static str,
}

macro_rules! signatures {
    ($($name:literal ($($arg:ident),*) $result:ident $sql:literal;)*) => {
        /// All signatures; of those with one name the first that fits is taken.
        pub(super) static SIGNATURES: &[Signature] = &[$(Signature {
            name: $name, args: &[$(PgType::$arg),*], result: PgType::$result, sql: $sql,
        }),*];
    };
}

signatures! {
    // Numbers.
    "abs" (INT2) INT2 "evesql_int2(abs({0}))";
    "abs" (INT4) INT4 "evesql_int4(abs({0}))";
    "abs" (INT8) INT8 "evesql_int8_abs({0})";
    "abs" (NUMERIC) NUMERIC "evesql_numeric_abs({0})";
    "abs" (FLOAT8) FLOAT8 "evesql_float8_abs({0})";
    "ceil" (NUMERIC) NUMERIC "evesql_numeric_ceil({0})";
    "ceil" (FLOAT8) FLOAT8 "evesql_ceil({0})";
    "ceiling" (NUMERIC) NUMERIC "evesql_numeric_ceil({0})";
    "ceiling" (FLOAT8) FLOAT8 "evesql_ceil({0})";
    "floor" (NUMERIC) NUMERIC "evesql_numeric_floor({0})";
    "floor" (FLOAT8) FLOAT8 "evesql_floor({0})";
    "round" (NUMERIC) NUMERIC "evesql_numeric_round({0}, 0)";
    "round" (FLOAT8) FLOAT8 "evesql_rint({0})";
    "round" (NUMERIC, INT4) NUMERIC "evesql_numeric_round({0}, {1})";
    "trunc" (NUMERIC) NUMERIC "evesql_numeric_trunc({0}, 0)";
    "trunc" (FLOAT8) FLOAT8 "evesql_trunc({0})";
    "trunc" (NUMERIC, INT4) NUMERIC "evesql_numeric_trunc({0}, {1})";
    "mod" (INT2, INT2) INT2 "evesql_int2_mod({0}, {1})";
    "mod" (INT4, INT4) INT4 "evesql_int4_mod({0}, {1})";
    "mod" (INT8, INT8) INT8 "evesql_int8_mod({0}, {1})";
    "mod" (NUMERIC, NUMERIC) NUMERIC "evesql_numeric_mod({0}, {1})";
    "div" (NUMERIC, NUMERIC) NUMERIC "evesql_numeric_trunc(evesql_numeric_div({0}, {1}), 0)";
    "sign" (NUMERIC) NUMERIC "evesql_numeric_sign({0})";
    "sign" (FLOAT8) FLOAT8 "CAST(sign({0}) AS REAL)";
    "sqrt" (NUMERIC) NUMERIC "evesql_numeric_sqrt({0})";
    "sqrt" (FLOAT8) FLOAT8 "evesql_sqrt({0})";
    "cbrt" (FLOAT8) FLOAT8 "evesql_cbrt({0})";
    "power" (FLOAT8, FLOAT8) FLOAT8 "evesql_power({0}, {1})";
    "power" (NUMERIC, NUMERIC) NUMERIC "evesql_numeric_power({0}, {1})";
    "pow" (FLOAT8, FLOAT8) FLOAT8 "evesql_power({0}, {1})";
    "pow" (NUMERIC, NUMERIC) NUMERIC "evesql_numeric_power({0}, {1})";
    "exp" (NUMERIC) NUMERIC "evesql_numeric_exp({0})";
    "ln" (NUMERIC) NUMERIC "evesql_numeric_ln({0})";
    "log" (NUMERIC) NUMERIC "evesql_numeric_log(evesql_numeric(10), {0})";
    "log10" (NUMERIC) NUMERIC "evesql_numeric_log(evesql_numeric(10), {0})";
    "log" (NUMERIC, NUMERIC) NUMERIC "evesql_numeric_log({0}, {1})";
    "scale" (NUMERIC) INT4 "evesql_numeric_scale({0})";
    "min_scale" (NUMERIC) INT4 "evesql_numeric_scale(evesql_numeric_shortest({0}))";
    "trim_scale" (NUMERIC) NUMERIC "evesql_numeric_shortest({0})";
    "factorial" (INT8) NUMERIC "evesql_factorial({0})";
    "width_bucket" (FLOAT8, FLOAT8, FLOAT8, INT4) INT4 "evesql_width_bucket_float8({0}, {1}, {2}, {3})";
    "width_bucket" (NUMERIC, NUMERIC, NUMERIC, INT4) INT4 "evesql_width_bucket_numeric({0}, {1}, {2}, {3})";
    "exp" (FLOAT8) FLOAT8 "evesql_exp({0})";
    "ln" (FLOAT8) FLOAT8 "evesql_ln({0})";
    "log" (FLOAT8) FLOAT8 "evesql_log10({0})";
    "log10" (FLOAT8) FLOAT8 "evesql_log10({0})";
    "pi" () FLOAT8 "3.141592653589793";
    "degrees" (FLOAT8) FLOAT8 "evesql_degrees({0})";
    "radians" (FLOAT8) FLOAT8 "evesql_radians({0})";
    "sin" (FLOAT8) FLOAT8 "evesql_sin({0})";
    "cos" (FLOAT8) FLOAT8 "evesql_cos({0})";
    "tan" (FLOAT8) FLOAT8 "evesql_tan({0})";
    "asin" (FLOAT8) FLOAT8 "evesql_asin({0})";
    "acos" (FLOAT8) FLOAT8 "evesql_acos({0})";
    "atan" (FLOAT8) FLOAT8 "evesql_atan({0})";
    "atan2" (FLOAT8, FLOAT8) FLOAT8 "evesql_atan2({0}, {1})";
    "sinh" (FLOAT8) FLOAT8 "evesql_sinh({0})";
    "cosh" (FLOAT8) FLOAT8 "evesql_cosh({0})";
    "tanh" (FLOAT8) FLOAT8 "evesql_tanh({0})";
    "asinh" (FLOAT8) FLOAT8 "evesql_asinh({0})";
    "cot" (FLOAT8) FLOAT8 "evesql_cot({0})";
    "random" () FLOAT8 "evesql_random()";
    "gcd" (INT4, INT4) INT4 "evesql_int4(evesql_gcd({0}, {1}))";
    "lcm" (INT4, INT4) INT4 "evesql_int4(evesql_lcm({0}, {1}))";
    "gcd" (INT8, INT8) INT8 "evesql_gcd({0}, {1})";
    "lcm" (INT8, INT8) INT8 "evesql_lcm({0}, {1})";
    // Text.
    "length" (TEXT) INT4 "length({0})";
    "length" (BYTEA) INT4 "length({0})";
    "char_length" (TEXT) INT4 "length({0})";
    "character_length" (TEXT) INT4 "length({0})";
    "octet_length" (TEXT) INT4 "octet_length({0})";
    "octet_length" (BYTEA) INT4 "length({0})";
    "bit_length" (TEXT) INT4 "(octet_length({0}) * 8)";
    "lower" (TEXT) TEXT "evesql_lower({0})";
    "upper" (TEXT) TEXT "evesql_upper({0})";
    "initcap" (TEXT) TEXT "evesql_initcap({0})";
    "substring" (TEXT, INT4) TEXT "evesql_substr({0}, {1})";
    "substring" (TEXT, INT4, INT4) TEXT "evesql_substr({0}, {1}, {2})";
    "substring" (TEXT, TEXT) TEXT "evesql_regex_substr({0}, {1})";
    "substring" (BYTEA, INT4, INT4) BYTEA "evesql_substr({0}, {1}, {2})";
    "substr" (TEXT, INT4) TEXT "evesql_substr({0}, {1})";
    "substr" (TEXT, INT4, INT4) TEXT "evesql_substr({0}, {1}, {2})";
    "left" (TEXT, INT4) TEXT "evesql_left({0}, {1})";
    "right" (TEXT, INT4) TEXT "evesql_right({0}, {1})";
    "strpos" (TEXT, TEXT) INT4 "instr({0}, {1})";
    "btrim" (TEXT) TEXT "trim({0}, ' ')";
    "btrim" (TEXT, TEXT) TEXT "trim({0}, {1})";
    "ltrim" (TEXT) TEXT "ltrim({0}, ' ')";
    "ltrim" (TEXT, TEXT) TEXT "ltrim({0}, {1})";
    "rtrim" (TEXT) TEXT "rtrim({0}, ' ')";
    "rtrim" (TEXT, TEXT) TEXT "rtrim({0}, {1})";
    "lpad" (TEXT, INT4) TEXT "evesql_lpad({0}, {1}, ' ')";
    "lpad" (TEXT, INT4, TEXT) TEXT "evesql_lpad({0}, {1}, {2})";
    "rpad" (TEXT, INT4) TEXT "evesql_rpad({0}, {1}, ' ')";
    "rpad" (TEXT, INT4, TEXT) TEXT "evesql_rpad({0}, {1}, {2})";
    "repeat" (TEXT, INT4) TEXT "evesql_repeat({0}, {1})";
    "replace" (TEXT, TEXT, TEXT) TEXT "evesql_replace({0}, {1}, {2})";
    "translate" (TEXT, TEXT, TEXT) TEXT "evesql_translate({0}, {1}, {2})";
    "reverse" (TEXT) TEXT "evesql_reverse({0})";
    "split_part" (TEXT, TEXT, INT4) TEXT "evesql_split_part({0}, {1}, {2})";
    "overlay" (TEXT, TEXT, INT4) TEXT "evesql_overlay({0}, {1}, {2}, length({1}))";
    "overlay" (TEXT, TEXT, INT4, INT4) TEXT "evesql_overlay({0}, {1}, {2}, {3})";
    "starts_with" (TEXT, TEXT) BOOL "evesql_starts_with({0}, {1})";
    "ascii" (TEXT) INT4 "evesql_ascii({0})";
    "chr" (INT4) TEXT "evesql_chr({0})";
    "md5" (TEXT) TEXT "evesql_md5({0})";
    "md5" (BYTEA) TEXT "evesql_md5({0})";
    "quote_ident" (TEXT) TEXT "evesql_quote_ident({0})";
    "unistr" (TEXT) TEXT "evesql_unistr({0})";
    "convert_from" (BYTEA, TEXT) TEXT "evesql_convert_from({0}, {1})";
    "convert_to" (TEXT, TEXT) BYTEA "evesql_convert_to({0}, {1})";
    "substr" (BYTEA, INT4) BYTEA "evesql_substr({0}, {1})";
    "substr" (BYTEA, INT4, INT4) BYTEA "evesql_substr({0}, {1}, {2})";
    "substring" (BYTEA, INT4) BYTEA "evesql_substr({0}, {1})";
    "strpos" (BYTEA, BYTEA) INT4 "instr({0}, {1})";
    "get_byte" (BYTEA, INT4) INT4 "evesql_get_byte({0}, {1})";
    "set_byte" (BYTEA, INT4, INT4) BYTEA "evesql_set_byte({0}, {1}, {2})";
    "get_bit" (BYTEA, INT8) INT4 "evesql_get_bit({0}, {1})";
    "set_bit" (BYTEA, INT8, INT4) BYTEA "evesql_set_bit({0}, {1}, {2})";
    "bit_count" (BYTEA) INT8 "evesql_bit_count({0})";
    "bit_length" (BYTEA) INT4 "(length({0}) * 8)";
    "sha256" (BYTEA) BYTEA "evesql_sha256({0})";
    "sha384" (BYTEA) BYTEA "evesql_sha384({0})";
    "sha512" (BYTEA) BYTEA "evesql_sha512({0})";
    "to_hex" (INT4) TEXT "evesql_to_hex({0} & 4294967295)";
    "to_hex" (INT8) TEXT "evesql_to_hex({0})";
    "encode" (BYTEA, TEXT) TEXT "evesql_encode({0}, {1})";
    "decode" (TEXT, TEXT) BYTEA "evesql_decode({0}, {1})";
    "regexp_replace" (TEXT, TEXT, TEXT) TEXT "evesql_regex_replace({0}, {1}, {2}, '')";
    "regexp_replace" (TEXT, TEXT, TEXT, TEXT) TEXT "evesql_regex_replace({0}, {1}, {2}, {3})";
    "regexp_match" (TEXT, TEXT) TEXT_ARRAY "evesql_regex_match({0}, {1}, '')";
    "regexp_match" (TEXT, TEXT, TEXT) TEXT_ARRAY "evesql_regex_match({0}, {1}, {2})";
    "regexp_replace" (TEXT, TEXT, TEXT, INT4) TEXT "evesql_regex_replace({0}, {1}, {2}, '', {3})";
    "regexp_replace" (TEXT, TEXT, TEXT, INT4, INT4) TEXT "evesql_regex_replace({0}, {1}, {2}, '', {3}, {4})";
    "regexp_replace" (TEXT, TEXT, TEXT, INT4, INT4, TEXT) TEXT "evesql_regex_replace({0}, {1}, {2}, {5}, {3}, {4})";
    "regexp_split_to_array" (TEXT, TEXT) TEXT_ARRAY "evesql_regex_split({0}, {1})";
    "regexp_split_to_array" (TEXT, TEXT, TEXT) TEXT_ARRAY "evesql_regex_split({0}, {1}, {2}, 0)";
    "regexp_count" (TEXT, TEXT) INT4 "evesql_regex_count({0}, {1})";
    "regexp_count" (TEXT, TEXT, INT4) INT4 "evesql_regex_count({0}, {1}, {2}, '')";
    "regexp_count" (TEXT, TEXT, INT4, TEXT) INT4 "evesql_regex_count({0}, {1}, {2}, {3})";
    "regexp_like" (TEXT, TEXT) BOOL "evesql_regex({0}, {1}, 0)";
    "regexp_like" (TEXT, TEXT, TEXT) BOOL "evesql_regex_like({0}, {1}, {2})";
    "regexp_substr" (TEXT, TEXT) TEXT "evesql_regex_substr({0}, {1}, 1, 1, '', 0)";
    "regexp_substr" (TEXT, TEXT, INT4) TEXT "evesql_regex_substr({0}, {1}, {2}, 1, '', 0)";
    "regexp_substr" (TEXT, TEXT, INT4, INT4) TEXT "evesql_regex_substr({0}, {1}, {2}, {3}, '', 0)";
    "regexp_substr" (TEXT, TEXT, INT4, INT4, TEXT) TEXT "evesql_regex_substr({0}, {1}, {2}, {3}, {4}, 0)";
    "regexp_substr" (TEXT, TEXT, INT4, INT4, TEXT, INT4) TEXT "evesql_regex_substr({0}, {1}, {2}, {3}, {4}, {5})";
    "regexp_instr" (TEXT, TEXT) INT4 "evesql_regex_instr({0}, {1}, 1, 1, 0, '', 0)";
    "regexp_instr" (TEXT, TEXT, INT4) INT4 "evesql_regex_instr({0}, {1}, {2}, 1, 0, '', 0)";
    "regexp_instr" (TEXT, TEXT, INT4, INT4) INT4 "evesql_regex_instr({0}, {1}, {2}, {3}, 0, '', 0)";
    "regexp_instr" (TEXT, TEXT, INT4, INT4, INT4) INT4 "evesql_regex_instr({0}, {1}, {2}, {3}, {4}, '', 0)";
    "regexp_instr" (TEXT, TEXT, INT4, INT4, INT4, TEXT) INT4 "evesql_regex_instr({0}, {1}, {2}, {3}, {4}, {5}, 0)";
    "regexp_instr" (TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4) INT4
        "evesql_regex_instr({0}, {1}, {2}, {3}, {4}, {5}, {6})";
    "to_number" (TEXT, TEXT) NUMERIC "evesql_to_number({0}, {1})";
    // Dates and times.
    "make_date" (INT4, INT4, INT4) DATE "evesql_make_date({0}, {1}, {2})";
    "make_time" (INT4, INT4, FLOAT8) TIME "evesql_make_time({0}, {1}, {2})";
    "make_timestamp" (INT4, INT4, INT4, INT4, INT4, FLOAT8) TIMESTAMP
        "evesql_make_timestamp({0}, {1}, {2}, {3}, {4}, {5})";
    "date_bin" (INTERVAL, TIMESTAMP, TIMESTAMP) TIMESTAMP "evesql_date_bin({0}, {1}, {2})";
    "date_bin" (INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ) TIMESTAMPTZ "evesql_date_bin({0}, {1}, {2})";
    "isfinite" (INTERVAL) BOOL "iif({0} IS NULL, NULL, 1)";
    "justify_days" (INTERVAL) INTERVAL "evesql_justify({0}, 1)";
    "justify_hours" (INTERVAL) INTERVAL "evesql_justify({0}, 2)";
    "justify_interval" (INTERVAL) INTERVAL "evesql_justify({0}, 3)";
    "to_timestamp" (FLOAT8) TIMESTAMPTZ "evesql_to_timestamp({0})";
    "isfinite" (DATE) BOOL "({0} NOT IN (2147483647, -2147483648))";
    "isfinite" (TIMESTAMP) BOOL "evesql_isfinite({0})";
    "isfinite" (TIMESTAMPTZ) BOOL "evesql_isfinite({0})";
    // Arrays and JSON.
    "array_length" (ANYARRAY, INT4) INT4 "evesql_array_length({0}, {1})";
    "array_upper" (ANYARRAY, INT4) INT4 "evesql_array_length({0}, {1})";
    "array_lower" (ANYARRAY, INT4) INT4 "iif(evesql_array_length({0}, {1}) IS NULL, NULL, 1)";
    "array_ndims" (ANYARRAY) INT4 "evesql_array_ndims({0})";
    "array_dims" (ANYARRAY) TEXT "evesql_array_dims({0})";
    "cardinality" (ANYARRAY) INT4 "evesql_cardinality({0})";
    "string_to_array" (TEXT, TEXT) TEXT_ARRAY "evesql_string_to_array({0}, {1})";
    "string_to_array" (TEXT, TEXT, TEXT) TEXT_ARRAY "evesql_string_to_array({0}, {1}, {2})";
    "json_object" (TEXT_ARRAY) JSON "evesql_json_object_of({0}, NULL, 0)";
    "json_object" (TEXT_ARRAY, TEXT_ARRAY) JSON "evesql_json_object_of({0}, ifnull({1}, '[]'), 0)";
    "jsonb_object" (TEXT_ARRAY) JSONB "evesql_json_object_of({0}, NULL, 1)";
    "jsonb_object" (TEXT_ARRAY, TEXT_ARRAY) JSONB "evesql_json_object_of({0}, ifnull({1}, '[]'), 1)";
    "json_strip_nulls" (JSON) JSON "evesql_json_strip_nulls({0})";
    "json_typeof" (JSON) TEXT "evesql_json_typeof({0})";
    "jsonb_typeof" (JSONB) TEXT "evesql_json_typeof({0})";
    "jsonb_set" (JSONB, TEXT_ARRAY, JSONB) JSONB "evesql_jsonb_set({0}, {1}, {2}, 1)";
    "jsonb_set" (JSONB, TEXT_ARRAY, JSONB, BOOL) JSONB "evesql_jsonb_set({0}, {1}, {2}, {3})";
    "jsonb_insert" (JSONB, TEXT_ARRAY, JSONB) JSONB "evesql_jsonb_insert({0}, {1}, {2}, 0)";
    "jsonb_insert" (JSONB, TEXT_ARRAY, JSONB, BOOL) JSONB "evesql_jsonb_insert({0}, {1}, {2}, {3})";
    "jsonb_pretty" (JSONB) TEXT "evesql_jsonb_pretty({0})";
    "jsonb_strip_nulls" (JSONB) JSONB "evesql_jsonb_strip_nulls({0})";
    "jsonb_exists" (JSONB, TEXT) BOOL "evesql_jsonb_exists({0}, {1})";
    "jsonb_contains" (JSONB, JSONB) BOOL "evesql_jsonb_contains({0}, {1})";
    "json_array_length" (JSON) INT4 "evesql_json_array_length({0})";
    "jsonb_array_length" (JSONB) INT4 "evesql_json_array_length({0})";
    // Identifiers and system functions without tables.
    "gen_random_uuid" () UUID "unhex(gen_random_uuid(), '-')";
    "uuid_generate_v4" () UUID "unhex(gen_random_uuid(), '-')";
    "evesql_root" () TEXT "evesql_root()";
    "evesql_drill" (TEXT) TEXT "evesql_crash(evesql_system('drill:' || {0}))";
    "evesql_drill" (TEXT, INT4) TEXT "evesql_system('drill:' || {0} || ':' || {1})";
    "evesql_drill" (TEXT, INT4, INT4) TEXT "evesql_system('drill:' || {0} || ':' || {1} || ':' || {2})";
    // Network addresses.
    "host" (INET) TEXT "evesql_inet_host({0})";
    "text" (INET) TEXT "evesql_inet_text({0})";
    "family" (INET) INT4 "evesql_inet_family({0})";
    "masklen" (INET) INT4 "evesql_inet_masklen({0})";
    "network" (INET) CIDR "evesql_inet_network({0})";
    "broadcast" (INET) INET "evesql_inet_broadcast({0})";
    "netmask" (INET) INET "evesql_inet_netmask({0}, 0)";
    "hostmask" (INET) INET "evesql_inet_netmask({0}, 1)";
    "set_masklen" (INET, INT4) INET "evesql_inet_set_masklen({0}, {1})";
    "set_masklen" (CIDR, INT4) CIDR "evesql_inet_network(evesql_inet_set_masklen({0}, {1}))";
    "inet_same_family" (INET, INET) BOOL "(evesql_inet_family({0}) = evesql_inet_family({1}))";
}
