//! Plots of a comparison.

use super::series::Series;
use super::table::Summary;
use super::{Comparison, Spread};
use crate::navigation::Mix;
use crate::presentation::drawing::{Drawn, color, frame, in_the_middle, legend, line, picture, swatch};
use plotters::prelude::*;

/// Median throughput of all, mix by mix, with the smallest and largest pass.
pub fn throughput(comparison: &Comparison, clients: usize) -> Result<String, String> {
    let (mixes, _) = comparison.settings();
    let names: Vec<&str> = comparison.contestants.iter().map(|(name, _)| name.as_str()).collect();
    let spread = |mix: usize, name: usize| comparison.wips(names[name], mixes[mix], clients);
    let all = (0..mixes.len()).flat_map(|mix| (0..names.len()).map(move |name| (mix, name)));
    let top = all.clone().map(|(mix, name)| spread(mix, name).max).fold(1.0, f64::max) * 1.1;
    let width = 0.8 / names.len() as f64;
    picture(|area| {
        let mut chart = frame(area, &format!("Interactions a second, {clients} browsers"))
            .x_label_area_size(30)
            .build_cartesian_2d(0.0..mixes.len() as f64, 0.0..top)?;
        let mix_name = |x: &f64| in_the_middle(*x, &mixes);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(2 * mixes.len() + 1)
            .x_label_formatter(&mix_name)
            .y_desc("interactions/s")
            .draw()?;
        for (at, name) in names.iter().enumerate() {
            let left = |mix: usize| mix as f64 + 0.1 + at as f64 * width;
            let bar = |mix: usize| {
                let corners = [(left(mix), 0.0), (left(mix) + width * 0.9, spread(mix, at).median)];
                Rectangle::new(corners, color(at).filled())
            };
            chart.draw_series((0..mixes.len()).map(bar))?.label(*name).legend(move |place| swatch(place, at));
            let whisker = |mix: usize| {
                let (Spread { min, max, .. }, middle) = (spread(mix, at), left(mix) + width * 0.45);
                PathElement::new(vec![(middle, min), (middle, max)], BLACK.stroke_width(1))
            };
            chart.draw_series((0..mixes.len()).map(whisker))?;
        }
        legend(&mut chart)
    })
}

/// Throughput against the number of browsers.
pub fn scaling(comparison: &Comparison, mix: Mix) -> Result<String, String> {
    let (_, clients) = comparison.settings();
    let names: Vec<&str> = comparison.contestants.iter().map(|(name, _)| name.as_str()).collect();
    let point = |name: &str, clients: usize| (clients as f64, comparison.wips(name, mix, clients).median);
    let all = names.iter().flat_map(|name| clients.iter().map(|clients| point(name, *clients)));
    let top = all.map(|(_, wips)| wips).fold(1.0, f64::max) * 1.1;
    let right = clients.iter().max().copied().unwrap_or(1) as f64 * 1.05;
    picture(|area| {
        let mut chart = frame(area, &format!("{mix}: throughput against browsers"))
            .x_label_area_size(40)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart.configure_mesh().x_desc("browsers").y_desc("interactions/s").draw()?;
        for (at, name) in names.iter().enumerate() {
            let points = clients.iter().map(|clients| point(name, *clients));
            line(&mut chart, at, name, points)?;
        }
        legend(&mut chart)
    })
}

/// Throughput of contestants that differ in one number, against it, mix by mix, with the smallest and largest pass.
pub fn series_throughput(comparison: &Comparison, series: &Series, clients: usize) -> Result<String, String> {
    let (mixes, _) = comparison.settings();
    let spreads = |mix: Mix| series.points.iter().map(move |(_, name)| comparison.wips(name, mix, clients));
    let top = mixes.iter().flat_map(|mix| spreads(*mix)).map(|spread| spread.max).fold(1.0, f64::max) * 1.25;
    picture(|area| {
        let mut chart = frame(area, &format!("Throughput against {}, {clients} browsers", series.over))
            .x_label_area_size(40)
            .build_cartesian_2d(0.0..series.points.len() as f64, 0.0..top)?;
        number_mesh(&mut chart, series, "interactions/s")?;
        for (at, &mix) in mixes.iter().enumerate() {
            line(&mut chart, at, &mix.to_string(), places().zip(spreads(mix).map(|spread| spread.median)))?;
            let whisker = |(place, spread): (f64, Spread)| {
                PathElement::new(vec![(place, spread.min), (place, spread.max)], color(at).stroke_width(1))
            };
            chart.draw_series(places().zip(spreads(mix)).map(whisker))?;
        }
        legend(&mut chart)
    })
}

