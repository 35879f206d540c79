//! An emulated browser: a visitor with a customer's name, a cart and a memory, who walks the shop's pages.

use crate::connection::{Visit, Way};
use crate::interactions;
use crate::navigation::{Interaction, Navigation};
use crate::random::Random;
use crate::session::Error;
use crate::shop;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Think times are at most so many times their mean.
const THINK_CAP: f64 = 10.0;
/// Mean length of a user's session; its distribution is exponential, with a cap as for think times.
pub const SESSION_MEAN: Duration = Duration::from_secs(15 * 60);
/// Share of users that come back, whom the home page greets.
const RETURNING: f64 = 0.8;
/// After a page failed for good, so that a broken server is not asked in a hot loop.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Who uses the browser.
#[derive(Clone, Debug)]
pub struct Customer {
    /// `c_id`.
    pub id: i64,
    /// `c_uname`.
    pub user: String,
}

/// A cart, as the browser last saw it.
#[derive(Clone, Debug)]
pub struct Cart {
    /// `sc_id`.
    pub id: i64,
    /// Quantities by item.
    pub lines: BTreeMap<i64, i64>,
}

/// An order that the browser was told is committed.
#[derive(Clone, Debug)]
pub struct Order {
    /// `o_id`.
    pub id: i64,
    /// The cart that was bought.
    pub cart: i64,
    /// `o_c_id`.
    pub customer: i64,
    /// How many lines it has.
    pub lines: usize,
    /// `o_total`.
    pub total_cents: i64,
}

/// Rows that were inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// The browser was told that they are committed.
    pub certain: u64,
    /// Nobody could say.
    pub uncertain: u64,
}

impl Inserted {
    /// Counts one, if there was something to insert and the transaction ended like this.
    pub fn count<T>(&mut self, inserts: bool, outcome: &Result<T, Error>) {
        match outcome {
            Ok(_) => self.certain += u64::from(inserts),
            Err(Error::Unknown(_)) => self.uncertain += u64::from(inserts),
            Err(_) => (),
        }
    }
}

/// All that browsers were told, which the shop has to hold afterwards.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Orders that are committed.
    pub orders: Vec<Order>,
    /// Numbers of orders that may be.
    pub uncertain_orders: Vec<i64>,
    /// New carts.
    pub carts: Inserted,
    /// New customers.
    pub customers: Inserted,
    /// New addresses.
    pub addresses: Inserted,
    /// Carts at the end.
    pub open_carts: Vec<Cart>,
}

impl Told {
    /// Adds what another browser was told.
    pub fn add(&mut self, mut other: Told) {
        self.orders.append(&mut other.orders);
        self.uncertain_orders.append(&mut other.uncertain_orders);
        self.open_carts.append(&mut other.open_carts);
        for (sum, more) in [
            (&mut self.carts, other.carts),
            (&mut self.customers, other.customers),
            (&mut self.addresses, other.addresses),
        ] {
            sum.certain += more.certain;
            sum.uncertain += more.uncertain;
        }
    }
}

/// How many items and customers can be chosen from.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Items 1 to this.
    pub items: i64,
    /// Customers 1 to this are those of the population.
    pub customers: i64,
}

/// The one in front of the browser.
pub struct Visitor {
    /// For all choices.
    pub random: Random,
    sizes: Sizes,
    /// Known after the first page that asks for it.
    pub customer: Option<Customer>,
    /// Until it is bought.
    pub cart: Option<Cart>,
    /// Items of the last list.
    pub shown: Vec<i64>,
    /// The item that was looked at last, until it is put into the cart.
    pub item: Option<i64>,
    /// Customer and number of the last order.
    pub last_order: Option<(i64, i64)>,
    /// For the checks afterwards.
    pub told: Told,
    /// Makes names of new customers that no other run has used.
    names: Random,
}

impl Visitor {
    fn new(sizes: Sizes, random: Random, names: Random) -> Self {
        let mut visitor = Visitor {
            random,
            sizes,
            customer: None,
            cart: None,
            shown: Vec::new(),
            item: None,
            last_order: None,
            told: Told::default(),
            names,
        };
        visitor.arrive();
        visitor
    }

