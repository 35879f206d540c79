//! The shop's rules for money and stock, which population, interactions and checks share.

use crate::session::Error;

/// Countries, all known from the start.
pub const COUNTRIES: i64 = 92;

/// What books are about.
pub const SUBJECTS: [&str; 24] = [
    "ARTS",
    "BIOGRAPHIES",
    "BUSINESS",
    "CHILDREN",
    "COMPUTERS",
    "COOKING",
    "HEALTH",
    "HISTORY",
    "HOME",
    "HUMOR",
    "LITERATURE",
    "MYSTERY",
    "NON-FICTION",
    "PARENTING",
    "POLITICS",
    "REFERENCE",
    "RELIGION",
    "ROMANCE",
    "SCIENCE-FICTION",
    "SCIENCE-NATURE",
    "SELF-HELP",
    "SPORTS",
    "TRAVEL",
    "YOUTH",
];

/// Ways to ship.
pub const SHIPPING: [&str; 6] = ["AIR", "UPS", "FEDEX", "SHIP", "COURIER", "MAIL"];
/// Kinds of cards.
pub const CARDS: [&str; 5] = ["VISA", "MASTERCARD", "DISCOVER", "AMEX", "DINERS"];

/// No item's stock is ever below this.
pub const STOCK_MIN: i64 = 10;
/// How many new ones come when stock would fall below [`STOCK_MIN`].
pub const STOCK_REFILL: i64 = 21;
/// How many of an item a cart may hold: with more, one refill would not do.
pub const QUANTITY_MAX: i64 = 9;

/// Tax in hundredths of a percent.
const TAX: i64 = 825;
/// Shipping of an order and of each book, in cents.
const SHIPPING_CENTS: (i64, i64) = (300, 100);

/// Name of a country by number from 1.
pub fn country(number: i64) -> String {
    format!("Country {number:02}")
}

/// User name of a customer of the population.
pub fn user(customer: i64) -> String {
    format!("USER{customer:08}")
}

/// What all user names of the population begin with, and no others.
pub const USER_PREFIX: &str = "USER";

/// A line of an order as far as money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// How many books.
    pub quantity: i64,
    /// Cents for one.
    pub price_cents: i64,
    /// Hundredths of a percent that are taken off.
    pub discount: i64,
}

impl Line {
    /// Cents to pay for it, rounded down.
    pub fn cents(&self) -> i64 {
        self.quantity * self.price_cents * (10_000 - self.discount) / 10_000
    }

    /// The price as it stands in the line's comment: the item's price may change later.
    pub fn comment(&self, words: &str) -> String {
        format!("{}.{:02} each, {words}", self.price_cents / 100, self.price_cents % 100)
    }

    /// The line again, from its columns.
    pub fn parse(quantity: i64, discount: i64, comment: &str) -> Result<Self, Error> {
        let price = comment.split_once(" each").and_then(|(price, _)| price.split_once('.'));
        let cents = price.and_then(|(whole, part)| {
            let (whole, part): (i64, i64) = (whole.parse().ok()?, part.parse().ok()?);
            Some(whole * 100 + part)
        });
        match cents {
            Some(price_cents) => Ok(Line { quantity, price_cents, discount }),
            None => Err(Error::Failed(format!("an order line's comment does not begin with its price: {comment}"))),
        }
    }
}

/// What an order costs, in cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// All lines.
    pub sub_total: i64,
    /// On the lines.
    pub tax: i64,
    /// Lines, tax and shipping.
    pub total: i64,
}

impl Total {
    /// Of these lines.
    pub fn of(lines: &[Line]) -> Self {
        let sub_total = lines.iter().map(Line::cents).sum();
        let books: i64 = lines.iter().map(|line| line.quantity).sum();
        let tax = sub_total * TAX / 10_000;
        Total { sub_total, tax, total: sub_total + tax + SHIPPING_CENTS.0 + SHIPPING_CENTS.1 * books }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_from_its_comment() {
        let line = Line { quantity: 3, price_cents: 1_205, discount: 1_500 };
        assert_eq!(line.cents(), 3_072, "3 x 12.05 less 15%");
        assert_eq!(line.comment("quick please"), "12.05 each, quick please");
        assert_eq!(Line::parse(3, 1_500, &line.comment("x")).unwrap(), line);
        assert!(Line::parse(3, 0, "quick please").is_err());
    }

    #[test]
    fn an_order_adds_tax_and_shipping() {
        let line = Line { quantity: 2, price_cents: 1_000, discount: 0 };
        assert_eq!(Total::of(&[line, line]), Total { sub_total: 4_000, tax: 330, total: 5_030 });
    }
}
