//! Looking around: home page, lists, searches, one book.

use crate::browser::Visitor;
use crate::connection::Visit;
use crate::session::{Error, Statement};
use crate::shop::SUBJECTS;
use crate::statements::*;
use crate::value::{Row, Value, text};

/// A page with a list of items, which the visitor may pick from next.
fn list(
    visitor: &mut Visitor,
    visit: &mut Visit<'_>,
    statement: &'static Statement,
    parameter: Value,
) -> Result<(), Error> {
    let rows = visit.read(statement, &[parameter])?;
    visitor.shown = rows.iter().map(|row: &Row| row.int(0)).collect::<Result<_, _>>()?;
    Ok(())
}

/// Five items that the shop recommends.
pub(super) fn promotions(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let item = visitor.any_item();
    list(visitor, visit, &RELATED, Value::Int(item))
}

fn subject(visitor: &mut Visitor) -> Value {
    text(*visitor.random.choose(&SUBJECTS).unwrap_or(&""))
}

pub(super) fn home(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    if let Some(customer) = &visitor.customer {
        visit.read(&NAME, &[Value::Int(customer.id)])?;
    }
    promotions(visitor, visit)
}

pub(super) fn new_products(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let subject = subject(visitor);
    list(visitor, visit, &NEW_PRODUCTS, subject)
}

pub(super) fn best_sellers(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let subject = subject(visitor);
    list(visitor, visit, &BEST_SELLERS, subject)
}

pub(super) fn product_detail(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let item = visitor.pick();
    visitor.item = Some(item);
    book(item, visit)
}

/// Reads all about an item, which must be there.
pub(super) fn book(item: i64, visit: &mut Visit<'_>) -> Result<(), Error> {
    let rows = visit.read(&BOOK, &[Value::Int(item)])?;
    match rows.as_slice() {
        [row] if row.int(0)? == item => Ok(()),
        _ => Err(Error::Failed(format!("item {item} was answered with {} rows that are not it", rows.len()))),
    }
}

pub(super) fn search_request(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    promotions(visitor, visit)
}

pub(super) fn search_results(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let kind = visitor.random.below(3);
    let parameter = match kind {
        0 => subject(visitor),
        // Two syllables are found in some percent of the titles and names.
        _ => text(format!("%{}%", visitor.random.word(2))),
    };
    let statement = [&BY_SUBJECT, &BY_TITLE, &BY_AUTHOR][kind as usize];
    list(visitor, visit, statement, parameter)
}
