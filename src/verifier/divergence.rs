//! The report of a divergence: how people find a bad disk or an engine bug (architecture, faults).
//!
//! The verifier fills in what the ballots tell; the node adds texts, pages, tables and rows from its
//! replica and the time of healing, and logs it.

use crate::page::{Hash, PageNumber};
use crate::token::{BallotKey, LogId, Mode, NodeId, Token};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One batch on which nodes computed different results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// The batch.
    pub log_id: LogId,
    /// The attempt.
    pub attempt: u32,
    /// How it was run.
    pub mode: Mode,
    /// What the quorum computed; nothing where there was none, and the batch was run again.
    pub agreed: Option<Token>,
    /// Who computed something else, and what; without a quorum everybody's result. Nobody, where all agree at last
    /// that transactions of the batch are void.
    pub minority: Vec<(NodeId, Token)>,
    /// Who could not execute the batch, for reasons of its own (rule 14).
    pub failed: Vec<NodeId>,
    /// Texts of the batch's transactions, in order; empty when unknown.
    pub transactions: Vec<String>,
    /// Pages that differ, where the reporting node could compare.
    pub pages: Vec<PageNumber>,
    /// Tables and indexes that those pages belong to.
    pub tables: Vec<String>,
    /// Differing rows as text, a bounded number of them.
    pub rows: Vec<String>,
    /// When the minority was back, microseconds since 2000-01-01 UTC.
    pub healed_at_us: Option<i64>,
}

impl Divergence {
    /// A node could not execute the batch, for reasons of its own.
    pub fn failed(log_id: LogId, attempt: u32, mode: Mode, node: NodeId) -> Self {
        let key = BallotKey { log_id, attempt, parent: Hash::default() };
        Divergence { failed: vec![node], ..Self::without_quorum(key, mode, Vec::new()) }
    }

    /// Nodes that were in the minority or could not execute the batch.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.minority.iter().map(|(node, _)| *node).chain(self.failed.iter().copied()).collect()
    }

    /// Positions of transactions that the batch was accepted without.
    pub fn void(&self) -> &[u32] {
        match &self.mode {
            Mode::Replay { void } if self.agreed.is_some() => void,
            _ => &[],
        }
    }

    /// What the ballots tell.
    pub fn new(agreed: Token, mode: Mode, minority: Vec<(NodeId, Token)>) -> Self {
        Divergence { agreed: Some(agreed), ..Self::without_quorum(agreed.key(), mode, minority) }
    }

    /// No quorum agreed, and all run the batch again: what each had computed.
    pub fn without_quorum(key: BallotKey, mode: Mode, minority: Vec<(NodeId, Token)>) -> Self {
        Divergence {
            log_id: key.log_id,
            attempt: key.attempt,
            mode,
            agreed: None,
            minority,
            failed: Vec::new(),
            transactions: Vec::new(),
            pages: Vec::new(),
            tables: Vec::new(),
            rows: Vec::new(),
            healed_at_us: None,
        }
    }
}

