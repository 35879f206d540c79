//! The first words on a connection between two nodes.
//!
//! ```text
//!   dialer                                   accepter
//!     │  magic, version                          │
//!     ├─ Hello { from, to, credentials } ───────>│  admits or refuses
//!     │<──────────── Welcome { credentials } ────┤
//!     │              or Refused(a sentence)      │
//!     └─ admits or closes                        │
//! ```
//!
//! What is in the credentials is the [`Doorkeeper`]'s business.

use super::frame::{self, Kind};
use super::tls;
use crate::entry::byte_string;
use crate::token::NodeId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Version of frames, greeting and messages. Nodes of different versions do not talk.
pub const PROTOCOL_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"EVESQL\r\n";
/// Longest greeting, in bytes.
const GREETING_BYTES_MAX: usize = 64 << 10;

/// Why a peer stays outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A sentence that tells the peer.
    pub reason: String,
    /// It will never be let in: it must stop.
    pub is_final: bool,
}

/// Judges peers before anything that they say counts.
pub trait Doorkeeper: Send + Sync + 'static {
    /// What this node shows to its peers.
    fn credentials(&self) -> Bytes;
    /// Whether a peer may talk to this node.
    fn admit(&self, peer: NodeId, credentials: &[u8]) -> Result<(), Refusal>;
    /// A peer does not let this node in.
    fn refused(&self, by: NodeId, refusal: &Refusal);
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    from: NodeId,
    /// Nobody in particular: whoever listens there.
    to: Option<NodeId>,
    #[serde(with = "byte_string")]
    credentials: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Welcome {
        node: NodeId,
        #[serde(with = "byte_string")]
        credentials: Bytes,
    },
    Refused(Refusal),
}

/// Why two nodes do not talk.
#[derive(Debug, thiserror::Error)]
pub enum GreetingError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// What answers there is no node.
    #[error("what answers there does not speak the protocol of EveSQL's nodes")]
    NoNode,
    /// TLS on the other side alone.
    #[error(
        "the other side talks to its peers over TLS, and this node does not; start both with --peer-ca, --peer-cert and --peer-key"
    )]
    SpeaksTls,
    /// TLS's word, on either side.
    #[error("{0}")]
    Tls(String),
    /// Two programs that do not fit.
    #[error(
        "the other side speaks version {0} of the protocol between nodes, this one {PROTOCOL_VERSION}; run the same program on both"
    )]
    Version(u32),
    /// The other side's word.
    #[error("{0}")]
    Refused(String),
    /// This side's word.
    #[error("{0}")]
    NotAdmitted(String),
}

impl From<io::Error> for GreetingError {
    fn from(error: io::Error) -> Self {
        match tls::complaint(&error) {
            Some(complaint) => GreetingError::Tls(complaint),
            None => GreetingError::Broken(error),
        }
    }
}

async fn begin<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), GreetingError> {
    stream.write_all(&first_words()).await?;
    stream.flush().await?;
    let mut words = [0; 12];
    stream.read_exact(&mut words).await?;
    if words[..2] == [tls::HANDSHAKE_BYTE, 3] {
        return Err(GreetingError::SpeaksTls);
    }
    let (magic, version) = words.split_at(8);
    if magic != MAGIC {
        return Err(GreetingError::NoNode);
    }
    match version.try_into().map_or(0, u32::from_le_bytes) {
        PROTOCOL_VERSION => Ok(()),
        other => Err(GreetingError::Version(other)),
    }
}

fn first_words() -> [u8; 12] {
    let mut words = [0; 12];
    words[..8].copy_from_slice(&MAGIC);
    words[8..].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    words
}

/// Tells a dialer why it stays outside, without listening to it.
pub(super) async fn turn_away<S: AsyncWrite + Unpin>(stream: &mut S, refusal: &Refusal) -> Result<(), GreetingError> {
    stream.write_all(&first_words()).await?;
    say(stream, &Reply::Refused(refusal.clone())).await
}

