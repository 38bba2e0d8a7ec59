//! A connection's first request, answered before anybody waits for it. Where a client sends its request with its
//! connection and wants no other, the connection begins and ends here: no task is made for it, no timer, and the
//! system is not asked to watch it.

use super::answer::Scratch;
use super::turn::{Client, Turn};
use super::{Lane, MOST_ROOM, ROOM};
use crate::front::watched::Watched;
use pingora::server::ShutdownWatch;
use std::cell::Cell;
use std::net::IpAddr;
use std::task::{Context, Waker};

/// What a connection brought at once.
pub(in crate::front) struct Greeting {
    pub(super) scratch: Scratch,
    /// What was read, what is answered of it included.
    pub(super) bytes: Vec<u8>,
    /// What became of the first request in it.
    pub(super) turn: Option<Turn>,
}

thread_local! {
    /// What the last connection that ended at once has left.
    static SPARE: Cell<Option<(Scratch, Vec<u8>)>> = const { Cell::new(None) };
}

impl Greeting {
    /// Nothing was read; there is room for what will be.
    pub(in crate::front) fn nothing() -> Self {
        let (scratch, mut bytes) = SPARE.take().unwrap_or_default();
        bytes.reserve(ROOM);
        Greeting { scratch, bytes, turn: None }
    }
}

/// What a connection leaves to the next one.
pub(super) fn keep(mut scratch: Scratch, mut bytes: Vec<u8>) {
    scratch.repeat.forget_all();
    bytes.clear();
    bytes.shrink_to(MOST_ROOM);
    SPARE.set(Some((scratch, bytes)));
}

/// Reads what is there of the first request, and answers it if it is a hit. Nothing if the connection has ended with
/// that.
pub(in crate::front) fn greet(
    lane: &Lane,
    tcp: &mut Watched,
    peer: IpAddr,
    stopping: &ShutdownWatch,
) -> Option<Greeting> {
    let client = Client { lane, peer, stopping };
    let Greeting { mut scratch, mut bytes, .. } = Greeting::nothing();
    let turn = match tcp.read_now(&mut bytes) {
        Ok(0) => Turn::Gone,
        Ok(_) => {
            let cx = &mut Context::from_waker(Waker::noop());
            client.turn(cx, tcp, &bytes, &lane.limits.now(), &mut scratch)
        }
        // Whoever goes on finds out what else it is.
        Err(_) => Turn::Partial,
    };
    let has_ended = match turn {
        Turn::Answered { len, keeps_alive, .. } => !keeps_alive && len == bytes.len() && !client.is_stopping(),
        Turn::Gone => true,
        _ => false,
    };
    if has_ended {
        keep(scratch, bytes);
        return None;
    }
    // Half a head is read again with the other half.
    let turn = Some(turn).filter(|turn| !matches!(turn, Turn::Partial));
    Some(Greeting { scratch, bytes, turn })
}