/// Lines shown of each list; the rest is counted.
const SHOWN_MAX: usize = 10;

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.minority.iter().map(|(node, _)| format!("node {node}")).collect();
        match &self.agreed {
            Some(_) if self.minority.is_empty() => writeln!(
                f,
                "batch {} could not be executed, or not alike: transactions of it are void, without any effect",
                self.log_id.index
            )?,
            Some(_) => {
                writeln!(f, "divergence in batch {}: {} computed another result", self.log_id.index, nodes.join(", "))?
            }
            None if self.minority.is_empty() => {
                let failed: Vec<String> = self.failed.iter().map(|node| format!("node {node}")).collect();
                writeln!(f, "batch {} could not be executed by {}", self.log_id.index, failed.join(", "))?
            }
            None => {
                writeln!(f, "divergence in batch {}: no quorum agreed, it was run again one by one", self.log_id.index)?
            }
        }
        let mode = match &self.mode {
            Mode::Planned => "as planned".to_string(),
            Mode::Replay { void } if void.is_empty() => "one by one".to_string(),
            Mode::Replay { void } => format!("one by one, {} of its transactions void", void.len()),
        };
        writeln!(f, "  run {mode} (term {}, attempt {})", self.log_id.term, self.attempt)?;
        if let Some(agreed) = &self.agreed {
            writeln!(f, "  quorum: root {} answers {}", agreed.root, agreed.answers)?;
        }
        for (node, token) in &self.minority {
            let same = self.agreed.map(|agreed| (token.root == agreed.root, token.answers == agreed.answers));
            let Some(same) = same else {
                writeln!(f, "  node {node}: root {} answers {}", token.root, token.answers)?;
                continue;
            };
            let what = match same {
                (true, true) => "stands on another earlier batch",
                (true, false) => "same pages, other answers",
                (false, true) => "other pages, same answers",
                (false, false) => "other pages and answers",
            };
            writeln!(f, "  node {node}: root {} answers {} ({what})", token.root, token.answers)?;
        }
        list(f, "tables", &self.tables)?;
        list(f, "pages", &self.pages)?;
        list(f, "rows", &self.rows)?;
        list(f, "transactions", &self.transactions)?;
        match self.healed_at_us {
            Some(at) => writeln!(f, "  healed at {at} us since 2000-01-01 UTC")?,
            None if self.minority.is_empty() => writeln!(f, "  not healed yet: it does not count for this batch")?,
            None => writeln!(f, "  not healed yet: the minority answers nobody until it is repaired")?,
        }
        let advice = match self.mode == Mode::Planned {
            _ if !self.failed.is_empty() && self.minority.is_empty() => {
                "  what to do: the line of the log before this one says what that machine lacked"
            }
            _ if !self.void().is_empty() => {
                "  what to do: do not send these transactions again before you know why; a crash or a difference that\n  each of them repeats alone is a bug report"
            }
            true => {
                "  what to do: once on one machine, test its memory and disk; if it comes again with the same\n  transactions, a replay of them alone is a bug report"
            }
            false => {
                "  what to do: run one by one there is no concurrency to blame: test that machine's memory and disk"
            }
        };
        write!(f, "{advice}")
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, items: &[T]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "  {name} ({}):", items.len())?;
    for item in items.iter().take(SHOWN_MAX) {
        write!(f, " {item};")?;
    }
    writeln!(f, "{}", if items.len() > SHOWN_MAX { " ..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Hash;

    #[test]
    fn a_failure_is_told_as_one() {
        let log_id = LogId { term: 2, leader: 1, index: 7 };
        let text = Divergence::failed(log_id, 0, Mode::Planned, 2).to_string();
        assert!(text.contains("batch 7 could not be executed by node 2") && text.contains("lacked"), "{text}");
    }

    #[test]
    fn a_report_names_batch_minority_place_and_what_to_do() {
        let agreed = Token {
            log_id: LogId { term: 2, leader: 1, index: 4711 },
            batch: Hash(1),
            attempt: 0,
            parent: Hash(2),
            root: Hash(3),
            answers: Hash(4),
        };
        let minority = vec![(3, Token { root: Hash(5), ..agreed })];
        let mut report = Divergence::new(agreed, Mode::Planned, minority);
        report.tables = vec!["branch".into()];
        report.pages = (1..=12).collect();
        report.transactions = vec!["UPDATE branch SET b = b + 10".into()];
        let text = report.to_string();
        for part in ["batch 4711", "node 3", "other pages, same answers", "tables (1): branch;", "pages (12): 1;"] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
        assert!(text.contains("10; ...") && text.contains("not healed yet") && text.contains("memory and disk"));
        report.healed_at_us = Some(5);
        assert!(report.to_string().contains("healed at 5 us"));
    }
}
