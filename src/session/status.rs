//! Where a session stands between statements, and the one function that moves it.
//!
//! ```text
//!            Begin                    Fail
//!   Idle ------------> InBlock ------------------> Failed
//!    ^                 |  ^                         |  |
//!    |  Commit,        |  |   RollbackTo            |  |
//!    +--Rollback-------+  +-------------------------+  |
//!    |                        Commit, Rollback         |
//!    +-------------------------------------------------+
//! ```
//! An implicit block (several statements in one simple query, or up to a Sync) begins at `Idle` without
//! leaving it: the client never sees its status.

/// Status of a session's transaction, as ReadyForQuery tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// No transaction block.
    #[default]
    Idle,
    /// Inside a block.
    InBlock,
    /// Inside a block whose statements are ignored until it ends or goes back to a savepoint.
    Failed,
}

/// What happens to a session's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// ROLLBACK TO a savepoint that exists.
    RollbackTo,
    /// SAVEPOINT or RELEASE.
    Savepoint,
    /// Any other statement.
    Statement,
    /// A statement ended with an error.
    Fail,
}

/// What the session has to do with its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the statement.
    Run,
    /// Open a block.
    Open,
    /// Submit what was done and close the block.
    Submit,
    /// Undo and close the block.
    Undo,
    /// Go back to the savepoint.
    UndoTo,
    /// Nothing, but tell the client: 25001 there is already a transaction in progress.
    WarnInBlock,
    /// Nothing, but tell the client: 25P01 there is no transaction in progress.
    WarnIdle,
    /// Refuse: 25P01, savepoints exist only in blocks.
    RefuseIdle,
    /// Refuse: 25P02, the block has failed.
    RefuseFailed,
    /// Remember the failure.
    MarkFailed,
}

impl Status {
    /// The transition function: the next status and what to do on the way.
    pub fn on(self, event: Event) -> (Status, Step) {
        use {Event as E, Status as S};
        match (self, event) {
            (S::Idle, E::Begin) => (S::InBlock, Step::Open),
            (S::Idle, E::Commit | E::Rollback) => (S::Idle, Step::WarnIdle),
            (S::Idle, E::Savepoint | E::RollbackTo) => (S::Idle, Step::RefuseIdle),
            (S::Idle, E::Statement) => (S::Idle, Step::Run),
            (S::Idle, E::Fail) => (S::Idle, Step::Undo),
            (S::InBlock, E::Begin) => (S::InBlock, Step::WarnInBlock),
            (S::InBlock, E::Commit) => (S::Idle, Step::Submit),
            (S::InBlock, E::Rollback) => (S::Idle, Step::Undo),
            (S::InBlock, E::RollbackTo) => (S::InBlock, Step::UndoTo),
            (S::InBlock, E::Savepoint | E::Statement) => (S::InBlock, Step::Run),
            (S::InBlock, E::Fail) => (S::Failed, Step::MarkFailed),
            (S::Failed, E::Commit | E::Rollback) => (S::Idle, Step::Undo),
            (S::Failed, E::RollbackTo) => (S::InBlock, Step::UndoTo),
            (S::Failed, E::Begin | E::Savepoint | E::Statement) => (S::Failed, Step::RefuseFailed),
            (S::Failed, E::Fail) => (S::Failed, Step::MarkFailed),
        }
    }

    /// The byte in ReadyForQuery.
    pub fn byte(self) -> u8 {
        match self {
            Status::Idle => b'I',
            Status::InBlock => b'T',
            Status::Failed => b'E',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_block_takes_only_its_end_or_a_savepoint() {
        let (failed, _) = Status::InBlock.on(Event::Fail);
        assert_eq!(failed.byte(), b'E');
        for refused in [Event::Begin, Event::Statement, Event::Savepoint] {
            assert_eq!(failed.on(refused), (Status::Failed, Step::RefuseFailed));
        }
        assert_eq!(failed.on(Event::Commit), (Status::Idle, Step::Undo));
        assert_eq!(failed.on(Event::RollbackTo), (Status::InBlock, Step::UndoTo));
    }

    #[test]
    fn outside_a_block_commit_warns_and_savepoints_are_refused() {
        assert_eq!(Status::Idle.on(Event::Commit), (Status::Idle, Step::WarnIdle));
        assert_eq!(Status::Idle.on(Event::Savepoint), (Status::Idle, Step::RefuseIdle));
        assert_eq!(Status::InBlock.on(Event::Begin), (Status::InBlock, Step::WarnInBlock));
    }
}
