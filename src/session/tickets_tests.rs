//! The table of tickets and advisory locks.

use super::*;

/// Sessions of several nodes.
fn of(number: u64) -> Holder {
    Holder { incarnation: number % 3, session: number / 3 }
}
fn row(row: &str) -> Key {
    Key { database: "d".into(), table: "t".into(), row: Some(row.into()) }
}
fn table(name: &str) -> Key {
    Key { database: "d".into(), table: name.into(), row: None }
}

#[test]
fn sixteen_clients_on_one_row_are_served_in_the_order_they_came() {
    let mut tickets = Tickets::new();
    assert_eq!(tickets.request(of(0), row("1"), Mode::Exclusive), Reply::Granted);
    for client in 1..16 {
        assert_eq!(tickets.request(of(client), row("1"), Mode::Exclusive), Reply::Waiting);
    }
    for client in 0..15 {
        assert_eq!(tickets.release(of(client)), vec![of(client + 1)]);
    }
    assert!(tickets.release(of(15)).is_empty());
    assert!(tickets.is_empty());
}

#[test]
fn writers_share_a_row_and_wait_for_its_exclusive_holder() {
    let mut tickets = Tickets::new();
    assert_eq!(tickets.request(of(1), row("1"), Mode::Shared), Reply::Granted);
    assert_eq!(tickets.request(of(2), row("1"), Mode::Shared), Reply::Granted);
    assert_eq!(tickets.request(of(3), row("1"), Mode::Exclusive), Reply::Waiting);
    assert_eq!(tickets.request(of(4), row("1"), Mode::Shared), Reply::Waiting, "nobody overtakes");
    assert_eq!(tickets.request(of(4), row("2"), Mode::Shared), Reply::Granted, "other rows are free");
    assert!(tickets.release(of(1)).is_empty());
    assert_eq!(tickets.release(of(2)), vec![of(3)]);
    assert_eq!(tickets.release(of(3)), vec![of(4)]);
}

#[test]
fn a_table_key_excludes_all_its_rows() {
    let mut tickets = Tickets::new();
    assert_eq!(tickets.request(of(1), row("1"), Mode::Shared), Reply::Granted);
    assert_eq!(tickets.request(of(2), table("t"), Mode::Exclusive), Reply::Waiting);
    assert_eq!(tickets.request(of(3), table("u"), Mode::Exclusive), Reply::Granted);
    assert_eq!(tickets.release(of(1)), vec![of(2)]);
    assert_eq!(tickets.request(of(2), row("7"), Mode::Exclusive), Reply::Granted, "it has the whole table");
}

#[test]
fn the_request_that_closes_a_circle_is_refused_and_leaves_no_trace() {
    let mut tickets = Tickets::new();
    assert_eq!(tickets.request(of(1), row("a"), Mode::Exclusive), Reply::Granted);
    assert_eq!(tickets.request(of(2), row("b"), Mode::Exclusive), Reply::Granted);
    assert_eq!(tickets.request(of(1), row("b"), Mode::Exclusive), Reply::Waiting);
    assert_eq!(tickets.request(of(2), row("a"), Mode::Exclusive), Reply::Deadlock);
    assert_eq!(tickets.release(of(2)), vec![of(1)], "the refused one still held b until now");
    tickets.release(of(1));
    assert!(tickets.is_empty());
}

#[test]
fn two_shared_holders_that_both_want_more_are_a_deadlock() {
    let mut tickets = Tickets::new();
    tickets.request(of(1), row("a"), Mode::Shared);
    tickets.request(of(2), row("a"), Mode::Shared);
    assert_eq!(tickets.request(of(1), row("a"), Mode::Exclusive), Reply::Waiting);
    assert_eq!(tickets.request(of(2), row("a"), Mode::Exclusive), Reply::Deadlock);
    assert_eq!(tickets.release(of(2)), vec![of(1)]);
}

#[test]
fn giving_up_lets_those_behind_pass() {
    let mut tickets = Tickets::new();
    tickets.request(of(1), row("a"), Mode::Shared);
    assert_eq!(tickets.request(of(2), row("a"), Mode::Exclusive), Reply::Waiting);
    assert_eq!(tickets.request(of(3), row("a"), Mode::Shared), Reply::Waiting);
    assert_eq!(tickets.give_up(of(2)), vec![of(3)]);
}

#[test]
fn whoever_holds_too_many_gets_no_more_and_keeps_nobody_out_with_them() {
    let mut tickets = Tickets::new();
    for number in 0..HOLDER_MAX {
        assert_eq!(tickets.request(of(1), row(&number.to_string()), Mode::Shared), Reply::Granted);
    }
    assert_eq!(tickets.request(of(1), row("more"), Mode::Exclusive), Reply::Full);
    assert_eq!(tickets.request(of(1), row("7"), Mode::Shared), Reply::Granted, "it has that one");
    assert_eq!(tickets.request(of(2), row("more"), Mode::Exclusive), Reply::Granted);
    assert!(tickets.has_exclusive());
    tickets.release(of(2));
    assert!(!tickets.has_exclusive());
    tickets.release(of(1));
    for number in 0..ALL_MAX as u64 {
        assert_eq!(tickets.request(of(number), row(&number.to_string()), Mode::Shared), Reply::Granted);
    }
    assert_eq!(tickets.request(of(ALL_MAX as u64), table("u"), Mode::Exclusive), Reply::Full);
    tickets.release(of(3));
    assert_eq!(tickets.request(of(ALL_MAX as u64), table("u"), Mode::Exclusive), Reply::Granted);
}

fn lock(number: i32) -> Key {
    Key::advisory("d".into(), 0, number, 1)
}

