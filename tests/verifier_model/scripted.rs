//! Cases that chance would take long to hit, played to one verifier by hand.

use evesql::page::Hash;
use evesql::token::{Accepted, Ballot, LogId, NodeId, Token};
use evesql::verifier::*;

type Case = (&'static str, fn(Rules) -> Result<(), String>);

pub const CASES: &[Case] = &[
    ("a batch of another engine is not executed", another_engine),
    ("members change only when every batch is accepted, and batches wait for them", barrier),
    ("a batch is judged by the members at its own position", members_at_position),
    ("while members change, both majorities are needed", joint_quorum),
];

fn verifier(rules: Rules, members: Members) -> Verifier {
    let mut options = Options::new(0);
    options.rules = rules;
    Verifier::new(options, members)
}

fn at(index: u64) -> LogId {
    LogId { term: 1, leader: 0, index }
}

fn batch(index: u64, engine: u128) -> Event {
    let entry = Entry::Batch {
        hash: Hash(u128::from(index)),
        transactions: 1,
        engine: Hash(engine),
        accepted: Accepted::default(),
    };
    Event::Appended { log_id: at(index), entry }
}

fn token(index: u64) -> Token {
    Token {
        log_id: at(index),
        batch: Hash(u128::from(index)),
        attempt: 0,
        parent: Hash(0),
        root: Hash(7),
        answers: Hash(8),
    }
}

fn step(verifier: &mut Verifier, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    verifier.step(event, 1, &mut actions);
    actions
}

/// Executes the batch at an index on the verifier's own node, durably.
fn execute_own(verifier: &mut Verifier, index: u64) {
    step(verifier, Event::Executed { run: 0, log_id: at(index), root: Hash(7), answers: Hash(8) });
    step(verifier, Event::Persisted(token(index).key()));
}

fn token_of(verifier: &mut Verifier, from: NodeId, index: u64) {
    step(verifier, Event::Ballots { from, ballots: vec![Ballot::Token(token(index))] });
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_string()) }
}

fn another_engine(rules: Rules) -> Result<(), String> {
    let mut verifier = verifier(rules, Members::new([0, 1, 2]));
    let actions = step(&mut verifier, batch(1, 9));
    let executed = actions.iter().any(|action| matches!(action, Action::Execute { .. }));
    demand(!executed && verifier.status().halted, "executed (rule 16)")
}

fn barrier(rules: Rules) -> Result<(), String> {
    let mut verifier = verifier(rules, Members::new([0, 1, 2]));
    step(&mut verifier, Event::Role { leads: Some(1) });
    demand(verifier.may_change_members(), "an idle leader may change members")?;
    step(&mut verifier, batch(1, 0));
    demand(!verifier.may_change_members(), "a change overtakes an unaccepted batch (rule 22)")?;
    execute_own(&mut verifier, 1);
    token_of(&mut verifier, 1, 1);
    token_of(&mut verifier, 2, 1);
    step(&mut verifier, Event::Decided { index: 1 });
    demand(verifier.status().accepted.log_id == at(1), "three equal tokens accept")?;
    demand(!verifier.may_change_members(), "voters may leave whose tokens alone prove an acceptance (rule 22)")?;
    let proposed = step(&mut verifier, Event::Publish).into_iter().find_map(|action| match action {
        Action::Propose { verdict, .. } => Some(Entry::Verdict(verdict)),
        _ => None,
    });
    let entry = proposed.ok_or("an acceptance is not published when it is wanted")?;
    step(&mut verifier, Event::Appended { log_id: at(2), entry });
    demand(!verifier.may_change_members(), "a published acceptance counts before it is decided")?;
    step(&mut verifier, Event::Decided { index: 2 });
    demand(verifier.may_change_members(), "an acceptance that is decided is enough")?;
    let entry = Entry::Members(Members::new([0, 1, 2, 3, 4]));
    step(&mut verifier, Event::Appended { log_id: at(3), entry });
    demand(verifier.room() == 0, "a batch overtakes an undecided change (rule 22)")?;
    step(&mut verifier, Event::Decided { index: 3 });
    demand(verifier.room() > 0, "a decided change lets batches through")
}

fn members_at_position(rules: Rules) -> Result<(), String> {
    let mut verifier = verifier(rules, Members::new([0, 1, 2]));
    step(&mut verifier, batch(1, 0));
    step(&mut verifier, Event::Appended { log_id: at(2), entry: Entry::Members(Members::new([0])) });
    execute_own(&mut verifier, 1);
    step(&mut verifier, Event::Decided { index: 1 });
    demand(verifier.status().known.log_id.index == 0, "one token accepts a batch of three voters (rule 22)")
}

fn joint_quorum(rules: Rules) -> Result<(), String> {
    let mut verifier = verifier(rules, Members::new([0, 1, 2]));
    let members = Members::joint([0, 1, 2], [0, 3, 4]);
    step(&mut verifier, Event::Appended { log_id: at(1), entry: Entry::Members(members) });
    step(&mut verifier, batch(2, 0));
    execute_own(&mut verifier, 2);
    token_of(&mut verifier, 1, 2);
    token_of(&mut verifier, 2, 2);
    step(&mut verifier, Event::Decided { index: 2 });
    demand(verifier.header() == Accepted::default(), "the old majority alone accepts (rule 22)")?;
    token_of(&mut verifier, 3, 2);
    demand(verifier.header().log_id == at(2), "both majorities make a quorum")?;
    demand(verifier.status().known.log_id.index == 0, "not all voters spoke: it takes a verdict")?;
    token_of(&mut verifier, 4, 2);
    demand(verifier.status().accepted.log_id == at(2), "all voters of both sets accept at once")
}
