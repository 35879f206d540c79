//! The rows that the shop opens with: a function of scale and seed only, so that all databases begin alike.
//!
//! Each row has a generator of its own, made from seed, table and number; rows can be made in any order and again. Stock
//! is chosen so that for each item `stock + all books of it in order lines` leaves the item's number as remainder of
//! division by 21. Selling and refilling keep that, and a lost update of the stock breaks it.

use crate::random::Random;
use crate::schema;
use crate::session::{Dialect, Error, Session};
use crate::shop::*;
use crate::value::{Value, text};
use std::time::Duration;

/// Rows that are inserted at a time: about a megabyte.
const ROWS_MAX: usize = 2_000;
/// How often rows are inserted that a server does not take at the moment, and how long to wait in between.
const ATTEMPTS_MAX: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// 2025-01-01, from which other dates are counted.
const OPENING_DAY: i32 = 20_089;
const DAY_US: i64 = 86_400_000_000;

/// How large the shop is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Items; authors are a quarter of them.
    pub items: i64,
    /// Emulated browsers that the shop is made for: 2,880 customers each.
    pub ebs: i64,
    /// What texts, prices and choices depend on.
    pub seed: u64,
}

impl Scale {
    /// Authors.
    pub fn authors(&self) -> i64 {
        (self.items / 4).max(1)
    }
    /// Customers.
    pub fn customers(&self) -> i64 {
        2_880 * self.ebs
    }
    /// Addresses.
    pub fn addresses(&self) -> i64 {
        2 * self.customers()
    }
    /// Orders, each with a card transaction.
    pub fn orders(&self) -> i64 {
        self.customers() * 9 / 10
    }
}

/// A table that is filled: rows are made by number from 1.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Columns in the order of the values.
    pub columns: Vec<&'static str>,
    /// Numbers to make rows of.
    pub count: i64,
    /// Whether the numbers come from an identity column, the first one.
    pub identity: bool,
    rows: fn(&Population, i64) -> Vec<Vec<Value>>,
}

/// All rows.
pub struct Population {
    scale: Scale,
    /// Books of each item in the order lines.
    sold: Vec<i64>,
}

/// How far loading is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The table that is being filled.
    pub table: &'static str,
    /// Numbers whose rows are in.
    pub done: i64,
    /// Of so many.
    pub count: i64,
}

impl Population {
    /// The rows of a shop of this size.
    pub fn new(scale: Scale) -> Self {
        let mut population = Population { scale, sold: vec![0; scale.items as usize + 1] };
        for order in 1..=scale.orders() {
            for (item, line) in population.lines(order) {
                population.sold[item as usize] += line.quantity;
            }
        }
        population
    }

