//! Generated schemas and statements for footprints: every kind of key, unique index, foreign key, trigger and view,
//! over so few values that transactions meet.

use super::generator::Random;
use evesql::transaction::Value;

/// What names the rows of a generated table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keyed {
    /// `INTEGER PRIMARY KEY`.
    Rowid,
    /// By a column of this type, with a hidden rowid.
    Typed(&'static str),
    /// `(id, b)`, WITHOUT ROWID.
    Pair,
    /// `(id, b)` by a unique index, as EveSQL makes primary keys.
    Index,
    Nothing,
}

/// A generated table; all have the columns id, b, v, u, s, f.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub keyed: Keyed,
    strict: bool,
}

/// A generated schema.
#[derive(Clone, Debug)]
pub struct Schema {
    pub sql: Vec<String>,
    pub tables: Vec<Table>,
    has_view: bool,
}

/// SQL with its parameters.
pub type Statement = (String, Vec<Value>);

fn pick<'a, T: ?Sized>(random: &mut Random, from: &[&'a T]) -> &'a T {
    from[random.below(from.len() as u64) as usize]
}

impl Schema {
    /// One seed, one schema.
    pub fn generate(random: &mut Random) -> Schema {
        let mut schema = Schema { sql: Vec::new(), tables: Vec::new(), has_view: false };
        schema.sql.push(
            "CREATE TABLE evesql_sequences(oid INTEGER PRIMARY KEY, last_value INTEGER NOT NULL, is_called INTEGER \
             NOT NULL, increment INTEGER NOT NULL, minimum INTEGER NOT NULL, maximum INTEGER NOT NULL, cycle INTEGER \
             NOT NULL) STRICT"
                .into(),
        );
        schema.sql.push("INSERT INTO evesql_sequences VALUES (7, 5, 0, 1, 1, 99, 0), (8, 5, 0, 1, 1, 99, 0)".into());
        for at in 0..2 + random.below(3) {
            schema.add_table(random, &format!("t{at}"));
        }
        if random.chance(4) {
            schema.add_trigger(random);
        }
        if random.chance(3) {
            schema.has_view = true;
            schema.sql.push("CREATE VIEW seen AS SELECT id, v FROM t0 WHERE v > 1".into());
        }
        schema
    }

    fn add_table(&mut self, random: &mut Random, name: &str) {
        let keyed = match random.below(10) {
            0..3 => Keyed::Rowid,
            3 => Keyed::Typed("TEXT"),
            4 => Keyed::Typed(pick(random, &["REAL", "", "NUMERIC", "TEXT COLLATE NOCASE", "INTEGER"])),
            5 => Keyed::Pair,
            6..9 => Keyed::Index,
            _ => Keyed::Nothing,
        };
        let strict = keyed == Keyed::Index;
        let mut columns = match keyed {
            Keyed::Rowid if random.chance(5) => "id INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT".to_string(),
            Keyed::Rowid => "id INTEGER PRIMARY KEY, b TEXT".into(),
            // The rowid it is not, if the key is descending.
            Keyed::Typed("INTEGER") => "id INTEGER PRIMARY KEY DESC, b TEXT".into(),
            Keyed::Typed(of) => format!("id {of} PRIMARY KEY, b TEXT"),
            Keyed::Pair => "id INTEGER, b TEXT".into(),
            Keyed::Index => "id INTEGER NOT NULL, b TEXT NOT NULL".into(),
            Keyed::Nothing => "id INTEGER, b TEXT".into(),
        };
        let unique = random.below(5);
        let u = if strict || random.chance(2) { "INTEGER" } else { "TEXT" };
        columns += &format!(", v INTEGER DEFAULT 2, u {u}{}, s TEXT", if unique == 0 { " UNIQUE" } else { "" });
        columns += &format!(", f {}", if strict || random.chance(2) { "INTEGER" } else { "TEXT" });
        let generated = !strict && random.chance(5);
        if generated {
            columns += ", g INTEGER GENERATED ALWAYS AS (v + 1) VIRTUAL";
        }
        columns += &self.foreign_key(random);
        columns += if keyed == Keyed::Pair { ", PRIMARY KEY (id, b)) WITHOUT ROWID" } else { ")" };
        self.sql.push(format!("CREATE TABLE {name}({columns}{}", if strict { " STRICT" } else { "" }));
        if keyed == Keyed::Index {
            self.sql.push(format!("CREATE UNIQUE INDEX {name}_pkey ON {name}(id, b)"));
        }
        match unique {
            1 => self.sql.push(format!("CREATE UNIQUE INDEX {name}_u ON {name}(u)")),
            2 => self.sql.push(format!("CREATE UNIQUE INDEX {name}_u ON {name}(u, s)")),
            3 if random.chance(2) => self.sql.push(format!("CREATE UNIQUE INDEX {name}_u ON {name}(u) WHERE v > 1")),
            3 if generated => self.sql.push(format!("CREATE UNIQUE INDEX {name}_u ON {name}(g, u)")),
            3 => self.sql.push(format!("CREATE UNIQUE INDEX {name}_u ON {name}(u, v + 1)")),
            _ => {}
        }
        if random.chance(3) {
            self.sql.push(format!("CREATE INDEX {name}_v ON {name}(v)"));
        }
        self.tables.push(Table { name: name.into(), keyed, strict });
    }

