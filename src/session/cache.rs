//! Translations that the sessions of one front thread share: a statement's text is parsed once, and
//! translated once for each catalog, parameter types and settings that it meets.
//!
//! A client's statement points at its [`Text`], so executing it again costs one comparison of versions
//! and no look-up at all.

use super::keys::{self, Target};
use crate::catalog::Catalog;
use crate::dialect::{self, Parsed, Prepared};
use crate::page::Hash;
use crate::transaction::SqlError;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Statements of one query text.
pub struct Script {
    /// In order.
    pub statements: Vec<Rc<Text>>,
}

/// One statement's text, parsed.
pub struct Text {
    /// As the dialect understood it.
    pub parsed: Parsed,
    plans: RefCell<Vec<Rc<Plan>>>,
}

/// One translation.
pub struct Plan {
    /// What the dialect made.
    pub prepared: Prepared,
    /// It changes something: also a query that draws from a sequence.
    pub writes: bool,
    /// Catalog that it holds for.
    pub catalog: Hash,
    target: OnceCell<Option<Target>>,
    declared: Box<[u32]>,
    settings: Rc<dialect::Settings>,
}

/// Translations of one text that are kept; a text rarely meets more than two.
const PLANS_MAX: usize = 4;

impl Plan {
    /// Of a statement that the session translates itself.
    pub fn made(prepared: Prepared, catalog: &Catalog, settings: &Rc<dialect::Settings>) -> Plan {
        let (declared, settings, catalog) = (Box::default(), settings.clone(), catalog.version);
        Plan { prepared, writes: true, catalog, target: OnceCell::new(), declared, settings }
    }

    /// Whether it was made under settings that give the same.
    fn suits(&self, settings: &Rc<dialect::Settings>) -> bool {
        let own = &self.settings;
        let same = || match self.prepared.depends_on_user {
            true => own == settings,
            false => own.is_same_but_for_user(settings),
        };
        Rc::ptr_eq(own, settings) || same()
    }

    /// Which rows it reads or writes, as far as its WHERE names them. Found out at the first call: only
    /// interactive transactions ask.
    pub fn target(&self, sql: &str, catalog: &Catalog) -> Option<&Target> {
        self.target.get_or_init(|| keys::target(sql, &self.prepared, catalog)).as_ref()
    }
}

impl Text {
    /// Not yet translated.
    pub fn new(parsed: Parsed) -> Text {
        Text { parsed, plans: RefCell::default() }
    }

    /// Its translation for a catalog, with parameter types as far as the client declared them (0: not).
    ///
    /// Fails as [`dialect::prepare`] does.
    pub fn plan(
        &self,
        catalog: &Arc<Catalog>,
        declared: &[u32],
        settings: &Rc<dialect::Settings>,
    ) -> Result<Rc<Plan>, SqlError> {
        let fits =
            |plan: &Rc<Plan>| plan.catalog == catalog.version && *plan.declared == *declared && plan.suits(settings);
        if let Some(plan) = self.plans.borrow().iter().find(|plan| fits(plan)) {
            return Ok(plan.clone());
        }

        let prepared = dialect::prepare(&self.parsed, catalog, declared, settings)?;
        let plan = Rc::new(Plan {
            writes: !prepared.read_only || prepared.sql.iter().any(|sql| draws(sql)),
            target: OnceCell::new(),
            prepared,
            catalog: catalog.version,
            declared: declared.into(),
            settings: settings.clone(),
        });
        let mut plans = self.plans.borrow_mut();
        if plans.len() >= PLANS_MAX {
            plans.remove(0);
        }
        plans.push(plan.clone());
        Ok(plan)
    }

    /// Whether a plan still holds.
    pub fn fits(plan: &Plan, catalog: &Catalog, settings: &Rc<dialect::Settings>) -> bool {
        plan.catalog == catalog.version && plan.suits(settings)
    }
}

/// Whether a translated statement moves a sequence. A text that only looks so is taken for one that does.
fn draws(sql: &str) -> bool {
    sql.contains("evesql_nextval(") || sql.contains("evesql_setval(")
}

/// Texts of one front thread, in two generations: what was not used while the younger one filled up goes.
#[derive(Default)]
pub struct Cache {
    young: HashMap<Arc<str>, Rc<Script>>,
    old: HashMap<Arc<str>, Rc<Script>>,
    young_bytes: usize,
}

/// Texts and bytes of one generation.
const GENERATION_TEXTS_MAX: usize = 2_000;
const GENERATION_BYTES_MAX: usize = 4 << 20;

impl Cache {
    /// The statements of a query text.
    ///
    /// Fails with the dialect's syntax errors.
    pub fn script(&mut self, sql: &str) -> Result<Rc<Script>, SqlError> {
        if let Some(script) = self.young.get(sql) {
            return Ok(script.clone());
        }
        if let Some((text, script)) = self.old.remove_entry(sql) {
            self.keep(text, script.clone());
            return Ok(script);
        }
        let statements: Vec<_> = dialect::parse(sql)?.into_iter().map(|parsed| Rc::new(Text::new(parsed))).collect();
        let script = Rc::new(Script { statements });
        if !script.statements.iter().any(|text| text.parsed.may_hold_password()) {
            self.keep(sql.into(), script.clone());
        }
        Ok(script)
    }

    fn keep(&mut self, text: Arc<str>, script: Rc<Script>) {
        if self.young.len() >= GENERATION_TEXTS_MAX || self.young_bytes > GENERATION_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += text.len();
        self.young.insert(text, script);
    }
}
