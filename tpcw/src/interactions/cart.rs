//! The shopping cart: made when there is none, one line changed, stamped, and shown with its items.

use super::browse;
use crate::browser::{Cart, Visitor};
use crate::connection::Visit;
use crate::session::{Error, Session};
use crate::shop::QUANTITY_MAX;
use crate::statements::*;
use crate::value::{Row, Value};
use std::collections::BTreeMap;

/// What happens to the cart.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// One more of this item.
    Add(i64),
    /// So many of an item that is in it.
    Set(i64, i64),
}

impl Change {
    fn choose(visitor: &mut Visitor) -> Change {
        let lines: Vec<(i64, i64)> = match &visitor.cart {
            Some(cart) => cart.lines.iter().map(|(item, quantity)| (*item, *quantity)).collect(),
            None => Vec::new(),
        };
        if !lines.is_empty() && visitor.random.chance(0.3) {
            let (item, _) = *visitor.random.choose(&lines).unwrap_or(&lines[0]);
            return Change::Set(item, visitor.random.between(1, QUANTITY_MAX));
        }
        let item = match visitor.item.take() {
            Some(item) => item,
            None => visitor.pick(),
        };
        match lines.iter().find(|(other, _)| *other == item) {
            Some((_, quantity)) if *quantity >= QUANTITY_MAX => Change::Set(item, 1),
            _ => Change::Add(item),
        }
    }

    fn run(self, session: &mut dyn Session, cart: i64) -> Result<(), Error> {
        let changed = match self {
            Change::Add(item) => session.execute(&ADD_LINE, &[Value::Int(cart), Value::Int(item)])?,
            Change::Set(item, quantity) => {
                session.execute(&CHANGE_LINE, &[Value::Int(quantity), Value::Int(cart), Value::Int(item)])?
            }
        };
        match changed {
            1 => Ok(()),
            _ => Err(Error::Failed(format!("{self:?} in cart {cart} changed {changed} lines instead of one"))),
        }
    }

    fn apply(self, lines: &mut BTreeMap<i64, i64>) {
        match self {
            Change::Add(item) => *lines.entry(item).or_default() += 1,
            Change::Set(item, quantity) => drop(lines.insert(item, quantity)),
        }
    }
}

/// Makes a cart and returns its number.
pub(super) fn new_cart(session: &mut dyn Session) -> Result<i64, Error> {
    match session.query(&NEW_CART, &[])?.as_slice() {
        [row] => row.int(0),
        rows => Err(Error::Failed(format!("a new cart was answered with {} rows", rows.len()))),
    }
}

/// Quantities by item of the rows of [`READ_CART`].
pub(super) fn quantities(rows: &[Row]) -> Result<BTreeMap<i64, i64>, Error> {
    rows.iter().map(|row| Ok((row.int(0)?, row.int(1)?))).collect()
}

pub(super) fn shopping_cart(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let change = Change::choose(visitor);
    let before = visitor.cart.take();
    let known = before.as_ref().map(|cart| cart.id);
    let done = visit.transaction(|session| {
        let cart = match known {
            Some(cart) => cart,
            None => new_cart(session)?,
        };
        change.run(session, cart)?;
        session.execute(&STAMP, &[Value::Int(cart)])?;
        Ok((cart, quantities(&session.query(&READ_CART, &[Value::Int(cart)])?)?))
    });
    // A cart of unknown content is left where it is, and the visitor takes another one.
    visitor.told.carts.count(known.is_none(), &done);
    let (id, found) = done?;
    let mut lines = before.map(|cart| cart.lines).unwrap_or_default();
    change.apply(&mut lines);
    if found != lines {
        return Err(Error::Failed(format!("cart {id} holds {found:?}, and its browser had put {lines:?} into it")));
    }
    visitor.cart = Some(Cart { id, lines });
    browse::promotions(visitor, visit)
}