    fn foreign_key(&self, random: &mut Random) -> String {
        if self.tables.is_empty() || random.chance(2) {
            return String::new();
        }
        let parent = &self.tables[random.below(self.tables.len() as u64) as usize];
        let (own, theirs) = match parent.keyed {
            Keyed::Rowid | Keyed::Typed(_) => ("f", "id"),
            Keyed::Pair | Keyed::Index => ("f, s", "id, b"),
            Keyed::Nothing => return String::new(),
        };
        let action = |random: &mut Random| pick(random, &["NO ACTION", "RESTRICT", "CASCADE", "SET NULL"]);
        let (delete, update) = (action(random), action(random));
        let deferred = if random.chance(3) { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
        let name = &parent.name;
        format!(", FOREIGN KEY ({own}) REFERENCES {name}({theirs}) ON DELETE {delete} ON UPDATE {update}{deferred}")
    }

    fn add_trigger(&mut self, random: &mut Random) {
        let tables: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        let (on, to) = (pick(random, &tables), pick(random, &tables));
        let event = pick(random, &["BEFORE INSERT", "AFTER INSERT", "AFTER UPDATE", "AFTER DELETE"]);
        let body = match random.below(3) {
            0 => format!("UPDATE {to} SET v = v + 1 WHERE v < 4"),
            1 => format!("DELETE FROM {to} WHERE v = 4"),
            _ => format!("INSERT OR IGNORE INTO {to}(id, b, v) VALUES (9, 'x', 1)"),
        };
        self.sql.push(format!("CREATE TRIGGER moved {event} ON {on} BEGIN {body}; END"));
    }

    /// A statement that puts some row into some table.
    pub fn fill(&self, random: &mut Random) -> Statement {
        let table = &self.tables[random.below(self.tables.len() as u64) as usize];
        let mut text = Text { random, parameters: Vec::new() };
        (text.insert(table, "INSERT"), text.parameters)
    }

    /// Any statement, most often on the table at `focus`.
    pub fn statement(&self, random: &mut Random, focus: usize) -> Statement {
        let at = if random.chance(4) { random.below(self.tables.len() as u64) as usize } else { focus };
        let table = &self.tables[at % self.tables.len()];
        let other = &self.tables[random.below(self.tables.len() as u64) as usize];
        let mut text = Text { random, parameters: Vec::new() };
        let sql = text.statement(table, other, self.has_view);
        (sql, text.parameters)
    }
}

/// Writes a statement.
struct Text<'r> {
    random: &'r mut Random,
    parameters: Vec<Value>,
}

