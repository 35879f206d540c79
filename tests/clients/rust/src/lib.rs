//! What a client's program tells .ci/clients: `version V`, then `ok WHAT` or `not ok WHAT<tab>why` for each check.

use std::error::Error;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

pub type Outcome = Result<(), Box<dyn Error>>;

static FAILED: AtomicBool = AtomicBool::new(false);

/// Tells how one check went.
pub fn told(what: &str, outcome: Outcome) {
    match outcome {
        Ok(()) => println!("ok {what}"),
        Err(error) => {
            FAILED.store(true, Ordering::Relaxed);
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            println!("not ok {what}\t{}", text.replace('\n', " "));
        }
    }
}

/// Values must be equal; says what was got otherwise.
pub fn equal<T: PartialEq<U> + Debug, U: Debug>(got: T, expected: U) -> Outcome {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}").into()) }
}

/// Ends the program, with 1 if a check failed.
pub fn end() -> ! {
    std::process::exit(FAILED.load(Ordering::Relaxed) as i32)
}

/// `postgres://USER@HOST:PORT/DATABASE` of the environment.
pub fn url() -> String {
    let of = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    format!("postgres://{}@{}:{}/{}", of("PGUSER"), of("PGHOST"), of("PGPORT"), of("PGDATABASE"))
}
