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
    /// `(id, b, v)`, WITHOUT ROWID.
    Triple,
    Nothing,
}

/// A generated table; all have the columns id, b, v, u, s, f.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub keyed: Keyed,
    strict: bool,
    /// The tables to which its foreign keys refer.
    parents: Vec<usize>,
}

impl Table {
    fn is_composite(&self) -> bool {
        matches!(self.keyed, Keyed::Pair | Keyed::Index | Keyed::Triple)
    }

    /// It has a rowid beside its key.
    fn has_hidden_rowid(&self) -> bool {
        matches!(self.keyed, Keyed::Typed(_) | Keyed::Index | Keyed::Nothing)
    }
}

/// A generated schema.
#[derive(Clone, Debug)]
pub struct Schema {
    pub sql: Vec<String>,
    pub tables: Vec<Table>,
    has_view: bool,
}

/// Rows that are tried for each table.
const ROWS_PER_TABLE: usize = 6;

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
        for at in 0..2 + random.below(2) {
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
        let keyed = match random.below(13) {
            0..3 => Keyed::Rowid,
            3..6 => Keyed::Typed("TEXT"),
            6 => Keyed::Typed(pick(random, &["REAL", "", "NUMERIC", "TEXT COLLATE NOCASE", "INTEGER"])),
            7 => Keyed::Pair,
            8 => Keyed::Triple,
            9..12 => Keyed::Index,
            _ => Keyed::Nothing,
        };
        let strict = keyed == Keyed::Index;
        let mut columns = match keyed {
            Keyed::Rowid if random.chance(5) => "id INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT".to_string(),
            Keyed::Rowid => "id INTEGER PRIMARY KEY, b TEXT".into(),
            // The rowid it is not, if the key is descending.
            Keyed::Typed("INTEGER") => "id INTEGER PRIMARY KEY DESC, b TEXT".into(),
            Keyed::Typed(of) => format!("id {of} PRIMARY KEY, b TEXT"),
            Keyed::Pair | Keyed::Triple => "id INTEGER, b TEXT".into(),
            Keyed::Index => "id INTEGER NOT NULL, b TEXT NOT NULL".into(),
            Keyed::Nothing => "id INTEGER, b TEXT".into(),
        };
        let unique = random.below(5);
        let u = if strict || random.chance(2) { "INTEGER" } else { "TEXT" };
        // In u it is a value that no statement says: two rows that leave it out meet.
        let of_u = if random.chance(2) { " DEFAULT 9" } else { "" };
        let of_f = if random.chance(3) { " DEFAULT 3" } else { "" };
        columns += &format!(", v INTEGER DEFAULT 2, u {u}{}{of_u}, s TEXT", if unique == 0 { " UNIQUE" } else { "" });
        columns += &format!(", f {}{of_f}", if strict || !random.chance(3) { "INTEGER" } else { "TEXT" });
        let generated = !strict && random.chance(5);
        if generated {
            columns += ", g INTEGER GENERATED ALWAYS AS (v + 1) VIRTUAL";
        }
        let mut parents = Vec::new();
        let own = Table { name: name.into(), keyed, strict, parents: Vec::new() };
        for chance in [1, 4] {
            // Rows of trees refer to each other.
            let at = random.below(self.tables.len() as u64 + 1) as usize;
            if random.chance(chance) {
                columns += &foreign_key(random, self.tables.get(at).unwrap_or(&own), keyed);
                parents.push(at);
            }
        }
        columns += match keyed {
            Keyed::Pair => ", PRIMARY KEY (id, b)) WITHOUT ROWID",
            Keyed::Triple => ", PRIMARY KEY (id, b, v)) WITHOUT ROWID",
            _ => ")",
        };
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
        // It may say which rows are a partition.
        if random.chance(3) {
            self.sql.push(format!("CREATE INDEX {name}_other ON {name}({})", pick(random, &["v", "b"])));
        }
        self.tables.push(Table { parents, ..own });
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

    /// Statements that put rows into all tables, parents first: about half of those that statements name are then
    /// there, so that inserting one and deleting one both have effects.
    pub fn fill(&self, random: &mut Random) -> Vec<Statement> {
        let tables = self.tables.iter().flat_map(|table| std::iter::repeat_n(table, ROWS_PER_TABLE));
        let mut row = |table| {
            let mut text = Text { random, parameters: Vec::new() };
            (text.insert_columns(table, "INSERT", &["id", "b", "v", "u", "s", "f"]), text.parameters)
        };
        tables.map(&mut row).collect()
    }

    /// Tables that two transactions are most often about: one, or one with a parent, so that they meet.
    pub fn focus(&self, random: &mut Random) -> Vec<usize> {
        let at = random.below(self.tables.len() as u64) as usize;
        let parents = &self.tables[at].parents;
        if parents.is_empty() || random.chance(4) {
            return vec![at];
        }
        vec![at, parents[random.below(parents.len() as u64) as usize]]
    }

    /// A statement that removes or moves a row to which others may refer, and one that meets those: foreign keys are
    /// seen in no other pairs.
    pub fn relation(&self, random: &mut Random) -> Option<(Statement, Statement)> {
        let children: Vec<&Table> = self.tables.iter().filter(|table| !table.parents.is_empty()).collect();
        let child = *children.get(random.below(children.len().max(1) as u64) as usize)?;
        let parent = &self.tables[child.parents[random.below(child.parents.len() as u64) as usize]];
        let mut text = Text { random, parameters: Vec::new() };
        let first = (text.parent_change(parent), text.parameters);
        let mut text = Text { random, parameters: Vec::new() };
        let second = (text.child_touch(child), text.parameters);
        Some((first, second))
    }

    /// Any statement, most often on a table of the focus.
    pub fn statement(&self, random: &mut Random, focus: &[usize]) -> Statement {
        let any = random.below(self.tables.len() as u64) as usize;
        let at = if random.chance(8) { any } else { focus[random.below(focus.len() as u64) as usize] };
        let table = &self.tables[at];
        let other = &self.tables[random.below(self.tables.len() as u64) as usize];
        let mut text = Text { random, parameters: Vec::new() };
        let sql = text.statement(table, other, self.has_view);
        (sql, text.parameters)
    }
}

