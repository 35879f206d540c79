//! A batch: its groups in order, each between BEGIN and COMMIT, each published.

use super::learned::{How, Learn, Ran, Recent, kind_of, weight};
use super::parallel::Fared;
use super::transaction::{Place, Trouble};
use super::{Databases, Drill, Replica, Version, state_root};
use crate::batch::{Batch, Group};
use crate::engine::{Failure, LocalError};
use crate::page::Hash;
use crate::token::{LogId, Mode};
use crate::transaction::{Outcome, SqlError, Transaction, TransactionId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What executing a batch gave: the material of a token, and the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// Root of the whole state after it.
    pub root: Hash,
    /// Digest of all outcomes.
    pub answers: Hash,
    /// One for each transaction, by position in the batch.
    pub outcomes: Vec<Outcome>,
}

/// Time that executing has taken since a replica began, failed executions and replays included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// From the batch to its result.
    pub executing: Duration,
    /// Of that: what one database without replicas would not do. The digest of the answers; copying the changed pages
    /// into the tree, hashing them, and the root.
    pub verifying: Duration,
    /// Running transactions ahead, by the clock of the replica's thread.
    pub ahead: Duration,
    /// Checking and applying what had run ahead.
    pub applying: Duration,
}

impl Replica {
    /// Executes the next batch and keeps its result as the newest version.
    ///
    /// # Errors
    /// [`LocalError`] if this machine failed (rule 14): there is no result, and the state is as before.
    pub fn execute(&mut self, log_id: LogId, batch: &Batch, mode: &Mode) -> Result<Executed, LocalError> {
        let newest = self.newest_version().log_id;
        if log_id.index <= newest.index {
            return Err(LocalError::internal(format!("batch {} does not follow {}", log_id.index, newest.index)));
        }
        let drill = self.drill.take();
        let (start, spent, fared) = (Instant::now(), self.spent, self.fared);
        let result = self.run_batch(log_id, batch, mode, drill);
        self.spent.executing += start.elapsed();
        // Learning reads the schema: where that fails, the batch is undone like any other that failed.
        match result.and_then(|result| self.learn(batch).map(|()| result)) {
            Ok((executed, databases)) => {
                if self.options.learn != Learn::Nothing {
                    self.learned.executed(recent(log_id.index, batch, mode, (spent, self.spent), (fared, self.fared)));
                }
                let Executed { root, answers, .. } = executed;
                self.versions.push_back(Version { log_id, root, answers, databases });
                Ok(executed)
            }
            Err(error) => {
                self.ran.clear();
                self.planned_ahead.clear();
                let before = self.newest_version().databases.clone();
                self.restore(&before)?;
                Err(error)
            }
        }
    }

    /// The answers digest of a batch: a hash over its outcomes, by position.
    pub fn digest_outcomes(outcomes: &[Outcome]) -> Hash {
        let mut bytes = Vec::with_capacity(outcomes.len() * 16);
        outcomes.iter().for_each(|outcome| bytes.extend_from_slice(&outcome.digest().to_bytes()));
        Hash::of(&bytes)
    }

    fn run_batch(
        &mut self,
        log_id: LogId,
        batch: &Batch,
        mode: &Mode,
        drill: Option<Drill>,
    ) -> Result<(Executed, Databases), LocalError> {
        let mut outcomes = vec![Outcome::Void; batch.transactions.len()];
        let mut groups = plan_order(batch);
        if let Mode::Replay { void } = mode {
            // The plainest path there is: in order, one after the other.
            groups.iter_mut().for_each(|group| one_by_one(group, void));
            self.note_void(batch, void);
        }
        if drill == Some(Drill::Misorder) {
            // Of two that conflict each may have a group of its own.
            groups.reverse();
            for group in &mut groups {
                group.parallel.reverse();
                group.direct.reverse();
            }
        }
        if drill == Some(Drill::OutOfMemory)
            && let Some(database) = self.databases.values().next()
        {
            database.refuse_page()?;
        }
        let count = groups.len();
        for (number, group) in groups.into_iter().enumerate() {
            let mut direct = group.direct;
            if !group.parallel.is_empty() {
                let mut left = self.run_parallel(log_id.index, batch, &group.parallel, &mut outcomes)?;
                left.append(&mut direct);
                direct = left;
            }
            self.run_group(log_id.index, batch, &direct, &mut outcomes)?;
            if number + 1 == count {
                self.write_once(log_id.index)?;
            }
            self.commit()?;
        }
        if let Some(Drill::WrongAnswer { by }) = drill {
            falsify(&mut outcomes, by);
        }
        let start = Instant::now();
        let databases = self.current()?;
        if let Some(Drill::FlipBit { page, bit }) = drill
            && let Some(database) = self.databases.values().next()
        {
            database.flip_bit(page, bit)?;
        }
        let executed =
            Executed { root: state_root(&databases), answers: Replica::digest_outcomes(&outcomes), outcomes };
        self.spent.verifying += start.elapsed();
        Ok((executed, databases))
    }

    /// Runs a group inside open SQL transactions. A transaction that ends the group's own (`RAISE(ROLLBACK)`)
    /// takes all others with it; the group runs again, and that one gets an error.
    fn run_group(
        &mut self,
        log_index: u64,
        batch: &Batch,
        group: &[u32],
        outcomes: &mut [Outcome],
    ) -> Result<(), LocalError> {
        let mut spoilers: BTreeMap<u32, SqlError> = BTreeMap::new();
        let before = self.current()?;
        let noted = self.noted();
        loop {
            match self.try_group(log_index, batch, group, &spoilers, outcomes) {
                Ok(()) => return Ok(()),
                Err((_, Trouble::Local(error))) => return Err(error),
                Err((position, Trouble::GroupLost(error))) => {
                    self.restore(&before)?;
                    self.resume(&noted);
                    spoilers.insert(position, error);
                }
            }
        }
    }

