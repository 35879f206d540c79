//! SCRAM-SHA-256: what is kept of a password, and the server's side of proving it (RFC 5802, RFC 7677), in the form in
//! which Postgres keeps and speaks it. Pure: randomness comes from the caller.
//!
//! ```text
//!   client-first   n,,n=,r=CLIENT                     or p=tls-server-end-point,,n=,r=CLIENT
//!   server-first   r=CLIENT+SERVER,s=SALT,i=ITERATIONS
//!   client-final   c=BINDING,r=CLIENT+SERVER,p=PROOF
//!   server-final   v=SIGNATURE
//! ```
//!
//! Invariants
//! 1. A verifier does not let its holder log in: the client key that it checks is not in it.
//! 2. A proof counts for one exchange alone: it covers the server's nonce.
//! 3. A name without a password goes through the same messages, and its proof is compared like any other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::fmt;
use std::num::NonZeroU32;
use subtle::ConstantTimeEq;

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism that binds the proof to the TLS connection.
pub const BOUND: &str = "SCRAM-SHA-256-PLUS";
/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of the server's part of a nonce, before base64.
pub const NONCE_BYTES: usize = 18;
/// How often a password is hashed: Postgres' number, which all drivers bear.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
/// More is not believed of a stored verifier: its client would hash for minutes.
const ITERATIONS_MAX: u32 = 10_000_000;
/// The only channel binding there is here.
const END_POINT: &str = "tls-server-end-point";

