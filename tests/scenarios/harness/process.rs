//! The real binary as a child process: started on port 0, watched through its log, checked when the
//! scenario is over.

use super::PATIENCE;
use super::client::{Ask, Client, Response};
use super::log::{Log, field, is_level};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the binary may take until it listens.
const START: Duration = Duration::from_secs(20);

/// A call of the binary that ends by itself.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// Both streams, stdout first.
    pub(crate) output: String,
}

impl Run {
    /// Runs `breadbox ARGS… --config F`, where F holds `yaml`, to its end.
    #[track_caller]
    pub(crate) fn with_config(args: &[&str], yaml: &str) -> Self {
        let dir = write_config(yaml);
        let mut command = binary();
        command.args(args).arg("--config").arg(dir.path().join("proxy.yaml"));
        Run::of(command)
    }

    /// Runs `breadbox ARGS…` to its end.
    #[track_caller]
    pub(crate) fn of_args(args: &[&str]) -> Self {
        let mut command = binary();
        command.args(args);
        Run::of(command)
    }

    /// Runs a command to its end.
    #[track_caller]
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let out = Log::follow(child.stdout.take().expect("stdout is piped"));
        let err = Log::follow(child.stderr.take().expect("stderr is piped"));
        let status = wait(&mut child, START);
        let Some(status) = status else {
            let _ = child.kill();
            panic!("{command:?} does not end:\n{}\n{}", out.text(), err.text());
        };
        out.wait_for_end(PATIENCE);
        err.wait_for_end(PATIENCE);
        Run { code: status.code(), output: format!("{}\n{}", out.text(), err.text()) }
    }
}

/// A running Breadbox. When it is dropped it has to be up still (unless the scenario stopped it), nothing may
/// have panicked, and no ERROR may have been logged that was not expected.
pub(crate) struct Breadbox {
    child: Mutex<Child>,
    pub(super) pid: u32,
    log: Log,
    stdout: Log,
    public: Vec<SocketAddr>,
    admin: SocketAddr,
    expected_errors: Mutex<Vec<String>>,
    stopped: Mutex<bool>,
    dir: Mutex<Option<TempDir>>,
}

