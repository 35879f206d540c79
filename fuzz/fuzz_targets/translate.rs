//! Any text of SQL, parsed, typed and translated against a fixed catalog: see `tests/fuzz/targets.rs`.

#![no_main]

#[path = "../../tests/session/gateway.rs"]
#[allow(dead_code)]
mod gateway;
#[path = "../../tests/fuzz/targets.rs"]
#[allow(dead_code)]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Translate> = LazyLock::new(targets::Translate::start);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { if let Ok(text) = std::str::from_utf8(bytes) { TARGET.feed(text) } });
