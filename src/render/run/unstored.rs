//! Answers that are not stored: too large, not to be shared, or refusals. Who gets them, and how they
//! get through without being held.

use super::{Arrived, Backoff, Gathered, Run};
use crate::metrics::RenderResult;
use crate::policy::lookup::BypassDetail;
use crate::render::backoff::retry_after;
use crate::render::flight::{Head, HeadKind, Push};
use crate::render::gate::NotShared;
use crate::render::page;
use bytes::Bytes;
use std::sync::Arc;

impl Run<'_> {
    /// The body turned out larger than what is stored: those who read it get the rest, nobody else.
    pub(super) async fn outgrown(&self, arrived: Arrived, chunk: Bytes) {
        let readers = self.flight.become_pipe(self.window());
        self.too_large();
        if readers == Push::Abandoned || self.flight.push(chunk).await == Push::Abandoned {
            return;
        }
        self.pipe(arrived).await;
    }

    pub(super) async fn outgrown_at_head(&self, arrived: Arrived, head: Arc<Head>) -> RenderResult {
        self.too_large();
        if self.flight.tell_starter(head, self.window()) == Push::Wanted {
            self.pipe(arrived).await;
        }
        RenderResult::Oversize
    }

    /// A page that outgrew `store.max_page` is a bypass for a while; if there is an older one, it
    /// stays, and the next try backs off.
    fn too_large(&self) {
        self.remember();
        tracing::warn!(
            route = %self.route.name,
            path = self.order.loggable_path(),
            max_page = self.max_page(),
            "page is larger than store.max_page and is not stored"
        );
        if self.order.prior.is_some() {
            self.backoff(None);
        }
    }

    /// An answer that is not to be shared: to the one client it was made for, or to nobody.
    pub(super) async fn hand_over(&self, arrived: Arrived, reason: NotShared) -> RenderResult {
        let anonymous = self.route.cache.is_anonymous();
        if reason.is_of_the_answer() {
            self.remember();
        }
        if let Some(prior) = self.order.prior.as_ref().filter(|_| reason != NotShared::EventStream) {
            self.forget(prior);
        }
        self.leave_the_map();
        if anonymous && self.order.asker.sent_cookie {
            self.flight.dismiss(BypassDetail::Uncacheable);
            return RenderResult::Uncacheable;
        }
        let why = match reason {
            NotShared::Policy(reason) if !anonymous => Some(reason.as_str()),
            _ => None,
        };
        let head = Arc::new(page::private_head(&arrived.answer, why));
        if self.flight.tell_starter(head, self.window()) == Push::Wanted {
            self.pipe(arrived).await;
        }
        RenderResult::Uncacheable
    }

    /// What the origin itself refused: to those who wait, as it came; nothing is stored.
    pub(super) async fn refuse(&self, arrived: Arrived, backoff: Backoff, kind: HeadKind) -> RenderResult {
        let status = arrived.answer.status;
        let wait = retry_after(&arrived.answer.fields, arrived.received_at);
        let result = if status.is_server_error() { RenderResult::ServerError } else { RenderResult::ClientError };
        self.not_good(status.canonical_reason().unwrap_or("refused"), backoff, wait, result);
        self.leave_the_map();
        let head = Arc::new(page::refusal_head(&arrived.answer, kind));
        if kind == HeadKind::Private || head.length.is_some_and(|length| length > self.max_page()) {
            if self.flight.tell_starter(head, self.window()) == Push::Wanted {
                self.pipe(arrived).await;
            }
            return result;
        }
        self.flight.tell_head(head);
        match self.gather(arrived, None).await {
            Gathered::Whole(_) => self.flight.end(),
            Gathered::Outgrown => {}
            Gathered::Failed(_) => self.flight.break_off(),
        }
        result
    }

    /// Passes the rest of the body on as fast as its readers take it, without a total time.
    async fn pipe(&self, mut arrived: Arrived) {
        self.leave_the_map();
        loop {
            match arrived.answer.chunk().await {
                Ok(Some(chunk)) => {
                    if self.flight.push(chunk).await == Push::Abandoned {
                        return;
                    }
                }
                Ok(None) => return self.flight.end(),
                Err(error) => {
                    self.log_failure(error.kind());
                    return self.flight.break_off();
                }
            }
        }
    }

    /// From here on, requests for the key do not find this render.
    fn leave_the_map(&self) {
        self.engine.leave_flights(self.flight);
    }
}
