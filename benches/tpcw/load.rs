//! The bookshop's interactions as transactions of a batch, in the benchmark's three mixes.
//!
//! Transactions that insert rows with identity numbers are as an interactive session submits them: their numbers were
//! drawn from a block of its node, so a later statement may name them. All others are one-shot. A session has one
//! transaction in flight, and a cart of its own whose lines the generator knows. Items and customers are drawn evenly.

use super::random::Random;
use super::schema::{COUNTRIES, SUBJECTS, Sizes, Translated, cents, country, customer, int, subject, text, user};
use evesql::page::Hash;
use evesql::transaction::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const RELATED: &str = "SELECT j.i_id, j.i_thumbnail FROM item i, item j WHERE (i.i_related1 = j.i_id OR i.i_related2 = j.i_id \
    OR i.i_related3 = j.i_id OR i.i_related4 = j.i_id OR i.i_related5 = j.i_id) AND i.i_id = $1 ORDER BY j.i_id";
const NAME: &str = "SELECT c_fname, c_lname FROM customer WHERE c_id = $1";
const NEW_PRODUCTS: &str = "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND \
    i_subject = $1 ORDER BY i_pub_date DESC, i_title, i_id LIMIT 50";
const BEST_SELLERS: &str = "SELECT i_id, i_title, a_fname, a_lname FROM item, author, order_line WHERE i_id = ol_i_id AND \
    i_a_id = a_id AND ol_o_id > (SELECT max(o_id) - 3333 FROM orders) AND i_subject = $1 \
    GROUP BY i_id, i_title, a_fname, a_lname ORDER BY sum(ol_qty) DESC, i_id LIMIT 50";
const BOOK: &str = "SELECT * FROM item, author WHERE i_a_id = a_id AND i_id = $1";
const BY_SUBJECT: &str = "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND i_subject = $1 \
    ORDER BY i_title, i_id LIMIT 50";
const BY_TITLE: &str = "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND i_title LIKE $1 \
    ORDER BY i_title, i_id LIMIT 50";
const BY_AUTHOR: &str = "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND a_lname LIKE $1 \
    ORDER BY i_title, i_id LIMIT 50";
const NEW_CART: &str = "INSERT INTO shopping_cart (sc_time) VALUES (now()) RETURNING sc_id";
const ADD_LINE: &str = "INSERT INTO shopping_cart_line (scl_sc_id, scl_i_id, scl_qty) VALUES ($1, $2, 1) \
    ON CONFLICT (scl_sc_id, scl_i_id) DO UPDATE SET scl_qty = shopping_cart_line.scl_qty + 1";
const CHANGE_LINE: &str = "UPDATE shopping_cart_line SET scl_qty = $1 WHERE scl_sc_id = $2 AND scl_i_id = $3";
const STAMP: &str = "UPDATE shopping_cart SET sc_time = CURRENT_TIMESTAMP WHERE sc_id = $1";
const READ_CART: &str = "SELECT scl_i_id, scl_qty, i_title, i_cost, i_srp, i_backing FROM shopping_cart_line JOIN item \
    ON scl_i_id = i_id WHERE scl_sc_id = $1 ORDER BY scl_i_id";
const COUNTRY: &str = "SELECT co_id FROM country WHERE co_name = $1";
const ADDRESS: &str = "SELECT addr_id FROM address WHERE addr_street1 = $1 AND addr_street2 = $2 AND addr_city = $3 AND \
    addr_state = $4 AND addr_zip = $5 AND addr_co_id = $6";
const NEW_ADDRESS: &str = "INSERT INTO address (addr_street1, addr_street2, addr_city, addr_state, addr_zip, addr_co_id) \
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING addr_id";
const NEW_CUSTOMER: &str = "INSERT INTO customer (c_uname, c_passwd, c_fname, c_lname, c_addr_id, c_phone, c_email, c_since, \
    c_last_login, c_login, c_expiration, c_discount, c_balance, c_ytd_pmt, c_birthdate, c_data) VALUES \
    ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING c_id";
