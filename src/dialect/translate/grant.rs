//! GRANT, REVOKE and OWNER TO: changes of what the catalog says of objects.

use super::table_ddl::Work;
use super::{Need, Result, Translator};
use crate::catalog::enums::EnumType;
use crate::catalog::privileges::Access;
use crate::catalog::{Change, Object, Schema, Sequence, Table, View};
use crate::dialect::prepared::Prepared;
use crate::dialect::role_command::{Grant, GrantAction, GrantObjects, Grantee};
use crate::transaction::SqlError;
use std::sync::Arc;

/// The OID of a grantee, or why it is none.
pub(in crate::dialect) type Resolve<'a> = &'a dyn Fn(&Grantee) -> Result<u32>;

impl Translator<'_> {
    pub(in crate::dialect) fn grant(&mut self, grant: &Grant, resolve: Resolve<'_>) -> Result<Prepared> {
        let objects = self.granted_objects(&grant.objects)?;
        let grantees = grant.grantees.iter().map(resolve).collect::<Result<Vec<u32>>>()?;
        let mut work = Work::new(self.catalog);
        for object in objects {
            if grant.action == GrantAction::OwnerTo {
                self.refuse_linked_sequence(&object, &grantees)?;
            }
            let all = object.all_privileges();
            let privileges = grant.privileges.unwrap_or(all);
            if !all.has(privileges) {
                let names: Vec<&str> = privileges.without(all).names().collect();
                let message = format!("invalid privilege type {} for {}", names.join(", "), object.kind());
                return Err(SqlError::new("0LP01", message));
            }
            self.need(Need::Owner(object.oid()));
            let mut access = object.access().clone();
            for to in &grantees {
                match grant.action {
                    GrantAction::Grant => access.grant(*to, privileges),
                    GrantAction::Revoke => access.revoke(*to, privileges),
                    GrantAction::OwnerTo => {
                        self.need(Need::Member(*to));
                        access.owner = Access::owned_by(*to).owner;
                    }
                }
            }
            if access != *object.access() {
                // The sequences of a table's columns have its owner.
                if grant.action == GrantAction::OwnerTo {
                    for (_, sequence) in self.catalog.sequences_of(object.oid()) {
                        let sequence = Object::Sequence(sequence.clone());
                        work.change(Change::Put(owned_by(&sequence, access.owner())));
                    }
                }
                work.change(Change::Put(with_access(&object, access)));
            }
        }
        self.finish_ddl(work, grant.tag())
    }

    /// A sequence that a column owns has the table's owner.
    fn refuse_linked_sequence(&self, object: &Object, owners: &[u32]) -> Result<()> {
        let Object::Sequence(sequence) = object else { return Ok(()) };
        let Some(table) = sequence.owner.and_then(|(table, _)| self.catalog.table(table)) else { return Ok(()) };
        if owners.iter().all(|owner| *owner == table.access.owner()) {
            return Ok(());
        }
        let text = format!("cannot change owner of sequence \"{}\"", sequence.name);
        let detail = format!("Sequence \"{}\" is linked to table \"{}\".", sequence.name, table.name);
        Err(SqlError::new("0A000", text).with_detail(detail))
    }

    /// The objects in the order in which they are named, or of their OIDs.
    fn granted_objects(&mut self, objects: &GrantObjects) -> Result<Vec<Object>> {
        let is_relation = |object: &Object| matches!(object, Object::Table(_) | Object::View(_));
        let is_sequence = |object: &Object| matches!(object, Object::Sequence(_));
        match objects {
            GrantObjects::Tables(names) => {
                let named = names.iter().map(|name| self.granted_object(name, |o| is_relation(o) || is_sequence(o)));
                named.collect()
            }
            GrantObjects::Sequences(names) => names.iter().map(|name| self.granted_object(name, is_sequence)).collect(),
            GrantObjects::TablesIn(schemas) => self.objects_in(schemas, is_relation),
            GrantObjects::SequencesIn(schemas) => self.objects_in(schemas, is_sequence),
            GrantObjects::Schemas(names) => names.iter().map(|name| self.granted_schema(name)).collect(),
            GrantObjects::Types(names) => {
                let own = |name: &Vec<String>| Ok(Object::Enum(Arc::new(self.own_enum(name)?)));
                names.iter().map(own).collect()
            }
        }
    }

    fn granted_object(&self, name: &[String], fits: impl Fn(&Object) -> bool) -> Result<Object> {
        let (schema, plain) = self.qualified(name)?;
        match self.find_object(schema.as_deref(), &plain) {
            // An index's name leads to its table.
            Some(object) if object.full_name().1 == plain && fits(&object) => Ok(object),
            Some(_) => Err(SqlError::new("42809", format!("\"{plain}\" is of another kind"))),
            None => Err(self.no_relation(schema.as_deref(), &plain)),
        }
    }

    fn granted_schema(&self, name: &str) -> Result<Object> {
        let missing = || SqlError::new("3F000", format!("schema \"{name}\" does not exist"));
        self.catalog.schema(name).ok_or_else(missing)
    }

    fn objects_in(&self, schemas: &[String], fits: impl Fn(&Object) -> bool) -> Result<Vec<Object>> {
        schemas.iter().try_for_each(|schema| self.granted_schema(schema).map(|_| ()))?;
        let inside = |object: &&Object| fits(object) && schemas.iter().any(|schema| object.full_name().0 == schema);
        Ok(self.catalog.objects().filter(inside).cloned().collect())
    }
}

fn with_access(object: &Object, access: Access) -> Object {
    match object {
        Object::Table(table) => Object::Table(Arc::new(Table { access, ..Table::clone(table) })),
        Object::View(view) => Object::View(Arc::new(View { access, ..View::clone(view) })),
        Object::Sequence(sequence) => Object::Sequence(Arc::new(Sequence { access, ..Sequence::clone(sequence) })),
        Object::Schema(schema) => Object::Schema(Arc::new(Schema { access, ..Schema::clone(schema) })),
        Object::Enum(found) => Object::Enum(Arc::new(EnumType { access, ..EnumType::clone(found) })),
    }
}

/// The object as its maker's.
pub(super) fn owned_by(object: &Object, role: u32) -> Object {
    with_access(object, Access { owner: Access::owned_by(role).owner, ..object.access().clone() })
}
