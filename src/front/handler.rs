//! The glue to pingora's proxy: each hook translates in, asks, translates out.

use super::bypass;
use super::fallback::{self, Visitor};
use super::guard::Guarded;
use super::head_check;
use super::head_http2;
use super::head_update::ForwardedHead;
use super::listen::LiveLimits;
use super::lookup::{Lookup, Next};
use super::not_found;
use super::purge;
use super::respond;
use crate::config::{OriginId, RouteId, Scheme};
use crate::policy::admission::{Admission, Bypass, BypassReason, Incoming, Wanted, admit};
use crate::policy::outcome::{Outcome, Served};
use crate::policy::{RequestId, Timestamp};
use crate::policy::{draft, forwarded};
use crate::render::origin::Turn;
use crate::render::scheduler::Permit;
use crate::render::{Engine, Setup};
use crate::telemetry::access::{self, Times};
use crate::telemetry::{AccessEvent, ids};
use async_trait::async_trait;
use http::{HeaderName, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// W3C Trace Context.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The proxy behind one listener.
pub(crate) struct Proxy {
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Arc<LiveLimits>,
    pub(super) scheme: Scheme,
}

/// A pingora proxy for a listener of this scheme with these limits.
pub(crate) fn proxy(engine: &Arc<Engine>, scheme: Scheme, limits: Arc<LiveLimits>) -> Arc<HttpProxy<Proxy>> {
    // How often a request is tried again is counted in its `Ctx`, by the configuration that it began with.
    let conf = ServerConf { max_retries: usize::MAX, ..ServerConf::default() };
    let proxy = Proxy { engine: Arc::clone(engine), limits, scheme };
    Arc::new(http_proxy(&Arc::new(conf), proxy))
}

/// One request on its way.
pub(crate) struct Ctx {
    /// What it is called.
    pub(super) id: RequestId,
    /// The configuration it began with.
    pub(super) setup: Arc<Setup>,
    pub(super) started: Instant,
    /// When the request came.
    arrived: Timestamp,
    /// The time its lookup goes by: read once, and again only after it has waited.
    pub(super) now: Timestamp,
    pub(super) route: Option<RouteId>,
    pub(super) outcome: Outcome,
    pub(super) sent_cookie: bool,
    /// What it brought back of a fallback page.
    pub(super) visitor: Visitor,
    /// How the request goes on to the origin, if it does.
    pub(super) forward: Option<Forward>,
    /// The order of servers it tries, and how many attempts it has made.
    pub(super) turn: Option<Turn>,
    pub(super) attempts: usize,
    /// Reused connections to a server that had died.
    pub(super) died: usize,
    /// Its place under the origin's limit, where it needs one.
    pub(super) permit: Option<Permit>,
    pub(super) status: u16,
    pub(super) bytes: u64,
    /// When the origin, or the render it waits for, was asked, and how long the head of the answer took.
    pub(super) asked: Option<Instant>,
    pub(super) origin: Option<Duration>,
    /// How long the head of its own answer took.
    pub(super) first_byte: Option<Duration>,
}

impl Ctx {
    fn new(setup: Arc<Setup>, now: Timestamp) -> Self {
        Ctx {
            id: ids::fresh(),
            setup,
            started: Instant::now(),
            arrived: now,
            now,
            route: None,
            outcome: Outcome {
                served: Served::Refused,
                forwarded: None,
                fresh_until: None,
                stored: false,
                collapsed: false,
                fwd_status: None,
                detail: None,
            },
            sent_cookie: false,
            visitor: Visitor::default(),
            forward: None,
            turn: None,
            attempts: 0,
            died: 0,
            permit: None,
            status: 0,
            bytes: 0,
            asked: None,
            origin: None,
            first_byte: None,
        }
    }

    /// The head of the origin's answer is here.
    pub(super) fn origin_answered(&mut self) {
        self.origin = self.asked.map(|asked| asked.elapsed());
    }

    /// The head of the answer goes out.
    pub(super) fn answers(&mut self) {
        self.first_byte = Some(self.started.elapsed());
    }

    /// The request goes to the origin as it is and was never looked up.
    fn bypass(&mut self, forward: Forward) {
        let reason = forward.plan.reason;
        self.route = forward.plan.route;
        self.outcome.served = Served::Bypass;
        self.outcome.forwarded = Some(reason.forwarded());
        self.outcome.detail = (reason != BypassReason::Method).then(|| reason.as_str());
        self.forward = Some(forward);
    }

    /// The time now: what `Age` is told by.
    pub(super) fn now_at_edge(&self) -> Timestamp {
        self.arrived.later(self.started.elapsed())
    }
}

/// A request that goes on to the origin.
pub(crate) struct Forward {
    pub(super) origin: OriginId,
    pub(super) plan: Bypass,
    /// It is a HEAD for a page that is stored.
    pub(super) head: Option<ForwardedHead>,
}

impl Forward {
    /// A request that was looked up and goes on after all.
    pub(super) fn of_wanted(wanted: &Wanted, reason: BypassReason) -> Self {
        Forward { origin: wanted.origin, plan: wanted.bypass(reason), head: None }
    }
}

/// Whether an editor asks, whose cookie the admin listener has signed.
fn is_draft(ctx: &Ctx, session: &Session) -> bool {
    ctx.sent_cookie && draft::is_draft(ctx.setup.config.admin.token.as_deref(), &session.req_header().headers, ctx.now)
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

impl Proxy {
    /// The request as policy sees it.
    pub(super) fn incoming<'a>(&self, session: &'a Session) -> Incoming<'a> {
        let request = session.req_header();
        let peer = session.client_addr().and_then(|addr| addr.as_inet()).map(|addr| addr.ip());
        Incoming {
            method: &request.method,
            target: request.raw_path(),
            headers: (&request.headers).into(),
            listener_scheme: self.scheme,
            peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        }
    }

    async fn refuse(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        status: StatusCode,
        why: &'static str,
    ) -> pingora::Result<bool> {
        ctx.outcome.detail = Some(why);
        session.set_keepalive(None);
        respond::error(session, ctx, status, None).await?;
        Ok(true)
    }

    async fn look_up(&self, session: &mut Session, ctx: &mut Ctx, wanted: &Wanted) -> pingora::Result<bool> {
        ctx.route = Some(wanted.route);
        let headers = session.req_header().headers.clone();
        let mut lookup = Lookup::new(&self.engine, Arc::clone(&ctx.setup), wanted, headers);
        match lookup.run(session, ctx).await? {
            Next::Answered => Ok(true),
            Next::Forward(forward) => {
                ctx.forward = Some(forward);
                Ok(false)
            }
        }
    }

    fn log_access(&self, session: &Session, ctx: &Ctx, total: Duration) {
        let incoming = self.incoming(session);
        let field = |name: &HeaderName| incoming.headers.first(name);
        // HTTP/2 names the host in the target.
        let authority = || session.req_header().uri.authority().map(|host| host.as_str().as_bytes());
        AccessEvent {
            id: &ctx.id,
            client: forwarded::client(&ctx.setup.config, &incoming).unwrap_or(incoming.peer),
            protocol: protocol(session.req_header().version),
            method: incoming.method.as_str(),
            scheme: self.scheme.as_str(),
            host: field(&header::HOST).or_else(authority).unwrap_or_default(),
            target: fallback::loggable(incoming.target, &ctx.outcome),
            agent: field(&header::USER_AGENT).unwrap_or_default(),
            traceparent: field(&TRACEPARENT),
            route: ctx.route.map_or("", |id| &ctx.setup.route(id).name),
            status: ctx.status,
            outcome: &ctx.outcome,
            received: session.body_bytes_read() as u64,
            bytes: ctx.bytes,
            times: Times { total, first_byte: ctx.first_byte, origin: ctx.origin },
        }
        .emit(&ctx.setup.config.log);
    }

    fn check_head(&self, session: &Session) -> Result<(), head_check::BadHead> {
        let Some(http1) = session.as_http1() else {
            return head_check::check_count(&session.req_header().headers, &self.limits.now());
        };
        if Guarded::of(session).is_some_and(|guarded| guarded.phase().has_odd_request_line()) {
            return Err(head_check::ODD_REQUEST_LINE);
        }
        let request = session.req_header();
        head_check::check(&http1.get_headers_raw_bytes(), request.version, &request.headers, &self.limits.now())
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(self.engine.setup(), self.engine.now())
    }

    /// None of pingora's own: pages are served as they are stored.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<()> {
        if let Some(sent) = RequestId::sent(&session.req_header().headers) {
            ctx.id = sent;
        }
        session.set_write_timeout(Some(respond::WRITE_TIMEOUT));
        if session.is_http2() {
            head_http2::settle(session.req_header_mut())?;
        }
        if let Some(guarded) = Guarded::of(session) {
            guarded.phase().open();
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
        fallback::take_cookie(session, ctx)?;
        ctx.sent_cookie = session.req_header().headers.contains_key(header::COOKIE);
        if let Err(bad) = self.check_head(session) {
            return self.refuse(session, ctx, bad.status, bad.reason).await;
        }
        if purge::is_meant_for_us(&ctx.setup.config, session) {
            return purge::answer(self, session, ctx).await;
        }
        match admit(&ctx.setup.config, &ctx.setup.routes, &self.incoming(session)) {
            Admission::Malformed(why) => self.refuse(session, ctx, StatusCode::BAD_REQUEST, why).await,
            Admission::Misdirected => self.refuse(session, ctx, StatusCode::MISDIRECTED_REQUEST, "host").await,
            Admission::Unlisted { draft: plan, .. } if is_draft(ctx, session) => {
                ctx.bypass(Forward { origin: plan.origin, plan, head: None });
                Ok(false)
            }
            Admission::Unlisted { by, .. } => not_found::answer(session, ctx, by).await,
            Admission::Own(own) => fallback::answer(self, session, ctx, &own).await,
            Admission::Lookup(wanted) if is_draft(ctx, session) => {
                let forward = Forward::of_wanted(&wanted, BypassReason::Draft);
                ctx.bypass(forward);
                Ok(false)
            }
            Admission::Lookup(wanted) => self.look_up(session, ctx, &wanted).await,
            Admission::Bypass(plan) => {
                ctx.bypass(Forward { origin: plan.origin, plan, head: None });
                Ok(false)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
        bypass::peer(session, ctx).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        bypass::prepare_request(&self.incoming(session), request, ctx)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        error: Box<pingora::Error>,
    ) -> Box<pingora::Error> {
        bypass::after_failed_connect(ctx, error)
    }

    /// Only a safe request is sent again, and only if a reused connection died before it answered; no
    /// more often than there are servers.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<pingora::Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<pingora::Error> {
        ctx.died += 1;
        let again = ctx.attempts + ctx.died <= bypass::servers(ctx);
        if again && session.req_header().method.is_safe() && !session.as_ref().retry_buffer_truncated() {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        if let Some(sequence) = bypass::finish_response(&self.engine, session, response, ctx)? {
            // The origin has done what it was asked to, so the client hears of that whatever the disk does.
            let _ = self.engine.store.written_down(sequence).await;
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &pingora::Error, ctx: &mut Ctx) -> FailToProxy {
        bypass::failed(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&pingora::Error>, ctx: &mut Ctx) {
        if let Some(error) = error {
            // Not its context, which quotes the request and what the origin sent.
            tracing::debug!(reason = error.etype().as_str(), side = error.esource().as_str(), "a request ended early");
        }
        if ctx.forward.is_some() {
            ctx.bytes = session.body_bytes_sent() as u64;
            ctx.status = session.response_written().map_or(ctx.status, |head| head.status.as_u16());
        }
        fallback::settle(&self.engine, ctx);
        // The origin is done with it; the connection may take a while to end.
        ctx.permit = None;
        let total = ctx.started.elapsed();
        ctx.setup.metrics.request(ctx.route, &ctx.outcome, ctx.bytes, total);
        if access::is_wanted(&ctx.setup.config.log, &ctx.outcome, ctx.status) {
            self.log_access(session, ctx, total);
        }
        if ctx.outcome.collapsed {
            // Others wait for the same answer: they get it before anything is cleared away.
            tokio::task::yield_now().await;
        }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &pingora::Error) -> bool {
        true
    }
}
