//! Looking at the newest order.

use crate::browser::Visitor;
use crate::connection::Visit;
use crate::session::Error;
use crate::statements::*;
use crate::value::{Value, text};

pub(super) fn order_inquiry(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let customer = visitor.customer_or_any();
    visit.read(&PASSWORD, &[text(customer.user.as_str())])?;
    visitor.customer = Some(customer);
    Ok(())
}

pub(super) fn order_display(visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    let customer = visitor.customer_or_any();
    visit.read(&PASSWORD, &[text(customer.user.as_str())])?;
    let orders = visit.read(&LAST_ORDER, &[Value::Int(customer.id)])?;
    let lines = visit.read(&LAST_LINES, &[Value::Int(customer.id)])?;
    // Not all customers have one.
    let found = orders.first().map(|row| row.int(0)).transpose()?;
    if found.is_some() && lines.is_empty() {
        return Err(Error::Failed(format!("order {found:?} is shown without lines")));
    }
    match visitor.last_order {
        // Others may order for the same customer, so a later one is right too.
        Some((of, order)) if of == customer.id && found.is_none_or(|found| found < order) => {
            Err(Error::Failed(format!("customer {of} has ordered {order}, and the newest order shown is {found:?}")))
        }
        _ => Ok(()),
    }
}
