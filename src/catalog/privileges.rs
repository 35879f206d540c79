//! Privileges: what a role may do with an object, and what a statement needs.
//!
//! Whoever owns an object may do everything with it. Others need a grant: to them, to a role of which they are members, or
//! to PUBLIC; or to be members of pg_read_all_data and pg_write_all_data, which hold for all objects. Rights of columns
//! and the right to hand rights on are not supported.

use super::roles::{Actor, OWNER, READ_ALL_DATA, WRITE_ALL_DATA};
use super::{Catalog, Object, PUBLIC};
use crate::transaction::SqlError;
use serde::{Deserialize, Serialize};
use std::ops::BitOr;

/// A grantee that means everybody.
pub const EVERYBODY: u32 = 0;

/// A set of privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Privileges(u16);

/// Each privilege with its name and its letter in an ACL.
const NAMES: &[(Privileges, &str, char)] = &[
    (Privileges::INSERT, "INSERT", 'a'),
    (Privileges::SELECT, "SELECT", 'r'),
    (Privileges::UPDATE, "UPDATE", 'w'),
    (Privileges::DELETE, "DELETE", 'd'),
    (Privileges::TRUNCATE, "TRUNCATE", 'D'),
    (Privileges::REFERENCES, "REFERENCES", 'x'),
    (Privileges::TRIGGER, "TRIGGER", 't'),
    (Privileges::USAGE, "USAGE", 'U'),
    (Privileges::CREATE, "CREATE", 'C'),
];

impl Privileges {
    /// None.
    pub const NONE: Privileges = Privileges(0);
    /// Reading rows, or a sequence's number.
    pub const SELECT: Privileges = Privileges(1);
    /// Adding rows.
    pub const INSERT: Privileges = Privileges(2);
    /// Changing rows, locking them, setting a sequence.
    pub const UPDATE: Privileges = Privileges(4);
    /// Removing rows.
    pub const DELETE: Privileges = Privileges(8);
    /// Removing all rows at once.
    pub const TRUNCATE: Privileges = Privileges(16);
    /// Making a foreign key to a table.
    pub const REFERENCES: Privileges = Privileges(32);
    /// Kept for Postgres' sake: there are no triggers.
    pub const TRIGGER: Privileges = Privileges(64);
    /// Drawing from a sequence; naming what is in a schema.
    pub const USAGE: Privileges = Privileges(128);
    /// Making objects in a schema.
    pub const CREATE: Privileges = Privileges(256);
    /// All that there are of tables and views.
    pub const OF_TABLES: Privileges = Privileges(127);
    /// All that there are of sequences.
    pub const OF_SEQUENCES: Privileges = Privileges(1 | 4 | 128);
    /// All that there are of schemas.
    pub const OF_SCHEMAS: Privileges = Privileges(128 | 256);

    /// By name, in any case of letters.
    pub fn named(name: &str) -> Option<Privileges> {
        NAMES.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name)).map(|(privileges, ..)| *privileges)
    }
    /// Names of all in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(privilege, ..)| self.has(*privilege)).map(|(_, name, _)| *name)
    }
    /// The letters of all in the set, as an ACL has them.
    pub fn letters(self) -> String {
        NAMES.iter().filter(|(privilege, ..)| self.has(*privilege)).map(|(.., letter)| letter).collect()
    }
    /// Whether all of these are in the set.
    pub fn has(self, all: Privileges) -> bool {
        self.0 & all.0 == all.0
    }
    /// Whether any of these is in the set.
    pub fn has_any(self, any: Privileges) -> bool {
        self.0 & any.0 != 0
    }
    /// The set without these.
    pub fn without(self, others: Privileges) -> Privileges {
        Privileges(self.0 & !others.0)
    }
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Privileges {
    type Output = Privileges;
    fn bitor(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }
}

/// Privileges of one role on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// OID of the role, or [`EVERYBODY`].
    pub to: u32,
    /// Which.
    pub privileges: Privileges,
}

/// Who owns an object and what was granted; part of its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// OID of the owner; `None` is the owner of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Grants, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<Granted>,
}

