//! Which page comes next: for each mix a Markov chain over the shop's links whose stationary distribution is the mix.
//!
//! TPC-W publishes shares of pages and, apart from them, tables of transition probabilities. Here the links say what can
//! follow what, and the probabilities are computed: the flows between pages are scaled, rows and columns in turn, until
//! each page is entered and left as often as its share says (iterative proportional fitting; Deming and Stephan, "On a
//! least squares adjustment of a sampled frequency table", 1940; Sinkhorn and Knopp, "Concerning nonnegative matrices
//! and doubly stochastic matrices", 1967). Of all flows over these links with these shares that is the one nearest to
//! even. A flow divided by its page's share is the probability; that the shares are then stationary follows from what
//! flows in being what flows out.

use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A page of the shop, and what it does in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the benchmark's names")]
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

/// How many there are.
pub const INTERACTIONS: usize = 14;

impl Interaction {
    /// All, in the benchmark's order.
    pub const ALL: [Interaction; INTERACTIONS] = [
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

    /// The benchmark's name.
    pub fn name(self) -> &'static str {
        match self {
            Home => "Home",
            NewProducts => "New Products",
            BestSellers => "Best Sellers",
            ProductDetail => "Product Detail",
            SearchRequest => "Search Request",
            SearchResults => "Search Results",
            ShoppingCart => "Shopping Cart",
            CustomerRegistration => "Customer Registration",
            BuyRequest => "Buy Request",
            BuyConfirm => "Buy Confirm",
            OrderInquiry => "Order Inquiry",
            OrderDisplay => "Order Display",
            AdminRequest => "Admin Request",
            AdminConfirm => "Admin Confirm",
        }
    }

    /// Pages that this one has links to, besides those that every page has.
    fn own_links(self) -> &'static [Interaction] {
        match self {
            Home => &[NewProducts, BestSellers, ProductDetail, OrderInquiry],
            NewProducts | BestSellers | SearchResults => &[ProductDetail],
            ProductDetail => &[ProductDetail, AdminRequest],
            SearchRequest => &[SearchResults, ProductDetail],
            ShoppingCart => &[CustomerRegistration, ProductDetail],
            CustomerRegistration => &[BuyRequest],
            BuyRequest => &[BuyConfirm],
            BuyConfirm => &[OrderInquiry],
            OrderInquiry => &[OrderDisplay],
            AdminRequest => &[AdminConfirm],
            OrderDisplay | AdminConfirm => &[],
        }
    }

    /// Whether a page has a link to another.
    pub fn links_to(self, next: Interaction) -> bool {
        matches!(next, Home | SearchRequest | ShoppingCart) || self.own_links().contains(&next)
    }
}

impl fmt::Display for Interaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// How much is looked at and how much is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// 95% looking; its metric is WIPSb.
    Browsing,
    /// 80% looking; its metric is WIPS.
    Shopping,
    /// Half of it buying; its metric is WIPSo.
    Ordering,
}

impl Mix {
    /// All three.
    pub const ALL: [Mix; 3] = [Mix::Browsing, Mix::Shopping, Mix::Ordering];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mix::Browsing => "browsing",
            Mix::Shopping => "shopping",
            Mix::Ordering => "ordering",
        }
    }

    /// What web interactions per second are called with this mix.
    pub fn metric(self) -> &'static str {
        match self {
            Mix::Browsing => "WIPSb",
            Mix::Shopping => "WIPS",
            Mix::Ordering => "WIPSo",
        }
    }

    /// Each page's share of all, in the order of [`Interaction::ALL`].
    pub fn shares(self) -> [f64; INTERACTIONS] {
        let hundredths: [u16; INTERACTIONS] = match self {
            Mix::Browsing => [2900, 1100, 1100, 2100, 1200, 1100, 200, 82, 75, 69, 30, 25, 10, 9],
            Mix::Shopping => [1600, 500, 500, 1700, 2000, 1700, 1160, 300, 260, 120, 75, 66, 10, 9],
            Mix::Ordering => [912, 46, 46, 1235, 1453, 1308, 1353, 1286, 1273, 1018, 25, 22, 12, 11],
        };
        hundredths.map(|share| f64::from(share) / 10_000.0)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Mix {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mix = Mix::ALL.into_iter().find(|mix| mix.name() == text);
        mix.ok_or_else(|| format!("there is no mix {text}; write browsing, shopping or ordering"))
    }
}

type Matrix = [[f64; INTERACTIONS]; INTERACTIONS];

