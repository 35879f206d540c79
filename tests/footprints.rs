//! Footprints are sound: transactions that are judged independent have the same answers and leave the same rows in
//! either order, and one that captured changes do not touch answers and writes as if they had not been made.
//!
//! `FOOTPRINTS_SCHEMAS=n` tries so many schemas, `FOOTPRINTS_SEED=n` begins at another one; a failure names its seed.

#[path = "footprint_cases/mod.rs"]
mod footprint_cases;
mod generator;

use evesql::engine::{Connection, Context, Draws, Failure, Options};
use evesql::footprint::{self, ChangeSet, Footprint, Templates};
use evesql::page::Hash;
use evesql::page_store::sqlite::RowChange;
use evesql::transaction::{Operation, Statement as Step, Transaction, TransactionId, Value};
use footprint_cases::{Schema, Statement};
use generator::Random;
use std::sync::Arc;

const PAIRS_PER_SCHEMA: u64 = 100;

/// A database with a generated schema and some rows, inside a transaction that is never committed.
struct World {
    seed: u64,
    schema: Schema,
    known: footprint::Schema,
    connection: Connection,
    templates: Templates,
}

type Case = Vec<Statement>;

#[derive(Debug, PartialEq)]
struct Seen {
    answers: [Vec<String>; 2],
    rows: Vec<Vec<String>>,
}

