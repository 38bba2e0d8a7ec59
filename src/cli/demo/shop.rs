//! The shop as a function from a request to a response: which URL is what, and what changes when somebody
//! changes a price. It knows nothing of connections and nothing of Breadbox.

mod api;

use super::catalogue::{Price, Product, ProductId, canonical_number};
use super::pages::{self, Content, Stamp};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A request as far as the shop reads it.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// All `Cookie` fields, joined by `; `.
    pub(super) cookies: String,
    pub(super) body: Bytes,
}

impl Request {
    fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// The shop and what its visitors have changed of it.
pub(super) struct Shop {
    render_time: Duration,
    renders: AtomicU64,
    /// Prices that were changed. At most one a product.
    prices: Mutex<HashMap<ProductId, Price>>,
}

impl Shop {
    /// A shop as it opens, whose pages take `render_time`.
    pub(super) fn new(render_time: Duration) -> Self {
        Shop { render_time, renders: AtomicU64::new(0), prices: Mutex::default() }
    }

    /// Answers a request. The body is the whole one also for HEAD.
    pub(super) async fn answer(&self, request: &Request) -> Response<Vec<u8>> {
        let path = request.uri.path().strip_prefix('/').unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        match *segments {
            ["api", ref rest @ ..] => api::answer(self, request, rest),
            ["products", id] if request.method == Method::POST => self.change(id, &request.body),
            ["products", _] if !request.reads() => not_allowed("GET, HEAD, POST"),
            _ if !request.reads() => not_allowed("GET, HEAD"),
            ["assets", name] => asset(name),
            _ => self.page(&segments, request.uri.query()).await,
        }
    }

    async fn page(&self, segments: &[&str], query: Option<&str>) -> Response<Vec<u8>> {
        let content = match *segments {
            [""] => Some(pages::home(self.priced((1..=12).filter_map(|n| ProductId::new(n * 8_131)).map(Product::of)))),
            ["about"] => Some(pages::about()),
            ["cart"] => Some(pages::cart()),
            ["products"] => self.list(query),
            ["products", id] => ProductId::parse(id).map(|id| pages::product(&Product::of(id), self.price(id))),
            _ => None,
        };
        match content {
            Some(content) => self.render(StatusCode::OK, content).await,
            None => self.render(StatusCode::NOT_FOUND, pages::not_found()).await,
        }
    }

    fn list(&self, query: Option<&str>) -> Option<Content> {
        let parameters = query.unwrap_or_default().split('&');
        let page = parameters.filter_map(|parameter| parameter.strip_prefix("page=")).next_back();
        let page = page.map_or(Some(1), canonical_number)?;
        Some(pages::list(page, self.priced(Product::on_page(page)?)))
    }

    /// Takes its time, as a real renderer does between reading its data and the end of the page.
    async fn render(&self, status: StatusCode, content: Content) -> Response<Vec<u8>> {
        let start = Instant::now();
        tokio::time::sleep(self.render_time).await;
        let stamp =
            Stamp { number: self.renders.fetch_add(1, Ordering::Relaxed) + 1, at: now_millis(), took: start.elapsed() };
        reply(status, "text/html; charset=utf-8", pages::document(&content, stamp))
    }

    fn priced(&self, products: impl Iterator<Item = Product>) -> impl Iterator<Item = (Product, Price)> {
        products.map(|product| {
            let price = self.price(product.id);
            (product, price)
        })
    }

    fn price(&self, id: ProductId) -> Price {
        let changed = self.prices.lock().get(&id).copied();
        changed.unwrap_or_else(|| Product::of(id).price)
    }

    fn set_price(&self, id: ProductId, price: Price) {
        self.prices.lock().insert(id, price);
    }

