//! Configuration: documented fields with units, defaults in one place, checked before anything starts.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Everything that `evesql serve` and `evesql node` can be told; a TOML file holds any subset of it, command-line options
/// override the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of the nodes' files; made if it is missing.
    pub data: PathBuf,
    /// Address for Postgres clients.
    pub listen: SocketAddr,
    /// Directory in which there is a socket for clients of this machine as well, `.s.PGSQL.` and the port of `listen`.
    /// Who may enter the directory may connect, as by loopback. None: no socket.
    pub socket_dir: Option<PathBuf>,
    /// Address of the HTTP page that `evesql status` reads.
    pub admin: SocketAddr,
    /// Nodes in this process: 1, 3, 5 or 7. Without meaning for one node of a cluster.
    pub replicas: u64,
    /// Set for one node of a cluster whose nodes are processes of their own.
    pub member: Option<Member>,
    /// Allows `SELECT evesql_drill(..)`.
    pub drills: bool,
    /// This server's certificate for clients, in PEM form, with those between it and its CA behind it. With `tls_key`:
    /// clients may use TLS, and those of other machines must, with a password besides.
    pub tls_cert: Option<PathBuf>,
    /// The private key of `tls_cert`, in PEM form, without a password.
    pub tls_key: Option<PathBuf>,
    /// What clients on this machine need whose role has no password, or that have no role.
    pub auth: Auth,
    /// Clients of other machines may do without TLS; they need passwords all the same.
    pub plain_clients: bool,
    /// Allows listening beyond loopback without passwords and TLS.
    pub insecure: bool,
    /// File or directory of the mixer's rules, read again when they change (`sql-mixer-rules/README.md`).
    pub rules: Option<PathBuf>,
    /// Threads of each node that run transactions ahead of their turn. 0: the cores, shared by the nodes of the process.
    pub workers: usize,
    /// When the leader plans to do so.
    pub run_ahead: RunAhead,
    /// Each node runs one in so many accepted batches with a parallel part again, one transaction after the other, and
    /// compares; of the others one in the square of it. 0: none.
    pub audit_every: u64,
    /// Threads that serve clients. 0: one for each core.
    pub front_threads: usize,
    /// Clients at once; one more is refused with 53300.
    pub connections_max: usize,
    /// Memory for pages, for each node, in MiB; databases may be larger. A process takes some 160 MiB besides, and the log's
    /// newest entries an eighth of it, at most 64 MiB. Where old versions that somebody still reads
    /// take too much of it, the oldest readers end with 72000.
    pub memory_mib: usize,
    /// How long one transaction block, or one read whose client takes its rows slowly, may keep the version that it
    /// reads, in seconds. Older ones end with 72000.
    pub snapshot_age_max_s: u64,
    /// Batches proposed and not yet accepted at one time.
    pub batches_in_flight_max: usize,
    /// Transactions in one batch.
    pub batch_transactions_max: usize,
    /// Encoded transactions in one batch, in bytes.
    pub batch_bytes_max: usize,
    /// Transactions waiting for a batch; a full queue holds back its clients.
    pub queue_transactions_max: usize,
    /// A checkpoint is taken when this many MiB of pages have changed since the last one.
    pub checkpoint_mib: usize,
    /// A checkpoint is taken when this many batches have been accepted since the last one.
    pub checkpoint_batches: u64,
    /// Entries of the log that a node of a cluster keeps for nodes that are away; one that was away for longer fetches the
    /// pages that it lacks instead.
    pub log_keep_entries: u64,
    /// MiB of pages in a second that a node fetches, at most, which is new or was away for too long. 0: as fast as it
    /// goes, which its source's clients feel.
    pub transfer_mib_per_s: u64,
    /// Raft heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest time without a leader before an election, in milliseconds; the longest is twice that.
    pub election_ms: u64,
    /// Interactive transactions are not compared with what their clients saw. For the tests that prove that
    /// the comparison is needed; no file and no option sets it.
    #[doc(hidden)]
    #[serde(skip)]
    pub uncertified: bool,
    /// Steps of SQLite's machine that one transaction may take when it is executed. Part of what a batch gives, so
    /// the same for all nodes at all times; for the tests that cannot wait for the real number.
    #[doc(hidden)]
    #[serde(skip)]
    pub steps_max: Option<u64>,
    /// A node that fetches a state writes what it has to its disk whenever it is so many bytes. For the tests whose
    /// databases are small.
    #[doc(hidden)]
    #[serde(skip)]
    pub transfer_part_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: PathBuf::from("evesql-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 5433)),
            socket_dir: None,
            admin: SocketAddr::from(([127, 0, 0, 1], 8433)),
            replicas: 3,
            member: None,
            drills: false,
            tls_cert: None,
            tls_key: None,
            auth: Auth::Trust,
            plain_clients: false,
            insecure: false,
            rules: None,
            workers: 0,
            run_ahead: RunAhead::WhenItPays,
            audit_every: 64,
            front_threads: 0,
            connections_max: 1000,
            memory_mib: 512,
            snapshot_age_max_s: 3_600,
            // With all nodes on one machine larger batches beat overlapping ones (README, cost).
            batches_in_flight_max: 1,
            batch_transactions_max: 1000,
            batch_bytes_max: 4 << 20,
            queue_transactions_max: 10_000,
            checkpoint_mib: 64,
            checkpoint_batches: 20_000,
            log_keep_entries: 20_000,
            transfer_mib_per_s: 100,
            heartbeat_ms: 50,
            election_ms: 250,
            uncertified: false,
            steps_max: None,
            transfer_part_bytes: 32 << 20,
        }
    }
}

