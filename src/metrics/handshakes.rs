//! TLS: handshakes that were finished, why others were not, and when certificates end.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The version a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Whether a handshake took up a session that had been before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeKind {
    /// With certificate and signature.
    Full,
    /// With a ticket or a session id.
    Resumed,
}

/// Why a handshake was not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It took longer than `handshake_timeout`.
    Timeout,
    /// `max_handshakes` were under way for all of that time.
    Busy,
    /// The client has gone.
    Closed,
    /// The client speaks plain HTTP.
    PlainHttp,
    /// What the client sent is not TLS.
    Malformed,
    /// No version, cipher or protocol in common.
    Incompatible,
    /// The client said no, as it does to a certificate that it does not trust.
    Refused,
    /// Anything else.
    Other,
}

impl TlsVersion {
    const ALL: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

    const fn as_str(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        }
    }
}

impl HandshakeKind {
    const ALL: [HandshakeKind; 2] = [HandshakeKind::Full, HandshakeKind::Resumed];

    const fn as_str(self) -> &'static str {
        match self {
            HandshakeKind::Full => "full",
            HandshakeKind::Resumed => "resumed",
        }
    }
}

impl HandshakeFailure {
    const ALL: [HandshakeFailure; 8] = [
        HandshakeFailure::Timeout,
        HandshakeFailure::Busy,
        HandshakeFailure::Closed,
        HandshakeFailure::PlainHttp,
        HandshakeFailure::Malformed,
        HandshakeFailure::Incompatible,
        HandshakeFailure::Refused,
        HandshakeFailure::Other,
    ];

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            HandshakeFailure::Timeout => "timeout",
            HandshakeFailure::Busy => "busy",
            HandshakeFailure::Closed => "closed",
            HandshakeFailure::PlainHttp => "plain_http",
            HandshakeFailure::Malformed => "malformed",
            HandshakeFailure::Incompatible => "incompatible",
            HandshakeFailure::Refused => "refused",
            HandshakeFailure::Other => "other",
        }
    }
}

/// Counts handshakes.
#[derive(Clone)]
pub(super) struct Handshakes {
    /// By version, then kind.
    finished: [[IntCounter; 2]; 2],
    failed: [IntCounter; HandshakeFailure::ALL.len()],
    expiry: IntGaugeVec,
}

impl Handshakes {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "TLS handshakes that were finished.";
        let finished = IntCounterVec::new(Opts::new("breadbox_tls_handshakes_total", help), &["version", "kind"])?;
        registry.register(Box::new(finished.clone()))?;
        let help = "TLS handshakes that were not finished, by reason.";
        let failed = IntCounterVec::new(Opts::new("breadbox_tls_handshake_failures_total", help), &["reason"])?;
        registry.register(Box::new(failed.clone()))?;
        let help = "When the first of a listener's certificates ends, in seconds since 1970.";
        let name = "breadbox_tls_certificate_expiry_timestamp_seconds";
        let expiry = super::renders::gauges(registry, name, help, "listener")?;
        Ok(Handshakes {
            finished: TlsVersion::ALL.map(|version| {
                HandshakeKind::ALL.map(|kind| finished.with_label_values(&[version.as_str(), kind.as_str()]))
            }),
            failed: HandshakeFailure::ALL.map(|reason| failed.with_label_values(&[reason.as_str()])),
            expiry,
        })
    }

    pub(super) fn finished(&self, version: TlsVersion, kind: HandshakeKind) {
        self.finished[version as usize][kind as usize].inc();
    }

    pub(super) fn failed(&self, reason: HandshakeFailure) {
        self.failed[reason as usize].inc();
    }

    pub(super) fn expiry(&self, listener: &str, seconds: i64) {
        self.expiry.with_label_values(&[listener]).set(seconds);
    }

    /// The listener has no certificates any more.
    pub(super) fn no_expiry(&self, listener: &str) {
        // What is not there need not be taken out.
        let _ = self.expiry.remove_label_values(&[listener]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A count indexes with `as usize`; the series are made in the order of `ALL`.
    #[test]
    fn versions_kinds_and_reasons_are_numbered_in_the_order_they_are_listed() {
        assert!(TlsVersion::ALL.into_iter().enumerate().all(|(i, version)| version as usize == i));
        assert!(HandshakeKind::ALL.into_iter().enumerate().all(|(i, kind)| kind as usize == i));
        assert!(HandshakeFailure::ALL.into_iter().enumerate().all(|(i, reason)| reason as usize == i));
    }
}
