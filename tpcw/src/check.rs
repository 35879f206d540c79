//! Whether the shop is sound: what must hold in it at any time, and what a run's browsers were told.
//!
//! 1. Each order has lines and one card transaction; its amounts are those of its lines, by the rules of [`crate::shop`].
//! 2. Each line of an order or of a cart has its order or cart and its item.
//! 3. No item's stock is below the rule, and stock and books sold leave the remainder that the population gave the item:
//!    no sale was lost or counted twice.
//! 4. What browsers were told is committed is there, once; what they were told nothing about is not.
//! 5. Carts that were bought are empty, and open ones hold what their browsers put in.
//!
//! Nobody should buy meanwhile: it looks in several statements.

use crate::browser::{Cart, Inserted, Order, Sizes, Told};
use crate::session::{Error, Session, Statement};
use crate::shop::{Line, STOCK_MIN, STOCK_REFILL, Total, USER_PREFIX};
use crate::statements::READ_CART;
use crate::value::{Row, Value, text};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Orders that are looked at in one statement.
const ORDERS_MAX: i64 = 2_000;
/// Findings of a kind that are told one by one.
const FINDINGS_MAX: usize = 10;

static ITEMS: Statement = Statement::same("SELECT count(*) FROM item");
static CUSTOMERS: Statement = Statement::same("SELECT count(*) FROM customer WHERE c_uname LIKE $1");
static COUNTS: [Statement; 4] = [
    Statement::same("SELECT count(*) FROM orders"),
    Statement::same("SELECT count(*) FROM customer"),
    Statement::same("SELECT count(*) FROM address"),
    Statement::same("SELECT count(*) FROM shopping_cart"),
];
static LAST_ORDER: Statement = Statement::same("SELECT max(o_id) FROM orders");
static ORDERS: Statement = Statement::same(
    "SELECT o_id, o_c_id, o_sub_total, o_tax, o_total FROM orders WHERE o_id > $1 AND o_id <= $2 ORDER BY o_id",
);
static LINES: Statement = Statement::same(
    "SELECT ol_o_id, ol_i_id, ol_qty, ol_discount, ol_comments FROM order_line WHERE ol_o_id > $1 AND ol_o_id <= $2 \
     ORDER BY ol_o_id, ol_id",
);
static CARDS: Statement =
    Statement::same("SELECT cx_o_id, cx_xact_amt FROM cc_xacts WHERE cx_o_id > $1 AND cx_o_id <= $2 ORDER BY cx_o_id");
static STOCKS: Statement = Statement::same("SELECT i_id, i_stock FROM item ORDER BY i_id");
static CART_LINES: Statement = Statement::same("SELECT scl_sc_id, scl_i_id, scl_qty FROM shopping_cart_line");

/// Statements that count what must not be.
static ORPHANS: [(Statement, &str); 6] = [
    (
        Statement::same("SELECT count(*) FROM order_line WHERE NOT EXISTS (SELECT 1 FROM orders WHERE o_id = ol_o_id)"),
        "order lines have no order",
    ),
    (
        Statement::same("SELECT count(*) FROM order_line WHERE NOT EXISTS (SELECT 1 FROM item WHERE i_id = ol_i_id)"),
        "order lines have no item",
    ),
    (
        Statement::same("SELECT count(*) FROM cc_xacts WHERE NOT EXISTS (SELECT 1 FROM orders WHERE o_id = cx_o_id)"),
        "card transactions have no order",
    ),
    (
        Statement::same("SELECT count(*) FROM orders WHERE NOT EXISTS (SELECT 1 FROM customer WHERE c_id = o_c_id)"),
        "orders have no customer",
    ),
    (
        Statement::same(
            "SELECT count(*) FROM shopping_cart_line WHERE NOT EXISTS \
             (SELECT 1 FROM shopping_cart WHERE sc_id = scl_sc_id)",
        ),
        "cart lines have no cart",
    ),
    (
        Statement::same(
            "SELECT count(*) FROM shopping_cart_line WHERE NOT EXISTS (SELECT 1 FROM item WHERE i_id = scl_i_id)",
        ),
        "cart lines have no item",
    ),
];

/// How many rows there are of what a run inserts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of orders.
    pub orders: i64,
    /// Rows of customer.
    pub customers: i64,
    /// Rows of address.
    pub addresses: i64,
    /// Rows of shopping_cart.
    pub carts: i64,
}

