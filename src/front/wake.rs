//! A future that is polled only when it has asked to be. A connection waits for several things at once, and
//! is woken by one of them each time: polling the others as well takes their locks for nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that wakes its task rarely.
pub(super) struct Rarely<F> {
    future: F,
    bell: Option<Arc<Bell>>,
    waker: Waker,
}

/// What the future rings.
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<F: Future + Unpin> Rarely<F> {
    /// Nothing is polled yet.
    pub(super) fn new(future: F) -> Self {
        Rarely { future, bell: None, waker: Waker::noop().clone() }
    }

    /// Polls the future if it has rung, if it never was polled, or if another task asks now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        match &self.bell {
            Some(bell) if bell.task.will_wake(cx.waker()) => {
                if !bell.rung.load(Ordering::Relaxed) || !bell.rung.swap(false, Ordering::AcqRel) {
                    return Poll::Pending;
                }
            }
            _ => {
                let bell = Arc::new(Bell { rung: AtomicBool::new(false), task: cx.waker().clone() });
                self.waker = Arc::clone(&bell).into();
                self.bell = Some(bell);
            }
        }
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&self.waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::Notify;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_polled_when_it_rings_and_for_each_task_that_asks() {
        let (notify, polls) = (Notify::new(), AtomicUsize::new(0));
        let mut waits = pin!(notify.notified());
        let counted = pin!(poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            waits.as_mut().poll(cx)
        }));
        let mut rarely = Rarely::new(counted);
        let tasks = [(); 2].map(|()| Arc::new(Count(AtomicUsize::new(0))));
        let wakers = tasks.clone().map(Waker::from);
        for (asked, expected) in [(0, 1), (0, 1), (1, 2), (1, 2)] {
            assert!(rarely.poll(&mut Context::from_waker(&wakers[asked])).is_pending());
            assert_eq!(polls.load(Ordering::Relaxed), expected);
        }
        notify.notify_waiters();
        assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [0, 1], "whoever asked last is woken");
        assert!(rarely.poll(&mut Context::from_waker(&wakers[1])).is_ready());
    }
}
