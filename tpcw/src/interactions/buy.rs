//! Buying: the form, and the order itself, the shop's largest transaction.

use super::cart::{new_cart, quantities};
use super::registration::{find_or_insert, typed_address};
use crate::browser::{Order, Visitor};
use crate::connection::Visit;
use crate::session::{Error, Session};
use crate::shop::{CARDS, Line, SHIPPING, STOCK_MIN, Total};
use crate::statements::*;
use crate::value::{Row, Value, text};
use std::time::{SystemTime, UNIX_EPOCH};

/// Share of orders that go to another address than the customer's.
const OTHER_ADDRESS: f64 = 0.05;

pub(super) fn buy_request(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let customer = visitor.customer_or_any();
    let rows = visit.read(&CUSTOMER, &[text(customer.user.as_str())])?;
    if rows.len() != 1 {
        return Err(Error::Failed(format!("{} was answered with {} rows", customer.user, rows.len())));
    }
    visit.change(&REFRESH, &[Value::Int(customer.id)])?;
    visitor.customer = Some(customer);
    if let Some(cart) = &visitor.cart {
        let found = quantities(&visit.read(&READ_CART, &[Value::Int(cart.id)])?)?;
        if found != cart.lines {
            return Err(Error::Failed(format!("cart {} holds {found:?} and not {:?}", cart.id, cart.lines)));
        }
    }
    Ok(())
}

/// All that is chosen before an order.
struct Choices {
    customer: i64,
    cart: Option<i64>,
    /// For an empty cart.
    item: i64,
    address: Option<Vec<Value>>,
    shipping: &'static str,
    /// Kind, number, name and expiry of the card.
    card: [Value; 4],
    comment: String,
}

impl Choices {
    fn new(visitor: &mut Visitor) -> Self {
        let customer = visitor.customer_or_any();
        let address = visitor.random.chance(OTHER_ADDRESS).then(|| typed_address(visitor));
        let (item, random) = (visitor.any_item(), &mut visitor.random);
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
        let kind = *random.choose(&CARDS).unwrap_or(&"");
        let expires = today as i64 + random.between(10, 730);
        Choices {
            customer: customer.id,
            cart: visitor.cart.as_ref().map(|cart| cart.id),
            item,
            address,
            shipping: random.choose(&SHIPPING).unwrap_or(&""),
            card: [text(kind), text(random.digits(16)), text(random.text(14, 30)), Value::Date(expires as i32)],
            comment: random.text(20, 80),
        }
    }

    /// The cart and its lines with items; a cart and a line are made if there are none.
    fn cart(&self, session: &mut dyn Session) -> Result<(i64, Vec<Row>), Error> {
        let cart = match self.cart {
            Some(cart) => cart,
            None => new_cart(session)?,
        };
        let rows = session.query(&READ_CART, &[Value::Int(cart)])?;
        if !rows.is_empty() {
            return Ok((cart, rows));
        }
        session.execute(&ADD_LINE, &[Value::Int(cart), Value::Int(self.item)])?;
        Ok((cart, session.query(&READ_CART, &[Value::Int(cart)])?))
    }

    /// The transaction; `order` is told the number as soon as it is known. Returns also whether an address is new, and
    /// the cart as it was.
    fn buy(&self, session: &mut dyn Session, order: &mut Option<i64>) -> Result<(Order, bool, Vec<Row>), Error> {
        let Some(customer) = session.query(&DISCOUNT, &[Value::Int(self.customer)])?.into_iter().next() else {
            return Err(Error::Failed(format!("customer {} is not there any more", self.customer)));
        };
        let (discount, bill_to) = (customer.hundredths(0)?, customer.int(1)?);
        let (cart, rows) = self.cart(session)?;
        let line =
            |row: &Row| Ok((row.int(0)?, Line { quantity: row.int(1)?, price_cents: row.hundredths(3)?, discount }));
        let lines: Vec<(i64, Line)> = rows.iter().map(line).collect::<Result<_, Error>>()?;
        let (ship_to, is_new) = match &self.address {
            Some(address) => find_or_insert(session, address)?,
            None => (bill_to, false),
        };
        let total = Total::of(&lines.iter().map(|(_, line)| *line).collect::<Vec<_>>());
        let amounts = [total.sub_total, total.tax, total.total].map(Value::Hundredths);
        let [sub_total, tax, in_all] = amounts;
        let head = [
            Value::Int(self.customer),
            sub_total,
            tax,
            in_all,
            text(self.shipping),
            Value::Int(bill_to),
            Value::Int(ship_to),
        ];
        let number = match session.query(&NEW_ORDER, &head)?.first() {
            Some(row) => row.int(0)?,
            None => return Err(Error::Failed("a new order was answered without its number".into())),
        };
        *order = Some(number);
        for ((item, line), position) in lines.iter().zip(1..) {
            self.sell(session, number, position, *item, line)?;
        }
        let [kind, digits, name, expires] = self.card.clone();
        let card =
            [Value::Int(number), kind, digits, name, expires, Value::Hundredths(total.total), Value::Int(ship_to)];
        session.execute(&NEW_CARD, &card)?;
        let emptied = session.execute(&EMPTY_CART, &[Value::Int(cart)])?;
        if emptied != rows.len() as u64 {
            let count = rows.len();
            return Err(Error::Failed(format!("cart {cart} lost {emptied} lines when its {count} lines were bought")));
        }
        let order = Order { id: number, cart, customer: self.customer, lines: lines.len(), total_cents: total.total };
        Ok((order, is_new, rows))
    }

    fn sell(&self, session: &mut dyn Session, order: i64, position: i64, item: i64, line: &Line) -> Result<(), Error> {
        let mut row = [position, order, item, line.quantity].map(Value::Int).to_vec();
        row.extend([Value::Hundredths(line.discount), text(line.comment(&self.comment))]);
        session.execute(&NEW_LINE, &row)?;
        let stock = session.query(&STOCK, &[Value::Int(item)])?;
        let stock = stock.first().map(|row| row.int(0)).transpose()?;
        if stock.is_none_or(|stock| stock < STOCK_MIN) {
            return Err(Error::Failed(format!("the stock of item {item} is {stock:?}, and the rule is {STOCK_MIN}")));
        }
        session.execute(&TAKE_STOCK, &[Value::Int(line.quantity), Value::Int(item)])?;
        Ok(())
    }
}

pub(super) fn buy_confirm(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let choices = Choices::new(visitor);
    let mut number = None;
    let done = visit.transaction(|session| choices.buy(session, &mut number));
    let cart = visitor.cart.take();
    visitor.told.carts.count(choices.cart.is_none(), &done);
    let is_new_address = done.as_ref().map_or(choices.address.is_some(), |(_, is_new, _)| *is_new);
    visitor.told.addresses.count(is_new_address, &done);
    if let (Err(Error::Unknown(_)), Some(number)) = (&done, number) {
        visitor.told.uncertain_orders.push(number);
    }
    let (order, _, rows) = done?;
    let bought = quantities(&rows)?;
    visitor.last_order = Some((order.customer, order.id));
    let id = order.id;
    visitor.told.orders.push(order);
    match cart {
        Some(cart) if !cart.lines.is_empty() && cart.lines != bought => Err(Error::Failed(format!(
            "order {id} sold {bought:?}, and its browser had put {:?} into cart {}",
            cart.lines, cart.id
        ))),
        _ => Ok(()),
    }
}