impl Access {
    /// That of an object which a role makes.
    pub fn owned_by(role: u32) -> Access {
        Access { owner: Some(role).filter(|role| *role != OWNER), granted: Vec::new() }
    }
    /// Whether it is as for all objects that nobody in particular owns; such a one is not written down.
    pub fn is_default(&self) -> bool {
        *self == Access::default()
    }
    /// OID of the owner.
    pub fn owner(&self) -> u32 {
        self.owner.unwrap_or(OWNER)
    }
    /// Adds privileges of a role.
    pub fn grant(&mut self, to: u32, privileges: Privileges) {
        match self.granted.iter_mut().find(|granted| granted.to == to) {
            Some(granted) => granted.privileges = granted.privileges | privileges,
            None => self.granted.push(Granted { to, privileges }),
        }
    }
    /// Takes privileges of a role away.
    pub fn revoke(&mut self, from: u32, privileges: Privileges) {
        for granted in self.granted.iter_mut().filter(|granted| granted.to == from) {
            granted.privileges = granted.privileges.without(privileges);
        }
        self.granted.retain(|granted| !granted.privileges.is_empty());
    }
    /// Whether a role owns it or was granted something.
    pub fn concerns(&self, role: u32) -> bool {
        self.owner == Some(role) || self.granted.iter().any(|granted| granted.to == role)
    }
}

/// Something that a statement needs to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Privileges on a table, view, sequence or schema.
    On {
        /// OID of the object.
        object: u32,
        /// Which.
        privileges: Privileges,
        /// One of them is enough.
        any: bool,
        /// In place of the client, whose right counts: the owner of the view in which it stands.
        by: Option<u32>,
    },
    /// Ownership of an object.
    Owner(u32),
    /// Making objects in the schema of this name.
    CreateIn(String),
    /// Being a superuser, or a member of this role; for what the text says.
    Superuser(&'static str, Option<u32>),
    /// Being a superuser, or CREATEDB.
    CreateDatabase,
    /// Having made the database, or being a superuser.
    DropDatabase(String),
    /// Being able to take the place of a role.
    Member(u32),
}

impl Object {
    /// Who owns it and what was granted.
    pub fn access(&self) -> &Access {
        match self {
            Object::Table(table) => &table.access,
            Object::View(view) => &view.access,
            Object::Sequence(sequence) => &sequence.access,
            Object::Schema(schema) => &schema.access,
            Object::Enum(found) => &found.access,
        }
    }

    /// As messages call its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Object::Table(_) => "table",
            Object::View(_) => "view",
            Object::Sequence(_) => "sequence",
            Object::Schema(_) => "schema",
            Object::Enum(_) => "type",
        }
    }

    /// All privileges that there are on such an object.
    pub fn all_privileges(&self) -> Privileges {
        match self {
            Object::Table(_) | Object::View(_) => Privileges::OF_TABLES,
            Object::Sequence(_) => Privileges::OF_SEQUENCES,
            Object::Schema(_) => Privileges::OF_SCHEMAS,
            Object::Enum(_) => Privileges::USAGE,
        }
    }

    /// What somebody may do with it.
    pub fn privileges_of(&self, actor: Actor<'_>) -> Privileges {
        let access = self.access();
        if actor.has(access.owner()) {
            return self.all_privileges();
        }
        let granted = access.granted.iter().filter(|granted| granted.to == EVERYBODY || actor.has(granted.to));
        let granted = granted.fold(Privileges::NONE, |all, granted| all | granted.privileges);
        let (read, write) = match self {
            Object::Table(_) | Object::View(_) => {
                (Privileges::SELECT, Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE)
            }
            Object::Sequence(_) => (Privileges::SELECT, Privileges::UPDATE | Privileges::USAGE),
            Object::Schema(_) | Object::Enum(_) => (Privileges::USAGE, Privileges::USAGE),
        };
        let of_group = |group: u32, privileges: Privileges| match actor.has(group) {
            true => privileges,
            false => Privileges::NONE,
        };
        granted | of_group(READ_ALL_DATA, read) | of_group(WRITE_ALL_DATA, write) | self.granted_to_everybody()
    }

    /// What everybody may do unless it is said otherwise: name things in `public`, use types.
    fn granted_to_everybody(&self) -> Privileges {
        match self {
            Object::Schema(schema) if schema.name == PUBLIC => Privileges::USAGE,
            Object::Enum(_) => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }
}