const PASSWORD: &str = "SELECT c_id, c_passwd FROM customer WHERE c_uname = $1";
const REFRESH: &str = "UPDATE customer SET c_login = CURRENT_TIMESTAMP, c_expiration = CURRENT_TIMESTAMP + INTERVAL '2 hours' \
    WHERE c_id = $1";
const CUSTOMER: &str = "SELECT * FROM customer, address, country WHERE c_addr_id = addr_id AND addr_co_id = co_id AND \
    c_uname = $1";
const DISCOUNT: &str = "SELECT c_discount FROM customer WHERE c_id = $1";
const NEW_ORDER: &str = "INSERT INTO orders (o_c_id, o_date, o_sub_total, o_tax, o_total, o_ship_type, o_ship_date, \
    o_bill_addr_id, o_ship_addr_id, o_status) VALUES ($1, now(), $2, $3, $4, $5, now(), $6, $7, 'Pending') RETURNING o_id";
const NEW_LINE: &str = "INSERT INTO order_line (ol_id, ol_o_id, ol_i_id, ol_qty, ol_discount, ol_comments) VALUES \
    ($1, $2, $3, $4, $5, $6)";
const STOCK: &str = "SELECT i_stock FROM item WHERE i_id = $1";
const TAKE_STOCK: &str = "UPDATE item SET i_stock = CASE WHEN i_stock - $1 < 10 THEN i_stock - $1 + 21 ELSE i_stock - $1 END \
    WHERE i_id = $2";
const NEW_CARD: &str = "INSERT INTO cc_xacts (cx_o_id, cx_type, cx_num, cx_name, cx_expire, cx_xact_amt, cx_xact_date, \
    cx_co_id) VALUES ($1, $2, $3, $4, $5, $6, now(), (SELECT addr_co_id FROM address WHERE addr_id = $7))";
const EMPTY_CART: &str = "DELETE FROM shopping_cart_line WHERE scl_sc_id = $1";
const LAST_ORDER: &str = "SELECT * FROM orders, cc_xacts, address ship, address bill WHERE cx_o_id = o_id AND \
    o_ship_addr_id = ship.addr_id AND o_bill_addr_id = bill.addr_id AND \
    o_id = (SELECT max(o_id) FROM orders WHERE o_c_id = $1)";
const LAST_LINES: &str = "SELECT * FROM order_line, item WHERE ol_i_id = i_id AND \
    ol_o_id = (SELECT max(o_id) FROM orders WHERE o_c_id = $1) ORDER BY ol_id";
const CHANGE_ITEM: &str = "UPDATE item SET i_cost = $1, i_image = $2, i_thumbnail = $3, i_pub_date = CURRENT_DATE \
    WHERE i_id = $4";
const BOUGHT_TOGETHER: &str = "SELECT ol_i_id FROM orders, order_line WHERE orders.o_id = order_line.ol_o_id AND \
    NOT (order_line.ol_i_id = $1) AND orders.o_c_id IN (SELECT o_c_id FROM orders, order_line WHERE \
    orders.o_id = order_line.ol_o_id AND orders.o_id > (SELECT MAX(o_id) - 10000 FROM orders) AND \
    order_line.ol_i_id = $1) GROUP BY ol_i_id ORDER BY SUM(ol_qty) DESC, ol_i_id LIMIT 5";
const RELATE: &str = "UPDATE item SET i_related1 = $1, i_related2 = $2, i_related3 = $3, i_related4 = $4, i_related5 = $5 \
    WHERE i_id = $6";

/// All statements, to be translated once.
pub const TEXTS: [&str; 32] = [
    RELATED,
    NAME,
    NEW_PRODUCTS,
    BEST_SELLERS,
    BOOK,
    BY_SUBJECT,
    BY_TITLE,
    BY_AUTHOR,
    NEW_CART,
    ADD_LINE,
    CHANGE_LINE,
    STAMP,
    READ_CART,
    COUNTRY,
    ADDRESS,
    NEW_ADDRESS,
    NEW_CUSTOMER,
    PASSWORD,
    REFRESH,
    CUSTOMER,
    DISCOUNT,
    NEW_ORDER,
    NEW_LINE,
    STOCK,
    TAKE_STOCK,
    NEW_CARD,
    EMPTY_CART,
    LAST_ORDER,
    LAST_LINES,
    CHANGE_ITEM,
    BOUGHT_TOGETHER,
    RELATE,
];

