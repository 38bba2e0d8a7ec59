//! One render in flight and the requests that wait for it.
//!
//! A flight belongs to nobody: the task that renders pushes the growing body into it, waiters read
//! at their own pace, and a waiter that leaves takes nothing with it. Only when the answer may not
//! be kept (it is for one client, or it outgrew `store.max_page`) does the flight become a pipe: then
//! the task waits for its readers, holds no more than a window, and stops when they have gone.
//!
//! It decides who may read what; it must not talk to the origin or the store.

mod head;
mod waiter;

pub(crate) use head::{Head, HeadKind};
pub(crate) use waiter::Waiter;

use super::origin::Informational;
use crate::policy::lookup::BypassDetail;
use crate::policy::{Key, Page, PurgeSeq};
use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use waiter::Role;

/// In a pipe, the task reads on from the origin while the reader it keeps pace with is no more than
/// this many bytes behind.
const PIPE_AHEAD: usize = 256 * 1024;

/// 1xx answers that are kept for a starter which has not read them yet.
const MAX_INTERIM: usize = 32;

/// Why a render gave no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// 502, 503 or 504.
    pub(crate) status: StatusCode,
    /// When asking again makes sense.
    pub(crate) retry_after: Duration,
    /// A word of a closed set, for `detail`, logs and metrics.
    pub(crate) reason: &'static str,
}

/// What a waiter is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// The whole page; it is stored.
    Page(Arc<Page>),
    /// The head; the body follows by [`Waiter::chunk`].
    Stream(Arc<Head>),
    /// The answer is not for this request: ask the origin itself.
    AskYourself(BypassDetail),
    /// There is no answer.
    Failed(Failure),
}

/// Whether the task that renders shall go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// Go on.
    Wanted,
    /// Nobody reads any more and nothing will be stored.
    Abandoned,
}

/// One render in flight.
#[derive(Debug)]
pub(crate) struct Flight {
    id: u64,
    key: Key,
    purge_seq: AtomicU64,
    asks: AtomicBool,
    state: Mutex<State>,
    changed: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    answer: Option<Answer>,
    chunks: VecDeque<Bytes>,
    /// How many chunks have left the front of `chunks`.
    dropped: usize,
    /// Bytes in `chunks`.
    held: usize,
    /// `Some(window)` once the flight is a pipe: the most bytes it holds.
    pipe: Option<usize>,
    end: Option<End>,
    /// The index of the next chunk of every waiter that has been told to stream.
    readers: HashMap<u64, usize>,
    next_waiter: u64,
    starter_waits: bool,
    /// The starter, once it reads.
    starter: Option<u64>,
    /// 1xx answers that the starter has not been told of yet.
    interim: VecDeque<Informational>,
    /// The origin confirmed the page by a 304.
    confirmed: bool,
}

#[derive(Clone, Debug)]
enum Answer {
    Head(Arc<Head>),
    AskYourself(BypassDetail),
    Failed(Failure),
}

#[derive(Clone, Debug)]
enum End {
    /// With the body as it was streamed, which the page may not keep in that form.
    Stored(Arc<Page>, Bytes),
    Whole,
    Broken,
}

impl Flight {
    /// A render that is about to start and has seen `purge_seq`.
    pub(crate) fn new(key: Key, purge_seq: PurgeSeq) -> Arc<Self> {
        Arc::new(Flight {
            id: rand::random(),
            key,
            purge_seq: AtomicU64::new(purge_seq.0),
            asks: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Notify::new(),
            room: Notify::new(),
        })
    }

    /// Tells it apart from every other render, here and elsewhere.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// What the render is for.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The purge sequence its page will carry.
    pub(crate) fn purge_seq(&self) -> PurgeSeq {
        PurgeSeq(self.purge_seq.load(Ordering::SeqCst))
    }

