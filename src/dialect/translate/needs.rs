//! What the client must be allowed, gathered while a statement is translated: the session asks whether it is.
//!
//! Inside a view it is the view's owner who must be allowed, as in Postgres; what the owner of the system reads there
//! needs nothing. Defaults and constraints act with the table's right, not the client's.

use super::Translator;
use crate::catalog::Object;
use crate::catalog::privileges::{Need, Privileges};
use crate::catalog::roles::{MONITOR, OWNER};

impl Translator<'_> {
    pub(super) fn need(&mut self, need: Need) {
        if !self.needs.contains(&need) {
            self.needs.push(need);
        }
    }

    /// All of these privileges on an object.
    pub(super) fn need_on(&mut self, object: u32, privileges: Privileges) {
        self.need_privileges(object, privileges, false);
    }

    /// One of these privileges on an object.
    pub(super) fn need_any(&mut self, object: u32, privileges: Privileges) {
        self.need_privileges(object, privileges, true);
    }

    fn need_privileges(&mut self, object: u32, privileges: Privileges, any: bool) {
        let owner_of = |view: &u32| self.catalog.object(*view).map_or(OWNER, |view| view.access().owner());
        let by = self.views.last().map(owner_of);
        if by != Some(OWNER) {
            self.need(Need::On { object, privileges, any, by });
        }
    }

    /// Naming what is in a schema of users.
    pub(super) fn need_schema(&mut self, name: &str) {
        if name != crate::catalog::PUBLIC
            && let Some(Object::Schema(schema)) = self.catalog.schema(name)
        {
            self.need_on(schema.oid, Privileges::USAGE);
        }
    }

    /// Reading a system relation that shows more than everybody may see.
    pub(super) fn need_system(&mut self, name: &str) {
        match name {
            "pg_authid" => self.need(Need::Superuser("permission denied for table pg_authid", None)),
            "pg_shadow" => self.need(Need::Superuser("permission denied for view pg_shadow", None)),
            "evesql_divergences" | "evesql_audits" | "evesql_templates" => {
                self.need(Need::Superuser("must be superuser or a member of pg_monitor to see this", Some(MONITOR)))
            }
            _ => {}
        }
    }
}
