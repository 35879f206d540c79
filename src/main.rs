//! The `evesql` program: parses the command line, wires the parts, runs and stops cleanly.

use clap::{Args, Parser, Subcommand};
use evesql::admin::{self, Wish};
use evesql::config::{Auth, Config, ConfigError, Member, Peers, RunAhead};
use evesql::exchange;
use evesql::node;
use evesql::node::rules::{SuggestError, SuggestOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// For Rust and, by its `override` feature, for SQLite.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A SQL database that checks itself.
#[derive(Parser)]
#[command(name = "evesql", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What `serve` and `node` have in common.
#[derive(Args)]
struct Common {
    /// Directory of the nodes' files [default: evesql-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address for Postgres clients [default: 127.0.0.1:5433]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Have a socket for clients of this machine in a directory, too: `psql -h DIR -p PORT`
    #[arg(long, value_name = "DIR")]
    socket_dir: Option<PathBuf>,
    /// Address of the status page [default: 127.0.0.1:8433]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration file (TOML); options given here override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File or directory of rules for the mixer; changes are taken up while it runs
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Allow fault drills: SELECT evesql_drill(..)
    #[arg(long)]
    drills: bool,
    /// TLS for clients: this server's certificate, and those between it and its CA behind it (PEM)
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM, without a password)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Of clients on this machine whose role has no password, or that have no role: trust lets them in, scram does not
    /// [default: trust]
    #[arg(long, value_name = "trust|scram")]
    auth: Option<Auth>,
    /// Take clients of other machines without TLS; they need passwords all the same
    #[arg(long)]
    plain_clients: bool,
    /// Allow listening beyond loopback without passwords and TLS
    #[arg(long)]
    insecure: bool,
}

impl Common {
    /// The configuration file, or the defaults.
    fn base(&self) -> Result<Config, ConfigError> {
        self.config.as_deref().map_or(Ok(Config::default()), Config::from_file)
    }

    /// What was given here goes before what stands in the file.
    fn over(self, base: Config) -> Config {
        Config {
            data: self.data.unwrap_or(base.data),
            listen: self.listen.unwrap_or(base.listen),
            socket_dir: self.socket_dir.or(base.socket_dir),
            admin: self.admin.unwrap_or(base.admin),
            rules: self.rules.or(base.rules),
            drills: self.drills || base.drills,
            tls_cert: self.tls_cert.or(base.tls_cert),
            tls_key: self.tls_key.or(base.tls_key),
            auth: self.auth.unwrap_or(base.auth),
            plain_clients: self.plain_clients || base.plain_clients,
            insecure: self.insecure || base.insecure,
            ..base
        }
    }
}

/// Where `serve` listens by default; a password may stand in PGPASSWORD instead.
const DATABASE_URL: &str = "postgres://evesql@127.0.0.1:5433/evesql";

