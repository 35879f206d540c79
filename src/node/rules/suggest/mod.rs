//! `evesql rules suggest`: rules for what derivation keeps apart and what did not meet, from the log of a stopped node.
//!
//! ```text
//!   1. each accepted batch   trace: all of it ahead from one root, for what each transaction really changes
//!                            run as it was run: the root must be the accepted one; kinds and costs are learned
//!   2. propose               from the counted conflicts (`mixer::suggest`)
//!   3. each batch again      planned by derivation alone, by the rules in force, and with the proposals;
//!                            run by each of these plans for what runs again by it, then as it was run
//! ```

mod compare;
mod observe;
mod report;
mod stored;

use super::explain::rules_of;
use super::{RulesError, RulesFile, parse, read_files};
use crate::config::RunAhead;
use crate::engine::LocalError;
use crate::mixer::rules::RuleSet;
use crate::mixer::suggest::{Description, Proposal, propose, rules_text};
use crate::page::Hash;
use compare::compare;
use observe::observe;
use std::path::{Path, PathBuf};
use stored::Stored;

/// Why nothing can be suggested; each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SuggestError {
    /// There is no node.
    #[error("{} holds no node's files; name the directory that `serve` or `node` had as --data", .0.display())]
    NoNode(PathBuf),
    /// A server runs on it.
    #[error("the directory {} is in use by another evesql process; stop it, or take a copy of its files", .0.display())]
    InUse(PathBuf),
    /// Files cannot be read.
    #[error("cannot read {}: {reason}; `evesql check` shows what is damaged", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A batch gives another result than it did.
    #[error(
        "batch {index} gives the root {found} here, and {expected} was accepted: {}",
        match is_of_another {
            true => "it was executed by another version of EveSQL; take that one",
            false => "the files are damaged, or this is a bug in EveSQL; `evesql check` tells which",
        }
    )]
    Differs {
        /// Where it stands in the log.
        index: u64,
        /// What it gave.
        found: Hash,
        /// What was accepted.
        expected: Hash,
        /// The batch names another version of EveSQL or SQLite.
        is_of_another: bool,
    },
    /// This machine failed.
    #[error("the batches cannot be run again on this machine: {0}; try again, or on another one")]
    Failed(#[from] LocalError),
    /// The rules in force cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct SuggestOptions<'a> {
    /// The rules in force: nothing is suggested for statements of which they say something.
    pub rules: Option<&'a Path>,
    /// Which kinds of transactions are taken to run ahead.
    pub run_ahead: RunAhead,
    /// Cores that a replica is taken to have; 0 for those of this machine.
    pub workers: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// A file of rules; empty if there is nothing to suggest.
    pub rules: String,
    /// For people, lines of text.
    pub report: String,
}

/// Looks through the log of a stopped node, and says how far it is to `progress`, in parts of 1. Nothing is written.
///
/// # Errors
/// What cannot be read, a server that runs on the files, and a batch that gives another result than it did.
pub fn suggest_rules(
    from: &Path,
    options: SuggestOptions<'_>,
    progress: &mut dyn FnMut(f64),
) -> Result<Suggested, SuggestError> {
    let workers = match options.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    };
    let files = options.rules.map_or(Ok(Vec::new()), read_files)?;
    let in_force = options.rules.map_or(Ok(RuleSet::default()), rules_of)?;
    let stored = Stored::open(from)?;
    let observed = observe(&stored, workers, options.run_ahead, &mut |part| progress(part / 2.0))?;
    let counts = |kind: u64| observed.worth.contains(&kind);
    let covered = |statement: u32| {
        let text = observed.statements.get(statement as usize).map(|(text, _)| text);
        text.is_some_and(|text| !in_force.find(text).is_nothing())
    };
    let proposals = propose(&observed.tally, counts, covered);
    let describe =
        |proposal: &'_ Proposal| observed.statements.get(proposal.statement as usize).map(|(_, known)| known);
    let described: Vec<(&Proposal, &Description)> =
        proposals.iter().filter_map(|proposal| Some((proposal, describe(proposal)?))).collect();
    let rules = rules_text(&described);
    let with_proposals = joined(files, &rules)?;
    let mut variants = vec![("derived footprints alone", RuleSet::default())];
    if options.rules.is_some() {
        variants.push(("with the rules in force", in_force));
    }
    if !described.is_empty() {
        let name = if options.rules.is_some() { "with the suggestions too" } else { "with the suggestions" };
        variants.push((name, with_proposals));
    }
    let lines =
        compare(&stored, &observed, variants, workers, options.run_ahead, &mut |part| progress(0.5 + part / 2.0))?;
    let report = report::render(&stored, &observed, described.len(), &lines, workers)?;
    Ok(Suggested { rules, report })
}

/// The rules in force with the proposals behind them.
fn joined(mut files: Vec<RulesFile>, proposals: &str) -> Result<RuleSet, SuggestError> {
    files.push(RulesFile { name: "suggested.toml".into(), text: proposals.into() });
    let reading = parse(&files, None);
    match reading.error() {
        Some(error) => Err(RulesError::Wrong(error.clone()).into()),
        None => Ok(reading.rules.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
