//! Switches for the proofs by mutation: each turns one rule of the protocol off, and
//! `tests/verifier_model.rs` shows that the seeded model then finds a violation.
//!
//! Nothing but tests may turn one off; [`Rules::default`] is the protocol.

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Which rules hold. All of them, outside mutation tests.
        #[doc(hidden)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Rules { $($(#[$doc])* pub $name: bool),+ }

        impl Default for Rules {
            fn default() -> Self {
                Rules { $($name: true),+ }
            }
        }

        impl Rules {
            /// Names of all switches.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// The protocol without the named rule; `None` for an unknown name.
            pub fn without(name: &str) -> Option<Rules> {
                let mut rules = Rules::default();
                match name {
                    $(stringify!($name) => rules.$name = false,)+
                    _ => return None,
                }
                Some(rules)
            }
        }
    };
}

rules! {
    /// 1: a token counts only for its full log id and batch.
    full_log_id,
    /// 2: a ballot is durable before it is sent.
    durable_before_sent,
    /// 2: a node that contradicts its record says nothing and quarantines itself.
    one_ballot,
    /// 2: a failure is as final as a token.
    failure_is_final,
    /// 3: a token counts only on top of the accepted parent.
    accepted_parent,
    /// 3: a replay or void drops all tokens of later batches.
    rewind_drops_suffix,
    /// 4: without a durable verdict, only the equal tokens of *all* voters accept.
    unanimous_or_durable,
    /// 4: a missing token is never disagreement.
    missing_is_not_disagreement,
    /// 5: the first committed verdict on an attempt wins.
    first_verdict_wins,
    /// 5: verdicts act on commit, not on append.
    verdict_acts_on_commit,
    /// 5: a node looks for a verdict before it executes.
    look_before_executing,
    /// 6: at most W batches are unaccepted.
    bounded_unaccepted,
    /// 7: headers (and the leader, when asked) make acceptances durable.
    acceptance_is_published,
    /// 8: what neither agrees nor replays is voided.
    void_breaks_the_deadlock,
    /// 8: pages are re-hashed before anything is voided.
    scrub_before_void,
    /// 8: the result of a trial is never accepted.
    trials_are_not_accepted,
    /// 9: acceptance needs the entry decided.
    decided_before_accepted,
    /// 9: deciding alone accepts nothing.
    accepted_is_not_decided,
    /// 14: a local failure is no token.
    failure_is_absence,
    /// 14: after two crashes in a batch a node reports failed.
    crashes_become_failure,
    /// 16: a batch of another engine is not executed.
    equal_engine,
    /// 19: pages are re-hashed before a node rejoins.
    rehash_before_rejoin,
    /// 19: a repair's target is what the cluster accepted.
    named_target,
    /// 20: a quarantined node casts no ballots and answers nobody.
    quarantine_is_silent,
    /// 21: an id that comes back with less than its peers remember is refused.
    refuse_forgetful,
    /// 22: membership entries are barriers.
    membership_barrier,
    /// 22: token quorums use the members at the batch's place in the log.
    members_at_position,
    /// 23: a majority, never less, is a quorum.
    majority,
}
