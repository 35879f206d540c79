//! Primary and backup as in Remus (Cully et al., NSDI 2008), the comparator of the Eve paper: one node executes one by
//! one and ships what changed, and answers leave when the backup has it. Beside it what this system does: transactions
//! are shipped, and every replica executes them.
//!
//! Reads are executed in the batches by both, as in that paper; only what updates is counted as shipped.
//!
//! Both are measured with their peer at the other end of a TCP connection on this machine. The shipped state is that of
//! the database alone, by whole pages, which is kind to Remus: it ships all memory of a virtual machine.
//!
//! All nodes work on the cores of one machine here, so rates are given for machines of their own too: a primary that
//! executes while its backup takes in what came before is as fast as the slower of the two; a replica that executes is
//! as fast as it executes.

use super::lane::{Lane, Planned, Shop, batch, median, micros};
use super::load::Mix;
use evesql::batch::{Command, Plan};
use evesql::config::RunAhead;
use evesql::entry::EncodedCommand;
use evesql::node::planner::Planner;
use evesql::node::rules::SharedRules;
use evesql::page::{Hash, PAGE_SIZE, PageNumber};
use evesql::page_store::{Replacement, Snapshot};
use evesql::replica::Learn;
use evesql::token::Accepted;
use evesql::transaction::{Operation, Transaction};
use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

/// A ballot and the acceptance of a batch, by the largest that postcard makes of them.
const VERDICT_BYTES: usize = 256;

/// The other end: takes states in, and says how long each took it.
struct Backup {
    stream: BufWriter<TcpStream>,
    acknowledged: BufReader<TcpStream>,
    took: Receiver<Duration>,
}

impl Backup {
    /// Begins with the shop as it was populated.
    fn of<'a>(shop: &'a Shop, scope: &'a Scope<'a, '_>) -> Backup {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        for end in [&stream, &peer] {
            end.set_nodelay(true).unwrap();
        }
        let (sender, took) = channel();
        // A replica stays on its thread.
        scope.spawn(move || take_in(shop.lane("backup", 1, Learn::Nothing), peer, &sender));
        let acknowledged = BufReader::new(stream.try_clone().unwrap());
        Backup { stream: BufWriter::with_capacity(1 << 20, stream), acknowledged, took }
    }

    /// Ships a state's changed pages; bytes on the network. The backup has them on return.
    fn ship(&mut self, accepted: &Accepted, before: &[(String, Snapshot)], after: &[(String, Snapshot)]) -> usize {
        let mut bytes = 0;
        let mut send = |part: &[u8]| {
            bytes += part.len();
            self.stream.write_all(part).unwrap();
        };
        send(&accepted.log_id.index.to_le_bytes());
        send(&accepted.root.0.to_le_bytes());
        for ((_, before), (_, after)) in before.iter().zip(after) {
            let changed = after.store().diff(before, after).unwrap();
            send(&after.root().0.to_le_bytes());
            send(&after.page_count().to_le_bytes());
            send(&(changed.len() as u32).to_le_bytes());
            for page in changed {
                send(&page.to_le_bytes());
                send(&after.page(page).unwrap()[..]);
            }
        }
        self.stream.flush().unwrap();
        let mut word = [0];
        self.acknowledged.read_exact(&mut word).unwrap();
        bytes + word.len()
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Both);
    }
}

/// Until the primary goes.
fn take_in(mut lane: Lane, stream: TcpStream, took: &Sender<Duration>) {
    let mut from = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    let mut to = stream;
    let mut index = [0; 8];
    while from.read_exact(&mut index).is_ok() {
        let start = Instant::now();
        let mut accepted = lane.replica.newest();
        accepted.log_id.index = u64::from_le_bytes(index);
        let names = lane.replica.newest_snapshots().into_iter().map(|(name, _)| name);
        let Some(databases) = receive(&mut from, names, &mut accepted) else { return };
        lane.replica.install(&accepted, databases, None).unwrap();
        took.send(start.elapsed()).unwrap();
        if to.write_all(&[1]).is_err() {
            return;
        }
    }
}

