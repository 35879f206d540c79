//! The fuzz targets of `fuzz/`, for a bounded time and without its tools: what was kept in `testdata/fuzz`, and changed by
//! chance from there. `EVESQL_FUZZ` is how many inputs each target gets, `EVESQL_SEED` another beginning.

#[path = "../session/gateway.rs"]
#[allow(dead_code)]
mod gateway;
mod mutate;
mod targets;

use mutate::Mutator;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Inputs of a usual run, which stops earlier when its time is up.
const INPUTS: u64 = 20_000;
const TIME_MAX: Duration = Duration::from_secs(20);

/// A thread of the server has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect(name))
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Feeds what is kept, then what is made of it.
fn run(target: &str, mut feed: impl FnMut(&[u8])) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICKED.store(true, Ordering::Relaxed);
        before(info);
    }));
    let corpus = corpus(target);
    let mut mutator = Mutator::new(number("EVESQL_SEED").unwrap_or(1));
    let asked = number("EVESQL_FUZZ");
    let began = Instant::now();
    let mut count = 0;
    while count < asked.unwrap_or(INPUTS) && (asked.is_some() || began.elapsed() < TIME_MAX) {
        let input = match corpus.get(count as usize) {
            Some(kept) => kept.clone(),
            None => mutator.changed(&corpus),
        };
        let one = Instant::now();
        feed(&input);
        let shown = || input.escape_ascii().to_string();
        assert!(!PANICKED.load(Ordering::Relaxed), "{target} panics on b\"{}\"", shown());
        assert!(one.elapsed() < Duration::from_secs(25), "{target} takes too long with b\"{}\"", shown());
        count += 1;
    }
    eprintln!("{target}: {count} inputs in {:?}", began.elapsed());
}

#[test]
fn no_bytes_of_a_client_bring_the_server_down() {
    let wire = targets::Wire::start();
    run("wire_decoder", |bytes| wire.feed(bytes));
}

#[test]
fn no_text_brings_the_translator_down() {
    let translate = targets::Translate::start();
    // As deep a stack as a thread of clients has.
    let run = || run("translate", |bytes| translate.feed(&String::from_utf8_lossy(bytes)));
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, run).unwrap();
        assert!(worker.join().is_ok(), "it panicked");
    });
}