/// What a browser asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interaction {
    Home,
    NewProducts,
    BestSellers,
    ProductDetail,
    SearchRequest,
    SearchResults,
    ShoppingCart,
    CustomerRegistration,
    BuyRequest,
    BuyConfirm,
    OrderInquiry,
    OrderDisplay,
    AdminRequest,
    AdminConfirm,
}

use Interaction::*;

impl Interaction {
    pub const ALL: [Interaction; 14] = [
        Home,
        NewProducts,
        BestSellers,
        ProductDetail,
        SearchRequest,
        SearchResults,
        ShoppingCart,
        CustomerRegistration,
        BuyRequest,
        BuyConfirm,
        OrderInquiry,
        OrderDisplay,
        AdminRequest,
        AdminConfirm,
    ];

    pub fn updates(self) -> bool {
        matches!(self, ShoppingCart | CustomerRegistration | BuyRequest | BuyConfirm | AdminConfirm)
    }
}

/// How often each interaction comes, in hundredths of a percent, in the order of [`Interaction::ALL`].
#[derive(Clone, Debug)]
pub struct Mix {
    pub name: String,
    shares: [u64; 14],
}

impl Mix {
    pub fn all() -> [Mix; 3] {
        let mix = |name: &str, shares| Mix { name: name.into(), shares };
        [
            mix("browsing", [2900, 1100, 1100, 2100, 1200, 1100, 200, 82, 75, 69, 30, 25, 10, 9]),
            mix("shopping", [1600, 500, 500, 1700, 2000, 1700, 1160, 300, 260, 120, 75, 66, 10, 9]),
            mix("ordering", [912, 46, 46, 1235, 1453, 1308, 1353, 1286, 1273, 1018, 25, 22, 12, 11]),
        ]
    }

    /// Only what updates.
    pub fn updating(mut self) -> Mix {
        for (share, interaction) in self.shares.iter_mut().zip(Interaction::ALL) {
            *share *= u64::from(interaction.updates());
        }
        self
    }

    pub fn only(interaction: Interaction) -> Mix {
        let shares = Interaction::ALL.map(|other| u64::from(other == interaction));
        Mix { name: format!("{interaction:?}"), shares }
    }

    fn draw(&self, random: &mut Random) -> Interaction {
        let mut left = random.below(self.shares.iter().sum());
        for (share, interaction) in self.shares.iter().zip(Interaction::ALL) {
            match left.checked_sub(*share) {
                Some(rest) => left = rest,
                None => return interaction,
            }
        }
        Home
    }
}

#[derive(Clone, Debug, Default)]
struct Session {
    cart: i64,
    lines: BTreeMap<i64, i64>,
}

/// Makes transactions.
#[derive(Clone)]
pub struct Load {
    sizes: Sizes,
    texts: Arc<HashMap<&'static str, Translated>>,
    catalog: Hash,
    random: Random,
    sessions: Vec<Session>,
    sequence: u64,
    /// Next identity numbers: cart, address, customer, order.
    next: [i64; 4],
}

/// One that is being put together.
#[derive(Default)]
struct Draft {
    operations: Vec<Operation>,
    draws: bool,
}

impl Load {
    pub fn new(sizes: Sizes, texts: HashMap<&'static str, Translated>, catalog: Hash, random: Random) -> Self {
        let sessions = (1..=sizes.sessions).map(|cart| Session { cart, lines: BTreeMap::new() }).collect();
        let next = [sizes.sessions + 1, sizes.addresses() + 1, sizes.customers + 1, sizes.orders() + 1];
        Load { sizes, texts: Arc::new(texts), catalog, random, sessions, sequence: 0, next }
    }

    /// The next transactions, for a batch at this log index.
    pub fn batch(&mut self, mix: &Mix, count: usize, index: u64) -> Vec<Transaction> {
        (0..count).map(|_| self.transaction(mix, index)).collect()
    }

