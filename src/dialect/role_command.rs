//! CREATE, ALTER and DROP ROLE (USER, GROUP), GRANT and REVOKE.

use super::datetime::{TIMESTAMP_INFINITY, parse_timestamptz};
use super::utility::{Cursor, Read, Utility, set_value};
use super::zone::Zone;
use crate::catalog::privileges::Privileges;
use crate::catalog::role_commands::{Password, RoleCommand, RoleName, RoleOptions};
use crate::scram::Verifier;
use crate::transaction::SqlError;
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// Objects of GRANT and REVOKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantObjects {
    /// Tables and views by name.
    Tables(Vec<Vec<String>>),
    /// All tables and views in schemas.
    TablesIn(Vec<String>),
    /// Sequences by name.
    Sequences(Vec<Vec<String>>),
    /// All sequences in schemas.
    SequencesIn(Vec<String>),
    /// Schemas.
    Schemas(Vec<String>),
    /// Types by name, of OWNER TO alone: everybody may use them.
    Types(Vec<Vec<String>>),
}

/// A role that gets or loses privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// PUBLIC: everybody.
    Everybody,
    /// A role.
    Role(RoleName),
}

/// What becomes of the rights to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantAction {
    /// GRANT.
    Grant,
    /// REVOKE.
    Revoke,
    /// ALTER .. OWNER TO.
    OwnerTo,
}

/// GRANT or REVOKE of privileges, or ALTER .. OWNER TO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which of the three.
    pub action: GrantAction,
    /// Which; `None` is ALL.
    pub privileges: Option<Privileges>,
    /// On what.
    pub objects: GrantObjects,
    /// To or from whom.
    pub grantees: Vec<Grantee>,
    /// The statement's own text.
    pub text: Arc<str>,
}

impl Grant {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match (self.action, &self.objects) {
            (GrantAction::Grant, _) => "GRANT",
            (GrantAction::Revoke, _) => "REVOKE",
            (GrantAction::OwnerTo, GrantObjects::Schemas(_)) => "ALTER SCHEMA",
            (GrantAction::OwnerTo, GrantObjects::Sequences(_)) => "ALTER SEQUENCE",
            (GrantAction::OwnerTo, GrantObjects::Types(_)) => "ALTER TYPE",
            (GrantAction::OwnerTo, _) => "ALTER TABLE",
        }
    }
}

/// Whether lexemes that begin with `first` make a command about roles.
pub(super) fn is_about_roles(cursor: &Cursor<'_>, first: &str) -> bool {
    let second = cursor.word(1);
    let named = |words: &[&str]| second.as_deref().is_some_and(|word| words.contains(&word));
    match first {
        "grant" | "revoke" => true,
        "create" | "drop" => named(&["role", "user", "group"]),
        "alter" if named(&["default"]) => cursor.word(2).as_deref() == Some("privileges"),
        "alter" => named(&["role", "user", "group"]) || is_owner_to(cursor),
        _ => false,
    }
}

/// Whether the lexemes end with OWNER TO somebody.
fn is_owner_to(cursor: &Cursor<'_>) -> bool {
    let at = cursor.tokens.len().wrapping_sub(3);
    let kinds = ["table", "view", "sequence", "schema", "type"];
    cursor.word(1).is_some_and(|kind| kinds.contains(&kind.as_str()))
        && cursor.word(at).as_deref() == Some("owner")
        && cursor.word(at + 1).as_deref() == Some("to")
}

/// Reads a command about roles.
pub(super) fn roles(mut cursor: Cursor<'_>, first: &str) -> Read<Option<Utility>> {
    cursor.at = 1;
    if matches!(first, "grant" | "revoke") {
        return grant(cursor, first == "grant");
    }
    let second = cursor.word(0).unwrap_or_default();
    cursor.at = 2;
    let command = match first {
        "create" => create(&mut cursor, &second)?,
        "drop" => {
            let if_exists = cursor.take(&["if", "exists"]);
            RoleCommand::Drop { roles: role_names(&mut cursor)?, if_exists }
        }
        _ if second == "default" => {
            return Err(SqlError::new("0A000", "ALTER DEFAULT PRIVILEGES is not supported")
                .with_hint("Make the role a member of pg_read_all_data, and of pg_write_all_data if it is to write."));
        }
        _ if ["role", "user", "group"].contains(&second.as_str()) => alter(&mut cursor, &second)?,
        _ => return owner_to(cursor, &second),
    };
    cursor.done(Utility::Role(Box::new(command)))
}

