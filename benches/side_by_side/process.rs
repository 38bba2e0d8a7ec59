//! The processes a run starts: pinned to a core, measured from `/proc`, and ended with the run however it ends.
//!
//! Only processes started here are ever signalled, by their id. The standard library cannot send SIGTERM, so
//! `kill` does; `setpriv` ties a child to this process in case it is killed itself.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The core of the servers that are measured.
const SERVER_CORE: &str = "0";
/// Where servers and clients share two cores.
const BOTH_CORES: &str = "0,1";
/// The core of everything else: the load generator, the origins and this process.
const CLIENT_CORE: &str = "1";
/// How long a server may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// Clock ticks a second in `/proc/PID/stat`; fixed on every Linux that runs this.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a signal must clean up, since no destructor runs then.
static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers { pids: BTreeSet::new(), dirs: BTreeSet::new() });

struct Leftovers {
    pids: BTreeSet<u32>,
    dirs: BTreeSet<PathBuf>,
}

/// How long a server may work behind its answers, and how often that is looked at.
const LONGEST_WORK: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(500);

/// Where a program of a run may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Servers and clients have a core each.
    Own,
    /// All have both.
    Both,
}

/// A server of this run; dropping it ends it.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts the program on the servers' core, with the arguments and the environment of `command` and its output
    /// sent to `output`.
    pub(crate) fn start(command: &Command, output: Stdio) -> Result<Running> {
        Running::start_on(Cores::Own, command, output)
    }

    /// The same on these cores.
    pub(crate) fn start_on(cores: Cores, command: &Command, output: Stdio) -> Result<Running> {
        let child = wrapped(command, if cores == Cores::Own { SERVER_CORE } else { BOTH_CORES })
            .stdout(output)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        leftovers().pids.insert(child.id());
        Ok(Running { child })
    }

    /// The process, for what was piped.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// User and system time of the process and its children so far.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = tree(self.child.id()).into_iter().filter_map(cpu_ticks).sum();
        Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Waits until the process has done what it does behind answers, such as making codings of the pages that it was
    /// filled with: none of it is to be counted as what a request costs. Answers whether it has.
    pub(crate) fn rests(&self) -> bool {
        let until = Instant::now() + LONGEST_WORK;
        while Instant::now() < until {
            let before = self.cpu();
            std::thread::sleep(LOOK);
            if self.cpu() - before < LOOK / 50 {
                return true;
            }
        }
        false
    }

    /// Resident bytes of the process and its children, shared pages divided among them.
    pub(crate) fn resident(&self) -> u64 {
        tree(self.child.id()).into_iter().filter_map(resident_bytes).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.child.id();
        let pids = tree(pid);
        signal("-TERM", pid);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && !self.has_ended() {
            thread::sleep(Duration::from_millis(10));
        }
        if !self.has_ended() {
            pids.into_iter().for_each(|pid| signal("-KILL", pid));
        }
        let _ = self.child.wait();
        leftovers().pids.remove(&pid);
    }
}

/// A directory in memory where there is one; dropping it removes it.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Makes it.
    pub(crate) fn new() -> Result<Scratch> {
        Scratch::below(Path::new("/dev/shm")).or_else(|_| Scratch::below(&std::env::temp_dir()))
    }

    /// Makes it in this one.
    pub(crate) fn below(dir: &Path) -> Result<Scratch> {
        let dir =
            tempfile::Builder::new().prefix("breadbox-bench-").tempdir_in(dir).context("no temporary directory")?;
        leftovers().dirs.insert(dir.path().to_owned());
        Ok(Scratch { dir })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        leftovers().dirs.remove(self.dir.path());
    }
}

/// Pins this process, which must not have started a thread yet, and cleans up after it when a signal ends it.
/// Answers whether servers and clients now have a core each.
pub(crate) fn settle() -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pid = std::process::id().to_string();
    let pinned =
        cores() > 1 && quiet("taskset").args(["-pc", CLIENT_CORE, &pid]).status().is_ok_and(|status| status.success());
    thread::spawn(move || {
        runtime.block_on(interrupted());
        let left = leftovers();
        left.pids.iter().flat_map(|&pid| tree(pid)).for_each(|pid| signal("-KILL", pid));
        for dir in &left.dirs {
            let _ = fs::remove_dir_all(dir);
        }
        std::process::exit(130);
    });
    Ok(pinned)
}

/// Whether `program` can be run.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // nginx lives in a directory that is not in everybody's PATH on Debian.
    let sbin = PathBuf::from("/usr/sbin");
    std::env::split_paths(&path).chain([sbin]).any(|dir| dir.join(program).is_file())
}

/// What a program says of its version, in one line.
pub(crate) fn version(program: &str) -> String {
    let flag = if program == "nginx" || program == "haproxy" { "-v" } else { "-V" };
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let Ok(output) = Command::new(program).arg(flag).env("PATH", path).stdin(Stdio::null()).output() else {
        return String::new();
    };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Cores of the machine. Not those this process may use, which are one as soon as it is pinned.
fn cores() -> usize {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpus.lines().filter(|line| line.starts_with("processor")).count()
}

fn leftovers() -> MutexGuard<'static, Leftovers> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command behind `setpriv` and `taskset`, as far as they are there; both become the program by `exec`.
fn wrapped(command: &Command, on: &str) -> Command {
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if is_installed("setpriv") {
        words.extend(["setpriv", "--pdeathsig", "TERM"].map(Into::into));
    }
    if is_installed("taskset") && cores() > 1 {
        words.extend(["taskset", "-c", on].map(Into::into));
    }
    words.push(command.get_program().to_owned());
    words.extend(command.get_args().map(ToOwned::to_owned));
    let mut wrapped = Command::new(&words[0]);
    wrapped.args(&words[1..]).stdin(Stdio::piped());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    wrapped
}

/// A client that may be on these cores.
pub(crate) fn client_on(on: Cores, program: &OsStr) -> Command {
    if on == Cores::Own || !is_installed("taskset") || cores() == 1 {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", BOTH_CORES]).arg(program);
    command
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn signal(name: &str, pid: u32) {
    let _ = quiet("kill").args([name, &pid.to_string()]).status();
}

/// A process and all that descend from it.
fn tree(root: u32) -> Vec<u32> {
    let parents = parents().unwrap_or_default();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Every process with its parent.
fn parents() -> io::Result<Vec<(u32, u32)>> {
    let entries = fs::read_dir("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid| Some((pid, stat_field(pid, 4)?.try_into().ok()?))).collect())
}

/// User and system time of a process and of the children it has waited for, in clock ticks.
fn cpu_ticks(pid: u32) -> Option<u64> {
    (14..=17).map(|field| stat_field(pid, field)).sum()
}

/// A numeric field of `/proc/PID/stat`, counted from 1 as in proc(5). Fields after the name, which is in
/// parentheses and may hold anything.
fn stat_field(pid: u32, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field - 3)?.parse().ok()
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