    /// A request that came after a purge wants to join: the flight takes the sequence `seq` if it has
    /// not asked the origin yet, and says whether it did.
    pub(crate) fn catch_up(&self, seq: PurgeSeq) -> bool {
        let waits = !self.asks.load(Ordering::SeqCst);
        if waits {
            self.purge_seq.fetch_max(seq.0, Ordering::SeqCst);
        }
        waits
    }

    /// The origin is about to be asked: from here on nobody can [`Self::catch_up`], and the sequence
    /// is the one that `now` reads after that.
    pub(crate) fn ask(&self, now: impl FnOnce() -> PurgeSeq) {
        self.asks.store(true, Ordering::SeqCst);
        self.purge_seq.fetch_max(now().0, Ordering::SeqCst);
    }

    /// Whether the origin has been asked.
    pub(crate) fn has_asked(&self) -> bool {
        self.asks.load(Ordering::SeqCst)
    }

    /// The request that started the render waits for it too.
    pub(crate) fn start(self: &Arc<Self>) -> Waiter {
        self.state.lock().starter_waits = true;
        self.waiter(Role::Starter)
    }

    /// Another request waits for it.
    pub(crate) fn join(self: &Arc<Self>) -> Waiter {
        self.waiter(Role::Follower)
    }

    fn waiter(self: &Arc<Self>, role: Role) -> Waiter {
        let mut state = self.state.lock();
        let id = state.next_waiter;
        state.next_waiter += 1;
        Waiter { flight: Arc::clone(self), role, id, next: 0, read: 0 }
    }

