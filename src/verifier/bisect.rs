//! Which transaction of a batch keeps the replicas from agreeing (rule 8).
//!
//! The search runs prefixes of the batch, the rest void: with `passes` transactions from the front a
//! quorum agreed, with `fails` of them it did not, so the first guilty one stands between, and each trial
//! halves the distance: log2(n) verdicts, however many are guilty. The one that is found is convicted and
//! the batch replayed without it; should that fail as well, the search starts again with the convict
//! void, and after [`CONVICTED_MAX`] of them the whole batch goes.
//!
//! ```text
//!   Replay fails -> trial 0..n/2 --passes--> trial 0..3n/4 ... one left -> Void {guilty}, accepted like any attempt
//!                        `--fails--> trial 0..n/4 ...
//! ```
//!
//! The state of the search is in each verdict ([`Trial`]), so a new leader goes on where the last one died.

use crate::token::{Decision, Trial};

/// Transactions convicted one by one before the whole batch is voided: a batch with more guilty ones is
/// not worth the replays.
pub const CONVICTED_MAX: usize = 3;

/// First step of a search, when the batch with only `convicted` void did not agree.
pub fn begin(convicted: Vec<u32>, transactions: u32) -> Decision {
    if convicted.len() >= CONVICTED_MAX {
        return void_all(transactions);
    }
    step(Trial { convicted, passes: 0, fails: transactions }, transactions)
}

/// Next step, when the trial's prefix agreed or did not.
pub fn next(trial: &Trial, agreed: bool, transactions: u32) -> Decision {
    let mut trial = trial.clone();
    let middle = prefix(&trial);
    if agreed {
        trial.passes = middle;
    } else {
        trial.fails = middle;
    }
    step(trial, transactions)
}

/// Transactions from the front that a trial runs.
pub fn prefix(trial: &Trial) -> u32 {
    trial.passes + (trial.fails - trial.passes) / 2
}

/// The verdict that voids a whole batch.
pub fn void_all(transactions: u32) -> Decision {
    Decision::Void { transactions: (0..transactions).collect(), trial: None }
}

fn step(trial: Trial, transactions: u32) -> Decision {
    if trial.fails <= trial.passes + 1 {
        let guilty = trial.passes;
        // A convict cannot be guilty again, it does not run: the fault is not in the transactions.
        if guilty >= transactions || trial.convicted.contains(&guilty) {
            return void_all(transactions);
        }
        let mut void = trial.convicted;
        void.push(guilty);
        void.sort_unstable();
        return Decision::Void { transactions: void, trial: None };
    }
    let from = prefix(&trial);
    let mut void: Vec<u32> = trial.convicted.iter().copied().filter(|position| *position < from).collect();
    void.extend(from..transactions);
    Decision::Void { transactions: void, trial: Some(trial) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the search against a batch in which the given transactions are guilty; returns what ends up
    /// void and the number of verdicts.
    fn search(transactions: u32, guilty: &[u32]) -> (Vec<u32>, u32) {
        let mut decision = begin(Vec::new(), transactions);
        let mut verdicts = 1;
        loop {
            let Decision::Void { transactions: void, trial } = &decision else { panic!("not a void: {decision:?}") };
            let agreed = guilty.iter().all(|position| void.contains(position));
            decision = match trial {
                Some(trial) => next(trial, agreed, transactions),
                None if agreed => return (void.clone(), verdicts),
                None => begin(void.clone(), transactions),
            };
            verdicts += 1;
            assert!(verdicts < 200, "the search does not end");
        }
    }

    #[test]
    fn one_guilty_transaction_is_found_in_log_n_verdicts_and_alone() {
        for transactions in 1..70 {
            for guilty in 0..transactions {
                let (void, verdicts) = search(transactions, &[guilty]);
                assert_eq!(void, [guilty]);
                assert!(verdicts <= transactions.next_power_of_two().ilog2() + 1, "{verdicts} for {transactions}");
            }
        }
    }

    #[test]
    fn several_guilty_ones_are_found_exactly_up_to_the_limit() {
        assert_eq!(search(50, &[3, 41]).0, [3, 41]);
        assert_eq!(search(50, &[0, 1, 49]).0, [0, 1, 49]);
        assert_eq!(search(6, &[0, 1, 3, 5]).0, [0, 1, 2, 3, 4, 5]);
    }
}
