//! Catalog objects written as SQL, as pg_get_constraintdef and its relatives print them, and the names of
//! types and relations.

use super::relations::{Source, type_facts};
use super::{Action, Constraint, ConstraintKind, Index, IndexKey, Sequence, Table, View};

/// Words that must be quoted to be names.
const KEYWORDS: &str = "\
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both \
    case cast char character check coalesce collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec \
    decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign \
    freeze from full grant greatest group grouping having ilike in initially inner inout int integer \
    intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp \
    national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer \
    overlaps overlay placing position precision primary real references returning right row select \
    session_user setof similar smallint some substring symmetric table tablesample then time timestamp to \
    trailing treat trim true union unique user using values varchar variadic verbose when where window with \
    xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize \
    xmltable";

/// A name as SQL writes it: quoted where it must be.
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.split_ascii_whitespace().any(|word| word == name);
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Whether names without a schema find what is in this one.
pub fn is_visible(source: &Source<'_>, schema: &str) -> bool {
    schema == "pg_catalog" || source.environment.search_path.iter().any(|name| name == schema)
}

/// The name of a relation, with its schema where names without one would not find it.
pub fn relation_name(source: &Source<'_>, schema: &str, name: &str) -> String {
    if is_visible(source, schema) { quote_ident(name) } else { qualified_name(schema, name) }
}

