//! Who a node of a cluster is, and whom it lets in: the guard against directories that have forgotten (rule 21), other
//! clusters, and other engines (rule 16).
//!
//! Each start of a node is one number more in its directory, drawn at random. Peers remember the newest start that they
//! saw, and how far they know that node's log to be: a directory that does not know that start, or has less log, is an
//! old copy or an empty one, and its node must join again under another number.
//!
//! ```text
//!   identity   cluster, node, starts (newest last)        written once at each start, before anything else
//!   peers      newest start and log index of each peer    written when a start is new, every few seconds in which one
//!                                                         grew, and when the node stops
//! ```

use super::NodeError;
use super::members::MembersView;
use super::message::encode;
use crate::config::Peers;
use crate::page::Hash;
use crate::peer::{Doorkeeper, Refusal};
use crate::seam::{Disk, write_file};
use crate::token::{LogId, NodeId};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is known of peers is written down this often: a copy of a peer's directory that is older than that is known for
/// what it is even when all nodes lose their power.
const SAVE: Duration = Duration::from_secs(2);
/// Starts that a node remembers of itself: peers that were away for longer judge by the log alone.
const STARTS_KEPT: usize = 64;
/// Ballots of one peer that wait for their batch's acceptance.
const WITNESSED_MAX: usize = 1_000;

/// What is written in a node's directory about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    /// Of the numbers of the nodes that made the cluster; empty until a node that joins knows it.
    cluster: String,
    node: NodeId,
    /// Starts before those that are kept.
    forgotten: u64,
    starts: Vec<u64>,
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Its newest start.
    start: u64,
    /// How many starts it had then.
    starts: u64,
    /// It holds the log up to here: it executed that batch, which is decided.
    index: u64,
}

/// What a node shows to its peers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Passport {
    cluster: String,
    /// It is no member yet, as far as it knows.
    joins: bool,
    engine: Hash,
    forgotten: u64,
    starts: Vec<u64>,
    /// Of its log.
    last_index: u64,
    /// Its log is damaged: it asks for entries, and judges nothing and votes for nobody until it has them.
    mends: bool,
}

/// The door of one node.
pub struct Door {
    identity: Mutex<Identity>,
    node: NodeId,
    members: Arc<MembersView>,
    engine: Hash,
    disk: Arc<dyn Disk>,
    home: PathBuf,
    peers: Mutex<BTreeMap<NodeId, Remembered>>,
    /// What is written of them, and since when.
    saved: Mutex<(BTreeMap<NodeId, Remembered>, Instant)>,
    /// Ballots of peers on batches that are not accepted yet.
    witnessed: Mutex<BTreeMap<NodeId, VecDeque<LogId>>>,
    last_index: Mutex<Box<dyn Fn() -> u64 + Send + Sync>>,
    refusal: Mutex<Option<String>>,
    mends: AtomicBool,
}

impl Door {
    /// Opens a node's directory, or makes it, and counts one start more; `start` is drawn at random. `made_by` are the
    /// nodes that make the cluster; without it this one joins a cluster that exists.
    pub fn open(
        disk: Arc<dyn Disk>,
        home: &Path,
        node: NodeId,
        made_by: Option<&Peers>,
        members: Arc<MembersView>,
        engine: Hash,
        start: u64,
    ) -> Result<Arc<Door>, NodeError> {
        let failed = |error| NodeError::directory(home, error);
        disk.create_directory(home).map_err(failed)?;
        // Not the addresses: nodes may reach each other under different ones (through a translation of addresses, or
        // one of them by name), and they may change later.
        let numbers = |peers: &Peers| peers.0.keys().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let cluster = made_by.map_or(String::new(), |peers| Hash::of(numbers(peers).as_bytes()).to_string());
        let known: Option<Identity> = read(&*disk, &home.join("identity")).map_err(failed)?;
        let mut identity = known.unwrap_or_else(|| Identity { cluster, node, forgotten: 0, starts: Vec::new() });
        if identity.node != node {
            return Err(NodeError::OtherNode { path: home.into(), node: identity.node });
        }
        identity.starts.push(start);
        let surplus = identity.starts.len().saturating_sub(STARTS_KEPT);
        identity.starts.drain(..surplus);
        identity.forgotten += surplus as u64;
        write(&*disk, home, "identity", &identity).map_err(failed)?;
        let peers: BTreeMap<_, _> = read(&*disk, &home.join("peers")).map_err(failed)?.unwrap_or_default();
        Ok(Arc::new(Door {
            identity: Mutex::new(identity),
            node,
            members,
            engine,
            disk,
            home: home.into(),
            saved: Mutex::new((peers.clone(), Instant::now())),
            peers: Mutex::new(peers),
            witnessed: Mutex::default(),
            last_index: Mutex::new(Box::new(|| 0)),
            refusal: Mutex::default(),
            mends: AtomicBool::new(false),
        }))
    }

