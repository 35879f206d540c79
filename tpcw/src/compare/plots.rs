//! Plots, as SVG.

use super::table::Summary;
use super::{Comparison, Spread};
use crate::navigation::Mix;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::prelude::*;

const SIZE: (u32, u32) = (920, 420);
const COLORS: [RGBColor; 7] = [
    RGBColor(0x1f, 0x6f, 0xb4),
    RGBColor(0x7f, 0xb7, 0xe0),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0xf0, 0xb0, 0x70),
    RGBColor(0x4d, 0x9a, 0x4d),
    RGBColor(0x8a, 0x5f, 0xa8),
    RGBColor(0x77, 0x77, 0x77),
];
const FONT: &str = "sans-serif";

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn color(at: usize) -> RGBColor {
    COLORS[at % COLORS.len()]
}

/// Draws on an empty picture.
fn picture(draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        drawn.and_then(|()| area.present().map_err(Into::into)).map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// What all plots have around them, but room for the names below.
fn frame<'a, 'b>(area: &'a DrawingArea<SVGBackend<'b>, Shift>, caption: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart.caption(caption, (FONT, 18)).margin(10).y_label_area_size(70);
    chart
}

/// A group of bars takes a whole step; its name stands in the middle of it.
fn below_bars(x: f64, names: &[impl ToString]) -> String {
    let is_middle = (x.fract() - 0.5).abs() < 0.01;
    is_middle.then(|| names.get(x as usize)).flatten().map_or(String::new(), ToString::to_string)
}

fn swatch((x, y): (i32, i32), at: usize) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x, y - 5), (x + 14, y + 5)], color(at).filled())
}

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
        let mix_name = |x: &f64| below_bars(*x, &mixes);
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
        let name = |x: &f64| below_bars(*x, &all);
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

fn line<'a, X>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, plotters::coord::types::RangedCoordf64>>,
    at: usize,
    name: &str,
    points: impl IntoIterator<Item = (f64, f64)>,
) -> Drawn
where
    X: Ranged<ValueType = f64>,
{
    let points: Vec<(f64, f64)> = points.into_iter().collect();
    chart
        .draw_series(LineSeries::new(points, color(at).stroke_width(2)))?
        .label(name)
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], color(at).stroke_width(2)));
    Ok(())
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let labels = &mut chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
