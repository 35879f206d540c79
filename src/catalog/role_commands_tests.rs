//! Who may change which roles, and what comes of it.

use super::*;
use crate::catalog::roles::READ_ALL_DATA;

/// The catalog after commands of somebody who is trusted.
fn catalog(commands: &[RoleCommand]) -> Catalog {
    commands.iter().fold(Catalog::empty(), |catalog, command| {
        let trusted = Actor { roles: &catalog.roles, role: None };
        let by = Commander { current: trusted, session: trusted };
        let edit = change_roles(&catalog, command, by, "secret").unwrap();
        edit.changes.iter().fold(catalog.clone(), |catalog, change| catalog.after(change))
    })
}

fn create(name: &str, options: RoleOptions) -> RoleCommand {
    RoleCommand::Create { name: name.into(), options }
}

fn named(name: &str) -> RoleName {
    RoleName::Named(name.into())
}

fn drop_of(name: &str) -> RoleCommand {
    RoleCommand::Drop { roles: vec![named(name)], if_exists: false }
}

/// What a role achieves: the roles after it, or code and message.
fn attempt(catalog: &Catalog, by: &str, command: &RoleCommand) -> Result<Catalog, (String, String)> {
    let actor = Actor { roles: &catalog.roles, role: catalog.roles.named(by) };
    let by = Commander { current: actor, session: actor };
    let edit = change_roles(catalog, command, by, "secret").map_err(|e| (e.code().to_owned(), e.message))?;
    Ok(edit.changes.iter().fold(catalog.clone(), |catalog, change| catalog.after(change)))
}

fn code(catalog: &Catalog, by: &str, command: &RoleCommand) -> String {
    attempt(catalog, by, command).map_or_else(|(code, _)| code, |_| "done".into())
}

fn maker() -> RoleOptions {
    RoleOptions { create_role: Some(true), login: Some(true), ..RoleOptions::default() }
}

#[test]
fn createrole_is_a_right_over_the_roles_that_one_made() {
    let catalog = catalog(&[create("maker", maker()), create("ann", RoleOptions::default())]);
    let catalog = attempt(&catalog, "maker", &create("bob", RoleOptions::default())).unwrap();
    let alter = |name: &str| RoleCommand::Alter {
        role: named(name),
        options: RoleOptions { login: Some(true), ..RoleOptions::default() },
    };
    assert_eq!(code(&catalog, "maker", &alter("bob")), "done");
    assert_eq!(code(&catalog, "maker", &alter("ann")), "42501");
    assert_eq!(code(&catalog, "maker", &alter("evesql")), "42501");
    assert_eq!(code(&catalog, "maker", &drop_of("ann")), "42501");
    assert_eq!(code(&catalog, "maker", &drop_of("bob")), "done");
    assert_eq!(code(&catalog, "ann", &create("eve", RoleOptions::default())), "42501");
    let superuser = RoleOptions { superuser: Some(true), ..RoleOptions::default() };
    assert_eq!(code(&catalog, "maker", &create("root", superuser.clone())), "42501");
    assert_eq!(code(&catalog, "maker", &RoleCommand::Alter { role: RoleName::Current, options: superuser }), "42501");
    let group = |of: &str| RoleCommand::Grant { roles: vec![of.into()], to: vec![named("bob")], admin: false };
    assert_eq!(code(&catalog, "maker", &group("pg_read_all_data")), "42501");
    assert_eq!(code(&catalog, "maker", &group("evesql")), "42501");
    let in_group = RoleOptions { member_of: vec!["pg_read_all_data".into()], ..RoleOptions::default() };
    assert_eq!(code(&catalog, "maker", &create("cat", in_group)), "42501");
}

#[test]
fn everybody_may_change_the_own_password_and_nothing_else() {
    let catalog = catalog(&[create("ann", RoleOptions::default()), create("bob", RoleOptions::default())]);
    let password = Some(Password::Verifier("kept".into()));
    let alter = |role: RoleName, options: RoleOptions| RoleCommand::Alter { role, options };
    let alone = RoleOptions { password: password.clone(), ..RoleOptions::default() };
    let after = attempt(&catalog, "ann", &alter(RoleName::Current, alone.clone())).unwrap();
    assert_eq!(after.roles.named("ann").unwrap().password.as_deref(), Some("kept"));
    assert_eq!(code(&catalog, "ann", &alter(named("bob"), alone)), "42501");
    let more = RoleOptions { password, login: Some(true), ..RoleOptions::default() };
    assert_eq!(code(&catalog, "ann", &alter(named("ann"), more)), "42501");
    let clear = RoleOptions { password: Some(Password::Clear("pencil".into())), ..RoleOptions::default() };
    assert_eq!(code(&catalog, "ann", &alter(named("ann"), clear)), "XX000");
}

