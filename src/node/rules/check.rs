//! `evesql rules check`: what is wrong with rules, one finding a line.

use super::schema::Schema;
use super::{RulesError, parse, read_files};
use crate::mixer::rules::{Finding, RuleSet};
use std::path::Path;

/// Checks a file or a directory of rules, with a schema also their tables, their columns, and whether their statements
/// read after translation as they do in the rules. Findings by place; none: sound.
///
/// # Errors
/// What cannot be read, and a schema that is not SQL.
pub fn check_rules(path: &Path, schema: Option<&Path>) -> Result<Vec<Finding>, RulesError> {
    let schema = schema.map(Schema::from_file).transpose()?;
    let files = read_files(path)?;
    if files.is_empty() {
        return Err(RulesError::Unreadable { path: path.into(), reason: "it holds no .toml file".into() });
    }
    let tables = schema.as_ref().map(Schema::tables);
    let reading = parse(&files, tables.as_deref());
    let mut findings = reading.findings;
    if let (Some(rules), Some(schema)) = (&reading.rules, &schema) {
        findings.extend(untranslated(rules, schema));
        let order = |file: &str| files.iter().position(|known| known.name == file);
        findings.sort_by_key(|finding| (order(&finding.file), finding.line, finding.column));
    }
    Ok(findings)
}

/// Statements that match nothing, because the translation makes something else of them.
fn untranslated(rules: &RuleSet, schema: &Schema) -> Vec<Finding> {
    let mut findings = Vec::new();
    for statement in rules.statements() {
        match schema.translate(&statement.sql).as_deref() {
            Ok([prepared]) if prepared.sql.len() == 1 => {
                if !prepared.sql.iter().any(|sql| statement.is_in(&rules.find(sql))) {
                    let becomes: &str = prepared.sql.first().map_or("", |sql| sql);
                    findings.push(statement.warning(format!(
                        "this never matches, since it becomes `{becomes}`; write `..` for the part that differs"
                    )));
                }
            }
            Ok(_) => findings
                .push(statement.warning("rules match statements that become one SQLite statement; this does not")),
            Err(error) => findings.push(statement.warning(format!("this is refused: {}", error.message))),
        }
    }
    findings
}
