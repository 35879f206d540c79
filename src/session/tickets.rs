//! First-come first-served tickets for keys: a courtesy to interactive transactions (rule 29), and advisory locks, which
//! are a promise (rule 27).
//!
//! Correctness never needs tickets, since every answer is certified at COMMIT; they only keep transactions
//! that read, think and then write one row from making each other fail. Advisory locks stand in the same table, as rows
//! of a table without a name, so that a circle of waits for both is seen. Pure: requests in, grants out.
//!
//! Invariants
//! 1. Of two granted tickets that conflict at most one is exclusive-or-both-shared: an exclusive one
//!    conflicts with every other holder's, shared ones only with exclusive ones.
//! 2. A request waits behind every earlier waiting request that it conflicts with: nobody is overtaken,
//!    except by a holder that asks for more of what it already has.
//! 3. No cycle of holders waiting for each other is ever formed: the request that would close one is
//!    answered [`Reply::Deadlock`] and does not wait.
//! 4. No more tickets than [`HOLDER_MAX`] of one holder, and [`ALL_MAX`] of all, are held or waited for: what
//!    comes beyond is answered [`Reply::Full`] and leaves no trace.

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Tickets of one holder, at most.
pub const HOLDER_MAX: usize = 1_000;
/// Tickets of all holders, at most.
pub const ALL_MAX: usize = 10_000;

/// The name of no table: its rows are advisory locks.
const ADVISORY: &str = "";

/// Who asks: a session, unique in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The start of the node that its client is connected to.
    pub incarnation: u64,
    /// The session there.
    pub session: u64,
}

/// What a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Database.
    pub database: Arc<str>,
    /// Table, as in the catalog.
    pub table: Arc<str>,
    /// Normalised value of the whole primary key; `None` means all rows.
    pub row: Option<Arc<str>>,
}

impl Key {
    /// An advisory lock, by the numbers of `classid`, `objid` and `objsubid` in pg_locks.
    pub fn advisory(database: Arc<str>, class: i32, object: i32, form: u8) -> Key {
        Key { database, table: ADVISORY.into(), row: Some(format!("{class} {object} {form}").into()) }
    }

    /// Whether it is an advisory lock's.
    pub fn is_advisory(&self) -> bool {
        &*self.table == ADVISORY
    }

    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        self.database.len() + self.table.len() + self.row.as_ref().map_or(0, |row| row.len())
    }

    /// Whether a ticket for this key includes one for `wanted`.
    pub fn covers(&self, wanted: &Key) -> bool {
        let has_row = self.row.is_none() || self.row == wanted.row;
        has_row && self.table == wanted.table && self.database == wanted.database
    }

    fn overlaps(&self, other: &Key) -> bool {
        let rows_meet = match (&self.row, &other.row) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        rows_meet && self.table == other.table && self.database == other.database
    }
}

/// How a key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// Plain writes: they do not disturb each other.
    Shared,
    /// FOR UPDATE, and writes whose answer shows the row.
    Exclusive,
}

/// Answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The ticket is held.
    Granted,
    /// It will be granted by a later [`Tickets::release`] or [`Tickets::give_up`].
    Waiting,
    /// Waiting would never end (40P01); nothing was queued.
    Deadlock,
    /// Too many are held already; nothing was queued, and the holder does without.
    Full,
}

/// Database and table.
type Place = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Ticket {
    holder: Holder,
    key: Key,
    mode: Mode,
}

impl Ticket {
    fn conflicts(&self, other: &Ticket) -> bool {
        self.holder != other.holder
            && (self.mode == Mode::Exclusive || other.mode == Mode::Exclusive)
            && self.key.overlaps(&other.key)
    }
}

/// The table of tickets of one cluster.
///
/// Lists per (database, table) would be searched faster; tickets are few, for they live from a
/// FOR UPDATE to its COMMIT, and a list per table keeps row keys and whole-table keys in one order.
#[derive(Debug, Default)]
pub struct Tickets {
    tables: HashMap<Place, Queue>,
    held_tables: HashMap<Holder, HashSet<Place>>,
}

