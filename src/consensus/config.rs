//! Settings of consensus, with the values that measured well on one machine.

use crate::token::NodeId;
use openraft::{Config, SnapshotPolicy};
use std::time::Duration;

/// How one node takes part.
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// This node.
    pub node: NodeId,
    /// Name that openraft logs with.
    pub cluster_name: String,
    /// The leader's sign of life. In-process 20 ms; start slower over a network.
    pub heartbeat: Duration,
    /// A follower stands for election after at least this silence.
    pub election_timeout_min: Duration,
    /// And at most this, drawn at random. A read index may also wait as long for a quorum.
    pub election_timeout_max: Duration,
    /// How long an append, or a read index, waits for a peer's reply.
    pub append_timeout: Duration,
    /// How long a peer may take to install a state.
    pub snapshot_timeout: Duration,
    /// How long a strict read looks for a leader.
    pub read_index_timeout: Duration,
    /// Entries in one append message, at most.
    pub entries_per_append_max: u64,
    /// Seed of election timeouts; drawn at random in real life.
    pub seed: u64,
    /// Without a log thread: how long, in virtual time, a flush takes.
    pub inline_flush_delay: Duration,
}

impl ConsensusConfig {
    /// The defaults for a node.
    pub fn new(node: NodeId, seed: u64) -> Self {
        ConsensusConfig {
            node,
            cluster_name: "evesql".into(),
            heartbeat: Duration::from_millis(20),
            election_timeout_min: Duration::from_millis(60),
            election_timeout_max: Duration::from_millis(120),
            append_timeout: Duration::from_millis(500),
            snapshot_timeout: Duration::from_secs(600),
            read_index_timeout: Duration::from_secs(2),
            entries_per_append_max: 300,
            seed,
            inline_flush_delay: Duration::from_micros(150),
        }
    }

    /// openraft's configuration: pre-vote on, elections off until enabled, snapshots and purges on our word only.
    pub(crate) fn to_raft(&self) -> Result<Config, String> {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let config = Config {
            cluster_name: self.cluster_name.clone(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_timeout_min),
            election_timeout_max: millis(self.election_timeout_max),
            install_snapshot_timeout: millis(self.snapshot_timeout),
            max_payload_entries: self.entries_per_append_max,
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            // Only the owner's word purges (see `Consensus::checkpointed`).
            enable_elect: false,
            enable_pre_vote: Some(true),
            // A leader that comes back has forgotten what it sent and had not flushed: leading on in its term, it
            // would give those positions to other entries, under the same log ids.
            enable_leader_restore: Some(false),
            backoff: "20ms".into(),
            ..Config::default()
        };
        config.validate().map_err(|error| error.to_string())
    }
}