    /// How the end of this node's log is asked for: before any peer is. The log is whole.
    pub fn set_log(&self, last_index: impl Fn() -> u64 + Send + Sync + 'static) {
        *self.last_index.lock() = Box::new(last_index);
        self.mends.store(false, Ordering::Relaxed);
    }

    /// This node's log is damaged: until it is whole again, the node comes to its peers for help only.
    pub fn mends(&self) {
        self.mends.store(true, Ordering::Relaxed);
    }

    /// A peer gave a ballot on a batch: it holds the log up to there.
    pub fn witness(&self, peer: NodeId, log_id: LogId) {
        let mut witnessed = self.witnessed.lock();
        let ballots = witnessed.entry(peer).or_default();
        ballots.push_back(log_id);
        if ballots.len() > WITNESSED_MAX {
            ballots.pop_front();
        }
    }

    /// The log is accepted up to here: what was witnessed of this history stands for good. What stood on another one,
    /// which may have been cut, counts for nothing.
    pub fn accepted(&self, accepted: &[LogId]) {
        let Some(newest) = accepted.iter().map(|log_id| log_id.index).max() else { return };
        let mut peers = self.peers.lock();
        for (peer, ballots) in self.witnessed.lock().iter_mut() {
            while let Some(log_id) = ballots.front().copied().filter(|log_id| log_id.index <= newest) {
                ballots.pop_front();
                if accepted.contains(&log_id) {
                    let known = peers.entry(*peer).or_default();
                    known.index = known.index.max(log_id.index);
                }
            }
        }
    }

    /// Why a peer does not let this node in: it must stop.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    /// Writes down what is known of peers.
    pub fn save(&self) {
        let mut saved = self.saved.lock();
        let peers = self.peers.lock().clone();
        match write(&*self.disk, &self.home, "peers", &peers) {
            Ok(()) => *saved = (peers, Instant::now()),
            Err(error) => tracing::error!(%error, "what is known of the peers could not be written down"),
        }
    }

    /// The same, if it is time and there is something new. Called often.
    pub fn save_now_and_then(&self) {
        let is_due = {
            let (known, at) = &*self.saved.lock();
            at.elapsed() >= SAVE && *known != *self.peers.lock()
        };
        if is_due {
            self.save();
        }
    }

    /// This node is no member yet, as far as it knows.
    fn joins(&self) -> bool {
        !self.members.ids().contains(&self.node)
    }

    /// Whether this node has still to be told what cluster it belongs to.
    fn is_new(&self) -> bool {
        self.identity.lock().cluster.is_empty()
    }

    /// Belongs to the peer's cluster from now on.
    fn adopt(&self, cluster: &str) -> Result<(), String> {
        let mut identity = self.identity.lock();
        identity.cluster = cluster.to_string();
        write(&*self.disk, &self.home, "identity", &*identity).map_err(|error| error.to_string())
    }

    fn judge(&self, peer: NodeId, passport: &Passport) -> Result<Remembered, String> {
        let this = self.node;
        let known = self.peers.lock().get(&peer).copied().unwrap_or_default();
        if passport.joins && known.starts > 0 && !passport.starts.contains(&known.start) {
            return Err(format!("there was a node {peer} before; start the new one with another --id"));
        }
        if self.is_new() && !passport.cluster.is_empty() {
            self.adopt(&passport.cluster)?;
        }
        let knows = !passport.joins || !passport.cluster.is_empty();
        if knows && passport.cluster != self.identity.lock().cluster {
            return Err(format!(
                "node {peer} belongs to another cluster than node {this}: it was made of other nodes; look at --peers"
            ));
        }
        if passport.engine != self.engine {
            return Err(format!(
                "node {peer} runs another engine than node {this}; run the same version of evesql on all nodes: stop all, replace the program, start all"
            ));
        }
        let starts = passport.forgotten + passport.starts.len() as u64;
        let forgets = known.starts > 0 && !passport.starts.contains(&known.start) && passport.forgotten < known.starts;
        if forgets || (passport.last_index < known.index && !passport.mends) {
            return Err(format!(
                "the directory of node {peer} is an old copy or an empty one: node {this} remembers it with log up to index {}, and it has {}; start it with an empty directory under a new number, with --join",
                known.index, passport.last_index
            ));
        }
        let start = passport.starts.last().copied().unwrap_or_default();
        Ok(Remembered { start, starts, index: known.index })
    }
}

