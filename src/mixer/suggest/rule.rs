//! A proposal as a rule in the rule format.

use super::propose::Proposal;
use crate::footprint::{Access, Named, NamedRows, NamedValue, Template};
use crate::mixer::rules::Written;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A statement that rules may be written for.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its text for a rule.
    pub written: Written,
    /// What it touches by derivation.
    pub template: Template,
}

impl Description {
    /// The tables, and unique indexes of tables, that these spaces are.
    pub fn names(&self, spaces: &BTreeSet<u64>) -> String {
        let of = |named: Named<'_>| match named.index {
            Some(index) => format!("{index} of {}", named.table),
            None => named.table.to_string(),
        };
        let among = self.template.accesses().filter(|named| spaces.contains(&named.space));
        let names: BTreeSet<String> = among.map(of).collect();
        names.into_iter().collect::<Vec<_>>().join(" and ")
    }
}

/// What a rule says instead of what was derived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lists {
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
    appends: BTreeSet<String>,
}

/// The proposals as a file of rules.
pub fn rules_text(proposals: &[(&Proposal, &Description)]) -> String {
    let mut out = String::new();
    for (proposal, statement) in proposals {
        let Proposal { conflicts, real, batches, .. } = proposal;
        let tables = statement.names(&proposal.spaces);
        let why = format!(
            "By derivation it touches all of {tables}: in {batches} batches it conflicted {conflicts} times by that, \
             {real} times really."
        );
        let _ = writeln!(out, "{}[[rule]]", if out.is_empty() { "" } else { "\n" });
        let _ = writeln!(out, "name = {}", quoted(&name(&statement.written)));
        let _ = writeln!(out, "why = {}", quoted(&why));
        let _ = writeln!(out, "match = {}", quoted(&statement.written.text));
        let Lists { reads, writes, appends } = lists(proposal, statement);
        let effects = [("reads", reads), ("writes", writes), ("appends", appends)];
        if effects.iter().all(|(_, list)| list.is_empty()) {
            let _ = writeln!(out, "independent = true");
        }
        for (field, list) in effects.into_iter().filter(|(_, list)| !list.is_empty()) {
            let list: Vec<String> = list.iter().map(|rows| quoted(rows)).collect();
            let _ = writeln!(out, "{field} = [{}]", list.join(", "));
        }
    }
    out
}

/// The first words and the shape, so that each name stands once in all files.
fn name(written: &Written) -> String {
    const WORDS_MAX: usize = 6;
    let words: Vec<&str> = written.text.split(' ').take(WORDS_MAX).collect();
    format!("suggested {:08x}: {} ..", written.shape as u32, words.join(" "))
}

/// What is left of what was derived: rows that the text names, appends, and tables of which all was touched and not
/// falsely. Keys of unique indexes have no name in rules.
fn lists(proposal: &Proposal, statement: &Description) -> Lists {
    let mut lists = Lists::default();
    for named in statement.template.accesses().filter(|named| named.index.is_none()) {
        let is_dropped = proposal.spaces.contains(&named.space);
        let rows = match &named.rows {
            NamedRows::Key(columns) => key(columns, &statement.written).map(|key| format!("{}({key})", named.table)),
            NamedRows::All | NamedRows::Some => None,
        };
        // A sequence has no name in rules either; who draws from one is told by the table.
        let is_nameless = named.table == "evesql_sequences";
        match (named.access, rows) {
            _ if is_nameless => {}
            (Access::Append, _) => drop(lists.appends.insert(named.table.to_string())),
            (_, None) if is_dropped => {}
            (Access::Read, rows) => drop(lists.reads.insert(rows.unwrap_or_else(|| named.table.to_string()))),
            (Access::Write, rows) => drop(lists.writes.insert(rows.unwrap_or_else(|| named.table.to_string()))),
        }
    }
    // Whoever writes rows reads them.
    lists.reads.retain(|rows| !lists.writes.contains(rows));
    lists
}

/// `column = $1, other = $v2`; none if a value has no placeholder of its own.
fn key(columns: &[(&str, NamedValue<'_>)], written: &Written) -> Option<String> {
    let placeholder = |value: &NamedValue<'_>| match value {
        NamedValue::Parameter(number) => Some(number.to_string()),
        NamedValue::Constant(value) => {
            let mut same = written.values.iter().filter(|(_, known)| known == *value);
            same.next().map(|(name, _)| name.clone()).filter(|_| same.next().is_none())
        }
    };
    let part = |(column, value): &(&str, NamedValue<'_>)| Some(format!("{column} = ${}", placeholder(value)?));
    Some(columns.iter().map(part).collect::<Option<Vec<_>>>()?.join(", "))
}

/// A basic string of TOML: JSON's escapes are among its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
