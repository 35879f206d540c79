//! A comparison as a page that needs nothing but itself.

use super::table::Summary;
use super::{Comparison, plots};
use crate::navigation::Mix;
use crate::presentation::page::{escaped, findings, origin, page as document};
use std::fmt::Write;

/// The page.
///
/// # Errors
/// What a plot cannot be drawn for.
pub fn page(comparison: &Comparison) -> Result<String, String> {
    let mut body = String::new();
    let (mixes, clients) = comparison.settings();
    head(&mut body, comparison);
    for &clients in &clients {
        body += &plots::throughput(comparison, clients)?;
    }
    if let Some(most) = clients.iter().max() {
        for series in &comparison.series {
            body += &plots::series_throughput(comparison, series, *most)?;
            body += &plots::series_latency(comparison, series, *most)?;
        }
    }
    for &mix in &mixes {
        let _ = write!(body, "<h2>{mix}</h2>");
        for &clients in &clients {
            table(&mut body, comparison, mix, clients);
        }
        if clients.len() > 1 {
            body += &plots::scaling(comparison, mix)?;
        }
        if let Some(most) = clients.iter().max() {
            body += &plots::latency(comparison, mix, *most)?;
            body += &plots::stages(comparison, mix, *most)?;
        }
    }
    Ok(document("TPC-W on EveSQL and others", &body))
}

fn head(body: &mut String, comparison: &Comparison) {
    let setting = comparison.passes.first().map(|pass| &pass.report.setting);
    let (think_ms, seconds, warm_up) =
        setting.map_or((0, 0.0, 0.0), |setting| (setting.think_ms, setting.seconds, setting.warm_up_seconds));
    let _ = write!(
        body,
        "<h1>An online bookshop after TPC-W</h1><p>{}. {} items, {} customers. Each pass: {warm_up:.0} s to warm up, \
         {seconds:.0} s measured; mean think time {think_ms} ms{}. Contestants take turns; figures are medians of the passes, \
         with the smallest and the largest. All processes, browsers too, share the machine. This is not an audited TPC-W \
         result.</p><p><code>{}</code></p><table><tr><th>Contestant<th>Version",
        origin(&comparison.origin),
        comparison.items,
        comparison.customers,
        if think_ms == 0 { " (TPC-W asks for 7 s; none saturates)" } else { "" },
        escaped(&comparison.origin.command),
    );
    for (name, version) in &comparison.contestants {
        let _ = write!(body, "<tr><td>{}<td>{}", escaped(name), escaped(version));
    }
    body.push_str("</table>");
    body.push_str(&findings(&comparison.findings, "All shops are sound afterwards, and hold what browsers were told."));
}

fn table(body: &mut String, comparison: &Comparison, mix: Mix, clients: usize) {
    let Some((first, _)) = comparison.contestants.first() else { return };
    let _ = write!(
        body,
        "<table><tr><th>{clients} browsers<th>{}<th>smallest<th>largest<th>{} / it<th>p50 ms<th>p99 ms<th>retries %<th>CPU us<th>in a batch",
        mix.metric(),
        escaped(first)
    );
    for (name, _) in &comparison.contestants {
        let summary = Summary::of(comparison, name, mix, clients);
        let Summary { wips, against, p50_ms, p99_ms, retries_percent, .. } = summary;
        let _ = write!(
            body,
            "<tr><td>{}<td>{:.1}<td>{:.1}<td>{:.1}<td>{against:.2}<td>{p50_ms:.2}<td>{p99_ms:.2}<td>{retries_percent:.2}\
             <td>{}<td>{}",
            escaped(name),
            wips.median,
            wips.min,
            wips.max,
            summary.cpu(),
            summary.batch()
        );
    }
    body.push_str("</table>");
    for sentence in comparison.diverged(mix, clients) {
        let _ = write!(body, "<p>{}", escaped(&sentence));
    }
}
