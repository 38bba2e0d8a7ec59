//! How pages are asked for: over the public listener of a running Breadbox, on connections that are kept.
//! It is the client that renders use, pointed at Breadbox itself.

use super::list::Page;
use super::verdict::Verdict;
use crate::config::Config;
use crate::policy::Fields;
use crate::policy::Timestamp;
use crate::render::backoff::retry_after;
use crate::render::origin::{Answer, OriginClient, OriginError, OriginRequest};
use crate::render::sitemaps::whole;
use anyhow::{Context, bail};
use http::{HeaderName, HeaderValue, Method, header};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Tries of a page that Breadbox says to come back for, or whose connection broke.
const TRIES: usize = 3;

/// How long it is waited at most before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Redirects that are followed for a sitemap.
const MAX_REDIRECTS: usize = 5;

/// Asks a running Breadbox.
pub(super) struct ProxyClient {
    client: OriginClient,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl ProxyClient {
    /// A client for the listener at `url`.
    pub(super) fn new(url: &str, ca: Option<&Path>, concurrency: usize, fields: &[String]) -> anyhow::Result<Self> {
        // The origin of a configuration: so the bounds and the checks of the file hold here, too.
        let ca = match ca {
            Some(path) => {
                let path = std::path::absolute(path)?;
                let path = path.to_str().context("--ca is no text")?.to_owned();
                format!(", ca: {}", serde_json::Value::from(path))
            }
            None => String::new(),
        };
        let server = serde_json::Value::from(url);
        let yaml = format!(
            "origins: {{ breadbox: {{ servers: [ {server} ], max_renders: {concurrency}, first_byte_timeout: 5m, \
             between_bytes_timeout: 1m, keepalive_timeout: 5s{ca} }} }}"
        );
        let config = Config::parse(&yaml, Path::new("--url"), &|_| None);
        let config = config.map_err(|error| anyhow::anyhow!("`{url}` is no listener of Breadbox: {error}"))?;
        let fields: Result<_, _> = fields.iter().map(|field| parse(field)).collect();
        Ok(ProxyClient { client: OriginClient::new(Arc::clone(&config.origins[0])), fields: fields? })
    }

    /// Asks for a page and says what became of it.
    pub(super) async fn warm(&self, page: &Page) -> Verdict {
        let mut tries = 1;
        loop {
            let (verdict, wait) = match self.whole(page).await {
                Ok(answer) => {
                    let wait = retry_after(&answer.fields, Timestamp::from_system(SystemTime::now()));
                    (Verdict::of(answer.status, &answer.fields), wait.filter(|_| answer.status.as_u16() == 503))
                }
                Err(error) => (Verdict::Failed(error.to_string().into()), Some(Duration::from_secs(1))),
            };
            let Some(wait) = wait.filter(|wait| tries < TRIES && *wait <= LONGEST_WAIT) else { return verdict };
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    /// The answer, after its body has come.
    async fn whole(&self, page: &Page) -> Result<Answer, OriginError> {
        let mut answer = self.client.send(&self.request(page, "gzip, deflate, br, zstd")).await?;
        while answer.chunk().await?.is_some() {}
        Ok(answer)
    }

    /// The bytes of a document, over redirects.
    pub(super) async fn document(&self, page: &Page) -> Result<Vec<u8>, String> {
        let mut page = page.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.client.send(&self.request(&page, "identity")).await;
            let answer = answer.map_err(|error| format!("cannot be had: {error}"))?;
            if answer.status.is_redirection() {
                let next = answer.fields.get(&header::LOCATION).and_then(|value| value.to_str().ok());
                let next = next.and_then(|next| page.other(next)).ok_or("redirects to no place that is understood")?;
                page = next;
                continue;
            }
            return whole(answer).await;
        }
        Err(format!("redirects more than {MAX_REDIRECTS} times"))
    }

    fn request(&self, page: &Page, encodings: &'static str) -> OriginRequest {
        let mut fields = Fields::new();
        let host = HeaderValue::from_str(&page.host).unwrap_or(HeaderValue::from_static("localhost"));
        fields.append(header::HOST, host);
        for (name, value) in DEFAULTS {
            fields.append(name, HeaderValue::from_static(value));
        }
        fields.append(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        if let Some(scheme) = page.scheme {
            // Believed where this machine is among `trusted_proxies`, as it is where TLS ends in front of Breadbox.
            fields.append(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static(scheme.as_str()));
        }
        for (name, _) in &self.fields {
            fields.remove(name);
        }
        for (name, value) in &self.fields {
            fields.append(name.clone(), value.clone());
        }
        OriginRequest { method: Method::GET, target: page.target.to_string(), fields }
    }
}

/// A browser's, but for `Sec-Fetch-Mode`: nobody is there to be shown a fallback page.
const DEFAULTS: [(HeaderName, &str); 3] = [
    (header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (header::USER_AGENT, concat!("breadbox-warm/", env!("CARGO_PKG_VERSION"))),
    (HeaderName::from_static("sec-fetch-mode"), "no-cors"),
];

fn parse(field: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let parsed = field.split_once(':').and_then(|(name, value)| {
        Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?))
    });
    match parsed {
        Some((name, _)) if name == header::HOST => bail!("--header sets no Host; use --host"),
        Some(field) => Ok(field),
        None => bail!("`{field}` is not a header: write \"Accept-Language: de\""),
    }
}
