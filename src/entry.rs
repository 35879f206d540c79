//! Log entries: what consensus orders, the log store keeps and peers send to each other.
//!
//! A command is encoded once, by the node that proposes it; from then on its bytes travel, and are
//! written, as they are. Decoding is lazy, so that it happens on the executor's thread and not on the
//! one that runs consensus.

use crate::batch::Command;
use crate::page::Hash;
use crate::token::{LogId, NodeId};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Postcard's number of [`Command::Verdict`], the first byte of its encoding.
const VERDICT_VARIANT: u8 = 1;

/// A vote, or with `committed` the leadership that a quorum granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Vote {
    /// Term that the vote is for.
    pub term: u64,
    /// Candidate, or leader once committed.
    pub node: NodeId,
    /// Whether a quorum granted it.
    pub committed: bool,
}

/// The bytes of a [`Command`] do not decode: a bug or another version, never an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log entry's command does not decode: {0}")]
pub struct CommandError(String);

/// A command and its encoded bytes, shared behind an [`Arc`] by the log, replication and the executor.
pub struct EncodedCommand {
    bytes: Bytes,
    hash: Hash,
    command: OnceLock<Command>,
}

impl EncodedCommand {
    /// Encodes a command.
    pub fn new(command: Command) -> Arc<Self> {
        // Plain values into a growing buffer: postcard has nothing that can fail here.
        let bytes = Bytes::from(postcard::to_stdvec(&command).expect("a command of plain values encodes"));
        let hash = Hash::of(&bytes);
        Arc::new(EncodedCommand { bytes, hash, command: OnceLock::from(command) })
    }
    /// Takes bytes that [`EncodedCommand::new`] made elsewhere or earlier; decoded at first use.
    pub fn from_bytes(bytes: Bytes) -> Arc<Self> {
        let hash = Hash::of(&bytes);
        Arc::new(EncodedCommand { bytes, hash, command: OnceLock::new() })
    }
    /// The encoded form.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// Hash of the encoded form: a batch's identity in tokens.
    pub fn hash(&self) -> Hash {
        self.hash
    }
    /// The command, decoded now if it was not before.
    pub fn command(&self) -> Result<&Command, CommandError> {
        if let Some(command) = self.command.get() {
            return Ok(command);
        }
        let command = postcard::from_bytes(&self.bytes).map_err(|error| CommandError(error.to_string()))?;
        Ok(self.command.get_or_init(|| command))
    }
    /// Whether it is a verdict, told without decoding.
    pub fn is_verdict(&self) -> bool {
        self.bytes.first() == Some(&VERDICT_VARIANT)
    }
}

impl fmt::Debug for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({:?}, {} bytes)", self.hash, self.bytes.len())
    }
}

impl PartialEq for EncodedCommand {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Serialize for EncodedCommand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        byte_string::serialize(&self.bytes, serializer)
    }
}

impl<'de> Deserialize<'de> for EncodedCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = byte_string::deserialize(deserializer)?;
        let hash = Hash::of(&bytes);
        Ok(EncodedCommand { bytes, hash, command: OnceLock::new() })
    }
}

/// [`Bytes`] as one byte string, for `#[serde(with = ..)]`.
pub mod byte_string {
    use bytes::Bytes;
    use serde::de::{Deserializer, SeqAccess, Visitor};
    use serde::ser::Serializer;
    use std::fmt;

    /// Writes the bytes as they are.
    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    /// Copies the bytes out of the input.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }

    struct BytesVisitor;

    impl<'de> Visitor<'de> for BytesVisitor {
        type Value = Bytes;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }
        fn visit_bytes<E>(self, value: &[u8]) -> Result<Bytes, E> {
            Ok(Bytes::copy_from_slice(value))
        }
        fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Bytes, E> {
            Ok(Bytes::from(value))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Bytes, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = sequence.next_element()? {
                bytes.push(byte);
            }
            Ok(Bytes::from(bytes))
        }
    }
}

/// Who votes, from its log position on.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Membership {
    /// One set of voters, or two while joint: a quorum is then a majority of both (rule 22).
    pub voters: Vec<Vec<NodeId>>,
    /// All members, learners included, with the address that peers dial.
    pub nodes: Vec<(NodeId, String)>,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// A new leader's first entry; it only takes up an index.
    Blank,
    /// A batch or a verdict.
    Command(Arc<EncodedCommand>),
    /// A change of the voters.
    Membership(Membership),
}

/// One position of the log. Cloning shares the payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub log_id: LogId,
    /// What it says.
    pub payload: Payload,
}

impl Entry {
    /// Bytes that it keeps in memory, roughly: for cache budgets and the size of messages.
    pub fn size_bytes(&self) -> usize {
        64 + match &self.payload {
            Payload::Blank => 0,
            Payload::Command(command) => command.bytes().len(),
            Payload::Membership(membership) => 64 * membership.nodes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Decision, Verdict};

    #[test]
    fn a_verdict_is_told_by_its_first_byte_and_decodes_lazily() {
        let verdict = Verdict { log_id: LogId::default(), attempt: 3, decision: Decision::Replay };
        let encoded = EncodedCommand::new(Command::Verdict(verdict.clone()));
        assert!(encoded.is_verdict());
        let received = EncodedCommand::from_bytes(encoded.bytes().clone());
        assert_eq!(received.hash(), encoded.hash());
        assert_eq!(received.command().unwrap(), &Command::Verdict(verdict));
        assert!(EncodedCommand::from_bytes(Bytes::from_static(&[9, 9])).command().is_err());
    }

    #[test]
    fn an_entry_survives_postcard_with_its_bytes_untouched() {
        let command = EncodedCommand::from_bytes(Bytes::from_static(&[0, 1, 2, 3]));
        let entry = Entry { log_id: LogId { term: 1, leader: 2, index: 3 }, payload: Payload::Command(command) };
        let bytes = postcard::to_stdvec(&entry).unwrap();
        assert_eq!(postcard::from_bytes::<Entry>(&bytes).unwrap(), entry);
    }
}