fn create(cursor: &mut Cursor<'_>, kind: &str) -> Read<RoleCommand> {
    let name = match role_name(cursor)? {
        RoleName::Named(name) => name,
        _ => return Err(SqlError::new("42939", "a role cannot have this name")),
    };
    let mut options = RoleOptions { login: Some(kind == "user"), ..RoleOptions::default() };
    cursor.take(&["with"]);
    role_options(cursor, &mut options, true)?;
    Ok(RoleCommand::Create { name, options })
}

fn alter(cursor: &mut Cursor<'_>, kind: &str) -> Read<RoleCommand> {
    if cursor.take(&["all"]) {
        return Err(SqlError::new("0A000", "ALTER ROLE ALL is not supported"));
    }
    let role = role_name(cursor)?;
    if kind == "group" && (cursor.take(&["add", "user"]) || cursor.take(&["drop", "user"])) {
        return Err(SqlError::new("0A000", "ALTER GROUP is not supported").with_hint("Use GRANT and REVOKE."));
    }
    if cursor.take(&["rename", "to"]) {
        return match (role, role_name(cursor)?) {
            (RoleName::Named(from), RoleName::Named(to)) => Ok(RoleCommand::Rename { from, to }),
            _ => Err(SqlError::new("0A000", "the role of the session cannot be renamed")),
        };
    }
    if cursor.take(&["in", "database"]) {
        return Err(SqlError::new("0A000", "settings of a role in one database are not supported"));
    }
    if cursor.take(&["reset"]) {
        let name = if cursor.take(&["all"]) { None } else { Some(setting_name(cursor)?) };
        return Ok(RoleCommand::Set { role, name, value: None });
    }
    if cursor.take(&["set"]) {
        let name = setting_name(cursor)?;
        if name != "timezone" && !cursor.take(&["to"]) {
            cursor.expect_token(&Token::Eq)?;
        } else if name == "timezone" {
            let _ = cursor.take(&["to"]) || cursor.take_token(&Token::Eq);
        }
        return Ok(RoleCommand::Set { role, name: Some(name), value: set_value(cursor)? });
    }
    let mut options = RoleOptions::default();
    cursor.take(&["with"]);
    role_options(cursor, &mut options, false)?;
    Ok(RoleCommand::Alter { role, options })
}

fn setting_name(cursor: &mut Cursor<'_>) -> Read<String> {
    if cursor.take(&["time", "zone"]) {
        return Ok("timezone".into());
    }
    Ok(cursor.dotted()?.join(".").to_lowercase())
}

/// Options up to the end of the statement.
fn role_options(cursor: &mut Cursor<'_>, options: &mut RoleOptions, creates: bool) -> Read<()> {
    while cursor.peek().is_some() {
        let word = cursor.word(0).ok_or_else(|| cursor.error())?;
        let (plain, given) = match word.strip_prefix("no") {
            Some(plain) => (plain, false),
            None => (word.as_str(), true),
        };
        let flag = match plain {
            "superuser" => Some(&mut options.superuser),
            "login" => Some(&mut options.login),
            "inherit" => Some(&mut options.inherit),
            "createdb" => Some(&mut options.create_db),
            "createrole" => Some(&mut options.create_role),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = Some(given);
            cursor.at += 1;
            continue;
        }
        cursor.at += 1;
        match word.as_str() {
            // There is neither replication by clients nor row security.
            "replication" | "noreplication" | "bypassrls" | "nobypassrls" => {}
            "encrypted" => {}
            "password" => options.password = Some(password(cursor)?),
            "valid" => {
                cursor.expect("until")?;
                let until = parse_timestamptz(&cursor.string()?, Zone::UTC)?;
                options.valid_until_us = Some(Some(until).filter(|until| *until != TIMESTAMP_INFINITY));
            }
            "connection" => {
                cursor.expect("limit")?;
                let unlimited = cursor.take_token(&Token::Minus);
                match cursor.next() {
                    Some(Token::Number(number, _)) if unlimited && number == "1" => {}
                    Some(Token::Number(..)) => {
                        return Err(SqlError::new("0A000", "CONNECTION LIMIT of a role is not supported")
                            .with_hint("connections_max in the configuration file holds for all."));
                    }
                    _ => return Err(cursor.error()),
                }
            }
            "sysid" => {
                cursor.next();
            }
            "in" if creates && (cursor.take(&["role"]) || cursor.take(&["group"])) => {
                options.member_of.extend(plain_names(cursor)?);
            }
            "role" | "user" if creates => {
                options.members.extend(plain_names(cursor)?.into_iter().map(|name| (name, false)));
            }
            "admin" if creates => {
                options.members.extend(plain_names(cursor)?.into_iter().map(|name| (name, true)));
            }
            _ => {
                cursor.at -= 1;
                return Err(cursor.error());
            }
        }
    }
    Ok(())
}

