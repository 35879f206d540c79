//! The session's own commands: transactions, settings, prepared statements, cursors.

use super::client::{ClientStatement, Done, Session};
use super::encode::Formats;
use super::identity::{ROLE, SESSION_AUTHORIZATION};
use super::listen::Listening;
use super::status::{Event, Status, Step};
use crate::catalog::privileges::{Need, Privileges};
use crate::catalog::roles::ROLES_DATABASE;
use crate::dialect::utility::{TransactionModes, Utility};
use crate::transaction::SqlError;
use crate::wire::{Outbox, message};
use std::rc::Rc;
use std::sync::Arc;

/// The error of statements in a failed block.
pub fn aborted() -> SqlError {
    SqlError::new("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

/// Whether a failed block takes this command.
pub fn is_exit(utility: &Utility) -> bool {
    matches!(utility, Utility::Commit { .. } | Utility::Rollback { .. } | Utility::RollbackTo(_))
}

/// Whether the command opens or closes a block.
pub fn changes_transaction(utility: &Utility) -> bool {
    matches!(utility, Utility::Begin(_) | Utility::Commit { .. } | Utility::Rollback { .. })
}

/// Whether the dialect has a translation for the command.
pub fn is_translated(utility: &Utility) -> bool {
    use Utility::{Analyze, CommentOnConstraint, Copy, Explain, Sequence, Vacuum};
    let translated = matches!(utility, Copy { .. } | Explain { .. } | Vacuum { .. } | Analyze(_));
    translated || matches!(utility, Sequence(_) | CommentOnConstraint { .. })
}

/// A notice's fields.
pub fn notice(code: &str, text: &str) -> SqlError {
    SqlError::new(code, text)
}

impl Session {
    /// Carries out a command; `describe` sends RowDescription before rows.
    pub(super) async fn utility(
        &mut self,
        utility: &Utility,
        formats: &Formats,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        if !self.pending.is_empty() {
            match utility {
                Utility::Rollback { .. } => self.undo_pending(out).await,
                _ => self.settle(out).await?,
            }
        }
        match utility {
            Utility::Begin(_)
            | Utility::Commit { .. }
            | Utility::Rollback { .. }
            | Utility::Savepoint(_)
            | Utility::Release(_)
            | Utility::RollbackTo(_) => self.transaction_command(utility, out).await,
            Utility::Set { name, value, local } if matches!(name.as_str(), ROLE | SESSION_AUTHORIZATION) => {
                let roles = self.front.roles().await?;
                self.set_identity_command(name, value.as_deref(), *local, &roles, out)
            }
            Utility::Set { name, value, local } => self.set(name, value.as_deref(), *local, out),
            Utility::SetTransaction { modes, session } => self.set_transaction(modes, *session, out),
            Utility::Show(name) => self.show(name, formats, describe, out),
            Utility::Reset(name) => self.reset(name.as_deref(), out),
            Utility::Discard(what) => {
                if matches!(what.to_ascii_lowercase().as_str(), "temp" | "temporary" | "all") {
                    self.discard_temporary(out).await?;
                }
                self.discard(what, out)
            }
            Utility::Prepare { name, types, statement } => {
                self.sql_prepare(name, types, statement).await?;
                message::command_complete(&mut out.buffer, "PREPARE");
                Ok(())
            }
            Utility::Execute { name, arguments } => {
                Box::pin(self.sql_execute(name, arguments, formats, describe, out)).await
            }
            Utility::Deallocate(name) => self.deallocate(name.as_deref(), out),
            Utility::Declare { name, binary, hold, query, .. } => {
                let query = self.prepare_text(&query.text, Box::default()).await?;
                self.declare(name, *binary, *hold, &query, &[], out).await
            }
            Utility::Fetch { name, count, move_only } => self.fetch(name, *count, *move_only, formats, describe, out),
            Utility::Close(name) => self.close_cursor(name.as_deref(), out),
            Utility::Role(command) => self.role_command(command, out).await,
            Utility::Grant(grant) => self.grant(grant, out).await,
            Utility::Lock { tables, nowait, .. } => self.lock(tables, *nowait, out).await,
            Utility::Listen(channel) => self.listening(Listening::To(channel.clone()), out).await,
            Utility::Unlisten(channel) => self.listening(Listening::NotTo(channel.clone()), out).await,
            Utility::Notify { channel, payload } => Box::pin(self.notify(channel, payload, out)).await,
            Utility::Checkpoint => tagged("CHECKPOINT", out),
            Utility::Ignored(tag) => tagged(tag, out),
            _ => Err(SqlError::new("0A000", "this command is not supported").into()),
        }
    }

    pub(super) async fn transaction_command(&mut self, utility: &Utility, out: &mut Outbox) -> Done {
        let event = match utility {
            Utility::Begin(_) => Event::Begin,
            Utility::Commit { .. } => Event::Commit,
            Utility::Rollback { .. } => Event::Rollback,
            Utility::RollbackTo(_) => Event::RollbackTo,
            _ => Event::Savepoint,
        };
        let (next, step) = self.status.on(event);
        match step {
            Step::Open => self.begin(utility),
            Step::Submit => {
                self.status = next;
                self.commit(out).await?;
            }
            Step::Undo => self.abandon(),
            Step::Run | Step::UndoTo => match utility {
                Utility::Savepoint(name) => self.savepoint(name, out).await?,
                Utility::Release(name) => self.release_savepoint(name)?,
                Utility::RollbackTo(name) => self.roll_back_to(name, out).await?,
                _ => {}
            },
            Step::WarnInBlock => {
                out.notice("WARNING", &notice("25001", "there is already a transaction in progress"));
            }
            Step::WarnIdle => {
                out.notice("WARNING", &notice("25P01", "there is no transaction in progress"));
                // An implicit block ends all the same.
                match event {
                    Event::Commit => self.commit(out).await?,
                    _ => self.abandon(),
                }
            }
            Step::RefuseIdle => {
                let text = match utility {
                    Utility::RollbackTo(_) => "ROLLBACK TO SAVEPOINT can only be used in transaction blocks",
                    Utility::Release(_) => "RELEASE SAVEPOINT can only be used in transaction blocks",
                    _ => "SAVEPOINT can only be used in transaction blocks",
                };
                return Err(SqlError::new("25P01", text).into());
            }
            Step::RefuseFailed => return Err(aborted().into()),
            Step::MarkFailed => {}
        }
        let failed = self.status == Status::Failed;
        self.status = next;
        let (tag, chain) = match utility {
            Utility::Begin(modes) if modes.is_start => ("START TRANSACTION", false),
            Utility::Begin(_) => ("BEGIN", false),
            Utility::Commit { chain } if failed => ("ROLLBACK", *chain),
            Utility::Commit { chain } => ("COMMIT", *chain),
            Utility::Rollback { chain } => ("ROLLBACK", *chain),
            Utility::RollbackTo(_) => ("ROLLBACK", false),
            Utility::Release(_) => ("RELEASE", false),
            _ => ("SAVEPOINT", false),
        };
        if chain && step != Step::WarnIdle {
            self.open_block(&TransactionModes::default(), false);
            self.status = Status::InBlock;
        }
        tagged(tag, out)
    }

    /// BEGIN: an implicit block of a simple query becomes part of the explicit one.
    pub(super) fn begin(&mut self, utility: &Utility) {
        let modes = match utility {
            Utility::Begin(modes) => *modes,
            _ => TransactionModes::default(),
        };
        match &mut self.transaction {
            Some(block) => {
                block.implicit = false;
                block.read_only |= modes.read_only == Some(true);
            }
            None => self.open_block(&modes, false),
        }
    }

    /// LOCK TABLE: exclusive tickets for the tables, in the order of the statement.
    pub(super) async fn lock(&mut self, tables: &[Vec<String>], nowait: bool, out: &mut Outbox) -> Done {
        if self.transaction.as_ref().is_none_or(|block| block.implicit) {
            return Err(SqlError::new("25P01", "LOCK TABLE can only be used in transaction blocks").into());
        }
        let catalog = self.catalog().await?;
        for path in tables {
            let name = path.last().map_or("", String::as_str);
            let known = catalog.tables().find(|table| table.name == name);
            let known = known.ok_or_else(|| SqlError::new("42P01", format!("relation \"{name}\" does not exist")))?;
            let privileges = Privileges::UPDATE | Privileges::DELETE | Privileges::TRUNCATE;
            self.permit_needs(&[Need::On { object: known.oid, privileges, any: true, by: None }], &catalog).await?;
            let table: Arc<str> = known.sqlite_name.as_str().into();
            self.lock_table(table, nowait, out).await?;
        }
        tagged("LOCK TABLE", out)
    }

    /// CREATE and DROP DATABASE.
    pub(super) async fn run_database(
        &mut self,
        statement: &ClientStatement,
        plan: Rc<super::cache::Plan>,
        describe: bool,
        out: &mut Outbox,
    ) -> Done {
        use crate::dialect::Kind;
        if self.transaction.is_some() {
            let text = "CREATE and DROP DATABASE cannot run inside a transaction block";
            return Err(SqlError::new("25001", text).into());
        }
        let gateway = &self.front.gateway;
        match &plan.prepared.kind {
            Kind::CreateDatabase(name) if gateway.has_database(name) => {
                return Err(SqlError::new("42P04", format!("database \"{name}\" already exists")).into());
            }
            Kind::DropDatabase { name, .. } if name == ROLES_DATABASE && gateway.has_database(name) => {
                let message = format!("cannot drop database {name} because roles are kept in it");
                return Err(SqlError::new("2BP01", message).into());
            }
            Kind::DropDatabase { name, .. } if **name == *self.database => {
                return Err(SqlError::new("55006", "cannot drop the currently open database").into());
            }
            Kind::DropDatabase { name, if_exists } if !gateway.has_database(name) => {
                let error = SqlError::new("3D000", format!("database \"{name}\" does not exist"));
                if !if_exists {
                    return Err(error.into());
                }
                out.notice("NOTICE", &SqlError::new("00000", format!("{}, skipping", error.message)));
                message::command_complete(&mut out.buffer, &plan.prepared.tag.text(0));
                return Ok(());
            }
            _ => {}
        }
        let (name, made) = match &plan.prepared.kind {
            Kind::CreateDatabase(name) => (name.clone(), true),
            Kind::DropDatabase { name, .. } => (name.clone(), false),
            _ => return Err(SqlError::new("XX000", "not a change of databases").into()),
        };
        let place = out.buffer.len();
        let update = super::one_shot::Update::of(statement, plan, Vec::new(), Formats::Text, place);
        self.update_now(update, describe, out).await?;
        if let Err(error) = self.note_database(&name, made).await {
            let error = error.with_detail(format!("It is not noted who owns the database \"{name}\"."));
            out.notice("WARNING", &error);
        }
        Ok(())
    }
}

/// CommandComplete with these words.
pub fn tagged(tag: &str, out: &mut Outbox) -> Done {
    message::command_complete(&mut out.buffer, tag);
    Ok(())
}