#[test]
fn locks_outlive_tickets_are_given_back_one_by_one_and_are_seen_in_circles_with_tickets() {
    let mut tickets = Tickets::new();
    assert_eq!(tickets.request(of(1), lock(1), Mode::Exclusive), Reply::Granted);
    assert_eq!(tickets.request(of(1), lock(1), Mode::Shared), Reply::Granted);
    assert_eq!(tickets.request(of(2), row("a"), Mode::Exclusive), Reply::Granted);
    assert_eq!(tickets.request(of(1), row("a"), Mode::Exclusive), Reply::Waiting);
    assert_eq!(tickets.request(of(2), lock(1), Mode::Shared), Reply::Deadlock);
    assert_eq!(tickets.release(of(2)), [of(1)]);
    assert!(tickets.release(of(1)).is_empty());
    assert!(!tickets.has_exclusive() && tickets.has_locks() && tickets.locks(of(1)), "a lock is no ticket");
    assert_eq!(tickets.request(of(2), lock(1), Mode::Shared), Reply::Waiting);
    assert!(tickets.waits_for_lock(of(2)) && !tickets.waits_for_lock(of(1)));
    assert_eq!(tickets.release_locks(of(1), Some((&lock(1), Mode::Exclusive))), [of(2)]);
    assert_eq!(tickets.request(of(3), lock(1), Mode::Exclusive), Reply::Waiting, "two share it");
    tickets.release_locks(of(1), None);
    assert_eq!(tickets.release_all(of(2)), [of(3)]);
    assert!(tickets.forget_locks().is_empty());
    assert!(tickets.is_empty() && !tickets.knows(of(3)));
}

/// What a table of locks does, put as plainly as it can be: who holds what, and one queue for each lock.
#[derive(Default)]
struct Model {
    granted: Vec<(u64, i32, Mode)>,
    waiting: Vec<(u64, i32, Mode)>,
}

impl Model {
    fn is_free(&self, (holder, number, mode): (u64, i32, Mode), ahead: &[(u64, i32, Mode)]) -> bool {
        let conflicts =
            |other: &(u64, i32, Mode)| other.0 != holder && other.1 == number && Mode::Exclusive == mode.max(other.2);
        let holds = self.granted.iter().any(|held| held.0 == holder && held.1 == number);
        !self.granted.iter().any(conflicts) && (holds || !ahead.iter().any(conflicts))
    }

    fn request(&mut self, wanted: (u64, i32, Mode)) -> bool {
        let has = self.granted.contains(&wanted);
        let granted = has || self.is_free(wanted, &self.waiting);
        match granted {
            true if has => {}
            true => self.granted.push(wanted),
            false if self.granted.iter().any(|held| (held.0, held.1) == (wanted.0, wanted.1)) => {
                self.waiting.insert(0, wanted);
            }
            false => self.waiting.push(wanted),
        }
        granted
    }

    fn drop_those(&mut self, is_dropped: impl Fn(&(u64, i32, Mode), bool) -> bool) -> HashSet<u64> {
        self.granted.retain(|held| !is_dropped(held, true));
        self.waiting.retain(|held| !is_dropped(held, false));
        let (mut still, mut woken) = (Vec::new(), HashSet::new());
        for wanted in std::mem::take(&mut self.waiting) {
            if self.is_free(wanted, &still) {
                self.granted.push(wanted);
                woken.insert(wanted.0);
            } else {
                still.push(wanted);
            }
        }
        self.waiting = still;
        woken
    }
}

proptest::proptest! {
    /// Locks are granted, queued and given back as in the model, and never held by two that exclude each other.
    #[test]
    fn locks_are_granted_as_in_a_plain_model(
        steps in proptest::collection::vec((0u8..6, 0u64..5, 0i32..3, proptest::bool::ANY), 0..200),
    ) {
        let (mut tickets, mut model) = (Tickets::new(), Model::default());
        for (what, holder, number, is_shared) in steps {
            let mode = if is_shared { Mode::Shared } else { Mode::Exclusive };
            let is_waiting = model.waiting.iter().any(|wanted| wanted.0 == holder);
            let numbers = |holders: Vec<Holder>| -> HashSet<u64> {
                holders.into_iter().map(|holder| holder.session * 3 + holder.incarnation).collect()
            };
            match what {
                0..3 if is_waiting => {}
                0..3 => match tickets.request(of(holder), lock(number), mode) {
                    // The model knows no circles.
                    Reply::Deadlock => {}
                    reply => {
                        let granted = model.request((holder, number, mode));
                        proptest::prop_assert_eq!(reply == Reply::Granted, granted);
                    }
                },
                3 => {
                    let woken = model.drop_those(|held, _| *held == (holder, number, mode));
                    let given = tickets.release_locks(of(holder), Some((&lock(number), mode)));
                    proptest::prop_assert_eq!(numbers(given), woken);
                }
                4 => {
                    let woken = model.drop_those(|held, is_granted| held.0 == holder && !is_granted);
                    proptest::prop_assert_eq!(numbers(tickets.give_up(of(holder))), woken);
                }
                _ => {
                    let woken = model.drop_those(|held, _| held.0 == holder);
                    proptest::prop_assert_eq!(numbers(tickets.release_locks(of(holder), None)), woken);
                }
            }
            for (at, one) in model.granted.iter().enumerate() {
                let excluded = |other: &&(u64, i32, Mode)| {
                    other.0 != one.0 && other.1 == one.1 && one.2.max(other.2) == Mode::Exclusive
                };
                proptest::prop_assert!(model.granted[at..].iter().find(excluded).is_none());
            }
        }
        (0..5).for_each(|holder| drop(tickets.release_all(of(holder))));
        proptest::prop_assert!(tickets.is_empty());
    }
}