async fn say<S: AsyncWrite + Unpin, T: Serialize>(stream: &mut S, value: &T) -> Result<(), GreetingError> {
    let mut buffer = Vec::new();
    frame::put(&mut buffer, Kind::Greeting, 0, value)?;
    stream.write_all(&buffer).await?;
    Ok(stream.flush().await?)
}

async fn hear<S: AsyncRead + Unpin>(stream: &mut S) -> Result<frame::Frame, GreetingError> {
    let frame = frame::read(stream, GREETING_BYTES_MAX).await?;
    if frame.kind == Kind::Greeting { Ok(frame) } else { Err(GreetingError::NoNode) }
}

/// The dialer's side: who answers.
pub async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    from: NodeId,
    to: Option<NodeId>,
    door: &dyn Doorkeeper,
) -> Result<NodeId, GreetingError> {
    begin(stream).await?;
    say(stream, &Hello { from, to, credentials: door.credentials() }).await?;
    match hear(stream).await?.decode()? {
        Reply::Welcome { node, .. } if to.is_some_and(|to| to != node) => {
            let reason = format!("node {node} answers there, not node {}: look at --peers", to.unwrap_or_default());
            Err(GreetingError::NotAdmitted(reason))
        }
        Reply::Welcome { node, credentials } => match door.admit(node, &credentials) {
            Ok(()) => Ok(node),
            Err(refusal) => Err(GreetingError::NotAdmitted(refusal.reason)),
        },
        Reply::Refused(refusal) => {
            door.refused(to.unwrap_or_default(), &refusal);
            Err(GreetingError::Refused(refusal.reason))
        }
    }
}

/// The accepter's side: who it is.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    this: NodeId,
    door: &dyn Doorkeeper,
) -> Result<NodeId, GreetingError> {
    begin(stream).await?;
    let hello: Hello = hear(stream).await?.decode()?;
    let admitted = match hello.to {
        Some(to) if to != this => {
            let reason = format!("node {this} listens here, not node {to}: look at --peers");
            Err(Refusal { reason, is_final: false })
        }
        _ => door.admit(hello.from, &hello.credentials),
    };
    match admitted {
        Ok(()) => {
            say(stream, &Reply::Welcome { node: this, credentials: door.credentials() }).await?;
            Ok(hello.from)
        }
        Err(refusal) => {
            say(stream, &Reply::Refused(refusal.clone())).await?;
            Err(GreetingError::NotAdmitted(refusal.reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Open;

    impl Doorkeeper for Open {
        fn credentials(&self) -> Bytes {
            Bytes::new()
        }
        fn admit(&self, _peer: NodeId, _credentials: &[u8]) -> Result<(), Refusal> {
            Ok(())
        }
        fn refused(&self, _by: NodeId, _refusal: &Refusal) {}
    }

    /// What a dialer that looks for `to` makes of somebody who welcomes it as node 3.
    async fn welcomed_by_3(to: Option<NodeId>) -> Result<NodeId, GreetingError> {
        let (mut near, mut far) = tokio::io::duplex(1 << 10);
        let answers = async {
            begin(&mut far).await?;
            hear(&mut far).await?;
            say(&mut far, &Reply::Welcome { node: 3, credentials: Bytes::new() }).await
        };
        let (dialled, answered) = futures::future::join(dial(&mut near, 1, to, &Open), answers).await;
        answered.unwrap();
        dialled
    }

    #[tokio::test]
    async fn a_node_that_answers_in_anothers_place_is_not_taken_for_it() {
        assert_eq!(welcomed_by_3(Some(3)).await.unwrap(), 3);
        assert_eq!(welcomed_by_3(None).await.unwrap(), 3);
        let error = welcomed_by_3(Some(2)).await.unwrap_err().to_string();
        assert_eq!(error, "node 3 answers there, not node 2: look at --peers");
    }
}