#[derive(Debug, Default)]
struct Queue {
    granted: Vec<Ticket>,
    waiting: Vec<Ticket>,
}

impl Queue {
    fn all(&self) -> impl Iterator<Item = &Ticket> {
        self.granted.iter().chain(&self.waiting)
    }
}

impl Tickets {
    /// An empty table.
    pub fn new() -> Self {
        Tickets::default()
    }

    /// Whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Whether anybody keeps others out of something, or waits to.
    pub fn has_exclusive(&self) -> bool {
        let tickets = self.tables.values().flat_map(Queue::all).filter(|ticket| !ticket.key.is_advisory());
        tickets.map(|ticket| ticket.mode).any(|mode| mode == Mode::Exclusive)
    }

    /// Whether anybody has an advisory lock, or waits for one.
    pub fn has_locks(&self) -> bool {
        self.tables.keys().any(|(_, table)| &**table == ADVISORY)
    }

    /// Whether this holder has an advisory lock, or waits for one.
    pub fn locks(&self, holder: Holder) -> bool {
        self.held_tables.get(&holder).into_iter().flatten().any(|(_, table)| &**table == ADVISORY)
    }

    /// Whether an advisory lock is what this holder waits for.
    pub fn waits_for_lock(&self, holder: Holder) -> bool {
        let places = self.held_tables.get(&holder).into_iter().flatten().filter(|(_, table)| &**table == ADVISORY);
        let waiting = places.filter_map(|place| self.tables.get(place)).flat_map(|queue| &queue.waiting);
        waiting.map(|ticket| ticket.holder).any(|waits| waits == holder)
    }

    /// Whether this holder has anything, or waits for it.
    pub fn knows(&self, holder: Holder) -> bool {
        self.held_tables.contains_key(&holder)
    }

    /// Asks for a key. A holder waits for at most one request at a time.
    pub fn request(&mut self, holder: Holder, key: Key, mode: Mode) -> Reply {
        let place = (key.database.clone(), key.table.clone());
        let ticket = Ticket { holder, key, mode };
        // An advisory lock that is shared is held beside the exclusive one, and outlives it.
        let suffices = |held: Mode| if ticket.key.is_advisory() { held == mode } else { held >= mode };
        let includes = |t: &Ticket| t.holder == holder && suffices(t.mode) && t.key.covers(&ticket.key);
        if self.tables.get(&place).is_some_and(|queue| queue.granted.iter().any(includes)) {
            return Reply::Granted;
        }
        if self.is_full(holder) {
            return Reply::Full;
        }
        let queue = self.tables.entry(place.clone()).or_default();
        let free = !queue.granted.iter().any(|t| t.conflicts(&ticket));
        let holds_some = queue.granted.iter().any(|t| t.holder == holder && t.key.overlaps(&ticket.key));
        if free && (holds_some || !queue.waiting.iter().any(|t| t.conflicts(&ticket))) {
            queue.granted.push(ticket);
            self.held_tables.entry(holder).or_default().insert(place);
            return Reply::Granted;
        }
        if holds_some {
            // It already keeps others out; behind them it would wait for those who wait for it.
            queue.waiting.insert(0, ticket);
        } else {
            queue.waiting.push(ticket);
        }
        self.held_tables.entry(holder).or_default().insert(place);
        if self.waits_for_itself(holder) {
            self.give_up(holder);
            return Reply::Deadlock;
        }
        Reply::Waiting
    }

    /// Takes a waiting request back (time-out, cancel); what the holder already holds stays. Returns
    /// the holders whose requests are granted by that.
    pub fn give_up(&mut self, holder: Holder) -> Vec<Holder> {
        self.drop_those(holder, |_, is_granted| !is_granted)
    }

    /// Gives all tickets of a holder back: its COMMIT was accepted, or it rolled back. Advisory locks stay. Returns the
    /// holders whose requests are granted by that.
    pub fn release(&mut self, holder: Holder) -> Vec<Holder> {
        self.drop_those(holder, |ticket, _| !ticket.key.is_advisory())
    }

