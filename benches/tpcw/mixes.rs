//! The mixes: one by one against planned, what the plans would allow on more cores, and what interactions cost.

use super::lane::{Done, Lane, Planned, Shop, again, batch, in_turn, micros};
use super::load::{Interaction, Load, Mix};
use super::schema;
use evesql::batch::Plan;
use evesql::config::RunAhead;
use evesql::mixer::{Cost, speed_up_max};
use evesql::node::planner::Planner;
use evesql::node::rules::SharedRules;
use evesql::replica::Learn;
use evesql::transaction::{Outcome, Transaction};
use std::time::{Duration, Instant};

/// Cores that are projected.
const CORES: [u32; 6] = [1, 2, 4, 8, 16, 32];

/// The plan for so many cores is the one whose groups are told.
const GROUPS_OF: u32 = 16;

/// What running ahead costs more than running in turn, to spread what was measured over transactions: a check, and
/// each changed row, in the same unit.
const CHECK_PARTS: u64 = 1;
const ROW_PARTS: u64 = 1;

pub fn table(shop: &Shop, title: &str, mixes: &[Mix]) {
    println!("\n### {title}\n");
    println!(
        "| Mix | Mode | Workers | Transactions/s | Speed-up | Fastest pass/s | Speed-up | CPU us | Planned ahead % | Again % | Groups | Width | Mixing us | \
         Ahead us | Applying us | Rest us |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let projections: Vec<Vec<String>> = mixes.iter().map(|mix| Race::run(shop, mix)).collect();
    println!("\n#### Projection: speed-up that the plans' work and span allow, from measured costs\n");
    let cores: Vec<String> = CORES.iter().map(|cores| format!("{cores} cores")).collect();
    println!("| Mix | Plan | {} | Groups |", cores.join(" | "));
    println!("|---|---|{}---|", "---|".repeat(CORES.len()));
    projections.iter().flatten().for_each(|line| println!("{line}"));
}

/// Lanes: one by one; when it pays with 1 and 2 workers; always with 1 and 2 workers. Then, not timed, two that run the
/// plans' order of effect one by one: what the others must answer and hold.
const WORKERS: [usize; 7] = [1, 1, 2, 1, 2, 1, 1];
const TIMED: usize = 5;
/// Which of the two plans a lane follows.
const PLANS: [Option<usize>; 7] = [None, Some(0), Some(0), Some(1), Some(1), Some(0), Some(1)];
const NAMES: [&str; 7] = ["one by one", "when it pays", "when it pays", "always", "always", "in turn", "in turn"];
/// From which lanes the planners learn.
const LEARNED: [usize; 2] = [2, 4];

/// The lane that does one by one what this one does.
fn judge(lane: usize) -> usize {
    TIMED + PLANS[lane].unwrap_or(0)
}

struct Race<'a> {
    shop: &'a Shop,
    load: Load,
    lanes: Vec<Lane>,
    planners: [Planner; 2],
    /// Plans of "when it pays" for machines of so many cores, by [`CORES`].
    larger: Vec<Planner>,
    planned: [Planned; 2],
    /// Sums over batches, by plan: time without a plan, time with, for each number of cores; and groups.
    projected: [Projected; 2],
}

#[derive(Clone, Debug, Default)]
struct Projected {
    alone: f64,
    planned: [f64; CORES.len()],
    groups: usize,
    plans: usize,
}

impl<'a> Race<'a> {
    fn run(shop: &'a Shop, mix: &Mix) -> Vec<String> {
        let lanes: Vec<Lane> = (0..NAMES.len())
            .map(|lane| {
                let learn = if lane == 0 || lane >= TIMED { Learn::Costs } else { Learn::Footprints };
                shop.lane(NAMES[lane], WORKERS[lane], learn)
            })
            .collect();
        let planner = |lane: usize, when| Planner::new(lanes[lane].replica.learned(), 2, when, SharedRules::default());
        let planners = [planner(LEARNED[0], RunAhead::WhenItPays), planner(LEARNED[1], RunAhead::Always)];
        let larger = |cores: &u32| {
            let learned = lanes[LEARNED[0]].replica.learned();
            Planner::new(learned, *cores as usize, RunAhead::WhenItPays, SharedRules::default())
        };
        let larger = CORES.iter().map(larger).collect();
        let projected = std::array::from_fn(|_| Projected::default());
        let load = shop.load.clone();
        let planned = [Planned::default(); 2];
        let mut race = Race { shop, load, lanes, planners, larger, planned, projected };
        let settings = shop.settings;
        for number in 0..settings.warm_up {
            race.batch(mix, number);
        }
        race.planned = [Planned::default(); 2];
        race.lanes.iter_mut().for_each(|lane| _ = lane.done());
        for _ in 0..settings.passes {
            race.lanes.iter_mut().for_each(Lane::begin_pass);
            for number in 0..settings.batches {
                let all = race.batch(mix, number);
                race.project(&all);
            }
        }
        race.compare();
        race.print(mix)
    }

