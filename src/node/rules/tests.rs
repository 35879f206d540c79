//! The rules that come with EveSQL against the translation, `evesql rules check`, and reloading.

use super::schema::Schema;
use super::watcher::Polled;
use super::*;
use crate::footprint::Footprint;
use crate::mixer::rules::{RuleSet, Statement};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn told(findings: Vec<Finding>) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_rules_of_the_repository_are_sound_for_their_schemas() {
    for program in ["tpcw", "pgbench", "sysbench"] {
        let rules = repository().join(format!("sql-mixer-rules/{program}.toml"));
        let schema = repository().join(format!("testdata/rules/{program}.sql"));
        assert_eq!(told(check_rules(&rules, Some(&schema)).unwrap()), [""; 0], "{program}");
    }
    assert_eq!(told(check_rules(&repository().join("sql-mixer-rules"), None).unwrap()), [""; 0], "all together");
}

/// Which rule a statement falls under after translation.
fn rule_of(rules: &RuleSet, schema: &Schema, sql: &str) -> String {
    let prepared = match schema.translate(sql) {
        Ok(prepared) => prepared,
        Err(error) => return format!("! {}", error.message),
    };
    let texts: Vec<_> = prepared.iter().flat_map(|prepared| prepared.sql.iter()).collect();
    let found: Vec<_> = texts.iter().map(|sql| rules.find(sql)).collect();
    let derived = Footprint::everything();
    let parameters: Vec<_> = (0..30).map(crate::transaction::Value::Integer).collect();
    let statement = |found| Statement { found, parameters: &parameters, footprint: &derived };
    let statements: Vec<Statement<'_>> = found.iter().map(statement).collect();
    match rules.refine(&statements, &|_: &str, _: &[(&str, &crate::transaction::Value)]| None) {
        Some(refined) => format!("{}: {} items", refined.rules.join(", "), refined.footprint.items.len()),
        None => "none".into(),
    }
}