    /// A 1xx answer came; it is for the request that started the render, while it waits.
    pub(crate) fn interim(&self, said: Informational) {
        let mut state = self.state.lock();
        if state.starter_waits && state.interim.len() < MAX_INTERIM {
            state.interim.push_back(said);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The answer's head is here and everybody may read on.
    pub(crate) fn tell_head(&self, head: Arc<Head>) {
        self.tell(Answer::Head(head));
    }

    /// The answer is for the starter alone, through a pipe; everybody else asks the origin.
    /// Returns `Abandoned` if the starter has gone.
    pub(crate) fn tell_starter(&self, head: Arc<Head>, window: usize) -> Push {
        let mut state = self.state.lock();
        state.pipe = Some(window);
        let push = if state.starter_waits { Push::Wanted } else { Push::Abandoned };
        drop(state);
        self.tell(Answer::Head(head));
        push
    }

    /// The answer is for nobody: everybody asks the origin.
    pub(crate) fn dismiss(&self, why: BypassDetail) {
        self.tell(Answer::AskYourself(why));
    }

    /// There is no answer.
    pub(crate) fn fail(&self, failure: Failure) {
        self.tell(Answer::Failed(failure));
    }

    fn tell(&self, answer: Answer) {
        let mut state = self.state.lock();
        if state.answer.is_none() {
            state.answer = Some(answer);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until the render is over, however it ended.
    pub(crate) async fn ended(&self) {
        self.wait(|state| state.end.is_some().then_some(())).await;
    }

    /// Whether an answer has been told.
    pub(crate) fn is_told(&self) -> bool {
        self.state.lock().answer.is_some()
    }

    /// Adds a piece of the body. In a pipe it waits until a reader wants more.
    pub(crate) async fn push(&self, chunk: Bytes) -> Push {
        self.state.lock().add(chunk);
        self.changed.notify_waiters();
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.state.lock().pressure() {
                Pressure::None => return Push::Wanted,
                Pressure::NoReaders => return Push::Abandoned,
                Pressure::Full => {}
            }
            room.await;
        }
    }

    /// The body will not be kept: from here on the flight is a pipe that holds `window` bytes.
    /// Returns `Abandoned` if nobody reads it.
    pub(crate) fn become_pipe(&self, window: usize) -> Push {
        let mut state = self.state.lock();
        state.pipe = Some(window);
        let starter_comes = state.starter_waits;
        let push = if state.readers.is_empty() && !starter_comes { Push::Abandoned } else { Push::Wanted };
        drop(state);
        self.changed.notify_waiters();
        push
    }

    /// The page is whole and stored; `body` is what was pushed, in one piece.
    pub(crate) fn land(&self, page: Arc<Page>, body: Bytes) {
        self.finish(End::Stored(page, body));
        // Whoever still reads goes on in the one piece, so that a slow reader holds nothing twice.
        let mut state = self.state.lock();
        state.chunks = VecDeque::new();
        state.held = 0;
    }

    /// The page was confirmed by a 304, and is stored again if it may be.
    pub(crate) fn land_confirmed(&self, page: Arc<Page>) {
        self.state.lock().confirmed = true;
        self.land(page, Bytes::new());
    }

    /// The body is whole and was not stored.
    pub(crate) fn end(&self) {
        self.finish(End::Whole);
    }

    /// The body broke off.
    pub(crate) fn break_off(&self) {
        self.finish(End::Broken);
    }

    fn finish(&self, end: End) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// How the readers of a pipe are doing.
enum Pressure {
    None,
    Full,
    NoReaders,
}

impl State {
    fn add(&mut self, chunk: Bytes) {
        self.held += chunk.len();
        self.chunks.push_back(chunk);
        let Some(window) = self.pipe else { return };
        let slowest = if self.starter_waits { 0 } else { self.readers.values().copied().min().unwrap_or(0) };
        let lead = self.lead();
        while self.dropped < slowest || (self.held > window && self.dropped < lead) {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.held -= oldest.len();
            self.dropped += 1;
        }
    }

    /// The reader whose pace a pipe keeps: the client that started the render, or the fastest of
    /// those that are left. It never falls out of the window; others may.
    fn lead(&self) -> usize {
        if self.starter_waits {
            return 0;
        }
        let starter = self.starter.and_then(|id| self.readers.get(&id)).copied();
        starter.or_else(|| self.readers.values().copied().max()).unwrap_or(0)
    }

    fn pressure(&self) -> Pressure {
        let Some(window) = self.pipe else { return Pressure::None };
        if self.readers.is_empty() {
            return if self.starter_waits { Pressure::Full } else { Pressure::NoReaders };
        }
        let read = self.lead().saturating_sub(self.dropped);
        let behind: usize = self.chunks.iter().skip(read).map(Bytes::len).sum();
        if behind > PIPE_AHEAD.min(window) { Pressure::Full } else { Pressure::None }
    }

    /// What a waiter may be told now.
    fn told(&self, role: Role) -> Option<Told> {
        if let Some(End::Stored(page, _)) = &self.end
            && !self.is_for_starter_only()
            && !(role == Role::Starter && self.has_more_for_starter())
        {
            return Some(Told::Page(Arc::clone(page)));
        }
        match self.answer.clone()? {
            Answer::Failed(failure) => Some(Told::Failed(failure)),
            Answer::AskYourself(why) => Some(Told::AskYourself(why)),
            Answer::Head(_) if role == Role::Follower && (self.is_for_starter_only() || self.pipe.is_some()) => {
                Some(Told::AskYourself(BypassDetail::Uncacheable))
            }
            Answer::Head(head) if self.dropped == 0 => Some(Told::Stream(head)),
            Answer::Head(_) => Some(Told::AskYourself(BypassDetail::Uncacheable)),
        }
    }

    fn is_answered(&self) -> bool {
        self.answer.is_some() || self.end.is_some()
    }

    fn is_for_starter_only(&self) -> bool {
        let Some(Answer::Head(head)) = &self.answer else { return false };
        matches!(head.kind, HeadKind::Private)
    }

    /// Whether the page lacks fields that the answer had for the request that started it.
    fn has_more_for_starter(&self) -> bool {
        let Some(Answer::Head(head)) = &self.answer else { return false };
        head.for_starter.is_some()
    }
}

impl Flight {
    /// Waits until `ready` answers; it is asked again whenever the flight changes.
    async fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(ready) = ready(&mut self.state.lock()) {
                return ready;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests;
