//! What EXPLAIN shows of SQLite's query plan: its lines, or a JSON document of PostgreSQL's shape.
//!
//! SQLite gives rows of (id, parent, unused, text). Loops of a join are neighbours there, the outermost first, and a
//! sort stands beside what it sorts; PostgreSQL has one tree, in which a join and a sort stand above. Costs are not
//! estimated here, so none are shown.

use crate::transaction::{Rows, Value, ValueRef};
use serde::Serialize;

/// A node of the document.
#[derive(Debug, Default, Serialize)]
struct Node {
    #[serde(rename = "Node Type")]
    kind: &'static str,
    #[serde(rename = "Parent Relationship", skip_serializing_if = "Option::is_none")]
    relationship: Option<&'static str>,
    #[serde(rename = "Join Type", skip_serializing_if = "Option::is_none")]
    join: Option<&'static str>,
    #[serde(rename = "Relation Name", skip_serializing_if = "Option::is_none")]
    relation: Option<String>,
    #[serde(rename = "Index Name", skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    #[serde(rename = "Index Cond", skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
    #[serde(rename = "Detail", skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(rename = "Plans", skip_serializing_if = "Vec::is_empty")]
    plans: Vec<Node>,
}

#[derive(Serialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Node,
}

/// A row of SQLite's plan.
struct Step {
    id: i64,
    parent: i64,
    text: String,
}

/// The answer to show for the rows of `EXPLAIN QUERY PLAN`.
pub fn explained(rows: &Rows, json: bool) -> Rows {
    let values: Vec<ValueRef<'_>> = rows.values().collect();
    let mut shown = Rows { columns: 1, ..Rows::default() };
    let mut show = |text: &str| {
        shown.push(Value::Text(text.into()).as_ref());
        shown.count += 1;
    };
    let steps = values.chunks_exact(4).filter_map(|row| match row {
        [ValueRef::Integer(id), ValueRef::Integer(parent), _, ValueRef::Text(text)] => {
            Some(Step { id: *id, parent: *parent, text: (*text).to_owned() })
        }
        _ => None,
    });
    match json {
        true => show(&document(&steps.collect::<Vec<_>>())),
        false => steps.for_each(|step| show(&step.text)),
    }
    shown
}

fn document(steps: &[Step]) -> String {
    let plan = under(steps, 0);
    // Texts and lists of them: nothing that JSON cannot write.
    serde_json::to_string_pretty(&[Explained { plan }]).unwrap_or_default()
}

/// One node for all steps under another.
fn under(steps: &[Step], parent: i64) -> Node {
    let (mut inputs, mut above, mut subplans) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps.iter().filter(|step| step.parent == parent && (step.id, parent) != (0, 0)) {
        let mut node = node_of(&step.text);
        if steps.iter().any(|child| child.parent == step.id && step.id != 0) {
            node.plans.push(Node { relationship: Some("Outer"), ..under(steps, step.id) });
        }
        match node.kind {
            "Sort" | "Aggregate" | "Unique" => above.push(node),
            _ if step.text.contains("SUBQUERY ") => subplans.push(node),
            _ => inputs.push(node),
        }
    }
    let mut plan = inputs.into_iter().reduce(|outer, inner| Node {
        kind: "Nested Loop",
        join: Some(inner.join.unwrap_or("Inner")),
        plans: vec![
            Node { relationship: Some("Outer"), join: outer.join.filter(|_| outer.kind == "Nested Loop"), ..outer },
            Node { relationship: Some("Inner"), join: None, ..inner },
        ],
        ..Node::default()
    });
    for node in above {
        let outer = plan.map(|below| Node { relationship: Some("Outer"), ..below });
        plan = Some(Node { plans: outer.into_iter().chain(node.plans).collect(), ..node });
    }
    let mut plan = plan.unwrap_or(Node { kind: "Result", ..Node::default() });
    plan.plans.extend(subplans.into_iter().map(|node| Node { relationship: Some("SubPlan"), ..node }));
    plan
}