/// The state behind its index: its root, and of each database, in their order, what changed.
fn receive(
    from: &mut impl Read,
    names: impl Iterator<Item = String>,
    accepted: &mut Accepted,
) -> Option<BTreeMap<String, Replacement>> {
    accepted.root = Hash(u128::from_le_bytes(number(from)?));
    let mut database = || {
        let root = Hash(u128::from_le_bytes(number(from)?));
        let [page_count, count] = [number(from)?, number(from)?].map(u32::from_le_bytes);
        let mut page = || {
            let page = PageNumber::from_le_bytes(number(from)?);
            let mut bytes = Box::new([0; PAGE_SIZE]);
            from.read_exact(&mut bytes[..]).ok()?;
            Some((page, bytes))
        };
        let pages = (0..count).map(|_| page()).collect::<Option<_>>()?;
        Some(Replacement { root, page_count, pages })
    };
    names.map(|name| Some((name, database()?))).collect()
}

fn number<const N: usize>(from: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn updates(transaction: &Transaction) -> bool {
    transaction.operations.iter().any(|operation| match operation {
        Operation::Statement(statement) => statement.sql.iter().any(|sql| !sql.starts_with("SELECT")),
        _ => true,
    })
}

/// Times of one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    executing: Duration,
    /// Finding and sending what changed, with the time until the backup has it.
    shipping: Duration,
    /// At the backup.
    taking_in: Duration,
}

pub fn table(shop: &Shop, mixes: &[Mix]) {
    println!("\n### Beside a primary that ships its pages\n");
    println!(
        "| Mix | Remus-style/s, this machine | Its primary executes us | ships us | its backup takes in us | Remus-style/s, own machines | \
         This system/s, own machines | Ratio | Bytes a transaction: pages | transactions | Ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for mix in mixes {
        std::thread::scope(|scope| line(shop, mix, Backup::of(shop, scope)));
    }
}

fn line(shop: &Shop, mix: &Mix, mut backup: Backup) {
    let settings = shop.settings;
    let mut load = shop.load.clone();
    let mut primary = shop.lane("primary", 1, Learn::Nothing);
    let mut own = shop.lane("planned", 2, Learn::Footprints);
    let mut planner = Planner::new(own.replica.learned(), 2, RunAhead::WhenItPays, SharedRules::default());
    let (mut passes, mut pages_bytes, mut own_bytes) = (Vec::<Pass>::new(), 0, 0);
    let mut planned = Planned::default();
    for number in 0..settings.warm_up + settings.batches * settings.passes {
        let counts = number >= settings.warm_up;
        if counts && (number - settings.warm_up).is_multiple_of(settings.batches) {
            passes.push(Pass::default());
            own.begin_pass();
        }
        let index = primary.index + 1;
        let made = load.batch(mix, settings.batch, index);
        let start = Instant::now();
        let plan = planner.plan(&made);
        planned.add(&plan, made.len(), start.elapsed());
        // A read is answered by one node and shipped by nobody, here as there.
        let updating: Vec<Transaction> = made.iter().filter(|one| updates(one)).cloned().collect();
        let encoded = EncodedCommand::new(Command::Batch(batch(updating, plan.clone(), index)));

        let start = Instant::now();
        let before = primary.replica.newest_snapshots();
        let outcomes = primary.execute(&batch(made.clone(), Plan::default(), index));
        let executing = start.elapsed();
        let start = Instant::now();
        let bytes = backup.ship(&primary.replica.newest(), &before, &primary.replica.newest_snapshots());
        let shipping = start.elapsed();
        let taking_in = backup.took.recv().unwrap();
        if let (Some(pass), true) = (passes.last_mut(), counts) {
            pass.executing += executing;
            pass.shipping += shipping;
            pass.taking_in += taking_in;
            pages_bytes += bytes;
            own_bytes += encoded.bytes().len() + VERDICT_BYTES;
        }
        let answers = own.execute(&batch(made, plan, index));
        assert_eq!(outcomes.len(), answers.len());
    }
    let count = (settings.batch * settings.batches) as u64;
    let of = |part: fn(&Pass) -> Duration| median(&passes.iter().map(part).collect::<Vec<_>>());
    let (executing, shipping) = (of(|pass| pass.executing), of(|pass| pass.shipping));
    let taking_in = of(|pass| pass.taking_in);
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    // Sending is the primary's work, waiting is not: it executes the next batch meanwhile.
    let apart = (executing + shipping.saturating_sub(taking_in)).max(taking_in);
    let all = (count * passes.len() as u64) as f64;
    let (pages, texts) = (pages_bytes as f64 / all, own_bytes as f64 / all);
    println!(
        "| {} | {:.0} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.1} |",
        mix.name,
        rate(executing + shipping),
        micros(executing, count),
        micros(shipping, count),
        micros(taking_in, count),
        rate(apart),
        rate(own.median()),
        rate(own.median()) / rate(apart),
        pages,
        texts,
        pages / texts,
    );
}