    /// The form of a product's page, sent to the page's own address.
    fn change(&self, id: &str, form: &[u8]) -> Response<Vec<u8>> {
        let Some(id) = ProductId::parse(id) else {
            return text(StatusCode::NOT_FOUND, "no such product\n");
        };
        let price = std::str::from_utf8(form).ok().and_then(|form| form.strip_prefix("price=")).and_then(Price::parse);
        let Some(price) = price else {
            return text(StatusCode::BAD_REQUEST, "a price is a number from 0.01 to 99999.99\n");
        };
        self.set_price(id, price);
        let target = HeaderValue::try_from(format!("/products/{}", id.number())).expect("a path of ASCII");
        with(text(StatusCode::SEE_OTHER, "changed\n"), LOCATION, target)
    }
}

/// The clock is read here and nowhere else in the shop.
fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn asset(name: &str) -> Response<Vec<u8>> {
    let (kind, body) = match name {
        "style.css" => ("text/css; charset=utf-8", include_str!("assets/style.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("assets/page.js")),
        "product.js" => ("text/javascript; charset=utf-8", include_str!("assets/product.js")),
        "cart.js" => ("text/javascript; charset=utf-8", include_str!("assets/cart.js")),
        _ => return text(StatusCode::NOT_FOUND, "no such file\n"),
    };
    let answer = reply(StatusCode::OK, kind, body.to_owned());
    with(answer, CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))
}

fn not_allowed(allow: &'static str) -> Response<Vec<u8>> {
    let answer = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
    with(answer, ALLOW, HeaderValue::from_static(allow))
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    reply(status, "text/plain; charset=utf-8", body.to_owned())
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Vec<u8>> {
    let mut answer = Response::new(body.into_bytes());
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, HeaderValue::from_static(kind))
}

fn with(mut answer: Response<Vec<u8>>, name: HeaderName, value: HeaderValue) -> Response<Vec<u8>> {
    answer.headers_mut().insert(name, value);
    answer
}

#[cfg(test)]
mod tests {
    use super::{Request, Shop};
    use bytes::Bytes;
    use http::header::LOCATION;
    use http::{Method, Response, StatusCode};
    use std::time::Duration;

    pub(super) fn shop() -> Shop {
        Shop::new(Duration::ZERO)
    }

    pub(super) async fn ask(shop: &Shop, method: Method, uri: &str, body: &'static str) -> (StatusCode, String) {
        let answer = answer(shop, method, uri, "", body).await;
        (answer.status(), String::from_utf8(answer.into_body()).expect("text"))
    }

    pub(super) async fn answer(
        shop: &Shop,
        method: Method,
        uri: &str,
        cookies: &str,
        body: &'static str,
    ) -> Response<Vec<u8>> {
        let uri = uri.parse().expect("a URI");
        shop.answer(&Request { method, uri, cookies: cookies.into(), body: Bytes::from_static(body.as_bytes()) }).await
    }

    fn without_stamp(page: &str) -> String {
        let (head, rest) = page.split_once("<p id=\"stamp\"").expect("a page has a stamp");
        let (_, tail) = rest.split_once("</p>").expect("the stamp ends");
        format!("{head}{tail}")
    }

    #[tokio::test]
    async fn renders_of_a_page_differ_only_in_their_stamp() {
        let (one, other) = (shop(), shop());
        for uri in ["/", "/about", "/products", "/products?page=4167", "/products/42", "/cart", "/nothing"] {
            let (_, first) = ask(&one, Method::GET, uri, "").await;
            let (_, again) = ask(&one, Method::GET, uri, "").await;
            let (_, elsewhere) = ask(&other, Method::GET, uri, "").await;
            assert_ne!(first, again, "{uri}: the stamp counts renders");
            assert_eq!(without_stamp(&first), without_stamp(&again), "{uri}");
            assert_eq!(without_stamp(&first), without_stamp(&elsewhere), "{uri}");
        }
    }

    #[tokio::test]
    async fn what_does_not_exist_is_not_found() {
        let shop = shop();
        for uri in ["/nothing", "/products/0", "/products/100001", "/products/042", "/products?page=4168"] {
            assert_eq!(ask(&shop, Method::GET, uri, "").await.0, StatusCode::NOT_FOUND, "{uri}");
        }
        for uri in ["/", "/products", "/products?page=2", "/products/1", "/products/100000", "/assets/style.css"] {
            assert_eq!(ask(&shop, Method::GET, uri, "").await.0, StatusCode::OK, "{uri}");
        }
        assert_eq!(ask(&shop, Method::PUT, "/products/1", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask(&shop, Method::POST, "/about", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn the_form_changes_the_price_and_leads_back_to_the_page() {
        let shop = shop();
        let changed = answer(&shop, Method::POST, "/products/42", "", "price=7.05").await;
        assert_eq!(changed.status(), StatusCode::SEE_OTHER);
        assert_eq!(changed.headers()[LOCATION], "/products/42");
        assert!(ask(&shop, Method::GET, "/products/42", "").await.1.contains("€7.05"));
        assert!(ask(&shop, Method::GET, "/products?page=2", "").await.1.contains("€7.05"), "the list has it too");
        let (_, neighbour) = ask(&shop, Method::GET, "/products/43", "").await;
        assert!(!neighbour.contains("€7.05"));
    }

    #[tokio::test]
    async fn a_price_that_is_none_changes_nothing() {
        let shop = shop();
        let (_, before) = ask(&shop, Method::GET, "/products/42", "").await;
        for form in ["", "price=", "price=free", "prize=1", "price=-1"] {
            assert_eq!(ask(&shop, Method::POST, "/products/42", form).await.0, StatusCode::BAD_REQUEST, "{form}");
        }
        let (_, after) = ask(&shop, Method::GET, "/products/42", "").await;
        assert_eq!(without_stamp(&before), without_stamp(&after));
    }
}