/// What was found, each a sentence. None: the shop is sound.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The first ones of each kind.
    pub sentences: Vec<String>,
    /// How many there are by kind.
    kinds: HashMap<&'static str, usize>,
}

impl Findings {
    fn add(&mut self, kind: &'static str, sentence: impl FnOnce() -> String) {
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX {
            self.sentences.push(sentence());
        } else if *count == FINDINGS_MAX + 1 {
            self.sentences.push(format!("there are more findings about {kind}"));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }
}

/// What a run says for [`check`].
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// What its browsers were told.
    pub told: &'a Told,
    /// What the shop held before it.
    pub before: Counts,
}

fn number(session: &mut dyn Session, statement: &'static Statement, parameters: &[Value]) -> Result<i64, Error> {
    match session.query(statement, parameters)?.first() {
        Some(row) if row.0.first() == Some(&Value::Null) => Ok(0),
        Some(row) => row.int(0),
        None => Err(Error::Failed(format!("no row was answered to: {}", statement.postgres))),
    }
}

/// What can be chosen from in this shop.
pub fn sizes(session: &mut dyn Session) -> Result<Sizes, Error> {
    let items = number(session, &ITEMS, &[])
        .map_err(|error| Error::Failed(format!("is there a shop? tpcw load makes one: {error}")))?;
    let customers = number(session, &CUSTOMERS, &[text(format!("{USER_PREFIX}%"))])?;
    if items == 0 || customers == 0 {
        return Err(Error::Failed("the shop is empty; fill it with: tpcw load".into()));
    }
    Ok(Sizes { items, customers })
}

/// Counts rows.
pub fn counts(session: &mut dyn Session) -> Result<Counts, Error> {
    let [orders, customers, addresses, carts] = &COUNTS;
    Ok(Counts {
        orders: number(session, orders, &[])?,
        customers: number(session, customers, &[])?,
        addresses: number(session, addresses, &[])?,
        carts: number(session, carts, &[])?,
    })
}

/// Looks at all of the shop; and, after a run, for what its browsers were told.
pub fn check(session: &mut dyn Session, claims: Option<Claims<'_>>) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    for (statement, what) in &ORPHANS {
        let count = number(session, statement, &[])?;
        if count > 0 {
            findings.add(what, || format!("{count} {what}"));
        }
    }
    let sold = orders(session, claims.map(|claims| claims.told), &mut findings)?;
    stock(session, &sold, &mut findings)?;
    if let Some(claims) = claims {
        let now = counts(session)?;
        inserted(&claims, now, &mut findings);
        carts(session, claims.told, &mut findings)?;
    }
    Ok(findings)
}

/// Rows by the number in their first column.
fn by_number(rows: Vec<Row>) -> Result<BTreeMap<i64, Vec<Row>>, Error> {
    let mut found: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for row in rows {
        found.entry(row.int(0)?).or_default().push(row);
    }
    Ok(found)
}

/// Invariants 1 and 4; returns how many books of each item were sold.
fn orders(session: &mut dyn Session, told: Option<&Told>, findings: &mut Findings) -> Result<HashMap<i64, i64>, Error> {
    let mut expected: HashMap<i64, &Order> = HashMap::new();
    for order in told.iter().flat_map(|told| &told.orders) {
        if expected.insert(order.id, order).is_some() {
            findings.add("numbers", || format!("two browsers were told that order {} is theirs", order.id));
        }
    }
    let mut sold = HashMap::new();
    let (last, mut from) = (number(session, &LAST_ORDER, &[])?, 0);
    while from < last {
        let range = [Value::Int(from), Value::Int(from + ORDERS_MAX)];
        let heads = session.query(&ORDERS, &range)?;
        let mut lines = by_number(session.query(&LINES, &range)?)?;
        let mut cards = by_number(session.query(&CARDS, &range)?)?;
        for head in heads {
            let id = head.int(0)?;
            let (lines, cards) = (lines.remove(&id).unwrap_or_default(), cards.remove(&id).unwrap_or_default());
            if let Some(wrong) = order(&head, &lines, &cards, expected.remove(&id), &mut sold)? {
                findings.add("orders", || format!("order {id} {wrong}"));
            }
        }
        from += ORDERS_MAX;
    }
    let mut lost: Vec<i64> = expected.into_keys().collect();
    lost.sort_unstable();
    for id in lost {
        findings.add("lost orders", || format!("order {id} was acknowledged and is not there"));
    }
    Ok(sold)
}

