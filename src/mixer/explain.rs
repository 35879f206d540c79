//! What `evesql rules explain` says: the footprint of each transaction, the groups, and why two are not in one.

use super::plan::{Candidate, Limits, Mode, plan};
use super::rules::{Found, Keys, RuleSet, Statement};
use crate::footprint::{Access, Extent, Footprint, Item};
use std::fmt::Write as _;
use std::sync::Arc;

/// Derives footprints; needs a schema, a translation and a database, so it stands outside.
pub trait Derive: Keys {
    /// The SQLite statements of one statement as the application sends it, and what each touches.
    ///
    /// # Errors
    /// A sentence for people: what is wrong with the statement.
    fn derive(&mut self, sql: &str) -> Result<Vec<Derived>, String>;

    /// Rows of a space for people: `item`, `a row of item`, `some rows of line`, `a row of item_isbn of item`.
    fn rows(&self, space: u64, extent: Extent) -> Option<String>;
}

/// What the system derives of one SQLite statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// SQLite's SQL, without parameters.
    pub sql: Arc<str>,
    /// What it touches.
    pub footprint: Footprint,
    /// The same for people: `reads item(i_id = 5)`.
    pub lines: Vec<String>,
}

/// A transaction to explain.
#[derive(Clone, Debug, PartialEq)]
struct Explained {
    /// As the application sends it.
    text: String,
    /// What the system derived.
    footprint: Footprint,
    /// The same for people.
    lines: Vec<String>,
    /// What rules say instead, and their names.
    refined: Option<(Footprint, Vec<String>)>,
}

/// Explains how transactions of different sessions, in this order, would be grouped if all ran in parallel; each is
/// given as its statements.
///
/// # Errors
/// What [`Derive::derive`] says of the first statement that it does not take.
pub fn explain(transactions: &[Vec<String>], rules: &RuleSet, derive: &mut dyn Derive) -> Result<String, String> {
    let explained: Result<Vec<Explained>, String> =
        transactions.iter().map(|statements| Explained::of(statements, rules, derive)).collect();
    Ok(render(&explained?, &|space, extent| derive.rows(space, extent)))
}

impl Explained {
    fn of(statements: &[String], rules: &RuleSet, derive: &mut dyn Derive) -> Result<Explained, String> {
        let mut derived: Vec<Derived> = Vec::new();
        for sql in statements {
            derived.extend(derive.derive(sql)?);
        }
        let found: Vec<Found> = derived.iter().map(|statement| rules.find(&statement.sql)).collect();
        let steps: Vec<Statement<'_>> = derived
            .iter()
            .zip(&found)
            .map(|(derived, found)| Statement { found, parameters: &[], footprint: &derived.footprint })
            .collect();
        let refined = rules.refine(&steps, derive);
        let named = |names: Vec<&str>| names.into_iter().map(str::to_string).collect();
        Ok(Explained {
            text: statements.join("; "),
            footprint: match derived.iter().any(|statement| statement.footprint.everything) {
                true => Footprint::everything(),
                false => Footprint::of(derived.iter().flat_map(|d| d.footprint.items.iter().copied()).collect()),
            },
            refined: refined.map(|refined| (refined.footprint, named(refined.rules))),
            lines: derived.into_iter().flat_map(|statement| statement.lines).collect(),
        })
    }

    fn grouped_by(&self) -> &Footprint {
        self.refined.as_ref().map_or(&self.footprint, |(footprint, _)| footprint)
    }
}

type RowsName<'a> = &'a dyn Fn(u64, Extent) -> Option<String>;