    fn batch(&mut self, mix: &Mix, number: usize) -> Vec<Transaction> {
        let index = self.lanes[0].index + 1;
        let all = self.load.batch(mix, self.shop.settings.batch, index);
        let plans: Vec<Plan> = (0..2)
            .map(|at| {
                let start = Instant::now();
                let plan = self.planners[at].plan(&all);
                self.planned[at].add(&plan, all.len(), start.elapsed());
                plan
            })
            .collect();
        let count = self.lanes.len();
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); count];
        // Another one first each time.
        for lane in (0..count).map(|lane| (lane + number) % count) {
            let plan = PLANS[lane].map_or_else(Plan::default, |at| plans[at].clone());
            let plan = if lane < TIMED { plan } else { in_turn(&plan) };
            outcomes[lane] = self.lanes[lane].execute(&batch(all.clone(), plan, index));
        }
        for lane in 1..TIMED {
            assert!(outcomes[lane] == outcomes[judge(lane)], "{} {}: other answers", NAMES[lane], WORKERS[lane]);
        }
        let root = |lane: usize| self.lanes[lane].replica.newest().root;
        assert_eq!(root(1), root(2), "one worker and two");
        assert_eq!(root(3), root(4), "one worker and two");
        all
    }

    /// All rows are what they are one by one.
    fn compare(&self) {
        for table in schema::NAMES {
            for (lane, name) in NAMES.iter().enumerate().take(TIMED).skip(1) {
                let [rows, expected] =
                    [lane, judge(lane)].map(|lane| schema::all_rows(&self.lanes[lane].replica, table));
                assert!(rows == expected, "{table}: {name}");
            }
        }
    }

    fn print(mut self, mix: &Mix) -> Vec<String> {
        let count = (self.shop.settings.batch * self.shop.settings.batches) as u64;
        let all = count * self.shop.settings.passes as u64;
        let base = (self.lanes[0].median(), self.lanes[0].fastest());
        for lane in 0..TIMED {
            let Done { fared, spent } = self.lanes[lane].done();
            let (time, fastest) = (self.lanes[lane].median(), self.lanes[lane].fastest());
            let planned = PLANS[lane].map(|at| self.planned[at]).unwrap_or_default();
            let rest = spent.executing.saturating_sub(spent.ahead + spent.applying);
            println!(
                "| {} | {} | {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} | {:.0} | {:.1} | {:.1} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} |",
                mix.name,
                NAMES[lane],
                WORKERS[lane],
                count as f64 / time.as_secs_f64(),
                base.0.as_secs_f64() / time.as_secs_f64(),
                count as f64 / fastest.as_secs_f64(),
                base.1.as_secs_f64() / fastest.as_secs_f64(),
                micros(self.lanes[lane].cpu_median(), count),
                planned.share() * 100.0,
                again(&fared) * 100.0,
                planned.groups(),
                planned.width(),
                planned.mixing_us(),
                micros(spent.ahead, all),
                micros(spent.applying, all),
                micros(rest, all),
            );
        }
        let names = ["when it pays", "always"];
        let line = |(projected, name): (&Projected, &str)| {
            let speeds: Vec<String> =
                projected.planned.iter().map(|planned| format!("{:.2}", projected.alone / planned)).collect();
            let groups = projected.groups as f64 / projected.plans.max(1) as f64;
            format!("| {} | {name} | {} | {groups:.1} |", mix.name, speeds.join(" | "))
        };
        self.projected.iter().zip(names).map(line).collect()
    }

    /// Adds what the plans of these transactions allow, from the costs that the lanes saw.
    fn project(&mut self, all: &[Transaction]) {
        let run = self.lanes[0].replica.learned();
        let changes = self.lanes[LEARNED[1]].replica.learned();
        let run: Vec<u64> = run.look(all, |_, kind| kind.map_or(0, |kind| kind.run_ns));
        let changes: Vec<u64> = changes.look(all, |_, kind| kind.map_or(0, |kind| kind.changes));
        let spent = self.lanes[LEARNED[1]].replica.spent();
        let applied = self.lanes[LEARNED[1]].replica.fared().applied;
        // What one of the transactions took on the average, spread by the rows that each changes.
        let mean_ns = (spent.applying.as_nanos() as u64) / applied.max(1);
        let parts = |changes: u64| CHECK_PARTS + changes * ROW_PARTS;
        let all_parts: u64 = changes.iter().map(|changes| parts(*changes)).sum();
        let part_ns = mean_ns * all.len() as u64 / all_parts.max(1);
        let costs: Vec<Cost> = run
            .iter()
            .zip(&changes)
            .map(|(run_ns, changes)| Cost { run_ns: *run_ns, apply_ns: parts(*changes) * part_ns })
            .collect();
        let when_it_pays: Vec<Plan> = self.larger.iter_mut().map(|planner| planner.plan(all)).collect();
        let always = vec![self.planners[1].plan(all); CORES.len()];
        for (projected, plans) in self.projected.iter_mut().zip([when_it_pays, always]) {
            let alone: f64 = run.iter().sum::<u64>() as f64;
            projected.alone += alone;
            for (at, (plan, cores)) in plans.iter().zip(CORES).enumerate() {
                projected.planned[at] += alone / speed_up_max(plan, &costs, cores);
                if cores == GROUPS_OF {
                    projected.groups += plan.groups.len().max(1);
                    projected.plans += 1;
                }
            }
        }
    }
}

