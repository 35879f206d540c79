//! A module uses lower layers only; neighbours do not know each other.
//!
//! The table below is the one in `docs/ARCHITECTURE.md`; this test compares it with the `use crate::`
//! lines and the `crate::` paths of the sources.

use std::fs;
use std::path::Path;

/// Layers from the bottom up.
const LAYERS: &[(&str, &[&str])] = &[
    ("values", &["page", "token", "transaction", "batch", "entry"]),
    ("seams", &["pem", "seam"]),
    ("pure", &["catalog", "dialect", "footprint", "mixer", "scram", "verifier"]),
    ("I/O", &["wire", "peer", "log_store", "page_store"]),
    ("connections", &["engine"]),
    ("stateful", &["session", "batcher", "replica", "state_transfer", "consensus"]),
    ("top", &["admin", "config", "exchange", "metrics", "node"]),
];

/// Neighbours that may know each other after all: (user, used).
const EXCEPTIONS: &[(&str, &str)] = &[
    // A statement is typed against the catalog.
    ("dialect", "catalog"),
    // A password is told from what is kept of one.
    ("dialect", "scram"),
    // Transactions are grouped by what they read and write.
    ("mixer", "footprint"),
    // The top is one layer; the node alone knows all of it.
    ("node", "admin"),
    ("node", "config"),
    ("node", "metrics"),
    // A value may hold another: a batch is made of transactions, a token of hashes.
    ("token", "page"),
    ("transaction", "page"),
    ("batch", "page"),
    ("batch", "token"),
    ("batch", "transaction"),
    ("entry", "page"),
    ("entry", "token"),
    ("entry", "batch"),
];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Modules of this crate that a source names with `crate::`, test code included.
fn used_modules(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut used = Vec::new();
    for line in code {
        for (at, _) in line.match_indices("crate::") {
            // `$crate::` and `other_crate::` are something else.
            if at > 0 && line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split(['{', '}', ',']).map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                used.push(name[..end].to_string());
            }
        }
    }
    used
}

fn violations(module: &str, text: &str) -> Vec<String> {
    let own = layer_of(module).unwrap_or(LAYERS.len());
    used_modules(text)
        .into_iter()
        .filter(|used| used != module && layer_of(used).is_some())
        .filter(|used| layer_of(used).unwrap() >= own && !EXCEPTIONS.contains(&(module, used.as_str())))
        .collect()
}

#[test]
fn modules_use_lower_layers_only() {
    let mut found = Vec::new();
    sources(Path::new("src"), &mut found);
    let mut bad = Vec::new();
    for (path, text) in found {
        let inner = path.strip_prefix("src/").unwrap();
        let module = inner.split('/').next().unwrap().trim_end_matches(".rs");
        if module == "lib" || module == "main" {
            continue;
        }
        assert!(
            layer_of(module).is_some(),
            "module `{module}` has no layer; add it to the table here and in docs/ARCHITECTURE.md"
        );
        bad.extend(violations(module, &text).into_iter().map(|used| format!("{path} uses crate::{used}")));
    }
    assert!(bad.is_empty(), "a module uses its own or a higher layer:\n{}", bad.join("\n"));
}

#[test]
fn a_use_of_a_higher_layer_is_found() {
    assert_eq!(violations("verifier", "use crate::node::Node;"), ["node"]);
    assert_eq!(violations("wire", "use crate::{page::Hash, peer};"), ["peer"]);
    assert!(violations("dialect", "use crate::catalog::Catalog;").is_empty());
}

#[test]
fn the_table_here_is_the_one_in_the_architecture_document() {
    let document = fs::read_to_string("docs/ARCHITECTURE.md").unwrap();
    for (layer, modules) in LAYERS {
        let row = format!("| {layer} | {} |", modules.join(", "));
        assert!(document.contains(&row), "docs/ARCHITECTURE.md lacks the row `{row}`");
    }
}

#[test]
fn unsafe_code_stays_in_the_page_store() {
    let mut found = Vec::new();
    sources(Path::new("src"), &mut found);
    for (path, text) in found {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let has = code.into_iter().any(|line| line.contains("unsafe ") && !line.contains("unsafe_"));
        assert!(!has || path.starts_with("src/page_store/"), "{path} contains unsafe code");
    }
}
