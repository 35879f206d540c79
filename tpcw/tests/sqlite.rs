//! The whole workload on SQLite: filled, browsed by several browsers at once, checked; and damage, which checks find.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tpcw::browser::{Browser, Habits, Told};
use tpcw::check::{self, Claims};
use tpcw::connection::{Connection, Way};
use tpcw::navigation::{INTERACTIONS, Interaction, Mix, Navigation};
use tpcw::population::{Population, Scale};
use tpcw::run::{self, Options};
use tpcw::session::{Database, Session, Synchronous, database};

/// A filled shop, which tests copy.
static FILLED: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("filled.db");
    let mut session = open(&file).open().unwrap();
    let population = Population::new(Scale { items: 100, ebs: 1, seed: 1 });
    population.load(session.as_mut(), false, &mut |_| ()).unwrap();
    (directory, file)
});

fn open(file: &std::path::Path) -> Arc<dyn Database> {
    database(&format!("sqlite:{}", file.display()), Synchronous::Normal).unwrap()
}

/// A shop of a test's own.
fn shop() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("shop.db");
    std::fs::copy(&FILLED.1, &file).unwrap();
    (directory, file)
}

fn findings(session: &mut dyn Session, claims: Option<Claims<'_>>) -> Vec<String> {
    check::check(session, claims).unwrap().sentences
}

/// One browser alone asks for so many pages; how often which, and what it was told.
fn walk(database: &Arc<dyn Database>, mix: Mix, pages: usize, seed: u64) -> ([usize; INTERACTIONS], Told) {
    let sizes = check::sizes(database.open().unwrap().as_mut()).unwrap();
    let habits = Habits { think_mean: Duration::ZERO, session_mean: Duration::from_secs(3_600) };
    let nonce = u64::MAX - seed;
    let way = Way::Own(Connection::new(database.clone()));
    let mut browser = Browser::new(1, seed, nonce, sizes, Navigation::of(mix), habits, way);
    let mut counts = [0; INTERACTIONS];
    for _ in 0..pages {
        let visited = browser.visit();
        visited.outcome.unwrap_or_else(|error| panic!("{}: {error}", visited.page));
        counts[visited.page as usize] += 1;
    }
    (counts, browser.into_told())
}

#[test]
fn every_page_works_and_a_seed_replays_a_browser() {
    let walk = || {
        let (_directory, file) = shop();
        let database = open(&file);
        let mut session = database.open().unwrap();
        let mut log = String::new();
        let mut seen = [0; INTERACTIONS];
        for mix in Mix::ALL {
            let before = check::counts(session.as_mut()).unwrap();
            let (counts, told) = walk(&database, mix, 1_500, 5 + mix as u64);
            assert_eq!(findings(session.as_mut(), Some(Claims { told: &told, before })), [""; 0], "{mix}");
            seen.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            log += &format!("{counts:?} {told:?}");
        }
        for page in Interaction::ALL {
            assert!(seen[page as usize] > 0, "{page}");
        }
        log
    };
    assert_eq!(walk(), walk());
}

#[test]
fn browsers_side_by_side_leave_the_shop_sound() {
    let (_directory, file) = shop();
    let database = open(&file);
    for (mix, pool) in [(Mix::Ordering, None), (Mix::Shopping, Some(2))] {
        let options = Options {
            mix,
            clients: 4,
            pool,
            think: Duration::ZERO,
            // Some users leave, and leave their carts behind.
            session: Duration::from_millis(200),
            warm_up: Duration::from_millis(100),
            measure: Duration::from_millis(600),
            ..Options::default()
        };
        let outcome = run::run(&database, &options, &mut |_| ()).unwrap();
        assert!(!outcome.failed && outcome.failures.is_empty(), "{mix}: {:?}", outcome.failures);
        let claims = Claims { told: &outcome.told, before: outcome.before };
        assert_eq!(findings(database.open().unwrap().as_mut(), Some(claims)), [""; 0], "{mix}");
        let report = &outcome.report;
        // What the warm-up did is told as well.
        let bought = report.interactions[Interaction::BuyConfirm as usize].count;
        assert!(report.all.count > 0 && outcome.told.orders.len() as u64 >= bought, "{report}");
    }
}

#[test]
fn pages_of_the_warm_up_are_not_counted() {
    let (_directory, file) = shop();
    let options = Options {
        clients: 2,
        think: Duration::ZERO,
        warm_up: Duration::from_millis(300),
        measure: Duration::ZERO,
        ..Options::default()
    };
    let outcome = run::run(&open(&file), &options, &mut |_| ()).unwrap();
    assert_eq!(outcome.report.all.count, 0, "{}", outcome.report);
}

