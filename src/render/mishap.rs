//! Why a render brought no answer that anybody could use.

use super::origin::OriginError;
use crate::metrics::RenderResult;
use http::StatusCode;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mishap {
    /// The origin could not be asked, or its answer not be read.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The whole render took longer than `render_timeout`.
    #[error("the render took longer than `render_timeout`")]
    RenderTimeout,
    /// A status that does not answer a plain GET.
    #[error("the origin answered {0} to a plain GET")]
    Unexpected(StatusCode),
}

impl Mishap {
    /// A word of a closed set, for `detail` and logs.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Mishap::Origin(error) => error.kind(),
            Mishap::RenderTimeout => "render_timeout",
            Mishap::Unexpected(_) => "unexpected",
        }
    }

    /// What a client is told: 504 for a timeout, 502 for the rest.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Mishap::Origin(error) => error.status(),
            Mishap::RenderTimeout => StatusCode::GATEWAY_TIMEOUT,
            Mishap::Unexpected(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// How metrics count it.
    pub(crate) fn result(&self) -> RenderResult {
        match self {
            Mishap::RenderTimeout => RenderResult::Timeout,
            Mishap::Unexpected(_) => RenderResult::Unexpected,
            Mishap::Origin(error) => match error {
                OriginError::TimeoutConnect { .. }
                | OriginError::TimeoutFirstByte { .. }
                | OriginError::TimeoutBody { .. } => RenderResult::Timeout,
                OriginError::Resolve { .. } | OriginError::Connect { .. } | OriginError::Tls { .. } => {
                    RenderResult::Connect
                }
                OriginError::Reset { .. } | OriginError::Truncated { .. } => RenderResult::Truncated,
                OriginError::Garbled { .. } | OriginError::Unsendable { .. } => RenderResult::Garbled,
            },
        }
    }
}