    /// Rows that the database's connection has changed so far; none while there is no such database.
    fn changed_rows(&self, transaction: &Transaction) -> u64 {
        self.databases.get(&transaction.database).map_or(0, |database| database.connection.changed_rows())
    }

    fn try_group(
        &mut self,
        log_index: u64,
        batch: &Batch,
        group: &[u32],
        spoilers: &BTreeMap<u32, SqlError>,
        outcomes: &mut [Outcome],
    ) -> Result<(), (u32, Trouble)> {
        for position in group {
            let transaction = &batch.transactions[*position as usize];
            let place = Place { log_index, position: *position, timestamp_us: batch.timestamp_us, seed: batch.seed };
            let spoiler = spoilers.get(position);
            let before =
                (self.options.learn != Learn::Nothing).then(|| (Instant::now(), self.changed_rows(transaction)));
            let outcome = self.run_transaction(transaction, place, spoiler).map_err(|trouble| (*position, trouble))?;
            outcomes[*position as usize] = outcome;
            if let Some((start, changes)) = before {
                let run_ns = start.elapsed().as_nanos() as u64;
                let how = self.planned_ahead.get(position).copied().unwrap_or(How::Direct);
                let weight = if how == How::Direct { weight(log_index, *position, run_ns) } else { 1 };
                if weight > 0 {
                    let changes = self.changed_rows(transaction).saturating_sub(changes);
                    let kind = kind_of(transaction);
                    self.ran.push(Ran { kind, position: *position, weight, run_ns, changes, how });
                }
            }
        }
        Ok(())
    }

    /// A void transaction's id counts as executed: its client was told of an error, so a late copy of it must
    /// have no effect either.
    fn note_void(&mut self, batch: &Batch, void: &[u32]) {
        for position in void {
            if let Some(transaction) = batch.transactions.get(*position as usize)
                && let Some(database) = self.databases.get_mut(&transaction.database)
            {
                database.once.note_void(transaction.id);
            }
        }
    }

    pub(super) fn noted(&self) -> BTreeMap<Arc<str>, Vec<TransactionId>> {
        self.databases.iter().map(|(name, database)| (name.clone(), database.once.pending().to_vec())).collect()
    }

    pub(super) fn resume(&mut self, noted: &BTreeMap<Arc<str>, Vec<TransactionId>>) {
        for (name, ids) in noted {
            if let Some(database) = self.databases.get_mut(name) {
                database.once.resume(ids);
            }
        }
    }

    fn write_once(&mut self, log_index: u64) -> Result<(), LocalError> {
        self.databases.values_mut().try_for_each(|database| database.write_once(log_index))
    }

    fn commit(&mut self) -> Result<(), LocalError> {
        for database in self.databases.values_mut().filter(|database| database.is_open) {
            database.commit().map_err(Failure::into_local)?;
            let start = Instant::now();
            database.publish()?;
            self.spent.verifying += start.elapsed();
        }
        Ok(())
    }
}

/// Positions in the order in which they take effect, group by group: a group's parallel part, then its
/// direct one. What a plan names twice counts once, what it does not name comes last: a plan decides about
/// order, never about whether a transaction runs.
pub(super) fn plan_order(batch: &Batch) -> Vec<Group> {
    let mut is_left = vec![true; batch.transactions.len()];
    let mut take = |position: &u32| {
        let left = is_left.get_mut(*position as usize)?;
        std::mem::take(left).then_some(*position)
    };
    let mut groups: Vec<Group> = Vec::with_capacity(batch.plan.groups.len() + 1);
    for group in &batch.plan.groups {
        let parallel = group.parallel.iter().filter_map(&mut take).collect();
        groups.push(Group { parallel, direct: group.direct.iter().filter_map(&mut take).collect() });
    }
    let rest: Vec<u32> = (0..batch.transactions.len() as u32).filter_map(|position| take(&position)).collect();
    if !rest.is_empty() || groups.is_empty() {
        groups.push(Group { parallel: Vec::new(), direct: rest });
    }
    groups
}

/// Leaves nothing of a group in its parallel part, and these out.
pub(super) fn one_by_one(group: &mut Group, void: &[u32]) {
    group.parallel.append(&mut group.direct);
    group.direct = std::mem::take(&mut group.parallel);
    group.direct.retain(|position| !void.contains(position));
}

/// What there is to tell of a batch, by the counts before and after it.
fn recent(index: u64, batch: &Batch, mode: &Mode, spent: (Spent, Spent), fared: (Fared, Fared)) -> Recent {
    let groups = &batch.plan.groups;
    let widths = groups.iter().map(|group| group.parallel.len() as u32);
    Recent {
        index,
        replayed: matches!(mode, Mode::Replay { .. }),
        transactions: batch.transactions.len() as u32,
        groups: groups.len().max(1) as u32,
        width: widths.max().unwrap_or(0),
        conflicts: fared.1.conflicted + fared.1.unfit - fared.0.conflicted - fared.0.unfit,
        executing: spent.1.executing - spent.0.executing,
        ahead: spent.1.ahead - spent.0.ahead,
        applying: spent.1.applying - spent.0.applying,
        verifying: spent.1.verifying - spent.0.verifying,
    }
}

fn falsify(outcomes: &mut [Outcome], by: u64) {
    let answered = |outcome: &&mut Outcome| matches!(outcome, Outcome::Committed(answers) if !answers.is_empty());
    match outcomes.iter_mut().find(answered) {
        Some(Outcome::Committed(answers)) => answers[0].changes ^= by,
        _ => outcomes.iter_mut().take(1).for_each(|outcome| *outcome = Outcome::Expired),
    }
}
