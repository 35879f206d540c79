//! Round trips through both formats, and the texts that Postgres prints.

use super::*;
use crate::dialect::types::PgType;
use bytes::BytesMut;

fn text_round(text: &str, ty: PgType) -> String {
    let value = decode_text(text.as_bytes(), ty, &TextStyle::default()).unwrap();
    to_text(value.as_ref(), ty, -1, &TextStyle::default()).unwrap()
}

#[test]
fn texts_are_read_and_printed_as_postgres_does() {
    let cases: &[(&str, PgType, &str)] = &[
        ("yes", PgType::BOOL, "t"),
        (" 42 ", PgType::INT4, "42"),
        ("1.10", PgType::NUMERIC, "1.10"),
        ("-1e3", PgType::NUMERIC, "-1000"),
        ("0.1", PgType::FLOAT8, "0.1"),
        ("1e15", PgType::FLOAT8, "1e+15"),
        ("100000000000000", PgType::FLOAT8, "100000000000000"),
        ("0.0001", PgType::FLOAT8, "0.0001"),
        ("0.00001", PgType::FLOAT8, "1e-05"),
        ("123456789012345680", PgType::FLOAT8, "1.2345678901234568e+17"),
        ("3.14159265358979", PgType::FLOAT4, "3.1415927"),
        ("1000000", PgType::FLOAT4, "1e+06"),
        ("-0", PgType::FLOAT8, "-0"),
        ("\\x00ff", PgType::BYTEA, "\\x00ff"),
        ("a\\001\\\\", PgType::BYTEA, "\\x61015c"),
        ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", PgType::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("{1,NULL,3}", PgType::INT4_ARRAY, "{1,NULL,3}"),
        (r#"{a,"b c","NULL","",x\"y}"#, PgType::TEXT_ARRAY, r#"{a,"b c","NULL","","x\"y"}"#),
        ("{{1,2},{3,4}}", PgType::INT4_ARRAY, "{{1,2},{3,4}}"),
        ("1 2 3", PgType::INT2VECTOR, "1 2 3"),
    ];
    for (input, ty, output) in cases {
        assert_eq!(text_round(input, *ty), *output, "{input} as {ty:?}");
    }
}

#[test]
fn wrong_texts_get_the_codes_of_postgres() {
    let cases: &[(&str, PgType, &str)] = &[
        ("abc", PgType::INT4, "22P02"),
        ("2147483648", PgType::INT4, "22003"),
        ("99999999999999999999", PgType::INT8, "22003"),
        ("perhaps", PgType::BOOL, "22P02"),
        ("2020-13-01", PgType::DATE, "22008"),
        ("x", PgType::UUID, "22P02"),
        ("{1", PgType::INT4_ARRAY, "22P02"),
        ("{", PgType::JSON, "22P02"),
        ("1e400", PgType::FLOAT8, "22003"),
        ("NaN", PgType::FLOAT8, "22P02"),
    ];
    for (input, ty, code) in cases {
        let error = decode_text(input.as_bytes(), *ty, &TextStyle::default()).unwrap_err();
        assert_eq!(error.code(), *code, "{input} as {ty:?}");
    }
}

#[test]
fn binary_values_come_back_as_they_went() {
    let cases: &[(&str, PgType)] = &[
        ("t", PgType::BOOL),
        ("-7", PgType::INT2),
        ("123456", PgType::INT4),
        ("-9223372036854775808", PgType::INT8),
        ("12345.678900", PgType::NUMERIC),
        ("-0.00012", PgType::NUMERIC),
        ("100000000", PgType::NUMERIC),
        ("0.00", PgType::NUMERIC),
        ("NaN", PgType::NUMERIC),
        ("1.5", PgType::FLOAT8),
        ("2.5", PgType::FLOAT4),
        ("2026-11-22", PgType::DATE),
        ("2026-11-22 10:11:12.123456+00", PgType::TIMESTAMPTZ),
        ("1 mon 2 days 00:00:03", PgType::INTERVAL),
        ("hello", PgType::TEXT),
        ("{\"a\": 1}", PgType::JSONB),
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", PgType::UUID),
        ("{1,NULL,3}", PgType::INT4_ARRAY),
        ("{}", PgType::INT4_ARRAY),
        ("{{a,b},{c,d}}", PgType::TEXT_ARRAY),
        ("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", PgType(2951)),
        ("{1.10,2}", PgType(1231)),
    ];
    for (text, ty) in cases {
        let value = decode_text(text.as_bytes(), *ty, &TextStyle::default()).unwrap();
        let mut bytes = BytesMut::new();
        encode_binary(value.as_ref(), *ty, -1, &mut bytes).unwrap();
        let back = decode_binary(&bytes, *ty).unwrap();
        assert_eq!(to_text(back.as_ref(), *ty, -1, &TextStyle::default()).unwrap(), *text, "{ty:?}");
    }
}

#[test]
fn numeric_binary_is_what_drivers_expect() {
    let value = decode_text(b"12345.67", PgType::NUMERIC, &TextStyle::default()).unwrap();
    let mut bytes = BytesMut::new();
    encode_binary(value.as_ref(), PgType::NUMERIC, -1, &mut bytes).unwrap();
    // Three groups (1, 2345, 6700), weight 1, positive, scale 2.
    assert_eq!(&bytes[..], [0, 3, 0, 1, 0, 0, 0, 2, 0, 1, 0x09, 0x29, 0x1a, 0x2c]);
}

#[test]
fn characters_are_padded_to_their_declared_length_on_the_way_out() {
    let value = decode_text(b"ab   ", PgType::BPCHAR, &TextStyle::default()).unwrap();
    assert_eq!(value, Value::Text("ab".into()));
    assert_eq!(to_text(value.as_ref(), PgType::BPCHAR, 4 + 4, &TextStyle::default()).unwrap(), "ab  ");
}