/// Cases are statements, up to `----` and the rule that they fall under. `REWRITE=1` writes them anew.
#[test]
fn statements_of_the_programs_fall_under_their_rules() {
    let mut wrong = String::new();
    for program in ["tpcw", "pgbench", "sysbench"] {
        let files = read_files(&repository().join(format!("sql-mixer-rules/{program}.toml"))).unwrap();
        let rules = parse(&files, None).rules.unwrap();
        let schema = Schema::from_file(&repository().join(format!("testdata/rules/{program}.sql"))).unwrap();
        let path = repository().join(format!("testdata/rules/{program}.txt"));
        let before = fs::read_to_string(&path).unwrap();
        let mut now = String::new();
        for block in before.trim_end().split("\n\n") {
            match block.split_once("\n----") {
                Some((sql, _)) => writeln!(now, "{sql}\n----\n{}\n", rule_of(&rules, &schema, sql)).unwrap(),
                None => writeln!(now, "{block}\n").unwrap(),
            }
        }
        let now = now.trim_end().to_string() + "\n";
        if std::env::var_os("REWRITE").is_some() {
            fs::write(&path, now).unwrap();
        } else if before != now {
            writeln!(wrong, "{}:\n{now}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_statement_that_the_translation_changes_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (rules, schema) = (directory.path().join("a.toml"), directory.path().join("schema.sql"));
    fs::write(&schema, "SET x = 1; CREATE TABLE t (a int PRIMARY KEY, b text); SELECT 1;").unwrap();
    fs::write(
        &rules,
        "[[rule]]\nname = 'star'\nmatch = 'SELECT * FROM t WHERE a = $1'\nreads = ['t(a = $1)', 'u']\n\
         [[rule]]\nname = 'good'\nmatch = 'UPDATE t SET b = $new WHERE a = $key'\nwrites = ['t(a = $key)']\n\
         [[rule]]\nname = 'refused'\nmatch = 'DELETE FROM nosuch'\nwrites = ['t']\n",
    )
    .unwrap();
    let file = rules.display().to_string();
    assert_eq!(
        told(check_rules(directory.path(), Some(&schema)).unwrap()),
        [
            format!(
                "{file}:3:9: this never matches, since it becomes `SELECT t.a, t.b FROM t WHERE t.a = ?1`; write `..` for the part that differs"
            ),
            format!("{file}:4:23: there is no table `u`, so this is never touched"),
            format!("{file}:11:9: this is refused: relation \"nosuch\" does not exist"),
        ]
    );
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let words = |rules: &Path, schema: Option<&Path>| check_rules(rules, schema).unwrap_err().to_string();
    assert!(words(&directory.path().join("no.toml"), None).starts_with("cannot read the rules in "));
    assert!(words(directory.path(), None).contains("it holds no .toml file"));
    let (rules, schema) = (directory.path().join("a.toml"), directory.path().join("schema.sql"));
    fs::write(&rules, "").unwrap();
    assert!(check_rules(&rules, None).unwrap().is_empty());
    assert!(words(&rules, Some(&schema)).starts_with("cannot use the schema in "));
    fs::write(&schema, "CREATE TABLE t (a nosuchtype)").unwrap();
    assert!(words(&rules, Some(&schema)).contains("nosuchtype"));
}

const ONE: &str = "[[rule]]\nname = 'one'\nmatch = 'DELETE FROM t'\nwrites = ['t']\n";
const TWO: &str = "[[rule]]\nname = 'two'\nmatch = 'DELETE FROM u'\nwrites = ['u']\n";

#[test]
fn rules_are_reloaded_when_files_come_change_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a.toml"), directory.path().join("b.toml"));
    fs::write(&a, ONE).unwrap();
    fs::write(directory.path().join("README.md"), "no rules").unwrap();
    let mut watcher = RulesWatcher::open(directory.path()).unwrap();
    let rules = watcher.rules();
    let old = rules.load();
    assert_eq!(old.len(), 1);
    assert!(matches!(watcher.poll(), Polled::Unchanged));
    fs::write(&b, TWO).unwrap();
    assert!(matches!(watcher.poll(), Polled::Reloaded));
    assert_eq!((rules.load().len(), old.len()), (2, 1), "those in use stay as they are");
    fs::remove_file(&a).unwrap();
    assert!(matches!(watcher.poll(), Polled::Reloaded));
    assert!(rules.load().find("DELETE FROM t").is_nothing());
    // The same length, and perhaps the same time.
    fs::write(&b, TWO.replace("FROM u", "FROM w")).unwrap();
    assert!(matches!(watcher.poll(), Polled::Reloaded));
    assert!(!rules.load().find("DELETE FROM w").is_nothing());
    assert!(matches!(watcher.poll(), Polled::Unchanged));
}

#[test]
fn mistakes_keep_the_old_rules_and_are_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.toml");
    fs::write(&file, ONE).unwrap();
    let mut watcher = RulesWatcher::open(directory.path()).unwrap();
    fs::write(&file, "[[rule]]\nname = 'x'\n").unwrap();
    match watcher.poll() {
        Polled::Kept(error) => assert!(error.to_string().contains("a.toml:2:8: this rule matches nothing"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(watcher.poll(), Polled::Unchanged));
    assert!(!watcher.rules().load().find("DELETE FROM t").is_nothing());
    fs::write(&file, TWO).unwrap();
    assert!(matches!(watcher.poll(), Polled::Reloaded));
    assert!(!watcher.rules().load().find("DELETE FROM u").is_nothing());
    fs::rename(directory.path(), directory.path().with_extension("away")).unwrap();
    assert!(matches!(watcher.poll(), Polled::Kept(RulesError::Unreadable { .. })));
    assert!(matches!(watcher.poll(), Polled::Unchanged));
    fs::rename(directory.path().with_extension("away"), directory.path()).unwrap();
    assert!(matches!(watcher.poll(), Polled::Unchanged));
    assert!(RulesWatcher::open(&directory.path().join("nosuch")).is_err());
}

#[test]
fn a_thread_follows_the_files_and_ends_when_nobody_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.toml"), ONE).unwrap();
    let watched = WatchedRules::start_polling(directory.path(), Duration::from_millis(5)).unwrap();
    let rules = watched.rules();
    fs::write(directory.path().join("b.toml"), TWO).unwrap();
    let deadline = SystemTime::now() + Duration::from_secs(30);
    while rules.load().len() < 2 {
        assert!(SystemTime::now() < deadline, "the second file is not seen");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(watched);
    assert_eq!(rules.load().len(), 2, "they stay in force");
}

#[test]
fn old_files_are_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.toml");
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let write = |text: &str| {
        fs::write(&file, text).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(an_hour_ago).unwrap();
    };
    write(ONE);
    let mut watcher = RulesWatcher::open(directory.path()).unwrap();
    // Who sets the time back by hand is not seen; so this shows that nothing was read.
    write(&ONE.replace("FROM t", "FROM w"));
    assert!(matches!(watcher.poll(), Polled::Unchanged));
    write(&format!("{ONE}\n"));
    assert!(matches!(watcher.poll(), Polled::Reloaded), "another length");
}