/// One node of a cluster, and where the others are.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// This node's number in `peers`.
    pub id: u64,
    /// Address on which its peers reach it.
    pub peer_listen: SocketAddr,
    /// All nodes that make a new cluster, this one too; the same nodes on each of them, whatever their addresses. Empty
    /// for a node that joins one.
    #[serde(default)]
    pub peers: Peers,
    /// The peer address of any node of the cluster that this one joins, as `HOST:PORT`.
    #[serde(default)]
    pub join: Option<String>,
    /// Certificate of the CA that signs for the nodes of this cluster, in PEM form. With `cert` and `key`: peers talk over
    /// TLS, and who has no certificate of this CA is not heard. All three or none, and on all nodes the same.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// This node's certificate, in PEM form.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    /// The private key of `cert`, in PEM form, without a password.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

impl Member {
    /// CA, certificate and key, if peers are to prove who they are.
    pub fn tls(&self) -> Option<[&Path; 3]> {
        Some([self.ca.as_deref()?, self.cert.as_deref()?, self.key.as_deref()?])
    }
}

/// Nodes and their addresses, written as `1=HOST:PORT,2=HOST:PORT`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Peers(pub BTreeMap<u64, String>);

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut peers = BTreeMap::new();
        for part in text.split(',') {
            let (id, address) =
                part.split_once('=').ok_or_else(|| format!("\"{part}\" is not of the form ID=HOST:PORT"))?;
            let id: u64 = id.trim().parse().map_err(|_| format!("\"{id}\" is not the number of a node"))?;
            let address = address.trim();
            let port =
                address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                return Err(format!("\"{address}\" is not of the form HOST:PORT"));
            }
            if id == 0 {
                return Err("nodes are numbered from 1".into());
            }
            if peers.insert(id, address.to_string()).is_some() {
                return Err(format!("node {id} is named twice"));
            }
        }
        Ok(Peers(peers))
    }
}

impl TryFrom<String> for Peers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(|(id, address)| format!("{id}={address}")).collect();
        f.write_str(&all.join(","))
    }
}

/// How clients of this machine prove who they are, where their role has no password; one that has must give it anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Not at all: they are let in, as superusers if there is no role of the name.
    #[default]
    Trust,
    /// By a password, so they are not let in.
    Scram,
}

impl FromStr for Auth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trust" => Ok(Auth::Trust),
            "scram" => Ok(Auth::Scram),
            _ => Err("it must be trust or scram".into()),
        }
    }
}

/// When transactions run ahead, in parallel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunAhead {
    /// When measured costs say that it pays and there is more than one core for a replica.
    #[default]
    WhenItPays,
    /// Whenever it can be done (tests, benches).
    Always,
    /// Never.
    Never,
}

/// Why a configuration cannot be used; the sentence says what to change.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        reason: String,
    },
    /// The file is not TOML of the form of [`Config`].
    #[error("the configuration file {path} is not valid: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        reason: String,
    },
    /// A value is outside its range.
    #[error("{field} is {value}, but must be {range}")]
    OutOfRange {
        /// Field of [`Config`].
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// Anybody on the network could read and write everything.
    #[error(
        "listening on {0} without TLS would show passwords' proofs and all data to whoever listens; give a certificate with --tls-cert and --tls-key, say --plain-clients if the network is safe, or --insecure to do without passwords, too"
    )]
    Insecure(SocketAddr),
    /// A certificate without its key, or the other way round.
    #[error("TLS with clients needs --tls-cert and --tls-key, and {0} is missing; give both or none")]
    IncompleteClientTls(&'static str),
    /// Anybody on the network could pass for a node.
    #[error(
        "listening on {0} for peers without TLS would let anybody pass for a node; give certificates with --peer-ca, --peer-cert and --peer-key, listen on 127.0.0.1, or say --insecure"
    )]
    InsecurePeers(SocketAddr),
    /// Anybody on the network could change who belongs to the cluster.
    #[error(
        "listening on {0} for administrators would let anybody change the cluster; listen on 127.0.0.1, or say --insecure"
    )]
    InsecureAdmin(SocketAddr),
    /// Some of what TLS needs.
    #[error(
        "TLS between nodes needs --peer-ca, --peer-cert and --peer-key (in a file: ca, cert and key of [member]), and {0} is missing; give all three or none"
    )]
    IncompleteTls(&'static str),
    /// It must do one of the two.
    #[error("a node makes a new cluster with --peers, or joins one with --join; say one of the two")]
    MakesOrJoins,
    /// The others could not dial it.
    #[error(
        "a node that joins tells the others where to reach it, and {0} says nothing; name its address with --peer-listen"
    )]
    NoAddress(SocketAddr),
    /// A node that its own list does not name.
    #[error("node {id} is not in --peers {peers}; name all nodes, this one too, and the same on each of them")]
    NotAPeer {
        /// This node.
        id: u64,
        /// What was given.
        peers: Peers,
    },
}

