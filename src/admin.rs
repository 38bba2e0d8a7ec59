//! What the admin listener answers: metrics and health to whoever reaches it, and what changes or
//! explains things only with the token. It is never on a public listener.

mod answer;
mod auth;
mod dashboard;
mod deploy;
mod draft;
mod explain;
mod purge;
pub mod reload;
mod status;

use crate::render::Engine;
use answer::{Answer, Request};
use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use reload::Reloading;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a request's body; more is 413.
const MAX_BODY: usize = 64 * 1024;
/// Between two reads of a request's body, and for each write of an answer.
const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// The admin listener's application.
pub struct AdminApp {
    engine: Arc<Engine>,
    reloading: Reloading,
}

impl AdminApp {
    /// Answers about this engine, and has it do what whoever has the token asks for. The token is that of
    /// the configuration in force.
    pub fn new(engine: Arc<Engine>, reloading: Reloading) -> Self {
        AdminApp { engine, reloading }
    }
}

#[async_trait]
impl ServeHttp for AdminApp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        session.set_read_timeout(Some(IO_TIMEOUT));
        session.set_write_timeout(Some(IO_TIMEOUT));
        let body = read_body(session).await;
        let head = session.req_header();
        let answer = match &body {
            Err(refusal) => refusal.clone(),
            Ok(body) => {
                let (path, query, target) = (head.uri.path(), head.uri.query(), head.raw_path());
                let request = Request { method: &head.method, path, query, target, headers: &head.headers, body };
                answer::answer(&request, &self.engine, &self.reloading).await
            }
        };
        answer.into_response(&head.method)
    }
}

/// Reads the whole body, so that an answer never meets a client that is still sending. Where it is
/// refused, pingora closes the connection: it does so with every answer before a request's end.
async fn read_body(session: &mut ServerSession) -> Result<Vec<u8>, Answer> {
    let mut body = Vec::new();
    while let Some(part) = session.read_request_body().await.map_err(|_| Answer::unreadable())? {
        if body.len() + part.len() > MAX_BODY {
            return Err(Answer::too_large());
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