#[test]
fn nobody_becomes_a_member_of_himself_by_any_way() {
    let all = ["a", "b", "c"].map(|name| create(name, RoleOptions::default()));
    let mut catalog = catalog(&all);
    let grant = |of: &str, to: &str| RoleCommand::Grant { roles: vec![of.into()], to: vec![named(to)], admin: false };
    for (of, to) in [("a", "b"), ("b", "c")] {
        catalog = attempt(&catalog, "evesql", &grant(of, to)).unwrap();
    }
    assert_eq!(code(&catalog, "evesql", &grant("c", "a")), "0LP01");
    assert_eq!(code(&catalog, "evesql", &grant("a", "a")), "0LP01");
    assert_eq!(code(&catalog, "evesql", &grant("nobody", "a")), "42704");
    let revoke = RoleCommand::Revoke { roles: vec!["b".into()], from: vec![named("c")], admin_only: false };
    let catalog = attempt(&catalog, "evesql", &revoke).unwrap();
    assert_eq!(code(&catalog, "evesql", &grant("c", "a")), "done");
}

#[test]
fn names_are_free_again_after_a_drop_and_oids_are_not() {
    let catalog = catalog(&[create("a", RoleOptions::default())]);
    let (first, secret) = (catalog.roles.named("a").unwrap().oid, catalog.roles.secret().map(str::to_owned));
    assert_eq!(secret.as_deref(), Some("secret"));
    assert_eq!(code(&catalog, "evesql", &create("a", RoleOptions::default())), "42710");
    let member = create("b", RoleOptions { member_of: vec!["a".into()], ..RoleOptions::default() });
    let catalog = attempt(&catalog, "evesql", &member).unwrap();
    let catalog = attempt(&catalog, "evesql", &drop_of("a")).unwrap();
    assert!(catalog.roles.named("b").unwrap().member_of.is_empty());
    let catalog = attempt(&catalog, "evesql", &create("a", RoleOptions::default())).unwrap();
    assert!(catalog.roles.named("a").unwrap().oid > first);
    assert_eq!(code(&catalog, "evesql", &drop_of("zoe")), "42704");
    let lenient = RoleCommand::Drop { roles: vec![named("zoe")], if_exists: true };
    assert_eq!(code(&catalog, "evesql", &lenient), "done");
}

#[test]
fn what_was_always_there_stays() {
    let catalog = catalog(&[create("root", RoleOptions { superuser: Some(true), ..RoleOptions::default() })]);
    assert_eq!(code(&catalog, "root", &drop_of("evesql")), "2BP01");
    assert_eq!(code(&catalog, "root", &drop_of("pg_read_all_data")), "2BP01");
    assert_eq!(code(&catalog, "root", &drop_of("root")), "55006");
    let weaker = RoleOptions { superuser: Some(false), ..RoleOptions::default() };
    assert_eq!(code(&catalog, "root", &RoleCommand::Alter { role: named("evesql"), options: weaker }), "0A000");
    assert_eq!(code(&catalog, "root", &create("pg_mine", RoleOptions::default())), "42939");
    assert_eq!(code(&catalog, "root", &create("public", RoleOptions::default())), "42939");
    let rename = |from: &str, to: &str| RoleCommand::Rename { from: from.into(), to: to.into() };
    assert_eq!(code(&catalog, "root", &rename("root", "toor")), "0A000");
    assert_eq!(code(&catalog, "root", &rename("pg_read_all_data", "readers")), "42939");
    let renamed = attempt(&catalog, "root", &rename("evesql", "owner")).unwrap();
    assert_eq!(renamed.roles.named("owner").map(|role| role.oid), Some(OWNER));
    assert!(renamed.roles.get(READ_ALL_DATA).is_some());
}
