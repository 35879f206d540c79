//! A recovery on the terminal, and as a page with a plot.

use super::{Death, Disk, Recovery};
use crate::presentation::drawing::{frame, legend, line, picture};
use crate::presentation::page::{escaped, findings, origin, page as document};
use std::fmt;
use std::fmt::Write;

impl Death {
    /// What was done, in a sentence.
    fn done(&self) -> String {
        let role = if self.was_leader { "the leader" } else { "a follower" };
        let disk = match self.disk {
            Disk::Kept => "started again",
            Disk::Damaged => "a bit of each of its pages flipped, and started again",
            Disk::Lost => "its directory removed, and a new node started in its place",
        };
        format!("Node {}, {role}, was killed, {disk}.", self.node)
    }

    /// How it came back, in a sentence.
    fn came_back(&self) -> String {
        let since = |at: &f64| at - self.marks.started_s;
        let steps = self.marks.named().into_iter().skip(2).map(|(what, at)| format!("{what} {:.2} s", since(&at)));
        format!(
            "Since its start: {}; it was {} batches behind and fetched {} pages.",
            steps.collect::<Vec<_>>().join(", "),
            self.batches_behind,
            self.pages_fetched
        )
    }
}

impl Recovery {
    /// What browsers had to bear, in a sentence.
    fn borne(&self) -> String {
        let all = &self.report.all;
        format!(
            "Of {} pages the slowest took {:.0} ms, and for {:.1} s none was completed; {} attempts were repeated, {} failed, the outcome of {} is unknown.",
            all.count,
            all.max_us as f64 / 1e3,
            self.longest_silence_s,
            all.retries,
            all.failures,
            all.uncertain
        )
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = &self.report.setting;
        writeln!(out, "{} mix, {} browsers, three nodes. {}", setting.mix, setting.clients, self.death.done())?;
        writeln!(out, "\n{:12} {:>8} {:>10}", "", "seconds", self.report.metric)?;
        for phase in &self.phases {
            writeln!(out, "{:12} {:>8.1} {:>10.1}", phase.name, phase.until_s - phase.from_s, phase.wips)?;
        }
        writeln!(out, "\n{}\n{}", self.death.came_back(), self.borne())?;
        self.findings.iter().try_for_each(|finding| writeln!(out, "finding: {finding}"))
    }
}

/// The page.
///
/// # Errors
/// What the plot cannot be drawn for.
pub fn page(recovery: &Recovery) -> Result<String, String> {
    let setting = &recovery.report.setting;
    let mut body = format!(
        "<h1>A replica dies and comes back</h1><p>{}, {}. An online bookshop after TPC-W with {} items and {} customers \
         on three nodes, {} browsers in the {} mix, mean think time {} ms. All processes, browsers too, share the machine. \
         This is not an audited TPC-W result.</p><p><code>{}</code></p><p>{}</p>",
        origin(&recovery.origin),
        escaped(&recovery.version),
        recovery.items,
        recovery.customers,
        setting.clients,
        setting.mix,
        setting.think_ms,
        escaped(&recovery.origin.command),
        recovery.death.done(),
    );
    body += &plot(recovery)?;
    let _ = write!(body, "<table><tr><th>Phase<th>seconds<th>{}", recovery.report.metric);
    for phase in &recovery.phases {
        let _ = write!(body, "<tr><td>{}<td>{:.1}<td>{:.1}", phase.name, phase.until_s - phase.from_s, phase.wips);
    }
    let _ = write!(body, "</table><p>{}</p><p>{}</p>", recovery.death.came_back(), recovery.borne());
    body += &findings(
        &recovery.findings,
        "Afterwards all nodes had one root, and the shop was sound and held what browsers were told.",
    );
    Ok(document("A replica of EveSQL dies and comes back", &body))
}

/// Interactions of each second, and what happened meanwhile.
fn plot(recovery: &Recovery) -> Result<String, String> {
    let per_second = &recovery.report.per_second;
    let marks = recovery.death.marks.named();
    let top = per_second.iter().copied().max().unwrap_or(1).max(1) as f64 * 1.7;
    let last = marks.iter().map(|(_, at)| *at).fold(per_second.len() as f64, f64::max);
    picture(|area| {
        let mut chart = frame(area, "Interactions in each second")
            .x_label_area_size(40)
            .build_cartesian_2d(0.0..last.max(1.0), 0.0..top)?;
        chart.configure_mesh().x_desc("seconds").y_desc("interactions/s").draw()?;
        // A second's count stands in its middle.
        let points = per_second.iter().enumerate().map(|(at, count)| (at as f64 + 0.5, *count as f64));
        line(&mut chart, 0, "interactions/s", points)?;
        for (at, (what, moment)) in (1..).zip(marks) {
            let upright = [(moment, 0.0), (moment, top)];
            line(&mut chart, at, &format!("{what}: {moment:.1} s"), upright)?;
        }
        legend(&mut chart)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::navigation::Mix;
    use crate::presentation::Origin;
    use crate::recovery::{Marks, phases};
    use crate::statistics::{Recorder, Setting};

    fn recovery() -> Recovery {
        let marks = Marks {
            killed_s: 1.0,
            started_s: 2.0,
            answers_s: Some(2.75),
            caught_up_s: Some(3.0),
            voter_s: None,
            healthy_s: Some(9.5),
        };
        let setting = Setting {
            mix: Mix::Shopping,
            clients: 8,
            pool: None,
            think_ms: 0,
            warm_up_seconds: 0.0,
            seconds: 4.0,
            seed: 1,
        };
        let mut report = Recorder::default().report(setting);
        report.per_second = vec![700, 900, 500, 800];
        let per_tenth: Vec<u64> = report.per_second.iter().flat_map(|count| [count / 10; 10]).collect();
        Recovery {
            origin: Origin::here("tpcw recovery <these>".into()),
            version: "evesql".into(),
            items: 1,
            customers: 2,
            phases: phases::of(&marks, &per_tenth),
            death: Death {
                node: 3,
                was_leader: false,
                disk: Disk::Kept,
                returned_as: 3,
                marks,
                batches_behind: 1_234,
                pages_fetched: 56,
            },
            longest_silence_s: 0.3,
            per_tenth,
            report,
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_happened_is_told_with_times_since_the_start_and_drawn_with_its_marks() {
        let mut recovery = recovery();
        let told = recovery.to_string();
        for expected in [
            "Node 3, a follower, was killed, started again.",
            "answers 0.75 s, caught up 1.00 s, healthy 7.50 s; it was 1234 batches behind and fetched 56 pages",
            "and for 0.3 s none was completed",
            "dead              1.0      900.0",
        ] {
            assert!(told.contains(expected), "{told}");
        }
        let page = page(&recovery).unwrap();
        for expected in
            ["killed: 1.0 s", "healthy: 9.5 s", "<td>catching up<td>1.0<td>500.0", "&lt;these&gt;", "one root"]
        {
            assert!(page.contains(expected), "{expected} is not in {page}");
        }
        recovery.findings.push("node 3 is <gone>".into());
        let found = super::page(&recovery).unwrap();
        assert!(found.contains("<li>node 3 is &lt;gone&gt;") && !found.contains("one root"));
        assert!(recovery.to_string().contains("finding: node 3 is <gone>"));
        let json = serde_json::to_string(&recovery).unwrap();
        assert_eq!(json5::from_str::<Recovery>(&json).unwrap().to_string(), recovery.to_string());
    }
}
