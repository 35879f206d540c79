//! Generated transactions over a schema that holds everything which once made replicas differ: overflow
//! pages, splitting indexes, REPLACE, cascades, triggers, WITHOUT ROWID, FTS5, wide tables, identity columns, DDL
//! that stays, DDL that rolls back and other DDL after it, ANALYZE. One seed gives one sequence.

#![allow(dead_code, reason = "each test uses its part")]

/// A small generator of numbers; statistical quality is no concern here.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// One step of a generated transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Statement(String),
    Savepoint(String),
}

/// A generated transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    pub steps: Vec<Step>,
    /// Uses functions of ours: stock SQLite cannot run it.
    pub ours_only: bool,
    /// Written in Postgres SQL: it goes through the dialect first.
    pub is_postgres: bool,
}

impl Generated {
    pub fn of(statements: impl IntoIterator<Item = String>) -> Self {
        Self::steps(statements.into_iter().map(Step::Statement).collect())
    }

    fn steps(steps: Vec<Step>) -> Self {
        Generated { steps, ours_only: false, is_postgres: false }
    }

    /// Whether it changes tables.
    pub fn has_ddl(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Statement(sql) if sql.contains("TABLE")))
    }

    fn postgres(statements: impl IntoIterator<Item = String>) -> Self {
        Generated { ours_only: true, is_postgres: true, ..Generated::of(statements) }
    }
}

/// Tables whose rows are compared with stock SQLite's, with their order.
pub const TABLES: &[(&str, &str)] = &[
    ("parent", "id"),
    ("child", "id"),
    ("blobs", "id"),
    ("wide", "id"),
    ("pairs", "a, b"),
    ("log", "rowid"),
    ("docs", "rowid"),
];

/// Creates the schema, one statement each.
pub fn schema() -> Vec<String> {
    let columns: Vec<String> = (0..100).map(|n| format!("c{n} INT DEFAULT {n}")).collect();
    [
        "CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE, n INT NOT NULL CHECK (n < 1000000))",
        "CREATE TABLE child(id INTEGER PRIMARY KEY, parent INT REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE \
         DEFERRABLE INITIALLY DEFERRED, body TEXT)",
        "CREATE INDEX child_parent ON child(parent, body)",
        "CREATE INDEX child_body ON child(body) WHERE length(body) > 20",
        "CREATE TABLE blobs(id INTEGER PRIMARY KEY, data BLOB)",
        "CREATE TABLE pairs(a TEXT, b INT, v TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID",
        "CREATE TABLE log(what TEXT, n INT)",
        "CREATE TABLE noise(id INTEGER PRIMARY KEY, r, s, t DEFAULT CURRENT_TIMESTAMP)",
        "CREATE TRIGGER parent_inserted AFTER INSERT ON parent BEGIN INSERT INTO log VALUES ('insert', new.id); END",
        "CREATE TRIGGER parent_updated AFTER UPDATE ON parent BEGIN INSERT INTO log VALUES ('update', new.n); END",
        "CREATE TRIGGER parent_deleted AFTER DELETE ON parent BEGIN INSERT INTO log VALUES ('delete', old.id); END",
        "CREATE VIRTUAL TABLE docs USING fts5(body)",
        "CREATE TABLE skew(id INTEGER PRIMARY KEY, a INT, b INT, down INT AS (-id) STORED)",
        "CREATE INDEX skew_a ON skew(a, id)",
        "CREATE INDEX skew_b ON skew(b, down)",
        "CREATE TABLE chosen(n INTEGER PRIMARY KEY, id INT)",
    ]
    .into_iter()
    .map(String::from)
    .chain([format!("CREATE TABLE wide(id INTEGER PRIMARY KEY, {})", columns.join(", "))])
    .collect()
}

