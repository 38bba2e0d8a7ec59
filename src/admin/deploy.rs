//! `POST /-/deploy`: which build of the origin runs now.

use super::answer::Answer;
use crate::config::deploys::{MAX_DEPLOY_ID, is_deploy_id};
use crate::render::Engine;
use serde_json::{Value, json};

/// Takes note of the build that the body names: `{"id": "v42"}`.
pub(super) async fn deploy(body: &[u8], engine: &Engine) -> Answer {
    let id = match id(body) {
        Ok(id) => id,
        Err(why) => return Answer::bad(&why),
    };
    let deployed = match engine.deploy(&id).await {
        Ok(deployed) => deployed,
        Err(why) => {
            tracing::error!(id, "deployed, but {why}");
            return Answer::unavailable(&format!("the deploy is not safe: {why}"));
        }
    };
    if deployed.is_new {
        tracing::info!(id, previous = deployed.previous, sequence = deployed.sequence.0, "deployed");
    }
    Answer::json(&json!({
        "id": id,
        "previous": deployed.previous,
        "changed": deployed.is_new,
        "sequence": deployed.sequence.0,
    }))
}

fn id(body: &[u8]) -> Result<String, String> {
    let document: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let members = document.as_object().filter(|members| members.keys().all(|name| name == "id"));
    let id = members.and_then(|members| members.get("id")).and_then(Value::as_str).filter(|id| is_deploy_id(id));
    let wrong = || format!("write {{\"id\": \"v42\"}}, 1 to {MAX_DEPLOY_ID} visible ASCII characters");
    id.map(str::to_owned).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn a_build_has_a_name() {
        assert_eq!(id(br#"{"id": "v42"}"#).as_deref(), Ok("v42"));
        for body in
            [&b""[..], b"[]", b"{}", br#"{"id": 42}"#, br#"{"id": ""}"#, br#"{"id": "a b"}"#, br#"{"id": "a", "x": 1}"#]
        {
            assert!(id(body).is_err(), "{body:?}");
        }
    }
}
