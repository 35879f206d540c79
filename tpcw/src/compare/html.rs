//! A comparison as a page that needs nothing but itself.

use super::table::Summary;
use super::{Comparison, plots};
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ddd;padding:.25em .7em;text-align:right}\
    td:first-child,th:first-child{text-align:left}code{background:#f3f3f3;padding:.1em .3em}svg{max-width:100%;height:auto}";

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
    Ok(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>TPC-W on EveSQL and others</title>\
         <style>{STYLE}</style><body>{body}</body></html>\n"
    ))
}

fn head(body: &mut String, comparison: &Comparison) {
    let setting = comparison.passes.first().map(|pass| &pass.report.setting);
    let (think_ms, seconds, warm_up) =
        setting.map_or((0, 0.0, 0.0), |setting| (setting.think_ms, setting.seconds, setting.warm_up_seconds));
    let _ = write!(
        body,
        "<h1>An online bookshop after TPC-W</h1><p>{}, on {}. {} items, {} customers. Each pass: {warm_up:.0} s to warm up, \
         {seconds:.0} s measured; mean think time {think_ms} ms{}. Contestants take turns; figures are medians of the passes, \
         with the smallest and the largest. All processes, browsers too, share the machine. This is not an audited TPC-W \
         result.</p><p><code>{}</code></p><table><tr><th>Contestant<th>Version",
        date(comparison.began_at),
        escaped(&comparison.machine),
        comparison.items,
        comparison.customers,
        if think_ms == 0 { " (TPC-W asks for 7 s; none saturates)" } else { "" },
        escaped(&comparison.command),
    );
    for (name, version) in &comparison.contestants {
        let _ = write!(body, "<tr><td>{}<td>{}", escaped(name), escaped(version));
    }
    body.push_str("</table>");
    match comparison.findings.as_slice() {
        [] => body.push_str("<p>All shops are sound afterwards, and hold what browsers were told.</p>"),
        findings => {
            body.push_str("<p>Found:</p><ul>");
            for finding in findings {
                let _ = write!(body, "<li>{}", escaped(finding));
            }
            body.push_str("</ul>");
        }
    }
}

fn table(body: &mut String, comparison: &Comparison, mix: crate::navigation::Mix, clients: usize) {
    let Some((first, _)) = comparison.contestants.first() else { return };
    let _ = write!(
        body,
        "<table><tr><th>{clients} browsers<th>{}<th>smallest<th>largest<th>{} / it<th>p50 ms<th>p99 ms<th>retries %<th>CPU us",
        mix.metric(),
        escaped(first)
    );
    for (name, _) in &comparison.contestants {
        let Summary { wips, against, p50_ms, p99_ms, retries_percent, cpu_us, .. } =
            Summary::of(comparison, name, mix, clients);
        let _ = write!(
            body,
            "<tr><td>{}<td>{:.1}<td>{:.1}<td>{:.1}<td>{against:.2}<td>{p50_ms:.2}<td>{p99_ms:.2}<td>{retries_percent:.2}<td>{}",
            escaped(name),
            wips.median,
            wips.min,
            wips.max,
            cpu_us.map_or("-".into(), |us| format!("{us:.0}"))
        );
    }
    body.push_str("</table>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A day, from seconds since 1970.
fn date(seconds: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
