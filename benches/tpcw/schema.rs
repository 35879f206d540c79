//! The bookshop's tables and the rows that it opens with, made through the translator as the server makes them.

use super::random::Random;
use evesql::dialect::{self, numeric::Numeric};
use evesql::page::Hash;
use evesql::replica::Replica;
use evesql::transaction::{Operation, Statement, Value};
use std::sync::Arc;

/// The tables, as the rules are tested with.
const TABLES: &str = include_str!("../../testdata/rules/tpcw.sql");
/// The other indexes that the benchmark's look-ups need.
const INDEXES: &[&str] = &[
    "CREATE INDEX author_name ON author (a_lname)",
    "CREATE INDEX item_subject ON item (i_subject)",
    "CREATE INDEX item_author ON item (i_a_id)",
    "CREATE INDEX address_country ON address (addr_co_id)",
    "CREATE INDEX order_line_order ON order_line (ol_o_id)",
    "CREATE INDEX order_line_item ON order_line (ol_i_id)",
];
/// Tables, for comparing all rows.
pub const NAMES: [&str; 10] = [
    "country",
    "address",
    "customer",
    "author",
    "item",
    "orders",
    "order_line",
    "cc_xacts",
    "shopping_cart",
    "shopping_cart_line",
];
pub const COUNTRIES: i64 = 92;
pub const SUBJECTS: i64 = 24;
/// Statements of a COPY at a time.
const ROWS_MAX: usize = 2_000;
const DAY_US: i64 = 86_400_000_000;

/// How many rows there are at first.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub items: i64,
    pub customers: i64,
    /// Sessions, each with a cart from the start.
    pub sessions: i64,
}

impl Sizes {
    pub fn authors(&self) -> i64 {
        (self.items / 4).max(1)
    }
    pub fn addresses(&self) -> i64 {
        2 * self.customers
    }
    pub fn orders(&self) -> i64 {
        self.customers * 9 / 10
    }
}

/// DDL, one statement each.
pub fn ddl() -> impl Iterator<Item = &'static str> {
    TABLES.lines().filter(|line| !line.is_empty()).chain(INDEXES.iter().copied())
}

/// A statement for the schema as it is in this replica.
pub fn translate(replica: &Replica, sql: &str) -> Statement {
    let state = replica.at(u64::MAX).expect("the newest version is held");
    let parsed = dialect::parse(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let catalog = &state.databases["evesql"].catalog;
    let prepared = dialect::prepare(&parsed[0], catalog, &[], &dialect::Settings::default());
    let prepared = prepared.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    Statement { sql: prepared.sql, changes_schema: prepared.changes_schema, ..Statement::default() }
}

pub fn catalog(replica: &Replica) -> Hash {
    replica.at(u64::MAX).expect("the newest version is held").databases["evesql"].catalog.version
}

pub fn text(text: impl AsRef<str>) -> Value {
    Value::Text(text.as_ref().into())
}

pub fn int(number: i64) -> Value {
    Value::Integer(number)
}

/// A numeric of so many hundredths.
pub fn cents(cents: i64) -> Value {
    let number = Numeric::parse(&format!("{}.{:02}", cents / 100, cents % 100)).expect("digits");
    Value::Blob(number.encode().into())
}

pub fn subject(number: i64) -> String {
    format!("SUBJECT {number:02}")
}

pub fn user(customer: i64) -> String {
    format!("USER{customer:08}")
}

pub fn country(number: i64) -> String {
    format!("Country {number:02}")
}

/// Inserts of all rows, as COPY does it, in an order that keeps foreign keys.
pub fn rows(sizes: &Sizes, random: &mut Random, translate: impl Fn(&str) -> Statement) -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut copy = |sql: &str, rows: Vec<Vec<Value>>| {
        let statement = translate(sql);
        for rows in rows.chunks(ROWS_MAX) {
            let statement = Statement { rows: Some(rows.to_vec()), ..statement.clone() };
            operations.push(Operation::Statement(statement));
        }
    };
    let countries = (1..=COUNTRIES).map(|id| vec![int(id), text(country(id)), cents(100 + id), text("Crowns")]);
    copy("INSERT INTO country (co_id, co_name, co_exchange, co_currency) VALUES ($1, $2, $3, $4)", countries.collect());
    let address = |id, random: &mut Random| {
        let mut values = vec![int(id)];
        values.extend((0..5).map(|_| text(random.word(9))));
        values.push(int(random.between(1, COUNTRIES)));
        values
    };
    copy(
        "INSERT INTO address (addr_id, addr_street1, addr_street2, addr_city, addr_state, addr_zip, addr_co_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        (1..=sizes.addresses()).map(|id| address(id, random)).collect(),
    );
    copy(
        "INSERT INTO customer (c_id, c_uname, c_passwd, c_fname, c_lname, c_addr_id, c_phone, c_email, c_since, \
         c_last_login, c_login, c_expiration, c_discount, c_balance, c_ytd_pmt, c_birthdate, c_data) VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        (1..=sizes.customers).map(|id| customer(id, random.between(1, sizes.addresses()), random)).collect(),
    );
    let author = |id, random: &mut Random| {
        let name: Vec<Value> = (0..3).map(|_| text(random.word(8))).collect();
        [vec![int(id)], name, vec![int(random.between(-40_000, -10_000)), text(random.word(300))]].concat()
    };
    copy(
        "INSERT INTO author (a_id, a_fname, a_lname, a_mname, a_dob, a_bio) VALUES ($1, $2, $3, $4, $5, $6)",
        (1..=sizes.authors()).map(|id| author(id, random)).collect(),
    );
    copy(
        "INSERT INTO item (i_id, i_title, i_a_id, i_pub_date, i_publisher, i_subject, i_desc, i_related1, i_related2, \
         i_related3, i_related4, i_related5, i_thumbnail, i_image, i_srp, i_cost, i_avail, i_stock, i_isbn, i_page, \
         i_backing, i_dimensions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
         $18, $19, $20, $21, $22)",
        (1..=sizes.items).map(|id| item(id, sizes, random)).collect(),
    );
    orders(sizes, random, &mut copy);
    let carts = (1..=sizes.sessions).map(|id| vec![int(id), int(0)]);
    copy("INSERT INTO shopping_cart (sc_id, sc_time) VALUES ($1, $2)", carts.collect());
    operations
}