/// What a line of SQLite's says.
fn node_of(text: &str) -> Node {
    let detail = text.to_owned();
    let words: Vec<&str> = text.split(' ').collect();
    let join = text.ends_with(" LEFT-JOIN").then_some("Left");
    let (scans, searches) = (words[0] == "SCAN", words[0] == "SEARCH");
    if scans && text.contains("CONSTANT ROW") {
        let kind = if words.get(1) == Some(&"CONSTANT") { "Result" } else { "Values Scan" };
        return Node { kind, join, detail, ..Node::default() };
    }
    if scans || searches {
        let after = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1));
        let index = after("INDEX").map(|name| (*name).to_owned());
        let condition = text.find(" (").map(|at| text[at + 1..].trim_end_matches(" LEFT-JOIN").to_owned());
        let kind = match (&index, searches) {
            (None, false) => "Seq Scan",
            _ if text.contains("COVERING INDEX") => "Index Only Scan",
            _ => "Index Scan",
        };
        let relation = words.get(1).map(|name| (*name).to_owned());
        return Node {
            kind,
            join,
            relation,
            index,
            condition: condition.filter(|_| searches),
            detail,
            ..Node::default()
        };
    }
    let kind = match () {
        () if text.starts_with("USE TEMP B-TREE FOR GROUP") => "Aggregate",
        () if text.starts_with("USE TEMP B-TREE FOR DISTINCT") => "Unique",
        () if text.starts_with("USE TEMP B-TREE") => "Sort",
        () if text.starts_with("COMPOUND") || text.starts_with("UNION") || text.starts_with("MERGE") => "Append",
        () if text.starts_with("CO-ROUTINE") || text.starts_with("MATERIALIZE") => "Subquery Scan",
        () if text.starts_with("MULTI-INDEX OR") => "BitmapOr",
        () => "Result",
    };
    Node { kind, join, detail, ..Node::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(steps: &[(i64, i64, &str)]) -> Rows {
        let mut rows = Rows { columns: 4, count: steps.len() as u64, ..Rows::default() };
        for (id, parent, text) in steps {
            for value in [Value::Integer(*id), Value::Integer(*parent), Value::Integer(0), Value::Text((*text).into())]
            {
                rows.push(value.as_ref());
            }
        }
        rows
    }

    fn json(steps: &[(i64, i64, &str)]) -> serde_json::Value {
        let shown = explained(&rows(steps), true);
        let Some(ValueRef::Text(text)) = shown.values().next() else { panic!("no text") };
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        document[0]["Plan"].clone()
    }

    #[test]
    fn a_join_and_a_sort_stand_above_what_they_work_on() {
        let plan = json(&[
            (3, 0, "SCAN t"),
            (5, 0, "SEARCH u USING INDEX u_n (n=?) LEFT-JOIN"),
            (9, 0, "USE TEMP B-TREE FOR ORDER BY"),
        ]);
        assert_eq!(plan["Node Type"], "Sort");
        let join = &plan["Plans"][0];
        assert_eq!((&join["Node Type"], &join["Join Type"]), (&"Nested Loop".into(), &"Left".into()));
        assert_eq!(join["Plans"][0]["Relation Name"], "t");
        let inner = &join["Plans"][1];
        assert_eq!(inner["Parent Relationship"], "Inner");
        assert_eq!((&inner["Index Name"], &inner["Index Cond"]), (&"u_n".into(), &"(n=?)".into()));
    }

    #[test]
    fn what_stands_under_another_and_plans_of_nothing_are_nodes_too() {
        let plan = json(&[(2, 0, "CO-ROUTINE q"), (4, 2, "SCAN t"), (8, 0, "SCAN q"), (9, 0, "SCALAR SUBQUERY 1")]);
        assert_eq!(plan["Node Type"], "Nested Loop");
        assert_eq!(plan["Plans"][0]["Plans"][0]["Node Type"], "Seq Scan");
        assert_eq!(plan["Plans"][2]["Parent Relationship"], "SubPlan");
        assert_eq!(json(&[])["Node Type"], "Result");
        let text = explained(&rows(&[(3, 0, "SCAN t"), (4, 0, "SCAN u")]), false);
        assert_eq!(text.values().collect::<Vec<_>>(), [ValueRef::Text("SCAN t"), ValueRef::Text("SCAN u")]);
    }
}
