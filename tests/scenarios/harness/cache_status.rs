//! The member of `Cache-Status` that Breadbox adds (RFC 9211), taken apart.

/// What `Cache-Status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStatus {
    pub(crate) hit: bool,
    pub(crate) fwd: Option<String>,
    pub(crate) ttl: Option<i64>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) detail: Option<String>,
}

impl CacheStatus {
    /// The last member of the field's value, which has to be Breadbox's.
    #[track_caller]
    pub(crate) fn parse(value: &str) -> Self {
        let member = value.rsplit(',').next().unwrap_or_default().trim();
        let mut parts = member.split(';').map(str::trim);
        assert_eq!(parts.next(), Some("breadbox"), "the last member of Cache-Status: {value}");
        let mut status = CacheStatus::default();
        for part in parts {
            match part.split_once('=') {
                None if part == "hit" => status.hit = true,
                None if part == "stored" => status.stored = true,
                None if part == "collapsed" => status.collapsed = true,
                Some(("fwd", token)) => status.fwd = Some(token.to_owned()),
                Some(("detail", token)) => status.detail = Some(token.to_owned()),
                Some(("ttl", n)) => status.ttl = Some(n.parse().expect("ttl is an integer")),
                Some(("fwd-status", _)) => {}
                _ => panic!("unknown parameter {part:?} in Cache-Status: {value}"),
            }
        }
        status
    }
}
