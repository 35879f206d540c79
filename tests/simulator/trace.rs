//! What happened in a run, in order: a running hash of all of it and the last lines as text.

use evesql::batch::Command;
use evesql::entry::Payload;
use evesql::node::core::Input;
use evesql::node::message::NodeMessage;
use evesql::page::Hash;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Lines kept for a failure's report.
const LINES_KEPT: usize = 60;

pub struct Trace {
    start: Instant,
    pub hash: Hash,
    pub events: u64,
    lines: VecDeque<String>,
    echo: bool,
}

impl Trace {
    pub fn new() -> Self {
        let echo = std::env::var_os("EVESQL_TRACE").is_some();
        Trace { start: Instant::now(), hash: Hash::default(), events: 0, lines: VecDeque::new(), echo }
    }

    /// Microseconds of simulated time.
    pub fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    pub fn note(&mut self, text: &str) {
        let line = format!("{:>10} {text}", self.now_us());
        if self.echo {
            println!("{line}");
        }
        self.hash = Hash::of(&[&self.hash.to_bytes()[..], line.as_bytes()].concat());
        self.events += 1;
        self.lines.push_back(line);
        if self.lines.len() > LINES_KEPT {
            self.lines.pop_front();
        }
    }

    pub fn last_lines(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// An input of a node's core, in a line; ballots with all that they say.
pub fn describe(input: &Input) -> String {
    match input {
        Input::Appended(entry) => {
            let what = match &entry.payload {
                Payload::Blank => "blank".to_string(),
                Payload::Membership(_) => "membership".to_string(),
                Payload::Command(command) => match command.command() {
                    Ok(Command::Batch(batch)) => {
                        let ids: Vec<_> =
                            batch.transactions.iter().map(|t| format!("{}.{}", t.id.session, t.id.sequence)).collect();
                        format!("batch [{}] on {}", ids.join(" "), batch.accepted.log_id.index)
                    }
                    Ok(Command::Verdict(verdict)) => format!("{verdict:?}"),
                    Err(error) => error.to_string(),
                },
            };
            format!("appended {}.{} {}: {what}", entry.log_id.term, entry.log_id.leader, entry.log_id.index)
        }
        Input::Truncated { after } => format!("truncated after {after}"),
        Input::Decided { index } => format!("decided {index}"),
        Input::Join { mark, .. } => format!("join at {}", mark.accepted.log_id.index),
        Input::Stored { number, done } => format!("part of repair {number} stored: {done}"),
        Input::Publish => "publish".to_string(),
        Input::Unfinished => "unfinished".to_string(),
        Input::MembershipInstalled => "membership installed".to_string(),
        Input::Offer(_) => "offer".to_string(),
        Input::Persisted(key) => format!("persisted ballot on {} attempt {}", key.log_id.index, key.attempt),
        Input::Message { from, message } => match message {
            NodeMessage::Ballots(ballots) => {
                let said = ballots.iter().map(|ballot| match ballot.token() {
                    Some(token) => {
                        format!(
                            "{}/{} root {} answers {}",
                            token.log_id.index, token.attempt, token.root, token.answers
                        )
                    }
                    None => format!("{} failed", ballot.key().log_id.index),
                });
                format!("from {from}: ballots {}", said.collect::<Vec<_>>().join(", "))
            }
            NodeMessage::Asked { after } => format!("from {from}: asks after {after}"),
            NodeMessage::State { quarantined, asks } => format!("from {from}: quarantined {quarantined}, asks {asks}"),
            other => format!("from {from}: {} bytes", other.encode().len()),
        },
        Input::Role { leads } => format!("leads {leads:?}"),
        Input::Damage => "damage".into(),
        Input::Drill(drill) => format!("drill {drill:?}"),
        Input::Tick => "tick".into(),
    }
}