#[test]
fn damage_is_found() {
    let (_directory, file) = shop();
    let database = open(&file);
    let mut session = database.open().unwrap();
    let before = check::counts(session.as_mut()).unwrap();
    let (_, mut told) = walk(&database, Mix::Ordering, 300, 1);
    let (_, other) = walk(&database, Mix::Ordering, 300, 2);
    told.add(other);
    let order = told.orders.first().expect("something was bought");
    let (id, cart) = (order.id, order.cart);
    let open_cart = told.open_carts.iter().find(|cart| !cart.lines.is_empty()).expect("a cart is full").id;
    let claims = Some(Claims { told: &told, before });
    assert_eq!(findings(session.as_mut(), claims), [""; 0]);
    let damages = [
        (format!("UPDATE orders SET o_sub_total = o_sub_total + 1 WHERE o_id = {id}"), "its lines make"),
        ("UPDATE orders SET o_tax = o_tax + 1 WHERE o_id = 7".into(), "order 7 has the amounts"),
        ("UPDATE order_line SET ol_qty = ol_qty + 1 WHERE ol_o_id = 8 AND ol_id = 1".into(), "order 8 has the amounts"),
        ("DELETE FROM order_line WHERE ol_o_id = 9".into(), "order 9 has no lines"),
        ("UPDATE order_line SET ol_o_id = 1000000 WHERE ol_o_id = 9".into(), "order lines have no order"),
        ("UPDATE order_line SET ol_i_id = 0 WHERE ol_o_id = 9 AND ol_id = 1".into(), "1 order lines have no item"),
        ("UPDATE order_line SET ol_comments = 'cheap' WHERE ol_o_id = 9".into(), "order 9 cannot be added up"),
        ("UPDATE orders SET o_c_id = 0 WHERE o_id = 7".into(), "1 orders have no customer"),
        ("DELETE FROM cc_xacts WHERE cx_o_id = 7".into(), "its card transaction is None"),
        ("UPDATE cc_xacts SET cx_xact_amt = cx_xact_amt - 1 WHERE cx_o_id = 7".into(), "its card transaction is Some"),
        ("UPDATE cc_xacts SET cx_o_id = 1000000 WHERE cx_o_id = 7".into(), "1 card transactions have no order"),
        ("UPDATE item SET i_stock = i_stock + 1 WHERE i_id = 5".into(), "the stock of item 5"),
        ("UPDATE item SET i_stock = i_stock - 21 WHERE i_id = 5".into(), "and the rule is 10"),
        (format!("UPDATE orders SET o_id = 1000000 WHERE o_id = {id}"), "was acknowledged and is not there"),
        (format!("UPDATE orders SET o_c_id = o_c_id % 2880 + 1 WHERE o_id = {id}"), "and was acknowledged as"),
        (format!("INSERT INTO shopping_cart_line VALUES ({cart}, 1, 1)"), "was bought and is not empty"),
        (format!("DELETE FROM shopping_cart_line WHERE scl_sc_id = {open_cart}"), "its browser had put in"),
        ("INSERT INTO shopping_cart_line VALUES (1000000, 1, 1)".into(), "1 cart lines have no cart"),
        (
            format!("UPDATE shopping_cart_line SET scl_i_id = -scl_i_id WHERE scl_sc_id = {open_cart}"),
            "cart lines have no item",
        ),
        (
            "INSERT INTO orders SELECT 1000000, o_c_id, o_date, 0, 0, 0, '', o_date, 1, 1, '' FROM orders LIMIT 1"
                .into(),
            "new orders",
        ),
        ("INSERT INTO customer (c_uname) VALUES ('x')".into(), "new customers"),
        ("INSERT INTO address (addr_co_id) VALUES (1)".into(), "new addresses"),
        ("DELETE FROM shopping_cart WHERE sc_id = (SELECT max(sc_id) FROM shopping_cart)".into(), "new carts"),
    ];
    session.script("PRAGMA foreign_keys = off").unwrap();
    for (damage, finding) in damages {
        session.script(&format!("BEGIN; {damage}")).unwrap();
        let found = findings(session.as_mut(), claims);
        assert!(found.iter().any(|sentence| sentence.contains(finding)), "{damage}: {found:?}");
        session.script("ROLLBACK").unwrap();
    }
}

#[test]
fn a_page_that_fails_for_good_fails_the_run() {
    let (directory, file) = shop();
    open(&file).open().unwrap().script("PRAGMA foreign_keys = off; DROP TABLE author").unwrap();
    let url = format!("sqlite:{}", file.display());
    let json = directory.path().join("result.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tpcw"))
        .args(["run", "--url", &url, "--clients", "2", "--seconds", "1", "--warm-up", "0", "--think-ms", "0", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no such table: author"), "{told}");
    let report: run::Report = json5::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert!(report.all.failures > 0 && report.setting.clients == 2);
}

#[test]
fn a_url_that_is_none_is_wrong_usage_and_a_missing_shop_a_failure() {
    let status = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tpcw")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = status(&["check", "--url", "localhost"]);
    assert_eq!(code, Some(2), "{told}");
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite:{}", directory.path().join("none.db").display());
    let (code, told) = status(&["run", "--url", &url]);
    assert!(code == Some(1) && told.contains("tpcw load"), "{told}");
    assert_eq!(status(&["run", "--url", &url, "--mix", "reading"]).0, Some(2));
}
