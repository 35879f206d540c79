//! What must hold at every moment of a run; a failure is a `Violation`, which ends it.

use super::execution::{Batch, Version};
use evesql::page::Hash;
use evesql::token::{Accepted, LogId, Mode};
use std::collections::BTreeMap;
use std::rc::Rc;

pub type Violation = String;

/// All-seeing record of what was decided, accepted and told.
#[derive(Default)]
pub struct Checks {
    pub decided: BTreeMap<u64, LogId>,
    pub accepted: BTreeMap<u64, Accepted>,
    /// What a sound node holds after each accepted batch.
    pub reference: BTreeMap<u64, Version>,
    /// Transaction -> what its client was told.
    pub told: BTreeMap<u64, Hash>,
    pub batches: BTreeMap<LogId, Rc<Batch>>,
    pub void: usize,
    pub repairs: usize,
    pub divergences: usize,
    pub once_only: bool,
}

impl Checks {
    pub fn decide(&mut self, log_id: LogId) -> Result<(), Violation> {
        match self.decided.insert(log_id.index, log_id) {
            Some(before) if before != log_id => {
                Err(format!("two entries decided at {}: {before:?} {log_id:?}", log_id.index))
            }
            _ => Ok(()),
        }
    }

    /// A node accepts the state that `version` is; `durable` nodes have this token on record.
    pub fn accept(
        &mut self,
        node: u64,
        accepted: &Accepted,
        version: &Version,
        durable: usize,
        quorum: usize,
    ) -> Result<(), Violation> {
        let index = accepted.log_id.index;
        if index == 0 {
            return Ok(()); // repaired to the empty state
        }
        let say = |what: &str| Err(format!("node {node}, batch {index}: {what}"));
        if self.decided.get(&index) != Some(&accepted.log_id) {
            return say("accepted, not decided (invariant 1)");
        }
        if durable < quorum {
            return say("accepted without a quorum of durable tokens (invariant 1)");
        }
        if *self.accepted.entry(index).or_insert(*accepted) != *accepted {
            return say("accepted twice, differently (invariant 2)");
        }
        if version.root != accepted.root {
            return say("serves a root that was not accepted (invariant 7)");
        }
        Ok(())
    }

    /// A node tells the clients of a batch what its version says.
    pub fn tell(&mut self, node: u64, version: &Version) -> Result<(), Violation> {
        let index = version.log_id.index;
        if let Some(reference) = self.reference.get(&index) {
            if reference.root != version.root || reference.answers != version.answers {
                return Err(format!("node {node}, batch {index}: told other answers than before (invariant 2)"));
            }
        } else {
            let base = self.reference.last_key_value().map_or_else(Version::empty, |(_, version)| version.clone());
            if base.log_id.index > index {
                return Err(format!("node {node}, batch {index}: accepted into the past"));
            }
            let skipped = self.decided.range(base.log_id.index + 1..index).any(|(_, id)| self.batches.contains_key(id));
            if skipped {
                return Err(format!("node {node}, batch {index}: not a prefix (rule 3)"));
            }
            let Some(batch) = self.batches.get(&version.log_id) else { return Err("unknown batch".into()) };
            let mode = Mode::Replay { void: version.void.clone() };
            let sound = base.execute(version.log_id, batch, &mode, self.once_only);
            if sound.root != version.root || sound.answers != version.answers {
                return Err(format!("node {node}, batch {index}: a wrong result was accepted"));
            }
            self.void += version.void.len();
            self.reference.insert(index, sound);
        }
        for (id, answer) in &version.told {
            if *self.told.entry(*id).or_insert(*answer) != *answer {
                return Err(format!("node {node}, batch {index}: transaction {id} was told two things (invariant 2)"));
            }
        }
        Ok(())
    }
}