/// Rounds of scaling at most; the three mixes need a few hundred.
const ROUNDS_MAX: usize = 100_000;
/// Shares that are off by less than this are right.
const TOLERANCE: f64 = 1e-14;

/// The chain of a mix.
#[derive(Clone, Debug)]
pub struct Navigation {
    /// Probability of the next page (column) after a page (row).
    probabilities: Matrix,
}

impl Navigation {
    /// That of this mix.
    pub fn of(mix: Mix) -> Self {
        let shares = mix.shares();
        let mut probabilities = flows(&shares);
        for row in &mut probabilities {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|flow| *flow /= sum);
        }
        Navigation { probabilities }
    }

    /// Probability that `next` follows `page`.
    pub fn probability(&self, page: Interaction, next: Interaction) -> f64 {
        self.probabilities[page as usize][next as usize]
    }

    /// Draws the page that follows.
    pub fn next(&self, page: Interaction, random: &mut Random) -> Interaction {
        let mut left = random.fraction();
        let row = &self.probabilities[page as usize];
        let drawn = row.iter().position(|probability| {
            left -= probability;
            left < 0.0
        });
        // Sums of fractions may fall short of one by a rounding error.
        drawn.map_or(Home, |position| Interaction::ALL[position])
    }
}

/// How often each link is followed, as a share of all steps.
fn flows(shares: &[f64; INTERACTIONS]) -> Matrix {
    let mut flows = Interaction::ALL.map(|page| Interaction::ALL.map(|next| f64::from(u8::from(page.links_to(next)))));
    for _ in 0..ROUNDS_MAX {
        for (row, share) in flows.iter_mut().zip(shares) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|flow| *flow *= share / sum);
        }
        let mut off: f64 = 0.0;
        for (column, share) in shares.iter().enumerate() {
            let sum: f64 = flows.iter().map(|row| row[column]).sum();
            off = off.max((sum - share).abs());
            flows.iter_mut().for_each(|row| row[column] *= share / sum);
        }
        if off < TOLERANCE {
            break;
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_stationary_distribution() {
        for mix in Mix::ALL {
            let (navigation, shares) = (Navigation::of(mix), mix.shares());
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for next in Interaction::ALL {
                let row: f64 = Interaction::ALL.iter().map(|to| navigation.probability(next, *to)).sum();
                assert!((row - 1.0).abs() < 1e-12, "{mix}: {next} is left with {row}");
                let entered: f64 = Interaction::ALL
                    .iter()
                    .map(|page| shares[*page as usize] * navigation.probability(*page, next))
                    .sum();
                assert!((entered - shares[next as usize]).abs() < 1e-9, "{mix}: {next} is entered with {entered}");
            }
        }
    }

    #[test]
    fn only_links_are_followed() {
        for mix in Mix::ALL {
            let navigation = Navigation::of(mix);
            for (page, next) in Interaction::ALL.iter().flat_map(|page| Interaction::ALL.map(|next| (*page, next))) {
                assert_eq!(navigation.probability(page, next) > 0.0, page.links_to(next), "{mix}: {page} to {next}");
            }
            let before = |next: Interaction| -> Vec<Interaction> {
                let possible = |page: &Interaction| navigation.probability(*page, next) > 0.0;
                Interaction::ALL.into_iter().filter(possible).collect()
            };
            assert_eq!(before(BuyConfirm), [BuyRequest]);
            assert_eq!(before(BuyRequest), [CustomerRegistration]);
            assert_eq!(before(CustomerRegistration), [ShoppingCart]);
            assert_eq!(before(SearchResults), [SearchRequest]);
            assert_eq!(before(OrderDisplay), [OrderInquiry]);
            assert_eq!(before(AdminConfirm), [AdminRequest]);
            assert_eq!(before(AdminRequest), [ProductDetail]);
        }
    }

    #[test]
    fn a_long_walk_has_the_shares() {
        for mix in Mix::ALL {
            let (navigation, mut random, mut page) = (Navigation::of(mix), Random::new(11), Home);
            let mut seen = [0u32; INTERACTIONS];
            for _ in 0..1_000_000 {
                page = navigation.next(page, &mut random);
                seen[page as usize] += 1;
            }
            for (page, share) in Interaction::ALL.iter().zip(mix.shares()) {
                let walked = f64::from(seen[*page as usize]) / 1e6;
                assert!((walked - share).abs() < 0.002, "{mix}: {page} was {walked}, not {share}");
            }
        }
    }
}
