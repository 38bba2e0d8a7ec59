//! Documents of a sitemap, from the origin of the route or from a file. Whatever a sitemap names, nobody
//! but that origin is ever asked, and under a host that is served.

use crate::config::{OriginId, Scheme, SitemapSource};
use crate::policy::Fields;
use crate::policy::forwarded::{FORWARDED_HOST, FORWARDED_PROTO, host_value};
use crate::policy::host::Host;
use crate::policy::target::Target;
use crate::render::Setup;
use crate::render::origin::{Answer, OriginRequest};
use crate::render::scheduler::Class;
use crate::sitemap::{Fetch, MAX_DOCUMENT};
use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Redirects that are followed for one document.
const MAX_REDIRECTS: usize = 5;

/// Asks one origin for sitemaps.
pub(crate) struct SiteFetch {
    setup: Arc<Setup>,
    origin: OriginId,
    scheme: Scheme,
    /// Who is asked for where a location does not say, or says a host that is not served.
    host: Box<str>,
    /// The sitemap that is a file of this machine.
    file: Option<PathBuf>,
}

/// What to ask for.
struct Question {
    host: Box<str>,
    target: String,
}

impl SiteFetch {
    /// For the sitemap at `source` and those that it lists; `host` is that of the route.
    pub(crate) fn new(setup: &Arc<Setup>, origin: OriginId, source: &SitemapSource, host: Option<&str>) -> Self {
        let config = &setup.config;
        let (scheme, named, file) = match source {
            SitemapSource::Origin { scheme, host, .. } => (*scheme, host.as_deref(), None),
            SitemapSource::File(path) => (None, None, Some(path.clone())),
        };
        let first = || config.hosts.as_ref().and_then(|hosts| hosts.first()).map(AsRef::as_ref);
        let of_server = || config.origin(origin).servers.first().map(crate::config::Server::authority);
        let host = named.or(host).or_else(first).map(str::to_owned).or_else(of_server).unwrap_or_default();
        let scheme = config.origin(origin).public_scheme.or(scheme).unwrap_or(Scheme::Http);
        SiteFetch { setup: Arc::clone(setup), origin, scheme, host: host.into(), file }
    }

    /// The host that is asked for where a location does not say.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The scheme that visitors use.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn question(&self, location: &str) -> Result<Question, String> {
        let location = location.split('#').next().unwrap_or_default();
        let Ok(Target::Resource(resource)) = Target::parse(location.as_bytes()) else {
            return Err("is neither a URL nor a path from /".to_owned());
        };
        let query =
            resource.raw_query.map(std::str::from_utf8).transpose().map_err(|_| "has a query that is not text")?;
        let target = query.map_or_else(|| resource.path.to_string(), |query| format!("{}?{query}", resource.path));
        let named = resource.authority.and_then(|authority| Host::parse(authority).ok());
        let hosts = self.setup.config.hosts.as_deref().unwrap_or_default();
        let served = named.filter(|host| hosts.iter().any(|entry| host.is_meant_by(entry)));
        let host = served.map_or_else(|| self.host.clone(), |host| host.authority(self.scheme).into());
        Ok(Question { host, target })
    }

    async fn ask(&self, question: &Question) -> Result<Answer, String> {
        let origin = self.setup.config.origin(self.origin);
        let host = host_value(&question.host);
        let mut fields = Fields::new();
        fields.append(header::HOST, origin.host_header.clone().unwrap_or_else(|| host.clone()));
        fields.append(header::ACCEPT, HeaderValue::from_static("application/xml, text/xml, text/plain, */*;q=0.1"));
        fields.append(header::USER_AGENT, origin.user_agent.clone());
        fields.append(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.append(FORWARDED_HOST, host);
        fields.append(FORWARDED_PROTO, HeaderValue::from_static(self.scheme.as_str()));
        let request = OriginRequest { method: Method::GET, target: question.target.clone(), fields };
        let answer = self.setup.origins[self.origin.0].client.send(&request).await;
        answer.map_err(|error| format!("cannot be had: {error}"))
    }

    async fn get(&self, location: &str) -> Result<Vec<u8>, String> {
        let mut question = self.question(location)?;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask(&question).await?;
            if !answer.status.is_redirection() {
                return whole(answer).await;
            }
            let next = answer.fields.get(&header::LOCATION).and_then(|value| value.to_str().ok());
            let next = next.ok_or_else(|| format!("is answered {} without a Location", answer.status.as_u16()))?;
            question = self.question(next).map_err(|why| format!("redirects to {next:?}, which {why}"))?;
        }
        Err(format!("redirects more than {MAX_REDIRECTS} times"))
    }
}

#[async_trait]
impl Fetch for SiteFetch {
    async fn fetch(&self, location: &str) -> Result<Vec<u8>, String> {
        if let Some(file) = self.file.as_ref().filter(|file| file.to_string_lossy() == location) {
            let file = file.clone();
            let read = tokio::task::spawn_blocking(move || read_bounded(&file)).await;
            return read.map_err(|_| "cannot be read".to_owned())?.map_err(|error| format!("cannot be read: {error}"));
        }
        // As a render: the origin's limits hold for sitemaps, too.
        let permit = self.setup.scheduler(self.origin).acquire(Class::Refresh { popularity: 0 }).await;
        let _permit = permit.map_err(|_| "waited too long for its turn at the origin".to_owned())?;
        let limit = self.setup.config.origin(self.origin).render_timeout;
        match tokio::time::timeout(limit, self.get(location)).await {
            Ok(got) => got,
            Err(_) => Err("was not there within render_timeout".to_owned()),
        }
    }
}

/// The body of an answer that is a document.
pub(crate) async fn whole(mut answer: Answer) -> Result<Vec<u8>, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("is answered {}", answer.status.as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| format!("breaks off: {error}"))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_DOCUMENT {
            return Err("is larger than 64MiB".to_owned());
        }
    }
    Ok(body)
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