    /// The tables, each after those that it refers to.
    pub fn tables(&self) -> Vec<Table> {
        let scale = &self.scale;
        let table = |name, columns: &'static str, count, identity, rows| {
            let columns = columns.split(", ").collect();
            Table { name, columns, count, identity, rows }
        };
        vec![
            table("country", "co_id, co_name, co_exchange, co_currency", COUNTRIES, false, Population::country),
            table(
                "address",
                "addr_id, addr_street1, addr_street2, addr_city, addr_state, addr_zip, addr_co_id",
                scale.addresses(),
                true,
                Population::address,
            ),
            table(
                "customer",
                "c_id, c_uname, c_passwd, c_fname, c_lname, c_addr_id, c_phone, c_email, c_since, c_last_login, c_login, \
                 c_expiration, c_discount, c_balance, c_ytd_pmt, c_birthdate, c_data",
                scale.customers(),
                true,
                Population::customer,
            ),
            table(
                "author",
                "a_id, a_fname, a_lname, a_mname, a_dob, a_bio",
                scale.authors(),
                false,
                Population::author,
            ),
            table(
                "item",
                "i_id, i_title, i_a_id, i_pub_date, i_publisher, i_subject, i_desc, i_related1, i_related2, i_related3, \
                 i_related4, i_related5, i_thumbnail, i_image, i_srp, i_cost, i_avail, i_stock, i_isbn, i_page, \
                 i_backing, i_dimensions",
                scale.items,
                false,
                Population::item,
            ),
            table(
                "orders",
                "o_id, o_c_id, o_date, o_sub_total, o_tax, o_total, o_ship_type, o_ship_date, o_bill_addr_id, \
                 o_ship_addr_id, o_status",
                scale.orders(),
                true,
                Population::order,
            ),
            table(
                "order_line",
                "ol_id, ol_o_id, ol_i_id, ol_qty, ol_discount, ol_comments",
                scale.orders(),
                false,
                Population::order_lines,
            ),
            table(
                "cc_xacts",
                "cx_o_id, cx_type, cx_num, cx_name, cx_expire, cx_auth_id, cx_xact_amt, cx_xact_date, cx_co_id",
                scale.orders(),
                false,
                Population::card,
            ),
        ]
    }

    /// Makes tables, fills them and adds indexes. `replace` removes a shop that is there first.
    pub fn load(
        &self,
        session: &mut dyn Session,
        replace: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        if replace {
            schema::drop_tables().iter().try_for_each(|sql| session.script(sql))?;
        }
        schema::create_tables(session.dialect()).iter().try_for_each(|sql| {
            let made = session.script(sql);
            made.map_err(|error| Error::Failed(format!("is there a shop already? --replace removes it: {error}")))
        })?;
        for table in self.tables() {
            self.fill(session, &table, progress)?;
            if table.identity && session.dialect() == Dialect::Postgres {
                // By the name that PostgreSQL gives it: a constant, which EveSQL asks for.
                let sequence = format!("{}_{}_seq", table.name, table.columns[0]);
                session.script(&format!("SELECT setval('{sequence}', {})", table.count))?;
            }
        }
        schema::create_indexes().iter().try_for_each(|sql| session.script(sql))?;
        session.script("ANALYZE")
    }

    fn fill(&self, session: &mut dyn Session, table: &Table, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let mut rows = Vec::new();
        for number in 1..=table.count {
            rows.append(&mut (table.rows)(self, number));
            if rows.len() >= ROWS_MAX || number == table.count {
                insert(session, table, &rows)?;
                rows.clear();
                progress(Progress { table: table.name, done: number, count: table.count });
            }
        }
        Ok(())
    }

    fn random(&self, stream: u64, number: i64) -> Random {
        Random::part(self.scale.seed, stream, number as u64)
    }

    fn country(&self, number: i64) -> Vec<Vec<Value>> {
        let rate = self.random(1, number).between(10, 99_999);
        vec![vec![Value::Int(number), text(country(number)), Value::Hundredths(rate), text("Crowns")]]
    }

    fn address(&self, number: i64) -> Vec<Vec<Value>> {
        let mut row = vec![Value::Int(number)];
        row.extend(address(&mut self.random(2, number)));
        vec![row]
    }

    fn customer(&self, number: i64) -> Vec<Vec<Value>> {
        let mut random = self.random(3, number);
        let mut row = vec![Value::Int(number), text(user(number))];
        let since = OPENING_DAY - random.between(1, 730) as i32;
        let login = i64::from(OPENING_DAY) * DAY_US;
        row.extend(customer(&mut random, number, since, login));
        vec![row]
    }

    fn author(&self, number: i64) -> Vec<Vec<Value>> {
        let mut random = self.random(4, number);
        let names = [random.text(3, 20), name(&mut random), random.text(1, 20)].map(text);
        let born = Value::Date(random.between(-50_000, 8_000) as i32);
        vec![[vec![Value::Int(number)], names.into(), vec![born, text(random.text(125, 500))]].concat()]
    }

    /// Price in the list, and what the shop asks.
    fn prices(&self, item: i64) -> (i64, i64) {
        let mut random = self.random(5, item);
        let list = random.between(100, 9_999);
        (list, list * random.between(50, 100) / 100)
    }

    fn item(&self, number: i64) -> Vec<Vec<Value>> {
        let mut random = self.random(6, number);
        let title: Vec<String> = (0..random.between(2, 5)).map(|_| name(&mut random)).collect();
        let published = OPENING_DAY - random.between(0, 30_000) as i32;
        let mut row =
            vec![Value::Int(number), text(title.join(" ")), Value::Int(random.between(1, self.scale.authors()))];
        row.extend([Value::Date(published), text(random.text(14, 60))]);
        row.extend([text(*random.choose(&SUBJECTS).unwrap_or(&"")), text(random.text(100, 500))]);
        row.extend((0..5).map(|_| Value::Int(random.between(1, self.scale.items))));
        row.extend([text(format!("img/thumb_{number}.gif")), text(format!("img/image_{number}.gif"))]);
        let (list, cost) = self.prices(number);
        let stock = STOCK_MIN + (number - self.sold[number as usize] - STOCK_MIN).rem_euclid(STOCK_REFILL);
        row.extend([Value::Hundredths(list), Value::Hundredths(cost)]);
        row.extend([Value::Date(published + random.between(1, 30) as i32), Value::Int(stock)]);
        row.extend([text(random.digits(13)), Value::Int(random.between(20, 9_999))]);
        let backing = random.choose(&["HARDBACK", "PAPERBACK", "USED", "AUDIO", "LIMITED-EDITION"]).unwrap_or(&"");
        let size = [(); 3].map(|()| random.between(1, 9_999)).map(|side| format!("{}.{:02}", side / 100, side % 100));
        row.extend([text(*backing), text(size.join("x"))]);
        vec![row]
    }

    /// Items and lines of an order.
    fn lines(&self, order: i64) -> Vec<(i64, Line)> {
        let mut random = self.random(7, order);
        let line = |_| {
            let item = random.between(1, self.scale.items);
            let (quantity, discount) = (random.between(1, 300), random.between(0, 3_000));
            (item, Line { quantity, discount, price_cents: self.prices(item).1 })
        };
        (0..Random::part(self.scale.seed, 8, order as u64).between(1, 5)).map(line).collect()
    }

    fn total(&self, order: i64) -> Total {
        let lines: Vec<Line> = self.lines(order).into_iter().map(|(_, line)| line).collect();
        Total::of(&lines)
    }

    fn ordered_at(&self, order: i64) -> i64 {
        let day = OPENING_DAY - self.random(9, order).between(1, 60) as i32;
        i64::from(day) * DAY_US + order * 1_000_000 % DAY_US
    }

    fn order(&self, number: i64) -> Vec<Vec<Value>> {
        let mut random = self.random(10, number);
        let (total, at) = (self.total(number), self.ordered_at(number));
        let mut row = vec![Value::Int(number), Value::Int(random.between(1, self.scale.customers()))];
        row.push(Value::Timestamp(at));
        row.extend([total.sub_total, total.tax, total.total].map(Value::Hundredths));
        row.push(text(*random.choose(&SHIPPING).unwrap_or(&"")));
        row.push(Value::Timestamp(at + random.between(0, 7) * DAY_US));
        row.extend([(); 2].map(|()| Value::Int(random.between(1, self.scale.addresses()))));
        row.push(text(*random.choose(&["PROCESSING", "SHIPPED", "PENDING", "DENIED"]).unwrap_or(&"")));
        vec![row]
    }

    fn order_lines(&self, order: i64) -> Vec<Vec<Value>> {
        let mut random = self.random(11, order);
        let row = |((item, line), number): ((i64, Line), i64)| {
            let mut row = [number, order, item, line.quantity].map(Value::Int).to_vec();
            row.extend([Value::Hundredths(line.discount), text(line.comment(&random.text(20, 80)))]);
            row
        };
        self.lines(order).into_iter().zip(1..).map(row).collect()
    }

    fn card(&self, order: i64) -> Vec<Vec<Value>> {
        let mut random = self.random(12, order);
        let mut row = vec![Value::Int(order), text(*random.choose(&CARDS).unwrap_or(&""))];
        row.extend([text(random.digits(16)), text(random.text(14, 30))]);
        row.extend([Value::Date(OPENING_DAY + random.between(10, 730) as i32), text(random.digits(15))]);
        row.extend([Value::Hundredths(self.total(order).total), Value::Timestamp(self.ordered_at(order))]);
        row.push(Value::Int(random.between(1, COUNTRIES)));
        vec![row]
    }
}

