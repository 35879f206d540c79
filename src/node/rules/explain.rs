//! `evesql rules explain`: the footprints of statements, the groups that they fall into, and why two are kept apart.

use super::schema::Schema;
use super::{RulesError, parse, read_files};
use crate::dialect::utility::Utility;
use crate::dialect::{self, Kind, Parsed};
use crate::footprint::{self, Extent, Footprint, space};
use crate::mixer::rules::{Keys, RuleSet};
use crate::mixer::{Derive, Derived, explain};
use crate::transaction::{SqlError, Value};
use std::path::Path;

/// How a footprint tells of a sequence, up to its OID.
const SEQUENCE: &str = "evesql_sequences(oid = ";

/// Why nothing can be explained; each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A statement cannot be translated, or is none that runs beside others.
    #[error("{0}")]
    Statement(String),
    /// There is no statement.
    #[error("there is nothing to explain; give statements, as in `evesql rules explain \"SELECT 1\"`")]
    Nothing,
    /// The rules or the schema cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Explains how transactions of different sessions would be grouped if all ran in parallel, as lines of text.
/// Transactions are the blocks BEGIN .. COMMIT in `sql`, and the statements outside of them; one that is rolled back
/// does not count. Tables are those of the schema's file, and what statements before have made.
///
/// # Errors
/// What cannot be read, and the first statement that cannot be translated.
pub fn explain_sql(sql: &str, schema: Option<&Path>, rules: Option<&Path>) -> Result<String, ExplainError> {
    let mut deriving = Deriving::new(schema)?;
    let rules = rules.map_or(Ok(RuleSet::default()), rules_of)?;
    let transactions = transactions(sql).map_err(|error| {
        ExplainError::Statement(format!("this is not understood: {}; correct the statement", error.message))
    })?;
    if transactions.is_empty() {
        return Err(ExplainError::Nothing);
    }
    explain(&transactions, &rules, &mut deriving).map_err(ExplainError::Statement)
}

pub(super) fn rules_of(path: &Path) -> Result<RuleSet, RulesError> {
    let reading = parse(&read_files(path)?, None);
    match reading.error() {
        Some(error) => Err(RulesError::Wrong(error.clone())),
        None => Ok(reading.rules.unwrap_or_default()),
    }
}

/// The statements of each transaction.
fn transactions(sql: &str) -> Result<Vec<Vec<String>>, SqlError> {
    let mut all: Vec<Vec<String>> = Vec::new();
    let mut open: Option<Vec<String>> = None;
    for parsed in dialect::parse(sql)? {
        match (parsed.utility(), &mut open) {
            (Some(Utility::Begin(_)), _) => open = Some(open.unwrap_or_default()),
            (Some(Utility::Commit { chain }), _) => {
                all.extend(open.take());
                open = chain.then(Vec::new);
            }
            (Some(Utility::Rollback { chain }), _) => open = chain.then(Vec::new),
            _ if parsed.is_empty() => {}
            (_, Some(statements)) => statements.push(parsed.text.to_string()),
            (_, None) => all.push(vec![parsed.text.to_string()]),
        }
    }
    all.extend(open);
    all.retain(|statements| !statements.is_empty());
    Ok(all)
}

/// Derives footprints as a node does, over an empty database.
struct Deriving {
    schema: Schema,
    footprints: footprint::Schema,
    has_file: bool,
}

impl Deriving {
    fn new(path: Option<&Path>) -> Result<Self, RulesError> {
        let unusable = |error: SqlError| RulesError::Schema {
            path: path.unwrap_or(Path::new("an empty database")).into(),
            reason: error.message,
        };
        let mut schema = match path {
            Some(path) => Schema::from_file(path)?,
            None => Schema::from_sql("").map_err(unusable)?,
        };
        let footprints = schema.footprints().map_err(unusable)?;
        Ok(Deriving { schema, footprints, has_file: path.is_some() })
    }