/// Also one that shares a column with the child's own key.
fn foreign_key(random: &mut Random, parent: &Table, keyed: Keyed) -> String {
    let (own, theirs) = match parent.keyed {
        Keyed::Rowid | Keyed::Typed(_) if keyed == Keyed::Index && random.chance(3) => ("id", "id"),
        Keyed::Rowid | Keyed::Typed(_) => ("f", "id"),
        Keyed::Pair | Keyed::Index if random.chance(3) => ("f, b", "id, b"),
        Keyed::Pair | Keyed::Index => ("f, s", "id, b"),
        Keyed::Triple => ("f, s, v", "id, b, v"),
        Keyed::Nothing => return String::new(),
    };
    let action = |random: &mut Random| pick(random, &["NO ACTION", "RESTRICT", "CASCADE", "CASCADE", "SET NULL"]);
    let (delete, update) = (action(random), action(random));
    let deferred = if random.chance(3) { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
    let name = &parent.name;
    format!(", FOREIGN KEY ({own}) REFERENCES {name}({theirs}) ON DELETE {delete} ON UPDATE {update}{deferred}")
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
        let number = 1 + self.random.below(5) as i64;
        match self.random.below(if strict { 16 } else { 22 }) {
            16 => Value::Real(number as f64),
            17 => Value::Text(number.to_string().into()),
            18..21 => Value::Text(pick(self.random, &["1.0", "02", "03", "02", "03", " 4"]).into()),
            21 if self.random.chance(3) => Value::Null,
            _ => Value::Integer(number),
        }
    }

    fn text(&mut self) -> Value {
        Value::Text(pick(self.random, &["a", "A", "b", "2", "3"]).into())
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
            "f" if !table.strict && self.random.chance(3) => Value::Text(pick(self.random, &["02", "03", "a"]).into()),
            "f" if self.random.chance(4) => Value::Null,
            "u" if self.random.chance(6) => Value::Null,
            _ => self.number(table.strict),
        };
        self.value(value)
    }

    fn whole_key(&mut self, table: &Table) -> String {
        let mut columns = vec!["id"];
        columns.extend(table.is_composite().then_some("b"));
        columns.extend((table.keyed == Keyed::Triple).then_some("v"));
        let conditions: Vec<String> =
            columns.iter().map(|column| format!("{column} = {}", self.column(table, column))).collect();
        conditions.join(" AND ")
    }

    fn parent_change(&mut self, table: &Table) -> String {
        let name = &table.name;
        match self.random.below(8) {
            0..3 => format!("DELETE FROM {name} WHERE {}", self.whole_key(table)),
            3 => self.insert(table, "REPLACE"),
            4..6 => self.insert(table, "INSERT"),
            _ => {
                let or = pick(self.random, &["", "", " OR REPLACE"]);
                let id = self.column(table, "id");
                format!("UPDATE{or} {name} SET id = {id} WHERE {}", self.whole_key(table))
            }
        }
    }

    fn child_touch(&mut self, table: &Table) -> String {
        let name = &table.name;
        match self.random.below(7) {
            0..2 => format!("SELECT * FROM {name} WHERE {}", self.whole_key(table)),
            2 => format!("DELETE FROM {name} WHERE {}", self.whole_key(table)),
            3 => self.insert(table, "INSERT"),
            4 => {
                let f = self.column(table, "f");
                self.insert(table, "INSERT") + &format!(" ON CONFLICT DO UPDATE SET f = {f}")
            }
            _ => {
                let f = self.column(table, "f");
                format!("UPDATE {name} SET f = {f} WHERE {}", self.whole_key(table))
            }
        }
    }

    fn where_key(&mut self, table: &Table) -> String {
        let name = &table.name;
        let id = self.column(table, "id");
        let second = self.column(table, "id");
        let mut condition = match self.random.below(12) {
            0 => format!("{id} = {name}.id"),
            1 => format!("id IN ({id}, {second})"),
            2 => format!("(id = {id})"),
            3 => format!("id = {id} AND id = {second}"),
            _ => format!("{name}.id = {id}"),
        };
        if table.is_composite() {
            let b = self.column(table, "b");
            condition = match self.random.below(8) {
                0 => format!("b = {b}"),
                1 => condition,
                _ => format!("{condition} AND b = {b}"),
            };
        }
        if table.keyed == Keyed::Triple && !self.random.chance(4) {
            let v = self.column(table, "v");
            condition += &format!(" AND v = {v}");
        }
        match self.random.below(16) {
            0 => condition + " AND v > 1",
            1 => condition + " AND evesql_int4_div(10, v - 1) >= 0",
            2 => "evesql_int4_div(10, v - 1) >= 0 AND ".to_string() + &condition,
            3 => {
                let u = self.column(table, "u");
                format!("evesql_int4_div(10, v - 1) >= 0 AND u = {u} AND {condition}")
            }
            4 => condition + " OR v = 3",
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
        if table.has_hidden_rowid() && self.random.chance(16) {
            columns.push("rowid");
        }
        self.insert_columns(table, verb, &columns)
    }

    fn insert_columns(&mut self, table: &Table, verb: &str, columns: &[&str]) -> String {
        let count = if self.random.chance(6) { 2 } else { 1 };
        let mut row = || {
            let values: Vec<String> = columns.iter().map(|column| self.column(table, column)).collect();
            format!("({})", values.join(", "))
        };
        let rows: Vec<String> = (0..count).map(|_| row()).collect();
        format!("{verb} INTO {}({}) VALUES {}", table.name, columns.join(", "), rows.join(", "))
    }

    fn statement(&mut self, table: &Table, other: &Table, has_view: bool) -> String {
        let name = &table.name;
        match self.random.below(36) {
            0..4 if table.has_hidden_rowid() && self.random.chance(12) => {
                format!("SELECT rowid, v FROM {name} WHERE {}", self.where_key(table))
            }
            0..4 => format!("SELECT * FROM {name} WHERE {}", self.where_key(table)),
            4..8 => {
                let insert = self.insert(table, "INSERT");
                let rowid = if table.has_hidden_rowid() { " RETURNING rowid" } else { "" };
                let tail = ["", "", "", " RETURNING *", " RETURNING id", rowid][self.random.below(6) as usize];
                insert + tail
            }
            8 => self.insert(table, "INSERT OR REPLACE"),
            9 => self.insert(table, "INSERT OR IGNORE"),
            10 => self.insert(table, "INSERT") + " ON CONFLICT DO UPDATE SET v = v + 1",
            11 => {
                let insert = self.insert(table, "INSERT");
                let column = pick(self.random, &["f", "u", "id"]);
                let value = self.column(table, column);
                insert + &format!(" ON CONFLICT DO UPDATE SET {column} = {value}")
            }
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
            30..32 => self.insert(table, "REPLACE"),
            32..34 => format!("DELETE FROM {name} WHERE {}", self.where_key(table)),
            34 => {
                let column = pick(self.random, &["id", "id", "b", "v", "u"]);
                let value = self.column(table, column);
                format!("UPDATE {name} SET {column} = {value} WHERE {}", self.where_key(table))
            }
            35 => {
                let column = pick(self.random, &["f", "f", "s", "b"]);
                let value = self.column(table, column);
                format!("UPDATE {name} SET {column} = {value} WHERE {}", self.where_key(table))
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
