//! Who is let in: what a client must prove before it has a session, and the talk in which it does.
//!
//! ```text
//!                       the role has a password   it has none, or there is none of this name
//!   from this machine   SCRAM                     let in; with `auth = "scram"` refused
//!   from another one    SCRAM                     refused; with `insecure` let in
//! ```
//!
//! Invariants
//! 1. A role that has a password is nobody's without it, wherever the client is.
//! 2. Who is refused learns the same, in the same messages, whether the role exists or not.

use crate::catalog::roles::{Role, Roles};
use crate::scram::{Exchange, NONCE_BYTES, SALT_BYTES, ScramError, Verifier, mechanisms};
use crate::transaction::SqlError;
use crate::wire::{Fields, Hello, NotAdmitted, Origin, Talk};
use pgwire::messages::Message;
use pgwire::messages::startup::Authentication;
use ring::rand::{SecureRandom, SystemRandom};

/// The rules of the house.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Clients of this machine need a password, too.
    pub local_passwords: bool,
    /// Clients of other machines may do without TLS.
    pub plain: bool,
    /// Clients of other machines may do without TLS, and those of a role without a password without one.
    pub insecure: bool,
}

/// What a client must do.
#[derive(Debug, PartialEq)]
enum Demand {
    /// Nothing.
    Nothing,
    /// Prove that it knows a password.
    Proof {
        /// Of which this is kept.
        verifier: Verifier,
        /// It does not help any more.
        in_vain: bool,
    },
}

/// What a client must do to be let in as `role`.
fn demand(
    rules: Admission,
    origin: &Origin,
    user: &str,
    role: Option<&Role>,
    roles: &Roles,
    now_us: i64,
) -> Result<Demand, SqlError> {
    if let Some(address) = origin.address
        && !(origin.is_local || origin.has_tls || rules.plain || rules.insecure)
    {
        let message = format!("clients at {} must use TLS", address.ip());
        return Err(SqlError::new("28000", message).with_hint("Connect with sslmode=require."));
    }
    let kept = role.and_then(|role| role.password.as_deref()).and_then(Verifier::parse);
    if let Some(verifier) = kept {
        let in_vain = role.and_then(|role| role.valid_until_us).is_some_and(|until| until < now_us);
        return Ok(Demand::Proof { verifier, in_vain });
    }
    let is_trusted = if origin.is_local { !rules.local_passwords } else { rules.insecure };
    // A role whose password cannot be read has one all the same.
    if is_trusted && role.is_none_or(|role| role.password.is_none()) {
        return Ok(Demand::Nothing);
    }
    let verifier = Verifier::mock(user, roles.secret().unwrap_or_default().as_bytes());
    Ok(Demand::Proof { verifier, in_vain: true })
}

/// Bytes from the operating system that nobody can guess.
pub fn random<const N: usize>() -> Result<[u8; N], SqlError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| SqlError::new("58000", "the operating system gives no random numbers"))?;
    Ok(bytes)
}

/// What is kept of a password that a client gave.
pub fn verifier_of(password: &str) -> Result<String, SqlError> {
    Ok(Verifier::new(password, &random::<SALT_BYTES>()?).to_string())
}

/// Lets a client in, or says why not; the role that it has, if there is one of its user's name.
pub async fn admit(
    rules: Admission,
    hello: &Hello,
    roles: &Roles,
    now_us: i64,
    talk: &mut Talk,
) -> Result<Option<Role>, NotAdmitted> {
    let user = hello.user();
    let role = roles.named(user);
    if let Demand::Proof { verifier, in_vain } = demand(rules, &hello.origin, user, role, roles, now_us)? {
        let proven = prove(verifier, hello, in_vain, talk).await;
        if let Err(NotAdmitted::Sql(error)) = &proven {
            let (address, reason) = (hello.origin.address.map(tracing::field::display), &error.message);
            tracing::warn!(user, address, %reason, "a client was not let in");
        }
        proven?;
    }
    match role.filter(|role| !role.login) {
        Some(_) => Err(SqlError::new("28000", format!("role \"{user}\" is not permitted to log in")).into()),
        None => Ok(role.cloned()),
    }
}

