//! What the shop sells: 100,000 products that follow from their numbers alone, so that nothing has to be
//! kept and every render of a page says the same.

use std::fmt;

/// How many products there are; their numbers start at 1.
pub(super) const PRODUCTS: u32 = 100_000;

/// Products on a page of the list.
pub(super) const PER_PAGE: u32 = 24;

/// Pages of the list.
pub(super) const PAGES: u32 = PRODUCTS.div_ceil(PER_PAGE);

const STYLES: [&str; 25] = [
    "Plain",
    "Striped",
    "Speckled",
    "Hand-turned",
    "Tall",
    "Small",
    "Large",
    "Folding",
    "Nordic",
    "Rustic",
    "Round",
    "Square",
    "Stackable",
    "Lidded",
    "Ribbed",
    "Glazed",
    "Brushed",
    "Oiled",
    "Smoked",
    "Painted",
    "Double",
    "Travel",
    "Country",
    "Workshop",
    "Sunday",
];
const MATERIALS: [&str; 20] = [
    "oak",
    "walnut",
    "beech",
    "ash",
    "bamboo",
    "cork",
    "slate",
    "stoneware",
    "porcelain",
    "glass",
    "enamel",
    "copper",
    "brass",
    "steel",
    "linen",
    "cotton",
    "willow",
    "birch",
    "terracotta",
    "marble",
];
const THINGS: [&str; 20] = [
    "bread box",
    "bread knife",
    "proving basket",
    "rolling pin",
    "flour jar",
    "butter dish",
    "toast rack",
    "cake stand",
    "salt & pepper set",
    "mixing bowl",
    "cutting board",
    "jam pot",
    "honey spoon",
    "egg cup",
    "milk jug",
    "tea towel",
    "bread bag",
    "dough scraper",
    "baking tin",
    "crumb tray",
];
const SERIES: u32 = 10;

/// Spreads neighbours over the catalogue. It has no factor in common with [`PRODUCTS`], so no two products
/// are the same.
const STRIDE: u32 = 7_919;

/// The number of a product that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProductId(u32);

impl ProductId {
    pub(super) fn new(number: u32) -> Option<Self> {
        (1..=PRODUCTS).contains(&number).then_some(ProductId(number))
    }

    /// Takes the one way to write a number, so that a product has one URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        canonical_number(text).and_then(ProductId::new)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// Parses decimal digits without a sign or a leading zero.
pub(super) fn canonical_number(text: &str) -> Option<u32> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical { text.parse().ok() } else { None }
}

/// A price of 0.01 to 99,999.99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price(u32);

impl Price {
    pub(super) fn from_cents(cents: u32) -> Option<Self> {
        (1..=9_999_999).contains(&cents).then_some(Price(cents))
    }

    /// Takes `12`, `12.5` and `12.50`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || cents.len() > 2 || !digits(whole) || !digits(cents) {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let cents: u32 = format!("{cents:0<2}").parse().ok()?;
        Price::from_cents(whole.checked_mul(100)?.checked_add(cents)?)
    }

    pub(super) fn cents(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// A product as it is until somebody changes its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) name: String,
    pub(super) material: &'static str,
    pub(super) thing: &'static str,
    pub(super) price: Price,
    /// The colour of its picture, in degrees.
    pub(super) hue: u32,
}

impl Product {
    pub(super) fn of(id: ProductId) -> Self {
        let mixed = u32::try_from(u64::from(id.0 - 1) * u64::from(STRIDE) % u64::from(PRODUCTS))
            .expect("a remainder of a 32-bit number");
        let (rest, thing) = split(mixed, &THINGS);
        let (rest, material) = split(rest, &MATERIALS);
        let (rest, style) = split(rest, &STYLES);
        let series = rest % SERIES + 1;
        let price = Price::from_cents(450 + mixed * 37 % 9_000 / 50 * 50).expect("between 4.50 and 94.50");
        let name = format!("{style} {material} {thing} no. {series}");
        Product { id, name, material, thing, price, hue: mixed * 47 % 360 }
    }

    /// The products on a page of the list, or nothing where there is no such page.
    pub(super) fn on_page(page: u32) -> Option<impl Iterator<Item = Product>> {
        if !(1..=PAGES).contains(&page) {
            return None;
        }
        let first = (page - 1) * PER_PAGE + 1;
        Some((first..first + PER_PAGE).map_while(ProductId::new).map(Product::of))
    }
}

fn split(number: u32, words: &[&'static str]) -> (u32, &'static str) {
    let count = u32::try_from(words.len()).expect("a short list");
    let word = words[usize::try_from(number % count).expect("an index of a list")];
    (number / count, word)
}

#[cfg(test)]
mod tests {
    use super::{PAGES, PRODUCTS, Price, Product, ProductId, canonical_number};
    use std::collections::HashSet;

    #[test]
    fn no_two_products_have_the_same_name() {
        let names: HashSet<String> = (1..=PRODUCTS).filter_map(ProductId::new).map(|id| Product::of(id).name).collect();
        assert_eq!(names.len(), 100_000);
    }

    #[test]
    fn every_product_is_on_one_page_of_the_list() {
        let listed: Vec<u32> =
            (1..=PAGES).filter_map(Product::on_page).flatten().map(|product| product.id.number()).collect();
        assert!(listed.into_iter().eq(1..=PRODUCTS));
        assert!(Product::on_page(0).is_none() && Product::on_page(PAGES + 1).is_none());
    }

    #[test]
    fn a_product_has_one_url() {
        assert_eq!(ProductId::parse("42").map(ProductId::number), Some(42));
        for text in ["", "0", "042", "+42", "-1", "4.2", "100001", "99999999999", "x"] {
            assert_eq!(ProductId::parse(text), None, "{text}");
        }
        assert_eq!(canonical_number("4294967296"), None);
    }

    #[test]
    fn prices_are_read_as_they_are_written() {
        for (text, cents) in [("12", 1200), ("12.5", 1250), ("12.50", 1250), ("0.01", 1), ("99999.99", 9_999_999)] {
            assert_eq!(Price::parse(text).map(Price::cents), Some(cents), "{text}");
        }
        for text in ["", ".5", "-1", "1,5", "1.234", "0", "100000", "1e3", "99999999999999"] {
            assert_eq!(Price::parse(text), None, "{text}");
        }
        assert_eq!(Price::parse("7.05").map(|price| price.to_string()).as_deref(), Some("7.05"));
    }
}
