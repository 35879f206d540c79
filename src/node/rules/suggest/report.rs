//! What is told beside the rules.

use super::SuggestError;
use super::compare::Line;
use super::observe::{Counts, Observed};
use super::stored::Stored;
use crate::mixer::suggest::{CONFLICTS_MIN, Caused, PEERS_MAX, REAL_PERCENT_MAX, causes};
use crate::transaction::shortened;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Causes that are shown, and characters of a statement's text.
const CAUSES_SHOWN: usize = 8;
const TEXT_SHOWN: usize = 100;

pub(super) fn render(
    stored: &Stored,
    observed: &Observed,
    suggested: usize,
    lines: &[Line],
    workers: usize,
) -> Result<String, SuggestError> {
    let mut out = String::new();
    let Counts { batches, transactions, unfit, replayed, compared } = observed.counts;
    let _ = writeln!(
        out,
        "looked at {batches} batches with {transactions} transactions of node {}, behind log index {}; {compared} of \
         the batches have a known root, and gave it again",
        stored.node,
        stored.first(),
    );
    let unaccepted = stored.unaccepted()?;
    for (count, what) in [
        (unfit, "transactions were left out: they never run beside others"),
        (replayed, "batches had been replayed one by one"),
        (unaccepted, "batches at the end of the log were left out: nothing says that they were accepted"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{count} {what}");
        }
    }
    if batches == 0 {
        let _ = writeln!(
            out,
            "the newest checkpoint stands at the end of the log, so there is nothing to run again; take the files of a \
             node that ended under load, or a copy of them that was made under load"
        );
    }
    let sums = observed.tally.sums(|kind| observed.worth.contains(&kind));
    let _ = writeln!(
        out,
        "{} pairs compared, each transaction with {PEERS_MAX} before it at most: {} conflict by derivation, {} of them \
         falsely, {} really; of the false ones {} are about single rows, which rules do not help",
        sums.compared,
        sums.conflicts,
        sums.conflicts - sums.real,
        sums.real,
        sums.on_rows,
    );
    tell_causes(&mut out, observed);
    let threshold = format!(
        "a statement needs {CONFLICTS_MIN} false conflicts, and no more than {REAL_PERCENT_MAX} % real ones among all"
    );
    let _ = match suggested {
        0 => writeln!(out, "nothing to suggest: {threshold}"),
        1 => writeln!(out, "1 rule suggested: {threshold}"),
        count => writeln!(out, "{count} rules suggested: {threshold}"),
    };
    let speed_up = format!("speed-up at most on {workers}");
    let _ = writeln!(
        out,
        "{:<26}{:>8}{:>8}{:>10}{:>8}{:>8}  {speed_up}",
        "", "groups", "ahead", "together", "widest", "again"
    );
    for line in lines {
        let together = line.ahead as f64 / line.parts.max(1) as f64;
        let Line { name, groups, ahead, width, again, .. } = line;
        let speed_up = line.speed_up_max();
        let _ = writeln!(out, "{name:<26}{groups:>8}{ahead:>8}{together:>10.1}{width:>8}{again:>8}  {speed_up:.2}");
    }
    if let (true, [.., before, with]) = (suggested > 0, lines)
        && with.speed_up_max() <= before.speed_up_max()
    {
        let _ =
            writeln!(out, "on this machine the suggestions gain nothing: leave them out, or try them with more load");
    }
    Ok(out)
}

/// The statements that conflict falsely most, whether a rule is suggested for them or not.
fn tell_causes(out: &mut String, observed: &Observed) {
    let causes = causes(&observed.tally, |kind| observed.worth.contains(&kind));
    for Caused { cause, conflicts, real } in causes.iter().take(CAUSES_SHOWN) {
        let Some((_, statement)) = observed.statements.get(cause.statement as usize) else { continue };
        let (tables, text) = (statement.names(&BTreeSet::from([cause.space])), &statement.written.text);
        let _ = writeln!(
            out,
            "   {} false and {real} real by all of {tables} in {}",
            conflicts - real,
            shortened(text, TEXT_SHOWN)
        );
    }
}
