//! What each page of the shop does in the database. Pages that only look run single statements; those that change
//! something are one transaction each, with all choices made before it, so that it can be run again.

mod admin;
mod browse;
mod buy;
mod cart;
mod order;
mod registration;

use crate::browser::Visitor;
use crate::connection::Visit;
use crate::navigation::Interaction;
use crate::session::Error;

/// Does what a page asks for.
pub fn perform(page: Interaction, visitor: &mut Visitor, visit: &mut Visit<'_>) -> Result<(), Error> {
    match page {
        Interaction::Home => browse::home(visitor, visit),
        Interaction::NewProducts => browse::new_products(visitor, visit),
        Interaction::BestSellers => browse::best_sellers(visitor, visit),
        Interaction::ProductDetail => browse::product_detail(visitor, visit),
        Interaction::SearchRequest => browse::search_request(visitor, visit),
        Interaction::SearchResults => browse::search_results(visitor, visit),
        Interaction::ShoppingCart => cart::shopping_cart(visitor, visit),
        Interaction::CustomerRegistration => registration::customer_registration(visitor, visit),
        Interaction::BuyRequest => buy::buy_request(visitor, visit),
        Interaction::BuyConfirm => buy::buy_confirm(visitor, visit),
        Interaction::OrderInquiry => order::order_inquiry(visitor, visit),
        Interaction::OrderDisplay => order::order_display(visitor, visit),
        Interaction::AdminRequest => admin::admin_request(visitor, visit),
        Interaction::AdminConfirm => admin::admin_confirm(visitor, visit),
    }
}
