//! A gate that the origin's scripts stand at until the scenario lets them through: what makes "while the
//! origin still renders" a fact and not a matter of time.

use super::PATIENCE;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Starts closed. Clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    passes: usize,
    waiting: usize,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Gate::default()
    }

    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Lets nobody through from now on.
    pub(crate) fn close(&self) {
        self.change(|state| state.open = false);
    }

    /// Lets `n` more through.
    pub(crate) fn let_through(&self, n: usize) {
        self.change(|state| state.passes += n);
    }

    /// Waits until `n` stand at the gate.
    #[track_caller]
    pub(crate) fn wait_for(&self, n: usize) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state();
        while state.waiting < n {
            assert!(Instant::now() < until, "{} of {n} stand at the gate", state.waiting);
            state = self.sleep(state);
        }
    }

    /// Stands at the gate; an error where the origin ended or nobody opened in a long time.
    pub(crate) fn pass(&self, ended: &AtomicBool) -> io::Result<()> {
        let until = Instant::now() + 2 * PATIENCE;
        self.change(|state| state.waiting += 1);
        let mut state = self.state();
        while !state.open && state.passes == 0 {
            if ended.load(Ordering::Relaxed) || Instant::now() > until {
                state.waiting -= 1;
                return Err(ErrorKind::TimedOut.into());
            }
            state = self.sleep(state);
        }
        state.waiting -= 1;
        if !state.open {
            state.passes -= 1;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics while holding the gate")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.changed.notify_all();
    }

    /// Until something changes; never so long that an origin's end goes unseen.
    fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let woken = self.0.changed.wait_timeout(state, Duration::from_millis(50));
        woken.expect("nobody panics while holding the gate").0
    }
}