/// What each interaction costs in its turn, ahead, and to apply.
pub fn interactions(shop: &Shop) {
    println!("\n### Interactions alone, one worker\n");
    println!("| Interaction | In turn us | Ahead us | Applying us | Rows changed | Again % | Mixing us |");
    println!("|---|---|---|---|---|---|---|");
    for interaction in Interaction::ALL {
        let mix = Mix::only(interaction);
        let mut load = shop.load.clone();
        let mut direct = shop.lane("direct", 1, Learn::Costs);
        let mut ahead = shop.lane("ahead", 1, Learn::Footprints);
        let mut planner = Planner::new(ahead.replica.learned(), 1, RunAhead::Always, SharedRules::default());
        let (mut planned, mut time, mut all) = (Planned::default(), Duration::ZERO, 0);
        let mut done = Done::default();
        for number in 0..shop.settings.warm_up + shop.settings.batches {
            let count = shop.settings.batch;
            let index = direct.index + 1;
            let list = load.batch(&mix, count, index);
            let start = Instant::now();
            let plan = planner.plan(&list);
            let took = start.elapsed();
            direct.done();
            direct.execute(&batch(list.clone(), Plan::default(), index));
            ahead.done();
            ahead.execute(&batch(list, plan.clone(), index));
            if number >= shop.settings.warm_up {
                planned.add(&plan, count, took);
                let spent = direct.done().spent;
                time += spent.executing - spent.verifying;
                all += count as u64;
                let Done { fared, spent } = ahead.done();
                done.fared.applied += fared.applied;
                done.fared.conflicted += fared.conflicted;
                done.fared.unfit += fared.unfit;
                done.spent.ahead += spent.ahead;
                done.spent.applying += spent.applying;
            }
        }
        let kinds = ahead.replica.learned().kinds().into_iter().filter(|kind| kind.applied > 0);
        let (calls, rows) =
            kinds.fold((0, 0), |(calls, rows), kind| (calls + kind.calls, rows + kind.calls * kind.changes));
        let tried = done.fared.applied + done.fared.conflicted + done.fared.unfit;
        println!(
            "| {interaction:?} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            micros(time, all),
            micros(done.spent.ahead, tried),
            micros(done.spent.applying, done.fared.applied),
            rows as f64 / calls.max(1) as f64,
            again(&done.fared) * 100.0,
            planned.mixing_us(),
        );
    }
}
