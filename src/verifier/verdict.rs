//! The decision tables: what a set of ballots on one attempt of one batch amounts to, and which verdict
//! a leader proposes next. Pure functions of their arguments; `testdata/verdicts/*.txt` are their cases.
//!
//! | ballots of the voters | amounts to |
//! |---|---|
//! | all voters, equal tokens | unanimous: accepted without a verdict once decided |
//! | a quorum of equal tokens | quorum: accepted once a verdict or header that says so is decided |
//! | two different tokens, and no quorum is possible, or not awaited any longer | disagreement |
//! | a quorum failed | failure |
//! | some failed, and without them those that can still speak make no quorum | stalled |
//! | anything else, above all missing ballots | wait |

use super::bisect;
use super::ledger::Stage;
use super::members::Members;
use super::rules::Rules;
use crate::token::{Ballot, Decision, NodeId, Token};
use std::collections::BTreeMap;

/// What the ballots on one attempt amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing yet.
    Wait,
    /// Every voter has the same token.
    Unanimous(Token),
    /// A quorum has the same token.
    Quorum {
        /// What it computed.
        token: Token,
        /// Voters that computed something else.
        minority: Vec<NodeId>,
        /// Voters that have not spoken but are expected to.
        awaited: Vec<NodeId>,
    },
    /// Different tokens, and none has a quorum.
    Disagreement,
    /// A quorum could not execute the batch.
    Failure,
    /// Failures are in the way of a quorum. As ballots are final, only another attempt lets a node that
    /// has recovered vote. Nobody can have accepted this one fast, because somebody failed.
    Stalled,
}

/// Judges ballots on one key. `expected` tells whether a voter that has not spoken is alive and not in
/// quarantine; `waited` that about twice the usual delay has passed.
pub fn judge(
    members: &Members,
    said: &BTreeMap<NodeId, Ballot>,
    expected: impl Fn(NodeId) -> bool,
    waited: bool,
    rules: &Rules,
) -> Judgement {
    let voters = members.voters();
    let awaited: Vec<NodeId> =
        voters.iter().copied().filter(|node| !said.contains_key(node) && expected(*node)).collect();
    let tokens: Vec<(NodeId, Token)> =
        voters.iter().filter_map(|node| Some((*node, *said.get(node)?.token()?))).collect();
    let is_quorum = |says: &dyn Fn(NodeId) -> bool| match rules.majority {
        true => members.is_quorum(says),
        false => voters.iter().any(|node| says(*node)),
    };
    let supports = |token: &Token, node: NodeId| tokens.iter().any(|(other, said)| *other == node && said == token);
    for (_, token) in &tokens {
        if voters.iter().all(|node| supports(token, *node)) {
            return Judgement::Unanimous(*token);
        }
        if is_quorum(&|node| supports(token, node)) {
            let minority = tokens.iter().filter(|(_, other)| other != token).map(|(node, _)| *node).collect();
            return Judgement::Quorum { token: *token, minority, awaited };
        }
    }
    let failed = |node: NodeId| matches!(said.get(&node), Some(Ballot::Failed(_)));
    if members.is_quorum(failed) {
        return Judgement::Failure;
    }
    let mut differ = tokens.iter().any(|(_, token)| *token != tokens[0].1);
    differ |= !rules.missing_is_not_disagreement && waited && !tokens.is_empty();
    differ |= !rules.failure_is_absence && !tokens.is_empty() && voters.iter().any(|node| failed(*node));
    let reaches = |token: Option<&Token>| {
        is_quorum(&|node| awaited.contains(&node) || token.is_some_and(|token| supports(token, node)))
    };
    let possible = reaches(None) || tokens.iter().any(|(_, token)| reaches(Some(token)));
    if differ && (!possible || waited) {
        return Judgement::Disagreement;
    }
    match !possible && (waited || awaited.is_empty()) && voters.iter().any(|node| failed(*node)) {
        true => Judgement::Stalled,
        false => Judgement::Wait,
    }
}

/// How a trial or an attempt went, where no acceptance comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A trial, on which a quorum agreed.
    TrialAgreed,
    /// No quorum agreed.
    Disagreement,
    /// A quorum could not execute it.
    Failure,
    /// Some could not, and without them there is no quorum.
    Stalled,
}

/// The next verdict on a batch of so many transactions, after an attempt at this stage ended so; `void`
/// are the positions void in it.
///
/// A failing quorum is first replayed as well: the search of rule 8 stands on "all of it, one by one,
/// fails", and a plan's parallel memory need is no guilt of a transaction.
pub fn next_verdict(stage: &Stage, trouble: Trouble, void: &[u32], transactions: u32, rules: &Rules) -> Decision {
    match stage {
        _ if !rules.void_breaks_the_deadlock => Decision::Replay,
        Stage::Planned => Decision::Replay,
        // The same again: this may have to do with absent nodes only, so it is no reason to void anything.
        Stage::Replayed | Stage::Scrubbed if trouble == Trouble::Stalled => Decision::Replay,
        Stage::Trial(trial) if trouble == Trouble::Stalled => {
            Decision::Void { transactions: void.to_vec(), trial: Some(trial.clone()) }
        }
        Stage::Voided if trouble == Trouble::Stalled => Decision::Void { transactions: void.to_vec(), trial: None },
        Stage::Replayed if trouble == Trouble::Disagreement && rules.scrub_before_void => Decision::Replay,
        Stage::Replayed | Stage::Scrubbed => bisect::begin(Vec::new(), transactions),
        Stage::Trial(trial) => bisect::next(trial, trouble == Trouble::TrialAgreed, transactions),
        Stage::Voided if void.len() as u32 >= transactions => bisect::void_all(transactions),
        Stage::Voided => bisect::begin(void.to_vec(), transactions),
    }
}
