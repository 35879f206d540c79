//! Changing an item: new price, pictures and date, and the items that go with it by what customers bought.

use super::browse;
use crate::browser::Visitor;
use crate::connection::Visit;
use crate::session::Error;
use crate::statements::*;
use crate::value::{Value, text};

/// How many items go with one.
const RELATED_ITEMS: usize = 5;

pub(super) fn admin_request(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let item = match visitor.item {
        Some(item) => item,
        None => visitor.pick(),
    };
    visitor.item = Some(item);
    browse::book(item, visit)
}

pub(super) fn admin_confirm(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let item = match visitor.item {
        Some(item) => item,
        None => visitor.pick(),
    };
    let cost = Value::Hundredths(visitor.random.between(100, 9_999));
    let picture = visitor.random.below(1_000);
    let pictures = [format!("img/new_image_{picture}.gif"), format!("img/new_thumb_{picture}.gif")].map(text);
    // Where customers did not buy enough others, any will do.
    let others: Vec<i64> = (0..RELATED_ITEMS).map(|_| visitor.any_item()).collect();
    visit.transaction(|session| {
        let [image, thumbnail] = pictures.clone();
        session.execute(&CHANGE_ITEM, &[cost.clone(), image, thumbnail, Value::Int(item)])?;
        let bought = session.query(&BOUGHT_TOGETHER, &[Value::Int(item)])?;
        let bought: Vec<i64> = bought.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
        let related = bought.iter().chain(&others).take(RELATED_ITEMS).chain([&item]);
        let parameters: Vec<Value> = related.map(|item| Value::Int(*item)).collect();
        session.execute(&RELATE, &parameters).map(drop)
    })
}