fn denied(object: &Object) -> SqlError {
    SqlError::new("42501", format!("permission denied for {} {}", object.kind(), object.full_name().1))
}

/// Whether somebody may do what a statement needs.
///
/// # Errors
/// 42501 with the object's name.
pub fn permit(catalog: &Catalog, actor: Actor<'_>, need: &Need) -> Result<(), SqlError> {
    if actor.is_superuser() && !matches!(need, Need::On { by: Some(_), .. }) {
        return Ok(());
    }
    let refused = |message: &str| Err(SqlError::new("42501", message));
    match need {
        Need::On { object, privileges, any, by } => {
            // What is gone is an error of its own, later.
            let Some(object) = catalog.object(*object) else { return Ok(()) };
            let actor = by.map_or(actor, |owner| Actor::of(actor.roles, owner));
            let has = object.privileges_of(actor);
            let enough = if *any { has.has_any(*privileges) } else { has.has(*privileges) };
            if enough { Ok(()) } else { Err(denied(object)) }
        }
        Need::Owner(object) => {
            let Some(object) = catalog.object(*object) else { return Ok(()) };
            if actor.has(object.access().owner()) {
                return Ok(());
            }
            refused(&format!("must be owner of {} {}", object.kind(), object.full_name().1))
        }
        Need::CreateIn(name) => {
            let may = catalog.schema(name).is_some_and(|s| s.privileges_of(actor).has(Privileges::CREATE));
            if may { Ok(()) } else { refused(&format!("permission denied for schema {name}")) }
        }
        Need::Superuser(what, group) => match group.is_some_and(|group| actor.has(group)) {
            true => Ok(()),
            false => refused(what),
        },
        Need::DropDatabase(name) => match actor.owns_database(name) {
            true => Ok(()),
            false => refused(&format!("must be owner of database {name}")),
        },
        Need::Member(role) => match actor.roles.is_member(actor.oid(), *role) {
            true => Ok(()),
            false => refused(&format!("must be member of role \"{}\"", actor.roles.get(*role).map_or("", |r| &r.name))),
        },
        Need::CreateDatabase => match actor.role.is_some_and(|role| role.create_db) {
            true => Ok(()),
            false => refused("permission denied to create database"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::roles::{Membership, Role, Roles};
    use super::super::{Change, Table, View};
    use super::*;
    use std::sync::Arc;

    const ANN: u32 = 20_001;
    const GROUP: u32 = 20_002;
    const TABLE: u32 = 20_010;
    const VIEW: u32 = 20_011;

    fn roles(of: &[u32]) -> Roles {
        let mut roles = Roles::default();
        roles.put(Role::new(GROUP, "staff"));
        let member_of = of.iter().map(|of| Membership { of: *of, admin: false }).collect();
        roles.put(Role { member_of, ..Role::new(ANN, "ann") });
        roles
    }

    fn catalog(access: Access, view: Access) -> Catalog {
        let name = |name: &str| ("public".to_owned(), name.to_owned());
        let ((schema, t), (_, v)) = (name("t"), name("v"));
        let table = Table { oid: TABLE, schema: schema.clone(), name: t, access, ..Table::default() };
        let (query, columns, reads) = ("SELECT 1".to_owned(), Vec::new(), vec![TABLE]);
        let view = View { oid: VIEW, schema, name: v, query, columns, reads, comment: None, access: view };
        let catalog = Catalog::empty().after(&Change::Put(Object::Table(Arc::new(table))));
        catalog.after(&Change::Put(Object::View(Arc::new(view))))
    }

    fn on(object: u32, privileges: Privileges, by: Option<u32>) -> Need {
        Need::On { object, privileges, any: false, by }
    }

    #[test]
    fn grants_add_up_and_are_taken_away_one_by_one() {
        let mut access = Access::default();
        access.grant(ANN, Privileges::SELECT);
        access.grant(GROUP, Privileges::INSERT | Privileges::UPDATE);
        access.grant(EVERYBODY, Privileges::TRUNCATE);
        access.revoke(GROUP, Privileges::UPDATE);
        let catalog = catalog(access.clone(), Access::default());
        let may = |roles: &Roles, privileges| {
            let actor = Actor { roles, role: roles.get(ANN) };
            permit(&catalog, actor, &on(TABLE, privileges, None)).map_err(|error| error.message)
        };
        let denied = Err("permission denied for table t".to_owned());
        let alone = roles(&[]);
        assert_eq!(may(&alone, Privileges::SELECT | Privileges::TRUNCATE), Ok(()));
        assert_eq!(may(&alone, Privileges::INSERT), denied);
        let grouped = roles(&[GROUP]);
        assert_eq!(may(&grouped, Privileges::SELECT | Privileges::INSERT), Ok(()));
        assert_eq!(may(&grouped, Privileges::UPDATE), denied);
        access.revoke(GROUP, Privileges::INSERT);
        assert!(!access.concerns(GROUP) && access.concerns(ANN));
    }

    #[test]
    fn groups_for_all_data_hold_for_every_object() {
        let catalog = catalog(Access::default(), Access::default());
        let may = |of: &[u32], object, privileges| {
            let roles = roles(of);
            permit(&catalog, Actor { roles: &roles, role: roles.get(ANN) }, &on(object, privileges, None)).is_ok()
        };
        assert!(!may(&[], TABLE, Privileges::SELECT));
        assert!(may(&[READ_ALL_DATA], TABLE, Privileges::SELECT) && may(&[READ_ALL_DATA], VIEW, Privileges::SELECT));
        assert!(!may(&[READ_ALL_DATA], TABLE, Privileges::UPDATE));
        assert!(may(&[WRITE_ALL_DATA], TABLE, Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE));
        assert!(!may(&[WRITE_ALL_DATA], TABLE, Privileges::SELECT));
        assert!(!may(&[READ_ALL_DATA, WRITE_ALL_DATA], TABLE, Privileges::TRUNCATE));
    }

    #[test]
    fn what_a_view_reads_its_owner_must_be_allowed() {
        let roles = roles(&[]);
        let superuser = Actor { roles: &roles, role: None };
        let of_ann = catalog(Access::default(), Access::owned_by(ANN));
        let need = on(TABLE, Privileges::SELECT, Some(ANN));
        assert_eq!(permit(&of_ann, superuser, &need).unwrap_err().code(), "42501");
        assert!(permit(&of_ann, Actor { roles: &roles, role: roles.get(ANN) }, &need).is_err());
        let ann = Actor { roles: &roles, role: roles.get(ANN) };
        assert!(permit(&of_ann, ann, &on(TABLE, Privileges::SELECT, Some(OWNER))).is_ok());
        // Its owner is gone.
        assert!(permit(&of_ann, superuser, &on(TABLE, Privileges::SELECT, Some(77))).is_err());
    }

    #[test]
    fn only_owners_change_definitions_and_making_needs_a_grant() {
        let roles = roles(&[GROUP]);
        let ann = Actor { roles: &roles, role: roles.get(ANN) };
        let catalog = catalog(Access::owned_by(GROUP), Access::default());
        assert!(permit(&catalog, ann, &Need::Owner(TABLE)).is_ok());
        let refused = permit(&catalog, ann, &Need::Owner(VIEW)).unwrap_err();
        assert_eq!((refused.code(), refused.message.as_str()), ("42501", "must be owner of view v"));
        assert!(permit(&catalog, ann, &Need::CreateIn("public".into())).is_err());
        assert!(permit(&catalog, ann, &Need::CreateDatabase).is_err());
        assert!(permit(&catalog, ann, &Need::Superuser("no", None)).is_err());
        assert!(permit(&catalog, ann, &Need::Superuser("no", Some(GROUP))).is_ok());
    }
}
