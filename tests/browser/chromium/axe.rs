//! axe-core in a page: what it finds that keeps people out.

use super::{Browser, process};
use serde_json::Value;
use std::path::Path;

impl Browser {
    /// What axe-core finds wrong with the page as it is shown: a line for each violation, with the elements.
    #[track_caller]
    pub(crate) fn axe(&self) -> Vec<String> {
        process::set_up();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser/node_modules/axe-core/axe.min.js");
        let source = std::fs::read_to_string(path).expect("axe-core is installed");
        let script = format!("{source}; return axe.run(document).then(found => found.violations)");
        let found = self.eval(&script);
        found.as_array().expect("a list of violations").iter().map(line).collect()
    }
}

fn line(violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let elements: Vec<&str> = nodes.filter_map(|node| node["html"].as_str()).collect();
    format!("{}: {} in {}", violation["id"], violation["help"], elements.join(" and "))
}
