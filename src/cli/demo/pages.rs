//! The shop's pages as HTML. They say what they are given and nothing else: no clock, no state. `maud`
//! escapes every value.

use super::catalogue::{PAGES, Price, Product};
use maud::{DOCTYPE, Markup, html};
use std::time::Duration;

/// What a page says about its own render.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// The how many-th render it was since the shop started.
    pub(super) number: u64,
    /// When it was done, in milliseconds since the Unix epoch.
    pub(super) at: u64,
    pub(super) took: Duration,
}

/// A page's title and what it shows; the frame is the same for all.
pub(super) struct Content {
    pub(super) title: String,
    pub(super) main: Markup,
    /// A script below `/assets` that the page needs besides the frame's own.
    pub(super) script: Option<&'static str>,
}

/// The whole document.
pub(super) fn document(content: &Content, stamp: Stamp) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (content.title) " · The Bread Box Shop" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/assets/style.css";
                script type="module" src="/assets/page.js" {}
                @if let Some(script) = content.script {
                    script type="module" src={ "/assets/" (script) } {}
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (header())
                main #main { (content.main) }
                (footer(stamp))
            }
        }
    };
    page.into_string()
}

fn header() -> Markup {
    html! {
        header {
            a.brand href="/" { (loaf(32)) "The Bread Box Shop" }
            nav aria-label="Shop" {
                a href="/products" { "Products" }
                a href="/about" { "About" }
                a href="/cart" { "Cart" }
            }
        }
    }
}

fn footer(stamp: Stamp) -> Markup {
    html! {
        footer {
            p #stamp data-rendered=(stamp.at) {
                "Rendered at " (time_of_day(stamp.at)) " UTC by render #" (stamp.number) ", took "
                (stamp.took.as_millis()) " ms."
            }
            p #arrival role="status" {}
        }
    }
}

/// `12:00:03.123`, in UTC.
fn time_of_day(millis: u64) -> String {
    let seconds = millis / 1_000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60, millis % 1_000)
}

/// A loaf in the colour of a product.
fn loaf(hue: u32) -> Markup {
    html! {
        svg.loaf viewBox="0 0 64 48" aria-hidden="true" focusable="false" style={ "--hue:" (hue) } {
            path.crust d="M8 44c-3 0-4-2-4-5V24C4 12 14 4 32 4s28 8 28 20v15c0 3-1 5-4 5z" {}
            path.cut d="M18 15l6 9M29 12l6 9M40 12l6 9" {}
        }
    }
}

pub(super) fn home(featured: impl Iterator<Item = (Product, Price)>) -> Content {
    let main = html! {
        h1 { "Everything around bread" }
        p.lead { "100,000 products. Each page takes this shop more than half a second to render; watch how long "
            "you wait for it." }
        (shelf(featured))
        p { a.button href="/products" { "All products" } }
    };
    Content { title: "Home".into(), main, script: None }
}

pub(super) fn about() -> Content {
    let main = html! {
        h1 { "About" }
        p.lead { "This shop is a demonstration. It renders every page anew each time it is asked, and it is slow." }
        p { "Breadbox stands in front of it. It keeps what was rendered, serves it at once, and has one new render "
            "made in the background when a page has become too old." }
        dl {
            dt { "This page" } dd { "is static: rendered once, kept until it is purged." }
            dt { "Products and the list of them" } dd { "are ISR: served from memory, refreshed behind your back." }
            dt { "The cart" } dd { "is a static shell. Your browser fetches what is in it, so it is yours alone." }
            dt { "Below /api" } dd { "nothing is kept: every request reaches the shop." }
        }
    };
    Content { title: "About".into(), main, script: None }
}

pub(super) fn list(page: u32, products: impl Iterator<Item = (Product, Price)>) -> Content {
    let main = html! {
        h1 { "Products" }
        p.lead { "Page " (page) " of " (PAGES) }
        (shelf(products))
        nav.pages aria-label="Pages" {
            @if page > 1 { a.button rel="prev" href={ "/products?page=" (page - 1) } { "Previous" } }
            @if page < PAGES { a.button rel="next" href={ "/products?page=" (page + 1) } { "Next" } }
        }
    };
    Content { title: format!("Products, page {page}"), main, script: None }
}

fn shelf(products: impl Iterator<Item = (Product, Price)>) -> Markup {
    html! {
        ul.shelf {
            @for (product, price) in products {
                li {
                    a href={ "/products/" (product.id.number()) } {
                        (loaf(product.hue))
                        span.name { (product.name) }
                        span.price { "€" (price) }
                    }
                }
            }
        }
    }
}

pub(super) fn product(product: &Product, price: Price) -> Content {
    let id = product.id.number();
    let main = html! {
        article.product {
            (loaf(product.hue))
            div {
                h1 { (product.name) }
                p.price { "€" (price) }
                p { "A " (product.thing) " of " (product.material) ", made to be used every day." }
                button type="button" data-add=(id) { "Add to the cart" }
                p #added role="status" {}
            }
        }
        section aria-labelledby="change" {
            h2 #change { "Change its price" }
            form method="post" action={ "/products/" (id) } {
                label for="price" { "New price in €" }
                input #price name="price" type="number" inputmode="decimal" min="0.01" max="99999.99" step="0.01"
                    required value=(price);
                button { "Through this page" }
                button type="button" data-behind=(id) { "Behind its back" }
            }
            p { strong { "Through this page" } " sends the change to the page's own address. That makes the stored "
                "page invalid, and you see the new price at once." }
            p { strong { "Behind its back" } " sends it to /api, of which this page knows nothing: the old price stays "
                "until the page is 30 s old, is served once more, and then the new one is there." }
            p #changed role="status" {}
        }
    };
    Content { title: product.name.clone(), main, script: Some("product.js") }
}

pub(super) fn cart() -> Content {
    let main = html! {
        h1 { "Cart" }
        p.lead #cart-state role="status" { "Fetching what is in it…" }
        ul #cart-items .lines {}
        p { button type="button" #cart-empty hidden { "Empty the cart" } }
        noscript { p { "The cart needs JavaScript: this page is the same for everybody." } }
    };
    Content { title: "Cart".into(), main, script: Some("cart.js") }
}

pub(super) fn not_found() -> Content {
    let main = html! {
        h1 { "Not found" }
        p.lead { "There is nothing at this address." }
        p { a.button href="/products" { "All products" } }
    };
    Content { title: "Not found".into(), main, script: None }
}

#[cfg(test)]
mod tests {
    use super::{Content, Stamp, document, html, time_of_day};
    use std::time::Duration;

    #[test]
    fn every_value_is_escaped() {
        let text = "<script>alert('&')</script>";
        let content = Content { title: text.into(), main: html! { p title=(text) { (text) } }, script: None };
        let page = document(&content, Stamp { number: 1, at: 0, took: Duration::ZERO });
        assert!(!page.contains("<script>alert"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert").count(), 3, "{page}");
    }

    #[test]
    fn the_stamp_tells_the_time_of_day() {
        assert_eq!(time_of_day(43_203_123), "12:00:03.123");
        assert_eq!(time_of_day(86_400_000 * 20_000 + 86_399_999), "23:59:59.999");
    }
}
