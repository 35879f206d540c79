//! DISTINCT ON, and DISTINCT where equal values may be different bytes: one row of each group is picked by its number.

use super::select::{OrderTerm, Shape, aliased, make_plain, make_unique, output_position};
use super::typed::{Output, Typed};
use super::{Result, Translator, quote_name};
use crate::transaction::SqlError;
use sqlparser::ast::Expr;

impl Translator<'_> {
    /// What a term of ORDER BY sorts by, where an output's number would not be understood.
    pub(super) fn spelled_out(&self, term: &OrderTerm, outputs: &[Output]) -> String {
        match term.output {
            Some(at) => self.sort_key(&outputs[at].typed),
            None => term.key.clone(),
        }
    }

    /// The first row of each group in the order asked for.
    pub(super) fn distinct_on(
        &mut self,
        on: &[Expr],
        order: &[OrderTerm],
        mut outputs: Vec<Output>,
        tail: &str,
        shape: &Shape<'_>,
    ) -> Result<(String, Vec<Output>)> {
        let mut keys = Vec::new();
        for expr in on {
            let key = match output_position(expr, &outputs)? {
                Some(at) => outputs[at].typed.clone(),
                None => self.expr(expr)?,
            };
            keys.push(self.sort_key(&key));
        }
        make_unique(&mut outputs);
        let key = |term: &OrderTerm| self.spelled_out(term, &outputs);
        // The keys come first in the order, in whichever order among themselves.
        if !order.iter().take(keys.len()).all(|term| keys.contains(&key(term))) {
            let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
            return Err(SqlError::new("42P10", message));
        }
        let terms: Vec<String> = order.iter().map(|term| format!("{}{}", key(term), term.options)).collect();
        let window_order = if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) };
        let mut inner = aliased(&outputs);
        inner.push(format!("row_number() OVER (PARTITION BY {}{window_order}) AS \"n:\"", keys.join(", ")));
        inner.push(format!("row_number() OVER ({}) AS \"o:\"", window_order.trim()));
        let list: Vec<String> =
            outputs.iter().map(|output| format!("d.{0} AS {0}", quote_name(&output.name))).collect();
        let sql = format!(
            "SELECT {} FROM (SELECT {}{tail}) AS d WHERE d.\"n:\" = 1 ORDER BY d.\"o:\"{}",
            list.join(", "),
            inner.join(", "),
            shape.limit
        );
        if !shape.named {
            make_plain(&mut outputs);
        }
        Ok((sql, outputs))
    }

    /// The first of the rows whose keys are equal.
    pub(super) fn distinct_by_key(
        &self,
        order: &[OrderTerm],
        mut outputs: Vec<Output>,
        tail: &str,
        shape: &Shape<'_>,
    ) -> (String, Vec<Output>) {
        make_unique(&mut outputs);
        let of = |query: &str, output: &Output| format!("{query}.{}", quote_name(&output.name));
        let key =
            |query: &str, output: &Output| self.sort_key(&Typed { sql: of(query, output), ..output.typed.clone() });
        let list: Vec<String> = outputs.iter().map(|output| of("d", output)).collect();
        let keys: Vec<String> = outputs.iter().map(|output| key("u", output)).collect();
        let inner = aliased(&outputs);
        // ORDER BY of DISTINCT knows outputs alone.
        let order: Vec<String> = order
            .iter()
            .filter_map(|term| Some(format!("{}{}", key("d", &outputs[term.output?]), term.options)))
            .collect();
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let sql = format!(
            "SELECT {} FROM (SELECT u.*, row_number() OVER (PARTITION BY {}) AS \"n:\" FROM (SELECT {}{tail}) AS u) AS d \
             WHERE d.\"n:\" = 1{order}{}",
            list.join(", "),
            keys.join(", "),
            inner.join(", "),
            shape.limit
        );
        if !shape.named {
            make_plain(&mut outputs);
        }
        (sql, outputs)
    }
}