    /// Gives an advisory lock of a holder back, or all of them.
    pub fn release_locks(&mut self, holder: Holder, which: Option<(&Key, Mode)>) -> Vec<Holder> {
        self.drop_those(holder, |ticket, _| {
            ticket.key.is_advisory() && which.is_none_or(|(key, mode)| ticket.key == *key && ticket.mode == mode)
        })
    }

    /// Gives everything of a holder back: nobody stands for it any more.
    pub fn release_all(&mut self, holder: Holder) -> Vec<Holder> {
        self.drop_those(holder, |_, _| true)
    }

    /// Nobody has an advisory lock any more. Returns the holders whose requests are granted by that.
    pub fn forget_locks(&mut self) -> Vec<Holder> {
        let holders: Vec<Holder> = self.held_tables.keys().copied().collect();
        holders.into_iter().flat_map(|holder| self.release_locks(holder, None)).collect()
    }

    /// Drops tickets of one holder, granted ones (true) and those that wait.
    fn drop_those(&mut self, holder: Holder, is_dropped: impl Fn(&Ticket, bool) -> bool) -> Vec<Holder> {
        let places: Vec<_> = self.held_tables.get(&holder).into_iter().flatten().cloned().collect();
        let mut granted = Vec::new();
        for place in places {
            let Some(queue) = self.tables.get_mut(&place) else { continue };
            queue.granted.retain(|t| t.holder != holder || !is_dropped(t, true));
            queue.waiting.retain(|t| t.holder != holder || !is_dropped(t, false));
            if !queue.all().any(|t| t.holder == holder)
                && let Some(held) = self.held_tables.get_mut(&holder)
            {
                held.remove(&place);
            }
            granted.extend(self.grant_at(&place));
        }
        if self.held_tables.get(&holder).is_some_and(HashSet::is_empty) {
            self.held_tables.remove(&holder);
        }
        granted
    }

    /// Grants what can be granted in one table, in order.
    fn grant_at(&mut self, place: &Place) -> Vec<Holder> {
        let Some(queue) = self.tables.get_mut(place) else { return Vec::new() };
        let mut granted = Vec::new();
        let mut still_waiting: Vec<Ticket> = Vec::new();
        for ticket in queue.waiting.drain(..) {
            let blocked = queue.granted.iter().chain(&still_waiting).any(|t| t.conflicts(&ticket));
            if blocked {
                still_waiting.push(ticket);
            } else {
                granted.push(ticket.holder);
                queue.granted.push(ticket);
            }
        }
        queue.waiting = still_waiting;
        if queue.granted.is_empty() && queue.waiting.is_empty() {
            self.tables.remove(place);
        }
        granted
    }

    /// Invariant 4.
    fn is_full(&self, holder: Holder) -> bool {
        let places = self.held_tables.get(&holder).into_iter().flatten();
        let own = places.filter_map(|place| self.tables.get(place)).flat_map(Queue::all);
        let all = self.tables.values().map(|queue| queue.granted.len() + queue.waiting.len());
        all.sum::<usize>() >= ALL_MAX || own.filter(|ticket| ticket.holder == holder).count() >= HOLDER_MAX
    }

    /// Whether a chain of waits leads from a holder back to it.
    fn waits_for_itself(&self, start: Holder) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![start];
        while let Some(holder) = open.pop() {
            for next in self.awaited_by(holder) {
                if next == start {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }

    /// The holders that one holder's waiting request waits for.
    fn awaited_by(&self, holder: Holder) -> Vec<Holder> {
        let mut awaited = Vec::new();
        for place in self.held_tables.get(&holder).into_iter().flatten() {
            let Some(queue) = self.tables.get(place) else { continue };
            for (at, ticket) in queue.waiting.iter().enumerate().filter(|(_, t)| t.holder == holder) {
                let ahead = queue.granted.iter().chain(&queue.waiting[..at]);
                awaited.extend(ahead.filter(|t| t.conflicts(ticket)).map(|t| t.holder));
            }
        }
        awaited
    }
}

#[cfg(test)]
#[path = "tickets_tests.rs"]
mod tests;
