//! What a deploy of the origin makes of the pages that its earlier builds rendered.

use super::NamePatterns;
use std::num::NonZeroU32;

/// Deploys of the origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploys {
    /// The build that runs when nothing is known of an earlier one; `POST /-/deploy` names the later ones.
    pub first: Option<Box<str>>,
    /// Pages of earlier builds that are rendered again, per second. Default 50.
    pub refresh: NonZeroU32,
    /// Paths, `*` standing for any text, whose pages never change under their URL, so that no deploy makes
    /// them stale and no later 404 replaces them. Default none.
    pub immutable_assets: NamePatterns,
}

/// Bytes of a build's name.
pub const MAX_DEPLOY_ID: usize = 128;

/// Whether this can name a build: 1 to [`MAX_DEPLOY_ID`] visible ASCII characters.
pub fn is_deploy_id(text: &str) -> bool {
    (1..=MAX_DEPLOY_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_visible_characters() {
        for id in ["1", "v2.0.1+build/7", "d0f1e2", &"x".repeat(MAX_DEPLOY_ID)] {
            assert!(is_deploy_id(id), "{id}");
        }
        for id in ["", "a b", "a\n", "é", &"x".repeat(MAX_DEPLOY_ID + 1)] {
            assert!(!is_deploy_id(id), "{id}");
        }
    }
}