impl Doorkeeper for Door {
    fn credentials(&self) -> Bytes {
        let identity = self.identity.lock().clone();
        encode(&Passport {
            cluster: identity.cluster,
            joins: self.joins(),
            engine: self.engine,
            forgotten: identity.forgotten,
            starts: identity.starts,
            last_index: self.last_index.lock()(),
            mends: self.mends.load(Ordering::Relaxed),
        })
    }

    fn admit(&self, peer: NodeId, credentials: &[u8]) -> Result<(), Refusal> {
        let passport: Passport = postcard::from_bytes(credentials).map_err(|error| Refusal {
            reason: format!("a passport does not decode: {error}; run the same program on all nodes"),
            is_final: false,
        })?;
        let is_stranger = !passport.joins && !self.joins() && !self.members.ids().contains(&peer);
        if is_stranger {
            let reason = format!("node {peer} is no member as far as node {} knows", self.node);
            return Err(Refusal { reason, is_final: false });
        }
        let remembered = self.judge(peer, &passport).map_err(|reason| Refusal { reason, is_final: true })?;
        let before = self.peers.lock().insert(peer, remembered);
        if before.is_none_or(|before| before.start != remembered.start) {
            self.save();
        }
        Ok(())
    }

    fn refused(&self, _by: NodeId, refusal: &Refusal) {
        if refusal.is_final {
            self.refusal.lock().get_or_insert_with(|| refusal.reason.clone());
        }
    }
}

/// Of a file that may not be there.
fn read<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> io::Result<Option<T>> {
    if !disk.exists(path) {
        return Ok(None);
    }
    let file = disk.open(path, false)?;
    let mut bytes = vec![0; file.length_bytes()?.min(1 << 20) as usize];
    let filled = file.read_at(&mut bytes, 0)?;
    let value = serde_json::from_slice(&bytes[..filled]);
    value.map(Some).map_err(|error| io::Error::other(format!("{} is damaged: {error}", path.display())))
}