impl Text<'_> {
    /// A value as a constant or a parameter.
    fn value(&mut self, value: Value) -> String {
        if self.random.chance(3) {
            return match value {
                Value::Null => "NULL".into(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => format!("{number:?}"),
                Value::Text(text) => format!("'{text}'"),
                Value::Blob(_) => "X'05'".into(),
            };
        }
        self.parameters.push(value);
        format!("?{}", self.parameters.len())
    }

    fn number(&mut self, strict: bool) -> Value {
        let number = 1 + self.random.below(7) as i64;
        match self.random.below(if strict { 16 } else { 20 }) {
            16 => Value::Real(number as f64),
            17 => Value::Text(number.to_string().into()),
            18 => Value::Text(pick(self.random, &["1.0", "02", "03", " 4"]).into()),
            19 if self.random.chance(3) => Value::Null,
            _ => Value::Integer(number),
        }
    }

    fn text(&mut self) -> Value {
        Value::Text(pick(self.random, &["a", "A", "b", "c", "2"]).into())
    }

    fn id(&mut self, table: &Table) -> Value {
        match table.keyed {
            Keyed::Typed(of) if of.starts_with("TEXT") && !self.random.chance(4) => self.text(),
            _ => self.number(table.strict),
        }
    }

    fn column(&mut self, table: &Table, column: &str) -> String {
        let value = match column {
            "id" => self.id(table),
            "b" | "s" => self.text(),
            "f" if !table.strict && self.random.chance(3) => self.text(),
            "f" if self.random.chance(2) => Value::Null,
            "u" if self.random.chance(6) => Value::Null,
            _ => self.number(table.strict),
        };
        self.value(value)
    }

    fn where_key(&mut self, table: &Table) -> String {
        let name = &table.name;
        let id = self.column(table, "id");
        let mut condition = match self.random.below(8) {
            0 => format!("{id} = {name}.id"),
            1 => {
                let second = self.column(table, "id");
                format!("id IN ({id}, {second})")
            }
            2 => format!("(id = {id})"),
            _ => format!("{name}.id = {id}"),
        };
        if matches!(table.keyed, Keyed::Pair | Keyed::Index) {
            let b = self.column(table, "b");
            condition += &format!(" AND b = {b}");
        }
        match self.random.below(10) {
            0 => condition + " AND v > 1",
            1 => condition + " AND evesql_int4_div(10, v - 1) >= 0",
            2 => condition + " OR v = 3",
            _ => condition,
        }
    }

    fn insert(&mut self, table: &Table, verb: &str) -> String {
        let mut columns: Vec<&str> = vec!["id", "b", "v", "u", "s", "f"];
        while columns.len() > 3 && self.random.chance(2) {
            let at = 2 + self.random.below(columns.len() as u64 - 2) as usize;
            columns.remove(at);
        }
        if table.keyed == Keyed::Rowid && self.random.chance(8) {
            columns.remove(0);
        }
        let mut row = || {
            let values: Vec<String> = columns.iter().map(|column| self.column(table, column)).collect();
            format!("({})", values.join(", "))
        };
        let mut rows = row();
        if self.random.chance(6) {
            let values: Vec<String> = columns.iter().map(|column| self.column(table, column)).collect();
            rows += &format!(", ({})", values.join(", "));
        }
        format!("{verb} INTO {}({}) VALUES {rows}", table.name, columns.join(", "))
    }

    fn statement(&mut self, table: &Table, other: &Table, has_view: bool) -> String {
        let name = &table.name;
        match self.random.below(30) {
            0..4 => format!("SELECT * FROM {name} WHERE {}", self.where_key(table)),
            4..8 => {
                let insert = self.insert(table, "INSERT");
                let tail = ["", "", "", " RETURNING *", " RETURNING id"][self.random.below(5) as usize];
                insert + tail
            }
            8 => self.insert(table, "INSERT OR REPLACE"),
            9 => self.insert(table, "INSERT OR IGNORE"),
            10 => self.insert(table, "INSERT") + " ON CONFLICT DO UPDATE SET v = v + 1",
            11 => self.insert(table, "INSERT") + " ON CONFLICT DO UPDATE SET f = excluded.f, u = 3",
            12..15 => format!("UPDATE {name} SET v = v + 1 WHERE {} RETURNING v", self.where_key(table)),
            15..17 => {
                let column = pick(self.random, &["u", "f", "id", "b", "s"]);
                let value = self.column(table, column);
                let or = ["", "", " OR REPLACE", " OR IGNORE"][self.random.below(4) as usize];
                format!("UPDATE{or} {name} SET {column} = {value} WHERE {}", self.where_key(table))
            }
            17..19 => format!("DELETE FROM {name} WHERE {}", self.where_key(table)),
            19 => {
                let u = self.column(table, "u");
                format!("DELETE FROM {name} WHERE u = {u}")
            }
            20 if has_view => "SELECT count(*), sum(v) FROM seen".into(),
            20 => format!("SELECT count(*), sum(v), max(id) FROM {name}"),
            21 => {
                let other = &other.name;
                let id = self.column(table, "id");
                let join = pick(self.random, &["JOIN", "LEFT JOIN"]);
                let tail = pick(self.random, &[" WHERE x.id = ", " AND x.id = "]);
                format!("SELECT x.*, y.v FROM {name} x {join} {other} y ON y.id = {id}{tail}{id}")
            }
            23 => {
                let (one, two) = (self.column(table, "id"), self.column(table, "id"));
                format!("SELECT x.v, y.v FROM {name} x, {name} y WHERE x.id = {one} AND y.id = {two}")
            }
            24 => {
                let condition = self.where_key(table);
                format!("UPDATE {name} SET v = (SELECT max(v) FROM {name}) - 1 WHERE {condition}")
            }
            25 => {
                let (id, f) = (self.column(table, "id"), self.column(table, "f"));
                format!("UPDATE {name} SET f = {f} WHERE id = {id}")
            }
            22 => {
                let id = self.column(other, "id");
                let other = &other.name;
                format!("INSERT INTO {name}(id, b, v) SELECT id + 1, b, v FROM {other} WHERE {other}.id = {id}")
            }
            26 => format!("SELECT evesql_nextval({})", 7 + self.random.below(2)),
            27 => {
                let (id, new) = (self.column(table, "id"), self.column(table, "id"));
                format!("UPDATE {name} SET id = {new} WHERE id = {id}")
            }
            28 => {
                let (id, u) = (self.column(table, "id"), self.column(table, "u"));
                format!("UPDATE {name} SET u = {u} WHERE id = {id}")
            }
            _ => {
                let sequence = 7 + self.random.below(2);
                format!("INSERT INTO {name}(id, b, v) VALUES (evesql_nextval({sequence}), 'n', 1) RETURNING id")
            }
        }
    }
}