fn render(transactions: &[Explained], rows: RowsName<'_>) -> String {
    let mut out = String::new();
    for (number, transaction) in transactions.iter().enumerate() {
        let _ = writeln!(out, "{}: {}", number + 1, transaction.text);
        let lines = match transaction.lines.as_slice() {
            [] => &["touches nothing".to_string()][..],
            lines => lines,
        };
        lines.iter().for_each(|line| _ = writeln!(out, "   {line}"));
        if let Some((footprint, rules)) = &transaction.refined {
            let names: Vec<String> = rules.iter().map(|rule| format!("`{rule}`")).collect();
            let _ = writeln!(out, "   by {}: {}", names.join(", "), said(footprint, rows));
        }
    }
    let candidate = |(session, transaction): (u64, &'_ Explained)| (session, transaction.grouped_by().clone());
    let footprints: Vec<(u64, Footprint)> = (0..).zip(transactions).map(candidate).collect();
    let candidates: Vec<Candidate<'_>> = footprints
        .iter()
        .map(|(session, footprint)| Candidate { footprint, session: *session, mode: Mode::Parallel, refined: None })
        .collect();
    let groups = plan(&candidates, &Limits { groups_max: u32::MAX }).groups;
    let mut before: &[u32] = &[];
    for (number, group) in groups.iter().enumerate() {
        let positions: Vec<String> = group.parallel.iter().map(|position| (position + 1).to_string()).collect();
        let _ = writeln!(out, "group {}: {}", number + 1, positions.join(", "));
        for position in &group.parallel {
            if let Some(reason) = reason(before, *position, &footprints, rows) {
                let _ = writeln!(out, "   {reason}");
            }
        }
        before = &group.parallel;
    }
    out
}

/// Why a transaction is not in the group before its own.
fn reason(before: &[u32], position: u32, footprints: &[(u64, Footprint)], rows: RowsName<'_>) -> Option<String> {
    let of = |position: u32| footprints.get(position as usize).map(|(_, footprint)| footprint);
    let late = of(position)?;
    before.iter().filter(|early| **early < position).find_map(|early| {
        let (number, other, footprint) = (position + 1, early + 1, of(*early)?);
        if late.everything || footprint.everything {
            let whole = if late.everything { number } else { other };
            return Some(format!("{number} after {other}: {whole} may touch everything"));
        }
        let (ours, theirs) = conflict(late, footprint)?;
        let (ours, theirs) = (said_of(ours, rows), said_of(theirs, rows));
        Some(format!("{number} after {other}: {number} {ours}, {other} {theirs}"))
    })
}

/// Items of both that conflict and keep them out of one group.
fn conflict<'a>(late: &'a Footprint, early: &'a Footprint) -> Option<(&'a Item, &'a Item)> {
    let single = |item: &Item| Footprint::of(vec![*item]);
    let together = |a: &Item, b: &Item| {
        let (a, b) = (single(a), single(b));
        let candidate = |session, footprint| Candidate { footprint, session, mode: Mode::Parallel, refined: None };
        plan(&[candidate(0, &a), candidate(1, &b)], &Limits::default()).groups.len() == 1
    };
    late.items.iter().find_map(|a| early.items.iter().find(|b| !together(b, a)).map(|b| (a, b)))
}

fn said(footprint: &Footprint, rows: RowsName<'_>) -> String {
    if footprint.everything {
        return "touches everything".into();
    }
    match footprint.items.as_slice() {
        [] => "touches nothing".into(),
        items => items.iter().map(|item| said_of(item, rows)).collect::<Vec<_>>().join(", "),
    }
}

fn said_of(item: &Item, rows: RowsName<'_>) -> String {
    let verb = match item.access {
        Access::Read => "reads",
        Access::Write => "writes",
        Access::Append => "appends to",
    };
    format!("{verb} {}", rows(item.space, item.extent).unwrap_or_else(|| "an unknown table".into()))
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Source, read};
    use super::*;
    use crate::footprint::space;
    use crate::transaction::Value;

    /// `w1 r2 a`: writes row 1, reads row 2, appends; `r*` reads all, `!` everything.
    struct Letters;

    impl Keys for Letters {
        fn extent(&self, _: &str, _: &[(&str, &Value)]) -> Option<Extent> {
            None
        }
    }

    impl Derive for Letters {
        fn derive(&mut self, sql: &str) -> Result<Vec<Derived>, String> {
            if sql == "!" {
                return Ok(vec![Derived {
                    sql: sql.into(),
                    footprint: Footprint::everything(),
                    lines: vec!["everything".into()],
                }]);
            }
            let item = |word: &str| {
                let access = match word.get(..1) {
                    Some("r") => Access::Read,
                    Some("w") => Access::Write,
                    Some("a") => Access::Append,
                    _ => return Err(format!("{word} is unknown")),
                };
                let extent = word[1..].parse().map_or(Extent::All, Extent::Partition);
                Ok(Item { space: space("item", None), extent, access })
            };
            let items: Vec<Item> = sql.split(' ').map(item).collect::<Result<_, String>>()?;
            let lines = sql.split(' ').map(str::to_string).collect();
            Ok(vec![Derived { sql: sql.into(), footprint: Footprint::of(items), lines }])
        }
        fn rows(&self, number: u64, extent: Extent) -> Option<String> {
            let rows = if extent == Extent::All { "" } else { "a row of " };
            (number == space("item", None)).then(|| format!("{rows}item"))
        }
    }

    fn explained(transactions: &[&str]) -> Result<String, String> {
        let text = "[[rule]]\nname = 'seldom'\nmatch = 'w2'\nindependent = true\n";
        let rules = read(&[Source { name: "f", text }], None).rules.unwrap();
        let split = |text: &&str| text.split("; ").map(str::to_string).collect();
        explain(&transactions.iter().map(split).collect::<Vec<_>>(), &rules, &mut Letters)
    }

    #[test]
    fn groups_are_shown_with_what_keeps_two_apart() {
        assert_eq!(
            explained(&["w1", "w2", "r1; r5", "a", "r*", "!"]).unwrap(),
            "\
1: w1
   w1
2: w2
   w2
   by `seldom`: touches nothing
3: r1; r5
   r1
   r5
4: a
   a
5: r*
   r*
6: !
   everything
group 1: 1, 2, 4
group 2: 3, 5
   3 after 1: 3 reads a row of item, 1 writes a row of item
   5 after 1: 5 reads item, 1 writes a row of item
group 3: 6
   6 after 3: 6 may touch everything
"
        );
    }

    #[test]
    fn a_statement_that_is_not_taken_is_the_answer() {
        assert_eq!(explained(&["w1", "x"]), Err("x is unknown".into()));
    }
}