/// Whole or not at all, and durable.
fn write<T: Serialize>(disk: &dyn Disk, home: &Path, name: &str, value: &T) -> io::Result<()> {
    let (new, path) = (home.join(format!("{name}.new")), home.join(name));
    let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    write_file(disk, &new, &bytes)?;
    disk.rename(&new, &path)?;
    disk.sync_directory(home)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::RealDisk;

    fn peers() -> Peers {
        "1=a:1,2=b:1,3=c:1".parse().unwrap()
    }

    fn members() -> Arc<MembersView> {
        Arc::new(MembersView::new(peers().0))
    }

    fn open(home: &Path, node: NodeId, start: u64) -> Arc<Door> {
        Door::open(Arc::new(RealDisk), &home.join(node.to_string()), node, Some(&peers()), members(), Hash(7), start)
            .unwrap()
    }

    fn with_log(door: Arc<Door>, last: u64) -> Arc<Door> {
        door.set_log(move || last);
        door
    }

    fn at(index: u64) -> LogId {
        LogId { term: 1, leader: 1, index }
    }

    #[test]
    fn a_node_that_starts_again_is_known_and_an_old_copy_of_it_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let one = open(home.path(), 1, 100);
        let two = with_log(open(home.path(), 2, 200), 10);
        one.admit(2, &two.credentials()).unwrap();
        let copy = home.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(home.path().join("2/identity"), copy.join("identity")).unwrap();
        let two = with_log(open(home.path(), 2, 201), 10);
        one.admit(2, &two.credentials()).unwrap();
        // Node 1 remembers over its own restart.
        let one = open(home.path(), 1, 101);
        let old = Door::open(Arc::new(RealDisk), &copy, 2, Some(&peers()), members(), Hash(7), 202).unwrap();
        let Refusal { reason, is_final } = one.admit(2, &with_log(old, 10).credentials()).unwrap_err();
        assert!(is_final && reason.contains("old copy or an empty one"), "{reason}");
        one.admit(2, &two.credentials()).unwrap();
        let empty = with_log(open(&home.path().join("empty"), 2, 203), 0);
        assert!(one.admit(2, &empty.credentials()).is_err());
    }

    #[test]
    fn a_node_that_started_often_while_its_peer_was_away_is_known_by_its_count() {
        let home = tempfile::tempdir().unwrap();
        let one = open(home.path(), 1, 100);
        one.admit(2, &open(home.path(), 2, 1).credentials()).unwrap();
        let many = (2..200).map(|start| open(home.path(), 2, start)).reduce(|_, newest| newest).unwrap();
        one.admit(2, &many.credentials()).unwrap();
    }

    #[test]
    fn less_log_than_was_witnessed_and_accepted_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let one = open(home.path(), 1, 100);
        let two = open(home.path(), 2, 200);
        two.set_log(|| 5);
        one.admit(2, &two.credentials()).unwrap();
        one.witness(2, at(6));
        one.admit(2, &two.credentials()).expect("what is not accepted may have been cut");
        one.accepted(&[LogId { term: 2, leader: 3, index: 6 }]);
        one.admit(2, &two.credentials()).expect("another history was accepted there");
        one.witness(2, at(7));
        one.accepted(&[at(7)]);
        assert!(one.admit(2, &two.credentials()).is_err());
    }

    #[test]
    fn other_clusters_and_other_engines_stay_outside() {
        let home = tempfile::tempdir().unwrap();
        let one = open(home.path(), 1, 100);
        let other = |peers: &str, engine, name: &str| {
            Door::open(
                Arc::new(RealDisk),
                &home.path().join(name),
                2,
                Some(&peers.parse().unwrap()),
                members(),
                engine,
                5,
            )
            .unwrap()
        };
        let Refusal { reason, is_final } = one.admit(2, &other("1=a:1,2=b:1", Hash(7), "x").credentials()).unwrap_err();
        assert!(is_final && reason.contains("another cluster"), "{reason}");
        one.admit(2, &other("1=x:9,2=b:2,3=y:4", Hash(7), "z").credentials()).expect("addresses are each node's own");
        let Refusal { reason, is_final } =
            one.admit(2, &other("1=a:1,2=b:1,3=c:1", Hash(8), "y").credentials()).unwrap_err();
        assert!(is_final && reason.contains("another engine"), "{reason}");
        let again = Door::open(Arc::new(RealDisk), &home.path().join("x"), 2, Some(&peers()), members(), Hash(7), 6);
        assert!(again.is_ok(), "the list may change");
        assert!(one.admit(2, b"nonsense").is_err());
        let wrong = Door::open(Arc::new(RealDisk), &home.path().join("x"), 3, Some(&peers()), members(), Hash(7), 6);
        assert!(matches!(wrong, Err(NodeError::OtherNode { node: 2, .. })));
    }

    #[test]
    fn a_new_node_takes_over_the_cluster_of_whoever_lets_it_in_and_is_a_stranger_until_it_is_a_member() {
        let home = tempfile::tempdir().unwrap();
        let one = open(home.path(), 1, 100);
        let join = |start| {
            let alone = Arc::new(MembersView::new([]));
            Door::open(Arc::new(RealDisk), &home.path().join("four"), 4, None, alone, Hash(7), start).unwrap()
        };
        let four = join(400);
        assert!(four.is_new());
        one.admit(4, &four.credentials()).unwrap();
        four.admit(1, &one.credentials()).unwrap();
        assert!(!four.is_new());
        one.admit(4, &four.credentials()).expect("it still joins");
        let all = crate::entry::Membership {
            voters: vec![vec![1, 2, 3]],
            nodes: (1..=4).map(|node| (node, String::new())).collect(),
        };
        four.members.set(all.clone());
        let refusal = one.admit(4, &four.credentials()).unwrap_err();
        assert!(!refusal.is_final && refusal.reason.contains("no member"), "{refusal:?}");
        one.members.set(all);
        one.admit(4, &four.credentials()).unwrap();
        one.admit(4, &join(401).credentials()).unwrap();
        let alone = Arc::new(MembersView::new([]));
        let other = Door::open(Arc::new(RealDisk), &home.path().join("x"), 4, None, alone, Hash(7), 5).unwrap();
        let refusal = one.admit(4, &other.credentials()).unwrap_err();
        assert!(refusal.is_final && refusal.reason.contains("another --id"), "{refusal:?}");
    }
}