    /// What one statement touches; none for those that no other session sees.
    fn statement(&mut self, parsed: &Parsed) -> Result<Option<Derived>, SqlError> {
        match parsed.utility() {
            Some(Utility::Savepoint(_) | Utility::Release(_) | Utility::RollbackTo(_)) => {
                return Ok(Some(in_its_turn("a transaction with savepoints")));
            }
            Some(Utility::Declare { query, .. }) => return self.statement(query),
            Some(Utility::Execute { .. }) => {
                let error = SqlError::new("0A000", "what EXECUTE runs is not known here");
                return Err(SqlError { hint: Some("write the statement itself".into()), ..error });
            }
            _ => {}
        }
        let prepared = self.schema.prepare(parsed)?;
        match prepared.kind {
            Kind::CreateDatabase(_) | Kind::DropDatabase { .. } => return Ok(Some(in_its_turn(parsed.text.as_ref()))),
            Kind::CopyIn(_) => return Ok(Some(in_its_turn("COPY"))),
            Kind::Explain { .. } => return Ok(None),
            _ if prepared.changes_schema => {
                self.schema.change(&prepared)?;
                self.footprints = self.schema.footprints()?;
                return Ok(Some(in_its_turn("a change of the schema")));
            }
            _ if prepared.sql.is_empty() => return Ok(None),
            _ => {}
        }
        let templates: Vec<_> = prepared.sql.iter().map(|sql| self.schema.template(sql, &self.footprints)).collect();
        let mut items = Vec::new();
        templates.iter().for_each(|template| template.bind(&[], &mut items));
        let everything = templates.iter().any(|template| template.is_everything());
        Ok(Some(Derived {
            // Rules say nothing of statements that are several for SQLite.
            sql: if let [sql] = prepared.sql.as_slice() { sql.clone() } else { "".into() },
            footprint: if everything { Footprint::everything() } else { Footprint::of(items) },
            lines: templates.iter().flat_map(|template| template.describe(&[])).map(|line| self.name(line)).collect(),
        }))
    }

    /// A line that tells of a sequence by its OID tells it by its name, where that is known.
    fn name(&self, line: String) -> String {
        let of = |line: &str| {
            let (verb, oid) = line.strip_suffix(')')?.split_once(SEQUENCE)?;
            Some(format!("{verb}sequence {}", self.schema.sequence_name(oid.parse().ok()?)?))
        };
        of(&line).unwrap_or(line)
    }

    /// A sentence on what is wrong with a statement.
    fn refused(&self, text: &str, error: &SqlError) -> String {
        let what_to_do = match (&error.sqlstate, &error.hint) {
            (_, Some(hint)) => hint.trim_end_matches('.'),
            (b"42P01", None) if !self.has_file => "give the file that makes the tables with --schema",
            (b"42P01", None) => "correct it, or make the table in the schema's file",
            (b"0A000", None) => "write it another way",
            _ => "correct it",
        };
        format!("cannot explain `{text}`: {}; {what_to_do}", error.message)
    }
}

/// Of what never runs beside others.
fn in_its_turn(what: &str) -> Derived {
    let lines = vec![format!("everything: {what} runs in its turn")];
    Derived { sql: "".into(), footprint: Footprint::everything(), lines }
}

impl Keys for Deriving {
    fn extent(&self, table: &str, columns: &[(&str, &Value)]) -> Option<Extent> {
        self.footprints.extent(table, columns)
    }
}

impl Derive for Deriving {
    fn derive(&mut self, sql: &str) -> Result<Vec<Derived>, String> {
        let parsed = dialect::parse(sql).map_err(|error| self.refused(sql, &error))?;
        let mut derived = Vec::new();
        for parsed in &parsed {
            derived.extend(self.statement(parsed).map_err(|error| self.refused(&parsed.text, &error))?);
        }
        Ok(derived)
    }

    fn rows(&self, number: u64, extent: Extent) -> Option<String> {
        let (name, columns) = self.footprints.tables().find_map(|table| {
            if number == space(&table.name, None) {
                return Some((table.name.to_string(), table.key_columns()));
            }
            let index = table.unique.iter().find(|index| number == space(&table.name, Some(&index.name)))?;
            Some((format!("{} of {}", index.name, table.name), index.columns.as_deref()))
        })?;
        Some(match extent {
            Extent::All => name,
            Extent::Partition(_) if columns.is_some_and(|columns| columns.len() > 1) => format!("some rows of {name}"),
            Extent::Partition(_) | Extent::Row { .. } => format!("a row of {name}"),
        })
    }
}
