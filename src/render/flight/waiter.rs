//! A request that waits for a flight and reads along.

use super::{Answer, End, Flight, Told};
use crate::render::origin::Informational;
use bytes::Bytes;
use std::sync::Arc;

/// The body ended before it was whole, or this reader was too slow for a pipe.
#[derive(Debug, thiserror::Error)]
#[error("the render broke off in the middle of the body")]
pub(crate) struct Broken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Starter,
    Follower,
}

/// A request that waits for a flight and reads its body. Dropping it leaves.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(super) flight: Arc<Flight>,
    pub(super) role: Role,
    pub(super) id: u64,
    pub(super) next: usize,
    /// Bytes it has read.
    pub(super) read: usize,
}

impl Waiter {
    /// Whether this request joined a render that another had started.
    pub(crate) fn is_follower(&self) -> bool {
        self.role == Role::Follower
    }

    /// The render it waits for.
    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Waits for the next 1xx answer; `None` once there is something final to say. Only the request
    /// that started the render gets them.
    pub(crate) async fn interim(&mut self) -> Option<Informational> {
        let role = self.role;
        self.flight
            .wait(|state| {
                let said = if role == Role::Starter { state.interim.pop_front() } else { None };
                if said.is_some() { Some(said) } else { state.told(role).map(|_| None) }
            })
            .await
    }

    /// Whether the page that landed was confirmed by a 304.
    pub(crate) fn was_confirmed(&self) -> bool {
        self.flight.state.lock().confirmed
    }

    /// Waits until there is something to say: a head, a page, or that there is none.
    pub(crate) async fn told(&mut self) -> Told {
        let told = self
            .flight
            .wait(|state| {
                let told = state.told(self.role)?;
                if matches!(told, Told::Stream(_)) {
                    state.readers.insert(self.id, 0);
                    if self.role == Role::Starter {
                        state.starter_waits = false;
                        state.starter = Some(self.id);
                    }
                }
                Some(told)
            })
            .await;
        self.flight.room.notify_one();
        told
    }

    /// Waits until the page is whole, for requests that need all of it (ranges, conditionals). A
    /// pipe is told as a stream, since it never becomes a page.
    pub(crate) async fn whole(&mut self) -> Told {
        self.flight
            .wait(|state| {
                let streams = matches!(state.answer, Some(Answer::Head(_)));
                let over = state.end.is_some() || state.pipe.is_some();
                if !streams { state.answer.is_some().then_some(()) } else { over.then_some(()) }
            })
            .await;
        self.told().await
    }

    /// Whether [`Self::chunk`] has a piece to give at once.
    pub(crate) fn has_chunk(&self) -> bool {
        let state = self.flight.state.lock();
        match &state.end {
            Some(End::Stored(_, body)) => body.len() > self.read,
            _ => self.next.checked_sub(state.dropped).is_some_and(|at| at < state.chunks.len()),
        }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Broken`] when the render broke off, or this reader fell out of a pipe's window.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        let (id, next, read) = (self.id, self.next, self.read);
        let chunk = self
            .flight
            .wait(|state| {
                if let Some(End::Stored(_, body)) = &state.end {
                    let rest = body.slice(read.min(body.len())..);
                    return Some(Ok((!rest.is_empty()).then_some(rest)));
                }
                let Some(at) = next.checked_sub(state.dropped) else { return Some(Err(Broken)) };
                if let Some(chunk) = state.chunks.get(at) {
                    state.readers.insert(id, next + 1);
                    return Some(Ok(Some(chunk.clone())));
                }
                match state.end.as_ref()? {
                    End::Broken => Some(Err(Broken)),
                    End::Stored(..) | End::Whole => Some(Ok(None)),
                }
            })
            .await?;
        self.next += 1;
        self.read += chunk.as_ref().map_or(0, Bytes::len);
        self.flight.room.notify_one();
        Ok(chunk)
    }
}

impl Flight {
    /// Whether there is something to tell: an answer, or that there is none.
    pub(crate) fn is_answered(&self) -> bool {
        self.state.lock().is_answered()
    }

    /// Waits, as nobody, until there is something to tell.
    pub(crate) async fn answered(&self) {
        self.wait(|state| state.is_answered().then_some(())).await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.flight.state.lock();
        state.readers.remove(&self.id);
        if self.role == Role::Starter {
            state.starter_waits = false;
        }
        drop(state);
        self.flight.room.notify_one();
    }
}
