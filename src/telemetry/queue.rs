//! Lines on their way out. Whoever logs adds to a buffer and goes on; a thread of its own writes the
//! buffer out. A reader that is too slow, or stuck, costs lines and never a request: what does not fit
//! is dropped, counted, and reported by a line of its own once there is room again.

use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long a non-blocking reader that takes nothing is left alone.
const PAUSE: Duration = Duration::from_millis(10);

/// Bytes that the buffers keep while nothing waits.
const KEPT: usize = 64 << 10;

/// The lines that wait.
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Everything has been written.
    drained: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that are being written.
    written: usize,
    capacity: usize,
    /// Lines that were dropped and not reported yet.
    lost: u64,
}

impl Queue {
    /// A queue of at most `capacity` bytes, which a new thread writes to `out`. Each time that lines were lost,
    /// the thread calls `report` with their number.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        capacity: usize,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Queue>> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State { capacity, ..State::default() }),
            filled: Condvar::new(),
            drained: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let writer = Arc::clone(&queue);
        thread::Builder::new().name("breadbox-log".to_owned()).spawn(move || writer.write_out(out, &report))?;
        Ok(queue)
    }

    /// Adds a line, or drops it where there is no room.
    pub(super) fn add(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.waiting.len() + state.written + line.len() > state.capacity {
            state.lost += 1;
            self.dropped.fetch_add(1, Relaxed);
            drop(state);
            self.filled.notify_one();
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Takes another bound for the lines to come.
    pub(super) fn set_capacity(&self, capacity: usize) {
        self.state.lock().capacity = capacity;
    }

    /// Waits until everything is written, but no longer than `most`.
    pub(super) fn flush(&self, most: Duration) {
        let until = Instant::now() + most;
        let mut state = self.state.lock();
        while !state.waiting.is_empty() || state.written > 0 {
            if self.drained.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    fn write_out(&self, mut out: impl Write, report: &impl Fn(u64)) {
        let mut lines = Vec::new();
        loop {
            let lost = self.take(&mut lines);
            if !write_all(&mut out, &lines) {
                let count = memchr::memchr_iter(b'\n', &lines).count();
                self.dropped.fetch_add(count as u64, Relaxed);
            }
            lines.clear();
            lines.shrink_to(KEPT);
            let mut state = self.state.lock();
            state.written = 0;
            if state.waiting.is_empty() {
                self.drained.notify_all();
            }
            drop(state);
            if lost > 0 {
                report(lost);
            }
        }
    }

    /// Waits for lines and takes them; answers how many were lost before them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && state.lost == 0 {
            self.filled.wait(&mut state);
        }
        std::mem::swap(&mut state.waiting, lines);
        state.written = lines.len();
        std::mem::take(&mut state.lost)
    }
}

/// Writes everything; `false` where nobody reads any more.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return false,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => return false,
        }
    }
    true
}

/// Where `tracing` writes a line.
#[derive(Clone)]
pub(super) struct Sink(pub(super) Arc<Queue>);

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A reader that takes a piece only when it is told to.
    struct Stuck {
        release: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.release.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.taken.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue and the strings to its reader.
    struct Scene {
        queue: Arc<Queue>,
        let_go: mpsc::Sender<()>,
        taken: Arc<Mutex<Vec<u8>>>,
        reports: mpsc::Receiver<u64>,
    }

    fn stuck(capacity: usize) -> Scene {
        let (let_go, release) = mpsc::channel();
        let (say, reports) = mpsc::channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let out = Stuck { release, taken: Arc::clone(&taken) };
        let queue = Queue::start(out, capacity, move |lost| say.send(lost).unwrap()).unwrap();
        Scene { queue, let_go, taken, reports }
    }

    /// Nobody waits for a reader: what does not fit is dropped and counted, what fits comes out in order.
    #[test]
    fn a_stuck_reader_costs_lines_and_no_time() {
        let Scene { queue, let_go, taken, reports } = stuck(30);
        for number in 0..10 {
            queue.add(format!("line {number}\n").as_bytes());
        }
        assert_eq!(queue.dropped(), 6, "seven bytes a line, 30 in all");
        queue.flush(Duration::from_millis(1));
        for _ in 0..4 {
            let_go.send(()).unwrap();
        }
        assert_eq!(reports.recv(), Ok(6), "the loss is reported");
        queue.flush(Duration::from_secs(10));
        assert_eq!(String::from_utf8_lossy(&taken.lock()), "line 0\nline 1\nline 2\nline 3\n");
        queue.add(b"more\n");
        queue.flush(Duration::from_secs(10));
        assert!(taken.lock().ends_with(b"more\n"), "it goes on");
    }

    /// A reader that has gone loses lines and nothing else.
    #[test]
    fn a_reader_that_has_gone_is_counted() {
        let Scene { queue, let_go, .. } = stuck(1000);
        drop(let_go);
        queue.add(b"a\nb\n");
        queue.flush(Duration::from_secs(10));
        assert_eq!(queue.dropped(), 2);
    }
}