fn password(cursor: &mut Cursor<'_>) -> Read<Password> {
    if cursor.take(&["null"]) {
        return Ok(Password::None);
    }
    let text = cursor.string()?;
    let is_md5 =
        text.strip_prefix("md5").is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_md5 {
        return Err(SqlError::new("0A000", "passwords hashed with MD5 are not supported")
            .with_hint("Set password_encryption to scram-sha-256, or give the password itself."));
    }
    Ok(match Verifier::parse(&text) {
        Some(_) => Password::Verifier(text),
        None if text.is_empty() => Password::None,
        None => Password::Clear(text),
    })
}

/// A role's name, or a word that stands for one.
fn role_name(cursor: &mut Cursor<'_>) -> Read<RoleName> {
    match cursor.word(0).as_deref() {
        Some("current_user" | "current_role") => {
            cursor.at += 1;
            Ok(RoleName::Current)
        }
        Some("session_user") => {
            cursor.at += 1;
            Ok(RoleName::Session)
        }
        _ => Ok(RoleName::Named(cursor.name()?)),
    }
}

fn listed<T>(cursor: &mut Cursor<'_>, one: impl Fn(&mut Cursor<'_>) -> Read<T>) -> Read<Vec<T>> {
    let mut all = vec![one(cursor)?];
    while cursor.take_token(&Token::Comma) {
        all.push(one(cursor)?);
    }
    Ok(all)
}

fn role_names(cursor: &mut Cursor<'_>) -> Read<Vec<RoleName>> {
    listed(cursor, role_name)
}

fn plain_names(cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
    listed(cursor, |cursor| cursor.name())
}

/// ALTER .. OWNER TO.
fn owner_to(mut cursor: Cursor<'_>, kind: &str) -> Read<Option<Utility>> {
    let text = text_of(&cursor)?;
    cursor.take(&["if", "exists"]);
    cursor.take(&["only"]);
    let objects = match kind {
        "schema" => GrantObjects::Schemas(vec![cursor.name()?]),
        "sequence" => GrantObjects::Sequences(vec![cursor.dotted()?]),
        "type" => GrantObjects::Types(vec![cursor.dotted()?]),
        _ => GrantObjects::Tables(vec![cursor.dotted()?]),
    };
    cursor.expect("owner")?;
    cursor.expect("to")?;
    let grantees = vec![Grantee::Role(role_name(&mut cursor)?)];
    let grant = Grant { action: GrantAction::OwnerTo, privileges: None, objects, grantees, text };
    cursor.done(Utility::Grant(Box::new(grant)))
}

/// The whole statement.
fn text_of(cursor: &Cursor<'_>) -> Read<Arc<str>> {
    let (Some(first), Some(last)) = (cursor.tokens.first(), cursor.tokens.last()) else { return Err(cursor.error()) };
    Ok(cursor.places.slice(first.span.start, last.span.end).into())
}

/// GRANT and REVOKE: of privileges if ON follows, else of membership.
fn grant(mut cursor: Cursor<'_>, gives: bool) -> Read<Option<Utility>> {
    let on = (0..cursor.rest().len()).find(|ahead| cursor.word(*ahead).as_deref() == Some("on"));
    match on {
        Some(_) => privileges(cursor, gives),
        None => {
            let admin_only = !gives && cursor.take(&["admin", "option", "for"]);
            let roles = plain_names(&mut cursor)?;
            cursor.expect(if gives { "to" } else { "from" })?;
            let others = role_names(&mut cursor)?;
            let admin = gives && (cursor.take(&["with", "admin", "option"]) || cursor.take(&["with", "admin", "true"]));
            granted_by(&mut cursor)?;
            let _ = cursor.take(&["cascade"]) || cursor.take(&["restrict"]);
            let command = match gives {
                true => RoleCommand::Grant { roles, to: others, admin },
                false => RoleCommand::Revoke { roles, from: others, admin_only },
            };
            cursor.done(Utility::Role(Box::new(command)))
        }
    }
}

