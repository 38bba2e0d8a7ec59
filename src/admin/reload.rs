//! `POST /-/reload`: asks whoever serves to read the configuration again, and says what became of it. It
//! reads no file itself and changes nothing.

use super::answer::Answer;
use crate::config::reload::Fixed;
use crate::config::{ConfigError, Mistake};
use http::StatusCode;
use serde_json::{Value, json};
use std::fmt;
use tokio::sync::{mpsc, oneshot};

/// Requests to reload that wait for their turn; more are refused.
const MAX_WAITING: usize = 16;

/// What became of a reload.
pub type Outcome = Result<Reloaded, Refusal>;

/// The way to whoever reloads.
#[derive(Clone, Debug)]
pub struct Reloading(mpsc::Sender<oneshot::Sender<Outcome>>);

/// Where requests to reload arrive: each waits for its answer.
pub type Requests = mpsc::Receiver<oneshot::Sender<Outcome>>;

/// A configuration that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Its number, from 1.
    pub generation: i64,
    /// Addresses that are listened on since.
    pub added: Vec<String>,
    /// Addresses that are not listened on any more.
    pub removed: Vec<String>,
    /// What is legal but probably not meant.
    pub warnings: Vec<String>,
}

/// Why a configuration was not taken; everything stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has mistakes.
    Mistakes(ConfigError),
    /// It changes what cannot change while it runs.
    Fixed(Vec<Fixed>),
    /// A sentence: an address that cannot be had, a file that takes too long to be read.
    Other(String),
    /// Nothing was read: the process runs without a file, is stopping, or has too many reloads to do.
    Never(&'static str),
}

impl Reloading {
    /// The way, and where it leads to.
    pub fn new() -> (Self, Requests) {
        let (way, requests) = mpsc::channel(MAX_WAITING);
        (Reloading(way), requests)
    }

    /// Asks for a reload and waits for what becomes of it.
    ///
    /// # Errors
    /// Why nothing changed.
    pub async fn reload(&self) -> Outcome {
        let (answer, answered) = oneshot::channel();
        if let Err(error) = self.0.try_send(answer) {
            return Err(Refusal::Never(match error {
                mpsc::error::TrySendError::Full(_) => "too many reloads are waiting already",
                mpsc::error::TrySendError::Closed(_) => STOPPING,
            }));
        }
        answered.await.unwrap_or(Err(Refusal::Never(STOPPING)))
    }
}

const STOPPING: &str = "this process is stopping";

impl Refusal {
    /// The mistakes one by one, where there are any.
    fn parts(&self) -> Vec<Value> {
        match self {
            Refusal::Mistakes(error) => error.mistakes().iter().map(mistake).collect(),
            Refusal::Fixed(keys) => {
                keys.iter().map(|fixed| json!({ "key": fixed.key, "problem": fixed.to_string() })).collect()
            }
            Refusal::Other(_) | Refusal::Never(_) => Vec::new(),
        }
    }
}

fn mistake(mistake: &Mistake) -> Value {
    json!({
        "file": mistake.file.display().to_string(),
        "line": mistake.line,
        "key": mistake.key,
        "problem": mistake.problem,
        "remedy": mistake.remedy,
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Mistakes(error) => write!(f, "{error}"),
            Refusal::Fixed(keys) => {
                let texts: Vec<String> = keys.iter().map(Fixed::to_string).collect();
                write!(f, "{}", texts.join("\n"))
            }
            Refusal::Other(why) => write!(f, "{why}"),
            Refusal::Never(why) => write!(f, "{why}"),
        }
    }
}

/// The answer to `POST /-/reload`: 200, or 4xx and nothing has changed.
pub(super) fn answer(outcome: &Outcome) -> Answer {
    let refusal = match outcome {
        Ok(taken) => {
            return Answer::json(&json!({
                "generation": taken.generation,
                "listeners": { "added": taken.added, "removed": taken.removed },
                "warnings": taken.warnings,
            }));
        }
        Err(refusal) => refusal,
    };
    let status = match refusal {
        Refusal::Mistakes(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Fixed(_) | Refusal::Other(_) | Refusal::Never(_) => StatusCode::CONFLICT,
    };
    Answer::json(&json!({ "error": refusal.to_string(), "mistakes": refusal.parts() })).status(status)
}