/// Each piece is a transaction, so that it can be inserted again.
fn insert(session: &mut dyn Session, table: &Table, rows: &[Vec<Value>]) -> Result<(), Error> {
    for _ in 1..ATTEMPTS_MAX {
        match session.insert(table.name, &table.columns, rows) {
            Err(Error::Retry(_)) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    session.insert(table.name, &table.columns, rows)
}

/// A word of a title or an author's last name.
pub(crate) fn name(random: &mut Random) -> String {
    let syllables = random.between(2, 4) as usize;
    random.word(syllables)
}

/// Columns of an address without its number.
pub(crate) fn address(random: &mut Random) -> Vec<Value> {
    let mut row: Vec<Value> = [(15, 40), (15, 40), (4, 30), (2, 20)].map(|(a, b)| text(random.text(a, b))).into();
    row.extend([text(random.digits(9)), Value::Int(random.between(1, COUNTRIES))]);
    row
}

/// Columns of a customer from the password on.
pub(crate) fn customer(random: &mut Random, address: i64, since_day: i32, login_us: i64) -> Vec<Value> {
    let mut row = vec![text(random.word(5)), text(random.text(8, 15)), text(random.text(8, 15)), Value::Int(address)];
    row.extend([text(random.digits(12)), text(format!("{}@{}.example", random.word(4), random.word(3)))]);
    row.extend([Value::Date(since_day), Value::Date((login_us / DAY_US) as i32)]);
    row.extend([Value::Timestamp(login_us), Value::Timestamp(login_us + 2 * 3_600 * 1_000_000)]);
    row.extend([Value::Hundredths(random.between(0, 50) * 100), Value::Hundredths(0)]);
    row.extend([Value::Hundredths(random.between(0, 99_999)), Value::Date(random.between(-30_000, 12_000) as i32)]);
    row.push(text(random.text(100, 500)));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(seed: u64) -> Population {
        Population::new(Scale { items: 100, ebs: 1, seed })
    }

    #[test]
    fn a_seed_gives_the_same_rows_and_another_seed_others() {
        for table in small(1).tables() {
            let rows = |seed| (table.rows)(&small(seed), 7);
            assert_eq!(rows(1), rows(1), "{}", table.name);
            assert_ne!(rows(1), rows(2), "{}", table.name);
            assert!(rows(1).iter().all(|row| row.len() == table.columns.len()), "{}", table.name);
        }
    }

    #[test]
    fn counts_are_those_of_the_benchmark() {
        let scale = Scale { items: 10_000, ebs: 10, seed: 1 };
        let counts = [scale.customers(), scale.addresses(), scale.orders(), scale.authors()];
        assert_eq!(counts, [28_800, 57_600, 25_920, 2_500]);
        let population = small(1);
        let lines: usize = (1..=2_592).map(|order| population.order_lines(order).len()).sum();
        assert!((2_592 * 29 / 10..2_592 * 31 / 10).contains(&lines), "{lines}");
    }

    #[test]
    fn stock_is_kept_by_rule_and_remainder() {
        let population = small(3);
        for number in 1..=100 {
            let row = &population.item(number)[0];
            let Value::Int(stock) = row[17] else { panic!("{row:?}") };
            assert!((STOCK_MIN..STOCK_MIN + STOCK_REFILL).contains(&stock));
            assert_eq!((stock + population.sold[number as usize] - number).rem_euclid(STOCK_REFILL), 0);
        }
    }
}
