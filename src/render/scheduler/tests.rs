//! Order, limits and cancellation, on a paused clock; and random histories checked step by step.

use super::*;
use proptest::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

const LONG: Duration = Duration::from_secs(3600);

type Acquiring<'a> = Pin<Box<dyn Future<Output = Result<Permit, Rejected>> + 'a>>;

fn scheduler(max_renders: usize, max_waiting: usize, timeout: Duration) -> Scheduler {
    Scheduler::new(NonZeroUsize::new(max_renders).unwrap(), max_waiting, timeout)
}

fn refresh(popularity: u32) -> Class {
    Class::Refresh { popularity }
}

/// Starts to wait; the future has been polled once.
fn begin(scheduler: &Scheduler, class: Class) -> Acquiring<'_> {
    let mut acquiring: Acquiring<'_> = Box::pin(scheduler.acquire(class));
    assert!(poll(&mut acquiring).is_none(), "it should have to wait");
    acquiring
}

fn poll(acquiring: &mut Acquiring<'_>) -> Option<Result<Permit, Rejected>> {
    match acquiring.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn now(acquiring: &mut Acquiring<'_>) -> Permit {
    poll(acquiring).expect("it should have been answered").expect("it should have a permit")
}

#[tokio::test(start_paused = true)]
async fn misses_leave_a_quarter_of_the_permits_to_refreshes() {
    for (max, for_misses) in [(2, 1), (3, 2), (4, 3), (8, 6), (16, 12), (1, 1)] {
        let scheduler = scheduler(max, 16, LONG);
        let mut misses = Vec::new();
        for _ in 0..for_misses {
            misses.push(scheduler.acquire(Class::Miss).await.unwrap());
        }
        let waiting = begin(&scheduler, Class::Miss);
        for _ in for_misses..max {
            misses.push(scheduler.acquire(refresh(0)).await.unwrap());
        }
        assert_eq!(scheduler.in_flight(), max);
        assert_eq!(scheduler.waiting(), 1);
        drop(waiting);
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_may_use_every_permit_that_no_miss_waits_for() {
    let scheduler = scheduler(4, 16, LONG);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(scheduler.acquire(refresh(0)).await.unwrap());
    }
    let mut miss = begin(&scheduler, Class::Miss);
    let mut more = begin(&scheduler, refresh(9));
    held.pop();
    let _permit = now(&mut miss);
    assert!(poll(&mut more).is_none(), "the miss goes first");
}

#[tokio::test(start_paused = true)]
async fn misses_are_served_in_the_order_of_arrival() {
    let scheduler = scheduler(2, 16, LONG);
    let mut held = scheduler.acquire(Class::Miss).await.unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| begin(&scheduler, Class::Miss)).collect();
    for at in 0..5 {
        drop(held);
        assert!(waiting[at + 1..].iter_mut().all(|later| poll(later).is_none()));
        held = now(&mut waiting[at]);
    }
}

#[tokio::test(start_paused = true)]
async fn popular_refreshes_go_before_others_and_equals_in_order() {
    let scheduler = scheduler(1, 16, LONG);
    let mut held = scheduler.acquire(refresh(0)).await.unwrap();
    let mut waiting: Vec<_> = [1, 50, 3, 50].into_iter().map(|by| begin(&scheduler, refresh(by))).collect();
    for at in [1, 3, 2, 0] {
        drop(held);
        held = now(&mut waiting[at]);
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn with_one_permit_misses_and_refreshes_take_turns() {
    let scheduler = scheduler(1, 16, LONG);
    let mut held = scheduler.acquire(Class::Miss).await.unwrap();
    let mut misses: Vec<_> = (0..2).map(|_| begin(&scheduler, Class::Miss)).collect();
    let mut refreshes: Vec<_> = (0..2).map(|_| begin(&scheduler, refresh(1))).collect();
    for at in 0..2 {
        drop(held);
        held = now(&mut refreshes[at]);
        drop(held);
        held = now(&mut misses[at]);
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_misses_and_keeps_the_popular_refreshes() {
    let scheduler = scheduler(1, 2, LONG);
    let _held = scheduler.acquire(Class::Miss).await.unwrap();
    let _misses = [begin(&scheduler, Class::Miss), begin(&scheduler, Class::Miss)];
    assert_eq!(scheduler.acquire(Class::Miss).await.unwrap_err(), Rejected::Full);

    let mut unpopular = begin(&scheduler, refresh(1));
    let mut popular = begin(&scheduler, refresh(7));
    assert_eq!(scheduler.acquire(refresh(1)).await.unwrap_err(), Rejected::Full);
    let _better = begin(&scheduler, refresh(5));
    assert_eq!(poll(&mut unpopular).unwrap().unwrap_err(), Rejected::Full);
    assert!(poll(&mut popular).is_none());
    assert_eq!(scheduler.waiting(), 4);
}

#[tokio::test(start_paused = true)]
async fn nobody_may_wait_when_the_queue_has_no_places_but_a_free_permit_is_given() {
    let scheduler = scheduler(2, 0, LONG);
    let held = scheduler.acquire(Class::Miss).await.unwrap();
    assert_eq!(scheduler.acquire(Class::Miss).await.unwrap_err(), Rejected::Full);
    drop(held);
    assert!(scheduler.acquire(Class::Miss).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_after_the_timeout() {
    let scheduler = scheduler(1, 2, Duration::from_secs(30));
    let _held = scheduler.acquire(Class::Miss).await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(scheduler.acquire(Class::Miss).await.unwrap_err(), Rejected::TimedOut);
    assert_eq!(before.elapsed().as_secs(), 30);
    assert_eq!(scheduler.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_leaves_no_hole() {
    let scheduler = scheduler(1, 2, LONG);
    let held = scheduler.acquire(Class::Miss).await.unwrap();
    let first = begin(&scheduler, Class::Miss);
    let mut second = begin(&scheduler, Class::Miss);
    drop(first);
    assert_eq!(scheduler.waiting(), 1);
    drop(held);
    drop(now(&mut second));
    assert_eq!(scheduler.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_given_to_a_waiter_that_goes_away_is_not_lost() {
    let scheduler = scheduler(1, 2, LONG);
    let held = scheduler.acquire(Class::Miss).await.unwrap();
    let first = begin(&scheduler, Class::Miss);
    let mut second = begin(&scheduler, Class::Miss);
    drop(held);
    assert_eq!(scheduler.in_flight(), 1, "the first one has been given it and does not know yet");
    drop(first);
    drop(now(&mut second));
    assert_eq!(scheduler.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn new_limits_count_at_once_and_lower_ones_as_renders_end() {
    let scheduler = scheduler(2, 8, LONG);
    let mut held = vec![scheduler.acquire(Class::Miss).await.unwrap()];
    let mut waiting: Vec<_> = (0..3).map(|_| begin(&scheduler, Class::Miss)).collect();
    scheduler.set_limits(NonZeroUsize::new(4).unwrap(), 8, LONG);
    held.extend(waiting.drain(..2).map(|mut waiting| now(&mut waiting)));
    assert_eq!((scheduler.in_flight(), scheduler.waiting()), (3, 1));

    scheduler.set_limits(NonZeroUsize::new(1).unwrap(), 8, LONG);
    held.truncate(1);
    assert!(poll(&mut waiting[0]).is_none());
    held.clear();
    held.push(now(&mut waiting[0]));
}

#[derive(Clone, Debug)]
enum Step {
    Begin(Option<u32>),
    Cancel(usize),
    Release(usize),
    Poll(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::option::of(0u32..5).prop_map(Step::Begin),
        1 => any::<prop::sample::Index>().prop_map(|i| Step::Cancel(i.index(1 << 16))),
        2 => any::<prop::sample::Index>().prop_map(|i| Step::Release(i.index(1 << 16))),
        2 => any::<prop::sample::Index>().prop_map(|i| Step::Poll(i.index(1 << 16))),
    ]
}

/// Plays a history and checks after each step what must hold always.
fn play(max_renders: usize, max_waiting: usize, steps: Vec<Step>) {
    let scheduler = scheduler(max_renders, max_waiting, LONG);
    let most_misses = (max_renders - (max_renders / 4).max(1)).max(1);
    let mut waiting: Vec<(Class, Acquiring<'_>)> = Vec::new();
    let mut held: Vec<Permit> = Vec::new();
    for step in steps {
        match step {
            Step::Begin(popularity) => {
                let class = popularity.map_or(Class::Miss, refresh);
                let mut acquiring: Acquiring<'_> = Box::pin(scheduler.acquire(class));
                match poll(&mut acquiring) {
                    Some(Ok(permit)) => held.push(permit),
                    Some(Err(rejected)) => assert_eq!(rejected, Rejected::Full),
                    None => waiting.push((class, acquiring)),
                }
            }
            Step::Cancel(at) if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
            Step::Release(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
            Step::Poll(at) if !waiting.is_empty() => {
                let at = at % waiting.len();
                if let Some(answer) = poll(&mut waiting[at].1) {
                    held.extend(answer);
                    drop(waiting.swap_remove(at));
                }
            }
            _ => {}
        }
        let state = scheduler.shared.state.lock();
        assert!(state.in_flight() <= max_renders);
        assert!(state.waiting() <= 2 * max_waiting);
        assert!(held.iter().filter(|permit| permit.kind == Kind::Miss).count() <= most_misses);
        assert!(state.nobody_waits_in_vain());
    }
    drop(waiting);
    drop(held);
    assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));
}

proptest! {
    /// No permit is ever lost, handed out twice, or left lying while somebody waits for it.
    #[test]
    fn every_history_keeps_the_invariants(
        max_renders in 1usize..9,
        max_waiting in 0usize..6,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _guard = runtime.enter();
        play(max_renders, max_waiting, steps);
    }
}

#[test]
fn threads_that_acquire_cancel_and_release_at_random_lose_nothing() {
    const MAX: usize = 6;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let scheduler = scheduler(MAX, 64, LONG);
    let running = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..64_u32 {
            let (scheduler, running) = (scheduler.clone(), running.clone());
            tasks.spawn(async move {
                for round in 0..200 {
                    one_render(&scheduler, &running, task.wrapping_mul(31).wrapping_add(round)).await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    });
    assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));

    async fn one_render(scheduler: &Scheduler, running: &[AtomicUsize; 2], seed: u32) {
        let class = if seed.is_multiple_of(3) { refresh(seed % 7) } else { Class::Miss };
        let mut acquiring: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(scheduler.acquire(class));
        if seed.is_multiple_of(5) {
            // Waits for one turn of the runtime and goes away, with a permit or without.
            tokio::select! { biased; _ = &mut acquiring => {}, () = tokio::task::yield_now() => {} }
            return;
        }
        let Ok(permit) = acquiring.await else { return };
        let mine = &running[usize::from(permit.kind == Kind::Refresh)];
        mine.fetch_add(1, Ordering::SeqCst);
        assert!(running[0].load(Ordering::SeqCst) < MAX, "a permit is kept for refreshes");
        assert!(scheduler.in_flight() <= MAX);
        tokio::task::yield_now().await;
        mine.fetch_sub(1, Ordering::SeqCst);
    }
}
