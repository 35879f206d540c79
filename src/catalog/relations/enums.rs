//! Types that users made: their rows of pg_type, and pg_enum.

use super::classes::schema_oid;
use super::environment::Source;
use super::fixed::procedure_named;
use super::row::{Rows, cell};

pub(super) fn types(source: &Source<'_>, rows: &mut Rows) {
    let function = |name: &str| cell(procedure_named(name).unwrap_or(0));
    for found in source.catalog.enums() {
        let (owner, schema) = (found.access.owner(), schema_oid(source.catalog, &found.schema));
        let mut add = |oid: u32, name: &str, is_array: bool| {
            let of = |array: &'static str, scalar: &'static str| function(if is_array { array } else { scalar });
            rows.add([
                ("oid", cell(oid)),
                ("typname", cell(name)),
                ("typnamespace", cell(schema)),
                ("typowner", cell(owner)),
                ("typlen", cell(if is_array { -1 } else { 4 })),
                ("typbyval", cell(!is_array)),
                ("typtype", cell(if is_array { 'b' } else { 'e' })),
                ("typcategory", cell(if is_array { 'A' } else { 'E' })),
                ("typispreferred", cell(false)),
                ("typisdefined", cell(true)),
                ("typdelim", cell(',')),
                ("typsubscript", if is_array { function("array_subscript_handler") } else { cell(0) }),
                ("typelem", cell(if is_array { found.oid } else { 0 })),
                ("typarray", cell(if is_array { 0 } else { found.array_oid() })),
                ("typinput", of("array_in", "enum_in")),
                ("typoutput", of("array_out", "enum_out")),
                ("typreceive", of("array_recv", "enum_recv")),
                ("typsend", of("array_send", "enum_send")),
                ("typalign", cell('i')),
                ("typstorage", cell(if is_array { 'x' } else { 'p' })),
                ("typtypmod", cell(-1)),
            ]);
        };
        add(found.oid, &found.name, false);
        add(found.array_oid(), &format!("_{}", found.name), true);
    }
}

pub(super) fn labels(source: &Source<'_>, rows: &mut Rows) {
    for found in source.catalog.enums() {
        for (at, label) in found.labels.iter().enumerate() {
            rows.add([
                ("oid", cell(label.oid)),
                ("enumtypid", cell(found.oid)),
                ("enumsortorder", cell(at as f64 + 1.0)),
                ("enumlabel", cell(&label.name)),
            ]);
        }
    }
}
