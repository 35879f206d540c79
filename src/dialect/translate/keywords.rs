//! `pg_get_keywords()`: the words of PostgreSQL 15's grammar.

use super::from::Item;
use super::names::fold;
use super::quote_name;
use super::typed::{Column, Relation, Typed};
use crate::dialect::types::PgType;
use sqlparser::ast::TableAlias;

/// Word, category, and whether it may name a column without AS, as PostgreSQL 15 says.
const KEYWORDS: &str = include_str!("keywords.tsv");

/// Rows of the function.
pub(super) fn keywords(alias: Option<&TableAlias>) -> Item {
    let shown = alias.map_or_else(|| "pg_get_keywords".to_string(), |alias| fold(&alias.name));
    let quoted = quote_name(&shown);
    let rows: Vec<String> = KEYWORDS.lines().filter_map(row).collect();
    let sql = format!(
        "(SELECT column1 AS word, column2 AS catcode, column3 AS barelabel, column4 AS catdesc, column5 AS baredesc \
         FROM (VALUES {})) AS {quoted}",
        rows.join(", ")
    );
    let columns = [
        ("word", PgType::TEXT),
        ("catcode", PgType::CHAR),
        ("barelabel", PgType::BOOL),
        ("catdesc", PgType::TEXT),
        ("baredesc", PgType::TEXT),
    ];
    let column = |(name, ty): (&str, PgType)| {
        let typed = Typed::new(format!("{quoted}.{name}"), ty).not_null();
        Column { name: name.into(), typed, hidden: false }
    };
    let columns = columns.map(column).into();
    Item { sql, relations: vec![Relation { alias: shown, schema: None, table: None, columns }], ..Item::default() }
}

fn row(line: &str) -> Option<String> {
    let mut fields = line.split('\t');
    let (word, category, is_bare) = (fields.next()?, fields.next()?, fields.next()? == "t");
    let description = match category {
        "C" => "unreserved (cannot be function or type name)",
        "T" => "reserved (can be function or type name)",
        "R" => "reserved",
        _ => "unreserved",
    };
    let label = if is_bare { "can be bare label" } else { "requires AS" };
    Some(format!("('{word}', '{category}', {}, '{description}', '{label}')", i32::from(is_bare)))
}