impl Config {
    /// Reads a TOML file.
    pub fn from_file(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError::Unreadable { path: path.into(), reason: e.to_string() })?;
        toml::from_str(&text)
            .map_err(|e| ConfigError::Malformed { path: path.into(), reason: e.to_string().trim_end().to_string() })
    }

    /// Certificate and key, if clients may use TLS.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        Some((self.tls_cert.as_deref()?, self.tls_key.as_deref()?))
    }

    /// The nodes that make a new cluster.
    pub fn voters(&self) -> Vec<u64> {
        match &self.member {
            Some(member) => member.peers.0.keys().copied().collect(),
            None => (1..=self.replicas).collect(),
        }
    }

    /// The nodes of this process.
    pub fn hosted(&self) -> Vec<u64> {
        self.member.as_ref().map_or_else(|| self.voters(), |member| vec![member.id])
    }

    /// Threads of each node that run transactions ahead: as configured, or its share of this machine's cores; at least 1.
    pub fn workers_of_node(&self) -> usize {
        match self.workers {
            0 => (std::thread::available_parallelism().map_or(1, usize::from) / self.hosted().len().max(1)).max(1),
            count => count,
        }
    }

    /// Checks ranges and what belongs together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        fn check(ok: bool, field: &'static str, value: impl ToString, range: &'static str) -> Result<(), ConfigError> {
            if ok { Ok(()) } else { Err(ConfigError::OutOfRange { field, value: value.to_string(), range }) }
        }
        check(matches!(self.replicas, 1 | 3 | 5 | 7), "replicas", self.replicas, "1, 3, 5 or 7")?;
        check(self.workers <= 1_024, "workers", self.workers, "at most 1024")?;
        check(self.connections_max >= 1, "connections_max", self.connections_max, "at least 1")?;
        check(self.memory_mib >= 16, "memory_mib", self.memory_mib, "at least 16")?;
        check(self.snapshot_age_max_s >= 1, "snapshot_age_max_s", self.snapshot_age_max_s, "at least 1")?;
        check(
            (1..=64).contains(&self.batches_in_flight_max),
            "batches_in_flight_max",
            self.batches_in_flight_max,
            "1 to 64",
        )?;
        check(
            (1..=100_000).contains(&self.batch_transactions_max),
            "batch_transactions_max",
            self.batch_transactions_max,
            "1 to 100000",
        )?;
        check(
            (65_536..=64 << 20).contains(&self.batch_bytes_max),
            "batch_bytes_max",
            self.batch_bytes_max,
            "64 KiB to 64 MiB",
        )?;
        check(self.queue_transactions_max >= 1, "queue_transactions_max", self.queue_transactions_max, "at least 1")?;
        check(self.checkpoint_mib >= 1, "checkpoint_mib", self.checkpoint_mib, "at least 1")?;
        check(self.checkpoint_batches >= 1, "checkpoint_batches", self.checkpoint_batches, "at least 1")?;
        check((5..=10_000).contains(&self.heartbeat_ms), "heartbeat_ms", self.heartbeat_ms, "5 to 10000")?;
        check(
            self.election_ms >= 2 * self.heartbeat_ms,
            "election_ms",
            self.election_ms,
            "at least twice heartbeat_ms",
        )?;
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return Err(ConfigError::IncompleteClientTls("--tls-key")),
            (None, Some(_)) => return Err(ConfigError::IncompleteClientTls("--tls-cert")),
            _ => {}
        }
        let is_guarded = self.tls().is_some() || self.plain_clients || self.insecure;
        if !self.listen.ip().is_loopback() && !is_guarded {
            return Err(ConfigError::Insecure(self.listen));
        }
        if !self.admin.ip().is_loopback() && !self.insecure {
            return Err(ConfigError::InsecureAdmin(self.admin));
        }
        if let Some(member @ Member { id, peer_listen, peers, join, .. }) = &self.member {
            if peers.0.is_empty() == join.is_none() {
                return Err(ConfigError::MakesOrJoins);
            }
            if join.is_some() && peer_listen.ip().is_unspecified() {
                return Err(ConfigError::NoAddress(*peer_listen));
            }
            if join.is_none() && !peers.0.contains_key(id) {
                return Err(ConfigError::NotAPeer { id: *id, peers: peers.clone() });
            }
            let tls = [(&member.ca, "--peer-ca"), (&member.cert, "--peer-cert"), (&member.key, "--peer-key")];
            if let Some((_, missing)) = tls.iter().find(|(file, _)| file.is_none())
                && tls.iter().any(|(file, _)| file.is_some())
            {
                return Err(ConfigError::IncompleteTls(missing));
            }
            if !peer_listen.ip().is_loopback() && !self.insecure && member.tls().is_none() {
                return Err(ConfigError::InsecurePeers(*peer_listen));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn an_even_number_of_replicas_is_refused() {
        let config = Config { replicas: 2, ..Config::default() };
        assert_eq!(config.validate().unwrap_err().to_string(), "replicas is 2, but must be 1, 3, 5 or 7");
    }

    #[test]
    fn listening_to_the_world_needs_a_certificate_or_a_word_for_doing_without() {
        let listen = SocketAddr::from(([0, 0, 0, 0], 5433));
        assert_eq!(Config { listen, ..Config::default() }.validate(), Err(ConfigError::Insecure(listen)));
        assert_eq!(Config { listen, insecure: true, ..Config::default() }.validate(), Ok(()));
        assert_eq!(Config { listen, plain_clients: true, ..Config::default() }.validate(), Ok(()));
        let tls_cert = Some("server.pem".into());
        let half = Config { listen, tls_cert, ..Config::default() };
        assert_eq!(half.validate(), Err(ConfigError::IncompleteClientTls("--tls-key")));
        assert_eq!(Config { tls_key: Some("server.key".into()), ..half }.validate(), Ok(()));
    }

    #[test]
    fn peers_are_read_and_mistakes_in_them_named() {
        let peers: Peers = "1=a:5434, 2=[::1]:7".parse().unwrap();
        assert_eq!(peers.to_string(), "1=a:5434,2=[::1]:7");
        for (text, what) in [
            ("", "not of the form ID=HOST:PORT"),
            ("1", "not of the form ID=HOST:PORT"),
            ("x=a:1", "not the number of a node"),
            ("0=a:1", "numbered from 1"),
            ("1=a", "not of the form HOST:PORT"),
            ("1=:5", "not of the form HOST:PORT"),
            ("1=a:0", "not of the form HOST:PORT"),
            ("1=a:1,1=b:1", "named twice"),
        ] {
            let error = text.parse::<Peers>().unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_node_must_be_among_its_peers_and_not_trust_the_world() {
        let peers: Peers = "1=a:5434,2=b:5434".parse().unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 5434));
        let member = Member { id: 3, peer_listen: loopback, peers, join: None, ca: None, cert: None, key: None };
        let config = |member| Config { member: Some(member), ..Config::default() };
        assert!(matches!(config(member.clone()).validate(), Err(ConfigError::NotAPeer { id: 3, .. })));
        let member = Member { id: 2, ..member };
        assert_eq!(config(member.clone()).validate(), Ok(()));
        let both = Member { join: Some("a:5434".into()), ..member.clone() };
        assert_eq!(config(both).validate(), Err(ConfigError::MakesOrJoins));
        let neither = Member { peers: Peers::default(), ..member.clone() };
        assert_eq!(config(neither).validate(), Err(ConfigError::MakesOrJoins));
        let world = SocketAddr::from(([0, 0, 0, 0], 5434));
        let open = Member { peer_listen: world, ..member };
        let proven = Member {
            ca: Some("ca.pem".into()),
            cert: Some("node-2.pem".into()),
            key: Some("node-2.key".into()),
            ..open.clone()
        };
        assert_eq!(config(proven.clone()).validate(), Ok(()));
        let keyless = Member { key: None, ..proven.clone() };
        assert_eq!(config(keyless).validate(), Err(ConfigError::IncompleteTls("--peer-key")));
        let without_ca = Member { ca: None, peer_listen: loopback, ..proven };
        assert_eq!(config(without_ca).validate(), Err(ConfigError::IncompleteTls("--peer-ca")));
        assert_eq!(config(open.clone()).validate(), Err(ConfigError::InsecurePeers(world)));
        assert_eq!(Config { insecure: true, ..config(open) }.validate(), Ok(()));
    }

    #[test]
    fn an_unknown_field_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "replicaz = 3\n").unwrap();
        let message = Config::from_file(file.path()).unwrap_err().to_string();
        assert!(message.contains("replicaz"), "{message}");
    }
}