    /// A new user sits down; the last one's cart stays behind.
    fn arrive(&mut self) {
        self.told.open_carts.extend(self.cart.take());
        (self.customer, self.item, self.last_order) = (None, None, None);
        self.shown.clear();
        if self.random.chance(RETURNING) {
            self.customer = Some(self.any_customer());
        }
    }

    fn any_customer(&mut self) -> Customer {
        let id = self.random.between(1, self.sizes.customers);
        Customer { id, user: shop::user(id) }
    }

    /// The customer, or any of the population if it is not known who it is.
    pub fn customer_or_any(&mut self) -> Customer {
        match &self.customer {
            Some(customer) => customer.clone(),
            None => self.any_customer(),
        }
    }

    /// A user name that no one has.
    pub fn new_user(&mut self) -> String {
        format!("NEW{:016x}", self.names.next())
    }

    /// Any item of the shop.
    pub fn any_item(&mut self) -> i64 {
        self.random.between(1, self.sizes.items)
    }

    /// One of the items of the last list, or any.
    pub fn pick(&mut self) -> i64 {
        match self.random.choose(&self.shown) {
            Some(item) => *item,
            None => self.any_item(),
        }
    }
}

/// How a browser behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Mean think time; zero asks for the next page at once.
    pub think_mean: Duration,
    /// Mean length of a user's session.
    pub session_mean: Duration,
}

/// A page that was asked for.
pub struct Visited {
    /// Which one.
    pub page: Interaction,
    /// When it was there.
    pub ended: Instant,
    /// How long it took, retries included.
    pub took: Duration,
    /// How often something was tried again.
    pub retries: u64,
    /// What came of it.
    pub outcome: Result<(), Error>,
}

/// An emulated browser.
pub struct Browser {
    visitor: Visitor,
    navigation: Navigation,
    habits: Habits,
    way: Way,
    page: Interaction,
    /// For times, so that choices do not depend on them.
    times: Random,
    session_ends: Instant,
}

impl Browser {
    /// Number `number` of a run. `nonce` is different in each run, for names of new customers.
    pub fn new(
        number: u64,
        seed: u64,
        nonce: u64,
        sizes: Sizes,
        navigation: Navigation,
        habits: Habits,
        way: Way,
    ) -> Self {
        let random = |stream: u64| Random::part(seed, 100 + stream, number);
        let visitor = Visitor::new(sizes, random(0), Random::part(nonce, 0, number));
        let mut times = random(1);
        let session_ends = Instant::now() + times.exponential(habits.session_mean, THINK_CAP);
        // The first page is Home, whatever page this would be.
        Browser { visitor, navigation, habits, way, page: Interaction::Home, times, session_ends }
    }

    /// How long the user thinks before the next page.
    pub fn think(&mut self) -> Duration {
        self.times.exponential(self.habits.think_mean, THINK_CAP)
    }

    /// Asks for the next page.
    pub fn visit(&mut self) -> Visited {
        let page = self.page;
        if page == Interaction::Home && Instant::now() >= self.session_ends {
            // Sessions end where the chain comes home, so that the mix stays what it is.
            self.visitor.arrive();
            self.session_ends = Instant::now() + self.times.exponential(self.habits.session_mean, THINK_CAP);
        }
        let (began, seed, visitor) = (Instant::now(), self.times.next(), &mut self.visitor);
        let (outcome, retries) = self.way.with(|connection| {
            let mut visit = Visit::new(connection, seed);
            (interactions::perform(page, visitor, &mut visit), visit.retries())
        });
        let ended = Instant::now();
        if outcome.is_err() {
            std::thread::sleep(PAUSE_AFTER_FAILURE);
        }
        self.page = self.navigation.next(page, &mut self.visitor.random);
        Visited { page, ended, took: ended - began, retries, outcome }
    }

    /// What it was told, at the end.
    pub fn into_told(mut self) -> Told {
        self.visitor.told.open_carts.extend(self.visitor.cart.take());
        self.visitor.told
    }
}
