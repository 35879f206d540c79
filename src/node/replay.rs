//! `evesql audit replay`: a saved audit run again, as its batch was executed and one transaction after the other.

use super::saved_audit::{Loaded, SavedAuditError, SavedBatch, load};
use crate::batch::{Batch, Command};
use crate::engine::{self, LocalError};
use crate::page::Hash;
use crate::replica::{AcceptedState, Audit, Difference, Executed, Learn, Options, Replica, Subject, audit};
use crate::token::{Accepted, LogId, Mode};
use crate::transaction::{Operation, Outcome, Statement, Transaction, shortened};
use std::fmt::Write as _;
use std::path::Path;

/// Longest text of a transaction that is shown, and longest list of parameters, in characters.
const SHOWN_MAX: usize = 400;
/// Threads for parallel parts; no result depends on their number.
const WORKERS: usize = 2;

/// What a replay gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// For people, lines of text.
    pub report: String,
    /// Whether both ways of running the batch gave another result.
    pub differs: bool,
}

/// Runs a saved audit again, on its databases in memory: nothing is written.
///
/// # Errors
/// What is wrong with the directory, or with this machine.
pub fn replay_audit(directory: &Path) -> Result<Replayed, SavedAuditError> {
    let Loaded { batch: saved, found, databases } = load(directory)?;
    let damaged = |reason: String| SavedAuditError::Damaged { path: directory.join("batch"), reason };
    let batch = match saved.command.command() {
        Ok(Command::Batch(batch)) => batch,
        Ok(Command::Verdict(_)) => return Err(damaged("it is a verdict, and no batch".into())),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let SavedBatch { log_id, node, root_before, .. } = saved;
    let Some(index_before) = log_id.index.checked_sub(1) else {
        return Err(damaged("no batch has the log index 0".into()));
    };
    let mut out = String::new();
    let count = batch.transactions.len();
    let _ = writeln!(out, "batch {} of node {node}, {count} transactions, {}", log_id.index, name_of(&saved.mode));
    let _ = writeln!(out, "the audit found: {found}");
    if batch.engine != engine::fingerprint() {
        let _ = writeln!(out, "it was executed by another version of EveSQL or SQLite than this one");
    }
    let _ = writeln!(out, "root before:        {root_before}, proved over {} databases", databases.len());
    let options = engine::Options { steps_max: saved.steps_max, ..engine::Options::default() };
    let replica = Options { engine: options, workers: WORKERS, learn: Learn::Nothing, ..Options::default() };
    let before = Accepted { log_id: LogId { index: index_before, ..log_id }, root: root_before, ..Accepted::default() };
    let mut replica = Replica::over(replica, databases, before)?;
    let mut run = |mode: &Mode| run(&mut replica, log_id, batch, mode);
    let one_by_one = match &saved.mode {
        Mode::Planned => Mode::Replay { void: Vec::new() },
        replay => replay.clone(),
    };
    let (as_it_was, [before, after]) = run(&saved.mode)?;
    let (alone, _) = run(&one_by_one)?;
    let _ = writeln!(out, "root as it was run: {}, {}", as_it_was.root, accepted(as_it_was.root, saved.root_after));
    let _ = writeln!(out, "root one by one:    {}", alone.root);
    if as_it_was.root != alone.root {
        let _ = writeln!(out, "   (where rows came in another order, equal rows may have another root)");
    }
    let outcomes: Vec<Hash> = as_it_was.outcomes.iter().map(Outcome::digest).collect();
    tell_answers(&mut out, batch, &saved, &outcomes);
    let (log_id, mode) = (log_id, &saved.mode);
    let subject =
        Subject { log_id, batch, mode, outcomes: &outcomes, before: &before.databases, after: &after.databases };
    let differs = match audit(&subject, options, &|| true)? {
        Audit::Same => false,
        Audit::Differs(difference) => {
            tell(&mut out, batch, &difference);
            true
        }
        Audit::Skipped(why) => return Err(LocalError::internal(format!("it is not run one by one: {why}")).into()),
    };
    let _ = writeln!(
        out,
        "{}",
        match differs {
            true => "a difference: a bug in EveSQL, please report it",
            false => "the same both ways: no difference",
        }
    );
    Ok(Replayed { report: out, differs })
}

/// Executes the batch, and goes back; the versions before and after it.
fn run(
    replica: &mut Replica,
    log_id: LogId,
    batch: &Batch,
    mode: &Mode,
) -> Result<(Executed, [AcceptedState; 2]), LocalError> {
    let gone = || LocalError::internal("a version is not held");
    let before = replica.at(log_id.index).ok_or_else(gone)?;
    let executed = replica.execute(log_id, batch, mode)?;
    let after = replica.at(log_id.index).ok_or_else(gone)?;
    replica.roll_back(log_id.index.saturating_sub(1))?;
    Ok((executed, [before, after]))
}

fn name_of(mode: &Mode) -> String {
    match mode {
        Mode::Planned => "as planned".into(),
        Mode::Replay { void } if void.is_empty() => "one by one".into(),
        Mode::Replay { void } => format!("one by one, and void {void:?}"),
    }
}

fn accepted(root: Hash, accepted: Hash) -> String {
    if root == accepted { "as accepted".into() } else { format!("and not {accepted}, which was accepted") }
}

/// Answers that this program gives otherwise than was accepted, though it runs the batch as it was run.
fn tell_answers(out: &mut String, batch: &Batch, saved: &SavedBatch, outcomes: &[Hash]) {
    let differing = outcomes.iter().zip(&saved.outcomes).zip(&batch.transactions).enumerate();
    for (position, (_, transaction)) in differing.filter(|(_, ((here, accepted), _))| here != accepted) {
        let _ = writeln!(out, "transaction {position} answers here otherwise than was accepted");
        tell_statements(out, transaction);
    }
    if outcomes.len() != saved.outcomes.len() {
        let _ = writeln!(out, "{} answers were accepted, and the batch has {}", saved.outcomes.len(), outcomes.len());
    }
}

fn tell(out: &mut String, batch: &Batch, found: &Difference) {
    let transaction = found.transaction.map_or("transaction not known".into(), |at| format!("transaction {at}"));
    let table = found.table.as_ref().map_or(String::new(), |table| format!(", table {table}"));
    let _ = writeln!(out, "{transaction}{table}: {}", found.detail);
    if let Some(transaction) = found.transaction.and_then(|at| batch.transactions.get(at as usize)) {
        tell_statements(out, transaction);
    }
}

fn tell_statements(out: &mut String, transaction: &Transaction) {
    let _ = writeln!(out, "   {}", transaction.text(SHOWN_MAX));
    for operation in &transaction.operations {
        if let Operation::Statement(Statement { parameters, .. }) = operation
            && !parameters.is_empty()
        {
            let _ = writeln!(out, "   with {}", shortened(&format!("{parameters:?}"), SHOWN_MAX));
        }
    }
}