    fn transaction(&mut self, mix: &Mix, index: u64) -> Transaction {
        let session = self.sequence as usize % self.sessions.len();
        self.sequence += 1;
        let interaction = mix.draw(&mut self.random);
        let mut draft = Draft::default();
        self.interact(interaction, session, &mut draft);
        let begun = Begun { timestamp_us: index as i64 * 1_000_000, seed: self.random.next() };
        Transaction {
            id: TransactionId { incarnation: 1, session: session as u64, sequence: self.sequence },
            database: "evesql".into(),
            catalog: self.catalog,
            begun: draft.draws.then_some(begun),
            expires_at_index: index + 500,
            operations: draft.operations,
        }
    }

    fn interact(&mut self, interaction: Interaction, session: usize, draft: &mut Draft) {
        let item = int(self.random.between(1, self.sizes.items));
        let customer = self.random.between(1, self.sizes.customers);
        let topic = text(subject(self.random.between(0, SUBJECTS - 1)));
        match interaction {
            Home => {
                self.say(draft, NAME, vec![int(customer)]);
                self.say(draft, RELATED, vec![item]);
            }
            NewProducts => self.say(draft, NEW_PRODUCTS, vec![topic]),
            BestSellers => self.say(draft, BEST_SELLERS, vec![topic]),
            ProductDetail | AdminRequest => self.say(draft, BOOK, vec![item]),
            SearchRequest => self.say(draft, RELATED, vec![item]),
            SearchResults => {
                let word = text(format!("%{}%", self.random.word(2)));
                match self.random.below(3) {
                    0 => self.say(draft, BY_SUBJECT, vec![topic]),
                    1 => self.say(draft, BY_TITLE, vec![word]),
                    _ => self.say(draft, BY_AUTHOR, vec![word]),
                }
            }
            ShoppingCart => self.shopping_cart(session, draft),
            CustomerRegistration => self.registration(customer, draft),
            BuyRequest => {
                self.say(draft, CUSTOMER, vec![text(user(customer))]);
                self.say(draft, REFRESH, vec![int(customer)]);
                self.read_cart(session, draft);
            }
            BuyConfirm => self.buy_confirm(session, customer, draft),
            OrderInquiry => self.say(draft, PASSWORD, vec![text(user(customer))]),
            OrderDisplay => {
                self.say(draft, PASSWORD, vec![text(user(customer))]);
                self.say(draft, LAST_ORDER, vec![int(customer)]);
                self.say(draft, LAST_LINES, vec![int(customer)]);
            }
            AdminConfirm => self.admin_confirm(draft),
        }
    }

    fn say(&self, draft: &mut Draft, sql: &'static str, parameters: Vec<Value>) {
        draft.operations.push(self.statement(sql, parameters, Vec::new()));
    }

    /// One that draws an identity number.
    fn draw(&mut self, draft: &mut Draft, sql: &'static str, parameters: Vec<Value>, of: usize) -> i64 {
        let number = self.next[of];
        self.next[of] += 1;
        draft.draws = true;
        draft.operations.push(self.statement(sql, parameters, vec![number]));
        number
    }

    fn statement(&self, sql: &'static str, parameters: Vec<Value>, drawn: Vec<i64>) -> Operation {
        Operation::Statement(Statement { sql: self.texts[sql].clone(), parameters, drawn, ..Statement::default() })
    }

    fn read_cart(&self, session: usize, draft: &mut Draft) {
        let cart = self.sessions[session].cart;
        self.say(draft, READ_CART, vec![int(cart)]);
    }

    fn add_line(&mut self, session: usize, draft: &mut Draft) {
        let item = self.random.between(1, self.sizes.items);
        let cart = self.sessions[session].cart;
        self.say(draft, ADD_LINE, vec![int(cart), int(item)]);
        *self.sessions[session].lines.entry(item).or_default() += 1;
    }

