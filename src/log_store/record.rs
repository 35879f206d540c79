//! Records: the log's units, and their bytes.
//!
//! A record inside a frame (all numbers little-endian):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length of the payload |
//! | 4 | 4 | CRC32C of kind and payload |
//! | 8 | 1 | kind |
//! | 9 | | payload |
//!
//! | kind | name | payload |
//! |---|---|---|
//! | 1 | entry | log id (term 8, leader 8, index 8), content 1 (0 blank, 1 command, 2 membership), bytes |
//! | 2 | truncate | keep 1 (0: remove all), last index kept 8 |
//! | 3 | vote | term 8, node 8, committed 1 |
//! | 4 | committed | log id 24 |
//! | 5 | purge | log id 24, the membership in force there (postcard) |
//! | 6 | token | log id 24, batch 16, attempt 4, parent 16, root 16, answers 16 |
//! | 7 | executing | log id 24, attempt 4, starts 4 |
//! | 8 | identity | node 8, cluster 8, incarnation 8 |
//! | 9 | failed | log id 24, attempt 4, parent 16 |
//! | 10 | ballots lost | log index 8 |

use crate::entry::{EncodedCommand, Entry, Membership, Payload, Vote};
use crate::page::Hash;
use crate::token::{Ballot, BallotKey, LogId, NodeId, Token};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes in front of a record's payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 9;

/// The log's memory of an execution that began (rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executing {
    /// The batch.
    pub log_id: LogId,
    /// Its attempt.
    pub attempt: u32,
    /// How often the batch began without ending; 2 means that two processes died at it. 0 takes the mark back.
    pub starts: u32,
}

/// Whose log this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node; a log never serves another one (rule 21).
    pub node: NodeId,
    /// The cluster, drawn when it was made.
    pub cluster: u64,
    /// Drawn at each start.
    pub incarnation: u64,
}

/// A log position from which on nothing before it is kept, and the voters there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The last position that is gone.
    pub log_id: LogId,
    /// The newest membership at or below it, with its own position.
    pub membership: Option<(LogId, Membership)>,
}

/// What the log says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Entry(Entry),
    /// Keeps entries up to this index; `None` keeps none.
    Truncate(Option<u64>),
    Vote(Vote),
    Committed(LogId),
    Purge(Purged),
    Ballot(Ballot),
    Executing(Executing),
    Identity(Identity),
    /// Ballots on batches below this index may have been given and are not known any more.
    BallotsLost(u64),
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Record::Entry(_) => 1,
            Record::Truncate(_) => 2,
            Record::Vote(_) => 3,
            Record::Committed(_) => 4,
            Record::Purge(_) => 5,
            Record::Ballot(Ballot::Token(_)) => 6,
            Record::Ballot(Ballot::Failed(_)) => 9,
            Record::Executing(_) => 7,
            Record::Identity(_) => 8,
            Record::BallotsLost(_) => 10,
        }
    }

    /// Appends the record's bytes to `buffer`.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        self.encode_payload(buffer);
        let length = (buffer.len() - start - RECORD_HEADER_BYTES) as u32;
        buffer[start + 8] = self.kind();
        let crc = crc32c::crc32c(&buffer[start + 8..]);
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    fn encode_payload(&self, out: &mut Vec<u8>) {
        match self {
            Record::Entry(entry) => encode_entry(entry, out),
            Record::Truncate(keep) => {
                out.push(keep.is_some() as u8);
                out.extend_from_slice(&keep.unwrap_or(0).to_le_bytes());
            }
            Record::Vote(vote) => {
                out.extend_from_slice(&vote.term.to_le_bytes());
                out.extend_from_slice(&vote.node.to_le_bytes());
                out.push(vote.committed as u8);
            }
            Record::Committed(log_id) => encode_log_id(log_id, out),
            Record::Purge(purged) => {
                encode_log_id(&purged.log_id, out);
                out.extend(postcard::to_stdvec(&purged.membership).expect("a membership of plain values encodes"));
            }
            Record::Ballot(Ballot::Token(token)) => {
                encode_log_id(&token.log_id, out);
                out.extend_from_slice(&token.batch.to_bytes());
                out.extend_from_slice(&token.attempt.to_le_bytes());
                for hash in [token.parent, token.root, token.answers] {
                    out.extend_from_slice(&hash.to_bytes());
                }
            }
            Record::Ballot(Ballot::Failed(key)) => {
                encode_log_id(&key.log_id, out);
                out.extend_from_slice(&key.attempt.to_le_bytes());
                out.extend_from_slice(&key.parent.to_bytes());
            }
            Record::Executing(mark) => {
                encode_log_id(&mark.log_id, out);
                out.extend_from_slice(&mark.attempt.to_le_bytes());
                out.extend_from_slice(&mark.starts.to_le_bytes());
            }
            Record::Identity(identity) => {
                for number in [identity.node, identity.cluster, identity.incarnation] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            Record::BallotsLost(below) => out.extend_from_slice(&below.to_le_bytes()),
        }
    }

    /// Reads the record at the front of `bytes`; also says how many bytes it takes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Record, usize), &'static str> {
        let header = bytes.get(..RECORD_HEADER_BYTES).ok_or("a record's header is cut")?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let end = RECORD_HEADER_BYTES + length;
        let body = bytes.get(8..end).ok_or("a record is cut")?;
        if crc32c::crc32c(body) != crc {
            return Err("a record's CRC differs");
        }
        let mut input = Input(&body[1..]);
        let record = decode_payload(body[0], &mut input).ok_or("a record's payload is malformed")?;
        Ok((record, end))
    }
}

