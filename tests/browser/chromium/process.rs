//! chromedriver as a child process, and what is said to it: JSON over HTTP on loopback.

use crate::scenarios::harness::{Ask, Client};
use base64::Engine as _;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

/// A running chromedriver; killed when it is dropped.
pub(super) struct Driver {
    child: Child,
    client: Client,
}

/// Has what is missing on this machine installed, once.
pub(super) fn set_up() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let status = Command::new(root.join("tests/browser/setup")).status();
        let done = status.is_ok_and(|status| status.success());
        assert!(done, "tests/browser/setup failed: `make setup-browser` installs what these tests need");
    });
}

impl Driver {
    pub(super) fn start() -> Self {
        set_up();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromedriver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let port =
            lines.by_ref().map_while(Result::ok).find_map(|line| port(&line)).expect("chromedriver says its port");
        // It must not block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Driver { child, client }
    }

    /// Posts a command; its value, or what went wrong.
    pub(super) fn post(&mut self, path: &str, body: &Value) -> Result<Value, String> {
        let ask = Ask::new("POST", path).header("Content-Type", "application/json");
        self.ask(&ask.body(body.to_string()))
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Value, String> {
        self.ask(&Ask::get(path))
    }

    pub(super) fn delete(&mut self, path: &str) -> Result<Value, String> {
        self.ask(&Ask::new("DELETE", path))
    }

    fn ask(&mut self, ask: &Ask) -> Result<Value, String> {
        let response = self.client.try_ask(ask).map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_slice(&response.body).map_err(|error| error.to_string())?;
        if response.status != 200 {
            let message = answer["value"]["message"].as_str().unwrap_or_default();
            return Err(message.lines().next().unwrap_or_default().to_owned());
        }
        Ok(answer["value"].take())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ChromeDriver was started successfully on port 36211.`
fn port(line: &str) -> Option<u16> {
    line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
}

pub(super) fn decode_base64(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}
