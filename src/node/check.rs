//! `evesql check`: proves the files of a stopped server.

use super::NodeError;
use crate::log_store::{Log, LogOptions, Mode};
use crate::page_store::checkpoint;
use crate::seam::{Disk, RealDisk};
use std::path::Path;
use std::sync::Arc;

/// Checks every node under a data directory; prints what it finds. 0: sound, 1: damaged.
///
/// For each node: every page that the manifest counts against its hash, the log against its checksums, and
/// SQLite's own integrity_check of each database.
pub fn check(data: &Path) -> Result<u8, NodeError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if !data.is_dir() {
        return Err(NodeError::NoData(data.into()));
    }
    let _lock = super::serve::lock(data)?;
    let entries = disk.list(data).map_err(|e| NodeError::directory(data, e))?;
    let nodes: Vec<_> = entries
        .iter()
        .filter_map(|path| Some((path.file_name()?.to_str()?.strip_prefix("node-")?.parse::<u64>().ok()?, path)))
        .collect();
    if nodes.is_empty() {
        return Err(NodeError::NoData(data.into()));
    }
    let mut findings = 0;
    for (node, path) in nodes {
        let mut report = |what: String| {
            findings += 1;
            println!("node {node}: {what}");
        };
        match checkpoint::check(&*disk, &path.join("databases")) {
            Ok(damages) => damages.into_iter().for_each(|d| report(format!("database {}: {}", d.database, d.what))),
            Err(error) => report(error.to_string()),
        }
        for problem in integrity(&*disk, &path.join("databases")) {
            report(problem);
        }
        // A copy of the options with no effect on the files: opening only reads, and cuts a torn tail.
        match Log::open(disk.clone(), &path.join("log"), LogOptions::new(node, 0), Mode::Inline) {
            Ok(log) => {
                let state = log.state();
                let last = state.last.map_or(0, |log_id| log_id.index);
                println!("node {node}: log up to index {last}");
            }
            Err(error) => report(error.to_string()),
        }
    }
    println!("{}", if findings == 0 { "sound".to_string() } else { format!("{findings} findings") });
    Ok((findings > 0) as u8)
}

/// SQLite's word on each database of a node, as stock SQLite reads base file and WAL.
fn integrity(disk: &dyn Disk, directory: &Path) -> Vec<String> {
    let Ok(Some(manifest)) = checkpoint::Manifest::read(disk, directory) else { return Vec::new() };
    let mut problems = Vec::new();
    for section in &manifest.sections {
        let file = checkpoint::database_file(directory, section);
        match integrity_of(&file) {
            Ok(lines) if lines == ["ok"] => {}
            Ok(lines) => problems.extend(lines.into_iter().map(|line| format!("database {}: {line}", section.name))),
            Err(error) => problems.push(format!("database {}: {error}", section.name)),
        }
    }
    problems
}

fn integrity_of(file: &Path) -> Result<Vec<String>, rusqlite::Error> {
    use rusqlite::{Connection, OpenFlags};
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    statement.query_map([], |row| row.get::<_, String>(0))?.collect()
}