/// Values of a customer's row.
pub fn customer(id: i64, address: i64, random: &mut Random) -> Vec<Value> {
    let mut values = vec![int(id), text(user(id)), text(random.word(12))];
    values.extend([text(random.word(9)), text(random.word(9)), int(address), text(random.word(12))]);
    values.extend([text(random.word(30)), int(7_000), int(8_000), int(8_000 * DAY_US), int(8_001 * DAY_US)]);
    values.extend([cents(random.between(0, 50)), cents(0), cents(random.between(0, 99_999)), int(-9_000)]);
    values.push(text(random.word(250)));
    values
}

fn item(id: i64, sizes: &Sizes, random: &mut Random) -> Vec<Value> {
    let title = format!("{} {} {}", random.word(5), random.word(3), random.word(8));
    let mut values = vec![int(id), text(title), int(random.between(1, sizes.authors())), int(random.between(0, 9_000))];
    values.extend([text(random.word(20)), text(subject(random.between(0, SUBJECTS - 1))), text(random.word(300))]);
    values.extend((0..5).map(|_| int(random.between(1, sizes.items))));
    values.extend([text(format!("img/thumb_{id}.gif")), text(format!("img/image_{id}.gif"))]);
    let price = random.between(100, 9_999);
    values.extend([cents(price), cents(price * 8 / 10), int(9_000), int(random.between(10, 30))]);
    values.extend([text(format!("{:013}", id)), int(random.between(20, 9_999)), text("PAPERBACK"), text("10x20x30")]);
    values
}

fn orders(sizes: &Sizes, random: &mut Random, copy: &mut impl FnMut(&str, Vec<Vec<Value>>)) {
    let (mut heads, mut lines, mut cards) = (Vec::new(), Vec::new(), Vec::new());
    for id in 1..=sizes.orders() {
        let total = random.between(1_000, 99_999);
        let date = int((8_000 + id % 60) * DAY_US + id);
        let mut head = vec![int(id), int(random.between(1, sizes.customers)), date.clone(), cents(total)];
        head.extend([cents(total / 12), cents(total + total / 12), text("AIR"), date.clone()]);
        head.extend([int(random.between(1, sizes.addresses())), int(random.between(1, sizes.addresses()))]);
        head.push(text("SHIPPED"));
        heads.push(head);
        for line in 1..=random.between(1, 5) {
            let (item, quantity) = (int(random.between(1, sizes.items)), int(random.between(1, 300)));
            let discount = cents(random.between(0, 3_000));
            lines.push(vec![int(line), int(id), item, quantity, discount, text(random.word(50))]);
        }
        let number = text(format!("{:016}", random.below(1 << 50)));
        let mut card = vec![int(id), text("VISA"), number, text(random.word(20)), int(10_000), text(random.word(15))];
        card.extend([cents(total), date, int(random.between(1, COUNTRIES))]);
        cards.push(card);
    }
    copy(
        "INSERT INTO orders (o_id, o_c_id, o_date, o_sub_total, o_tax, o_total, o_ship_type, o_ship_date, \
         o_bill_addr_id, o_ship_addr_id, o_status) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        heads,
    );
    copy(
        "INSERT INTO order_line (ol_id, ol_o_id, ol_i_id, ol_qty, ol_discount, ol_comments) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        lines,
    );
    copy(
        "INSERT INTO cc_xacts (cx_o_id, cx_type, cx_num, cx_name, cx_expire, cx_auth_id, cx_xact_amt, cx_xact_date, \
         cx_co_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        cards,
    );
}

/// All rows of a table, in an order of their own.
pub fn all_rows(replica: &Replica, table: &str) -> Vec<Vec<Value>> {
    let state = replica.at(u64::MAX).expect("the newest version is held");
    let version = &state.databases["evesql"];
    let mut view = evesql::engine::Connection::view(&version.snapshot, evesql::engine::Options::default()).unwrap();
    view.expect_schema(version.schema).unwrap();
    let order = if table == "country" { "1" } else { "1, 2" };
    view.query(&format!("SELECT * FROM {table} ORDER BY {order}"), &[]).unwrap()
}

/// Texts by what was translated.
pub type Translated = Vec<Arc<str>>;