/// Which database `dump` and `import` are about.
#[derive(Args)]
struct Database {
    /// Which database
    #[arg(long, value_name = "URL", default_value = DATABASE_URL)]
    url: String,
    /// TLS: certificate of the CA that signed for the server (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl Database {
    fn target(&self) -> exchange::Target<'_> {
        exchange::Target { url: &self.url, tls_ca: self.tls_ca.as_deref() }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run three replicas in this process and serve Postgres clients.
    Serve {
        #[command(flatten)]
        common: Common,
        /// Nodes in this process: 1, 3, 5 or 7 [default: 3]
        #[arg(long, value_name = "N")]
        replicas: Option<u64>,
    },
    /// Run one node of a cluster, whose other nodes are processes of their own, and serve Postgres clients.
    Node {
        /// Number of this node
        #[arg(long, value_name = "N")]
        id: Option<u64>,
        /// Address for the other nodes
        #[arg(long, value_name = "ADDR")]
        peer_listen: Option<SocketAddr>,
        #[command(flatten)]
        common: Common,
        /// All nodes of a new cluster and where this one reaches them; the same nodes on each of them
        #[arg(long, value_name = "1=HOST:PORT,2=HOST:PORT,..")]
        peers: Option<Peers>,
        /// Join a running cluster, of which this is any node's --peer-listen
        #[arg(long, value_name = "HOST:PORT", conflicts_with = "peers")]
        join: Option<String>,
        /// TLS with the other nodes: certificate of the CA that signed for all of them (PEM)
        #[arg(long, value_name = "FILE")]
        peer_ca: Option<PathBuf>,
        /// This node's certificate (PEM)
        #[arg(long, value_name = "FILE")]
        peer_cert: Option<PathBuf>,
        /// Its private key (PEM, without a password)
        #[arg(long, value_name = "FILE")]
        peer_key: Option<PathBuf>,
    },
    /// Show nodes, roots, lag and divergences of a running server.
    Status {
        /// Its admin address
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8433")]
        admin: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change who belongs to a cluster.
    Member {
        #[command(subcommand)]
        command: MemberCommand,
    },
    /// Have another node lead the cluster.
    TransferLeader {
        /// Which
        #[arg(value_name = "ID")]
        node: u64,
        /// Admin address of any node
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8433")]
        admin: String,
    },
    /// Write a database as SQL, to load with psql into PostgreSQL or EveSQL.
    Dump {
        #[command(flatten)]
        database: Database,
        /// Leave out who owns what
        #[arg(long)]
        no_owner: bool,
        /// Leave out GRANTs
        #[arg(long)]
        no_privileges: bool,
    },
    /// Bring the tables, indexes and views of an SQLite file into a database: all of them, or nothing. The file is only
    /// read.
    Import {
        /// The file
        #[arg(value_name = "FILE.db")]
        file: PathBuf,
        #[command(flatten)]
        database: Database,
    },
    /// Prove the files of a stopped server: pages against the recorded root, the log, SQLite's own check.
    Check {
        /// Directory of the nodes' files
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Rules about which transactions may run beside each other.
    Rules {
        #[command(subcommand)]
        command: RulesCommand,
    },
    /// Batches that gave another result when they were run again one by one.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Run such a batch again, as it was executed and one by one, and show what differs. Nothing is written.
    Replay {
        /// The directory audit-INDEX that the node has saved, as evesql_audits shows it, or a copy
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Subcommand)]
enum MemberCommand {
    /// Make a node that was started with --join a voter, once it has shown that it computes what the others do.
    Add {
        /// Which
        #[arg(value_name = "ID")]
        node: u64,
        /// Admin address of any node
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8433")]
        admin: String,
    },
    /// Take a node out of the cluster.
    Remove {
        /// Which
        #[arg(value_name = "ID")]
        node: u64,
        /// Admin address of any node
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8433")]
        admin: String,
    },
}

#[derive(Subcommand)]
enum RulesCommand {
    /// Print what is wrong with rules, one finding a line.
    Check {
        /// A file of rules, or a directory with .toml files
        #[arg(value_name = "FILE|DIR")]
        rules: PathBuf,
        /// SQL that makes the tables: also checks names, and statements against their translation
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
    },
    /// Show what statements touch, the groups that they fall into if all run in parallel, and why two are kept apart.
    Explain {
        /// Statements with semicolons between them, each a transaction of a session of its own; BEGIN; ..; COMMIT is one
        #[arg(value_name = "SQL; SQL; ..")]
        sql: String,
        /// SQL that makes the tables
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
        /// A file of rules, or a directory with .toml files
        #[arg(long, value_name = "FILE|DIR")]
        rules: Option<PathBuf>,
    },
    /// Propose rules for what conflicted falsely in the log of a stopped server; they go to stdout, what was seen to
    /// stderr. Nothing in the directory is changed.
    Suggest {
        /// Directory of the nodes' files, or one node's directory node-N in it
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// The rules in force: what they say something of is left to them
        #[arg(long, value_name = "FILE|DIR")]
        rules: Option<PathBuf>,
        /// Look at all transactions that can run ahead, not only at those for which it pays on this machine
        #[arg(long)]
        all: bool,
        /// Cores that a node is taken to have [default: those of this machine]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
        workers: Option<u16>,
    },
}

/// 0 done, 1 a finding or a failure at run time, 2 wrong usage or configuration.
fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result: Result<ExitCode, Box<dyn std::error::Error>> = match arguments.command {
        Command::Serve { common, replicas } => {
            let base = match common.base() {
                Ok(base) => base,
                Err(error) => return fail(2, &error),
            };
            let replicas = replicas.unwrap_or(base.replicas);
            return serve(Config { replicas, member: None, ..common.over(base) });
        }
        Command::Node { common, id, peer_listen, peers, join, peer_ca, peer_cert, peer_key } => {
            let base = match common.base() {
                Ok(base) => base,
                Err(error) => return fail(2, &error),
            };
            let known = base.member.as_ref();
            let member = (id.or(known.map(|member| member.id)), peer_listen.or(known.map(|member| member.peer_listen)));
            let makes_or_joins = match (peers, join) {
                (None, None) => known.map(|member| (member.peers.clone(), member.join.clone())),
                (peers, join) => Some((peers.unwrap_or_default(), join)),
            };
            let ((Some(id), Some(peer_listen)), Some((peers, join))) = (member, makes_or_joins) else {
                return fail(2, &MissingMember);
            };
            let (ca, cert, key) =
                known.map_or((None, None, None), |member| (member.ca.clone(), member.cert.clone(), member.key.clone()));
            let (ca, cert, key) = (peer_ca.or(ca), peer_cert.or(cert), peer_key.or(key));
            let member = Some(Member { id, peer_listen, peers, join, ca, cert, key });
            return serve(Config { member, ..common.over(base) });
        }
        Command::Status { admin, json } => status(&admin, json).map_err(|e| Box::new(e) as _),
        Command::Member { command: MemberCommand::Add { node, admin } } => wish(&admin, Wish::AddMember(node)),
        Command::Member { command: MemberCommand::Remove { node, admin } } => wish(&admin, Wish::RemoveMember(node)),
        Command::TransferLeader { node, admin } => wish(&admin, Wish::TransferLeader(node)),
        Command::Dump { database, no_owner, no_privileges } => return dump(&database, !no_owner, !no_privileges),
        Command::Import { file, database } => return import(&file, &database),
        Command::Check { data } => node::check(&data).map(ExitCode::from).map_err(|e| Box::new(e) as _),
        Command::Rules { command: RulesCommand::Check { rules, schema } } => {
            match node::rules::check_rules(&rules, schema.as_deref()) {
                Ok(findings) => {
                    findings.iter().for_each(|finding| println!("{finding}"));
                    Ok(ExitCode::from(u8::from(!findings.is_empty())))
                }
                Err(error) => return fail(2, &error),
            }
        }
        Command::Rules { command: RulesCommand::Explain { sql, schema, rules } } => {
            match node::rules::explain_sql(&sql, schema.as_deref(), rules.as_deref()) {
                Ok(text) => {
                    print!("{text}");
                    Ok(ExitCode::SUCCESS)
                }
                Err(error @ node::rules::ExplainError::Statement(_)) => return fail(1, &error),
                Err(error) => return fail(2, &error),
            }
        }
        Command::Rules { command: RulesCommand::Suggest { from, rules, all, workers } } => {
            let run_ahead = if all { RunAhead::Always } else { RunAhead::WhenItPays };
            let workers = workers.map_or(0, usize::from);
            let options = SuggestOptions { rules: rules.as_deref(), run_ahead, workers };
            match node::rules::suggest_rules(&from, options, &mut progress()) {
                Ok(suggested) => {
                    eprint!("{}", suggested.report);
                    print!("{}", suggested.rules);
                    Ok(ExitCode::SUCCESS)
                }
                Err(error @ SuggestError::Rules(_)) => return fail(2, &error),
                Err(error) => return fail(1, &error),
            }
        }
        Command::Audit { command: AuditCommand::Replay { directory } } => match node::replay_audit(&directory) {
            Ok(replayed) => {
                print!("{}", replayed.report);
                Ok(ExitCode::from(u8::from(replayed.differs)))
            }
            Err(error @ node::SavedAuditError::NoAudit(_)) => return fail(2, &error),
            Err(error) => return fail(1, &error),
        },
    };
    result.unwrap_or_else(|error| fail(1, error.as_ref()))
}

/// What `evesql node` cannot do without.
#[derive(Debug, thiserror::Error)]
#[error("a node needs --id, --peer-listen and --peers or --join (or [member] in its configuration file)")]
struct MissingMember;

/// Runs the nodes of this process until they are told to stop.
fn serve(config: Config) -> ExitCode {
    if let Err(error) = config.validate() {
        return fail(2, &error);
    }
    start_log();
    match node::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (node::NodeError::Rules(_) | node::NodeError::PeerTls(_) | node::NodeError::ClientTls(_))) => {
            fail(2, &error)
        }
        Err(error) => fail(1, &error),
    }
}

