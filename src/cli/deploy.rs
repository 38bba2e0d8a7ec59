//! `breadbox deploy`: tells a running Breadbox that another build of the origin runs.

use super::admin_client::Target;
use serde_json::json;
use std::io::Write;

/// Say which build of the origin runs now: pages of earlier ones are rendered again, popular ones first.
#[derive(clap::Args)]
pub struct Args {
    /// The build, as in v42 or a commit.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    target: Target,
}

/// Announces the build and describes on `out` what that changed.
pub(super) fn deploy(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let answer = args.target.post("/-/deploy", &json!({ "id": args.id }))?;
    match (answer["changed"].as_bool(), answer["previous"].as_str()) {
        (Some(false), _) => writeln!(out, "{} runs already; nothing changes", args.id)?,
        (_, Some(previous)) => writeln!(out, "deployed {} after {previous}, sequence {}", args.id, answer["sequence"])?,
        (_, None) => writeln!(out, "deployed {}, sequence {}", args.id, answer["sequence"])?,
    }
    Ok(())
}
