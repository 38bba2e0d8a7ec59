//! What the scenarios stand on: the binary as a process, an origin that does what a script says, and
//! clients at byte level. It knows nothing of caching; the scenarios say what is right.

mod answer;
mod cache_status;
mod client;
mod config;
mod exchange;
mod gate;
mod http2;
mod log;
mod origin;
mod pause;
mod process;
mod tls;
mod wire;

pub(crate) use answer::Answer;
pub(crate) use client::{Ask, Client, Response};
pub(crate) use config::Config;
pub(crate) use exchange::Exchange;
pub(crate) use gate::Gate;
pub(crate) use http2::{Answered, Http2, get};
pub(crate) use origin::{Origin, Seen};
pub(crate) use process::{Breadbox, Run};
pub(crate) use tls::{Identity, Trust};

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a scenario gives up: only a defect or a dead machine reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Polls `holds` until it says yes; panics with `what` after `deadline`.
#[track_caller]
pub(crate) fn eventually(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < until, "not within {deadline:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets `n` clients, each with an open connection to `addr`, do the same thing at the same moment.
/// What they return comes in the order of their numbers.
pub(crate) fn crowd<T: Send>(addr: SocketAddr, n: usize, act: impl Fn(usize, &mut Client) -> T + Sync) -> Vec<T> {
    let (start, act) = (&Barrier::new(n), &act);
    thread::scope(|scope| {
        let one = |i| {
            move || {
                let mut client = Client::connect(addr);
                start.wait();
                act(i, &mut client)
            }
        };
        let small = || thread::Builder::new().stack_size(256 * 1024);
        let threads: Vec<_> =
            (0..n).map(|i| small().spawn_scoped(scope, one(i)).expect("threads can be started")).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Asks for `path` until the page is served stale, and returns that answer: the one that started the refresh.
#[track_caller]
pub(crate) fn until_stale(addr: SocketAddr, ask: &Ask) -> Response {
    let mut client = Client::connect(addr);
    let mut last = None;
    eventually(&format!("{} {} is served stale", ask.method, ask.target), PATIENCE, || {
        let response = client.ask(ask);
        let stale = response.is_stale();
        last = Some(response);
        stale
    });
    last.expect("the poll ended with an answer")
}

/// Asks until the body is `body`, and returns that answer.
#[track_caller]
pub(crate) fn until_body(addr: SocketAddr, ask: &Ask, body: &str) -> Response {
    let mut client = Client::connect(addr);
    let mut last = None;
    eventually(&format!("the body of {} {} is {body:?}", ask.method, ask.target), PATIENCE, || {
        let response = client.ask(ask);
        let done = response.text() == body;
        last = Some(response);
        done
    });
    last.expect("the poll ended with an answer")
}
