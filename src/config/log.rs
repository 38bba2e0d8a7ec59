//! What is logged, and how: the level, the form of a line, which requests have an access event, and
//! which query values are kept out of it.

use super::NamePatterns;

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe events that are heard. Default `info`.
    pub level: LogLevel,
    /// How a line is written. Default: by where it goes.
    pub format: LogFormat,
    /// Which requests have an access event. Default none.
    pub access: AccessLog,
    /// The query parameters whose values are left out of it.
    pub redact: Redact,
    /// Bytes of lines that wait for whoever reads them; lines beyond are dropped and counted. Default 1 MiB.
    pub buffer: usize,
}

/// How much is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Defects alone.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And what happens seldom: starts, reloads, purges.
    Info,
    /// And details of single requests.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Every level, the most severe first.
    pub const ALL: [LogLevel; 5] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `human` on a terminal, `json` elsewhere.
    Auto,
    /// For a person.
    Human,
    /// One JSON object.
    Json,
}

/// Which requests have an access event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    Off,
    /// All.
    On,
    /// So many of a million at random, and every one that failed.
    Sampled(u32),
}

/// The query parameters whose values are not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redact {
    /// All of them.
    All,
    /// Those with these names, in lower case; the case of a parameter does not matter.
    Named(NamePatterns),
}