/// Their latency, half of the interactions and 99 of 100.
pub fn series_latency(comparison: &Comparison, series: &Series, clients: usize) -> Result<String, String> {
    let (mixes, _) = comparison.settings();
    let of = |mix: Mix, quantile: fn(&Summary) -> f64| {
        let summary = move |(_, name): &(u32, String)| quantile(&Summary::of(comparison, name, mix, clients));
        series.points.iter().map(summary).collect::<Vec<f64>>()
    };
    let curves: Vec<(String, Vec<f64>)> = mixes
        .iter()
        .flat_map(|&mix| {
            let half = (format!("{mix}, half of all"), of(mix, |summary| summary.p50_ms));
            [half, (format!("{mix}, 99 %"), of(mix, |summary| summary.p99_ms))]
        })
        .collect();
    let all = curves.iter().flat_map(|(_, curve)| curve).map(|ms| ms.max(0.01));
    let (least, most) = all.fold((f64::MAX, 0.1_f64), |(least, most), ms| (least.min(ms), most.max(ms)));
    picture(|area| {
        let mut chart = frame(area, &format!("Latency against {}, {clients} browsers", series.over))
            .x_label_area_size(40)
            .build_cartesian_2d(
                0.0..series.points.len() as f64,
                (least.min(most / 2.0) / 2.0..most * 10.0).log_scale(),
            )?;
        number_mesh(&mut chart, series, "milliseconds, at most")?;
        for (at, (name, curve)) in curves.iter().enumerate() {
            line(&mut chart, at, name, places().zip(curve.iter().map(|ms| ms.max(0.01))))?;
        }
        legend(&mut chart)
    })
}

/// The numbers stand side by side, each in the middle of its step, not to scale.
fn places() -> impl Iterator<Item = f64> {
    (0..).map(|at| f64::from(at) + 0.5)
}

fn number_mesh<'a, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>,
    series: &Series,
    unit: &str,
) -> Drawn
where
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let numbers: Vec<u32> = series.points.iter().map(|(number, _)| *number).collect();
    let number = |x: &f64| in_the_middle(*x, &numbers);
    let mesh = &mut chart.configure_mesh();
    mesh.disable_x_mesh().x_labels(2 * numbers.len() + 1).x_label_formatter(&number);
    mesh.x_desc(format!("{} (not to scale)", series.over)).y_desc(unit).draw()?;
    Ok(())
}

/// Which share of interactions took how long at most; of the pass in the middle.
pub fn latency(comparison: &Comparison, mix: Mix, clients: usize) -> Result<String, String> {
    let curve = |name: &str| -> Vec<(f64, f64)> {
        let mut passes: Vec<_> = comparison.of(name, mix, clients).collect();
        passes.sort_by(|a, b| a.report.wips.total_cmp(&b.report.wips));
        let middle = passes.get(passes.len() / 2);
        let quantiles = middle.map(|pass| pass.report.distribution_us.as_slice()).unwrap_or_default();
        quantiles.iter().map(|(share, us)| (*us as f64 / 1e3, share * 100.0)).collect()
    };
    let curves: Vec<(&str, Vec<_>)> =
        comparison.contestants.iter().map(|(name, _)| (name.as_str(), curve(name))).collect();
    let ends = curves.iter().flat_map(|(_, curve)| curve.iter().map(|(ms, _)| ms.max(0.01)));
    let (left, right) = ends.fold((f64::MAX, 0.1_f64), |(left, right), ms| (left.min(ms), right.max(ms)));
    picture(|area| {
        let mut chart = frame(area, &format!("{mix}: latency with {clients} browsers"))
            .x_label_area_size(40)
            .build_cartesian_2d((left.min(right / 2.0)..right * 1.1).log_scale(), 0.0..100.0)?;
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc("milliseconds, at most")
            .y_desc("% of interactions")
            .x_label_formatter(&|ms| format!("{ms}"))
            .draw()?;
        for (at, (name, curve)) in curves.into_iter().enumerate() {
            line(&mut chart, at, name, curve)?;
        }
        legend(&mut chart)
    })
}

/// Where the processor time of an interaction goes, of those whose processes are known.
pub fn stages(comparison: &Comparison, mix: Mix, clients: usize) -> Result<String, String> {
    let known = comparison.contestants.iter().filter_map(|(name, _)| {
        let summary = Summary::of(comparison, name, mix, clients);
        let cpu = summary.cpu_us?;
        let (executing, verifying) = (summary.executing_us, summary.verifying_us);
        Some((name.as_str(), [executing, verifying, (cpu - executing - verifying).max(0.0)]))
    });
    let known: Vec<(&str, [f64; 3])> = known.collect();
    let names = [
        "executing batches, all replicas",
        "hashing and comparing",
        "the rest: reads, protocol, log, browsers of SQLite",
    ];
    let top = known.iter().map(|(_, parts)| parts.iter().sum::<f64>()).fold(1.0, f64::max) * 1.25;
    picture(|area| {
        let mut chart = frame(area, &format!("{mix}: processor time of an interaction, {clients} browsers"))
            .x_label_area_size(30)
            .build_cartesian_2d(0.0..known.len().max(1) as f64, 0.0..top)?;
        let all: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let name = |x: &f64| in_the_middle(*x, &all);
        let mesh = &mut chart.configure_mesh();
        mesh.disable_x_mesh().x_labels(2 * known.len() + 1).x_label_formatter(&name).y_desc("microseconds").draw()?;
        for (stage, label) in names.iter().enumerate() {
            let bars = known.iter().enumerate().map(|(at, (_, parts))| {
                let below: f64 = parts[..stage].iter().sum();
                let corners = [(at as f64 + 0.2, below), (at as f64 + 0.8, below + parts[stage])];
                Rectangle::new(corners, color(stage).filled())
            });
            chart.draw_series(bars)?.label(*label).legend(move |place| swatch(place, stage));
        }
        legend(&mut chart)
    })
}
