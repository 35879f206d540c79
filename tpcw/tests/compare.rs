//! A comparison from its start to its page, with the contestants that need no server.

use std::path::Path;
use std::time::Duration;
use tpcw::compare::contestant::{EveSql, Kind};
use tpcw::compare::table::Table;
use tpcw::compare::{Options, compare, html};
use tpcw::navigation::Mix;
use tpcw::population::Scale;
use tpcw::session::Synchronous;

/// These, for a moment; an `evesql` is nowhere.
fn options(kinds: Vec<Kind>, data: &Path) -> Options {
    Options {
        kinds,
        mixes: vec![Mix::Ordering, Mix::Browsing],
        clients: vec![1, 2],
        warm_up: Duration::ZERO,
        measure: Duration::from_millis(200),
        passes: 2,
        think: Duration::ZERO,
        scale: Scale { items: 100, ebs: 1, seed: 1 },
        data: data.into(),
        evesql: data.join("nowhere"),
    }
}

#[test]
fn contestants_take_turns_and_the_page_shows_all_of_them() {
    let data = tempfile::tempdir().unwrap();
    let kinds = vec![Kind::Sqlite(Synchronous::Full), Kind::Sqlite(Synchronous::Normal)];
    let options = options(kinds, data.path());
    let comparison = compare(&options, "tpcw compare <these>".into(), &mut |_| ()).unwrap();
    assert_eq!(comparison.findings, Vec::<String>::new());
    let turns: Vec<(&str, usize)> =
        comparison.passes.iter().map(|pass| (pass.contestant.as_str(), pass.report.setting.clients)).collect();
    let (full, normal) = ("SQLite", "SQLite, not durable");
    assert_eq!(turns[..6], [(full, 1), (normal, 1), (normal, 1), (full, 1), (full, 2), (normal, 2)]);
    assert_eq!(turns.len(), 16);
    for pass in &comparison.passes {
        assert!(pass.report.wips > 0.0 && pass.spent.is_some_and(|spent| spent.cpu_s >= 0.0), "{pass:?}");
    }
    let spread = comparison.wips(full, Mix::Ordering, 2);
    assert!(spread.min <= spread.median && spread.median <= spread.max && spread.min > 0.0, "{spread:?}");
    let (table, page) = (Table(&comparison).to_string(), html::page(&comparison).unwrap());
    for shown in [full, normal, "ordering", "WIPSb"] {
        assert!(table.contains(shown) && page.contains(shown), "{shown} is not shown");
    }
    // Throughput for each number of browsers; for each mix against browsers, latency, stages.
    assert_eq!(page.matches("<svg").count(), 2 + 2 * 3);
    assert!(page.contains("&lt;these&gt;") && !page.contains("<these>"));
    let read = json5::from_str::<tpcw::compare::Comparison>(&serde_json::to_string(&comparison).unwrap()).unwrap();
    assert_eq!(Table(&read).to_string(), table);
}

#[test]
fn a_contestant_that_cannot_start_is_told_in_one_sentence() {
    let data = tempfile::tempdir().unwrap();
    let options = options(vec![Kind::EveSql(EveSql::plain(3))], data.path());
    let error = compare(&options, String::new(), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("nowhere cannot be started"), "{error}");
}