/// A table with identity columns, as a client drops and creates it; each time with other columns before them. Each in
/// a batch of its own: the second is translated for what the first leaves, and what waits beside either is stale.
pub fn create_numbered(round: u64) -> [Generated; 2] {
    let more: String = (0..round % 3).map(|n| format!("more{n} int DEFAULT {n}, ")).collect();
    [
        "DROP TABLE IF EXISTS numbered".to_string(),
        format!(
            "CREATE TABLE numbered ({more}id int GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 3) PRIMARY KEY, \
             other serial, what text UNIQUE)"
        ),
    ]
    .map(|sql| Generated::postgres([sql]))
}

/// Steps of [`statistics`].
pub const STATISTICS_STEPS: u64 = 5;

/// ANALYZE twice, and once more rolled back, by the step; each step in another batch. What a plan is made of
/// changes between them, and in `chosen` the order of rows tells which plan it was: by the index on `a` they ascend,
/// by the one on `b` they descend.
pub fn statistics(step: u64) -> Vec<Generated> {
    let rows = |from: u64, count: u64, values: &str| {
        format!(
            "INSERT INTO skew(id, a, b) WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n \
             LIMIT {count}) SELECT i, {values} FROM n"
        )
    };
    let choose = "INSERT INTO chosen(id) SELECT id FROM skew WHERE a = 1 AND b = 1".to_string();
    let clear = ["DELETE FROM skew".to_string(), "DELETE FROM chosen".into()];
    let statements = match step {
        0 => clear.into_iter().chain([rows(1, 400, "i % 40, i % 2"), "ANALYZE".into()]).collect(),
        1 => vec![choose, rows(1_001, 800, "1, i")],
        2 => vec!["ANALYZE".into()],
        3 => vec![choose],
        // In one batch: at its end everything is read anew. The last statement that is lost has read the statistics.
        _ => {
            let lost = ["DELETE FROM skew WHERE id > 1000", "ANALYZE", "DELETE FROM chosen"].map(String::from).into();
            return vec![rolled_back(lost), Generated::of([choose])];
        }
    };
    vec![Generated::of(statements)]
}

/// The transaction stays, but nothing of what it did.
fn rolled_back(statements: Vec<String>) -> Generated {
    let mut steps = vec![Step::Savepoint("SAVEPOINT d".into())];
    steps.extend(statements.into_iter().map(Step::Statement));
    steps.extend(["ROLLBACK TO d", "RELEASE d"].map(|sql| Step::Savepoint(sql.into())));
    Generated::steps(steps)
}