    fn shopping_cart(&mut self, session: usize, draft: &mut Draft) {
        // Who bought takes a new one.
        if self.sessions[session].cart == 0 {
            self.sessions[session].cart = self.draw(draft, NEW_CART, vec![], 0);
        }
        let cart = self.sessions[session].cart;
        if self.sessions[session].lines.is_empty() || self.random.chance(0.7) {
            self.add_line(session, draft);
        } else {
            let at = self.random.below(self.sessions[session].lines.len() as u64) as usize;
            let quantity = self.random.between(1, 9);
            let line = self.sessions[session].lines.iter_mut().nth(at);
            let item = line.map(|(item, count)| (*count = quantity, *item).1).unwrap_or(1);
            self.say(draft, CHANGE_LINE, vec![int(quantity), int(cart), int(item)]);
        }
        self.say(draft, STAMP, vec![int(cart)]);
        self.read_cart(session, draft);
        let item = self.random.between(1, self.sizes.items);
        self.say(draft, RELATED, vec![int(item)]);
    }

    fn new_address(&mut self, draft: &mut Draft) -> i64 {
        let number = self.random.between(1, COUNTRIES);
        let mut values: Vec<Value> = (0..5).map(|_| text(self.random.word(9))).collect();
        values.push(int(number));
        self.say(draft, COUNTRY, vec![text(country(number))]);
        self.say(draft, ADDRESS, values.clone());
        self.draw(draft, NEW_ADDRESS, values, 1)
    }

    /// One in five is new.
    fn registration(&mut self, known: i64, draft: &mut Draft) {
        if !self.random.chance(0.2) {
            self.say(draft, PASSWORD, vec![text(user(known))]);
            return self.say(draft, REFRESH, vec![int(known)]);
        }
        let address = self.new_address(draft);
        let values = customer(self.next[2], address, &mut self.random);
        self.draw(draft, NEW_CUSTOMER, values[1..].to_vec(), 2);
    }

    fn buy_confirm(&mut self, session: usize, customer: i64, draft: &mut Draft) {
        if self.sessions[session].cart == 0 {
            self.sessions[session].cart = self.draw(draft, NEW_CART, vec![], 0);
        }
        if self.sessions[session].lines.is_empty() {
            self.add_line(session, draft);
        }
        let cart = self.sessions[session].cart;
        self.say(draft, DISCOUNT, vec![int(customer)]);
        self.read_cart(session, draft);
        let bill = self.random.between(1, self.sizes.addresses());
        let ship = if self.random.chance(0.05) { self.new_address(draft) } else { bill };
        let total = self.random.between(1_000, 99_999);
        let head = vec![int(customer), cents(total), cents(total / 12), cents(total + total / 12), text("AIR")];
        let order = self.draw(draft, NEW_ORDER, [head, vec![int(bill), int(ship)]].concat(), 3);
        let lines = std::mem::take(&mut self.sessions[session]).lines;
        for ((item, quantity), number) in lines.into_iter().zip(1..) {
            let line = vec![int(number), int(order), int(item), int(quantity), cents(10), text(self.random.word(40))];
            self.say(draft, NEW_LINE, line);
            self.say(draft, STOCK, vec![int(item)]);
            self.say(draft, TAKE_STOCK, vec![int(quantity), int(item)]);
        }
        let card = vec![int(order), text("VISA"), text("4000000000000000"), text(self.random.word(20)), int(10_000)];
        self.say(draft, NEW_CARD, [card, vec![cents(total), int(ship)]].concat());
        self.say(draft, EMPTY_CART, vec![int(cart)]);
    }

    fn admin_confirm(&mut self, draft: &mut Draft) {
        let id = self.random.between(1, self.sizes.items);
        let item = int(id);
        let change = vec![cents(self.random.between(100, 9_999)), text("img/new.gif"), text("img/thumb.gif")];
        self.say(draft, CHANGE_ITEM, [change, vec![item.clone()]].concat());
        self.say(draft, BOUGHT_TOGETHER, vec![item.clone()]);
        let related: Vec<Value> = (0..5).map(|_| int(self.random.between(1, self.sizes.items))).collect();
        self.say(draft, RELATE, [related, vec![item]].concat());
    }
}