fn encode_log_id(log_id: &LogId, out: &mut Vec<u8>) {
    for number in [log_id.term, log_id.leader, log_id.index] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    encode_log_id(&entry.log_id, out);
    match &entry.payload {
        Payload::Blank => out.push(0),
        Payload::Command(command) => {
            out.push(1);
            out.extend_from_slice(command.bytes());
        }
        Payload::Membership(membership) => {
            out.push(2);
            out.extend(postcard::to_stdvec(membership).expect("a membership of plain values encodes"));
        }
    }
}

/// Bytes still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }
    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
    fn hash(&mut self) -> Option<Hash> {
        Some(Hash::from_bytes(self.take(16)?.try_into().ok()?))
    }
    fn log_id(&mut self) -> Option<LogId> {
        Some(LogId { term: self.u64()?, leader: self.u64()?, index: self.u64()? })
    }
}

fn decode_payload(kind: u8, input: &mut Input<'_>) -> Option<Record> {
    Some(match kind {
        1 => {
            let log_id = input.log_id()?;
            let payload = match input.byte()? {
                0 => Payload::Blank,
                1 => Payload::Command(EncodedCommand::from_bytes(Bytes::copy_from_slice(input.0))),
                2 => Payload::Membership(postcard::from_bytes(input.0).ok()?),
                _ => return None,
            };
            Record::Entry(Entry { log_id, payload })
        }
        2 => {
            let keeps = input.byte()? == 1;
            let index = input.u64()?;
            Record::Truncate(keeps.then_some(index))
        }
        3 => Record::Vote(Vote { term: input.u64()?, node: input.u64()?, committed: input.byte()? == 1 }),
        4 => Record::Committed(input.log_id()?),
        5 => Record::Purge(Purged { log_id: input.log_id()?, membership: postcard::from_bytes(input.0).ok()? }),
        6 => Record::Ballot(Ballot::Token(Token {
            log_id: input.log_id()?,
            batch: input.hash()?,
            attempt: input.u32()?,
            parent: input.hash()?,
            root: input.hash()?,
            answers: input.hash()?,
        })),
        9 => Record::Ballot(Ballot::Failed(BallotKey {
            log_id: input.log_id()?,
            attempt: input.u32()?,
            parent: input.hash()?,
        })),
        7 => Record::Executing(Executing { log_id: input.log_id()?, attempt: input.u32()?, starts: input.u32()? }),
        8 => Record::Identity(Identity { node: input.u64()?, cluster: input.u64()?, incarnation: input.u64()? }),
        10 => Record::BallotsLost(input.u64()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<Record> {
        let log_id = LogId { term: 7, leader: 2, index: 41 };
        let membership = Membership { voters: vec![vec![1, 2, 3]], nodes: vec![(1, "a:1".into()), (2, "b:2".into())] };
        let command = EncodedCommand::from_bytes(Bytes::from_static(b"\x00bytes"));
        let hash = |n| Hash(n);
        vec![
            Record::Entry(Entry { log_id, payload: Payload::Blank }),
            Record::Entry(Entry { log_id, payload: Payload::Command(command) }),
            Record::Entry(Entry { log_id, payload: Payload::Membership(membership.clone()) }),
            Record::Truncate(None),
            Record::Truncate(Some(12)),
            Record::Vote(Vote { term: 3, node: 1, committed: true }),
            Record::Committed(log_id),
            Record::Purge(Purged { log_id, membership: Some((LogId::default(), membership)) }),
            Record::Ballot(Ballot::Token(Token {
                log_id,
                batch: hash(1),
                attempt: 2,
                parent: hash(3),
                root: hash(4),
                answers: hash(5),
            })),
            Record::Ballot(Ballot::Failed(BallotKey { log_id, attempt: 1, parent: hash(6) })),
            Record::Executing(Executing { log_id, attempt: 1, starts: 2 }),
            Record::Identity(Identity { node: 1, cluster: 9, incarnation: 77 }),
            Record::BallotsLost(42),
        ]
    }

    #[test]
    fn every_kind_of_record_comes_back_as_it_was() {
        for record in every_kind() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(Record::decode(&bytes), Ok((record, bytes.len())));
        }
    }

    #[test]
    fn any_flipped_bit_or_cut_is_noticed() {
        for record in every_kind() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Record::decode(&bytes).is_err(), "{record:?} bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for length in 0..bytes.len() {
                assert!(Record::decode(&bytes[..length]).is_err());
            }
        }
    }
}
