//! Customer registration: one in five is new, the others log in.

use crate::browser::{Customer, Visitor};
use crate::connection::Visit;
use crate::population;
use crate::session::{Error, Session};
use crate::shop;
use crate::statements::*;
use crate::value::{Row, Value, text};
use std::time::{SystemTime, UNIX_EPOCH};

/// Share of registrations that are new customers.
const NEW: f64 = 0.2;
const DAY_US: i64 = 86_400_000_000;

/// An address as it is typed in: its columns, the last of which is the country's number.
pub(super) fn typed_address(visitor: &mut Visitor) -> Vec<Value> {
    population::address(&mut visitor.random)
}

/// The number of an address, which is inserted if it is not known; and whether it was.
pub(super) fn find_or_insert(session: &mut dyn Session, address: &[Value]) -> Result<(i64, bool), Error> {
    let Some((Value::Int(country), columns)) = address.split_last() else {
        return Err(Error::Failed("an address was typed in without its country".into()));
    };
    let country = one(&session.query(&COUNTRY, &[text(shop::country(*country))])?, "a country")?;
    let columns = [columns, &[Value::Int(country)]].concat();
    match session.query(&ADDRESS, &columns)?.first() {
        Some(row) => Ok((row.int(0)?, false)),
        None => Ok((one(&session.query(&NEW_ADDRESS, &columns)?, "a new address")?, true)),
    }
}

/// The number in the only row.
fn one(rows: &[Row], what: &str) -> Result<i64, Error> {
    match rows {
        [row] => row.int(0),
        _ => Err(Error::Failed(format!("{what} was answered with {} rows instead of one", rows.len()))),
    }
}

pub(super) fn customer_registration(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    if visitor.random.chance(NEW) { register(visitor, visit) } else { log_in(visitor, visit) }
}

fn log_in(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let customer = visitor.customer_or_any();
    let id = visit.transaction(|session| {
        let id = one(&session.query(&PASSWORD, &[text(customer.user.as_str())])?, "a user name")?;
        session.execute(&REFRESH, &[Value::Int(id)])?;
        Ok(id)
    })?;
    if id != customer.id {
        return Err(Error::Failed(format!("{} is customer {id} and not {}", customer.user, customer.id)));
    }
    visitor.customer = Some(customer);
    Ok(())
}

fn register(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
    let (address, user) = (typed_address(visitor), visitor.new_user());
    let values = population::customer(&mut visitor.random, 0, (now_us / DAY_US) as i32, now_us);
    let done = visit.transaction(|session| {
        let (address, is_new) = find_or_insert(session, &address)?;
        let mut values = [&[text(user.as_str())], values.as_slice()].concat();
        values[4] = Value::Int(address);
        Ok((one(&session.query(&NEW_CUSTOMER, &values)?, "a new customer")?, is_new))
    });
    visitor.told.customers.count(true, &done);
    let is_new_address = done.as_ref().map_or(true, |(_, is_new)| *is_new);
    visitor.told.addresses.count(is_new_address, &done);
    visitor.customer = Some(Customer { id: done?.0, user });
    Ok(())
}