type Key = [u8; digest::SHA256_OUTPUT_LEN];

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// That of a password.
    pub fn new(password: &str, salt: &[u8]) -> Verifier {
        // What SASLprep refuses is taken as it is, as drivers do.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = Key::default();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, prepared.as_bytes(), &mut salted);
        let stored_key = sha256(&sign(&salted, b"Client Key"));
        Verifier { iterations: ITERATIONS, salt: salt.to_vec(), stored_key, server_key: sign(&salted, b"Server Key") }
    }

    /// For a name without a password: what the first message shows of it is always the same for the same secret, and
    /// no proof fits.
    pub fn mock(name: &str, secret: &[u8]) -> Verifier {
        let keys = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let part = |what: &str| key(hmac::sign(&keys, format!("{what} {name}").as_bytes()).as_ref());
        let salt = part("salt")[..SALT_BYTES].to_vec();
        Verifier { iterations: ITERATIONS, salt, stored_key: part("stored"), server_key: part("server") }
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$stored:server`; `None` if a text is something else.
    pub fn parse(text: &str) -> Option<Verifier> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| Key::try_from(STANDARD.decode(text).ok()?).ok();
        let iterations = iterations.parse().ok().filter(|count| *count <= ITERATIONS_MAX)?;
        Some(Verifier {
            iterations: NonZeroU32::new(iterations)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
        let (salt, stored, server) = (encoded(&self.salt), encoded(&self.stored_key), encoded(&self.server_key));
        write!(f, "SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// Why an exchange came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message is not what the protocol has there.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// A mechanism that was not offered.
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    /// The client believes that this server binds no channels, or it is bound to another one: somebody is between them.
    #[error("SCRAM channel binding check failed")]
    Binding,
    /// The client does not know the password.
    #[error("password authentication failed")]
    Password,
}

/// The mechanisms to offer; `binding` is the hash of this server's certificate on a TLS connection.
pub fn mechanisms(binding: Option<&[u8]>) -> Vec<String> {
    let bound = binding.map(|_| BOUND.to_owned());
    bound.into_iter().chain([PLAIN.to_owned()]).collect()
}

/// An exchange that waits for the client's proof.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    /// What the client must repeat, in base64.
    channel: String,
    nonce: String,
    client_first_bare: String,
    server_first: String,
}

impl Exchange {
    /// Answers the client's first message; with the message to send.
    pub fn begin(
        mechanism: &str,
        client_first: &[u8],
        verifier: Verifier,
        binding: Option<&[u8]>,
        random: [u8; NONCE_BYTES],
    ) -> Result<(Exchange, String), ScramError> {
        let malformed = ScramError::Malformed;
        let text = std::str::from_utf8(client_first).map_err(|_| malformed("it is not UTF-8"))?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(authorization), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it has no header"));
        };
        if !authorization.is_empty() {
            return Err(malformed("another authorization identity is not supported"));
        }
        let mut channel = format!("{flag},,").into_bytes();
        match (mechanism, flag.strip_prefix("p="), binding) {
            (BOUND, Some(END_POINT), Some(hash)) => channel.extend_from_slice(hash),
            (BOUND, Some(_), Some(_)) => return Err(malformed("this channel binding is not supported")),
            (BOUND, None, Some(_)) => return Err(malformed("the mechanism needs channel binding")),
            (PLAIN, None, _) if flag == "n" => {}
            (PLAIN, None, None) if flag == "y" => {}
            // It could have bound the channel, and was made to believe that this server cannot.
            (PLAIN, None, Some(_)) if flag == "y" => return Err(ScramError::Binding),
            (PLAIN, ..) => return Err(malformed("its channel binding flag is not of this mechanism")),
            _ => return Err(ScramError::Mechanism),
        }
        let mut attributes = bare.split(',');
        // The name is the start-up packet's; what stands here is passed over, as in Postgres.
        attributes.next().and_then(|name| name.strip_prefix("n=")).ok_or(malformed("it has no user name"))?;
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic()));
        let nonce = format!("{}{}", nonce.ok_or(malformed("it has no nonce"))?, STANDARD.encode(random));
        let salt = STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let exchange = Exchange {
            verifier,
            channel: STANDARD.encode(channel),
            nonce,
            client_first_bare: bare.to_owned(),
            server_first: server_first.clone(),
        };
        Ok((exchange, server_first))
    }

    /// Judges the client's proof; the message that proves this server to the client.
    pub fn end(self, client_final: &[u8]) -> Result<String, ScramError> {
        let malformed = ScramError::Malformed;
        let text = std::str::from_utf8(client_final).map_err(|_| malformed("it is not UTF-8"))?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(malformed("it has no proof"))?;
        let mut attributes = without_proof.split(',');
        let channel = attributes.next().and_then(|channel| channel.strip_prefix("c="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if channel.ok_or(malformed("it has no channel binding"))? != self.channel {
            return Err(ScramError::Binding);
        }
        if nonce != Some(self.nonce.as_str()) {
            return Err(malformed("its nonce is not that of this exchange"));
        }
        let proof = STANDARD.decode(proof).ok().and_then(|proof| Key::try_from(proof).ok());
        let proof = proof.ok_or(malformed("its proof is of another length"))?;
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let mut client_key = sign(&self.verifier.stored_key, message.as_bytes());
        client_key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
        if !bool::from(sha256(&client_key).ct_eq(&self.verifier.stored_key)) {
            return Err(ScramError::Password);
        }
        Ok(format!("v={}", STANDARD.encode(sign(&self.verifier.server_key, message.as_bytes()))))
    }
}

/// HMAC-SHA-256.
fn sign(with: &Key, message: &[u8]) -> Key {
    key(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, with), message).as_ref())
}

fn sha256(bytes: &[u8]) -> Key {
    key(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The bytes of a hash of this length.
fn key(bytes: &[u8]) -> Key {
    Key::try_from(bytes).expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    /// The client's last message for a password.
    fn prove(password: &str, client_first_bare: &str, server_first: &str, channel: &str) -> String {
        let attribute = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        let salt = STANDARD.decode(attribute("s=")).unwrap();
        let mut salted = Key::default();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, password.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        let without_proof = format!("c={},r={}", STANDARD.encode(channel), attribute("r="));
        let message = format!("{client_first_bare},{server_first},{without_proof}");
        let signature = sign(&sha256(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        format!("{without_proof},p={}", STANDARD.encode(proof))
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_reproduced() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let exchange = Exchange {
            verifier: Verifier::new("pencil", &salt),
            channel: "biws".into(),
            nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".into(),
            client_first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".into(),
            server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
                .into(),
        };
        let client_final = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let server_final = exchange.end(client_final.as_bytes());
        assert_eq!(server_final.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn a_verifier_reads_what_it_prints_and_nothing_else() {
        let verifier = Verifier::new("pencil", &[1; SALT_BYTES]);
        let text = verifier.to_string();
        assert_eq!(Verifier::parse(&text), Some(verifier));
        for other in ["pencil", "", "SCRAM-SHA-256$4096:AA==$AA==:AA==", &text[1..], &text[..text.len() - 3]] {
            assert_eq!(Verifier::parse(other), None, "{other}");
        }
        assert_eq!(Verifier::parse(&text.replace("4096", "0")), None);
        assert_eq!(Verifier::parse(&text.replace("4096", "4000000000")), None);
    }

    #[test]
    fn passwords_are_prepared_as_drivers_prepare_them() {
        let of = |password: &str| Verifier::new(password, &[1; SALT_BYTES]).to_string();
        // A soft hyphen is nothing, a roman numeral is its letters.
        assert_eq!(of("I\u{ad}X"), of("IX"));
        assert_eq!(of("\u{2168}"), of("IX"));
        assert_ne!(of("ix"), of("IX"));
        // A control character is no password of SASLprep's, and is one all the same.
        assert_ne!(of("a\u{7}"), of("a"));
    }

    #[test]
    fn the_right_password_alone_is_taken_and_once() {
        let verifier = Verifier::new("pencil", &[1; SALT_BYTES]);
        let begin = |random| Exchange::begin(PLAIN, b"n,,n=,r=abc", verifier.clone(), None, random).unwrap();
        let (exchange, first) = begin(RANDOM);
        let right = prove("pencil", "n=,r=abc", &first, "n,,");
        assert!(exchange.end(right.as_bytes()).is_ok());
        let (exchange, first) = begin(RANDOM);
        assert_eq!(exchange.end(prove("pencils", "n=,r=abc", &first, "n,,").as_bytes()), Err(ScramError::Password));
        // The same proof in another exchange.
        let (exchange, _) = begin([8; NONCE_BYTES]);
        assert!(matches!(exchange.end(right.as_bytes()), Err(ScramError::Malformed(_))));
        // With the nonce of that exchange put in.
        let (exchange, first) = begin([8; NONCE_BYTES]);
        let proof = right.rsplit_once(",p=").unwrap().1;
        let replayed = prove("pencil", "n=,r=abc", &first, "n,,");
        let replayed = format!("{},p={proof}", replayed.rsplit_once(",p=").unwrap().0);
        assert_eq!(exchange.end(replayed.as_bytes()), Err(ScramError::Password));
    }

    #[test]
    fn a_mock_looks_the_same_each_time_and_takes_nothing() {
        let shown = |name: &str, secret: &[u8]| {
            Exchange::begin(PLAIN, b"n,,n=,r=abc", Verifier::mock(name, secret), None, RANDOM).unwrap()
        };
        assert_eq!(shown("ann", b"secret").1, shown("ann", b"secret").1);
        assert_ne!(shown("ann", b"secret").1, shown("bob", b"secret").1);
        assert_ne!(shown("ann", b"secret").1, shown("ann", b"other").1);
        let (exchange, first) = shown("ann", b"secret");
        assert_eq!(exchange.end(prove("", "n=,r=abc", &first, "n,,").as_bytes()), Err(ScramError::Password));
    }

    #[test]
    fn a_proof_bound_to_another_channel_is_refused() {
        let verifier = Verifier::new("pencil", &[1; SALT_BYTES]);
        let first = b"p=tls-server-end-point,,n=,r=abc";
        let begin = || Exchange::begin(BOUND, first, verifier.clone(), Some(b"ours"), RANDOM).unwrap();
        let (exchange, told) = begin();
        let ours = prove("pencil", "n=,r=abc", &told, "p=tls-server-end-point,,ours");
        assert!(exchange.end(ours.as_bytes()).is_ok());
        let theirs = prove("pencil", "n=,r=abc", &told, "p=tls-server-end-point,,theirs");
        assert_eq!(begin().0.end(theirs.as_bytes()), Err(ScramError::Binding));
        let refused = |mechanism, first: &[u8], binding| {
            Exchange::begin(mechanism, first, verifier.clone(), binding, RANDOM).unwrap_err()
        };
        assert_eq!(refused(PLAIN, b"y,,n=,r=abc", Some(b"ours")), ScramError::Binding);
        assert_eq!(refused(BOUND, first, None), ScramError::Mechanism);
        assert_eq!(refused("PLAIN", b"n,,n=,r=abc", None), ScramError::Mechanism);
        assert!(matches!(refused(PLAIN, first, Some(b"ours")), ScramError::Malformed(_)));
        assert!(Exchange::begin(PLAIN, b"y,,n=,r=abc", verifier.clone(), None, RANDOM).is_ok());
    }

    #[test]
    fn malformed_messages_are_told_from_wrong_passwords() {
        let verifier = || Verifier::new("pencil", &[1; SALT_BYTES]);
        for first in ["", "n", "n,,", "n,,r=abc", "n,,n=", "n,,n=,r=", "n,a=root,n=,r=abc", "n,,n=,r=a b", "x,,n=,r=a"]
        {
            let begun = Exchange::begin(PLAIN, first.as_bytes(), verifier(), None, RANDOM);
            assert!(matches!(begun, Err(ScramError::Malformed(_))), "{first}");
        }
        let (_, told) = Exchange::begin(PLAIN, b"n,,n=,r=abc", verifier(), None, RANDOM).unwrap();
        let right = prove("pencil", "n=,r=abc", &told, "n,,");
        let bare = right.rsplit_once(",p=").unwrap().0;
        for last in ["", bare, &format!("{bare},p="), &format!("{bare},p=AAAA"), &right[2..]] {
            let (exchange, _) = Exchange::begin(PLAIN, b"n,,n=,r=abc", verifier(), None, RANDOM).unwrap();
            assert!(matches!(exchange.end(last.as_bytes()), Err(ScramError::Malformed(_))), "{last}");
        }
    }
}