impl World {
    fn new(seed: u64, random: &mut Random) -> World {
        let schema = Schema::generate(random);
        let mut connection = Connection::in_memory(Options::default()).unwrap();
        for sql in &schema.sql {
            connection.control(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        connection.control("BEGIN").unwrap();
        let known = connection.footprint_schema().unwrap();
        let mut world = World { seed, schema, known, connection, templates: Templates::new(64) };
        for row in world.schema.fill(random) {
            world.run(&vec![row], 0);
        }
        world
    }

    /// The answers of a transaction, or the error that ended it.
    fn run(&mut self, case: &Case, seed: u64) -> Vec<String> {
        let connection = &mut self.connection;
        connection.begin_context(Context::new(0, seed, Draws::Live));
        connection.control("SAVEPOINT evesql_transaction").unwrap();
        let mut answers = Vec::new();
        for (at, (sql, parameters)) in case.iter().enumerate() {
            connection.begin_statement(at as u32, &[], &[]);
            let answer = connection.answer(&[Arc::from(sql.as_str())], parameters, None);
            match answer.and_then(|answer| connection.end_statement().map(|_| answer)) {
                Ok(answer) => answers.push(format!("{:?} {}", answer.rows.to_vec(), answer.changes)),
                Err(Failure::Sql(error)) => {
                    answers.push(format!("{} {}", error.code(), error.message));
                    connection.control("ROLLBACK TO evesql_transaction").unwrap();
                    break;
                }
                Err(Failure::Local(error)) => panic!("{sql}: {error:?}"),
            }
        }
        if connection.has_deferred_violations() {
            answers.push("deferred".into());
            connection.control("ROLLBACK TO evesql_transaction").unwrap();
        }
        connection.control("RELEASE evesql_transaction").unwrap();
        answers
    }

    fn rows(&mut self) -> Vec<Vec<String>> {
        let names = self.schema.tables.iter().map(|table| table.name.as_str());
        let all = names.chain(["evesql_sequences"]).map(|name| {
            let rows = self.connection.query(&format!("SELECT * FROM {name}"), &[]).unwrap();
            let mut rows: Vec<String> = rows.iter().map(|row| format!("{name} {row:?}")).collect();
            rows.sort();
            rows
        });
        all.collect()
    }

    /// Does something and undoes it.
    fn aside<T>(&mut self, run: impl FnOnce(&mut World) -> T) -> T {
        self.connection.control("SAVEPOINT evesql_aside").unwrap();
        let result = run(self);
        self.connection.control("ROLLBACK TO evesql_aside").unwrap();
        self.connection.control("RELEASE evesql_aside").unwrap();
        result
    }

    fn footprint(&mut self, case: &Case) -> Footprint {
        let step = |(sql, parameters): &Statement| {
            Operation::Statement(Step {
                sql: vec![sql.as_str().into()],
                parameters: parameters.clone(),
                ..Step::default()
            })
        };
        let transaction = Transaction {
            id: TransactionId::default(),
            database: "db".into(),
            catalog: Hash::of(b""),
            begun: None,
            expires_at_index: 0,
            operations: case.iter().map(step).collect(),
        };
        let (connection, known) = (&mut self.connection, &self.known);
        self.templates.footprint(Hash::of(b""), &transaction, |sql| connection.template(sql, known))
    }

    fn differs_by_order(&mut self, a: &Case, b: &Case) -> Option<String> {
        let forth = self.aside(|world| Seen { answers: [world.run(a, 1), world.run(b, 2)], rows: world.rows() });
        let back = self.aside(|world| {
            let b = world.run(b, 2);
            Seen { answers: [world.run(a, 1), b], rows: world.rows() }
        });
        (forth != back).then(|| format!("{forth:#?}\n---- and in the other order ----\n{back:#?}"))
    }

    /// What a single statement changes; none if it draws numbers, which are written back later.
    fn changes(&mut self, case: &Case) -> Option<Vec<RowChange>> {
        let [(sql, parameters)] = case.as_slice() else { return None };
        if sql.contains("nextval") {
            return None;
        }
        self.connection.begin_context(Context::new(0, 2, Draws::Live));
        let sql = [Arc::from(sql.as_str())];
        let changes = self.connection.attempt(&sql, parameters, None, |_, changes| changes).unwrap();
        // Hidden rowids are given out where changes are applied.
        Some(changes.into_iter().map(|change| RowChange { rowids: (0, 0), ..change }).collect())
    }

    fn differs_by_changes(&mut self, a: &Case, b: &Case) -> Option<String> {
        let alone = self.aside(|world| (world.changes(b), world.run(b, 2)));
        let after = self.aside(|world| {
            world.run(a, 1);
            (world.changes(b), world.run(b, 2))
        });
        (alone != after).then(|| format!("{alone:#?}\n---- and after the changes ----\n{after:#?}"))
    }

    fn is_untouched(&mut self, a: &Case, b: &Case) -> bool {
        let Some(changes) = self.changes(a) else { return false };
        let mut set = ChangeSet::default();
        for change in &changes {
            set.add(&self.known, &change.table, change.old.as_deref(), change.new.as_deref());
        }
        let footprint = self.footprint(b);
        !set.is_empty() && !set.touches(&footprint)
    }

    fn fail(&mut self, why: &str, a: &Case, b: &Case, difference: &str) -> ! {
        let mut shown = String::new();
        for (name, case) in [("A", a), ("B", b)] {
            for (sql, parameters) in case {
                let template = self.connection.template(sql, &self.known);
                let touched = template.describe(parameters).join(", ");
                shown += &format!("{name}: {sql} {parameters:?}\n   {touched}\n");
            }
        }
        let schema = self.schema.sql[2..].join("\n");
        panic!("seed {}: {why}\n{schema}\n{shown}{difference}", self.seed);
    }
}

/// Leaves out statements as long as it goes on failing.
fn shrink(mut a: Case, mut b: Case, mut fails: impl FnMut(&Case, &Case) -> bool) -> (Case, Case) {
    loop {
        let without = |case: &Case, at: usize| {
            let mut case = case.clone();
            case.remove(at);
            case
        };
        if let Some(shorter) = (0..a.len()).map(|at| without(&a, at)).find(|shorter| fails(shorter, &b)) {
            a = shorter;
        } else if let Some(shorter) = (0..b.len()).map(|at| without(&b, at)).find(|shorter| fails(&a, shorter)) {
            b = shorter;
        } else {
            return (a, b);
        }
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
#[cfg_attr(feature = "unsound-footprints", should_panic(expected = "judged independent"))]
fn transactions_that_are_judged_independent_commute() {
    let first = from_environment("FOOTPRINTS_SEED", 1);
    let (mut pairs, mut independent, mut untouched, mut effective) = (0, 0, 0, 0);
    for seed in first..first + from_environment("FOOTPRINTS_SCHEMAS", 250) {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, &mut random);
        for _ in 0..PAIRS_PER_SCHEMA {
            let focus = world.schema.focus(&mut random);
            let mut case = || -> Case {
                let statements = 1 + random.below(3) * random.below(2);
                (0..statements).map(|_| world.schema.statement(&mut random, &focus)).collect()
            };
            let (mut a, mut b) = (case(), case());
            if random.chance(2)
                && let Some((first, second)) = world.schema.relation(&mut random)
            {
                (a, b) = if random.chance(2) { (vec![first], vec![second]) } else { (vec![second], vec![first]) };
            }
            pairs += 1;
            if !world.footprint(&a).conflicts(&world.footprint(&b)) {
                independent += 1;
                if world.differs_by_order(&a, &b).is_some() {
                    let (a, b) = shrink(a, b, |a, b| {
                        !world.footprint(a).conflicts(&world.footprint(b)) && world.differs_by_order(a, b).is_some()
                    });
                    let difference = world.differs_by_order(&a, &b).unwrap_or_default();
                    world.fail("judged independent, and their order matters", &a, &b, &difference);
                }
                let before = world.aside(World::rows);
                effective += u64::from(world.aside(|world| {
                    world.run(&a, 1);
                    world.rows() != before
                }));
            }
            if world.is_untouched(&a, &b) {
                untouched += 1;
                if let Some(difference) = world.differs_by_changes(&a, &b) {
                    world.fail("judged untouched by changes, and they matter", &a, &b, &difference);
                }
            }
        }
    }
    println!("{pairs} pairs, {independent} independent ({effective} with a first that writes), {untouched} untouched");
    assert!(independent * 10 > pairs && untouched * 30 > pairs && effective * 30 > pairs, "too few to say anything");
}

/// Rows of COPY, numbers drawn before, and texts that are not understood.
#[test]
fn footprints_of_transactions_cover_all_their_statements() {
    let mut connection = Connection::in_memory(Options::default()).unwrap();
    connection.control("CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER)").unwrap();
    connection.control("CREATE TABLE other(id INTEGER PRIMARY KEY)").unwrap();
    let known = connection.footprint_schema().unwrap();
    let mut templates = Templates::new(2);
    let mut footprint = |steps: Vec<Step>| {
        let transaction = Transaction {
            id: TransactionId::default(),
            database: "db".into(),
            catalog: Hash::of(b""),
            begun: None,
            expires_at_index: 0,
            operations: std::iter::once(Operation::Savepoint("SAVEPOINT a".into()))
                .chain(steps.into_iter().map(Operation::Statement))
                .collect(),
        };
        templates.footprint(Hash::of(b"1"), &transaction, |sql| connection.template(sql, &known))
    };
    let step = |sql: &[&str]| Step { sql: sql.iter().map(|sql| Arc::from(*sql)).collect(), ..Step::default() };
    let read = |id| Step { parameters: vec![Value::Integer(id)], ..step(&["SELECT * FROM t WHERE id = ?1"]) };
    let copy = |ids: std::ops::Range<i64>| Step {
        rows: Some(ids.map(|id| vec![Value::Integer(id), Value::Null]).collect()),
        ..step(&["INSERT INTO t VALUES (?1, ?2)"])
    };
    let copied = footprint(vec![copy(1..4)]);
    assert!(copied.conflicts(&footprint(vec![read(3)])));
    assert!(!copied.conflicts(&footprint(vec![read(4)])));
    assert!(footprint(vec![copy(1..2_000)]).conflicts(&footprint(vec![read(-4)])));
    assert!(footprint(vec![read(9), copy(1..4)]).conflicts(&copied));
    let drawing = |drawn: &[i64]| Step {
        drawn: drawn.to_vec(),
        ..step(&["INSERT INTO t(id) VALUES (evesql_nextval(7)), (evesql_nextval(7))"])
    };
    assert!(footprint(vec![drawing(&[])]).conflicts(&footprint(vec![read(4)])));
    assert!(!footprint(vec![drawing(&[2, 3])]).conflicts(&footprint(vec![read(4)])));
    assert!(footprint(vec![drawing(&[2, 3])]).conflicts(&footprint(vec![read(3)])));
    assert!(footprint(vec![drawing(&[2])]).conflicts(&footprint(vec![read(4)])), "the second number is not known");
    let both = footprint(vec![step(&["DELETE FROM other WHERE id = 1", "DELETE FROM t WHERE id = 5"])]);
    assert!(both.conflicts(&footprint(vec![read(5)])) && !both.conflicts(&footprint(vec![read(6)])));
    assert!(footprint(vec![read(1), step(&["PRAGMA foreign_keys = 0"])]).everything);
    assert!(footprint(vec![Step { changes_schema: true, ..step(&["SELECT 1"]) }]).everything);
}