/// Schema and name.
pub fn qualified_name(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// The default of a column that draws from a sequence, found whatever schemas are looked through.
pub fn nextval_of(sequence: &Sequence) -> String {
    let name = qualified_name(&sequence.schema, &sequence.name);
    format!("nextval('{}'::regclass)", name.replace('\'', "''"))
}

/// As [`format_type`], for types that users made too: with their schema where names without one would not find them.
pub fn type_name(source: &Source<'_>, oid: u32, typmod: i32) -> String {
    let Some(found) = source.catalog.enum_of(oid) else { return format_type(oid, typmod) };
    let name = relation_name(source, &found.schema, &found.name);
    if oid == found.oid { name } else { format!("{name}[]") }
}

/// The name of a built-in type as SQL writes it, with its modifier unless that is negative.
pub fn format_type(oid: u32, typmod: i32) -> String {
    let Some(facts) = type_facts(oid) else {
        return if oid == 0 { "-".into() } else { "???".into() };
    };
    if facts.element != 0 && facts.length == -1 && facts.name.starts_with('_') {
        return format!("{}[]", format_type(facts.element, typmod));
    }
    let precision = if typmod >= 0 { format!("({typmod})") } else { String::new() };
    match facts.name {
        "bool" => "boolean".into(),
        "int2" => "smallint".into(),
        "int4" => "integer".into(),
        "int8" => "bigint".into(),
        "float4" => "real".into(),
        "float8" => "double precision".into(),
        "char" => "\"char\"".into(),
        "varchar" if typmod >= 4 => format!("character varying({})", typmod - 4),
        "varchar" => "character varying".into(),
        "bpchar" if typmod >= 4 => format!("character({})", typmod - 4),
        "bpchar" => "character".into(),
        "numeric" if typmod >= 4 => {
            let packed = typmod - 4;
            format!("numeric({},{})", packed >> 16 & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
        }
        "timestamp" => format!("timestamp{precision} without time zone"),
        "timestamptz" => format!("timestamp{precision} with time zone"),
        "time" => format!("time{precision} without time zone"),
        "timetz" => format!("time{precision} with time zone"),
        name => name.to_string(),
    }
}

fn column_list(table: &Table, columns: &[i16]) -> String {
    let name = |number: &i16| table.column_numbered(*number).map_or_else(|| "?".into(), |c| quote_ident(&c.name));
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// An expression as PostgreSQL prints it without pretty-printing: in parentheses if an operator is its
/// outermost part.
pub fn in_parentheses(expression: &str) -> String {
    if has_operator(expression) { format!("({expression})") } else { expression.to_string() }
}

/// Types as the parser writes them: in capitals. The longest of those with one beginning comes first.
const TYPES: &str = "CHARACTER VARYING|CHARACTER|DOUBLE PRECISION|TIMESTAMP WITHOUT TIME ZONE|TIMESTAMP WITH TIME ZONE|\
    TIMESTAMP|TIME WITHOUT TIME ZONE|TIME WITH TIME ZONE|TIME|BIGINT|BOOLEAN|BYTEA|CHAR|DATE|DECIMAL|FLOAT8|FLOAT4|FLOAT|\
    INT8|INT4|INT2|INTEGER|INTERVAL|INT|JSONB|JSON|NUMERIC|REAL|REGCLASS|SMALLINT|TEXT|UUID|VARCHAR";

/// An expression with the types of its casts in small letters, as PostgreSQL prints them.
pub fn small_types(expression: &str) -> String {
    let (mut out, mut rest, mut quote) = (String::with_capacity(expression.len()), expression, None);
    while let Some(c) = rest.chars().next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ':') if rest.starts_with("::") => {
                let named = |name: &&str| {
                    let behind = rest[2..].strip_prefix(*name);
                    behind.is_some_and(|behind| !behind.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                };
                if let Some(name) = TYPES.split('|').find(named) {
                    out += "::";
                    out += &name.to_ascii_lowercase();
                    rest = &rest[2 + name.len()..];
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Whether an operator stands outside of all parentheses and quotes.
fn has_operator(expression: &str) -> bool {
    let (mut depth, mut quote) = (0, None);
    let mut outside = String::new();
    for c in expression.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            (None, c) if depth == 0 => outside.push(c),
            (None, _) => {}
        }
    }
    // A sign before a number is part of it.
    let signed = outside.trim_start_matches(['-', '+']);
    let words = ["AND", "OR", "NOT", "IS", "IN", "LIKE", "ILIKE", "BETWEEN"];
    signed.contains(['+', '-', '*', '/', '%', '<', '>', '=', '|', '&', '~', '^', '#'])
        || signed.split_whitespace().any(|word| words.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)))
}

/// What pg_get_constraintdef prints.
pub fn constraint_definition(source: &Source<'_>, table: &Table, constraint: &Constraint, pretty: bool) -> String {
    let columns = column_list(table, &constraint.columns);
    let include = || {
        let index = table.indexes.iter().find(|index| Some(index.oid) == constraint.index);
        let include = index.map_or(&[][..], |index| &index.include);
        if include.is_empty() { String::new() } else { format!(" INCLUDE ({})", column_list(table, include)) }
    };
    let mut text = match &constraint.kind {
        ConstraintKind::Primary => format!("PRIMARY KEY ({columns}){}", include()),
        ConstraintKind::Unique => format!("UNIQUE ({columns}){}", include()),
        ConstraintKind::Check(expression) if pretty => format!("CHECK ({})", small_types(expression)),
        ConstraintKind::Check(expression) => format!("CHECK ({})", in_parentheses(&small_types(expression))),
        ConstraintKind::Foreign { table: referred, columns: keys, on_update, on_delete } => {
            let (name, keys) = match source.catalog.table(*referred) {
                Some(table) => (relation_name(source, &table.schema, &table.name), column_list(table, keys)),
                None => ("?".into(), "?".into()),
            };
            let clause = |words: &str, action: Action| match action {
                Action::NoAction => String::new(),
                action => format!(" {words} {}", action.sql()),
            };
            let update = clause("ON UPDATE", *on_update);
            format!("FOREIGN KEY ({columns}) REFERENCES {name}({keys}){update}{}", clause("ON DELETE", *on_delete))
        }
    };
    if constraint.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if constraint.deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    text
}

/// What pg_get_indexdef prints; `pretty` leaves out what the reader can do without.
pub fn index_definition(source: &Source<'_>, table: &Table, index: &Index, pretty: bool) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let name = quote_ident(&index.name);
    let relation = match pretty {
        true => relation_name(source, &table.schema, &table.name),
        false => qualified_name(&table.schema, &table.name),
    };
    let keys: Vec<String> = index.keys.iter().map(|key| key_definition(table, key, true)).collect();
    let mut text = format!("CREATE {unique}INDEX {name} ON {relation} USING {} ({})", method(index), keys.join(", "));
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", column_list(table, &index.include)));
    }
    if let Some(predicate) = index.predicate.as_deref().map(small_types) {
        text.push_str(&if pretty {
            format!(" WHERE {predicate}")
        } else {
            format!(" WHERE {}", in_parentheses(&predicate))
        });
    }
    text
}

fn method(index: &Index) -> &str {
    if index.method.is_empty() { "btree" } else { &index.method }
}

/// One column of an index, counted from 1, as pg_get_indexdef with three arguments prints it.
pub fn index_column(table: &Table, index: &Index, position: usize) -> Option<String> {
    if let Some(key) = index.keys.get(position - 1) {
        return Some(key_definition(table, key, false));
    }
    let number = index.include.get(position - 1 - index.keys.len())?;
    Some(column_list(table, &[*number]))
}

fn key_definition(table: &Table, key: &IndexKey, with_options: bool) -> String {
    let mut text = match (key.column, &key.expression) {
        (Some(number), _) => column_list(table, &[number]),
        (None, Some(call)) if super::relations::is_call(call) => small_types(call),
        (None, Some(expression)) => format!("({})", small_types(expression)),
        (None, None) => "?".into(),
    };
    if with_options {
        if let Some(class) = &key.operator_class {
            text.push_str(&format!(" {class}"));
        }
        if key.descending {
            text.push_str(" DESC");
        }
    }
    text
}

/// What pg_get_viewdef prints. EveSQL keeps the query as it was written and does not lay it out anew.
pub fn view_definition(view: &View) -> String {
    format!(" {};", small_types(view.query.trim().trim_end_matches(';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let quoted = ["a", "_b1", "A", "1a", "select", "name", "a b", "q\"t", ""].map(quote_ident);
        assert_eq!(quoted, ["a", "_b1", "\"A\"", "\"1a\"", "\"select\"", "name", "\"a b\"", "\"q\"\"t\"", "\"\""]);
    }

    #[test]
    fn parentheses_stand_around_operators_alone() {
        let bare = ["0", "-1", "'a+b'::text", "now()", "nextval('a-b'::regclass)", "lower((a || b))", "\"a-b\"", "1.5"];
        assert_eq!(bare.map(in_parentheses), bare);
        let wrapped = ["a + b", "note IS NOT NULL", "(a) = (b)", "x in (1, 2)"];
        assert_eq!(wrapped.map(in_parentheses), wrapped.map(|text| format!("({text})")));
    }

    #[test]
    fn casts_name_their_types_in_small_letters() {
        let before =
            "'a::TEXT'::CHARACTER VARYING(3) || \"b::TEXT\"::TEXT[] || x::TEXTURE || y::TIMESTAMP WITH TIME ZONE";
        let after =
            "'a::TEXT'::character varying(3) || \"b::TEXT\"::text[] || x::TEXTURE || y::timestamp with time zone";
        assert_eq!(small_types(before), after);
    }

    #[test]
    fn types_are_written_as_postgres_writes_them() {
        let written =
            [(23, -1), (1043, 24), (1700, 655366), (1184, 3), (1007, -1), (1015, 14), (18, -1), (0, -1), (7, -1)];
        assert_eq!(
            written.map(|(oid, typmod)| format_type(oid, typmod)),
            [
                "integer",
                "character varying(20)",
                "numeric(10,2)",
                "timestamp(3) with time zone",
                "integer[]",
                "character varying(10)[]",
                "\"char\"",
                "-",
                "???"
            ]
        );
    }
}
