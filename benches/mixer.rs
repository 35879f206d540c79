//! What grouping a batch costs: 1,000 transactions of six rows each.
//!
//! `cargo bench --bench mixer`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use evesql::footprint::{Access, Extent, Footprint, Item, space};
use evesql::mixer::{Candidate, Limits, Mixer, Mode};

fn main() {
    divan::main();
}

const TRANSACTIONS: u64 = 1000;

/// Six rows in three tables, of so many each.
fn footprints(rows: u64) -> Vec<Footprint> {
    let spaces = [space("item", None), space("orders", None), space("order_line", None)];
    let mut state = 1u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        xxhash_rust::xxh3::xxh3_64(&((state >> 33) % rows).to_le_bytes())
    };
    let mut item = |at: usize| {
        let access = if at.is_multiple_of(2) { Access::Read } else { Access::Write };
        Item { space: spaces[at % spaces.len()], extent: Extent::Partition(draw()), access }
    };
    (0..TRANSACTIONS).map(|_| Footprint::of((0..6).map(&mut item).collect())).collect()
}

fn candidates(footprints: &[Footprint], mode: Mode) -> Vec<Candidate<'_>> {
    let of = |(session, footprint)| Candidate { footprint, session, mode, refined: None };
    (1u64..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).zip(footprints).map(of).collect()
}

/// Rows in each table: nearly no conflicts, some, nearly nothing else.
#[divan::bench(args = [1_000_000, 10_000, 10])]
fn parallel(bencher: Bencher, rows: u64) {
    run(bencher, rows, Mode::Parallel);
}

#[divan::bench(args = [1_000_000, 10])]
fn direct(bencher: Bencher, rows: u64) {
    run(bencher, rows, Mode::Direct);
}

fn run(bencher: Bencher, rows: u64, mode: Mode) {
    let footprints = footprints(rows);
    let candidates = candidates(&footprints, mode);
    let mut mixer = Mixer::default();
    bencher
        .counter(ItemsCount::new(TRANSACTIONS))
        .bench_local(|| black_box(mixer.plan(black_box(&candidates), &Limits::default())));
}