fn dump(database: &Database, owners: bool, privileges: bool) -> ExitCode {
    let options = exchange::DumpOptions { target: database.target(), owners, privileges };
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    match exchange::dump(&options, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.is_usage() { 2 } else { 1 }, &error),
    }
}

/// Exit code 1 also where the rows are there, but not all that stood beside them.
fn import(file: &Path, database: &Database) -> ExitCode {
    let report = match exchange::import(file, &database.target()) {
        Ok(report) => report,
        Err(error) => return fail(if error.is_usage() { 2 } else { 1 }, &error),
    };
    report.notes.iter().for_each(|note| eprintln!("{note}"));
    report.tables.iter().for_each(|(table, rows)| println!("{table}: {rows} rows"));
    let rows: u64 = report.tables.iter().map(|(_, rows)| rows).sum();
    let (tables, views, left_out) = (report.tables.len(), report.views, report.left_out);
    println!("{tables} tables with {rows} rows and {views} views are there; {left_out} things were left out");
    ExitCode::from(u8::from(left_out > 0))
}

/// Says on stderr now and then how far something long is.
fn progress() -> impl FnMut(f64) {
    const PAUSE: Duration = Duration::from_secs(5);
    let mut said = Instant::now();
    move |part| {
        if said.elapsed() >= PAUSE {
            said = Instant::now();
            eprintln!("{:.0} % done", part * 100.0);
        }
    }
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("evesql: {error}");
    ExitCode::from(code)
}

/// Events of the warning level and above go to stderr; `EVESQL_LOG=info` and so on show more.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("EVESQL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,openraft=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Has a running node fulfil a wish.
fn wish(address: &str, wish: Wish) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let done = admin::ask(address, wish)??;
    println!("{done}");
    Ok(ExitCode::SUCCESS)
}

fn status(address: &str, json: bool) -> Result<ExitCode, admin::AdminError> {
    let status = admin::fetch(address)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default());
    } else {
        print!("{}", status.render());
    }
    Ok(if status.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
