//! The `process_…` series that every Prometheus dashboard knows, read from `/proc/self` when
//! somebody scrapes. Where that is not there (not Linux), they are missing and nothing else is.

use super::family::{counter, desc, family, gauge};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::fs;

/// Clock ticks in a second, as `/proc` counts them: `USER_HZ`, 100 on every platform we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the process's own numbers.
pub(super) struct Process(Vec<Series>);

/// One number of the process.
struct Series {
    desc: Desc,
    kind: MetricType,
    /// `None` where `/proc` does not say.
    read: fn(&Snapshot) -> Option<f64>,
}

/// Some files of `/proc/self` at one time.
struct Snapshot {
    /// The fields of `stat` behind the command's name; the first one is `state`, field 3 of proc(5).
    stat: Vec<String>,
    status: String,
    limits: String,
}

impl Process {
    pub(super) fn new() -> Self {
        let gauge = |name, help, read| Series { desc: desc(name, help, &[]), kind: MetricType::GAUGE, read };
        let cpu = desc("process_cpu_seconds_total", "User and system CPU time spent.", &[]);
        Process(vec![
            Series { desc: cpu, kind: MetricType::COUNTER, read: Snapshot::cpu_seconds },
            gauge("process_resident_memory_bytes", "Resident memory.", Snapshot::resident_bytes),
            gauge("process_virtual_memory_bytes", "Virtual memory.", Snapshot::virtual_bytes),
            gauge("process_threads", "Threads of the process.", Snapshot::threads),
            gauge("process_open_fds", "Open file descriptors.", Snapshot::open_fds),
            gauge("process_max_fds", "File descriptors that may be open.", Snapshot::max_fds),
        ])
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().map(|series| &series.desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = Snapshot::take();
        let one = |series: &Series| {
            let value = (series.read)(&snapshot)?;
            let make = if series.kind == MetricType::COUNTER { counter } else { gauge };
            Some(family(&series.desc, series.kind, vec![make(&[], value)]))
        };
        self.0.iter().filter_map(one).collect()
    }
}

impl Snapshot {
    fn take() -> Self {
        let read = |name| fs::read_to_string(name).unwrap_or_default();
        let stat = read("/proc/self/stat");
        // The command's name may hold spaces and brackets; the last bracket ends it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        Snapshot {
            stat: fields.split_whitespace().map(str::to_owned).collect(),
            status: read("/proc/self/status"),
            limits: read("/proc/self/limits"),
        }
    }

    /// A field of `stat` by its number in proc(5).
    fn stat(&self, number: usize) -> Option<f64> {
        self.stat.get(number - 3)?.parse().ok()
    }

    fn cpu_seconds(&self) -> Option<f64> {
        Some((self.stat(14)? + self.stat(15)?) / TICKS_PER_SECOND)
    }

    fn threads(&self) -> Option<f64> {
        self.stat(20)
    }

    fn virtual_bytes(&self) -> Option<f64> {
        self.stat(23)
    }

    /// From `status`, which is in kB, because `stat` counts pages, whose size would need a system call.
    fn resident_bytes(&self) -> Option<f64> {
        let line = self.status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024.0)
    }

    fn open_fds(&self) -> Option<f64> {
        let entries = fs::read_dir("/proc/self/fd").ok()?.count();
        // One of them was the directory being read.
        Some(entries.saturating_sub(1) as f64)
    }

    fn max_fds(&self) -> Option<f64> {
        let line = self.limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let soft = line.split_whitespace().next()?;
        if soft == "unlimited" { Some(f64::INFINITY) } else { soft.parse().ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::Snapshot;

    /// The fields are the ones that are meant: a thread that runs and a file that is opened show.
    #[test]
    fn the_process_sees_itself() {
        let before = Snapshot::take();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receive.recv());
        let after = Snapshot::take();
        assert!(after.resident_bytes().unwrap() > 100_000.0);
        assert!(after.virtual_bytes() >= after.resident_bytes());
        assert!(after.threads().unwrap() >= 2.0);
        assert!(after.open_fds().unwrap() >= 4.0 && after.open_fds() < after.max_fds());
        assert!(after.cpu_seconds() >= before.cpu_seconds() && after.cpu_seconds().unwrap() < 3_600.0);
        drop((file, send));
        thread.join().unwrap().unwrap_err();
    }
}
