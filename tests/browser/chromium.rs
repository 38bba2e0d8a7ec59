//! A headless Chromium, driven by WebDriver (W3C) through chromedriver. It opens pages, runs scripts in them, takes
//! screenshots, plays with the window, and keeps what the console said. It knows nothing of Breadbox.
//!
//! Nothing waits by sleeping: navigations return at once, and [`Browser::until`] polls what the page says.

mod axe;
mod process;

use crate::scenarios::harness::{PATIENCE, eventually};
use process::Driver;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where screenshots are written: below the target directory.
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// What the page is shown on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Screen {
    /// 1280 × 800.
    Desktop,
    /// 390 × 844 at three pixels a point, with touch.
    Phone,
}

/// What `prefers-color-scheme` says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// A line of the console.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// `SEVERE`, `WARNING`, `INFO`, …
    pub(crate) level: String,
    pub(crate) text: String,
}

/// A tab of the browser; [`Browser::switch_to`] brings it to the front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tab(String);

/// A browser with a fresh profile and one tab. It ends when it is dropped.
pub(crate) struct Browser {
    driver: RefCell<Driver>,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with one empty tab, 1280 × 800 and light.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Browser::start_with(&[])
    }

    /// As [`Browser::start`], with more arguments for Chromium.
    #[track_caller]
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        let user_data = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().chain(arguments).copied().chain([user_data.as_str()]).collect();
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "pageLoadStrategy": "none",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let mut driver = Driver::start();
        let session = driver.post("/session", &capabilities).unwrap_or_else(|e| panic!("no session: {e}"));
        let session = session["sessionId"].as_str().expect("a session has an id").to_owned();
        let browser = Browser { driver: RefCell::new(driver), session, _profile: profile };
        browser.screen(Screen::Desktop);
        browser
    }

    /// Opens a URL and does not wait for it.
    #[track_caller]
    pub(crate) fn go(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// One step back in the history.
    #[track_caller]
    pub(crate) fn back(&self) {
        self.post("back", &json!({}));
    }

    /// One step forward in the history.
    #[track_caller]
    pub(crate) fn forward(&self) {
        self.post("forward", &json!({}));
    }

    /// Loads the page again, as the visitor would.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.post("refresh", &json!({}));
    }

    /// The address of the page.
    #[track_caller]
    pub(crate) fn url(&self) -> String {
        self.get("url").as_str().unwrap_or_default().to_owned()
    }

    /// What a script returns in the page: `return document.title`. A promise is awaited.
    ///
    /// # Errors
    /// When it throws, or the page went away meanwhile.
    pub(crate) fn try_eval(&self, script: &str) -> Result<Value, String> {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// As [`Browser::try_eval`].
    #[track_caller]
    pub(crate) fn eval(&self, script: &str) -> Value {
        self.try_eval(script).unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Polls an expression in the page until it is truthy, and returns it. A page that changes meanwhile is
    /// asked again.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) -> Value {
        let script = format!("return ({expression})");
        let mut last = Ok(Value::Null);
        let mut truthy = Value::Null;
        eventually(&format!("{expression} in the page"), PATIENCE, || {
            last = self.try_eval(&script);
            let Ok(value) = &last else { return false };
            let no = matches!(value, Value::Null | Value::Bool(false)) || value == "" || value == 0;
            truthy = value.clone();
            !no
        });
        truthy
    }

    /// Waits until the text of the page contains `text`.
    #[track_caller]
    pub(crate) fn until_shows(&self, text: &str) {
        self.until(&format!("document.body?.innerText.includes({})", json!(text)));
    }

    /// The text of the page as a visitor reads it.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        self.eval("return document.body?.innerText ?? ''").as_str().unwrap_or_default().to_owned()
    }

    /// What the page is shown on, from now on.
    #[track_caller]
    pub(crate) fn screen(&self, screen: Screen) {
        let (width, height, scale, mobile) = match screen {
            Screen::Desktop => (1280, 800, 1, false),
            Screen::Phone => (390, 844, 3, true),
        };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.cdp("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// What `prefers-color-scheme` says from now on.
    #[track_caller]
    pub(crate) fn scheme(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({ "features": [ { "name": "prefers-color-scheme", "value": value } ] });
        self.cdp("Emulation.setEmulatedMedia", &features);
    }

    /// Pages run no scripts of their own from now on. What a test evaluates is not run either; ask
    /// [`Browser::source`].
    #[track_caller]
    pub(crate) fn no_scripts(&self) {
        self.cdp("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// The page as markup, also where scripts are off; empty while one page gives way to the next.
    pub(crate) fn source(&self) -> String {
        let ask =
            |command, parameters| self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
        let document = ask("DOM.getDocument", json!({ "depth": 0 }));
        let markup =
            document.and_then(|document| ask("DOM.getOuterHTML", json!({ "nodeId": document["root"]["nodeId"] })));
        markup.ok().and_then(|markup| Some(markup["outerHTML"].as_str()?.to_owned())).unwrap_or_default()
    }

    /// A picture of what is shown, as `NAME.png` below the target directory.
    #[track_caller]
    pub(crate) fn screenshot(&self, name: &str) -> PathBuf {
        let png = self.cdp("Page.captureScreenshot", &json!({ "format": "png" }));
        let png = process::decode_base64(png["data"].as_str().expect("a screenshot is text"));
        std::fs::create_dir_all(SCREENSHOTS).expect("the target directory is writable");
        let path = Path::new(SCREENSHOTS).join(name).with_extension("png");
        std::fs::write(&path, png).expect("the target directory is writable");
        path
    }

    /// What the console said since the last call.
    #[track_caller]
    pub(crate) fn console(&self) -> Vec<Message> {
        let log = self.post("se/log", &json!({ "type": "browser" }));
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let entries = log.as_array().into_iter().flatten();
        entries.map(|entry| Message { level: text(entry, "level"), text: text(entry, "message") }).collect()
    }

    /// Errors that the console showed since the last call of this or of [`Browser::console`].
    #[track_caller]
    pub(crate) fn console_errors(&self) -> Vec<String> {
        self.console().into_iter().filter(|said| said.level == "SEVERE").map(|said| said.text).collect()
    }

    /// The tab in front.
    #[track_caller]
    pub(crate) fn tab(&self) -> Tab {
        Tab(self.get("window").as_str().expect("a tab has a handle").to_owned())
    }

    /// Opens one more tab and brings it to the front.
    #[track_caller]
    pub(crate) fn open_tab(&self) -> Tab {
        let opened = self.post("window/new", &json!({ "type": "tab" }));
        let tab = Tab(opened["handle"].as_str().expect("a tab has a handle").to_owned());
        self.switch_to(&tab);
        tab
    }

    /// Brings a tab to the front: everything else is about it.
    #[track_caller]
    pub(crate) fn switch_to(&self, tab: &Tab) {
        self.post("window", &json!({ "handle": tab.0 }));
    }

    /// Closes the tab in front; another has to be switched to then.
    #[track_caller]
    pub(crate) fn close_tab(&self) {
        let path = format!("/session/{}/window", self.session);
        self.driver.borrow_mut().delete(&path).unwrap_or_else(|e| panic!("closing a tab: {e}"));
    }

    /// A command of the Chrome DevTools Protocol to the tab in front.
    #[track_caller]
    pub(crate) fn cdp(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    #[track_caller]
    fn post(&self, command: &str, body: &Value) -> Value {
        self.command(command, body).unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    fn command(&self, command: &str, body: &Value) -> Result<Value, String> {
        self.driver.borrow_mut().post(&format!("/session/{}/{command}", self.session), body)
    }

    #[track_caller]
    fn get(&self, command: &str) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        self.driver.borrow_mut().get(&path).unwrap_or_else(|e| panic!("{command}: {e}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session; the driver, which is killed next, would leave it behind.
        let _ = self.driver.borrow_mut().delete(&format!("/session/{}", self.session));
    }
}
