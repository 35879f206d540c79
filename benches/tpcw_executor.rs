//! What running ahead gains on TPC-W, in process: batches executed one by one and planned, on the same rows, each
//! answer compared. Prints Markdown.
//!
//! `cargo bench --bench tpcw_executor`; from the environment, all names with `EVESQL_TPCW_` before them:
//!
//! | Name | Default | |
//! |---|---|---|
//! | SECTIONS | mixes,updating,writes | also: interactions, sizes, costs, wrong, remus |
//! | MIXES | browsing,shopping,ordering | |
//! | ITEMS, CUSTOMERS, SESSIONS | 1000, 2880, 1000 | rows at first |
//! | BATCH, BATCHES, PASSES, WARM_UP | 200, 3, 5, 10 | transactions in a batch, batches in a pass |
//! | SEED | 1 | |
//!
//! TPC-W's think time is 0 here, and reads are in the batches, as in the Eve paper, unless a table says otherwise.

mod tpcw;

use tpcw::lane::{Settings, Shop};
use tpcw::load::Mix;
use tpcw::schema::Sizes;
use tpcw::{mixes, remus, sweeps, writes};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn text(name: &str, default: &str) -> String {
    std::env::var(format!("EVESQL_TPCW_{name}")).unwrap_or_else(|_| default.into())
}

fn number(name: &str, default: u64) -> u64 {
    let text = text(name, &default.to_string());
    text.parse().unwrap_or_else(|_| panic!("EVESQL_TPCW_{name} is not a number: {text}"))
}

fn main() {
    let sizes = Sizes {
        items: number("ITEMS", 1_000) as i64,
        customers: number("CUSTOMERS", 2_880) as i64,
        sessions: number("SESSIONS", 1_000) as i64,
    };
    let settings = Settings {
        sizes,
        seed: number("SEED", 1),
        batch: number("BATCH", 200) as usize,
        batches: number("BATCHES", 3) as usize,
        passes: number("PASSES", 5) as usize,
        warm_up: number("WARM_UP", 10) as usize,
    };
    println!("{settings:?}");
    let names = text("MIXES", "browsing,shopping,ordering");
    let chosen: Vec<Mix> = Mix::all().into_iter().filter(|mix| names.split(',').any(|name| name == mix.name)).collect();
    let updating: Vec<Mix> = chosen.iter().cloned().map(Mix::updating).collect();
    let shop = Shop::new(settings);
    for section in text("SECTIONS", "mixes,updating,writes").split(',') {
        match section {
            "mixes" => mixes::table(&shop, "Reads in the batches", &chosen),
            "updating" => mixes::table(&shop, "Reads off the batch path", &updating),
            "interactions" => mixes::interactions(&shop),
            "sizes" => sweeps::sizes(&shop, &chosen),
            "remus" => remus::table(&shop, &chosen),
            "costs" => sweeps::costs(&shop),
            "wrong" => sweeps::wrong(&shop, &chosen),
            "writes" => writes::table(settings.batch, settings.passes),
            other => panic!("EVESQL_TPCW_SECTIONS: no section {other}"),
        }
    }
}