fn granted_by(cursor: &mut Cursor<'_>) -> Read<()> {
    if cursor.take(&["granted", "by"]) {
        role_name(cursor)?;
    }
    Ok(())
}

fn no_grant_option() -> SqlError {
    SqlError::new("0A000", "WITH GRANT OPTION is not supported").with_hint("Owners and superusers grant.")
}

fn privileges(mut cursor: Cursor<'_>, gives: bool) -> Read<Option<Utility>> {
    let text = text_of(&cursor)?;
    if !gives && cursor.take(&["grant", "option", "for"]) {
        return Err(no_grant_option());
    }
    let mut other = None;
    let privileges = match cursor.take(&["all"]) {
        true => {
            cursor.take(&["privileges"]);
            None
        }
        false => {
            let one = |cursor: &mut Cursor<'_>| {
                let name = cursor.word(0).ok_or_else(|| cursor.error())?;
                cursor.at += 1;
                Ok(name)
            };
            let mut set = Privileges::NONE;
            for name in listed(&mut cursor, one)? {
                match Privileges::named(&name) {
                    Some(privilege) => set = set | privilege,
                    None => other = Some(name),
                }
            }
            if cursor.peek() == Some(&Token::LParen) {
                return Err(SqlError::new("0A000", "privileges on columns are not supported")
                    .with_hint("Grant them on a view of these columns."));
            }
            Some(set)
        }
    };
    cursor.expect("on")?;
    let Some(objects) = objects(&mut cursor, gives)? else {
        // Functions, types, languages: everybody may use them.
        let tag = if gives { "GRANT" } else { "REVOKE" };
        return Ok(Some(Utility::Ignored(tag)));
    };
    if let Some(name) = other {
        return Err(SqlError::new("42601", format!("unrecognized privilege type \"{name}\"")));
    }
    cursor.expect(if gives { "to" } else { "from" })?;
    let grantees = listed(&mut cursor, |cursor| {
        cursor.take(&["group"]);
        match cursor.take(&["public"]) {
            true => Ok(Grantee::Everybody),
            false => role_name(cursor).map(Grantee::Role),
        }
    })?;
    if cursor.take(&["with", "grant", "option"]) {
        return Err(no_grant_option());
    }
    granted_by(&mut cursor)?;
    let _ = cursor.take(&["cascade"]) || cursor.take(&["restrict"]);
    let action = if gives { GrantAction::Grant } else { GrantAction::Revoke };
    cursor.done(Utility::Grant(Box::new(Grant { action, privileges, objects, grantees, text })))
}

