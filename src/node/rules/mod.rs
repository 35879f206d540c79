//! Rules of the mixer as files: reading them, watching them, and the commands `evesql rules`.

mod check;
mod explain;
mod schema;
mod suggest;
mod watched;
mod watcher;

pub use check::check_rules;
pub use explain::{ExplainError, explain_sql};
pub use suggest::{SuggestError, SuggestOptions, Suggested, suggest_rules};
pub use watched::WatchedRules;
pub use watcher::{Polled, RulesWatcher, SharedRules};

use crate::mixer::rules::{Finding, KnownTable, Reading, Source, read};
use std::path::{Path, PathBuf};

/// Larger files are no rules.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why rules cannot be read; each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file or directory cannot be read.
    #[error("cannot read the rules in {}: {reason}; name a file, or a directory with .toml files", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The operating system's word.
        reason: String,
    },
    /// What is in them is wrong.
    #[error("{0}; `evesql rules check` shows all findings")]
    Wrong(Finding),
    /// The schema file cannot be used.
    #[error("cannot use the schema in {}: {reason}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A file of rules: its path as shown to people, and its content.
#[derive(Clone, Debug, PartialEq)]
struct RulesFile {
    name: String,
    text: String,
}

/// The file, or all `.toml` files of the directory by name.
fn paths(path: &Path) -> Result<Vec<PathBuf>, RulesError> {
    let unreadable = |error: std::io::Error| RulesError::Unreadable { path: path.into(), reason: error.to_string() };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let all: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = all
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml") && path.is_file())
        .collect();
    paths.sort();
    Ok(paths)
}

fn read_files(path: &Path) -> Result<Vec<RulesFile>, RulesError> {
    let read_file = |path: PathBuf| {
        let unreadable = |reason: String| RulesError::Unreadable { path: path.clone(), reason };
        let bytes = std::fs::metadata(&path).map_err(|e| unreadable(e.to_string()))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(unreadable(format!("it has more than {} MiB", FILE_BYTES_MAX >> 20)));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| unreadable(e.to_string()))?;
        Ok(RulesFile { name: path.display().to_string(), text })
    };
    paths(path)?.into_iter().map(read_file).collect()
}

fn parse(files: &[RulesFile], tables: Option<&[KnownTable]>) -> Reading {
    let sources: Vec<Source<'_>> = files.iter().map(|file| Source { name: &file.name, text: &file.text }).collect();
    read(&sources, tables)
}

#[cfg(test)]
mod tests;
