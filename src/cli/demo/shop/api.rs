//! What the shop's pages fetch below `/api`: a visitor's cart, kept in the visitor's own cookie, and a
//! product's data.

use super::super::catalogue::{Price, Product, ProductId};
use super::{Request, Shop, not_allowed, reply, with};
use http::header::SET_COOKIE;
use http::{HeaderValue, Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Things in one cart.
const CART_LIMIT: usize = 50;

#[derive(Deserialize)]
struct Addition {
    product: u32,
}

#[derive(Deserialize)]
struct Change {
    price_cents: u32,
}

#[derive(Serialize)]
struct Line {
    id: u32,
    name: String,
    price_cents: u32,
    quantity: u32,
}

/// Answers a request for `/api/` and these segments.
pub(super) fn answer(shop: &Shop, request: &Request, segments: &[&str]) -> Response<Vec<u8>> {
    match (segments, &request.method) {
        (["cart"], &Method::GET | &Method::HEAD) => show(shop, &in_cart(&request.cookies)),
        (["cart"], &Method::POST) => add(shop, request),
        (["cart"], &Method::DELETE) => keep(shop, &[]),
        (["cart"], _) => not_allowed("GET, HEAD, POST, DELETE"),
        (["products", id], method) => match ProductId::parse(id) {
            None => refuse(StatusCode::NOT_FOUND, "no such product"),
            Some(id) if *method == Method::POST => change(shop, id, &request.body),
            Some(id) if request.reads() => describe(shop, id),
            Some(_) => not_allowed("GET, HEAD, POST"),
        },
        _ => refuse(StatusCode::NOT_FOUND, "there is nothing at this address"),
    }
}

fn describe(shop: &Shop, id: ProductId) -> Response<Vec<u8>> {
    let name = Product::of(id).name;
    json(StatusCode::OK, &json!({ "id": id.number(), "name": name, "price_cents": shop.price(id).cents() }))
}

fn change(shop: &Shop, id: ProductId, body: &[u8]) -> Response<Vec<u8>> {
    let change = serde_json::from_slice(body).ok();
    let Some(price) = change.and_then(|Change { price_cents }| Price::from_cents(price_cents)) else {
        return refuse(StatusCode::BAD_REQUEST, "price_cents is a number from 1 to 9999999");
    };
    shop.set_price(id, price);
    describe(shop, id)
}

fn add(shop: &Shop, request: &Request) -> Response<Vec<u8>> {
    let addition = serde_json::from_slice(&request.body).ok();
    let Some(id) = addition.and_then(|Addition { product }| ProductId::new(product)) else {
        return refuse(StatusCode::BAD_REQUEST, "product is the number of a product");
    };
    let mut cart = in_cart(&request.cookies);
    if cart.len() >= CART_LIMIT {
        return refuse(StatusCode::CONFLICT, "the cart is full");
    }
    cart.push(id);
    keep(shop, &cart)
}

/// Shows the cart and puts it into the visitor's cookie.
fn keep(shop: &Shop, cart: &[ProductId]) -> Response<Vec<u8>> {
    let numbers: Vec<String> = cart.iter().map(|id| id.number().to_string()).collect();
    let cookie = format!("cart={}; Path=/; HttpOnly; SameSite=Lax", numbers.join("."));
    with(show(shop, cart), SET_COOKIE, HeaderValue::try_from(cookie).expect("digits, dots and names of attributes"))
}

fn show(shop: &Shop, cart: &[ProductId]) -> Response<Vec<u8>> {
    let mut lines: Vec<Line> = Vec::new();
    for &id in cart {
        match lines.iter_mut().find(|line| line.id == id.number()) {
            Some(line) => line.quantity += 1,
            None => lines.push(Line {
                id: id.number(),
                name: Product::of(id).name,
                price_cents: shop.price(id).cents(),
                quantity: 1,
            }),
        }
    }
    let total: u64 = lines.iter().map(|line| u64::from(line.price_cents) * u64::from(line.quantity)).sum();
    json(StatusCode::OK, &json!({ "items": lines, "total_cents": total }))
}

/// The products that a visitor's cookie names; what is no product is left out.
fn in_cart(cookies: &str) -> Vec<ProductId> {
    let cart = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("cart="));
    cart.unwrap_or_default().split('.').filter_map(ProductId::parse).take(CART_LIMIT).collect()
}

fn refuse(status: StatusCode, why: &str) -> Response<Vec<u8>> {
    json(status, &json!({ "error": why }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Vec<u8>> {
    reply(status, "application/json", value.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, ask, shop};
    use super::{CART_LIMIT, in_cart};
    use http::header::SET_COOKIE;
    use http::{Method, StatusCode};

    #[tokio::test]
    async fn a_cart_is_kept_in_its_visitors_cookie() {
        let shop = shop();
        let added = answer(&shop, Method::POST, "/api/cart", "theme=dark; cart=7", r#"{"product":7}"#).await;
        let cookie = added.headers()[SET_COOKIE].to_str().expect("ASCII").to_owned();
        assert!(cookie.starts_with("cart=7.7;"), "{cookie}");
        let cart: serde_json::Value = serde_json::from_slice(added.body()).expect("JSON");
        assert_eq!(cart["items"][0]["quantity"], 2);
        assert_eq!(cart["total_cents"], 2 * cart["items"][0]["price_cents"].as_u64().expect("a number"));

        let emptied = answer(&shop, Method::DELETE, "/api/cart", &cookie, "").await;
        assert!(emptied.headers()[SET_COOKIE].to_str().is_ok_and(|cookie| cookie.starts_with("cart=;")));
        let (_, other) = ask(&shop, Method::GET, "/api/cart", "").await;
        assert_eq!(other, r#"{"items":[],"total_cents":0}"#, "another visitor's cart is empty");
    }

    #[tokio::test]
    async fn a_cart_has_a_limit() {
        let full = format!("cart={}", vec!["7"; CART_LIMIT].join("."));
        let refused = answer(&shop(), Method::POST, "/api/cart", &full, r#"{"product":7}"#).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert_eq!(in_cart(&format!("{full}.8.9")).len(), CART_LIMIT);
        assert!(in_cart("cart=x.0.100001; cart=1").is_empty());
    }

    #[tokio::test]
    async fn a_products_data_can_be_read_and_changed() {
        let shop = shop();
        let (status, _) = ask(&shop, Method::POST, "/api/products/42", r#"{"price_cents":705}"#).await;
        assert_eq!(status, StatusCode::OK);
        let (_, data) = ask(&shop, Method::GET, "/api/products/42", "").await;
        assert!(data.contains(r#""price_cents":705"#), "{data}");
        assert!(ask(&shop, Method::GET, "/products/42", "").await.1.contains("€7.05"), "its page shows it");
        for body in ["", "{}", r#"{"price_cents":0}"#, r#"{"price_cents":"7"}"#] {
            let (status, _) = ask(&shop, Method::POST, "/api/products/42", body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        }
        assert_eq!(ask(&shop, Method::GET, "/api/products/0", "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&shop, Method::GET, "/api/nothing", "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&shop, Method::PUT, "/api/cart", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
