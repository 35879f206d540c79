//! Any bytes as a client's stream: see `tests/fuzz/targets.rs`.

#![no_main]

#[path = "../../tests/session/gateway.rs"]
#[allow(dead_code)]
mod gateway;
#[path = "../../tests/fuzz/targets.rs"]
#[allow(dead_code)]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Wire> = LazyLock::new(targets::Wire::start);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { TARGET.feed(bytes) });