/// Makes transactions.
pub struct Generator {
    random: Random,
    tables: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Generator { random: Random::new(seed), tables: 0 }
    }

    pub fn transaction(&mut self) -> Generated {
        match self.random.below(40) {
            0 => self.change_schema(),
            1 => Generated::of(["ANALYZE".to_string()]),
            2..5 => self.noise(),
            5..9 => self.with_savepoints(),
            9 => self.change_schema_twice(),
            _ => {
                let count = 1 + self.random.below(4);
                let mut statements: Vec<String> = (0..count).map(|_| self.statement()).collect();
                if self.random.chance(8) {
                    statements.push("SELECT nosuch FROM parent".into()); // fails, and all of it with it
                }
                Generated::of(statements)
            }
        }
    }

    fn statement(&mut self) -> String {
        let (a, b) = (self.random.below(400), self.random.below(1000));
        let length = match self.random.below(6) {
            0 => 5000 + self.random.below(20_000),
            1 => 900 + self.random.below(200),
            _ => self.random.below(120),
        };
        let text = format!("replace(hex(zeroblob({})), '0', '{}')", length / 2 + 1, (b'a' + (a % 26) as u8) as char);
        match self.random.below(22) {
            0..3 => format!("INSERT INTO parent(code, n) VALUES ('k{a}', {b}) RETURNING id"),
            3 => format!("INSERT OR REPLACE INTO parent(id, code, n) VALUES ({}, 'k{a}', {b})", a % 60),
            4 => format!("INSERT INTO parent(code, n) VALUES ('k{a}', {b}) ON CONFLICT(code) DO UPDATE SET n = n + 1"),
            5 => format!("UPDATE parent SET n = n + {b} WHERE id % 17 = {}", a % 17),
            6 => format!("UPDATE parent SET id = id + 1000 WHERE id = {}", a % 50),
            7 => format!("DELETE FROM parent WHERE id = {}", a % 80),
            8..10 => format!("INSERT INTO child(parent, body) VALUES ({}, {text})", a % 80),
            10 => format!("INSERT INTO child(parent, body) SELECT id, code || n FROM parent WHERE id % 7 = {}", a % 7),
            11 => format!("UPDATE child SET body = {text} WHERE id % 13 = {}", a % 13),
            12 => format!("DELETE FROM child WHERE id % 11 = {}", a % 11),
            13 => format!("INSERT OR REPLACE INTO blobs VALUES ({}, CAST({text} AS BLOB))", a % 40),
            14 => format!("DELETE FROM blobs WHERE id > {}", a % 40),
            15 => format!("INSERT OR REPLACE INTO pairs VALUES ('{}', {}, {text})", a % 9, b % 30),
            16 => format!("DELETE FROM pairs WHERE a = '{}' AND b < {}", a % 9, b % 30),
            17 => format!("INSERT OR REPLACE INTO wide(id, c{}, c99) VALUES ({}, {b}, {a})", b % 99, a % 50),
            18 => format!("UPDATE wide SET c50 = c50 + 1, c{} = 'text' WHERE id < {}", b % 50, a % 50),
            19 => format!("INSERT INTO docs(body) VALUES ('word{} word{} ' || {text})", a % 20, b % 50),
            20 => format!("DELETE FROM docs WHERE rowid IN (SELECT rowid FROM docs WHERE docs MATCH 'word{}')", a % 20),
            _ => "SELECT p.id, count(*), max(length(c.body)) FROM parent p LEFT JOIN child c ON c.parent = p.id \
                  GROUP BY p.id ORDER BY p.id LIMIT 20"
                .to_string(),
        }
    }

    fn noise(&mut self) -> Generated {
        let statement =
            "INSERT INTO noise(r, s) VALUES (random(), hex(randomblob(9)) || gen_random_uuid()) RETURNING *";
        let update = format!("UPDATE noise SET r = evesql_now(), s = sin(id) WHERE id % 5 = {}", self.random.below(5));
        Generated { ours_only: true, ..Generated::of([statement.to_string(), update]) }
    }

    fn with_savepoints(&mut self) -> Generated {
        let mut steps = vec![Step::Statement(self.statement()), Step::Savepoint("SAVEPOINT a".into())];
        steps.push(Step::Statement(self.statement()));
        if self.random.chance(2) {
            steps.push(Step::Savepoint("SAVEPOINT b".into()));
            steps.push(Step::Statement(self.statement()));
            steps.push(Step::Savepoint("RELEASE b".into()));
        }
        if self.random.chance(2) {
            steps.push(Step::Savepoint("ROLLBACK TO a".into()));
        }
        steps.push(Step::Savepoint("RELEASE a".into()));
        steps.push(Step::Statement(self.statement()));
        Generated::steps(steps)
    }

    /// Identity numbers: some of them drawn by statements that fail or are rolled back.
    pub fn numbers(&mut self) -> Generated {
        let (a, b) = (self.random.below(1_000_000), self.random.below(100));
        let insert = match self.random.below(4) {
            0 => format!("INSERT INTO numbered (what) VALUES ('{a}') RETURNING id, other"),
            1 => format!("INSERT INTO numbered (what) SELECT '{a}' || n FROM generate_series(1, {}) AS n", 1 + b % 9),
            2 => format!(
                "INSERT INTO numbered (other, what) VALUES (DEFAULT, '{a}'), (DEFAULT, '{a}b'), (DEFAULT, NULL)"
            ),
            _ => format!("UPDATE numbered SET other = DEFAULT WHERE id % 11 = {}", b % 11),
        };
        let mut generated = Generated::postgres([insert]);
        if self.random.chance(3) {
            let lost = format!("INSERT INTO numbered (what) VALUES ('{a}c')");
            generated.steps.insert(0, Step::Savepoint("SAVEPOINT a".into()));
            generated.steps.insert(1, Step::Statement(lost));
            generated.steps.insert(2, Step::Savepoint("ROLLBACK TO a".into()));
        }
        match self.random.below(8) {
            // Fails after it drew, and all of it with it.
            0 => generated.steps.push(Step::Statement("INSERT INTO numbered (what) VALUES ('q'), ('q')".into())),
            1 => generated.steps.push(Step::Statement(format!("DELETE FROM numbered WHERE id % 7 = {}", b % 7))),
            _ => {}
        }
        generated
    }

    /// DDL that is rolled back, then other DDL, also of the same name.
    fn change_schema_twice(&mut self) -> Generated {
        self.tables += 1;
        let new = self.tables;
        let lost = if self.random.chance(2) { format!("extra{new}") } else { format!("lost{new}") };
        let statement = |sql: String| Step::Statement(sql);
        let mut steps = vec![Step::Savepoint("SAVEPOINT d".into())];
        steps.extend(match self.random.below(3) {
            0 => vec![
                statement(format!("CREATE TABLE {lost}(x, y TEXT UNIQUE, z INTEGER PRIMARY KEY)")),
                statement(format!("INSERT INTO {lost}(y) SELECT code FROM parent ORDER BY id")),
            ],
            1 => vec![
                statement("DROP TABLE blobs".into()),
                statement(format!("CREATE TABLE {lost}(a TEXT PRIMARY KEY, b) WITHOUT ROWID")),
                statement("ANALYZE".into()),
            ],
            _ => vec![
                statement("ALTER TABLE parent ADD COLUMN lost TEXT DEFAULT 'lost'".into()),
                statement("CREATE INDEX child_lost ON child(length(body), parent)".into()),
                statement("UPDATE parent SET lost = code WHERE id % 2 = 1".into()),
            ],
        });
        steps.push(Step::Savepoint("ROLLBACK TO d".into()));
        steps.push(statement(format!("CREATE TABLE extra{new}(a INTEGER PRIMARY KEY, b TEXT, c INT)")));
        steps.push(statement(format!("INSERT INTO extra{new}(b, c) SELECT code, n FROM parent ORDER BY id")));
        if self.random.chance(2) {
            steps.push(statement(format!("CREATE INDEX extra{new}_c ON extra{new}(c, b)")));
        }
        steps.push(Step::Savepoint("RELEASE d".into()));
        steps.push(statement(self.statement()));
        Generated::steps(steps)
    }

    fn change_schema(&mut self) -> Generated {
        self.tables += 1;
        let (new, old) = (self.tables, self.tables.saturating_sub(1 + self.random.below(3)));
        let mut statements = vec![
            format!("CREATE TABLE extra{new}(a INTEGER PRIMARY KEY, b TEXT)"),
            format!("INSERT INTO extra{new}(b) SELECT code FROM parent ORDER BY id"),
        ];
        match self.random.below(6) {
            0 => statements.push(format!("DROP TABLE extra{old}")), // may be there or not
            1 => statements.push(format!("CREATE INDEX extra{new}_b ON extra{new}(b)")),
            2 => statements.push(format!("ALTER TABLE extra{new} ADD COLUMN c INT DEFAULT 7")),
            3 => statements.push(format!("ALTER TABLE extra{new} RENAME COLUMN b TO renamed")),
            4 => statements.extend(["ANALYZE".into(), "SELECT nosuch".into()]), // rolled back with statistics
            _ => statements = vec![format!("DROP TABLE IF EXISTS extra{old}"), "SELECT nosuch".into()],
        }
        Generated::of(statements)
    }
}