impl Breadbox {
    /// Starts `breadbox run --config F`, where F holds `config`, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(config: impl Into<String>) -> Self {
        Breadbox::start_with(config, &[], &[])
    }

    /// As [`Breadbox::start`], with environment variables, and files next to the configuration.
    #[track_caller]
    pub(crate) fn start_with(config: impl Into<String>, env: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let yaml = config.into();
        let dir = write_config(&yaml);
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("the directory is writable");
        }
        let mut command = binary();
        command.args(["run", "--config"]).arg(dir.path().join("proxy.yaml")).envs(env.iter().copied());
        let public = yaml.lines().filter(|line| line.starts_with("  - address:")).count();
        Breadbox::spawn(command, public, Some(dir))
    }

    /// As [`Breadbox::start`], by a command that starts what stands behind its own arguments. Whoever it is run
    /// as can read the configuration.
    #[track_caller]
    pub(crate) fn start_by(mut command: Command, config: impl Into<String>) -> Self {
        let dir = write_config(&config.into());
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).expect("the directory is ours");
        command.arg(binary().get_program()).args(["run", "--config"]).arg(dir.path().join("proxy.yaml"));
        command.stdin(Stdio::null());
        Breadbox::spawn(command, 1, Some(dir))
    }

    /// As [`Breadbox::start`], with `--watch`.
    #[track_caller]
    pub(crate) fn start_watching(config: impl Into<String>) -> Self {
        let dir = write_config(&config.into());
        let mut command = binary();
        command.args(["run", "--watch", "--config"]).arg(dir.path().join("proxy.yaml"));
        Breadbox::spawn(command, 1, Some(dir))
    }

    /// Starts `breadbox run --upgrade` with the same file, and waits until it has taken over. The file is its from
    /// then on.
    #[track_caller]
    pub(crate) fn successor(&self) -> Self {
        let public = self.public.len();
        let dir = self.dir.lock().expect("nobody panics while holding the directory").take();
        let dir = dir.expect("it was started with a file");
        let mut command = binary();
        command.args(["run", "--upgrade", "--config"]).arg(dir.path().join("proxy.yaml"));
        Breadbox::spawn(command, public, Some(dir))
    }

    /// Runs `breadbox run --upgrade` with the same file to its end.
    #[track_caller]
    pub(crate) fn failed_successor(&self) -> Run {
        let mut command = binary();
        command.args(["run", "--upgrade", "--config"]).arg(self.file("proxy.yaml"));
        Run::of(command)
    }

    /// The process id of the successor that this one says it has started.
    #[track_caller]
    pub(crate) fn successor_id(&self) -> u32 {
        let id = self.logs().iter().find_map(|line| field(line, "successor")?.parse().ok());
        id.unwrap_or_else(|| panic!("no successor was started:\n{}", self.log.text()))
    }

    /// Starts `breadbox ARGS…` and waits until it has one public listener.
    #[track_caller]
    pub(crate) fn start_args(args: &[&str]) -> Self {
        let mut command = binary();
        command.args(args);
        Breadbox::spawn(command, 1, None)
    }

    /// Runs a command that logs as the binary does, and waits until it has this many public listeners.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command, public: usize, dir: Option<TempDir>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let log = Log::follow(child.stderr.take().expect("stderr is piped"));
        let stdout = Log::follow(child.stdout.take().expect("stdout is piped"));
        let pid = child.id();
        let listening = log.wait(START, |lines| {
            let public = Some(listeners(lines, "public")).filter(|found| found.len() >= public)?;
            Some((public, *listeners(lines, "admin").first()?))
        });
        let (public, admin) = listening.unwrap_or_else(|log| {
            let _ = child.kill();
            panic!("breadbox does not listen:\n{log}\n{}", stdout.text());
        });
        Breadbox {
            child: Mutex::new(child),
            pid,
            log,
            stdout,
            public,
            admin,
            expected_errors: Mutex::default(),
            stopped: Mutex::new(false),
            dir: Mutex::new(dir),
        }
    }

    /// The first public listener.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.public[0]
    }

    /// All public listeners.
    pub(crate) fn addrs(&self) -> &[SocketAddr] {
        &self.public
    }

    /// The admin listener.
    pub(crate) fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// A new connection to the first public listener.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr())
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, ask: &Ask) -> Response {
        self.client().ask(ask)
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(&Ask::get(target))
    }

    /// Asks the admin listener.
    #[track_caller]
    pub(crate) fn admin_ask(&self, ask: &Ask) -> Response {
        Client::connect(self.admin).ask(ask)
    }

    /// The sum of all series called `name` whose labels have these values; zero where there is none.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.admin_ask(&Ask::get("/metrics")).text();
        let wanted: Vec<_> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        let series = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, labels) = series.split_once('{').unwrap_or((series, ""));
            let matches = found == name && wanted.iter().all(|label| labels.contains(label.as_str()));
            matches.then(|| value.parse::<f64>().expect("a sample is a number"))
        });
        series.sum()
    }

    /// All log lines so far.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Nobody reads the log while the guard is kept.
    pub(crate) fn pause_log(&self) -> MutexGuard<'_, ()> {
        self.log.pause()
    }

    /// Waits until stdout or the log says `text`, and returns everything said so far.
    #[track_caller]
    pub(crate) fn wait_for_output(&self, text: &str) -> String {
        let said = || format!("{}\n{}", self.stdout.text(), self.log.text());
        super::eventually(&format!("the output says {text:?}"), PATIENCE, || said().contains(text));
        said()
    }

    /// How many lines of this level say `text`.
    pub(crate) fn count_logged(&self, level: &str, text: &str) -> usize {
        self.logs().iter().filter(|line| is_level(line, level) && line.contains(text)).count()
    }

    /// From now on lines of level ERROR that contain `text` are no defect.
    pub(crate) fn expect_error(&self, text: &str) {
        self.expected_errors.lock().expect("nobody panics while holding the list").push(text.to_owned());
    }

    /// Bytes of resident memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most bytes of resident memory there ever were.
    pub(crate) fn peak_rss_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the process is up");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux names the field");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("Linux writes a number of kB");
        kib * 1024
    }

    /// Tells the process to end in good order. From here on it may be gone.
    pub(crate) fn sigterm(&self) {
        self.may_end();
        self.signal("TERM");
    }

    /// From here on the process may be gone.
    pub(crate) fn may_end(&self) {
        *self.stopped.lock().expect("nobody panics while holding the flag") = true;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid)]).status();
        assert!(status.expect("there is a shell").success(), "the process takes a signal");
    }

    /// Kills the process, as a machine that loses power would.
    pub(crate) fn kill(&self) {
        *self.stopped.lock().expect("nobody panics while holding the flag") = true;
        let mut child = self.child.lock().expect("nobody panics while holding the child");
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
    }

    /// A file next to the configuration, which is `proxy.yaml`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let dir = self.dir.lock().expect("nobody panics while holding the directory");
        dir.as_ref().expect("it was started with a file").path().join(name)
    }

    /// Replaces a file next to the configuration as a whole.
    pub(crate) fn write(&self, name: &str, text: impl Into<String>) {
        let beside = self.file(&format!("{name}.new"));
        std::fs::write(&beside, text.into()).expect("the directory is writable");
        std::fs::rename(beside, self.file(name)).expect("the directory is writable");
    }

    /// Writes `proxy.yaml` and has it reloaded with the token `t`.
    #[track_caller]
    pub(crate) fn reload(&self, config: impl Into<String>) -> Response {
        self.write("proxy.yaml", config);
        self.admin_ask(&Ask::new("POST", "/-/reload").header("Authorization", "Bearer t"))
    }

    /// The public listeners by now, in the order in which they were opened; those that are gone included.
    pub(crate) fn addrs_by_now(&self) -> Vec<SocketAddr> {
        listeners(&self.logs(), "public")
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(crate) fn wait_exit(&self, deadline: Duration) -> ExitStatus {
        let status = wait(&mut self.child.lock().expect("nobody panics while holding the child"), deadline);
        status.unwrap_or_else(|| panic!("breadbox has not ended within {deadline:?}:\n{}", self.log.text()))
    }

    /// What is wrong now that the scenario is over.
    fn complaints(&self) -> Vec<String> {
        let mut child = self.child.lock().expect("nobody panics while holding the child");
        let stopped = *self.stopped.lock().expect("nobody panics while holding the flag");
        let mut complaints = Vec::new();
        match child.try_wait() {
            Ok(Some(status)) if !stopped => complaints.push(format!("breadbox ended by itself: {status}")),
            _ => {}
        }
        let _ = child.kill();
        let _ = child.wait();
        self.log.wait_for_end(PATIENCE);
        let expected = self.expected_errors.lock().expect("nobody panics while holding the list");
        for line in self.log.lines() {
            let error = is_level(&line, "ERROR") && !expected.iter().any(|text| line.contains(text.as_str()));
            if error || line.contains("panicked at") {
                complaints.push(line);
            }
        }
        complaints
    }
}

impl Drop for Breadbox {
    fn drop(&mut self) {
        let complaints = self.complaints();
        drop(self.dir.lock().map(|mut dir| dir.take()));
        if std::thread::panicking() {
            eprintln!("breadbox logged:\n{}", self.log.text());
            return;
        }
        assert!(complaints.is_empty(), "{}\nthe log:\n{}", complaints.join("\n"), self.log.text());
    }
}

/// The addresses of the `listening` events for this kind of listener.
fn listeners(lines: &[String], kind: &str) -> Vec<SocketAddr> {
    let events = lines.iter().filter(|line| field(line, "message").as_deref() == Some("listening"));
    let events = events.filter(|line| field(line, "listener").as_deref() == Some(kind));
    events.filter_map(|line| field(line, "address")?.parse().ok()).collect()
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_breadbox"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BREADBOX_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn write_config(yaml: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory can be made");
    std::fs::write(dir.path().join("proxy.yaml"), yaml).expect("the directory is writable");
    dir
}

fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