/// What stands behind ON; `None` for kinds of objects that everybody may use.
fn objects(cursor: &mut Cursor<'_>, gives: bool) -> Read<Option<GrantObjects>> {
    if cursor.take(&["all", "tables", "in", "schema"]) {
        return Ok(Some(GrantObjects::TablesIn(plain_names(cursor)?)));
    }
    if cursor.take(&["all", "sequences", "in", "schema"]) {
        return Ok(Some(GrantObjects::SequencesIn(plain_names(cursor)?)));
    }
    if cursor.take(&["schema"]) {
        return Ok(Some(GrantObjects::Schemas(plain_names(cursor)?)));
    }
    if cursor.take(&["sequence"]) {
        return Ok(Some(GrantObjects::Sequences(cursor.names()?)));
    }
    if cursor.take(&["database"]) {
        // What everybody has, and making schemas, is all that there would be to give.
        return match gives {
            true => Ok(None),
            false => Err(SqlError::new("0A000", "REVOKE ON DATABASE is not supported: every role may connect to each")),
        };
    }
    let for_all = ["function", "procedure", "routine", "type", "domain", "language", "all", "large", "tablespace"];
    if cursor.word(0).is_some_and(|word| for_all.contains(&word.as_str())) {
        return match gives {
            true => Ok(None),
            false => Err(SqlError::new("0A000", "REVOKE of such an object is not supported: everybody may use it")),
        };
    }
    cursor.take(&["table"]);
    Ok(Some(GrantObjects::Tables(cursor.names()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse;

    fn read(sql: &str) -> Result<Utility, SqlError> {
        parse(sql).map(|parsed| parsed[0].utility().expect("a command").clone())
    }

    fn role(sql: &str) -> RoleCommand {
        match read(sql).unwrap() {
            Utility::Role(command) => *command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_of_roles_are_read_in_any_order() {
        let sql = "create user \"Ann\" with encrypted password 'x' nosuperuser createdb valid until '2030-01-01' \
                   connection limit -1 in role a, b admin c";
        let RoleCommand::Create { name, options } = role(sql) else { panic!() };
        assert_eq!((name.as_str(), options.login, options.superuser), ("Ann", Some(true), Some(false)));
        assert_eq!((options.create_db, options.inherit), (Some(true), None));
        assert_eq!(options.password, Some(Password::Clear("x".into())));
        assert_eq!(options.valid_until_us, Some(Some(10_958 * 86_400_000_000)));
        assert_eq!(options.member_of, ["a", "b"]);
        assert_eq!(options.members, [("c".to_owned(), true)]);
        let RoleCommand::Create { options, .. } = role("CREATE ROLE r") else { panic!() };
        assert_eq!(options.login, Some(false));
        let RoleCommand::Alter { role: RoleName::Current, options } = role("alter user current_user password null")
        else {
            panic!()
        };
        assert_eq!((options.password, options.login), (Some(Password::None), None));
        let set = RoleCommand::Set {
            role: RoleName::Named("r".into()),
            name: Some("timezone".into()),
            value: Some("utc".into()),
        };
        assert_eq!(role("alter role r set time zone 'utc'"), set);
        assert_eq!(role("alter role r set timezone to 'utc'"), set);
        assert_eq!(read("create role r connection limit 5").unwrap_err().code(), "0A000");
        assert_eq!(read("create role r nonsense").unwrap_err().code(), "42601");
    }

    #[test]
    fn a_verifier_is_told_from_a_password() {
        let verifier = Verifier::new("pencil", &[1; 16]).to_string();
        let RoleCommand::Alter { options, .. } = role(&format!("alter role r password '{verifier}'")) else { panic!() };
        assert_eq!(options.password, Some(Password::Verifier(verifier)));
        let md5 = format!("alter role r password 'md5{}'", "0a".repeat(16));
        assert_eq!(read(&md5).unwrap_err().code(), "0A000");
        assert!(!format!("{:?}", read("create role r password 'very secret'").unwrap()).contains("secret"));
    }

    #[test]
    fn grants_name_privileges_objects_and_roles() {
        let Utility::Grant(grant) = read("grant select, insert on table public.a, b to r, public").unwrap() else {
            panic!()
        };
        assert_eq!(grant.privileges, Some(Privileges::SELECT | Privileges::INSERT));
        assert_eq!(grant.objects, GrantObjects::Tables(vec![vec!["public".into(), "a".into()], vec!["b".into()]]));
        assert_eq!(grant.grantees, [Grantee::Role(RoleName::Named("r".into())), Grantee::Everybody]);
        let Utility::Grant(grant) =
            read("REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA public FROM r CASCADE").unwrap()
        else {
            panic!()
        };
        assert_eq!((grant.action, grant.privileges), (GrantAction::Revoke, None));
        let Utility::Grant(grant) = read("alter table only public.t owner to r").unwrap() else { panic!() };
        assert_eq!((grant.action, grant.tag()), (GrantAction::OwnerTo, "ALTER TABLE"));
        let membership = RoleCommand::Grant {
            roles: vec!["pg_read_all_data".into()],
            to: vec![RoleName::Named("r".into())],
            admin: false,
        };
        assert_eq!(role("grant pg_read_all_data to r"), membership);
        let code = |sql: &str| read(sql).unwrap_err().code().to_owned();
        assert_eq!(code("grant select on t to r with grant option"), "0A000");
        assert_eq!(code("grant select (a) on t to r"), "0A000");
        assert_eq!(code("grant nonsense on t to r"), "42601");
        assert_eq!(code("revoke connect on database d from public"), "0A000");
        assert!(matches!(read("grant connect on database d to r"), Ok(Utility::Ignored("GRANT"))));
        assert!(matches!(read("grant execute on all functions in schema public to r"), Ok(Utility::Ignored("GRANT"))));
    }
}