/// What is wrong with an order.
fn order(
    head: &Row,
    lines: &[Row],
    cards: &[Row],
    told: Option<&Order>,
    sold: &mut HashMap<i64, i64>,
) -> Result<Option<String>, Error> {
    let mut amounts = Vec::new();
    for row in lines {
        *sold.entry(row.int(1)?).or_default() += row.int(2)?;
        match Line::parse(row.int(2)?, row.hundredths(3)?, row.text(4)?) {
            Ok(line) => amounts.push(line),
            Err(error) => return Ok(Some(format!("cannot be added up: {error}"))),
        }
    }
    let found = Total { sub_total: head.hundredths(2)?, tax: head.hundredths(3)?, total: head.hundredths(4)? };
    let right = Total::of(&amounts);
    if lines.is_empty() {
        return Ok(Some("has no lines".into()));
    }
    if found != right {
        return Ok(Some(format!("has the amounts {found:?} in cents, and its lines make {right:?}")));
    }
    let paid = cards.first().map(|card| card.hundredths(1)).transpose()?;
    if paid != Some(found.total) || cards.len() != 1 {
        return Ok(Some(format!("costs {} cents, and its card transaction is {paid:?}", found.total)));
    }
    let Some(told) = told else { return Ok(None) };
    let (customer, count) = (head.int(1)?, lines.len());
    if (told.customer, told.lines, told.total_cents) != (customer, count, found.total) {
        return Ok(Some(format!("is of customer {customer} with {count} lines, and was acknowledged as {told:?}")));
    }
    Ok(None)
}

/// Invariant 3.
fn stock(session: &mut dyn Session, sold: &HashMap<i64, i64>, findings: &mut Findings) -> Result<(), Error> {
    for row in session.query(&STOCKS, &[])? {
        let (item, stock) = (row.int(0)?, row.int(1)?);
        if stock < STOCK_MIN {
            findings.add("low stock", || format!("the stock of item {item} is {stock}, and the rule is {STOCK_MIN}"));
        }
        let sold = sold.get(&item).copied().unwrap_or_default();
        if (stock + sold - item).rem_euclid(STOCK_REFILL) != 0 {
            findings.add("stock", || {
                format!("the stock of item {item}, {stock}, does not come from selling {sold} and refilling")
            });
        }
    }
    Ok(())
}

/// Invariant 4, for what has no list.
fn inserted(claims: &Claims<'_>, now: Counts, findings: &mut Findings) {
    let (told, before) = (claims.told, claims.before);
    let orders = Inserted { certain: told.orders.len() as u64, uncertain: told.uncertain_orders.len() as u64 };
    for (what, before, now, inserted) in [
        ("orders", before.orders, now.orders, orders),
        ("customers", before.customers, now.customers, told.customers),
        ("addresses", before.addresses, now.addresses, told.addresses),
        ("carts", before.carts, now.carts, told.carts),
    ] {
        let new = now - before;
        let (least, most) = (inserted.certain as i64, (inserted.certain + inserted.uncertain) as i64);
        if !(least..=most).contains(&new) {
            findings.add("counts", || {
                format!("there are {new} new {what}, and browsers were told of {least}, or {most} with those unknown")
            });
        }
    }
}

/// Invariant 5.
fn carts(session: &mut dyn Session, told: &Told, findings: &mut Findings) -> Result<(), Error> {
    let bought: HashSet<i64> = told.orders.iter().map(|order| order.cart).collect();
    let full: HashSet<i64> = session.query(&CART_LINES, &[])?.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
    for cart in bought.intersection(&full) {
        findings.add("bought carts", || format!("cart {cart} was bought and is not empty"));
    }
    for Cart { id, lines } in &told.open_carts {
        let rows = session.query(&READ_CART, &[Value::Int(*id)])?;
        let found: BTreeMap<i64, i64> =
            rows.iter().map(|row| Ok((row.int(0)?, row.int(1)?))).collect::<Result<_, Error>>()?;
        if found != *lines {
            findings.add("open carts", || format!("cart {id} holds {found:?}, and its browser had put in {lines:?}"));
        }
    }
    Ok(())
}
