//! openraft's state machine, which executes nothing: `apply` notes how far the log is decided and passes on
//! verdicts, at once (rule 9: waiting for acceptance here would deadlock with the replay verdict behind it).
//! Its applied state and its snapshots are our durable accepted checkpoint.

use super::Shared;
use super::event::{Checkpoint, Event};
use super::types::{Proposed, TypeConfig, log_id_from_raft, log_id_to_raft, stored_from_raft, stored_to_raft};
use crate::batch::Command;
use crate::log_store::Log;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta};
use std::io;
use std::sync::Arc;

/// The state machine as openraft sees it; cloned as its own snapshot builder.
#[derive(Clone)]
pub(crate) struct StateMachine {
    shared: Arc<Shared>,
    log: Arc<Log>,
}

impl StateMachine {
    pub(crate) fn new(shared: Arc<Shared>, log: Arc<Log>) -> Self {
        StateMachine { shared, log }
    }

    /// The newest accepted state, not the newest checkpoint: its pages are at hand, and the less log is behind it.
    async fn offered(&self) -> Option<Checkpoint> {
        let source = self.shared.source.get()?.clone();
        let (log_id, manifest) = source.offer().await?;
        let older = self.shared.checkpoint.lock().as_ref().is_some_and(|checkpoint| log_id < checkpoint.log_id);
        let membership = self.log.membership_at(log_id.index).ok().filter(|_| !older)?;
        Some(Checkpoint { log_id, membership, manifest })
    }

    fn snapshot(&self) -> Option<SnapshotOf<TypeConfig, Bytes>> {
        self.shared.checkpoint.lock().clone().map(StateMachine::to_raft)
    }

    fn to_raft(checkpoint: Checkpoint) -> SnapshotOf<TypeConfig, Bytes> {
        let meta = SnapshotMeta {
            last_log_id: Some(log_id_to_raft(checkpoint.log_id)),
            last_membership: stored_to_raft(checkpoint.membership.as_ref()),
        };
        Snapshot { meta, snapshot: checkpoint.manifest }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, Bytes>, io::Error> {
        self.snapshot().ok_or_else(|| io::Error::other("there is no checkpoint to make a snapshot of"))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<TypeConfig>>, StoredMembershipOf<TypeConfig>), io::Error> {
        let checkpoint = self.shared.checkpoint.lock();
        let membership = checkpoint.as_ref().and_then(|checkpoint| checkpoint.membership.as_ref());
        Ok((checkpoint.as_ref().map(|checkpoint| log_id_to_raft(checkpoint.log_id)), stored_to_raft(membership)))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut decided = None;
        let mut verdicts = Vec::new();
        let mut responders = Vec::new();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let log_id = log_id_from_raft(&entry.log_id);
            decided = Some(log_id);
            responders.extend(responder);
            if let EntryPayload::Normal(Proposed(encoded)) = &entry.payload
                && encoded.is_verdict()
                && let Command::Verdict(verdict) = encoded.command().map_err(io::Error::other)?
            {
                verdicts.push((log_id, verdict.clone()));
            }
        }
        if let Some(log_id) = decided {
            // The executor hears of it before the proposer does.
            self.shared.emit(Event::Decided { log_id, verdicts });
            self.shared.decided.send_replace(Some(log_id));
        }
        responders.into_iter().for_each(|responder| responder.send(()));
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<TypeConfig>, manifest: Bytes) -> Result<(), io::Error> {
        let Some(last) = meta.last_log_id.as_ref() else { return Ok(()) };
        let log_id = log_id_from_raft(last);
        let checkpoint = Checkpoint { log_id, membership: stored_from_raft(&meta.last_membership), manifest };
        *self.shared.checkpoint.lock() = Some(checkpoint.clone());
        self.shared.emit(Event::Installed(checkpoint));
        self.shared.decided.send_if_modified(|decided| {
            let newer = decided.is_none_or(|before| before.index < log_id.index);
            if newer {
                *decided = Some(log_id);
            }
            newer
        });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, Bytes>>, io::Error> {
        Ok(self.offered().await.map(StateMachine::to_raft).or_else(|| self.snapshot()))
    }
}
