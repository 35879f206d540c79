//! Which rules to propose, from what was seen: pairs of transactions that derivation keeps apart, and whether they would
//! have met had they run ahead in one group.
//!
//! ```text
//!   pairs of a batch --Tally--> conflicts by cause, false and real --propose--> causes to drop --rule--> text
//! ```
//!
//! A pair's conflict is *real* if the executor would catch it: rows that the earlier one changed are among those that
//! the later one reads or writes by derivation. Else it is *false*: in one group both would be applied. Its *cause* is a
//! statement and a table, or a unique index, of which the statement touches all rows by derivation. Conflicts of which
//! neither side does so are about single rows; no rule is proposed for them.
//!
//! Pure: what was seen comes in, proposals go out.

mod propose;
mod rule;
mod tally;

pub use propose::{CONFLICTS_MIN, Caused, Proposal, REAL_PERCENT_MAX, causes, propose};
pub use rule::{Description, rules_text};
pub use tally::{Cause, Clash, PEERS_MAX, Seen, SeenStatement, Sums, Tally};

#[cfg(test)]
mod tests;
