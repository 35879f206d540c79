//! One thing changed at a time: the size of batches; footprints that are wrong either way.

use super::lane::{Planned, Shop, again, batch, in_turn};
use super::load::{Interaction, Mix};
use super::random::Random;
use evesql::batch::Plan;
use evesql::config::RunAhead;
use evesql::footprint::{Access, Extent, Footprint, Item};
use evesql::node::planner::Planner;
use evesql::node::rules::SharedRules;
use evesql::replica::{Fared, Learn};
use evesql::transaction::Transaction;
use std::time::Instant;

const SIZES: [usize; 4] = [10, 50, 200, 1_000];
const SHARES: [f64; 4] = [0.0, 0.1, 0.3, 1.0];
const HEAD: &str = "| Mix | What | One by one/s | Planned/s | Speed-up | Of fastest passes | Again % | Groups | Width |\n|---|---|---|---|---|---|---|---|---|";

/// One line of a sweep: planned on two workers against one by one.
fn line(shop: &Shop, mix: &Mix, what: &str, count: usize, mut plan: impl FnMut(&mut Planner, &[Transaction]) -> Plan) {
    let settings = shop.settings;
    let mut load = shop.load.clone();
    let mut lanes = [shop.lane("one by one", 1, Learn::Costs), shop.lane("planned", 2, Learn::Footprints)];
    let mut judge = shop.lane("in turn", 1, Learn::Nothing);
    let mut planner = Planner::new(lanes[1].replica.learned(), 2, RunAhead::WhenItPays, SharedRules::default());
    let mut planned = Planned::default();
    // The same number of transactions whatever the size of a batch.
    let per_pass = (settings.batch * settings.batches).div_ceil(count);
    let warm_up = (settings.batch * settings.warm_up).div_ceil(count).max(settings.warm_up);
    let mut fared = Fared::default();
    for number in 0..warm_up + per_pass * settings.passes {
        if number >= warm_up && (number - warm_up).is_multiple_of(per_pass) {
            lanes.iter_mut().for_each(|lane| lane.begin_pass());
        }
        if number == warm_up {
            fared = lanes[1].replica.fared();
            planned = Planned::default();
        }
        let index = lanes[0].index + 1;
        let made = load.batch(mix, count, index);
        let start = Instant::now();
        let one = plan(&mut planner, &made);
        planned.add(&one, count, start.elapsed());
        let expected = judge.execute(&batch(made.clone(), in_turn(&one), index));
        let batches = [Plan::default(), one].map(|plan| batch(made.clone(), plan, index));
        let first = number % 2;
        for lane in [first, 1 - first] {
            let outcomes = lanes[lane].execute(&batches[lane]);
            assert!(lane == 0 || outcomes == expected, "other answers than one by one");
        }
    }
    let now = lanes[1].replica.fared();
    let fared = Fared {
        applied: now.applied - fared.applied,
        conflicted: now.conflicted - fared.conflicted,
        unfit: now.unfit - fared.unfit,
    };
    let times = [lanes[0].median(), lanes[1].median()].map(|time| time.as_secs_f64());
    let speeds = times.map(|time| (per_pass * count) as f64 / time);
    println!(
        "| {} | {what} | {:.0} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} |",
        mix.name,
        speeds[0],
        speeds[1],
        times[0] / times[1],
        lanes[0].fastest().as_secs_f64() / lanes[1].fastest().as_secs_f64(),
        again(&fared) * 100.0,
        planned.groups(),
        planned.width(),
    );
}

pub fn sizes(shop: &Shop, mixes: &[Mix]) {
    println!("\n### Size of batches, two workers, when it pays\n\n{HEAD}");
    for mix in mixes {
        for size in SIZES {
            line(shop, mix, &format!("{size} transactions"), size, |planner, made| planner.plan(made));
        }
    }
}

/// Interactions alone, each with what it costs one by one: from which cost on two workers help.
pub fn costs(shop: &Shop) {
    println!("\n### Cost of a transaction (one by one) against speed-up, two workers, when it pays\n\n{HEAD}");
    for interaction in Interaction::ALL {
        line(shop, &Mix::only(interaction), "alone", shop.settings.batch, |planner, made| planner.plan(made));
    }
}

pub fn wrong(shop: &Shop, mixes: &[Mix]) {
    let count = shop.settings.batch;
    println!("\n### Footprints wider than they need be (whole tables), two workers\n\n{HEAD}");
    for mix in mixes {
        for share in SHARES {
            let mut random = Random::new(7);
            line(shop, mix, &format!("share {share}"), count, |planner, made| {
                planner.plan_refined(made, |_, footprint| {
                    let wide = || Footprint::of(footprint.items.iter().map(widened).collect());
                    random.chance(share).then(wide)
                })
            });
        }
    }
    println!("\n### Footprints that miss rows (for grouping alone), two workers\n\n{HEAD}");
    for mix in mixes {
        for share in SHARES {
            let mut random = Random::new(8);
            line(shop, mix, &format!("share {share}"), count, |planner, made| {
                planner.plan_refined(made, |_, footprint| {
                    let kept = footprint.items.iter().filter(|_| !random.chance(share));
                    Some(Footprint::of(kept.copied().collect()))
                })
            });
        }
    }
}

fn widened(item: &Item) -> Item {
    let access = if item.access == Access::Read { Access::Read } else { Access::Write };
    Item { extent: Extent::All, access, ..*item }
}
