//! Table tests of the verdict decisions: `testdata/verdicts/*.txt`.
//!
//! A case is its input up to `----`, then the expected output up to an empty line. Run with
//! `EVESQL_REWRITE=1` to write the actual outputs into the files, and review the diff.
//!
//! ```text
//! judge voters=1,2,3 [joint=3,4,5] said=1:a,2:b,3:F [absent=3] [waited]
//! next stage=planned|replayed|scrubbed|voided|trial:PASSES..FAILS trouble=agreed|disagreement|failure|stalled n=8 [void=1,2]
//! ```
//! Tokens are letters, `F` a failure; a voter that has not spoken is expected to, unless it is absent.

use evesql::page::Hash;
use evesql::token::{Ballot, Decision, LogId, NodeId, Token, Trial};
use evesql::verifier::{Judgement, Members, Rules, Stage, Trouble, judge, next_verdict};
use std::collections::BTreeMap;
use std::path::Path;

fn token(letter: char) -> Token {
    Token {
        log_id: LogId { term: 1, leader: 1, index: 1 },
        batch: Hash(1),
        attempt: 0,
        parent: Hash(0),
        root: Hash(u128::from(letter as u32)),
        answers: Hash(0),
    }
}

fn letter(token: &Token) -> char {
    u32::try_from(token.root.0).ok().and_then(char::from_u32).unwrap_or('?')
}

fn numbers<T: std::str::FromStr>(text: Option<&str>) -> Vec<T> {
    text.unwrap_or("").split(',').filter_map(|number| number.parse().ok()).collect()
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    if items.is_empty() { "none".into() } else { items.join(",") }
}

fn run_judge(arguments: &BTreeMap<&str, &str>) -> String {
    let voters: Vec<NodeId> = numbers(arguments.get("voters").copied());
    let members = match arguments.get("joint") {
        Some(new) => Members::joint(voters, numbers(Some(new))),
        None => Members::new(voters),
    };
    let absent: Vec<NodeId> = numbers(arguments.get("absent").copied());
    let mut said = BTreeMap::new();
    for pair in arguments.get("said").copied().unwrap_or("").split(',').filter(|pair| !pair.is_empty()) {
        let (node, word) = pair.split_once(':').expect("NODE:WORD");
        let ballot = match word {
            "F" => Ballot::Failed(token('F').key()),
            _ => Ballot::Token(token(word.chars().next().expect("a letter"))),
        };
        said.insert(node.parse().expect("a node"), ballot);
    }
    let waited = arguments.contains_key("waited");
    match judge(&members, &said, |node| !absent.contains(&node), waited, &Rules::default()) {
        Judgement::Wait => "wait".into(),
        Judgement::Unanimous(token) => format!("unanimous {}", letter(&token)),
        Judgement::Quorum { token, minority, awaited } => {
            format!("quorum {} minority={} awaited={}", letter(&token), list(&minority), list(&awaited))
        }
        Judgement::Disagreement => "disagreement".into(),
        Judgement::Failure => "failure".into(),
        Judgement::Stalled => "stalled".into(),
    }
}

fn run_next(arguments: &BTreeMap<&str, &str>) -> String {
    let n: u32 = arguments.get("n").and_then(|n| n.parse().ok()).expect("n=");
    let void: Vec<u32> = numbers(arguments.get("void").copied());
    let stage = match arguments.get("stage").copied().expect("stage=") {
        "planned" => Stage::Planned,
        "replayed" => Stage::Replayed,
        "scrubbed" => Stage::Scrubbed,
        "voided" => Stage::Voided,
        trial => {
            let range = trial.strip_prefix("trial:").and_then(|range| range.split_once("..")).expect("trial:A..B");
            let (passes, fails) = (range.0.parse().expect("A"), range.1.parse().expect("B"));
            let convicted = numbers(arguments.get("convicted").copied());
            Stage::Trial(Trial { convicted, passes, fails })
        }
    };
    let trouble = match arguments.get("trouble").copied() {
        Some("agreed") => Trouble::TrialAgreed,
        Some("failure") => Trouble::Failure,
        Some("stalled") => Trouble::Stalled,
        _ => Trouble::Disagreement,
    };
    match next_verdict(&stage, trouble, &void, n, &Rules::default()) {
        Decision::Replay => "replay".into(),
        Decision::Void { transactions, trial: None } => format!("void {}", list(&transactions)),
        Decision::Void { transactions, trial: Some(trial) } => {
            format!("trial {}..{} void {}", trial.passes, trial.fails, list(&transactions))
        }
        other => format!("{other:?}"),
    }
}

fn run_case(input: &str) -> String {
    let line = input.lines().rfind(|line| !line.starts_with('#')).expect("a command");
    let mut words = line.split_whitespace();
    let command = words.next().expect("a command");
    let arguments = words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
    match command {
        "judge" => run_judge(&arguments),
        "next" => run_next(&arguments),
        other => panic!("unknown command {other}"),
    }
}

#[test]
fn verdicts_are_as_in_the_tables() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/verdicts");
    let mut cases = 0;
    for path in std::fs::read_dir(&directory).expect("testdata/verdicts").map(|entry| entry.expect("entry").path()) {
        let text = std::fs::read_to_string(&path).expect("text");
        let mut actual = Vec::new();
        for block in text.trim_end().split("\n\n") {
            match block.split_once("\n----\n") {
                Some((input, _)) => {
                    actual.push(format!("{input}\n----\n{}", run_case(input)));
                    cases += 1;
                }
                None => actual.push(block.to_string()),
            }
        }
        let actual = actual.join("\n\n") + "\n";
        if std::env::var_os("EVESQL_REWRITE").is_some() {
            std::fs::write(&path, &actual).expect("rewrite");
        }
        assert_eq!(text, actual, "{} differs (EVESQL_REWRITE=1 rewrites it)", path.display());
    }
    assert!(cases > 20, "only {cases} cases found");
}