/// The exchange of proofs.
async fn prove(verifier: Verifier, hello: &Hello, in_vain: bool, talk: &mut Talk) -> Result<(), NotAdmitted> {
    let binding = hello.origin.binding.as_deref();
    let refused = |error: ScramError| match error {
        ScramError::Password => {
            SqlError::new("28P01", format!("password authentication failed for user \"{}\"", hello.user()))
        }
        ScramError::Binding => SqlError::new("28000", error.to_string()),
        ScramError::Malformed(_) | ScramError::Mechanism => SqlError::new("08P01", error.to_string()),
    };
    say(&Authentication::SASL(mechanisms(binding)), talk)?;
    let (mechanism, first) = initial(talk.ask(b'p').await?)
        .ok_or_else(|| SqlError::new("08P01", "malformed SASL message: there is no initial response in it"))?;
    let random = random::<NONCE_BYTES>()?;
    let (exchange, answer) = Exchange::begin(&mechanism, &first, verifier, binding, random).map_err(refused)?;
    say(&Authentication::SASLContinue(answer.into()), talk)?;
    let proof = exchange.end(talk.ask(b'p').await?);
    let proof = if in_vain { proof.and(Err(ScramError::Password)) } else { proof };
    say(&Authentication::SASLFinal(proof.map_err(refused)?.into()), talk)?;
    Ok(())
}

/// Mechanism and first message of a SASLInitialResponse.
fn initial(body: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut fields = Fields(body);
    let mechanism = fields.text()?.to_owned();
    let length = usize::try_from(fields.i32()?).ok()?;
    Some((mechanism, fields.bytes(length)?.to_vec()))
}

fn say(message: &Authentication, talk: &mut Talk) -> Result<(), SqlError> {
    let encoded = message.encode(&mut talk.out.buffer);
    encoded.map_err(|_| SqlError::new("XX000", "the start-up answer could not be written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    const NOW_US: i64 = 1_000;

    fn origin(is_local: bool, has_tls: bool) -> Origin {
        Origin { address: Some(SocketAddr::from(([10, 0, 0, 9], 4000))), is_local, has_tls, binding: None }
    }

    /// `in`, `proof`, `vain` or an SQLSTATE.
    fn outcome(rules: Admission, origin: &Origin, role: Option<&Role>) -> String {
        match demand(rules, origin, "ann", role, &Roles::default(), NOW_US) {
            Ok(Demand::Nothing) => "in".into(),
            Ok(Demand::Proof { in_vain: false, .. }) => "proof".into(),
            Ok(Demand::Proof { in_vain: true, .. }) => "vain".into(),
            Err(error) => error.code().into(),
        }
    }

    #[test]
    fn who_must_prove_what() {
        let password = Verifier::new("pencil", &[1; SALT_BYTES]).to_string();
        let with = Role { password: Some(password), ..Role::new(20_000, "ann") };
        let expired = Role { valid_until_us: Some(NOW_US - 1), ..with.clone() };
        let without = Role::new(20_000, "ann");
        let damaged = Role { password: Some("SCRAM-SHA-256$".into()), ..without.clone() };
        let (default, local_passwords) =
            (Admission::default(), Admission { local_passwords: true, ..Admission::default() });
        let plain = Admission { plain: true, ..default };
        let insecure = Admission { insecure: true, ..default };
        let (here, there, secured) = (origin(true, false), origin(false, false), origin(false, true));
        let roles = [Some(&with), Some(&expired), Some(&damaged), Some(&without), None];
        for (rules, origin, expected) in [
            (default, &here, ["proof", "vain", "vain", "in", "in"]),
            (local_passwords, &here, ["proof", "vain", "vain", "vain", "vain"]),
            (insecure, &here, ["proof", "vain", "vain", "in", "in"]),
            (default, &secured, ["proof", "vain", "vain", "vain", "vain"]),
            (default, &there, ["28000"; 5]),
            (plain, &there, ["proof", "vain", "vain", "vain", "vain"]),
            (insecure, &there, ["proof", "vain", "vain", "in", "in"]),
        ] {
            let found = roles.map(|role| outcome(rules, origin, role));
            assert_eq!(found, expected, "{rules:?} {origin:?}");
        }
    }

    #[test]
    fn the_first_message_of_a_client_is_read_within_its_bounds() {
        let message = |length: i32, data: &[u8]| [b"SCRAM-SHA-256\0".as_slice(), &length.to_be_bytes(), data].concat();
        assert_eq!(initial(&message(3, b"n,,")), Some(("SCRAM-SHA-256".into(), b"n,,".to_vec())));
        for (length, data) in [(-1, b"".as_slice()), (4, b"n,,"), (i32::MAX, b"n,,")] {
            assert_eq!(initial(&message(length, data)), None);
        }
        assert_eq!(initial(b"SCRAM-SHA-256"), None);
    }
}
